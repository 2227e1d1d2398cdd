//! The providers that a vault is configured with. An epoch opens with the key
//! of any one of them and is closed when the keys of all are destroyed. They
//! can be replaced while the vault serves: that is how it moves from one to
//! another.

use super::{Assurance, KeyProvider, KeyState};
use crate::crypto::{MasterKey, WrapContext};
use crate::error::{Error, Result, Unavailable};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// One provider or several, each of another kind.
pub struct Providers(ArcSwap<Vec<Member>>);

/// One of them.
#[derive(Clone)]
struct Member {
    provider: Arc<dyn KeyProvider>,
    /// It opens and destroys what it has and takes no new epoch.
    retiring: bool,
}

fn members(providers: Vec<(Arc<dyn KeyProvider>, bool)>) -> Result<Vec<Member>> {
    let mut kinds: Vec<&str> = providers.iter().map(|(one, _)| one.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() < providers.len() || providers.iter().all(|(_, retiring)| *retiring) {
        return Err(Error::Setup(
            "configure one key provider, or several of different kinds; \
             at least one must not be retiring"
                .to_owned(),
        ));
    }
    let member = |(provider, retiring)| Member { provider, retiring };
    Ok(providers.into_iter().map(member).collect())
}

impl Providers {
    /// At least one provider, no kind twice.
    pub fn new(providers: Vec<Box<dyn KeyProvider>>) -> Result<Self> {
        let all = providers.into_iter().map(|one| (Arc::from(one), false));
        Self::with_retiring(all.collect())
    }

    /// The same, each with whether it is retiring: it opens and destroys what
    /// it has and takes no new epoch.
    pub fn with_retiring(providers: Vec<(Arc<dyn KeyProvider>, bool)>) -> Result<Self> {
        Ok(Self(ArcSwap::from_pointee(members(providers)?)))
    }

    /// From here on these, instead of those there were. A provider that keeps
    /// the key of an open epoch must stay, as retiring: that is for the caller
    /// to see to.
    pub fn replace(&self, by: Self) {
        self.0.store(by.0.load_full());
    }

    /// What destroying an epoch is worth that has its key in all of them: the
    /// least of them.
    pub fn assurance(&self) -> Assurance {
        let worst = self.iter().map(|provider| provider.assurance()).max();
        worst.unwrap_or(Assurance::BestEffort)
    }

    /// What destroying an epoch is worth that has its keys in these kinds: the
    /// least of them, and of a kind that is not configured nothing better than
    /// [`Assurance::BestEffort`].
    pub fn assurance_of<'a>(&self, kinds: impl Iterator<Item = &'a str>) -> Assurance {
        let worth = |kind| {
            let provider = self.of_kind(kind);
            provider.map_or(Assurance::BestEffort, |one| one.assurance())
        };
        kinds.map(worth).max().unwrap_or(Assurance::BestEffort)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Arc<dyn KeyProvider>> + use<> {
        let members = self.0.load();
        let all: Vec<_> = members.iter().map(|m| Arc::clone(&m.provider)).collect();
        all.into_iter()
    }

    /// Those that take new epochs.
    pub fn taking(&self) -> impl Iterator<Item = Arc<dyn KeyProvider>> + use<> {
        let members = self.0.load();
        let taking = members.iter().filter(|m| !m.retiring);
        let taking: Vec<_> = taking.map(|m| Arc::clone(&m.provider)).collect();
        taking.into_iter()
    }

    /// The provider of that kind, if it is configured.
    pub fn of_kind(&self, kind: &str) -> Option<Arc<dyn KeyProvider>> {
        self.iter().find(|provider| provider.kind() == kind)
    }

    /// Makes an epoch's key in each that takes new ones and wraps its master
    /// key under each: kind, name, wrapped. Each wrap is opened again before it
    /// counts, since the epoch's data would die with one that does not. Where
    /// one fails, what was made is destroyed again.
    pub fn wrap_new(
        &self,
        epoch: u32,
        context: &WrapContext,
        master: &MasterKey,
    ) -> Result<Vec<(&'static str, String, Vec<u8>)>> {
        let mut made = Vec::new();
        for provider in self.taking() {
            match wrap_in(&*provider, epoch, context, master) {
                Ok((name, wrapped)) => made.push((provider.kind(), name, wrapped)),
                Err(error) => {
                    for (kind, name, _) in made {
                        if let Err(why) = self.destroy(kind, &name) {
                            tracing::warn!(kind, name, %why, "a key stays that wraps nothing");
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Unwraps a master key by the first provider that can: `keys` are kind,
    /// name, wrapped. Where none can: that one cannot be reached now if that is
    /// so, else the last refusal.
    pub fn unwrap_any<'a>(
        &self,
        context: &WrapContext,
        keys: impl Iterator<Item = (&'a str, &'a str, &'a [u8])>,
    ) -> Result<MasterKey> {
        let mut refusal = Error::Setup(format!(
            "epoch {} is kept by a key provider that is not configured; add it",
            context.epoch
        ));
        for (kind, name, wrapped) in keys {
            let Some(provider) = self.of_kind(kind) else {
                continue;
            };
            match provider.unwrap(name, context, wrapped) {
                Ok(master) => return Ok(master),
                Err(error) => {
                    tracing::warn!(
                        kind,
                        name,
                        reason = error.reason(),
                        "an epoch's key does not open"
                    );
                    if !matches!(refusal, Error::Unavailable(_)) {
                        refusal = error;
                    }
                }
            }
        }
        Err(refusal)
    }

    /// Destroys a key of an epoch. Repeating it is harmless.
    pub fn destroy(&self, kind: &str, name: &str) -> Result<KeyState> {
        let provider = self.of_kind(kind).ok_or_else(|| {
            Error::Setup(format!(
                "the key {name} is kept by the provider {kind}, which is not configured; add it"
            ))
        })?;
        provider.destroy(name)
    }
}

fn wrap_in(
    provider: &dyn KeyProvider,
    epoch: u32,
    context: &WrapContext,
    master: &MasterKey,
) -> Result<(String, Vec<u8>)> {
    let name = provider.create(context.deployment, epoch)?;
    let wrapped = wrap_and_look(provider, &name, context, master);
    if wrapped.is_err()
        && let Err(why) = provider.destroy(&name)
    {
        tracing::warn!(kind = provider.kind(), name, %why, "a key stays that wraps nothing");
    }
    Ok((name, wrapped?))
}

fn wrap_and_look(
    provider: &dyn KeyProvider,
    name: &str,
    context: &WrapContext,
    master: &MasterKey,
) -> Result<Vec<u8>> {
    let wrapped = provider.wrap(name, context, master)?;
    if provider.unwrap(name, context, &wrapped)?.is(master) {
        return Ok(wrapped);
    }
    let kind = provider.kind();
    tracing::error!(
        kind,
        name,
        "a key provider opens something else than it sealed"
    );
    Err(Error::Unavailable(Unavailable::KeyProvider))
}
