//! Restrictions (GDPR art. 18) and holds. Placed: noted in the ledger of
//! `keys.db`, so that no restore undoes it, then in the customer's state, which
//! every read and every write asks, and only then answered. Lifted: in the state
//! first, then in the ledger; what is cut off in between is lifted again.

mod hold;
mod replay;
mod restriction;

pub use hold::{HoldView, Holds, Released, Terms};
pub use restriction::was_told;

use super::Vault;
use super::keyring::{CustomerKeyring, Keyring};
use crate::access::{Restrained, State};
use crate::audit::{Call, Fact, Leaf};
use crate::clock::Day;
use crate::crypto::{Deployment, Label, MessageContext, message, random_bytes};
use crate::error::{Error, Lost, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{
    ChangeRestraints, ConsentOutcome, CustomerRow, LeafRow, LedgerKind, Narrowing, RestraintRow,
    Rows, StateChange,
};
use crate::vault::events::EventKind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is said of a restraint: stored sealed, with what stands in the clear
/// beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    kind: u8,
    about: u32,
    review: Option<i32>,
    /// Which service placed it; empty where the ledger was replayed.
    pub by: String,
    /// When: microseconds since 1970.
    pub time: i64,
    /// Who demands it, of a hold: a court, a regulator.
    pub authority: String,
    /// By which law it is kept, of a hold: a DPV justification; empty: none was
    /// named.
    #[serde(default)]
    pub code: String,
    /// Why.
    pub reason: String,
    /// Who looks at it again.
    pub reviewers: Vec<String>,
    /// What is held, by the catalog's names.
    pub what: String,
    /// The person's request that it belongs to.
    pub request: Option<u64>,
}

impl Note {
    /// By whom, when and why.
    pub fn new(by: &str, time: i64, reason: String) -> Self {
        Self {
            by: by.to_owned(),
            time,
            reason,
            ..Self::default()
        }
    }

    fn seal(
        mut self,
        deployment: Deployment,
        keys: &CustomerKeyring,
        row: &RestraintRow,
    ) -> Result<Vec<u8>> {
        (self.kind, self.about) = (row.kind, row.about);
        self.review = row.review.map(|day| day.0);
        let bytes = serde_json::to_vec(&self).map_err(|_| Error::Internal("a restraint"))?;
        message::seal(&keys.requests(), &context(deployment, row), &bytes)
    }

    /// What is said of a restraint, if the row is as it was written.
    pub fn open(
        deployment: Deployment,
        keys: &CustomerKeyring,
        row: &RestraintRow,
    ) -> Result<Self> {
        let lost = || Error::DataLoss(Lost::Row);
        let bytes = message::open(&keys.requests(), &context(deployment, row), &row.sealed);
        let bytes = bytes.map_err(|_| lost())?;
        let note: Self = serde_json::from_slice(bytes.expose()).map_err(|_| lost())?;
        let clear = (row.kind, row.about, row.review.map(|day| day.0));
        match (note.kind, note.about, note.review) == clear {
            true => Ok(note),
            false => Err(lost()),
        }
    }
}

fn context(deployment: Deployment, row: &RestraintRow) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::Restraint,
        tenant: row.tenant.0,
        customer: row.customer.0,
        number: row.number,
        extra: row.placed,
    }
    .bytes()
}

/// A customer whose restraints are about to change: the state as it was read,
/// and as it shall stand.
pub struct Restraining<'a> {
    deployment: Deployment,
    keys: &'a CustomerKeyring,
    was: &'a CustomerRow,
    state: State,
    placed: Option<RestraintRow>,
    lifted: Vec<u64>,
}

impl<'a> Restraining<'a> {
    /// The customer of a row that was just read.
    pub fn of(keyring: &Keyring, keys: &'a CustomerKeyring, was: &'a CustomerRow) -> Result<Self> {
        Ok(Self {
            deployment: keyring.deployment(),
            state: keys.facts(was)?.into_state(),
            keys,
            was,
            placed: None,
            lifted: Vec::new(),
        })
    }

    /// The state as it shall stand.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Places one restraint; answers its number and its row's.
    pub fn place(
        &mut self,
        what: Restrained,
        note: Note,
        review: Option<Day>,
    ) -> Result<(u64, u64)> {
        let restraint = self.state.restrain(what)?;
        let (kind, about) = what.code();
        let row = RestraintRow {
            number: u64::from_be_bytes(random_bytes()?) >> 1,
            tenant: self.keys.tenant,
            customer: self.keys.customer,
            placed: restraint.placed,
            kind,
            about,
            review,
            sealed: Vec::new(),
        };
        let sealed = note.seal(self.deployment, self.keys, &row)?;
        let number = row.number;
        self.placed = Some(RestraintRow { sealed, ..row });
        Ok((restraint.placed, number))
    }

    /// Places one restraint of the ledger, at the revision that it was placed on.
    pub fn place_at(&mut self, revision: u64, what: Restrained, note: Note) -> Result<()> {
        self.state.revision = revision;
        self.place(what, note, None).map(|_| ())
    }

    /// Lifts a restraint; false where there is none of that number.
    pub fn lift(&mut self, placed: u64) -> bool {
        let is_there = self.state.lift(placed);
        if is_there {
            self.lifted.push(placed);
        }
        is_there
    }

    /// What the customer said is forgotten, but for what keeps data from use.
    pub fn forget_said(&mut self) {
        self.state.forget_said();
    }

    /// Whether nothing was placed or lifted.
    pub fn is_unchanged(&self) -> bool {
        self.placed.is_none() && self.lifted.is_empty()
    }

    /// The change to store, and what the ledger notes of it first.
    pub fn done(mut self) -> (StateChange, Option<Narrowing>) {
        self.state.revision = self.state.revision.saturating_add(1);
        let narrowing = self.placed.as_ref().map(|row| Narrowing {
            entry: 0,
            kind: match row.kind {
                1 => LedgerKind::Restriction,
                _ => LedgerKind::Hold,
            },
            customer: row.customer,
            about: row.about,
            revision: row.placed,
        });
        let change = StateChange {
            customer: self.keys.customer,
            was: self.was.state.clone(),
            state: self.state.encode(),
            state_mac: self
                .state
                .mac(&self.keys.identity.state, self.keys.customer),
            placed: self.placed,
            lifted: self.lifted,
        };
        (change, narrowing)
    }
}

/// What an auditor counts on: what was placed or lifted, and why.
pub fn fact(leaf: &mut Leaf, event: &'static str, what: Restrained) {
    let (about, cause) = match what {
        Restrained::Restricted(cause) => (0, cause.name()),
        Restrained::Held(_) => (what.code().1, ""),
    };
    leaf.count = 1;
    leaf.fact = Some(Fact::Restraint {
        kind: what.name(),
        event,
        cause,
        record_type: about >> 16,
        field: about & 0xffff,
        agreed: None,
    });
}

/// What a look at the customer came to.
enum Looked<T> {
    /// There is nobody to change.
    Nothing(T),
    /// There is nothing to change; the leaf says so.
    Settled(T, LeafRow),
    /// Ready to be stored.
    Change(Box<ChangeRestraints>, Option<Narrowing>, T),
}

impl Vault {
    /// Notes a placing in the ledger, before it is carried out.
    pub(super) async fn note_placing(
        &self,
        narrowing: Option<Narrowing>,
        today: Day,
    ) -> Result<()> {
        let Some(narrowing) = narrowing else {
            return Ok(());
        };
        let note = || self.0.store.note_narrowings(vec![narrowing], today);
        self.reserved(note).await
    }

    /// Notes in the ledger what was lifted, so that a restore does not place it
    /// again. Where that fails, a restore does.
    pub(super) async fn note_lifting(&self, change: &StateChange, today: Day) {
        for placed in &change.lifted {
            let narrowing = Narrowing {
                entry: 0,
                kind: LedgerKind::Lifted,
                customer: change.customer,
                about: 0,
                revision: *placed,
            };
            let noted = self.0.store.note_narrowings(vec![narrowing], today);
            if let Err(error) = noted.in_time().await {
                tracing::warn!(reason = error.reason(), "what was lifted is not noted");
            }
        }
    }

    /// Looks and changes, until nobody was faster; then `tells` it to those who
    /// read the customer's data (GDPR art. 19).
    async fn restrain<T, L>(&self, call: &Arc<Call>, tells: Option<EventKind>, look: L) -> Result<T>
    where
        T: Send + 'static,
        L: Fn(&Self, &Call, &mut dyn Rows, &Keyring) -> Result<Looked<T>> + Send + Sync + 'static,
    {
        // In a task of its own: a caller that goes away stops nothing half-way.
        let (vault, call, look) = (self.clone(), Arc::clone(call), Arc::new(look));
        tokio::spawn(async move { vault.restrain_to_the_end(&call, tells, &look).await })
            .await
            .unwrap_or(Err(Error::Internal("a restraint ended by itself")))
    }

    async fn restrain_to_the_end<T, L>(
        &self,
        call: &Arc<Call>,
        tells: Option<EventKind>,
        look: &Arc<L>,
    ) -> Result<T>
    where
        T: Send + 'static,
        L: Fn(&Self, &Call, &mut dyn Rows, &Keyring) -> Result<Looked<T>> + Send + Sync + 'static,
    {
        let today = call.time.day();
        for _ in 0..limits::REVISION_RETRIES {
            let (vault, of, look) = (self.clone(), Arc::clone(call), Arc::clone(look));
            let looked = self
                .on_rows(move |rows, keyring| look(&vault, &of, rows, keyring))
                .await?;
            let (change, narrowing, told) = match looked {
                Looked::Nothing(told) => return Ok(told),
                Looked::Settled(told, leaf) => {
                    return Ok(self.0.log.record(call, vec![leaf], told).await?.release());
                }
                Looked::Change(change, narrowing, told) => (change, narrowing, told),
            };
            let store = || {
                let change = ChangeRestraints::clone(&change);
                self.0.store.change_restraints(change)
            };
            self.note_placing(narrowing, today).await?;
            let outcome = match change.change.placed {
                Some(_) => self.reserved(store).await?,
                None => store().in_time().await?,
            };
            if let ConsentOutcome::Done = outcome {
                call.mark_recorded();
                self.note_lifting(&change.change, today).await;
                if let Some(kind) = tells {
                    self.tell_all(change.change.customer, kind).await;
                }
                return Ok(told);
            }
        }
        Err(Error::Contended)
    }
}

/// The keys and the row of a customer by number, while they have any.
pub(super) fn alive(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    customer: CustomerNumber,
) -> Result<Option<(CustomerKeyring, CustomerRow)>> {
    let found = super::find::newest_keys(rows, customer)?;
    match keyring.customer(customer, found) {
        Ok(keys) => Ok(rows.customer(customer)?.map(|row| (keys, row))),
        Err(Error::CustomerErased) => Ok(None),
        Err(error) => Err(error),
    }
}
