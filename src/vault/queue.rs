//! Erasures that wait: for a hold to be released, or for the end of a grace. What
//! is waiting was asked for or approved by somebody, whose name stands beside it;
//! nothing here decides anything, it carries on with what was decided.

use super::Vault;
use super::erase::Forgetting;
use super::find::{customer_id, newest_keys};
use super::keyring::{CustomerKeyring, Keyring};
use super::restraint::{Note, Restraining, alive, fact};
use super::rights::request::Event;
use crate::access::{Cause, Restrained};
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
        if self.is_sealed() {
            return Ok(());
        }
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
    /// waits, and nothing of theirs is held; whether they are erased now.
    pub async fn carry_on_with(&self, customer: CustomerNumber) -> Result<bool> {
        let found = self
            .on_rows(move |rows, keyring| whom(rows, keyring, customer))
            .await?;
        let Some((forgetting, is_queued)) = found else {
            return Ok(false);
        };
        let requests = self.requests_that_go_on(customer).await?;
        if requests.is_empty() && !is_queued {
            return Ok(false);
        }
        let call = Arc::new(self.0.log.begin("CarryOn", None, Instant::now()));
        for request in requests {
            // From here on nobody takes it back.
            self.step_request(&call, request, Event::Begin).await?;
        }
        match self.forget(&call, &Arc::new(forgetting)).await {
            Ok(_) => Ok(true),
            Err(Error::ErasureQueued) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The customer, where nothing keeps them from being erased; and whether an
/// erasure of theirs is queued.
fn whom(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    customer: CustomerNumber,
) -> Result<Option<(Forgetting, bool)>> {
    if newest_keys(rows, customer)?.fence.is_some() {
        return Ok(None);
    }
    let Some((keys, row)) = alive(rows, keyring, customer)? else {
        return Ok(None);
    };
    let restraining = Restraining::of(keyring, &keys, &row)?;
    if restraining.state().holds().next().is_some() {
        return Ok(None);
    }
    let is_queued = restraining.state().is_restricted_for(Cause::Queued);
    let forgetting = Forgetting {
        tenant: keyring.tenant_numbered(keys.tenant)?,
        customer: customer_id(keyring.deployment(), &keys, &row.sealed_id)?,
        by: Arc::from(""),
        leaf: Leaf::new(Verdict::Intended, ""),
    };
    Ok(Some((forgetting, is_queued)))
}
