//! The changes that take more than a number.

use super::certificates::IntendedCertificate;
use super::events::Tidings;
use super::row::{LeafRow, PageRow, RecordKey, RequestKey, RequestRow};
use crate::clock::Day;
use crate::id::{CustomerNumber, RecordNumber, TenantNumber};

/// A page's first key.
pub struct NewPage {
    /// The page.
    pub row: PageRow,
    /// The tenant of an index page; `None` for customers' keys.
    pub tenant: Option<TenantNumber>,
    /// It holds a row that must be gone when its epoch is closed.
    pub dirty: bool,
}

/// A new customer's wrapped keys.
pub struct CreateKeys {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// The page they were wrapped under, as it was read.
    pub page: PageRow,
    /// The identity key.
    pub identity: Vec<u8>,
    /// The field key of generation 1.
    pub field: Vec<u8>,
    /// Today.
    pub today: Day,
}

/// A request id and what it stands for.
#[derive(Clone)]
pub struct RequestClaim {
    /// The id within its principal's scope.
    pub key: RequestKey,
    /// MAC of the request's content under a key of the customer.
    pub digest: [u8; 32],
    /// Today.
    pub today: Day,
}

/// An index row that takes the place of another.
pub struct Replacement {
    /// Its body as it was read (a tombstone).
    pub old: Vec<u8>,
}

/// A new customer's row.
pub struct CreateCustomer {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// The encoded state.
    pub state: Vec<u8>,
    /// Its MAC.
    pub state_mac: [u8; 32],
    /// The caller's id, sealed under the identity key.
    pub sealed_id: Vec<u8>,
    /// The index page the row belongs to.
    pub index_page: u64,
    /// The row's tag.
    pub index_tag: [u8; 16],
    /// The row's sealed body.
    pub index_body: Vec<u8>,
    /// A tombstone that the row replaces.
    pub replaces: Option<Replacement>,
    /// The request.
    pub request: RequestClaim,
    /// The leaf.
    pub leaf: LeafRow,
    /// Today.
    pub today: Day,
}

/// What a creation came to.
pub enum CreateOutcome {
    /// The customer was created; the index page now holds so many rows.
    Created(u64),
    /// Another customer of that id was there first, or the tombstone changed.
    Taken,
    /// The index page was split meanwhile: look it up and repeat.
    Moved,
    /// The request id is known.
    Repeated(RequestRow),
}

/// A record as it shall stand.
pub struct PutRecord {
    /// Which.
    pub key: RecordKey,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// How it is found.
    pub locator: [u8; 16],
    /// The record type's number.
    pub record_type: u16,
    /// The revision that it replaces; 0: there is none of that locator.
    pub replaces: u64,
    /// The manifest that it replaces, as it was read; empty: none. It changes
    /// also where a record is re-encrypted and its revision stays.
    pub replaces_manifest: Vec<u8>,
    /// The record type's version.
    pub schema_version: u32,
    /// The field key's generation.
    pub generation: u32,
    /// The manifest's MAC.
    pub manifest: [u8; 32],
    /// The caller's id, sealed under the identity key.
    pub sealed_id: Vec<u8>,
    /// The groups.
    pub body: Vec<u8>,
    /// Where its values came from, sealed.
    pub origin: Vec<u8>,
    /// The day on which they were collected.
    pub collected: Day,
    /// The request.
    pub request: RequestClaim,
    /// The leaf.
    pub leaf: LeafRow,
    /// Today.
    pub today: Day,
}

/// A record to delete.
pub struct DeleteRecord {
    /// Which.
    pub key: RecordKey,
    /// The revision it has.
    pub revision: u64,
    /// The request.
    pub request: RequestClaim,
    /// The leaf.
    pub leaf: LeafRow,
}

/// What a write came to.
#[derive(Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was written; the days of the first and the last write.
    Done(Day, Day),
    /// The record is at another revision by now.
    Lost,
    /// The customer's row is gone.
    Gone,
    /// The request id is known.
    Repeated(RequestRow),
}

/// An erasure that will happen.
#[derive(Clone)]
pub struct EraseIntent {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// Where the index row is.
    pub index_page: u64,
    /// Which it is.
    pub index_tag: [u8; 16],
    /// The customer's state as it was read: it must still stand, so that no hold
    /// slips in between.
    pub state: Vec<u8>,
    /// The certificate of it, to be filled in as it goes on.
    pub certificate: Option<IntendedCertificate>,
    /// The intent leaf.
    pub leaf: LeafRow,
    /// What is told of it.
    pub told: Option<Tidings>,
    /// Today.
    pub today: Day,
}

/// The tombstone that takes the place of an erased customer's index row.
#[derive(Clone)]
pub struct Tombstone {
    /// The row's body as it was read; where it is another by now it stays.
    pub old: Vec<u8>,
    /// The tombstone, sealed.
    pub body: Vec<u8>,
}

/// An index page that was split.
pub struct SplitIndex {
    /// Whose index.
    pub tenant: TenantNumber,
    /// The page that goes, with the rows it had.
    pub old: u64,
    /// How often its rows had changed when they were read.
    pub changes: u64,
    /// The pages that take its place.
    pub new: Vec<SplitPart>,
}

/// One part of a split index page.
pub struct SplitPart {
    /// The page's number.
    pub page: u64,
    /// The first prefix that belongs to it.
    pub start: u32,
    /// How many leading bits its ids share.
    pub depth: u8,
    /// Its rows: tags and sealed bodies.
    pub rows: Vec<([u8; 16], Vec<u8>)>,
}

impl RecordKey {
    /// A key from its parts.
    pub fn new(customer: CustomerNumber, record: u64) -> Self {
        Self {
            customer,
            record: RecordNumber(record),
        }
    }
}
