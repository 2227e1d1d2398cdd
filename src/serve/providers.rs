//! The key providers that a configuration names, made; and made anew when it
//! changes, those that stay being kept as they are.

use super::reload::{Reload, fingerprint};
use crate::access::Access;
use crate::config::{Config, Keeper, Provider};
use crate::error::{Error, Result};
use crate::keys::file::FileProvider;
use crate::keys::pkcs11::Pkcs11Provider;
use crate::keys::transit::TransitProvider;
use crate::keys::{KeyProvider, Providers, aws_kms};
use crate::limits;
use crate::store::ApprovalAction;
use crate::vault::{Approved, Vault};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

/// Providers, each beside the configuration that it was made from.
pub(super) struct Built(Vec<(Provider, Arc<dyn KeyProvider>)>);

impl Built {
    /// Makes them all. None is asked for anything yet.
    pub(super) fn new(configured: &[Provider]) -> Result<Self> {
        Self(Vec::new()).changed(configured)
    }

    /// What a changed configuration comes to: a provider that is kept where it
    /// was is the same as before, with whatever it has in memory.
    pub(super) fn changed(&self, configured: &[Provider]) -> Result<Self> {
        let build = |one: &Provider| {
            let before = self.0.iter().find(|(old, _)| old.keeper == one.keeper);
            let provider = match before {
                Some((_, same)) => Arc::clone(same),
                None => make(&one.keeper)?,
            };
            Ok((one.clone(), provider))
        };
        configured
            .iter()
            .map(build)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The providers, for the vault.
    pub(super) fn providers(&self) -> Result<Providers> {
        let member =
            |(of, provider): &(Provider, Arc<dyn KeyProvider>)| (Arc::clone(provider), of.retiring);
        Providers::with_retiring(self.0.iter().map(member).collect())
    }
}

fn make(keeper: &Keeper) -> Result<Arc<dyn KeyProvider>> {
    Ok(match keeper {
        Keeper::File { directory } => Arc::new(FileProvider::new(directory)?),
        Keeper::Pkcs11(place) => Arc::new(Pkcs11Provider::new(place.clone())?),
        Keeper::Transit(place) => Arc::new(TransitProvider::new(place.clone())?),
        Keeper::AwsKms(place) => aws_kms::at(place.clone())?,
    })
}

/// Looks at the key providers for as long as the server runs. Where the vault
/// is to seal itself soon after they are gone, it looks more often.
pub(super) async fn keep(vault: Vault, access: Arc<Access>, without: Duration) {
    let mut look =
        interval((without / 4).clamp(limits::PROVIDER_LOOK_LEAST, limits::PROVIDER_LOOK));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let tenants = access.now().tenants().cloned().collect();
        if let Err(why) = vault.look_at_providers(without, tenants).await {
            tracing::warn!(%why, "the vault waits for its key providers");
        }
    }
}

/// Moves from one provider to another while serving: the configuration is read
/// anew, and its providers replace those that there were.
pub(super) struct Moving {
    file: PathBuf,
    built: Mutex<Built>,
    vault: Vault,
}

impl Moving {
    pub(super) fn new(file: PathBuf, built: Built, vault: Vault) -> Self {
        let built = Mutex::new(built);
        Self { file, built, vault }
    }
}

impl Moving {
    /// Where changing providers takes two people: that somebody approved of
    /// just this file. Once they have, SIGHUP takes it up.
    async fn approved(&self) -> Result<Approved> {
        let digest = fingerprint(&self.files());
        let part = digest.iter().take(6);
        let target = part.fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        let reason = "the configuration names other key providers; SIGHUP takes it up then";
        let (room, action) = (self.vault.approvals(), ApprovalAction::ChangeProviders);
        room.consume(action, target, "", reason).await
    }
}

impl Reload for Moving {
    fn name(&self) -> &'static str {
        "providers"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    fn reload(&self) -> Result<()> {
        let configured = Config::load(&self.file)?.providers;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let same = built.0.iter().map(|(of, _)| of).eq(&configured);
        if same {
            return Ok(());
        }
        let changed = built.changed(&configured)?;
        let runtime = Handle::try_current().map_err(|_| Error::Internal("no runtime"))?;
        let approved = runtime.block_on(self.approved())?;
        self.vault.replace_providers(changed.providers()?)?;
        *built = changed;
        runtime.block_on(self.vault.tell_providers(&approved))
    }
}
