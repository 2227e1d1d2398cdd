//! Where provider keys are kept. A provider key wraps one epoch's master key
//! and is asked only at unseal and when epochs change, never by a read. Beside
//! them, the keys that sign what strangers check.

pub mod file;
pub mod lock;
pub mod note;
pub mod pkcs11;
mod providers;
mod secret_file;
pub mod signing;
pub mod transit;
mod worker;

pub use lock::{HeldBy, Needs};
pub use providers::Providers;
pub use secret_file::secret_in;
pub(crate) use transit::authorities;

use crate::clock::Day;
use crate::crypto::{Deployment, MasterKey, WrapContext};
use crate::error::{Error, Result};
use crate::secret::SecretText;

/// What the destruction of a provider key is worth, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// Destroyed inside a hardware security module.
    Hsm,
    /// Destroyed by a key service, on its word.
    Provider,
    /// Destruction is scheduled and can be called off until then.
    Scheduled,
    /// Overwritten and unlinked; a copy may survive on the medium.
    BestEffort,
}

impl Assurance {
    /// Its word in the log, in certificates and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hsm => "hsm",
            Self::Provider => "provider",
            Self::Scheduled => "scheduled",
            Self::BestEffort => "best-effort",
        }
    }
}

/// What a provider says of one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It wraps and unwraps.
    Usable,
    /// It does neither, and is destroyed at the end of that day; until then
    /// somebody with rights over the provider can call it back.
    Scheduled(Day),
    /// It is gone.
    Gone,
}

/// Keeps one key an epoch. Every method blocks, within the provider's own
/// limit of time: call it outside the runtime. One that cannot be reached is
/// [`crate::error::Unavailable::KeyProvider`].
pub trait KeyProvider: Send + Sync {
    /// The kind, as configuration names it. An epoch has at most one key of
    /// each kind.
    fn kind(&self) -> &'static str;

    /// What destroying one of its keys is worth.
    fn assurance(&self) -> Assurance;

    /// Makes the key of a deployment's epoch; answers the provider's name for
    /// it. Refuses where the epoch has one.
    fn create(&self, deployment: Deployment, epoch: u32) -> Result<String>;

    /// Wraps a master key under the key of that name.
    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>>;

    /// Unwraps what [`KeyProvider::wrap`] made.
    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey>;

    /// Destroys the key of that name, or schedules it; answers what the
    /// provider says of it afterwards, asked anew. Repeating it is harmless.
    fn destroy(&self, name: &str) -> Result<KeyState>;

    /// What the provider says of the key of that name now.
    fn state(&self, name: &str) -> Result<KeyState>;

    /// Names of this deployment's keys of epochs above `newest`: what a crash
    /// left behind between making a key and noting it. They protect nothing
    /// and may be destroyed.
    fn stray(&self, deployment: Deployment, newest: u32) -> Result<Vec<String>>;

    /// What people must give before it opens anything; `None` where it needs
    /// nobody, or has been given enough.
    fn needs(&self) -> Option<Needs> {
        None
    }

    /// Takes a passphrase or a share of its lock.
    fn unlock(&self, _piece: &SecretText) -> Result<()> {
        Err(Error::Setup(
            "this key provider has no lock; it needs nobody to open it".to_owned(),
        ))
    }

    /// Lets go of what it has in memory.
    fn lock(&self) {}
}

/// The name of a deployment's epoch key in a provider that several vaults may
/// share, so that none takes another's key for its own.
fn shared_name(deployment: Deployment, epoch: u32) -> String {
    format!("oubliette-{}-{epoch:08}", hex::encode(deployment.0))
}

/// The epoch of a name that [`shared_name`] made for this deployment.
fn epoch_of(deployment: Deployment, name: &str) -> Option<u32> {
    let digits = name.rsplit_once('-')?.1;
    let epoch = digits.parse().ok()?;
    (shared_name(deployment, epoch) == name).then_some(epoch)
}
