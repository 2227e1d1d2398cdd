//! Founding a vault, and starting one: master keys unwrapped, tenants ready,
//! and whatever a crash left half done finished before the first call.

use super::index::Tenant;
use super::keyring::Keyring;
use super::{Inner, Vault};
use crate::audit::Log;
use crate::clock::Instant;
use crate::crypto::{Deployment, MasterKey, WrapContext, random_bytes};
use crate::error::{Error, Result};
use crate::id::{TenantName, TenantNumber};
use crate::keys::KeyProvider;
use crate::limits;
use crate::store::{EpochRow, Rows, Store, TenantRow, sqlite};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// `epochs.state`: new keys are wrapped under it.
const ACTIVE: u8 = 1;
/// `epochs.state`: its provider key is destroyed.
const DESTROYED: u8 = 3;

/// The context of an epoch's master key.
fn master_place(deployment: Deployment, epoch: u32) -> WrapContext {
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
/// id, epoch 1 and its provider key.
pub fn found(dir: &Path, provider: &dyn KeyProvider) -> Result<()> {
    let (deployment, epoch) = (random_bytes()?, 1);
    let provider_key = provider.create(epoch)?;
    let master = MasterKey::generate()?;
    let place = master_place(Deployment(deployment), epoch);
    let row = EpochRow {
        epoch,
        provider: provider.kind().to_owned(),
        master: provider.wrap(&provider_key, &place, &master)?,
        provider_key,
        opened: Instant::now().day(),
        state: ACTIVE,
    };
    sqlite::found(dir, deployment, &row)
}

/// Reads what start-up needs, on this thread.
fn at_start<T: Send + 'static>(
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
    /// Unseals the vault behind `store`. Blocks; call it outside the runtime.
    pub fn unseal(store: Arc<dyn Store>, provider: &dyn KeyProvider, node: String) -> Result<Self> {
        let (deployment, epochs) =
            at_start(&*store, |rows| Ok((rows.deployment()?, rows.epochs()?)))?;
        let deployment = Deployment(deployment.ok_or_else(|| {
            Error::Setup("there is no vault here; found one with `oubliette init DIR`".to_owned())
        })?);
        let mut masters = BTreeMap::new();
        for row in epochs.iter().filter(|row| row.state != DESTROYED) {
            if row.provider != provider.kind() {
                return Err(Error::Setup(format!(
                    "epoch {} is kept by the provider {:?}, but {:?} is configured",
                    row.epoch,
                    row.provider,
                    provider.kind()
                )));
            }
            let place = master_place(deployment, row.epoch);
            masters.insert(
                row.epoch,
                provider.unwrap(&row.provider_key, &place, &row.master)?,
            );
        }
        let boot = store.next_boot().wait()?;
        let vault = Self(Arc::new(Inner {
            keyring: Arc::new(Keyring::new(deployment, masters)),
            log: Log::new(Arc::clone(&store), node, boot),
            tenants: RwLock::new(HashMap::new()),
            quota: Arc::default(),
            purging: Mutex::default(),
            store,
        }));
        vault.load_tenants()?;
        Ok(vault)
    }

    fn load_tenants(&self) -> Result<()> {
        let rows = at_start(&*self.0.store, |rows| rows.tenants())?;
        let mut ready = HashMap::new();
        for row in rows {
            let keys = self.0.keyring.tenant(&row)?;
            let number = row.tenant;
            ready.insert(row.name, Arc::new(Tenant { number, keys }));
        }
        *self
            .0
            .tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner) = ready;
        Ok(())
    }

    /// Sweeps request ids that need no longer be remembered: days are whole, so
    /// an id is kept a day longer at most. DISK_FULL while the reserve is spent
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
        Ok(())
    }

    /// Makes sure that every tenant of the roles file has a number and keys.
    /// Blocks; call it outside the runtime, at start and at reload.
    pub fn ensure_tenants<'a>(&self, names: impl Iterator<Item = &'a TenantName>) -> Result<()> {
        for name in names {
            let known = self
                .0
                .tenants
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let next = u32::try_from(known.len() + 1)
                .map_err(|_| Error::TooMuch("tenants of one deployment"))?;
            let is_known = known.contains_key(name);
            drop(known);
            if is_known {
                continue;
            }
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
