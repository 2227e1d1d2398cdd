//! The room of what services are told: who read a customer's data, and the
//! events that are told to them.

use super::Pending;
use super::row::LeafRow;
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};

/// A first read: for one purpose, by one service. It is kept by the entry that
/// writes the read down, and only while the customer's state is the one that
/// the read saw and nobody is forgetting them: so whoever tells of a change
/// knows every reader.
#[derive(Clone)]
pub struct ReaderRow {
    /// Whose data was read.
    pub customer: CustomerNumber,
    /// Which reader: a MAC under the customer's reader locator key.
    pub reader: [u8; 16],
    /// The MAC of the customer's state as the read saw it.
    pub state_mac: Vec<u8>,
    /// Purpose and service, sealed under the customer's reader key.
    pub sealed: Vec<u8>,
}

/// What is told of one change to a customer, to each of their readers.
#[derive(Clone)]
pub struct Tidings {
    /// Whose readers.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// How many readers there were when the events were made: one more by now
    /// would not be told.
    pub readers: u64,
    /// What the events of this change have in common: random.
    pub story: u64,
    /// Whether it stays on record who acknowledged, also when the events are
    /// gone: for an erasure, whose certificate says so.
    pub is_kept: bool,
    /// The day of it.
    pub raised: Day,
    /// The epoch whose event key sealed them.
    pub epoch: u32,
    /// Service (`tenant/service`) and sealed event.
    pub events: Vec<(String, Vec<u8>)>,
}

/// An event, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// From 1, never given twice.
    pub event: u64,
    /// Whose customer it is about.
    pub tenant: TenantNumber,
    /// Who is told, `tenant/service`.
    pub recipient: String,
    /// What it has in common with others.
    pub story: u64,
    /// The day it was raised.
    pub raised: Day,
    /// The day it was acknowledged.
    pub acknowledged: Option<Day>,
    /// The epoch whose event key sealed it.
    pub epoch: u32,
    /// What happened; empty once it is gone.
    pub sealed: Vec<u8>,
}

/// An event sealed anew, under a later epoch.
#[derive(Clone)]
pub struct EventSwap {
    /// Which.
    pub event: u64,
    /// As it was read.
    pub old: Vec<u8>,
    /// The later epoch.
    pub epoch: u32,
    /// As it shall be.
    pub new: Vec<u8>,
}

/// Changes to events.
pub trait EventStore {
    /// `vault.db`: events of one change. False where there is another reader by
    /// now: look again and repeat.
    fn tell(&self, tidings: Tidings) -> Pending<bool>;
    /// `vault.db`: a service's own events are acknowledged, and gone; with the
    /// leaf. How many were not before.
    fn acknowledge_events(
        &self,
        recipient: String,
        events: Vec<u64>,
        today: Day,
        leaf: LeafRow,
    ) -> Pending<u64>;
    /// `vault.db`: what was raised before a day is gone; some of it at a time,
    /// how much.
    fn forget_events(&self, before: Day) -> Pending<usize>;
    /// `vault.db`: events sealed anew; those that changed meanwhile stay.
    fn reseal_events(&self, swaps: Vec<EventSwap>) -> Pending<()>;
}

/// Reads of events.
pub trait EventRows {
    /// `vault.db`: every reader of a customer's data, sealed: at most one for
    /// each service and purpose of the catalog.
    fn readers(&mut self, customer: CustomerNumber) -> Result<Vec<([u8; 16], Vec<u8>)>>;
    /// `vault.db`: a service's events after number `after` that it has not
    /// acknowledged and that are not gone.
    fn events_for(&mut self, recipient: &str, after: u64, most: usize) -> Result<Vec<EventRow>>;
    /// `vault.db`: a tenant's events that are not acknowledged, of one
    /// recipient or (empty) of all.
    fn unacknowledged(
        &mut self,
        tenant: TenantNumber,
        recipient: &str,
        after: u64,
        most: usize,
    ) -> Result<Vec<EventRow>>;
    /// `vault.db`: the events of one change.
    fn story(&mut self, story: u64) -> Result<Vec<EventRow>>;
    /// `vault.db`: what was told of a customer's erasure; 0: nothing.
    fn story_of_erasure(&mut self, customer: CustomerNumber) -> Result<u64>;
    /// `vault.db`: events that this epoch or one before it sealed.
    fn events_up_to(&mut self, epoch: u32, most: usize) -> Result<Vec<EventRow>>;
    /// `vault.db`: the number of the newest event; 0 where there was none.
    fn newest_event(&mut self) -> Result<u64>;
}
