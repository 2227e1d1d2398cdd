//! What closing an epoch takes: pages with all they wrap, swapped for the same
//! under new keys, each only where nothing changed since it was read.

use super::Pending;
use super::jobs::{JobOrders, NewJob, Progress};
use super::row::{EpochRow, IndexRef, KeyRow, LeafRow, PageKind, PageRow, RecordRow, TenantRow};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};

/// A page and how it stands.
#[derive(Clone)]
pub struct PageView {
    /// The page.
    pub row: PageRow,
    /// The tenant of an index page; `None` for customers' keys.
    pub tenant: Option<TenantNumber>,
    /// It lost or replaced a row since its epoch began.
    pub dirty: bool,
}

/// A customer's wrapped key.
pub struct KeptKey {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// The generation (0: the identity key) and the key.
    pub key: KeyRow,
}

/// A wrapped key that takes the place of another.
pub struct KeySwap {
    /// Whose.
    pub customer: CustomerNumber,
    /// The generation; 0 for the identity key.
    pub generation: u32,
    /// As it was read.
    pub old: Vec<u8>,
    /// As it shall be.
    pub new: Vec<u8>,
}

/// A page that is wrapped anew.
pub struct PageSwap {
    /// Of which kind.
    pub kind: PageKind,
    /// The page as it was read.
    pub old: PageView,
    /// As it shall be.
    pub new: PageRow,
    /// The keys on it, where its own key is another: all that are there.
    pub keys: Vec<KeySwap>,
}

/// What became of some swaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Pages that were swapped; the others had changed.
    pub pages: u64,
    /// Keys that were wrapped anew with them.
    pub keys: u64,
    /// What the job's row says now.
    pub orders: JobOrders,
}

/// What is still wrapped under an epoch or one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Pages of customers' keys.
    pub customer_pages: u64,
    /// Of these, dirty ones.
    pub dirty_pages: u64,
    /// Pages of the index.
    pub index_pages: u64,
    /// Of these, dirty ones.
    pub dirty_index_pages: u64,
    /// Tenants.
    pub tenants: u64,
}

impl Left {
    /// How many rows in all.
    pub fn rows(&self) -> u64 {
        self.customer_pages + self.index_pages + self.tenants
    }
}

/// A closed epoch as its certificate says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedEpoch {
    /// The day on which its provider keys were gone.
    pub day: Day,
    /// What their destruction is worth ("hsm"), by those that held them.
    pub assurance: String,
}

/// Changes that close an epoch.
pub trait EpochStore {
    /// `keys.db`: provider keys of this epoch are about to be made: what a crash
    /// leaves of them is known to be this vault's.
    fn note_opening(&self, epoch: u32) -> Pending<()>;
    /// `keys.db`: a new epoch, active from here on; the one before is closing,
    /// and the job is there that closes it. `None` where that is not the
    /// active one.
    fn open_epoch(&self, epoch: EpochRow, job: NewJob) -> Pending<Option<u64>>;
    /// `keys.db`: wraps pages anew, each with all its keys or not at all, and
    /// notes how far the job is.
    fn swap_pages(&self, swaps: Vec<PageSwap>, progress: Progress) -> Pending<Swapped>;
    /// `keys.db`: wraps a tenant's key anew. False where it changed.
    fn swap_tenant(&self, old: TenantRow, epoch: u32, wrapped: Vec<u8>) -> Pending<bool>;
    /// `keys.db`: from here on nothing can be wrapped under the epoch, and it
    /// can only be destroyed. False where a row is left under it, or it is not
    /// being closed.
    fn condemn_epoch(&self, epoch: u32) -> Pending<bool>;
    /// `keys.db`: the wrapped master keys of a condemned epoch are gone; the
    /// names of its provider keys stay until they are.
    fn blank_epoch(&self, epoch: u32) -> Pending<()>;
    /// `keys.db`: the epoch is destroyed in every provider; its key rows go.
    fn end_epoch(&self, epoch: u32) -> Pending<()>;
    /// `vault.db`: an epoch is closed and its end worth this; the leaf that says
    /// so, once.
    fn certify_epoch(&self, epoch: u32, closed: ClosedEpoch, leaf: LeafRow) -> Pending<bool>;
}

/// Looks that closing an epoch takes.
pub trait EpochRows {
    /// `keys.db`: pages that this epoch or one before it wraps, from a number
    /// on.
    fn pages_up_to(
        &mut self,
        kind: PageKind,
        epoch: u32,
        from: u64,
        most: usize,
    ) -> Result<Vec<PageView>>;
    /// `keys.db`: every customer's key on a page, as the page itself stands.
    fn page_with_keys(&mut self, page: u64) -> Result<Option<(PageView, Vec<KeptKey>)>>;
    /// `keys.db`: what this epoch or one before it still wraps.
    fn left_up_to(&mut self, epoch: u32) -> Result<Left>;
    /// `keys.db`: customers' wrapped keys on dirty pages up to an epoch.
    fn dirty_keys_up_to(&mut self, epoch: u32) -> Result<u64>;
    /// `keys.db`: the fingerprints of the erasures that an epoch makes final.
    fn erased_in(&mut self, epoch: u32) -> Result<Vec<[u8; 32]>>;
    /// `keys.db`: customers whose erasure a later epoch makes final.
    fn erased_after(&mut self, epoch: u32) -> Result<Vec<CustomerNumber>>;
    /// `keys.db`: the number that the next new customer gets.
    fn next_customer(&mut self) -> Result<u64>;
    /// `keys.db`: numbers of all pages of the index.
    fn index_page_keys(&mut self) -> Result<Vec<u64>>;
    /// `vault.db`: an index page's place by its number.
    fn index_place(&mut self, page: u64) -> Result<Option<(TenantNumber, IndexRef)>>;
    /// `vault.db`: erasures that are not purged and have a row on an index page.
    fn purges_on(&mut self, page: u64) -> Result<Vec<CustomerNumber>>;
    /// `vault.db`: the first customer from a number on.
    fn customer_from(&mut self, from: u64) -> Result<Option<CustomerNumber>>;
    /// `vault.db`: records of a customer that follow `after`, whole.
    fn whole_records(
        &mut self,
        customer: CustomerNumber,
        after: u64,
        most: usize,
    ) -> Result<Vec<RecordRow>>;
    /// `vault.db`: the closed epoch, once its certificate is written down.
    fn closed_epoch(&mut self, epoch: u32) -> Result<Option<ClosedEpoch>>;
    /// `keys.db`: whether provider keys of that epoch may be left from a crash,
    /// or from before a restore.
    fn may_be_left(&mut self, epoch: u32) -> Result<bool>;
}
