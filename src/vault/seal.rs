//! Sealing and unsealing. Sealed, no key is in memory and nothing of a
//! customer's can be read or written; nothing is destroyed. Master keys come
//! back from the providers, and where these are locked, by the people who open
//! the lock.

use super::{Approved, Inner, Vault};
use crate::access::{Grant, Seal, SealStatus, Unseal};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::clock::Instant;
use crate::crypto::{Deployment, MasterKey};
use crate::error::{Error, Result, Unavailable};
use crate::id::TenantName;
use crate::keys::{Assurance, KeyState, Needs, Providers};
use crate::secret::SecretText;
use crate::store::{EpochRow, EpochState};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why the vault is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedBy {
    /// It started, and waits for its providers or for people.
    Start,
    /// Somebody sealed it.
    Hand,
    /// No key provider answered for as long as the configuration allows.
    Provider,
}

/// What is known of a key provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderView {
    /// Its kind.
    pub kind: &'static str,
    /// Whether it answered for the open epoch's key when it was last asked.
    pub answers: bool,
}

/// Whether the vault is sealed, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealView {
    /// Why it is sealed; `None` while it is not.
    pub sealed: Option<SealedBy>,
    /// What people must still give.
    pub needs: Option<Needs>,
    /// The key providers.
    pub providers: Vec<ProviderView>,
}

/// What the vault knows of its being sealed.
pub(super) struct SealState {
    now: Mutex<Now>,
    unsealing: Mutex<()>,
    /// Whether calls are served: the keys are open, and what a crash cut off is
    /// finished. Changes only with `now` locked.
    up: AtomicBool,
    /// Whether a provider answered for the open epoch's key at the last look.
    answers: AtomicBool,
}

struct Now {
    sealed: Option<SealedBy>,
    /// Counts seals: an unsealing that one overtook comes to nothing.
    turn: u64,
    /// Since when no provider answers for the open epoch's key.
    without_provider: Option<std::time::Instant>,
    silent: Vec<&'static str>,
}

impl SealState {
    /// Sealed, as a start begins.
    pub(super) fn at_start() -> Self {
        Self {
            now: Mutex::new(Now {
                sealed: Some(SealedBy::Start),
                turn: 0,
                without_provider: None,
                silent: Vec::new(),
            }),
            unsealing: Mutex::new(()),
            up: AtomicBool::new(false),
            answers: AtomicBool::new(true),
        }
    }

    /// Sealed to callers, with the master keys open already.
    pub(super) fn opened() -> Self {
        let state = Self::at_start();
        state.now().sealed = None;
        state
    }

    /// How long no provider has answered by now.
    fn time_without(&self) -> Duration {
        let mut now = self.now();
        let since = now
            .without_provider
            .get_or_insert_with(std::time::Instant::now);
        since.elapsed()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The master keys of every epoch that is not destroyed. Blocks.
pub(super) fn masters(
    providers: &Providers,
    deployment: Deployment,
    epochs: &[EpochRow],
) -> Result<BTreeMap<u32, MasterKey>> {
    let mut masters = BTreeMap::new();
    // A condemned epoch wraps nothing, and its keys may be gone.
    let is_open =
        |row: &&EpochRow| !matches!(row.state, EpochState::Destroyed | EpochState::Condemned);
    for row in epochs.iter().filter(is_open) {
        let place = super::unseal::master_place(deployment, row.epoch);
        let keys = row.keys.iter();
        let keys = keys.map(|key| (&*key.provider, &*key.name, &*key.wrapped));
        masters.insert(row.epoch, providers.unwrap_any(&place, keys)?);
    }
    Ok(masters)
}

impl Inner {
    /// Lets go of every key in memory.
    fn let_go(&self, why: SealedBy) {
        let mut now = self.seal.now();
        now.turn = now.turn.saturating_add(1);
        now.sealed = Some(why);
        self.seal.up.store(false, Ordering::Release);
        self.keyring.seal();
        for provider in self.providers.iter() {
            provider.lock();
        }
        tracing::warn!(?why, "the vault is sealed");
    }

    /// Opens the master keys of every epoch that is not destroyed. Blocks.
    pub(super) fn open_masters(&self) -> Result<()> {
        let _one_at_a_time = self.seal.unsealing.lock();
        let turn = {
            let now = self.seal.now();
            if now.sealed.is_none() {
                return Ok(());
            }
            now.turn
        };
        let epochs = super::unseal::at_start(&*self.store, |rows| rows.epochs())?;
        let masters = masters(&self.providers, self.keyring.deployment(), &epochs)?;
        let mut now = self.seal.now();
        if now.turn != turn {
            return Err(Error::Unavailable(Unavailable::Sealed));
        }
        self.keyring.unseal(masters);
        now.sealed = None;
        now.without_provider = None;
        Ok(())
    }
}

impl Vault {
    /// Whether no call that needs a key is served.
    pub fn is_sealed(&self) -> bool {
        !self.0.seal.up.load(Ordering::Acquire)
    }

    /// From here on calls are served, unless a seal came between.
    pub(super) fn mark_up(&self) -> Result<()> {
        let now = self.0.seal.now();
        if now.sealed.is_some() {
            return Err(Error::Unavailable(Unavailable::Sealed));
        }
        self.0.seal.up.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether a key provider answered for the open epoch's key at the last
    /// look.
    pub fn provider_answers(&self) -> bool {
        self.0.seal.answers.load(Ordering::Relaxed)
    }

    /// Opens the master keys from the providers, makes sure that the tenants
    /// have keys, and finishes what a crash cut off. Sealed again where any of
    /// it fails. Nothing to do where the vault is not sealed.
    pub async fn come_up(&self, tenants: Vec<TenantName>) -> Result<()> {
        if !self.is_sealed() {
            return Ok(());
        }
        let vault = self.clone();
        let opened = tokio::task::spawn_blocking(move || {
            vault.0.open_masters()?;
            vault.load_tenants()?;
            vault.ensure_tenants(tenants.iter())
        });
        let opened = opened
            .await
            .unwrap_or(Err(Error::Internal("an unsealing ended by itself")));
        let recovered = match opened {
            Ok(()) => self.recover().await,
            Err(why) => Err(why),
        };
        let resumed = match recovered {
            Ok(()) => self.resume_jobs().await,
            Err(why) => Err(why),
        };
        let done = resumed.and_then(|()| self.mark_up());
        if done.is_err() && self.0.seal.now().sealed.is_none() {
            self.0.let_go(SealedBy::Start);
        }
        done
    }

    /// Lets go of every key at once, and then writes it down.
    pub async fn seal(&self, call: &Call, grant: Grant<Seal>) -> Result<SealView> {
        if !self.is_sealed() {
            self.0.let_go(SealedBy::Hand);
        }
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.fact = Some(Fact::Sealed { by: "hand" });
        Ok(self.record_plain(call, &leaf, self.view()).await?.release())
    }

    /// Takes a piece of what the lock needs, where there is a lock, and unseals
    /// once that is enough. In a task of its own: a caller that goes away stops
    /// nothing half-way.
    pub async fn unseal_by(
        &self,
        call: &Arc<Call>,
        grant: Grant<Unseal>,
        piece: Option<SecretText>,
        tenants: Vec<TenantName>,
    ) -> Result<SealView> {
        let (vault, call) = (self.clone(), Arc::clone(call));
        let unsealed = tokio::spawn(async move {
            vault.give(piece).await?;
            if vault.view().needs.is_none() {
                vault.come_up(tenants).await?;
            }
            let mut leaf = vault.leaf(&grant, Verdict::Allowed);
            if !vault.is_sealed() {
                leaf.fact = Some(Fact::Unsealed { by: "hand" });
            }
            Ok(vault
                .record_plain(&call, &leaf, vault.view())
                .await?
                .release())
        });
        unsealed
            .await
            .unwrap_or(Err(Error::Internal("an unsealing ended by itself")))
    }

    async fn give(&self, piece: Option<SecretText>) -> Result<()> {
        let locked = self.0.providers.iter().find(|one| one.needs().is_some());
        let (Some(locked), Some(piece)) = (locked, piece) else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || locked.unlock(&piece))
            .await
            .unwrap_or(Err(Error::Internal("an unlocking ended by itself")))
    }

    /// Whether the vault is sealed, and what it waits for.
    pub async fn seal_status(&self, call: &Call, grant: Grant<SealStatus>) -> Result<SealView> {
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, self.view()).await?.release())
    }

    fn view(&self) -> SealView {
        let providers = &self.0.providers;
        let now = self.0.seal.now();
        let view = |kind| ProviderView {
            kind,
            answers: !now.silent.contains(&kind),
        };
        SealView {
            sealed: self
                .is_sealed()
                .then(|| now.sealed.unwrap_or(SealedBy::Start)),
            needs: providers.iter().find_map(|provider| provider.needs()),
            providers: providers.iter().map(|one| view(one.kind())).collect(),
        }
    }

    /// Asks the providers for the open epoch's key. A vault that gets no answer
    /// for `without` seals itself; one that was sealed so, or waits since its
    /// start, comes up again once a provider answers. Where people are needed
    /// it waits for them.
    pub async fn look_at_providers(
        &self,
        without: Duration,
        tenants: Vec<TenantName>,
    ) -> Result<()> {
        let vault = self.clone();
        let answers = tokio::task::spawn_blocking(move || vault.ask_providers())
            .await
            .unwrap_or(Err(Error::Internal("a look at the providers ended")))?;
        self.0.seal.answers.store(answers, Ordering::Relaxed);
        let sealed = self.0.seal.now().sealed;
        match sealed {
            None if answers => self.0.seal.now().without_provider = None,
            None => {
                if self.0.seal.time_without() >= without {
                    self.0.let_go(SealedBy::Provider);
                    self.write_down(Fact::Sealed { by: "provider" }, "Seal")
                        .await?;
                }
            }
            Some(SealedBy::Start | SealedBy::Provider)
                if answers && self.view().needs.is_none() =>
            {
                self.come_up(tenants).await?;
                self.write_down(Fact::Unsealed { by: "provider" }, "Unseal")
                    .await?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Goes on with other providers. A kind that keeps the key of an epoch
    /// which is not destroyed must be among them. Blocks.
    pub fn replace_providers(&self, by: Providers) -> Result<()> {
        let epochs = super::unseal::at_start(&*self.0.store, |rows| rows.epochs())?;
        for row in epochs
            .iter()
            .filter(|row| row.state != EpochState::Destroyed)
        {
            let lost = |kind: &str| by.of_kind(kind).is_none();
            if let Some(key) = row.keys.iter().find(|key| lost(&key.provider)) {
                return Err(Error::Setup(format!(
                    "epoch {} has its key in the provider {}, which is not configured any more; \
                     keep it with retiring = true until that epoch is closed",
                    row.epoch, key.provider
                )));
            }
        }
        self.0.providers.replace(by);
        Ok(())
    }

    /// Writes down which providers there are now.
    pub async fn tell_providers(&self, approved: &Approved) -> Result<()> {
        let providers = &self.0.providers;
        let taking: Vec<_> = providers.taking().map(|one| one.kind()).collect();
        let kinds = providers.iter().map(|one| one.kind());
        let retiring = kinds.filter(|kind| !taking.contains(kind)).collect();
        let fact = Fact::Providers {
            taking,
            retiring,
            approver: approved.approver().to_owned(),
        };
        self.write_down(fact, "ReplaceProviders").await
    }

    /// What destroying an epoch is worth that has its keys in these kinds.
    pub fn worth(&self, kinds: &[String]) -> Assurance {
        self.0
            .providers
            .assurance_of(kinds.iter().map(String::as_str))
    }

    /// A leaf of what the vault did by itself.
    async fn write_down(&self, fact: Fact, method: &'static str) -> Result<()> {
        let call = self.0.log.begin(method, None, Instant::now());
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.fact = Some(fact);
        self.record_plain(&call, &leaf, ()).await?;
        Ok(())
    }

    /// Whether one of the providers has the newest epoch's key; notes which do
    /// not answer. Blocks.
    fn ask_providers(&self) -> Result<bool> {
        let epochs = super::unseal::at_start(&*self.0.store, |rows| rows.epochs())?;
        let Some(newest) = epochs.last() else {
            return Ok(false);
        };
        let mut silent = Vec::new();
        let mut answers = false;
        for provider in self.0.providers.iter() {
            let kind = provider.kind();
            let Some(key) = newest.keys.iter().find(|key| key.provider == kind) else {
                continue;
            };
            match provider.state(&key.name) {
                Ok(KeyState::Usable) => answers = true,
                Ok(state) => {
                    tracing::error!(kind, key.name, ?state, "the open epoch's key is destroyed");
                    silent.push(kind);
                }
                Err(why) => {
                    tracing::warn!(kind, %why, "a key provider does not answer");
                    silent.push(kind);
                }
            }
        }
        self.0.seal.now().silent = silent;
        Ok(answers)
    }
}
