//! Copies that are kept elsewhere: backups of the data, backups of the keys,
//! the copy of the ledger; and how they come back. What a backup holds opens
//! only with the provider's keys, which are in none of them.

mod age_file;
pub mod attack;
mod data;
mod keys;
mod ledger;
mod manifest;
mod rebuild;

pub use age_file::{Identity, Recipient};
pub use data::{back_up_data, place_data};
pub use keys::{KeyBackups, KeysBackup, back_up_keys};
pub use ledger::{Head, LEDGER_FILE, Ledger, LedgerCopy};
pub use manifest::{Manifest, newest};
pub use rebuild::{Evidence, Rebuilt, open_packs, rebuild_keys, test_restore};

use crate::error::Error;
use std::path::Path;

fn failed(path: &Path, why: &std::io::Error) -> Error {
    Error::Setup(format!("{} cannot be used: {}", path.display(), why.kind()))
}
