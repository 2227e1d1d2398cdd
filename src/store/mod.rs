//! Rows, durably. The store knows nothing of plaintext or unwrapped keys: it
//! is handed sealed bytes and hands them back.
//!
//! Two files: `keys.db` leads (what must be current after a restore),
//! `vault.db` follows (what may be old). A change is one method, one
//! transaction; changes that arrive together share a commit. Reads run on
//! reader threads, each with connections of its own.

mod approvals;
mod certificates;
mod change;
mod consent;
mod epochs;
mod events;
mod generations;
mod jobs;
mod ledger;
mod part;
mod partial;
mod person;
mod pruning;
mod restraints;
mod retention;
mod rights;
mod row;
pub mod sqlite;
mod tree;

pub use approvals::{
    ApprovalAction, ApprovalRow, ApprovalRows, ApprovalState, ApprovalStore, Asked, Decision,
    NewApproval,
};
pub use certificates::{
    CertificateRows, CertificateStore, DestroyedKey, ErasureProgress, IntendedCertificate,
    NewCertificate,
};
pub use change::{
    CreateCustomer, CreateKeys, CreateOutcome, DeleteRecord, EraseIntent, NewPage, PutOutcome,
    PutRecord, Replacement, RequestClaim, SplitIndex, SplitPart, Tombstone,
};
pub use consent::{ConsentChange, ConsentOutcome, ConsentRows, ConsentStore, Narrowing};
pub use epochs::{
    ClosedEpoch, EpochRows, EpochStore, KeptKey, KeySwap, Left, PageSwap, PageView, Swapped,
};
pub use events::{EventRow, EventRows, EventStore, EventSwap, ReaderRow, Tidings};
pub use generations::{
    Destroyed, GenerationEnd, GenerationRows, GenerationStore, KeyUse, NewGeneration, Reencrypted,
    UsedKey,
};
pub use jobs::{
    JobKind, JobOrders, JobRow, JobRows, JobState, JobStore, NewJob, Progress, SCHEDULED,
};
pub use ledger::{CopyMark, LedgerEntry, LedgerRows};
pub use part::Part;
pub use partial::{
    LivingCertificate, PartialEnd, PartialIntent, PartialRow, PartialRows, PartialStore,
};
pub use person::PersonRows;
pub use pruning::{BeginPrune, PruneRows, PruneStep, PruneStore, PrunedRow};
pub use restraints::{ChangeRestraints, RestraintRow, RestraintRows, RestraintStore, StateChange};
pub use retention::{
    KeepingCounts, RetentionRows, RetentionStore, SweepRecord, SweepRow, SweptRecord,
};
pub use rights::{ChangeRights, OpenRights, RightsRow, RightsRows, RightsStore};
pub use row::{
    CustomerKeys, CustomerRow, EpochKey, EpochRow, EpochState, ErasureRow, Fence, GenerationKeys,
    HistoryRow, IndexRef, KeyCounts, KeyRow, LeafRow, LedgerKind, PageKind, PageRow, RecordKey,
    RecordRow, RequestKey, RequestRow, TenantRow,
};

pub use tree::{CheckpointRow, Seal, TileRow, TreeRows, TreeStore};

use crate::clock::Day;
use crate::error::{Error, Result, Unavailable};
use crate::id::{CustomerNumber, TenantNumber};
use crate::limits;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a change will have come to once it is durable.
pub struct Pending<T>(tokio::sync::oneshot::Receiver<Result<T>>);

impl<T> Pending<T> {
    /// The answer that will come through `receiver`: for whoever keeps rows. A
    /// sender that is dropped without a word means OUTCOME_UNKNOWN.
    pub fn new(receiver: tokio::sync::oneshot::Receiver<Result<T>>) -> Self {
        Self(receiver)
    }

    /// A change that was refused.
    pub(crate) fn refused(error: Error) -> Self {
        let (answer, pending) = tokio::sync::oneshot::channel();
        // The receiver is held right here.
        let _ = answer.send(Err(error));
        Self(pending)
    }

    /// Waits as long as a commit may take.
    pub async fn in_time(self) -> Result<T> {
        tokio::time::timeout(limits::COMMIT_TIME, self)
            .await
            .unwrap_or(Err(Error::Unavailable(Unavailable::StoreSlow)))
    }

    /// Waits on this thread; for start-up and for tools, never in the runtime.
    pub fn wait(self) -> Result<T> {
        self.0
            .blocking_recv()
            .unwrap_or(Err(Error::Unavailable(Unavailable::OutcomeUnknown)))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(Error::Unavailable(Unavailable::OutcomeUnknown))))
    }
}

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFile {
    /// `keys.db`: must be current after a restore.
    Keys,
    /// `vault.db`: may be old after a restore.
    Vault,
}

/// Told what a change has come to. It must not block.
pub type Answer<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// A piece of work for a reader thread.
pub type ReadJob = Box<dyn FnOnce(&mut dyn Rows) + Send>;

/// Where rows are kept. Every method is one transaction of one file.
pub trait Store:
    ApprovalStore
    + CertificateStore
    + ConsentStore
    + EpochStore
    + EventStore
    + GenerationStore
    + JobStore
    + PartialStore
    + PruneStore
    + RestraintStore
    + RetentionStore
    + RightsStore
    + TreeStore
    + Send
    + Sync
{
    /// Queues work for a reader thread; refuses when the queue is full.
    fn read(&self, job: ReadJob) -> Result<()>;
    /// The same for a job that does not look at the log: the state it sees may
    /// lack entries that were only appended. Reads under load then keep their
    /// state while the log grows.
    fn read_beside_log(&self, job: ReadJob) -> Result<()> {
        self.read(job)
    }

    /// `vault.db`: appends audit leaves, in order; answers the first's number, or
    /// 0 where a leaf's reader cannot be noted any more: then nothing is appended.
    fn append(&self, leaves: Vec<LeafRow>) -> Pending<u64>;
    /// The same, answered by a call, from whichever thread knows: for callers
    /// that do not wait. One that is dropped uncalled means OUTCOME_UNKNOWN.
    fn append_then(&self, leaves: Vec<LeafRow>, answer: Answer<u64>);

    /// `keys.db`: allocates a customer's number and notes the intent to create
    /// them; answers the page that shall wrap their keys, if there is one.
    fn allocate_customer(&self) -> Pending<(CustomerNumber, Option<PageRow>)>;
    /// `keys.db`: adds a customer page's first key, if none was added since;
    /// answers the page as it stands.
    fn add_page(&self, page: NewPage) -> Pending<PageRow>;
    /// `keys.db`: stores a new customer's wrapped keys. False where the page
    /// was wrapped anew meanwhile: wrap again and repeat. Refused for a number
    /// that has keys or a fence.
    fn create_keys(&self, keys: CreateKeys) -> Pending<bool>;
    /// `vault.db`: the customer's row, index row, request and leaf.
    fn create_customer(&self, new: CreateCustomer) -> Pending<CreateOutcome>;
    /// `keys.db`: takes back the keys of a creation that did not come about.
    /// The caller has seen that `vault.db` has no such customer.
    fn abandon_customer(&self, customer: CustomerNumber) -> Pending<()>;
    /// `keys.db`: the creation came about; its intent is done.
    fn settle_customer(&self, customer: CustomerNumber) -> Pending<()>;

    /// `vault.db`: writes a record, its request and its leaf.
    fn put_record(&self, put: PutRecord) -> Pending<PutOutcome>;
    /// `keys.db`: notes a record's deletion in the ledger.
    fn note_deletion(&self, record: RecordKey, today: Day) -> Pending<()>;
    /// `vault.db`: deletes a record, writes its request and its leaf.
    fn delete_record(&self, delete: DeleteRecord) -> Pending<PutOutcome>;

    /// `vault.db`: an erasure will happen: its row, its intent leaf, and what is
    /// told of it. False where the index row is not there, the customer's state
    /// is another by now, or there is a reader who is not told: look again and
    /// repeat.
    fn intend_erasure(&self, intent: EraseIntent) -> Pending<bool>;
    /// `keys.db`: fence, ledger entry, key rows gone, pages dirty. Answers the
    /// fence; shredding twice changes nothing.
    fn shred(&self, customer: CustomerNumber, index_page: u64, today: Day) -> Pending<Fence>;
    /// Empties a file's write-ahead log. False while a reader holds it.
    fn truncate(&self, file: DataFile) -> Pending<bool>;
    /// `vault.db`: the shred is done: the erasure's level and its leaf.
    fn record_shred(&self, customer: CustomerNumber, leaf: LeafRow) -> Pending<()>;
    /// `vault.db`: deletes some rows of a shredded customer; true when none
    /// are left and the tombstone stands where the index row was.
    fn purge(&self, customer: CustomerNumber, tombstone: Option<Tombstone>) -> Pending<bool>;
    /// `vault.db`: the purge is done (L3).
    fn record_purge(&self, customer: CustomerNumber, today: Day, leaf: LeafRow) -> Pending<()>;

    /// `keys.db`: keys of new index pages.
    fn add_index_pages(&self, pages: Vec<NewPage>) -> Pending<()>;
    /// `keys.db`: an allocated number for a new index page.
    fn allocate_index_pages(&self, count: u32) -> Pending<u64>;
    /// `vault.db`: moves an index page's rows to new pages. False where the
    /// page changed meanwhile.
    fn split_index(&self, split: SplitIndex) -> Pending<bool>;
    /// `keys.db`: an index page that nothing points to any more.
    fn drop_index_page(&self, page: u64) -> Pending<()>;

    /// `keys.db`: a new tenant; refused where number or name is taken.
    fn add_tenant(&self, tenant: TenantRow) -> Pending<()>;
    /// `vault.db`: the number of this start of the server.
    fn next_boot(&self) -> Pending<u64>;
    /// `vault.db`: forgets request ids of days before `day`.
    fn forget_requests(&self, before: Day) -> Pending<usize>;

    /// Gives the disk that is set aside to erasures: until it is restored every
    /// other change is refused with DISK_FULL. False where it is spent.
    fn spend_reserve(&self) -> bool;
    /// Sets it aside again; DISK_FULL while there is no room for it.
    fn restore_reserve(&self) -> Result<()>;

    /// How many commits a file has seen since it was opened, and how many
    /// changes they carried.
    fn activity(&self, file: DataFile) -> (u64, u64);

    /// True once storage failed in a way that leaves the outcome unknown: the
    /// process must end and start again.
    fn failed(&self) -> bool;
}

/// Reads, on a reader thread. All reads of a job see each file in one state,
/// which is no older than the job.
pub trait Rows:
    ApprovalRows
    + CertificateRows
    + ConsentRows
    + EpochRows
    + EventRows
    + GenerationRows
    + JobRows
    + LedgerRows
    + PartialRows
    + PersonRows
    + PruneRows
    + RestraintRows
    + RetentionRows
    + RightsRows
    + TreeRows
{
    /// From here on the newest state of both files.
    fn refresh(&mut self);

    /// `keys.db`: the deployment's id.
    fn deployment(&mut self) -> Result<Option<[u8; 16]>>;
    /// `keys.db`: every epoch, oldest first.
    fn epochs(&mut self) -> Result<Vec<EpochRow>>;
    /// `keys.db`: every tenant.
    fn tenants(&mut self) -> Result<Vec<TenantRow>>;
    /// `keys.db`: one page's wrapped key.
    fn page(&mut self, kind: PageKind, page: u64) -> Result<Option<PageRow>>;
    /// `keys.db`: a customer's wrapped keys, their page and their fence.
    fn customer_keys(&mut self, customer: CustomerNumber) -> Result<CustomerKeys>;
    /// `keys.db`: how many of everything.
    fn key_counts(&mut self) -> Result<KeyCounts>;
    /// `keys.db`: customers whose creation has not settled.
    fn creations(&mut self) -> Result<Vec<CustomerNumber>>;
    /// `keys.db`: a customer's fence, if they were shredded.
    fn fence(&mut self, customer: CustomerNumber) -> Result<Option<Fence>>;

    /// `vault.db`: the index page that ids with this prefix belong to.
    fn index_ref(&mut self, tenant: TenantNumber, prefix: u32) -> Result<Option<IndexRef>>;
    /// `vault.db`: the sealed body of one index row.
    fn index_row(&mut self, page: u64, tag: &[u8; 16]) -> Result<Option<Vec<u8>>>;
    /// `vault.db`: all rows of an index page: tags and sealed bodies.
    fn index_rows(&mut self, page: u64) -> Result<Vec<([u8; 16], Vec<u8>)>>;
    /// `vault.db`: a customer's row.
    fn customer(&mut self, customer: CustomerNumber) -> Result<Option<CustomerRow>>;
    /// `vault.db`: a customer's row and one record, by its locator.
    fn record(
        &mut self,
        customer: CustomerNumber,
        locator: &[u8; 16],
    ) -> Result<(Option<CustomerRow>, Option<RecordRow>)>;
    /// `vault.db`: a tenant's records of a type that follow `after`, at most
    /// `most`, of which the bodies weigh at most about `bytes`.
    fn records_of_type(
        &mut self,
        tenant: TenantNumber,
        record_type: u16,
        after: Option<RecordKey>,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<RecordRow>>;
    /// `vault.db`: a customer's records of a type that follow `after`, without
    /// their bodies.
    fn records_of_customer(
        &mut self,
        customer: CustomerNumber,
        record_type: u16,
        after: u64,
        most: usize,
    ) -> Result<Vec<RecordRow>>;
    /// `vault.db`: what became of a request id, made today or the day before.
    fn request(&mut self, request: &RequestKey, today: Day) -> Result<Option<RequestRow>>;
    /// `vault.db`: erasures that are not purged.
    fn erasures(&mut self) -> Result<Vec<ErasureRow>>;
    /// `vault.db`: one erasure.
    fn erasure(&mut self, customer: CustomerNumber) -> Result<Option<ErasureRow>>;
    /// `vault.db`: a customer's history rows of one slot, by their locator in
    /// it: each row's nonce and its masked leaf number, in no order.
    fn history(&mut self, slot: i64, locator: &[u8; 16]) -> Result<Vec<([u8; 8], u64)>>;
    /// `vault.db`: how many audit leaves there are.
    fn leaf_count(&mut self) -> Result<u64>;
    /// `vault.db`: audit leaves from a number on: the leaf and its detail.
    fn leaves(&mut self, from: u64, most: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>>;
}
