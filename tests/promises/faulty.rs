//! A store that does what a test tells it to: refuses, hangs, waits.

use oubliette::clock::Day;
use oubliette::error::{Error, Result};
use oubliette::id::CustomerNumber;
use oubliette::store::sqlite::Sqlite;
use oubliette::store::{
    Answer, ApprovalStore, Asked, BeginPrune, CertificateStore, ChangeRestraints, ChangeRights,
    CheckpointRow, ClosedEpoch, ConsentChange, ConsentOutcome, ConsentStore, CreateCustomer,
    CreateKeys, CreateOutcome, DataFile, Decision, DeleteRecord, Destroyed, EpochRow, EpochStore,
    EraseIntent, EventStore, EventSwap, Fence, GenerationStore, JobOrders, JobState, JobStore,
    KeyUse, LeafRow, Narrowing, NewApproval, NewCertificate, NewGeneration, NewJob, NewPage,
    OpenRights, PageRow, PageSwap, PartialEnd, PartialIntent, PartialStore, Pending, Progress,
    PruneStep, PruneStore, PutOutcome, PutRecord, ReadJob, RecordKey, Reencrypted, RestraintStore,
    RetentionStore, RightsStore, Seal, SplitIndex, Store, Swapped, SweepRecord, SweepRow,
    TenantRow, Tidings, Tombstone, TreeStore,
};
use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// A change on its way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read,
    Append,
    CreateKeys,
    CreateCustomer,
    PutRecord,
    DeleteRecord,
    IntendErasure,
    Shred,
    TruncateKeys,
    TruncateVault,
    RecordShred,
    IntendPartial,
    EndPartial,
    Purge,
    RecordPurge,
    Certificate,
    Rights,
    Restraint,
    Seal,
    NoteNarrowing,
    ChangeConsent,
    Close,
    SwapPages,
    Condemn,
    Blank,
    Sweep,
    Certify,
    EndEpoch,
    SetJob,
    Rotate,
    Reencrypt,
    DestroyGenerations,
    Other,
}

/// What becomes of it.
pub enum Act {
    /// It is made.
    Go,
    /// It is refused; nothing is done.
    Refuse(Error),
    /// Nothing is done and nothing is ever answered.
    Hang,
    /// It is made once there is a permit.
    Wait(Arc<Semaphore>),
    /// For TRUNCATE: a reader holds the log.
    Busy,
}

type Plan = Box<dyn Fn(Step) -> Act + Send + Sync>;

/// Tells the store what to do, from now on.
#[derive(Clone)]
pub struct Director(Arc<Mutex<Plan>>);

impl Director {
    /// All goes well.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Box::new(|_| Act::Go))))
    }

    /// From now on `plan` decides.
    pub fn say(&self, plan: impl Fn(Step) -> Act + Send + Sync + 'static) {
        *self.0.lock().expect("no panic") = Box::new(plan);
    }

    /// From now on all goes well.
    pub fn well(&self) {
        self.say(|_| Act::Go);
    }

    fn act(&self, step: Step) -> Act {
        (*self.0.lock().expect("no panic"))(step)
    }
}

/// The embedded store, directed.
pub struct Faulty {
    store: Arc<Sqlite>,
    /// Calls also come from the store's own threads.
    runtime: Handle,
    director: Director,
    held: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// Opens the embedded store, directed.
pub fn open(director: &Director) -> impl FnOnce(&Path) -> Result<Arc<dyn Store>> + Send + 'static {
    let director = director.clone();
    move |data| {
        Ok(Arc::new(Faulty {
            store: Arc::new(Sqlite::open(data)?),
            runtime: Handle::current(),
            director,
            held: Mutex::default(),
        }))
    }
}

fn answered<T>(answer: Result<T>) -> Pending<T> {
    let (sender, receiver) = oneshot::channel();
    let _sent = sender.send(answer);
    Pending::new(receiver)
}

impl Faulty {
    fn queue(&self, job: ReadJob, read: fn(&Sqlite, ReadJob) -> Result<()>) -> Result<()> {
        match self.director.act(Step::Read) {
            Act::Refuse(error) => Err(error),
            Act::Wait(gate) => {
                let store = Arc::clone(&self.store);
                self.runtime.spawn(async move {
                    gate.acquire().await.expect("open").forget();
                    read(&store, job).expect("room");
                });
                Ok(())
            }
            _ => read(&self.store, job),
        }
    }

    fn act<T: Send + 'static>(
        &self,
        step: Step,
        change: impl FnOnce(&Sqlite) -> Pending<T> + Send + 'static,
    ) -> Pending<T> {
        match self.director.act(step) {
            Act::Go | Act::Busy => change(&self.store),
            Act::Refuse(error) => answered(Err(error)),
            Act::Hang => {
                let (sender, receiver) = oneshot::channel();
                self.held.lock().expect("no panic").push(Box::new(sender));
                Pending::new(receiver)
            }
            Act::Wait(gate) => {
                let (sender, receiver) = oneshot::channel();
                let store = Arc::clone(&self.store);
                self.runtime.spawn(async move {
                    gate.acquire().await.expect("open").forget();
                    let _sent = sender.send(change(&store).await);
                });
                Pending::new(receiver)
            }
        }
    }
}

impl CertificateStore for Faulty {
    fn move_certificate_id(
        &self,
        customer: CustomerNumber,
        epoch: u32,
        sealed_id: Vec<u8>,
    ) -> Pending<()> {
        self.act(Step::Other, move |s| {
            s.move_certificate_id(customer, epoch, sealed_id)
        })
    }
    fn add_certificate(&self, new: NewCertificate) -> Pending<bool> {
        self.act(Step::Certificate, |s| s.add_certificate(new))
    }
    fn replace_certificate(&self, handle: [u8; 16], old: Vec<u8>, new: Vec<u8>) -> Pending<bool> {
        self.act(Step::Certificate, move |s| {
            s.replace_certificate(handle, old, new)
        })
    }
    fn forget_certificate_ids(&self, before: u32) -> Pending<usize> {
        self.act(Step::Other, move |s| s.forget_certificate_ids(before))
    }
}

impl RightsStore for Faulty {
    fn open_rights(&self, open: OpenRights) -> Pending<ConsentOutcome> {
        self.act(Step::Rights, |s| s.open_rights(open))
    }
    fn change_rights(&self, change: ChangeRights) -> Pending<bool> {
        self.act(Step::Rights, |s| s.change_rights(change))
    }
}

impl RestraintStore for Faulty {
    fn change_restraints(&self, change: ChangeRestraints) -> Pending<ConsentOutcome> {
        self.act(Step::Restraint, |s| s.change_restraints(change))
    }
}

impl TreeStore for Faulty {
    fn seal(&self, seal: Seal) -> Pending<bool> {
        self.act(Step::Seal, |s| s.seal(seal))
    }
    fn keep_cosigned(&self, checkpoint: CheckpointRow) -> Pending<()> {
        self.act(Step::Other, |s| s.keep_cosigned(checkpoint))
    }
    fn aside(&self, job: ReadJob) {
        self.store.aside(job);
    }
}

impl PruneStore for Faulty {
    fn begin_prune(&self, prune: BeginPrune) -> Pending<u64> {
        self.act(Step::Other, |s| s.begin_prune(prune))
    }
    fn prune_leaves(&self, step: PruneStep) -> Pending<bool> {
        self.act(Step::Other, |s| s.prune_leaves(step))
    }
    fn prune_history(&self, before: i64) -> Pending<bool> {
        self.act(Step::Other, move |s| s.prune_history(before))
    }
}

impl ConsentStore for Faulty {
    fn note_narrowings(&self, narrowings: Vec<Narrowing>, today: Day) -> Pending<()> {
        self.act(Step::NoteNarrowing, move |s| {
            s.note_narrowings(narrowings, today)
        })
    }
    fn change_consent(&self, change: ConsentChange) -> Pending<ConsentOutcome> {
        self.act(Step::ChangeConsent, |s| s.change_consent(change))
    }
    fn ledger_is_done(&self, entry: u64) -> Pending<()> {
        self.act(Step::Other, move |s| s.ledger_is_done(entry))
    }
}

impl Store for Faulty {
    fn read(&self, job: ReadJob) -> Result<()> {
        self.queue(job, Sqlite::read)
    }
    fn read_beside_log(&self, job: ReadJob) -> Result<()> {
        self.queue(job, Sqlite::read_beside_log)
    }
    fn append(&self, leaves: Vec<LeafRow>) -> Pending<u64> {
        self.act(Step::Append, |s| s.append(leaves))
    }
    fn append_then(&self, leaves: Vec<LeafRow>, answer: Answer<u64>) {
        match self.director.act(Step::Append) {
            Act::Go | Act::Busy => self.store.append_then(leaves, answer),
            Act::Refuse(error) => answer(Err(error)),
            Act::Hang => self.held.lock().expect("no panic").push(Box::new(answer)),
            Act::Wait(gate) => {
                let store = Arc::clone(&self.store);
                self.runtime.spawn(async move {
                    gate.acquire().await.expect("open").forget();
                    store.append_then(leaves, answer);
                });
            }
        }
    }
    fn allocate_customer(&self) -> Pending<(CustomerNumber, Option<PageRow>)> {
        self.act(Step::Other, Sqlite::allocate_customer)
    }
    fn add_page(&self, page: NewPage) -> Pending<PageRow> {
        self.act(Step::Other, |s| s.add_page(page))
    }
    fn create_keys(&self, keys: CreateKeys) -> Pending<bool> {
        self.act(Step::CreateKeys, |s| s.create_keys(keys))
    }
    fn create_customer(&self, new: CreateCustomer) -> Pending<CreateOutcome> {
        self.act(Step::CreateCustomer, |s| s.create_customer(new))
    }
    fn abandon_customer(&self, customer: CustomerNumber) -> Pending<()> {
        self.act(Step::Other, move |s| s.abandon_customer(customer))
    }
    fn settle_customer(&self, customer: CustomerNumber) -> Pending<()> {
        self.act(Step::Other, move |s| s.settle_customer(customer))
    }
    fn put_record(&self, put: PutRecord) -> Pending<PutOutcome> {
        self.act(Step::PutRecord, |s| s.put_record(put))
    }
    fn note_deletion(&self, record: RecordKey, today: Day) -> Pending<()> {
        self.act(Step::Other, move |s| s.note_deletion(record, today))
    }
    fn delete_record(&self, delete: DeleteRecord) -> Pending<PutOutcome> {
        self.act(Step::DeleteRecord, |s| s.delete_record(delete))
    }
    fn intend_erasure(&self, intent: EraseIntent) -> Pending<bool> {
        self.act(Step::IntendErasure, |s| s.intend_erasure(intent))
    }
    fn shred(&self, customer: CustomerNumber, index_page: u64, today: Day) -> Pending<Fence> {
        self.act(Step::Shred, move |s| s.shred(customer, index_page, today))
    }
    fn truncate(&self, file: DataFile) -> Pending<bool> {
        let step = match file {
            DataFile::Keys => Step::TruncateKeys,
            DataFile::Vault => Step::TruncateVault,
        };
        if matches!(self.director.act(step), Act::Busy) {
            return answered(Ok(false));
        }
        self.act(step, move |s| s.truncate(file))
    }
    fn record_shred(&self, customer: CustomerNumber, leaf: LeafRow) -> Pending<()> {
        self.act(Step::RecordShred, move |s| s.record_shred(customer, leaf))
    }
    fn purge(&self, customer: CustomerNumber, tombstone: Option<Tombstone>) -> Pending<bool> {
        self.act(Step::Purge, move |s| s.purge(customer, tombstone))
    }
    fn record_purge(&self, customer: CustomerNumber, today: Day, leaf: LeafRow) -> Pending<()> {
        self.act(Step::RecordPurge, move |s| {
            s.record_purge(customer, today, leaf)
        })
    }
    fn add_index_pages(&self, pages: Vec<NewPage>) -> Pending<()> {
        self.act(Step::Other, |s| s.add_index_pages(pages))
    }
    fn allocate_index_pages(&self, count: u32) -> Pending<u64> {
        self.act(Step::Other, move |s| s.allocate_index_pages(count))
    }
    fn split_index(&self, split: SplitIndex) -> Pending<bool> {
        self.act(Step::Other, |s| s.split_index(split))
    }
    fn drop_index_page(&self, page: u64) -> Pending<()> {
        self.act(Step::Other, move |s| s.drop_index_page(page))
    }
    fn add_tenant(&self, tenant: TenantRow) -> Pending<()> {
        self.act(Step::Other, |s| s.add_tenant(tenant))
    }
    fn next_boot(&self) -> Pending<u64> {
        self.act(Step::Other, Sqlite::next_boot)
    }
    fn forget_requests(&self, before: Day) -> Pending<usize> {
        self.act(Step::Other, move |s| s.forget_requests(before))
    }
    fn spend_reserve(&self) -> bool {
        self.store.spend_reserve()
    }
    fn restore_reserve(&self) -> Result<()> {
        self.store.restore_reserve()
    }
    fn activity(&self, file: DataFile) -> (u64, u64) {
        self.store.activity(file)
    }
    fn failed(&self) -> bool {
        self.store.failed()
    }
}

impl EpochStore for Faulty {
    fn open_epoch(&self, epoch: EpochRow, job: NewJob) -> Pending<Option<u64>> {
        self.act(Step::Close, |s| s.open_epoch(epoch, job))
    }
    fn swap_pages(&self, swaps: Vec<PageSwap>, progress: Progress) -> Pending<Swapped> {
        self.act(Step::SwapPages, move |s| s.swap_pages(swaps, progress))
    }
    fn swap_tenant(&self, old: TenantRow, epoch: u32, wrapped: Vec<u8>) -> Pending<bool> {
        self.act(Step::Close, move |s| s.swap_tenant(old, epoch, wrapped))
    }
    fn condemn_epoch(&self, epoch: u32) -> Pending<bool> {
        self.act(Step::Condemn, move |s| s.condemn_epoch(epoch))
    }
    fn blank_epoch(&self, epoch: u32) -> Pending<()> {
        self.act(Step::Blank, move |s| s.blank_epoch(epoch))
    }
    fn end_epoch(&self, epoch: u32) -> Pending<()> {
        self.act(Step::EndEpoch, move |s| s.end_epoch(epoch))
    }
    fn sweep_keys(&self, most: u64) -> Pending<bool> {
        self.act(Step::Sweep, move |s| s.sweep_keys(most))
    }
    fn certify_epoch(&self, epoch: u32, closed: ClosedEpoch, leaf: LeafRow) -> Pending<bool> {
        self.act(Step::Certify, move |s| s.certify_epoch(epoch, closed, leaf))
    }
    fn note_opening(&self, epoch: u32) -> Pending<()> {
        self.act(Step::Close, move |s| s.note_opening(epoch))
    }
}

impl EventStore for Faulty {
    fn tell(&self, tidings: Tidings) -> Pending<bool> {
        self.act(Step::Other, move |s| s.tell(tidings))
    }
    fn acknowledge_events(
        &self,
        recipient: String,
        events: Vec<u64>,
        today: Day,
        leaf: LeafRow,
    ) -> Pending<u64> {
        self.act(Step::Other, move |s| {
            s.acknowledge_events(recipient, events, today, leaf)
        })
    }
    fn forget_events(&self, before: Day) -> Pending<usize> {
        self.act(Step::Other, move |s| s.forget_events(before))
    }
    fn reseal_events(&self, swaps: Vec<EventSwap>) -> Pending<()> {
        self.act(Step::Other, move |s| s.reseal_events(swaps))
    }
}

impl RetentionStore for Faulty {
    fn sweep_record(&self, sweep: SweepRecord) -> Pending<bool> {
        self.act(Step::Other, |s| s.sweep_record(sweep))
    }
    fn swept_up_to(&self, record_type: u16, field: u16, day: Day) -> Pending<()> {
        self.act(Step::Other, move |s| s.swept_up_to(record_type, field, day))
    }
    fn defer_sweep(&self, key: RecordKey, is_deferred: bool) -> Pending<()> {
        self.act(Step::Other, move |s| s.defer_sweep(key, is_deferred))
    }
    fn swept_customer(&self, customer: CustomerNumber, up_to: Day) -> Pending<()> {
        self.act(Step::Other, move |s| s.swept_customer(customer, up_to))
    }
    fn note_sweep(&self, sweep: SweepRow) -> Pending<()> {
        self.act(Step::Other, move |s| s.note_sweep(sweep))
    }
}

impl JobStore for Faulty {
    fn start_job(&self, job: NewJob) -> Pending<Option<u64>> {
        self.act(Step::Close, |s| s.start_job(job))
    }
    fn begin_step(&self, job: u64, step: u8, total: u64) -> Pending<()> {
        self.act(Step::Close, move |s| s.begin_step(job, step, total))
    }
    fn advance_job(&self, progress: Progress, pages: u64, keys: u64) -> Pending<JobOrders> {
        self.act(Step::Close, move |s| s.advance_job(progress, pages, keys))
    }
    fn set_job(&self, job: u64, state: JobState, reason: &'static str) -> Pending<bool> {
        self.act(Step::SetJob, move |s| s.set_job(job, state, reason))
    }
    fn throttle_job(&self, job: u64, throttle: u32) -> Pending<bool> {
        self.act(Step::Other, move |s| s.throttle_job(job, throttle))
    }
}

impl ApprovalStore for Faulty {
    fn use_or_ask(&self, new: NewApproval) -> Pending<Asked> {
        self.act(Step::Other, |s| s.use_or_ask(new))
    }
    fn decide_approval(&self, decision: Decision) -> Pending<bool> {
        self.act(Step::Other, |s| s.decide_approval(decision))
    }
}

impl PartialStore for Faulty {
    fn intend_partial(&self, intent: PartialIntent) -> Pending<bool> {
        self.act(Step::IntendPartial, |s| s.intend_partial(intent))
    }
    fn end_partial(&self, end: PartialEnd) -> Pending<bool> {
        self.act(Step::EndPartial, |s| s.end_partial(end))
    }
}

impl GenerationStore for Faulty {
    fn add_generation(&self, new: NewGeneration) -> Pending<bool> {
        self.act(Step::Rotate, |s| s.add_generation(new))
    }
    fn require_generation(&self, customer: CustomerNumber, generation: u32) -> Pending<()> {
        self.act(Step::Rotate, move |s| {
            s.require_generation(customer, generation)
        })
    }
    fn reencrypt_records(&self, records: Vec<Reencrypted>) -> Pending<u64> {
        self.act(Step::Reencrypt, |s| s.reencrypt_records(records))
    }
    fn destroy_generations(
        &self,
        customer: CustomerNumber,
        below: u32,
        today: Day,
    ) -> Pending<Option<Destroyed>> {
        self.act(Step::DestroyGenerations, move |s| {
            s.destroy_generations(customer, below, today)
        })
    }
    fn compromise(&self, customer: CustomerNumber, up_to: u32, today: Day) -> Pending<bool> {
        self.act(Step::Rotate, move |s| s.compromise(customer, up_to, today))
    }
    fn note_uses(&self, uses: Vec<KeyUse>) -> Pending<()> {
        self.act(Step::Other, |s| s.note_uses(uses))
    }
}
