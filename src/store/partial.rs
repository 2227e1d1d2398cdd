//! The room of erasures in part: what nobody holds goes, what is held waits.

use super::Pending;
use super::events::Tidings;
use super::generations::Destroyed;
use super::restraints::StateChange;
use super::row::LeafRow;
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;

/// An erasure in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialRow {
    /// What is kept goes on under this generation.
    pub generation: u32,
    /// The number of the leaf that says so; 0 before it is done.
    pub leaf: u64,
    /// The story of the events that tell of it.
    pub story: u64,
    /// What was destroyed, once it is done.
    pub destroyed: Option<Destroyed>,
    /// What went and what was kept, sealed; empty once the customer is forgotten.
    pub sealed: Vec<u8>,
}

/// The certificate of a customer who is still there: found by their own key.
#[derive(Clone)]
pub struct LivingCertificate {
    /// How it is found by whoever has its id.
    pub handle: [u8; 16],
    /// What is kept of it, sealed under its id.
    pub body: Vec<u8>,
    /// Its id, sealed under the customer's key.
    pub sealed_id: Vec<u8>,
}

/// An erasure in part that will happen.
#[derive(Clone)]
pub struct PartialIntent {
    /// Whose.
    pub customer: CustomerNumber,
    /// What is kept goes on under this generation.
    pub generation: u32,
    /// The customer's state as it was read: it must still stand, so that no
    /// hold slips in between.
    pub state: Vec<u8>,
    /// What will go and what is kept, sealed.
    pub sealed: Vec<u8>,
    /// A certificate, unless the customer has one.
    pub certificate: LivingCertificate,
    /// What is told of it.
    pub told: Tidings,
}

/// An erasure in part that is done.
#[derive(Clone)]
pub struct PartialEnd {
    /// What was destroyed.
    pub destroyed: Destroyed,
    /// What was kept goes on under this generation.
    pub generation: u32,
    /// The customer's state without what they said.
    pub change: StateChange,
    /// The leaf.
    pub leaf: LeafRow,
    /// Today.
    pub today: Day,
}

/// Changes to erasures in part.
pub trait PartialStore {
    /// `vault.db`: an erasure in part will happen: its row, its
    /// certificate, and what is told of it. False where the state is another by now or there is a
    /// reader who is not told: look again. Repeating it changes nothing.
    fn intend_partial(&self, intent: PartialIntent) -> Pending<bool>;
    /// `vault.db`: it is done: its leaf, the customer's state, and what they
    /// said is gone. False where the state is another by now.
    fn end_partial(&self, end: PartialEnd) -> Pending<bool>;
}

/// Looks at erasures in part.
pub trait PartialRows {
    /// `vault.db`: a customer's, oldest first.
    fn partial_erasures(&mut self, customer: CustomerNumber) -> Result<Vec<PartialRow>>;
    /// `keys.db`: what a shred in part destroyed, once it is done; `generation`
    /// is the one that went on.
    fn partial_shred_to(
        &mut self,
        customer: CustomerNumber,
        generation: u32,
    ) -> Result<Option<Destroyed>>;
    /// `vault.db`: the sealed id of the certificate of a customer who is still
    /// there.
    fn living_certificate(&mut self, customer: CustomerNumber) -> Result<Option<Vec<u8>>>;
}
