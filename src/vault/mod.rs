//! The use cases, one file each. They take a grant or a permit, never a bare
//! name, and what they open leaves only as [`crate::audit::Recorded`].

mod cursor;
mod customer;
mod delete;
mod entries;
mod erase;
mod find;
mod index;
mod keyring;
mod leaf;
mod list;
mod open;
mod quota;
mod read;
mod refuse;
mod request;
mod seal;
mod status;
mod stream;
mod unseal;
mod write;

pub use customer::{CustomerView, Level};
pub use entries::{CustomerEntry, EntryFilter, EntryPage, EntryView};
pub use list::Listed;
pub use open::{OpenedRecord, RecordView};
pub use read::Outcomes;
pub use refuse::Refused;
pub use status::{EpochView, StatusView};
pub use stream::Chunk;
pub use unseal::found;

use crate::audit::Log;
use crate::error::{Error, Result, Unavailable};
use crate::id::{CustomerNumber, TenantName};
use crate::store::{DataFile, Rows, Store};
use keyring::{Keyring, Tenant};
use quota::CustomerQuota;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The vault: its rows, its unsealed keys and its log. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    log: Log,
    quota: Arc<CustomerQuota>,
    /// Customers whose rows are being purged behind a reply.
    purging: Mutex<HashSet<CustomerNumber>>,
}

impl Vault {
    /// The log, for the calls that reach no use case.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// How many commits each file has seen, and how many changes they carried.
    pub fn activity(&self) -> [(&'static str, (u64, u64)); 2] {
        let store = &self.0.store;
        [
            ("keys", store.activity(DataFile::Keys)),
            ("vault", store.activity(DataFile::Vault)),
        ]
    }

    /// False once storage failed in a way that only a restart mends.
    pub fn is_sound(&self) -> bool {
        !self.0.store.failed()
    }

    /// A tenant that was made ready at start or reload.
    fn tenant(&self, name: &TenantName) -> Result<Arc<Tenant>> {
        self.0.keyring.tenant(name)
    }

    fn quota(&self) -> Arc<CustomerQuota> {
        Arc::clone(&self.0.quota)
    }

    /// Works on a reader thread.
    async fn on_rows<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows, &Keyring) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, done) = oneshot::channel();
        let keyring = Arc::clone(&self.0.keyring);
        self.0.store.read(Box::new(move |rows| {
            // The caller may be gone; then nobody needs the answer.
            if !answer.is_closed() {
                let _ = answer.send(work(rows, &keyring));
            }
        }))?;
        tokio::time::timeout(crate::limits::CALL_TIME, done)
            .await
            .map_err(|_| Error::Unavailable(Unavailable::StoreSlow))?
            .unwrap_or(Err(Error::Unavailable(Unavailable::StoreSlow)))
    }
}
