//! The use cases, one file each. They take a grant or a permit, never a bare
//! name, and what they open leaves only as [`crate::audit::Recorded`].

mod approval;
pub mod certificate;
mod consent;
mod cursor;
mod customer;
mod delete;
mod entries;
mod epoch;
mod erase;
mod events;
mod find;
#[cfg(test)]
mod gate_table;
mod generation;
mod in_part;
mod index;
mod job;
mod keyring;
mod last_used;
mod leaf;
mod ledger;
mod list;
mod open;
mod prune;
mod queue;
mod quota;
mod read;
mod refuse;
mod regroup;
mod request;
mod restore;
mod restraint;
mod retention;
mod review;
mod rewrap;
pub mod rights;
mod rotate;
mod seal;
mod seed;
mod seen;
mod signal;
mod status;
mod stream;
mod tree;
mod unseal;
mod write;

pub use approval::{Approvals, Approved, TwoPeople};
pub use certificate::CertificateView;
pub use consent::{ConsentView, Event, History, Imported, PurposeView, Receipt, Said};
pub use customer::{CustomerView, Level, Waiting};
pub use entries::{CustomerEntry, CustomerPage, EntryFilter, EntryPage, EntryView};
pub use epoch::{ClosePlan, KeyBackup};
pub use events::{EventKind, EventPage, EventView, Heard, Unheard};
pub use job::Order;
pub use list::Listed;
pub use open::{OpenedRecord, RecordView};
pub use prune::{LogKeeping, PruneStage, PruneView};
pub use queue::{CarriedOn, Held};
pub use read::Outcomes;
pub use refuse::Refused;
pub use regroup::Keep;
pub use request::step_id;
pub use restore::{Restored, Unproven};
pub use restraint::{HoldView, Holds, Released, Terms};
pub use retention::{KeepingView, Swept};
pub use review::{
    Finding, FindingKind, ReviewView, Telling, Usage, form_text, processing_record, scope_json,
};
pub use rights::Office;
pub use seal::{ProviderView, SealView, SealedBy};
pub use seed::{Closed, Seeding, seeded_id};
pub use seen::customers_seen;
pub use status::{EpochView, StatusView};
pub use stream::Chunk;
pub use unseal::found;

use crate::access::Access;
use crate::audit::Log;
use crate::error::{Error, Result, Unavailable};
use crate::id::{CustomerNumber, RequestNumber, TenantName, TenantNumber};
use crate::keys::Providers;
use crate::keys::signing::{PublicKey, SigningKey};
use crate::store::{DataFile, Rows, Store};
use job::Runners;
use keyring::{Keyring, Tenant};
use quota::CustomerQuota;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{Semaphore, broadcast, oneshot};

/// The vault: its rows, its unsealed keys and its log. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    seal: seal::SealState,
    keyring: Arc<Keyring>,
    log: Log,
    quota: Arc<CustomerQuota>,
    /// Who is on record as a reader of a customer's data.
    readers: Arc<events::Readers>,
    /// How people are answered; set once, at start.
    office: OnceLock<Office>,
    /// Known once the log's tree was taken up.
    log_key: OnceLock<PublicKey>,
    /// Where the ledger is copied to, if anywhere; set once, at start.
    ledger: OnceLock<ledger::Kept>,
    /// Signs events of consent, receipts, certificates and reports.
    signing: OnceLock<SigningKey>,
    /// Told of each change of a person's request: whose, and which.
    changes: broadcast::Sender<(TenantNumber, RequestNumber)>,
    /// Customers whose rows are being purged behind a reply.
    purging: Mutex<HashSet<CustomerNumber>>,
    providers: Arc<Providers>,
    /// How keys are backed up before an epoch is destroyed, if they are.
    key_backup: OnceLock<Arc<dyn KeyBackup>>,
    /// Whose catalog names what is erased; set once, at start.
    access: OnceLock<Arc<Access>>,
    /// What takes two people; set once, at start.
    two_people: OnceLock<TwoPeople>,
    /// How long entries of the log are kept; set once, at start.
    log_keeping: OnceLock<LogKeeping>,
    /// The log is pruned by one at a time.
    pruning: Arc<tokio::sync::Mutex<()>>,
    /// One epoch is opened at a time.
    opening: tokio::sync::Mutex<()>,
    /// Read while a creation looks for its place in the index and takes it;
    /// written by whoever moves rows of the index to new pages.
    index_moves: tokio::sync::RwLock<()>,
    /// The jobs that have a runner.
    runners: Runners,
    /// How many threads may do the crypto of jobs.
    crypto_room: Semaphore,
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
        if self.is_sealed() {
            return Err(Error::Unavailable(Unavailable::Sealed));
        }
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
        tokio::time::timeout(crate::limits::COMMIT_TIME, done)
            .await
            .map_err(|_| Error::Unavailable(Unavailable::StoreSlow))?
            .unwrap_or(Err(Error::Unavailable(Unavailable::StoreSlow)))
    }
}
