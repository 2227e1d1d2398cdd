//! The embedded store: SQLite, two files, a writer thread each and a few
//! reader threads.

mod consent;
mod copy;
mod epochs;
mod error;
mod jobs;
mod keys_file;
mod ledger;
mod loot;
mod pack;
mod quiet;
mod reader;
mod reserve;
mod restoring;
mod schema;
mod seed;
mod tree;
mod vault_file;
mod writer;

pub use seed::{Seed, Seedling};

use super::change::{
    CreateCustomer, CreateKeys, CreateOutcome, DeleteRecord, EraseIntent, NewPage, PutOutcome,
    PutRecord, SplitIndex, Tombstone,
};
use super::row::{EpochRow, Fence, LeafRow, PageRow, RecordKey, TenantRow};
use super::{DataFile, Pending, ReadJob, Rows, Store};
use crate::clock::Day;
use crate::error::{Error, Result, Unavailable};
use crate::id::CustomerNumber;
use crate::limits;
use quiet::Quiet;
use reader::Reader;
use reserve::Reserve;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use writer::Writer;

pub use copy::{copy_data, deployment, mark_of_data, mark_of_keys, settle_log};
pub use loot::{Loot, LootKey, LootPage, LootRecord};
pub use pack::{Image, KeysBuild, KeysScan, PartRows, Traces, traces};
pub use restoring::{Purged, Restoring};

/// What must be current after a restore.
pub const KEYS_FILE: &str = "keys.db";
/// What may be old after a restore.
pub const VAULT_FILE: &str = "vault.db";

/// Founds an empty vault in `dir`: both files, the deployment's id and its
/// first epoch.
pub fn found(dir: &Path, deployment: [u8; 16], epoch: &EpochRow) -> Result<()> {
    schema::create(&dir.join(KEYS_FILE), schema::KEYS)?;
    schema::create(&dir.join(VAULT_FILE), schema::VAULT)?;
    let db = schema::open_writer(&dir.join(KEYS_FILE), schema::KEYS)?;
    keys_file::found(&db, deployment, epoch)?;
    Ok(())
}

/// Opens a vault for reading only, also beside a running server.
pub fn open_rows(dir: &Path) -> Result<impl Rows + use<>> {
    Reader::open(dir)
}

/// The embedded store.
pub struct Sqlite {
    // Readers end before the writers close their files.
    readers: Option<SyncSender<ReadJob>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    aside: Mutex<Reader>,
    keys: Writer,
    vault: Writer,
    reserve: Reserve,
    quiet: Arc<Quiet>,
}

impl Sqlite {
    /// Opens the vault in `dir` and starts its threads.
    pub fn open(dir: &Path) -> Result<Self> {
        let keys = schema::open_writer(&dir.join(KEYS_FILE), schema::KEYS)?;
        let vault = schema::open_writer(&dir.join(VAULT_FILE), schema::VAULT)?;
        let (queue, jobs) = sync_channel::<ReadJob>(limits::READ_QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let quiet = Arc::new(Quiet::default());
        let mut threads = Vec::with_capacity(limits::READER_THREADS);
        for number in 0..limits::READER_THREADS {
            let (mut reader, jobs) = (Reader::open(dir)?, Arc::clone(&jobs));
            let quiet = Arc::clone(&quiet);
            let thread = std::thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || serve_reads(&mut reader, &jobs, &quiet))
                .map_err(|_| Error::Internal("thread"))?;
            threads.push(thread);
        }
        Ok(Self {
            readers: Some(queue),
            threads,
            aside: Mutex::new(Reader::open(dir)?),
            keys: Writer::start("keys-writer", keys)?,
            vault: Writer::start("vault-writer", vault)?,
            reserve: Reserve::open(dir)?,
            quiet,
        })
    }
}

impl Sqlite {
    /// A change that the reserve is not for.
    fn ordinary<T: Send + 'static>(
        &self,
        writer: &Writer,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        match self.reserve.check() {
            Ok(()) => writer.change(change),
            Err(error) => Pending::refused(error),
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.readers = None;
        // A job may hold the last handle, so that this runs on a reader thread.
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

/// Jobs that wait together share one state of the files: it is taken after the
/// last of them came. None is held longer than a few jobs take.
fn serve_reads(reader: &mut Reader, jobs: &Mutex<Receiver<ReadJob>>, quiet: &Quiet) {
    let mut together = Vec::with_capacity(limits::READS_PER_STATE);
    loop {
        {
            let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(first) = jobs.recv() else { return };
            together.push(first);
            let waiting = jobs.try_iter().take(limits::READS_PER_STATE - 1);
            together.extend(waiting);
        }
        let mut held = quiet.read();
        let mut since = Instant::now();
        for job in together.drain(..) {
            job(reader);
            if since.elapsed() > limits::READ_STATE_TIME {
                reader.refresh();
                drop(held);
                held = quiet.read();
                since = Instant::now();
            }
        }
        reader.refresh();
    }
}

/// Tries to empty the write-ahead log; false while another's reader holds it,
/// which is not waited for: changes would wait with it.
fn truncate(db: &Connection, quiet: &Quiet) -> rusqlite::Result<bool> {
    db.busy_timeout(std::time::Duration::ZERO)?;
    let emptied = quiet.during(|| {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0).map(|busy| busy == 0)
        })
    });
    db.busy_timeout(limits::BUSY_TIME)?;
    emptied
}

impl Store for Sqlite {
    fn read(&self, job: ReadJob) -> Result<()> {
        let queue = self
            .readers
            .as_ref()
            .ok_or(Error::Unavailable(Unavailable::Draining))?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::Unavailable(Unavailable::StoreSlow),
            TrySendError::Disconnected(_) => Error::Unavailable(Unavailable::Draining),
        })
    }

    fn append(&self, leaves: Vec<LeafRow>) -> Pending<u64> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| vault_file::append(db, &leaves)),
            Err(error) => Pending::refused(error),
        }
    }

    fn allocate_customer(&self) -> Pending<(CustomerNumber, Option<PageRow>)> {
        self.ordinary(&self.keys, keys_file::allocate_customer)
    }

    fn add_page(&self, page: NewPage) -> Pending<PageRow> {
        self.ordinary(&self.keys, move |db| keys_file::add_page(db, &page))
    }

    fn create_keys(&self, new: CreateKeys) -> Pending<bool> {
        self.ordinary(&self.keys, move |db| keys_file::create_keys(db, &new))
    }

    fn create_customer(&self, new: CreateCustomer) -> Pending<CreateOutcome> {
        self.ordinary(&self.vault, move |db| vault_file::create_customer(db, &new))
    }

    fn abandon_customer(&self, customer: CustomerNumber) -> Pending<()> {
        self.keys
            .change(move |db| keys_file::abandon_customer(db, customer))
    }

    fn settle_customer(&self, customer: CustomerNumber) -> Pending<()> {
        self.keys
            .change(move |db| keys_file::settle_customer(db, customer))
    }

    fn put_record(&self, put: PutRecord) -> Pending<PutOutcome> {
        self.ordinary(&self.vault, move |db| vault_file::put_record(db, &put))
    }

    fn note_deletion(&self, record: RecordKey, today: Day) -> Pending<()> {
        self.ordinary(&self.keys, move |db| {
            keys_file::note_deletion(db, record, today)
        })
    }

    fn delete_record(&self, delete: DeleteRecord) -> Pending<PutOutcome> {
        self.ordinary(&self.vault, move |db| {
            vault_file::delete_record(db, &delete)
        })
    }

    fn intend_erasure(&self, intent: EraseIntent) -> Pending<bool> {
        self.vault
            .change(move |db| vault_file::intend_erasure(db, &intent))
    }

    fn shred(&self, customer: CustomerNumber, index_page: u64, today: Day) -> Pending<Fence> {
        self.keys
            .change(move |db| keys_file::shred(db, customer, index_page, today))
    }

    fn truncate(&self, file: DataFile) -> Pending<bool> {
        let quiet = Arc::clone(&self.quiet);
        match file {
            DataFile::Keys => self.keys.between(move |db| truncate(db, &quiet)),
            DataFile::Vault => self.vault.between(move |db| truncate(db, &quiet)),
        }
    }

    fn record_shred(&self, customer: CustomerNumber, leaf: LeafRow) -> Pending<()> {
        self.vault
            .change(move |db| vault_file::record_level(db, customer, 2, &leaf))
    }

    fn purge(&self, customer: CustomerNumber, tombstone: Option<Tombstone>) -> Pending<bool> {
        self.vault
            .change(move |db| vault_file::purge(db, customer, tombstone.as_ref()))
    }

    fn record_purge(&self, customer: CustomerNumber, leaf: LeafRow) -> Pending<()> {
        self.vault
            .change(move |db| vault_file::record_level(db, customer, 3, &leaf))
    }

    fn add_index_pages(&self, pages: Vec<NewPage>) -> Pending<()> {
        self.ordinary(&self.keys, move |db| keys_file::add_index_pages(db, &pages))
    }

    fn allocate_index_pages(&self, count: u32) -> Pending<u64> {
        self.ordinary(&self.keys, move |db| {
            keys_file::allocate(db, "index_page", u64::from(count))
        })
    }

    fn split_index(&self, split: SplitIndex) -> Pending<bool> {
        self.ordinary(&self.vault, move |db| vault_file::split_index(db, &split))
    }

    fn drop_index_page(&self, page: u64) -> Pending<()> {
        self.keys
            .change(move |db| keys_file::drop_index_page(db, page))
    }

    fn add_tenant(&self, tenant: TenantRow) -> Pending<()> {
        self.ordinary(&self.keys, move |db| keys_file::add_tenant(db, &tenant))
    }

    fn next_boot(&self) -> Pending<u64> {
        self.vault.change(vault_file::next_boot)
    }

    fn forget_requests(&self, before: Day) -> Pending<usize> {
        self.vault
            .change(move |db| vault_file::forget_requests(db, before))
    }

    fn spend_reserve(&self) -> bool {
        self.reserve.spend()
    }

    fn restore_reserve(&self) -> Result<()> {
        self.reserve.restore()
    }

    fn activity(&self, file: DataFile) -> (u64, u64) {
        match file {
            DataFile::Keys => self.keys.counts(),
            DataFile::Vault => self.vault.counts(),
        }
    }

    fn failed(&self) -> bool {
        // A reader thread that ended did so by a bug, and its calls would wait.
        let is_short = self
            .threads
            .iter()
            .any(std::thread::JoinHandle::is_finished);
        is_short || self.keys.failed() || self.vault.failed()
    }
}
