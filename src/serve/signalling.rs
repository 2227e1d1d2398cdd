//! Signals told: to the metrics, the log on stderr and the audit log; and
//! blocks, each kept as a file, which a restart finds again and
//! `oubliette signals lift` takes away.

use super::reload::Reload;
use crate::audit::signals::{Signal, Signals};
use crate::config;
use crate::durable;
use crate::error::{Error, Result};
use crate::id::{CustomerId, TenantName};
use crate::limits;
use crate::metrics::Metrics;
use crate::vault::Vault;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::interval;

/// Who is blocked, as files of a directory beside the databases.
#[derive(Clone)]
pub struct Blocks {
    dir: PathBuf,
    /// Those whose file this process has seen.
    kept: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// A block: whom, and since when and why, for people.
pub struct Block {
    /// `tenant/service`.
    pub principal: String,
    /// What the file says.
    pub why: String,
}

impl Blocks {
    /// The blocks of the vault whose databases are in `data`.
    pub fn of(data: &Path) -> Self {
        Self {
            dir: data.join("blocked"),
            kept: Arc::default(),
        }
    }

    /// A name becomes a file's name; neither tenants nor services have a dot.
    fn file(&self, principal: &str) -> PathBuf {
        self.dir.join(principal.replace('/', "."))
    }

    /// Everybody who is blocked.
    ///
    /// # Errors
    /// [`Error::Setup`] where the directory cannot be read.
    pub fn all(&self) -> Result<Vec<Block>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|why| self.refused(&why))?,
        };
        let mut blocks = Vec::new();
        for entry in entries.take(limits::PRINCIPALS) {
            let entry = entry.map_err(|why| self.refused(&why))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                // Not written to its end.
                continue;
            }
            blocks.push(Block {
                principal: name.replace('.', "/"),
                why: fs::read_to_string(entry.path()).unwrap_or_default(),
            });
        }
        blocks.sort_by(|a, b| a.principal.cmp(&b.principal));
        Ok(blocks)
    }

    /// Lifts a block. False where there is none.
    ///
    /// # Errors
    /// [`Error::Setup`] where it cannot be removed.
    pub fn lift(&self, principal: &str) -> Result<bool> {
        match fs::remove_file(self.file(principal)) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(self.refused(&why)),
        }
    }

    fn keep(&self, signal: &Signal) -> std::io::Result<()> {
        let path = self.file(&signal.principal);
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        let line = format!("{now} {}\n", signal.kind.word());
        durable::replace(&path, line.as_bytes(), durable::PRIVATE)?;
        self.kept().insert(Arc::clone(&signal.principal));
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, why: &std::io::Error) -> Error {
        Error::Setup(format!("{}: {why}", self.dir.display()))
    }
}

/// Tells every signal, for as long as the server lives.
pub struct Signalling {
    signals: Arc<Signals>,
    told: Receiver<Signal>,
    blocks: Blocks,
    decoys: Vec<(TenantName, String)>,
    vault: Vault,
    metrics: Arc<Metrics>,
}

impl Signalling {
    /// Begins: from here on what is written down is looked at, and who was
    /// blocked is.
    ///
    /// # Errors
    /// [`Error::Setup`] where it cannot be read who is blocked.
    pub fn begin(
        config: &config::Signals,
        data: &Path,
        vault: &Vault,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Arc<Signals>)> {
        let signals = Arc::new(Signals::new(config.limits.clone()));
        let blocks = Blocks::of(data);
        for block in blocks.all()? {
            let principal = Arc::from(block.principal);
            signals.block(&principal);
            blocks.kept().insert(principal);
        }
        vault.watch_with(&signals);
        let signalling = Self {
            told: signals.subscribe(),
            signals: Arc::clone(&signals),
            blocks,
            decoys: config.decoys.clone(),
            vault: vault.clone(),
            metrics: Arc::clone(metrics),
        };
        Ok((signalling, signals))
    }

    /// Who takes up that a block was lifted.
    pub fn lifting(&self) -> Lifting {
        Lifting {
            signals: Arc::clone(&self.signals),
            blocks: self.blocks.clone(),
            vault: self.vault.clone(),
        }
    }

    /// Never ends.
    pub async fn run(mut self) {
        let mut look = interval(limits::DECOY_LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => self.plant().await,
                told = self.told.recv() => match told {
                    Ok(signal) => self.tell(&signal).await,
                    Err(RecvError::Lagged(many)) => {
                        tracing::error!(many, "signals came faster than they could be told");
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn plant(&self) {
        let decoys = self.decoys.iter().filter_map(|(tenant, id)| {
            let id = CustomerId::parse("decoys", id).ok()?;
            Some((tenant.clone(), id))
        });
        let decoys: Vec<_> = decoys.collect();
        if decoys.is_empty() || self.vault.is_sealed() {
            return;
        }
        let many = decoys.len();
        match self.vault.planted(decoys).await {
            Ok(found) if found.len() == many => self.signals.plant(found),
            Ok(found) => {
                tracing::warn!(many, found = found.len(), "not every decoy is a customer");
                self.signals.plant(found);
            }
            Err(why) => tracing::warn!(reason = why.reason(), "decoys cannot be looked up"),
        }
    }

    async fn tell(&self, signal: &Signal) {
        let (kind, principal) = (signal.kind.word(), &*signal.principal);
        self.metrics.signalled(kind);
        tracing::error!(
            kind,
            principal,
            count = signal.count,
            blocks = signal.blocks,
            "signal"
        );
        if signal.blocks {
            let (blocks, signal) = (self.blocks.clone(), signal.clone());
            let kept = tokio::task::spawn_blocking(move || blocks.keep(&signal)).await;
            if !kept.is_ok_and(|kept| kept.is_ok()) {
                tracing::error!(principal, "a block is not kept; a restart would lift it");
            }
        }
        if let Err(why) = self.vault.tell_signal(signal).await {
            tracing::error!(reason = why.reason(), kind, "a signal is not written down");
        }
    }
}

/// Takes up that blocks were lifted.
pub struct Lifting {
    signals: Arc<Signals>,
    blocks: Blocks,
    vault: Vault,
}

impl Reload for Lifting {
    fn name(&self) -> &'static str {
        "blocks"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.blocks.dir.clone()]
    }

    fn reload(&self) -> Result<()> {
        let blocked = self.blocks.all()?.into_iter();
        let blocked: HashSet<Arc<str>> = blocked.map(|of| Arc::from(of.principal)).collect();
        // A block whose file is still being written is not lifted.
        let before = std::mem::replace(&mut *self.blocks.kept(), blocked.clone());
        let runtime = Handle::try_current().map_err(|_| Error::Internal("no runtime"))?;
        for principal in &blocked {
            self.signals.block(principal);
        }
        for principal in before.difference(&blocked) {
            self.signals.lift(principal);
            tracing::warn!(%principal, "a block was lifted");
            runtime.block_on(self.vault.tell_lifted(principal))?;
        }
        Ok(())
    }
}
