//! What customers say of purposes: put on record in one transaction with the
//! state that every read asks. A no goes to the ledger of `keys.db` first, so
//! that no restore undoes it, then to `vault.db`, and only then is it answered:
//! a read that starts later sees it.

mod event;
mod history;
mod import;
mod receipt;
mod replay;
mod say;

pub use event::Event;
pub use history::{ConsentView, History, PurposeView};
pub use import::Imported;
pub use receipt::Receipt;
pub use say::Said;

use super::Vault;
use super::keyring::CustomerKeyring;
use crate::crypto::{ConsentKeys, Deployment};
use crate::error::{Error, Result};
use crate::keys::signing::SigningKey;
use event::Place;

impl Vault {
    /// The key that signs events and receipts. It is given once, at start.
    pub fn sign_with(&self, key: SigningKey) -> Result<()> {
        let given = self.0.signing.set(key);
        given.map_err(|_| Error::Internal("a second signing key"))
    }

    pub(in crate::vault) fn signing(&self) -> Result<&SigningKey> {
        let key = self.0.signing.get();
        key.ok_or(Error::Internal("no signing key"))
    }
}

fn place<'a>(deployment: Deployment, keys: &CustomerKeyring, of: &'a ConsentKeys) -> Place<'a> {
    Place {
        deployment,
        tenant: keys.tenant,
        customer: keys.customer,
        keys: of,
    }
}
