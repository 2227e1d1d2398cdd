//! Sealing: pure and synchronous. It knows keys, places and bytes, and nothing
//! of rows, policies or the network. `docs/FORMAT.md` gives every byte of it.
//!
//! A provider key wraps master keys, a master key wraps page keys and tenants'
//! keys, a page key wraps the two keys of each of its customers ([`tree`]).
//! Fields are sealed in groups ([`record`], [`body`]) under a [`manifest`];
//! everything else is a [`message`]. Both are c2sp.org/chunked-encryption with
//! SHA-512 and AES-256-GCM, and open only in the [`context`] they were sealed
//! for. Nothing here takes a salt or a nonce; there is no trial decryption,
//! and every failure to open is the same [`DoesNotOpen`].
//!
//! # Which key does what
//!
//! No key has two uses. Each use has its own key, expanded from its parent:
//!
//! | parent | `info` | keys, in order |
//! | --- | --- | --- |
//! | master key | `oubliette.v1/master` | wrapping |
//! | master key | `oubliette.v1/master-notes` | notes |
//! | master key | `oubliette.v1/master-events` | events |
//! | identity key | `oubliette.v1/identity-requests` | requests |
//! | identity key | `oubliette.v1/identity-readers` | reader locator, reader row |
//! | identity key | `oubliette.v1/identity-origins` | origins |
//! | certificate id | `oubliette.v1/certificate` | handle, body |
//! | page key | `oubliette.v1/page` | wrapping |
//! | index page key | `oubliette.v1/index-page` | row tag, row body |
//! | tenant key | `oubliette.v1/tenant` | index, cursor |
//! | identity key | `oubliette.v1/identity` | state, record locator, audit tag, audit detail, history locator, history mask, ids, request digest |
//! | field key | `oubliette.v1/field` | record, manifest |
//!
//! `oubliette.v1/identity-2` is reserved for consent, handles and tokens. The
//! labels that contexts begin with are in [`label`].
//!
//! # What is wiped
//!
//! Keys ([`crate::secret::Key32`]), plaintexts, the derived blocks here, HMAC
//! states and AES-GCM ciphers are overwritten when dropped: `tests/wiping.rs`
//! drops each in place and reads the process's memory. Keys that live long are
//! on the heap, so that moving them leaves no copy. Not wiped: what `hmac`
//! puts on the stack while it readies a key (the padded key block) or finishes
//! (the inner digest), and registers and stack slots that the compiler spills;
//! later calls overwrite them. The short-lived cipher of one group or message
//! is on the stack and wiped there; a move may leave a copy.

pub mod body;
pub mod certificate;
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
pub mod shares;
pub mod tree;

pub use body::{FieldRef, GroupRef, RecordBody};
pub use certificate::{CertificateKey, CertificateKeys};
pub use context::{ManifestContext, MessageContext, RecordContext, WrapContext};
pub use derive::Prk;
pub use label::{KeyKind, Label};
pub use mac::MacKey;
pub use manifest::ManifestKey;
pub use random::{random_bytes, random_key};
pub use record::{GroupOpener, RecordKey, SealedField, SealedGroup};
pub use tree::{
    ConsentKeys, FieldKey, FieldKeys, IdentityKey, IdentityKeys, IndexPageKey, IndexPageKeys,
    MasterKey, PageKey, ReaderKeys, TenantKey, TenantKeys,
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

#[cfg(test)]
mod tests;
