//! The rows as the rest of the vault sees them.

use super::events::ReaderRow;
use crate::clock::Day;
use crate::id::{CustomerNumber, RecordNumber, TenantName, TenantNumber};

/// What a page's key wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// The keys of up to 256 customers.
    Customers = 1,
    /// One page of a tenant's customer index.
    Index = 2,
}

/// One epoch: the life of one master key.
pub struct EpochRow {
    /// From 1.
    pub epoch: u32,
    /// The day it was opened.
    pub opened: Day,
    /// Where it stands.
    pub state: EpochState,
    /// Its master key as each provider wrapped it; none once it is destroyed.
    pub keys: Vec<EpochKey>,
}

/// Where an epoch stands (`epochs.state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochState {
    /// New keys are wrapped under it.
    Active = 1,
    /// Being closed: it opens keys and wraps none.
    Closing = 2,
    /// Its provider keys are destroyed.
    Destroyed = 3,
    /// Nothing is wrapped under it any more; its provider keys are being
    /// destroyed, or will be on a date.
    Condemned = 4,
}

/// An epoch's master key under the key of one provider. Each of them alone
/// opens the epoch, so that all of them are destroyed with it.
#[derive(Clone)]
pub struct EpochKey {
    /// The kind of provider ("file").
    pub provider: String,
    /// The provider's own name for the key.
    pub name: String,
    /// The master key as the provider wrapped it.
    pub wrapped: Vec<u8>,
}

/// One tenant: its name is the operator's word, not personal data.
#[derive(Clone)]
pub struct TenantRow {
    /// From 1.
    pub tenant: TenantNumber,
    /// As in the certificates.
    pub name: TenantName,
    /// The epoch that wraps its key.
    pub epoch: u32,
    /// Its key, wrapped by the master key.
    pub wrapped: Vec<u8>,
}

/// One page: a key that wraps other keys or seals index rows.
#[derive(Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Its number within its kind.
    pub page: u64,
    /// How often its key was replaced, from 1.
    pub generation: u32,
    /// The epoch that wraps it.
    pub epoch: u32,
    /// Its key, wrapped by the master key.
    pub wrapped: Vec<u8>,
}

/// One wrapped key of a customer.
pub struct KeyRow {
    /// The generation; 0 for the identity key.
    pub generation: u32,
    /// The key, wrapped by its page key.
    pub wrapped: Vec<u8>,
}

/// A customer's keys as they stand now.
pub struct CustomerKeys {
    /// The tenant; `None` where there are no keys.
    pub tenant: Option<TenantNumber>,
    /// The identity key.
    pub identity: Option<KeyRow>,
    /// The field keys, oldest generation first.
    pub fields: Vec<KeyRow>,
    /// The field keys up to this generation are compromised; 0: none is.
    pub compromised: u32,
    /// The page that wraps them.
    pub page: Option<PageRow>,
    /// The fence, where they were shredded.
    pub fence: Option<Fence>,
}

/// The mark that stops a shredded customer's keys from coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The epoch whose destruction makes the erasure final (L4).
    pub epoch: u32,
    /// The day of the shred.
    pub day: Day,
    /// SHA-256 of the wrapped keys that were destroyed, identity key first.
    pub fingerprint: [u8; 32],
}

/// What the ledger notes: changes that only narrow, which a restore replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// A customer was shredded.
    Erasure = 1,
    /// A record was deleted.
    RecordDeletion = 2,
    /// A customer withdrew consent to a purpose.
    Withdrawal = 3,
    /// A customer objected to a purpose.
    Objection = 4,
    /// A contract or an obligation ended for a customer.
    BasisEnded = 5,
    /// The processing of a customer's data was restricted.
    Restriction = 6,
    /// Something of a customer is held.
    Hold = 7,
    /// A restriction was lifted, or a hold released: it is not replayed. This
    /// alone widens nothing.
    Lifted = 8,
    /// A customer's field keys up to a generation are compromised.
    Compromise = 10,
    /// A customer's field keys up to a generation were shredded, with what was
    /// not kept under the next.
    PartialErasure = 11,
}

/// Which page of the index an id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRef {
    /// The page's number.
    pub page: u64,
    /// The first prefix (32 bits of the blinded id) that belongs to it.
    pub start: u32,
    /// How many leading bits all its ids share.
    pub depth: u8,
    /// How many rows it holds.
    pub rows: u64,
    /// How often its rows were changed.
    pub changes: u64,
}

/// A customer.
pub struct CustomerRow {
    /// Whose customer.
    pub tenant: TenantNumber,
    /// The day of creation.
    pub created: Day,
    /// How many records there are.
    pub records: u64,
    /// The number of the next new record.
    pub next_record: u64,
    /// The encoded state (`access::State`).
    pub state: Vec<u8>,
    /// Its MAC under a key of the customer's.
    pub state_mac: Vec<u8>,
    /// The caller's id, sealed under the customer's identity key.
    pub sealed_id: Vec<u8>,
}

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// Whose.
    pub customer: CustomerNumber,
    /// Which of theirs.
    pub record: RecordNumber,
}

/// A record.
pub struct RecordRow {
    /// Which.
    pub key: RecordKey,
    /// The record type's number.
    pub record_type: u16,
    /// From 1, one more at each write.
    pub revision: u64,
    /// The record type's version at the last write.
    pub schema_version: u32,
    /// The field key's generation at the last write: it MACs the manifest.
    pub generation: u32,
    /// The day of the first write.
    pub created: Day,
    /// The day of the last write.
    pub updated: Day,
    /// The manifest's MAC.
    pub manifest: Vec<u8>,
    /// The caller's id, sealed under the customer's identity key.
    pub sealed_id: Vec<u8>,
    /// The groups; empty in listings.
    pub body: Vec<u8>,
}

/// A request id within the scope of its principal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Which principal: the first 8 bytes of a SHA-256 of its name.
    pub scope: i64,
    /// The UUID as the caller gave it. It leads the stored row, so that ids
    /// that rise with time (UUIDv7, RFC 9562) are stored side by side.
    pub id: [u8; 16],
}

/// What became of a request id.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The customer it was about.
    pub customer: CustomerNumber,
    /// MAC of the request's content under a key of that customer.
    pub digest: [u8; 32],
    /// The revision that a write came to, the number of a deleted record; else 0.
    pub outcome: u64,
}

/// An erasure on its way.
#[derive(Clone)]
pub struct ErasureRow {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// 1 intended, 2 shredded, 3 purged.
    pub level: u8,
    /// Where the index row is.
    pub index_page: u64,
    /// Which it is.
    pub index_tag: [u8; 16],
}

/// One audit leaf and what hangs on it.
#[derive(Clone)]
pub struct LeafRow {
    /// The leaf's bytes, as the log hashes them.
    pub leaf: Vec<u8>,
    /// The encrypted detail that the leaf commits to; may be empty.
    pub detail: Vec<u8>,
    /// How the customer's history finds it.
    pub history: Option<HistoryRow>,
    /// Who is on record from here on as one who read that customer's data.
    pub reader: Option<Box<ReaderRow>>,
}

/// A history row: only the customer's identity key finds and reads it.
#[derive(Clone)]
pub struct HistoryRow {
    /// The hour, counted from 1970.
    pub slot: i64,
    /// MAC of the slot under the customer's locator key.
    pub locator: [u8; 16],
    /// Makes the mask differ from row to row.
    pub nonce: [u8; 8],
    /// XORed onto the leaf's number.
    pub mask: u64,
}

/// How many keys are of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationKeys {
    /// From 1.
    pub generation: u32,
    /// How many.
    pub keys: u64,
}

/// How many of everything there is in `keys.db`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCounts {
    /// Per epoch: pages, dirty pages, erasures stamped with it.
    pub epochs: Vec<(u32, u64, u64, u64)>,
    /// Pages of customers' keys.
    pub customer_pages: u64,
    /// Pages of the index.
    pub index_pages: u64,
    /// Customers that have keys.
    pub customers: u64,
    /// Field keys by generation.
    pub generations: Vec<GenerationKeys>,
}
