//! Erasures that wait, whole or for what is held: for a hold to be released, or
//! for the end of a grace. What is waiting was asked for or approved by somebody, whose name stands beside it;
//! nothing here decides anything, it carries on with what was decided.

use super::Vault;
use super::certificate::CertificateView;
use super::customer::CustomerView;
use super::erase::Forgetting;
use super::find::{customer_id, newest_keys};
use super::keyring::{CustomerKeyring, Keyring};
use super::restraint::{Note, Restraining, alive, fact};
use super::rights::request::Event;
use crate::access::{Cause, Restrained, State};
use crate::audit::{Call, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{ChangeRestraints, ConsentOutcome, LeafRow, Narrowing, Rows};
use std::sync::Arc;

/// An erasure of a customer of whom something is held.
pub enum Queueing {
    /// It waits already; the leaf says that it was asked for again.
    Again(LeafRow),
    /// It is to wait.
    New(Box<ChangeRestraints>, Option<Narrowing>),
}

impl Queueing {
    /// The erasure, about to wait: from here on the customer is restricted.
    pub(super) fn of(
        vault: &Vault,
        call: &Call,
        of: &Forgetting,
        keys: &CustomerKeyring,
        mut restraining: Restraining<'_>,
    ) -> Result<Self> {
        let mut leaf = of.leaf.clone();
        leaf.verdict = Verdict::Allowed;
        if restraining.state().is_restricted_for(Cause::Queued) {
            return Ok(Self::Again(vault.subject_row(call, &leaf, keys, &[])?));
        }
        let queued = Restrained::Restricted(Cause::Queued);
        let note = Note::new(&of.by, call.time.micros(), String::new());
        restraining.place(queued, note, None)?;
        fact(&mut leaf, "placed", queued);
        let leaf = vault.subject_row(call, &leaf, keys, &[])?;
        let (change, narrowing) = restraining.done();
        let request = None;
        let change = ChangeRestraints {
            change,
            request,
            leaf,
        };
        Ok(Self::New(Box::new(change), narrowing))
    }
}

impl Vault {
    /// Puts an erasure on record that waits for a hold. False where the state is
    /// another by now.
    pub(super) async fn queue(&self, call: &Call, queueing: Queueing) -> Result<bool> {
        match queueing {
            Queueing::Again(leaf) => {
                self.0.log.record(call, vec![leaf], ()).await?;
                Ok(true)
            }
            Queueing::New(change, narrowing) => {
                self.note_placing(narrowing, call.time.day()).await?;
                let store = || {
                    let change = ChangeRestraints::clone(&change);
                    self.0.store.change_restraints(change)
                };
                let is_done = matches!(self.reserved(store).await?, ConsentOutcome::Done);
                if is_done {
                    call.mark_recorded();
                }
                Ok(is_done)
            }
        }
    }

    /// Carries on with every erasure that waits for nothing any more: whose last
    /// hold was released, which a crash cut off, or whose grace is over where
    /// the configuration says that it then goes on.
    pub async fn carry_on(&self) -> Result<()> {
        match self.is_sealed() {
            true => Ok(()),
            false => self.carry_on_with_all().await,
        }
    }

    /// The same, also while the vault comes up.
    pub(super) async fn carry_on_with_all(&self) -> Result<()> {
        let mut after = CustomerNumber(0);
        let cause = Restrained::Restricted(Cause::Queued).code().1;
        loop {
            let next = self
                .on_rows(move |rows, _| rows.restricted_for(cause, after, limits::REPLAY_ENTRIES));
            let customers = next.await?;
            let Some(last) = customers.last() else {
                break;
            };
            after = *last;
            for customer in customers {
                self.carry_on_or_warn(customer).await;
            }
        }
        let mut after = 0;
        loop {
            let next =
                self.on_rows(move |rows, _| rows.approved_erasures(after, limits::REPLAY_ENTRIES));
            let requests = next.await?;
            let Some(last) = requests.last() else {
                return Ok(());
            };
            after = last.number;
            for request in requests {
                self.carry_on_or_warn(request.customer).await;
            }
        }
    }

    async fn carry_on_or_warn(&self, customer: CustomerNumber) {
        if let Err(error) = self.carry_on_with(customer).await {
            tracing::warn!(reason = error.reason(), "an erasure waits");
        }
    }

    /// Carries on with the erasure of a customer, if somebody asked for one that
    /// waits, as far as nothing of theirs is held.
    pub async fn carry_on_with(&self, customer: CustomerNumber) -> Result<CarriedOn> {
        let found = self
            .on_rows(move |rows, keyring| whom(rows, keyring, customer))
            .await?;
        let Some((forgetting, is_queued, held)) = found else {
            return Ok(CarriedOn::default());
        };
        let requests = self.requests_that_go_on(customer).await?;
        if requests.is_empty() && !is_queued {
            return Ok(CarriedOn::default());
        }
        let waits = match held {
            Held::Nothing => false,
            Held::All => !self.is_unheld_left(customer).await?,
            Held::Some => is_queued && !self.is_unheld_left(customer).await?,
        };
        if waits {
            return Ok(CarriedOn::default());
        }
        let call = Arc::new(self.0.log.begin("CarryOn", None, Instant::now()));
        for request in requests {
            // From here on nobody takes it back.
            self.step_request(&call, request, Event::Begin).await?;
        }
        let forgetting = Arc::new(forgetting);
        match self.forget(&call, &forgetting).await {
            Ok((customer, view)) => Ok(CarriedOn {
                erased: matches!(view, CustomerView::Erased { .. }),
                in_part: matches!(view, CustomerView::Active { .. }),
                certificate: self.certificate_of(&forgetting, customer).await,
            }),
            Err(Error::ErasureQueued) => Ok(CarriedOn::default()),
            Err(error) => Err(error),
        }
    }
}

/// What carrying on with an erasure came to.
#[derive(Default)]
pub struct CarriedOn {
    /// The customer is forgotten.
    pub erased: bool,
    /// What is not held was erased.
    pub in_part: bool,
    /// The certificate of it.
    pub certificate: Option<CertificateView>,
}

/// How much of a customer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Record types or fields.
    Some,
    /// All of it.
    All,
}

impl Held {
    /// By the customer's state.
    pub fn by(state: &State) -> Self {
        match state.holds().next() {
            None => Self::Nothing,
            Some(_) if state.is_held() => Self::All,
            Some(_) => Self::Some,
        }
    }
}

/// The customer; whether an erasure of theirs is queued, and how much is held.
fn whom(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    customer: CustomerNumber,
) -> Result<Option<(Forgetting, bool, Held)>> {
    if newest_keys(rows, customer)?.fence.is_some() {
        return Ok(None);
    }
    let Some((keys, row)) = alive(rows, keyring, customer)? else {
        return Ok(None);
    };
    let restraining = Restraining::of(keyring, &keys, &row)?;
    let is_queued = restraining.state().is_restricted_for(Cause::Queued);
    let forgetting = Forgetting {
        tenant: keyring.tenant_numbered(keys.tenant)?,
        customer: customer_id(keyring.deployment(), &keys, &row.sealed_id)?,
        by: Arc::from(""),
        leaf: Leaf::new(Verdict::Intended, ""),
    };
    let held = Held::by(restraining.state());
    Ok(Some((forgetting, is_queued, held)))
}
