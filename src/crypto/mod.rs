//! Sealing: pure and synchronous. It knows keys, places and bytes, and nothing
//! of customers' rows, policies or the network.

pub mod body;
mod chunks;
pub mod context;
pub mod derive;
pub mod index;
pub mod label;
pub mod mac;
pub mod manifest;
pub mod message;
mod random;
pub mod record;
pub mod tree;

pub use body::{FieldRef, GroupRef, RecordBody};
pub use context::{ManifestContext, MessageContext, RecordContext, WrapContext};
pub use derive::Prk;
pub use label::{KeyKind, Label};
pub use mac::MacKey;
pub use manifest::ManifestKey;
pub use random::{random_bytes, random_key};
pub use record::{GroupOpener, RecordKey, SealedField, SealedGroup};
pub use tree::{
    FieldKey, FieldKeys, IdentityKey, IdentityKeys, IndexPageKey, IndexPageKeys, MasterKey,
    PageKey, TenantKey, TenantKeys,
};

use std::fmt;

/// The format's version: first byte of every message and record body.
pub const VERSION: u8 = 1;
/// HKDF-Expand-SHA-512 with AEAD_AES_256_GCM: second byte of the same.
pub const SUITE: u8 = 1;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 24;
/// Bytes of a commitment.
pub const COMMITMENT_BYTES: usize = 32;

/// Which vault this is: 16 random bytes, drawn when it is set up and part of
/// every context, so that nothing opens in another deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deployment(pub [u8; 16]);

/// Something does not open where it stands. One error for every cause, so that
/// it tells nothing about which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotOpen;

impl fmt::Display for DoesNotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("does not open")
    }
}

impl std::error::Error for DoesNotOpen {}
