//! Founding a vault, and starting one: master keys unwrapped, tenants ready,
//! and whatever a crash left half done finished before the first call.

use super::job::Runners;
use super::keyring::Keyring;
use super::seal::{self, SealState};
use super::{Inner, Vault};
use crate::audit::Log;
use crate::clock::Instant;
use crate::crypto::{Deployment, MasterKey, WrapContext, random_bytes};
use crate::error::{Error, Result};
use crate::id::{TenantName, TenantNumber};
use crate::keys::Providers;
use crate::limits;
use crate::store::{EpochKey, EpochRow, EpochState, Rows, Store, TenantRow, sqlite};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Semaphore;

/// The context of an epoch's master key.
pub(super) fn master_place(deployment: Deployment, epoch: u32) -> WrapContext {
    WrapContext {
        deployment,
        tenant: 0,
        number: 0,
        generation: 0,
        page: 0,
        page_generation: 0,
        epoch,
    }
}

/// Founds an empty vault in `dir`, which is there and holds none: a deployment
/// id, epoch 1 and its provider keys.
pub fn found(dir: &Path, providers: &Providers) -> Result<()> {
    let deployment = random_bytes()?;
    let (epoch, _) = new_epoch(Deployment(deployment), providers, 1)?;
    sqlite::found(dir, deployment, &epoch)
}

/// An epoch: its key in every provider and its master key under each.
pub(super) fn new_epoch(
    deployment: Deployment,
    providers: &Providers,
    epoch: u32,
) -> Result<(EpochRow, MasterKey)> {
    let master = MasterKey::generate()?;
    let made = providers.wrap_new(epoch, &master_place(deployment, epoch), &master)?;
    let keys = made.into_iter().map(|(provider, name, wrapped)| EpochKey {
        provider: provider.to_owned(),
        name,
        wrapped,
    });
    let row = EpochRow {
        epoch,
        opened: Instant::now().day(),
        state: EpochState::Active,
        keys: keys.collect(),
    };
    Ok((row, master))
}

/// Half of the machine is left to those who are served while a job goes on.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |many| (many.get() / 2).max(1))
}

/// Reads what start-up needs, on this thread.
pub(super) fn at_start<T: Send + 'static>(
    store: &dyn Store,
    read: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, done) = std::sync::mpsc::channel();
    store.read(Box::new(move |rows| {
        // Start-up waits for it, or has failed already.
        let _ = answer.send(read(rows));
    }))?;
    done.recv()
        .unwrap_or(Err(Error::Internal("a reader thread ended")))
}

impl Vault {
    /// The vault behind `store`, sealed to callers. What the providers say that
    /// must be set right is told before anything is written. Blocks; call it
    /// outside the runtime.
    pub fn open(store: Arc<dyn Store>, providers: Arc<Providers>, node: String) -> Result<Self> {
        let (deployment, epochs) =
            at_start(&*store, |rows| Ok((rows.deployment()?, rows.epochs()?)))?;
        let deployment = Deployment(deployment.ok_or_else(|| {
            Error::Setup("there is no vault here; found one with `oubliette init DIR`".to_owned())
        })?);
        let masters = match seal::masters(&providers, deployment, &epochs) {
            Err(why @ Error::Setup(_)) => return Err(why),
            masters => masters.ok(),
        };
        let boot = store.next_boot().wait()?;
        let keyring = Keyring::new(deployment);
        let seal = if masters.is_some() {
            SealState::opened()
        } else {
            SealState::at_start()
        };
        if let Some(masters) = masters {
            keyring.unseal(masters);
        }
        Ok(Self(Arc::new(Inner {
            keyring: Arc::new(keyring),
            log: Log::new(Arc::clone(&store), node, boot),
            quota: Arc::default(),
            readers: Arc::default(),
            office: OnceLock::new(),
            log_key: OnceLock::new(),
            signing: OnceLock::new(),
            changes: tokio::sync::broadcast::channel(limits::REQUEST_CHANGES).0,
            purging: Mutex::default(),
            ledger: OnceLock::new(),
            providers,
            key_backup: OnceLock::new(),
            access: OnceLock::new(),
            two_people: OnceLock::new(),
            log_keeping: OnceLock::new(),
            pruning: Arc::default(),
            opening: tokio::sync::Mutex::default(),
            index_moves: tokio::sync::RwLock::default(),
            runners: Runners::default(),
            crypto_room: Semaphore::new(threads()),
            seal,
            store,
        })))
    }

    /// The vault behind `store`, unsealed. Blocks; call it outside the runtime.
    pub fn unseal(store: Arc<dyn Store>, providers: Arc<Providers>, node: String) -> Result<Self> {
        let vault = Self::open(store, providers, node)?;
        vault.0.open_masters()?;
        vault.load_tenants()?;
        vault.mark_up()?;
        Ok(vault)
    }

    pub(super) fn load_tenants(&self) -> Result<()> {
        let rows = at_start(&*self.0.store, |rows| rows.tenants())?;
        self.0.keyring.set_tenants(rows)
    }

    /// Sweeps request ids that need no longer be remembered: days are whole, so
    /// an id is kept a day longer at most; and events that were told long ago.
    /// DISK_FULL while the reserve is spent
    /// and cannot be set aside again.
    pub async fn tidy_up(&self) -> Result<()> {
        self.0.store.restore_reserve()?;
        let kept = limits::REQUEST_ID_TIME.as_micros();
        let kept = i64::try_from(kept).unwrap_or(i64::MAX);
        let oldest = Instant::from_micros(Instant::now().micros().saturating_sub(kept));
        // More a look than are written between two looks, or they pile up.
        for _ in 0..limits::SWEEPS_A_LOOK {
            let gone = self.0.store.forget_requests(oldest.day()).in_time().await?;
            if gone < limits::PURGE_ROWS {
                break;
            }
        }
        self.forget_old_events(Instant::now().day()).await
    }

    /// Makes sure that every tenant of the roles file has a number and keys.
    /// Blocks; call it outside the runtime, at start and at reload.
    pub fn ensure_tenants<'a>(&self, names: impl Iterator<Item = &'a TenantName>) -> Result<()> {
        for name in names {
            if self.0.keyring.tenant(name).is_ok() {
                continue;
            }
            let next = u32::try_from(self.0.keyring.tenant_count()? + 1)
                .map_err(|_| Error::TooMuch("tenants of one deployment"))?;
            let tenant = TenantNumber(next);
            let (epoch, wrapped) = self.0.keyring.new_tenant(tenant, name)?;
            let row = TenantRow {
                tenant,
                name: name.clone(),
                epoch,
                wrapped,
            };
            self.0.store.add_tenant(row).wait()?;
            self.load_tenants()?;
        }
        Ok(())
    }
}
