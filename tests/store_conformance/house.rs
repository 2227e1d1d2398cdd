//! A vault under test: a backend's files, and the store that is open on them.

use oubliette::clock::Day;
use oubliette::error::Result;
use oubliette::id::CustomerNumber;
use oubliette::store::{DataFile, EpochKey, EpochRow, EpochState, LedgerKind, Rows, Store};
use std::ops::Deref;
use std::sync::{Arc, mpsc};

/// An entry of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    pub kind: LedgerKind,
    pub customer: CustomerNumber,
    pub number: u64,
    pub epoch: u32,
    pub day: Day,
}

/// A founded vault, and what the conformance suite must know that no method of
/// `Store` or `Rows` tells.
pub trait Backend {
    /// Opens the store, or says why not.
    fn open(&self) -> Result<Arc<dyn Store>>;
    /// Opens the vault for reading only.
    fn open_rows(&self) -> Result<Box<dyn Rows>>;
    /// The tables that hold a row about the customer, or these bytes.
    fn tables_about(&self, customer: CustomerNumber, bytes: &[u8]) -> Vec<String>;
    /// True while any byte of the vault's storage, used or free, still holds
    /// these.
    fn is_on_disk(&self, bytes: &[u8]) -> bool;
    /// The ledger, oldest entry first.
    fn ledger(&self) -> Vec<LedgerEntry>;
    /// How many bytes the file's write-ahead log has.
    fn log_bytes(&self, file: DataFile) -> u64;
    /// Makes the file look as a newer version of the program leaves it.
    fn make_newer(&self, file: DataFile);
    /// Takes all content from the file but leaves it there.
    fn make_empty(&self, file: DataFile);
    /// Takes the file away.
    fn remove(&self, file: DataFile);
    /// What the operator knows the file by.
    fn name(&self, file: DataFile) -> &'static str;
}

/// The first epoch, as the founders of backends store it.
pub fn first_epoch() -> EpochRow {
    EpochRow {
        epoch: 1,
        opened: super::made::TODAY,
        state: EpochState::Active,
        keys: vec![EpochKey {
            provider: "file".to_owned(),
            name: "epoch-1".to_owned(),
            wrapped: vec![0xee; 48],
        }],
    }
}

/// The deployment's id, as the founders of backends store it.
pub const DEPLOYMENT: [u8; 16] = [0xd0; 16];

/// A backend with its store open.
pub struct House {
    pub backend: Box<dyn Backend>,
    store: Option<Arc<dyn Store>>,
}

impl House {
    pub fn new(backend: Box<dyn Backend>) -> Self {
        let store = Some(backend.open().unwrap());
        Self { backend, store }
    }

    /// Closes the store.
    pub fn close(&mut self) {
        let store = self.store.take().unwrap();
        assert_eq!(Arc::strong_count(&store), 1, "someone still uses the store");
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.close();
        self.store = Some(self.backend.open().unwrap());
    }

    /// The store, for another thread.
    pub fn share(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    /// Runs `work` on a reader thread and waits for what it answers.
    pub fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
    ) -> T {
        let (answer, answered) = mpsc::channel();
        let job = move |rows: &mut dyn Rows| answer.send(work(rows)).unwrap();
        self.deref().read(Box::new(job)).unwrap();
        answered.recv().unwrap().unwrap()
    }

    /// How many leaves there are.
    pub fn leaf_count(&self) -> u64 {
        self.read(|rows| rows.leaf_count())
    }
}

impl Deref for House {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self.store.as_deref().unwrap()
    }
}
