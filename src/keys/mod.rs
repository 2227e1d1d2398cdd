//! Where provider keys are kept. A provider key wraps one epoch's master key
//! and is asked only at unseal and when epochs change, never by a read.

pub mod file;

use crate::crypto::{MasterKey, WrapContext};
use crate::error::Result;

/// What the destruction of a provider key is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assurance {
    /// Destroyed inside a hardware security module.
    Hsm,
    /// Destroyed by a key service, on its word.
    Provider,
    /// Overwritten and unlinked; a copy may survive on the medium.
    BestEffort,
}

/// Keeps one key an epoch.
pub trait KeyProvider: Send + Sync {
    /// The kind, as configuration names it.
    fn kind(&self) -> &'static str;

    /// What destroying one of its keys is worth.
    fn assurance(&self) -> Assurance;

    /// Makes the key of an epoch; answers the provider's name for it. Refuses
    /// where the epoch has one.
    fn create(&self, epoch: u32) -> Result<String>;

    /// Wraps a master key under the key of that name.
    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>>;

    /// Unwraps what [`KeyProvider::wrap`] made.
    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey>;
}
