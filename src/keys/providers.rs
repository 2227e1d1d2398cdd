//! The providers that a vault is configured with. An epoch opens with the key
//! of any one of them and is closed when the keys of all are destroyed.

use super::{Assurance, KeyProvider, KeyState};
use crate::crypto::{MasterKey, WrapContext};
use crate::error::{Error, Result};

/// One provider or several, each of another kind.
pub struct Providers(Vec<Box<dyn KeyProvider>>);

impl Providers {
    /// At least one provider, no kind twice.
    pub fn new(providers: Vec<Box<dyn KeyProvider>>) -> Result<Self> {
        let mut kinds: Vec<&str> = providers.iter().map(|one| one.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if providers.is_empty() || kinds.len() < providers.len() {
            return Err(Error::Setup(
                "configure one key provider, or several of different kinds".to_owned(),
            ));
        }
        Ok(Self(providers))
    }

    /// What destroying an epoch is worth: the least of them.
    pub fn assurance(&self) -> Assurance {
        let worst = self.0.iter().map(|provider| provider.assurance()).max();
        worst.unwrap_or(Assurance::BestEffort)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &dyn KeyProvider> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The provider of that kind, if it is configured.
    pub fn of_kind(&self, kind: &str) -> Option<&dyn KeyProvider> {
        self.iter().find(|provider| provider.kind() == kind)
    }

    /// Makes an epoch's key in each and wraps its master key under each:
    /// kind, name, wrapped.
    pub fn wrap_new(
        &self,
        epoch: u32,
        context: &WrapContext,
        master: &MasterKey,
    ) -> Result<Vec<(&'static str, String, Vec<u8>)>> {
        let made = self.iter().map(|provider| {
            let name = provider.create(epoch)?;
            let wrapped = provider.wrap(&name, context, master)?;
            Ok((provider.kind(), name, wrapped))
        });
        made.collect()
    }

    /// Unwraps a master key by the first provider that can: `keys` are kind,
    /// name, wrapped. The last refusal where none can.
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
                Err(error) => refusal = error,
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
