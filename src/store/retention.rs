//! The room of what is kept for a time: on which days records were written, so
//! that what has come due is found without looking at what has not; where
//! values came from; and how far the sweep is.

use super::Pending;
use super::events::Tidings;
use super::row::{LeafRow, RecordKey};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};

/// A record without the fields that are past their time.
#[derive(Clone)]
pub struct SweepRecord {
    /// Which.
    pub key: RecordKey,
    /// The revision that it replaces.
    pub replaces: u64,
    /// The record as it shall stand; `None`: nothing is left of it.
    pub left: Option<SweptRecord>,
    /// What is told of it.
    pub told: Option<Tidings>,
    /// The leaf.
    pub leaf: LeafRow,
}

/// What is left of a record.
#[derive(Clone)]
pub struct SweptRecord {
    /// The field key's generation.
    pub generation: u32,
    /// The manifest's MAC.
    pub manifest: [u8; 32],
    /// The groups.
    pub body: Vec<u8>,
    /// Where its values came from, sealed.
    pub origin: Vec<u8>,
}

/// What the last sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepRow {
    /// The day of it.
    pub day: i32,
    /// Records that were looked at, since the vault was founded.
    pub looked: u64,
    /// Fields that were deleted, since the vault was founded.
    pub fields: u64,
    /// The most days that a value of that sweep was past its time.
    pub late: u32,
}

/// How many customers of a tenant something is to be done about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepingCounts {
    /// Customers in all.
    pub customers: u64,
    /// Of these, those of whom no record was written since a day.
    pub idle: u64,
    /// Records past their time that wait.
    pub waiting: u64,
    /// Customers of whom a basis ends soon.
    pub ending: u64,
}

/// Changes that a sweep makes.
pub trait RetentionStore {
    /// `vault.db`: deletes what is past its time of one record. False where the
    /// record or its readers changed: look again.
    fn sweep_record(&self, sweep: SweepRecord) -> Pending<bool>;
    /// `vault.db`: what was collected up to a day is swept of a field.
    fn swept_up_to(&self, record_type: u16, field: u16, day: Day) -> Pending<()>;
    /// `vault.db`: a record is looked at again in the next sweep, or need not be.
    fn defer_sweep(&self, key: RecordKey, is_deferred: bool) -> Pending<()>;
    /// `vault.db`: a customer's consent was looked at on that day or before.
    fn swept_customer(&self, customer: CustomerNumber, up_to: Day) -> Pending<()>;
    /// `vault.db`: what a sweep came to, added to those before.
    fn note_sweep(&self, sweep: SweepRow) -> Pending<()>;
}

/// Looks that a sweep takes.
pub trait RetentionRows {
    /// `vault.db`: up to which day a field was swept.
    fn field_swept_up_to(&mut self, record_type: u16, field: u16) -> Result<Option<Day>>;
    /// `vault.db`: records of a type that were written on days from the first
    /// to the last, after a day and record.
    fn written_between(
        &mut self,
        record_type: u16,
        days: (Day, Day),
        after: Option<(Day, RecordKey)>,
        most: usize,
    ) -> Result<Vec<(Day, RecordKey)>>;
    /// `vault.db`: records that could not be swept when they came due.
    fn deferred(&mut self, after: Option<RecordKey>, most: usize) -> Result<Vec<RecordKey>>;
    /// `vault.db`: customers whose consent ended on a day up to this one.
    fn consent_ended(&mut self, up_to: Day, most: usize) -> Result<Vec<CustomerNumber>>;
    /// `vault.db`: one record.
    fn record_at(&mut self, key: RecordKey) -> Result<Option<super::RecordRow>>;
    /// `vault.db`: where a record's values came from, sealed.
    fn origin(&mut self, key: RecordKey) -> Result<Option<Vec<u8>>>;
    /// `vault.db`: whether a request of the customer's is not ended: what they
    /// ask about is evidence.
    fn has_open_request(&mut self, customer: CustomerNumber) -> Result<bool>;
    /// `vault.db`: how many customers something is to be done about: idle since
    /// a day, a basis that ends after the first of two days and up to the
    /// second. Looks at every customer of the tenant.
    fn keeping_counts(
        &mut self,
        tenant: TenantNumber,
        idle_since: Day,
        ends: (Day, Day),
    ) -> Result<KeepingCounts>;
    /// `vault.db`: what the sweeps came to, and how many records wait.
    fn sweeps(&mut self) -> Result<(SweepRow, u64)>;
}
