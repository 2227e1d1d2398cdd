//! The composition root: the one place that names a concrete store and a
//! concrete provider and puts them together.

use super::elsewhere::{key_backups, ledger_copy, refuse_copies, vault_key};
use super::harden::harden;
use super::listener::{Bounds, Listener, Security};
use super::lock::DirectoryLock;
use super::probes::Probes;
use super::providers::{Built, Moving, keep};
use super::readiness::{Readiness, State};
use super::reload::{Reload, Rules, Watch};
use super::sealing::Sealing;
use super::server::{Times, serve, stop_signal};
use super::signalling::Signalling;
use super::telemetry;
use super::tls::Tls;
use crate::access::{Access, Sources};
use crate::audit::report::{Counts, Customers};
use crate::authn::{Authn, Caller};
use crate::clock::Instant;
use crate::config::check::Allowances;
use crate::config::{Config, Epochs, Transport};
use crate::error::{Error, Result, Unavailable};
use crate::grpc::{Guard, Parts, SERVICES, Shed, routes};
use crate::keys::Providers;
use crate::limits;
use crate::metrics::Metrics;
use crate::pb;
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Rows, Store};
use crate::vault::{self, LogKeeping, Office, Vault};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tonic::service::Routes;

/// The file in the data directory that says where the server listens.
pub const ADDRESS_FILE: &str = "server.address";

/// Founds the empty vault that a configuration describes.
///
/// # Errors
/// [`Error::Setup`] when there is one, or a file cannot be made.
pub fn found(config: &Config) -> Result<()> {
    vault::found(&config.data, &Built::new(&config.providers)?.providers()?)
}

/// Opens the vault that a configuration describes for reading only, whether it
/// is running or not.
///
/// # Errors
/// [`Error::Setup`] when there is none.
pub fn open_rows(config: &Config) -> Result<impl Rows + use<>> {
    sqlite::open_rows(&config.data)
}

/// Counts the living customers that each service read in a span of time, with
/// the configured key providers; nothing is written. Blocks.
///
/// # Errors
/// The keys do not open, or rows cannot be read.
pub fn customers_seen(
    config: &Config,
    rows: &mut dyn Rows,
    span: (Instant, Instant),
    reads: &Counts,
    progress: impl FnMut(u64, u64),
) -> Result<BTreeMap<String, Customers>> {
    let providers = Built::new(&config.providers)?.providers()?;
    vault::customers_seen(rows, &providers, span, reads, progress)
}

/// Serves until a signal ends it; calls `ready` once it does.
///
/// # Errors
/// [`Error::Setup`] for what must be set right before it can start;
/// [`Error::Unavailable`] when storage failed so that only a restart mends it.
pub async fn run(
    config: Config,
    allowed: Allowances,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    telemetry::start(&config.log)?;
    harden()?;
    for warning in config.check(&allowed)? {
        tracing::warn!("{warning}");
    }
    let stop = stop_signal()?;
    let _lock = DirectoryLock::take(&config.data)?;
    run_over(config, open_store, stop, ready).await
}

/// Serves over the store that `open` opens in the data directory, until `stop`
/// completes. Log, lock and hardening are the process's and so are [`run`]'s.
///
/// # Errors
/// As [`run`].
pub async fn run_over(
    config: Config,
    open: impl FnOnce(&Path) -> Result<Arc<dyn Store>> + Send + 'static,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::new(SERVICES.to_vec(), Arc::clone(&metrics)).await);
    let probes = Probes::bind(config.metrics, Arc::clone(&metrics), Arc::clone(&readiness)).await?;
    tokio::spawn(probes.run());

    let (sources, access) = rules(&config).await?;
    let store = open_files(&config, open).await?;
    // Before anything is written: a rollback is evidence.
    let sealing = Sealing::open(&config, &store, &metrics).await?;
    let (vault, built) = open_vault(&config, store).await?;
    vault.log_signed_by(sealing.key());
    equip(&vault, &config)?;
    vault.name_by(&access);
    come_up(&vault, &access).await?;
    tend(&vault, &access, &config, &metrics);

    let authn = Arc::new(Authn::new(&config.trust_domain));
    let rules = Rules {
        access: Arc::clone(&access),
        sources,
        vault: vault.clone(),
    };
    let (security, mut things) = secure(&config, &authn, Arc::new(rules))?;
    let (mut signals, mut signalling) = (None, None);
    if let Some(table) = &config.signals {
        let (begun, known) = Signalling::begin(table, &config.data, &vault, &metrics)?;
        things.push(Arc::new(begun.lifting()));
        (signalling, signals) = (Some(begun), Some(known));
    }
    things.push(Arc::new(Moving::new(
        config.file.clone(),
        built,
        vault.clone(),
    )));
    tokio::spawn(Watch::new(things, Arc::clone(&metrics))?.run());
    let listener = Listener::bind(
        config.listen,
        security,
        Bounds::default(),
        Arc::clone(&metrics),
    )
    .await?;
    let address = listener.address();

    let shed = Arc::new(Shed::default());
    tokio::spawn(Arc::clone(&shed).write_down(vault.clone()));
    let parts = Parts {
        vault: vault.clone(),
        access,
        authn,
        shed,
        metrics: Arc::clone(&metrics),
        signals,
    };
    if let Some(signalling) = signalling {
        tokio::spawn(signalling.run());
    }
    let beside = beside(&readiness, config.reflection)?;
    let (end_sealing, last) = oneshot::channel::<()>();
    let guard = Guard::new(parts, routes(&vault), beside);
    readiness.set(keys_state(&vault)).await;
    let trouble = sealing.trouble();
    let sealed = tokio::spawn(sealing.run(vault.clone(), last));
    let _told = AddressFile::write(&config.data, address)?;
    ready(address);
    let ended = ended(
        stop,
        vault.clone(),
        Arc::clone(&readiness),
        metrics,
        trouble,
    );
    serve(guard, listener.start(), readiness, ended, Times::default()).await?;
    drop(end_sealing);
    // It ends by itself after one last checkpoint.
    let _ = sealed.await;
    if vault.is_sound() {
        Ok(())
    } else {
        Err(Error::Unavailable(Unavailable::OutcomeUnknown))
    }
}

/// The rules, and where they are read from again.
async fn rules(config: &Config) -> Result<(Sources, Arc<Access>)> {
    let sources = Sources {
        catalog: config.catalog.clone(),
        roles: config.roles.clone(),
        policy: config.policy.clone(),
    };
    let from = sources.clone();
    let access = on_thread(move || Access::load(from)).await?;
    Ok((sources, Arc::new(access)))
}

/// Gives the vault what it signs with, answers by and backs up to.
fn equip(vault: &Vault, config: &Config) -> Result<()> {
    vault.sign_with(vault_key(config)?)?;
    vault.answer_by(Office {
        four_eyes: config.rights.four_eyes,
        closes_daily: matches!(config.epochs, Epochs::Daily(_)),
        regimes: config.rights.regimes.clone(),
        grace_days: config.rights.grace_days,
        goes_on: config.rights.goes_on,
    })?;
    vault.demand_approvals(config.approvals.clone());
    vault.keep_log(LogKeeping {
        days: config.pruning.keep_days,
        anchor: config.audit.file.clone(),
        is_witnessed: !config.audit.witnesses.is_empty(),
        exported: config.pruning.exported.clone(),
    });
    if let Some(backups) = key_backups(config)? {
        vault.back_up_keys_with(Arc::new(backups));
    }
    Ok(())
}

/// Unseals it, or lets it start sealed where it must wait for people or for a
/// provider, and finishes what was cut off.
async fn come_up(vault: &Vault, access: &Access) -> Result<()> {
    tokio::spawn(vault.clone().keep_ledger());
    let tenants = access.now().tenants().cloned().collect();
    match vault.come_up(tenants).await {
        Err(why @ Error::Unavailable(Unavailable::KeyProvider | Unavailable::Sealed)) => {
            tracing::warn!(%why, "the vault starts sealed");
            Ok(())
        }
        ended => ended,
    }
}

/// What goes on beside the calls for as long as the runtime runs.
fn tend(vault: &Vault, access: &Arc<Access>, config: &Config, metrics: &Arc<Metrics>) {
    let (vault, access) = (|| vault.clone(), || Arc::clone(access));
    tokio::spawn(keep(vault(), access(), config.seal.without_provider));
    tokio::spawn(super::epochs::keep(vault(), config.epochs));
    tokio::spawn(super::requests::keep(vault()));
    tokio::spawn(vault().go_on_pruning());
    tokio::spawn(super::retention::keep(
        vault(),
        access(),
        Arc::clone(metrics),
    ));
}

/// The vault of a configuration, for a tool that serves nobody. Blocks.
pub(super) fn unsealed(config: &Config) -> Result<(Vault, Arc<Providers>)> {
    let providers = Arc::new(Built::new(&config.providers)?.providers()?);
    let store = open_store(&config.data)?;
    let vault = Vault::unseal(store, Arc::clone(&providers), NODE.to_owned())?;
    Ok((vault, providers))
}

/// Opens the store that a vault in `data` is kept in.
///
/// # Errors
/// [`Error::Setup`] when there is none.
pub fn open_store(data: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Sqlite::open(data)?))
}

/// Runs what blocks beside the runtime.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal("a start-up step ended by itself"))?
}

/// The store of the configured data directory, which holds no mere copies.
async fn open_files(
    config: &Config,
    open: impl FnOnce(&Path) -> Result<Arc<dyn Store>> + Send + 'static,
) -> Result<Arc<dyn Store>> {
    let data = config.data.clone();
    on_thread(move || {
        refuse_copies(&data)?;
        open(&data)
    })
    .await
}

/// The vault, sealed, and its providers.
async fn open_vault(config: &Config, store: Arc<dyn Store>) -> Result<(Vault, Built)> {
    let configured = config.providers.clone();
    let (backup, key) = (config.backup.clone(), vault_key(config)?);
    on_thread(move || {
        let built = Built::new(&configured)?;
        let providers = Arc::new(built.providers()?);
        let vault = Vault::open(store, providers, NODE.to_owned())?;
        let copy = ledger_copy(&backup, key, vault.deployment())?;
        vault.check_story(copy, backup.strict)?;
        Ok((vault, built))
    })
    .await
}

/// This node's name in the log; there is one over an embedded store.
const NODE: &str = "1";

fn secure(
    config: &Config,
    authn: &Arc<Authn>,
    rules: Arc<Rules>,
) -> Result<(Security, Vec<Arc<dyn Reload>>)> {
    match &config.transport {
        Transport::Tls(files) => {
            let tls = Arc::new(Tls::load(files.clone(), Arc::clone(authn))?);
            Ok((
                Security::Tls(Arc::clone(&tls), Arc::clone(authn)),
                vec![tls, rules],
            ))
        }
        Transport::Plaintext(tenant, service) => {
            let caller = Caller::assumed(tenant.clone(), service.clone());
            Ok((Security::Plaintext(caller), vec![rules]))
        }
    }
}

/// Health, and reflection where it is switched on.
fn beside(readiness: &Readiness, reflection: bool) -> Result<Routes> {
    let health = Routes::new(readiness.health_service());
    if !reflection {
        return Ok(health);
    }
    let build = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS);
        SERVICES
            .iter()
            .fold(builder, |b, name| b.with_service_name(*name))
    };
    let failed = |_| Error::Internal("reflection");
    Ok(health
        .add_service(build().build_v1().map_err(failed)?)
        .add_service(build().build_v1alpha().map_err(failed)?))
}

/// Completes when the server shall end: at a signal, or when storage failed.
async fn ended(
    stop: impl Future<Output = ()>,
    vault: Vault,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    trouble: watch::Receiver<Option<&'static str>>,
) {
    let mut look = tokio::time::interval(limits::STORAGE_LOOK);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = look.tick() => {}
        }
        if !vault.is_sound() {
            tracing::error!("storage failed; ending, so that a restart finds out what was done");
            return;
        }
        for (file, (commits, changes)) in vault.activity() {
            metrics.stored(file, commits, changes);
        }
        let state = match vault.tidy_up().await {
            Err(Error::Unavailable(Unavailable::DiskFull)) => State::Impaired("disk_full"),
            _ => trouble
                .borrow()
                .map_or_else(|| keys_state(&vault), State::Impaired),
        };
        if readiness.state() != state {
            readiness.set(state).await;
        }
    }
}

/// Whether calls can be served, as far as keys are concerned.
fn keys_state(vault: &Vault) -> State {
    if vault.is_sealed() {
        State::Impaired("sealed")
    } else if vault.provider_answers() {
        State::Ready
    } else {
        State::Troubled("key_provider")
    }
}

/// Says where the server listens for as long as it does.
struct AddressFile(PathBuf);

impl AddressFile {
    fn write(data: &Path, address: SocketAddr) -> Result<Self> {
        let path = data.join(ADDRESS_FILE);
        std::fs::write(&path, format!("{address}\n"))
            .map_err(|error| Error::Setup(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // If it stays, the next start overwrites it.
        let _ = std::fs::remove_file(&self.0);
    }
}
