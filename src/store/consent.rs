//! The room of consent: what customers said, in `vault.db`, and that they said
//! no, in the ledger of `keys.db`.

use super::events::Tidings;
use super::row::{LeafRow, LedgerKind, RequestRow};
use super::{Pending, RequestClaim};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;

/// What a customer said: their new state, the event, its leaf.
#[derive(Clone)]
pub struct ConsentChange {
    /// Whose.
    pub customer: CustomerNumber,
    /// The encoded state as it was read: it must still stand.
    pub was: Vec<u8>,
    /// The new one.
    pub state: Vec<u8>,
    /// Its MAC.
    pub state_mac: [u8; 32],
    /// The events by their numbers, from 1, each sealed under a key of the
    /// customer's.
    pub events: Vec<(u32, Vec<u8>)>,
    /// The request; none where nobody asked.
    pub request: Option<RequestClaim>,
    /// The leaf.
    pub leaf: LeafRow,
    /// Whether it only narrows: then the reserve is there for it.
    pub narrows: bool,
    /// What is told of it.
    pub told: Vec<Tidings>,
    /// Days on which consent ends, so that what was kept for it is looked at.
    pub ends: Vec<Day>,
}

/// What a change of what a customer said, or of their state, came to.
pub enum ConsentOutcome {
    /// It is on record.
    Done,
    /// The state is another by now, or there is a reader who is not told: look
    /// again and repeat.
    Lost,
    /// The customer's row is gone.
    Gone,
    /// The request id is known.
    Repeated(RequestRow),
}

/// A no in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrowing {
    /// The entry's number.
    pub entry: u64,
    /// Withdrawal, objection, the end of a basis, a restraint or its end.
    pub kind: LedgerKind,
    /// Who said it.
    pub customer: CustomerNumber,
    /// Of which purpose; for a restraint what it is about
    /// (`access::Restrained::code`).
    pub about: u32,
    /// The revision of the state that it was said to; for the end of a
    /// restraint the one that it was placed on.
    pub revision: u64,
}

/// Changes of consent.
pub trait ConsentStore {
    /// `keys.db`: notes what was said no to in the ledger, all of it or none; the
    /// entries' numbers are set here.
    fn note_narrowings(&self, narrowings: Vec<Narrowing>, today: Day) -> Pending<()>;
    /// `vault.db`: state, events, request and leaf.
    fn change_consent(&self, change: ConsentChange) -> Pending<ConsentOutcome>;
    /// `vault.db`: from here on the ledger up to `entry` is carried out.
    fn ledger_is_done(&self, entry: u64) -> Pending<()>;
}

/// Reads of consent.
pub trait ConsentRows {
    /// `vault.db`: a customer's events that follow number `after`, oldest first.
    fn consent_events(
        &mut self,
        customer: CustomerNumber,
        after: u32,
        most: usize,
    ) -> Result<Vec<(u32, Vec<u8>)>>;
    /// `vault.db`: up to which entry the ledger is known to be carried out.
    fn ledger_done(&mut self) -> Result<u64>;
    /// `keys.db`: the noes of the ledger that follow entry `after`.
    fn narrowings(&mut self, after: u64, most: usize) -> Result<Vec<Narrowing>>;
}
