//! `oubliette bench rewrap`: how long closing an epoch takes, in two cases:
//! the daily one, and the worst, where every page lost a row. The vault is
//! made straight into the store of a temporary directory and serves nobody.

use crate::cli::out::{Out, note};
use crate::cli::progress::Progress;
use crate::cli::stop::{Done, Stop};
use crate::cli::workplace::Workplace;
use crate::crypto::{Deployment, MasterKey, WrapContext};
use crate::error::{Error, Result};
use crate::id::TenantName;
use crate::keys::file::FileProvider;
use crate::keys::{Assurance, KeyProvider, KeyState, Providers};
use crate::store::sqlite::{Seed, Sqlite};
use crate::vault::{Closed, Seeding, Vault, found};
use clap::Args;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `bench rewrap`.
#[derive(Args, Debug)]
pub struct Rewrap {
    /// Customers in the vault
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(256..=100_000_000))]
    customers: u64,
    /// Customers forgotten since the last closing, in the daily case
    #[arg(long, value_name = "N", default_value_t = 14,
          value_parser = clap::value_parser!(u64).range(0..=1_000))]
    erased: u64,
    /// End with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// One closing, measured.
struct Measured {
    took: Duration,
    provider: Duration,
    closed: Closed,
}

impl Measured {
    fn own(&self) -> Duration {
        self.took.saturating_sub(self.provider)
    }

    fn keys_a_second(&self) -> u64 {
        let micros = u64::try_from(self.own().as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        self.closed.keys.saturating_mul(1_000_000) / micros
    }
}

impl Rewrap {
    /// Measures and reports.
    pub async fn run(self) -> Done {
        let workplace = Workplace::temporary("rewrap")?;
        let (dir, customers) = (workplace.dir().to_path_buf(), self.customers);
        let spent = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&spent);
        let made = tokio::task::spawn_blocking(move || make(&dir, customers, told)).await;
        let (vault, mut seed, tenant) =
            made.map_err(|_| Stop::Failed("the vault could not be made".to_owned()))??;
        for number in 1..=self.erased {
            let customer = number * self.customers / (self.erased + 1);
            vault.forget_seeded(&tenant, customer.max(1)).await?;
        }
        vault.use_every_core();
        note("closing: the daily case");
        let daily = measured(&vault, &spent).await?;
        seed.all_dirty()?;
        note("closing: every page dirty");
        let dirty = measured(&vault, &spent).await?;
        self.tell(&daily, &dirty);
        Ok(())
    }

    fn tell(&self, daily: &Measured, dirty: &Measured) {
        let mut out = Out::new(false);
        let erased = self.erased;
        let row = |what: String, of: &Measured| {
            vec![
                what,
                format!("{:.3}", of.own().as_secs_f64()),
                format!("{:.3}", of.provider.as_secs_f64()),
                of.closed.pages.to_string(),
                of.closed.keys.to_string(),
                of.keys_a_second().to_string(),
            ]
        };
        out.table(
            &[
                "a closing",
                "seconds",
                "provider, s",
                "pages",
                "customer keys",
                "keys a second",
            ],
            &[
                row(format!("daily: {erased} erased"), daily),
                row("every page dirty".to_owned(), dirty),
            ],
        );
        out.line(&format!("{} customers", self.customers));
        if self.json {
            let of = |measured: &Measured| {
                json!({
                    "seconds": measured.own().as_secs_f64(),
                    "provider_seconds": measured.provider.as_secs_f64(),
                    "pages": measured.closed.pages,
                    "customer_keys": measured.closed.keys,
                    "keys_a_second": measured.keys_a_second(),
                })
            };
            Out::new(true).document(&json!({
                "customers": self.customers,
                "erased": erased,
                "daily": of(daily),
                "every_page_dirty": of(dirty),
            }));
        }
    }
}

async fn measured(vault: &Vault, spent: &AtomicU64) -> Result<Measured> {
    spent.store(0, Ordering::Relaxed);
    let since = Instant::now();
    let closed = vault.close_now().await?;
    Ok(Measured {
        took: since.elapsed(),
        provider: Duration::from_micros(spent.load(Ordering::Relaxed)),
        closed,
    })
}

/// Founds a vault and fills it.
fn make(dir: &Path, customers: u64, spent: Arc<AtomicU64>) -> Result<(Vault, Seed, TenantName)> {
    let data = dir.join("data");
    std::fs::create_dir(&data)
        .map_err(|error| Error::Setup(format!("cannot make {}: {error}", data.display())))?;
    let timed = Timed {
        file: FileProvider::new(&dir.join("keys"))?,
        spent,
    };
    let providers = Arc::new(Providers::new(vec![Box::new(timed)])?);
    found(&data, &providers)?;
    let store = Arc::new(Sqlite::open(&data)?);
    let vault = Vault::unseal(store, providers, "1".to_owned())?;
    let tenant = TenantName::parse("bench").ok_or(Error::Internal("a tenant's name"))?;
    vault.ensure_tenants([&tenant].into_iter())?;
    let mut seed = Seed::open(&data)?;
    let mut progress = Progress::start("filling", customers);
    let seeding = Seeding {
        tenant: tenant.clone(),
        customers,
        record: None,
    };
    vault.seed(&mut seed, &seeding, &mut |done| {
        progress.set(done, &format!("{done} customers"));
    })?;
    Ok((vault, seed, tenant))
}

/// The file provider, with a clock on it.
struct Timed {
    file: FileProvider,
    spent: Arc<AtomicU64>,
}

impl Timed {
    fn time<T>(&self, work: impl FnOnce(&FileProvider) -> Result<T>) -> Result<T> {
        let since = Instant::now();
        let done = work(&self.file);
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.spent.fetch_add(micros, Ordering::Relaxed);
        done
    }
}

impl KeyProvider for Timed {
    fn kind(&self) -> &'static str {
        self.file.kind()
    }
    fn assurance(&self) -> Assurance {
        self.file.assurance()
    }
    fn create(&self, deployment: Deployment, epoch: u32) -> Result<String> {
        self.time(|file| file.create(deployment, epoch))
    }
    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        self.time(|file| file.wrap(name, context, master))
    }
    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        self.time(|file| file.unwrap(name, context, wrapped))
    }
    fn destroy(&self, name: &str) -> Result<KeyState> {
        self.time(|file| file.destroy(name))
    }
    fn state(&self, name: &str) -> Result<KeyState> {
        self.time(|file| file.state(name))
    }
    fn stray(&self, deployment: Deployment, newest: u32) -> Result<Vec<String>> {
        self.time(|file| file.stray(deployment, newest))
    }
}
