//! The embedded store: SQLite, two files, a writer thread each and a few
//! reader threads.

mod approvals;
mod certificates;
mod checkpoint;
mod commit;
mod consent;
mod copy;
mod epochs;
mod error;
mod events;
mod generations;
mod history;
mod jobs;
mod keys_file;
mod ledger;
mod loot;
mod pack;
mod partial;
mod person;
mod pruning;
mod reader;
mod reads;
mod reserve;
mod restoring;
mod restraints;
mod retention;
mod rights;
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
use super::{Answer, DataFile, Pending, ReadJob, Rows, Store};
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use checkpoint::{Checkpoints, truncate};
use history::Folds;
use reader::Reader;
use reads::{Needs, Reads};
use reserve::Reserve;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex};
use writer::{Care, Writer};

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
    reads: Arc<Reads>,
    threads: Vec<std::thread::JoinHandle<()>>,
    aside: Mutex<Reader>,
    keys: Writer,
    vault: Writer,
    reserve: Reserve,
}

impl Sqlite {
    /// Opens the vault in `dir`, which nobody else writes to, and starts its
    /// threads.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::start(dir, Reader::beside)
    }

    /// The same where others may write to the files too, as tests do that
    /// damage them: no state outlives the jobs that share it.
    pub fn open_shared(dir: &Path) -> Result<Self> {
        Self::start(dir, |dir, _, _| Reader::open(dir))
    }

    fn start(dir: &Path, reader: fn(&Path, &Writer, &Writer) -> Result<Reader>) -> Result<Self> {
        let keys = schema::open_writer(&dir.join(KEYS_FILE), schema::KEYS)?;
        let vault = schema::open_writer(&dir.join(VAULT_FILE), schema::VAULT)?;
        let reads = Arc::new(Reads::default());
        let of_keys = Care {
            checkpoints: Checkpoints::new(Arc::clone(&reads)),
            folds: None,
        };
        let of_vault = Care {
            checkpoints: Checkpoints::new(Arc::clone(&reads)),
            folds: Some(Folds::of(&vault)?),
        };
        let keys = Writer::start("keys-writer", keys, of_keys)?;
        let vault = Writer::start("vault-writer", vault, of_vault)?;
        let mut store = Self {
            threads: Vec::with_capacity(limits::READER_THREADS),
            aside: Mutex::new(Reader::open(dir)?),
            reserve: Reserve::open(dir)?,
            reads,
            keys,
            vault,
        };
        for number in 0..limits::READER_THREADS {
            let mut reader = reader(dir, &store.keys, &store.vault)?;
            let reads = Arc::clone(&store.reads);
            let thread = std::thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || reads.serve(&mut reader))
                .map_err(|_| Error::Internal("thread"))?;
            store.threads.push(thread);
        }
        Ok(store)
    }
}

impl Sqlite {
    fn writer(&self, file: DataFile) -> &Writer {
        match file {
            DataFile::Keys => &self.keys,
            DataFile::Vault => &self.vault,
        }
    }

    /// A change that the reserve is not for.
    fn ordinary<T: Send + 'static>(
        &self,
        writer: &Writer,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        match self.reserve.check() {
            Ok(()) => writer.change(change),
            Err(error) => Pending::refused(error),
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Readers end before the writers close their files.
        self.reads.close();
        // A job may hold the last handle, so that this runs on a reader thread.
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl Store for Sqlite {
    fn read(&self, job: ReadJob) -> Result<()> {
        self.reads.push(job, Needs::Everything)
    }

    fn read_beside_log(&self, job: ReadJob) -> Result<()> {
        self.reads.push(job, Needs::AllButTheLog)
    }

    fn append(&self, leaves: Vec<LeafRow>) -> Pending<u64> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| vault_file::append(db, &leaves)),
            Err(error) => Pending::refused(error),
        }
    }

    fn append_then(&self, leaves: Vec<LeafRow>, answer: Answer<u64>) {
        match self.reserve.check() {
            Ok(()) => self
                .vault
                .append_then(move |db| vault_file::append(db, &leaves), answer),
            Err(error) => answer(Err(error)),
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
        let reads = Arc::clone(&self.reads);
        self.writer(file).between(move |db| truncate(db, &reads))
    }

    fn record_shred(&self, customer: CustomerNumber, leaf: LeafRow) -> Pending<()> {
        self.vault
            .change(move |db| vault_file::record_level(db, customer, 2, &leaf))
    }

    fn purge(&self, customer: CustomerNumber, tombstone: Option<Tombstone>) -> Pending<bool> {
        self.vault
            .change(move |db| vault_file::purge(db, customer, tombstone.as_ref()))
    }

    fn record_purge(&self, customer: CustomerNumber, today: Day, leaf: LeafRow) -> Pending<()> {
        self.vault.change(move |db| {
            vault_file::record_level(db, customer, 3, &leaf)?;
            vault_file::note_purge_day(db, customer, today)
        })
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
        self.writer(file).counts().told()
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
