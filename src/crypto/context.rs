//! Where a ciphertext belongs. A context has one byte form: label, version,
//! suite, then fixed-width big-endian numbers, so that no two places share it
//! and nothing opens anywhere else. None is longer than 102 bytes: with the
//! 72 bytes of label and salt before it and the digest that HKDF puts in
//! front, that is two SHA-512 blocks.

use super::label::{KeyKind, Label};
use super::{Deployment, SUITE, VERSION};

/// Where a group of fields stands, and as what it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordContext {
    /// The deployment.
    pub deployment: Deployment,
    /// The tenant's number.
    pub tenant: u32,
    /// The customer's number.
    pub customer: u64,
    /// The generation of the field key.
    pub generation: u32,
    /// The record type's number.
    pub record_type: u16,
    /// The record's number within its customer.
    pub record: u64,
    /// The version of the record type that the group was written under.
    pub schema_version: u32,
    /// The record's revision that wrote the group.
    pub revision: u64,
}

/// Where a wrapped key stands. Numbers that a kind of key does not have are 0;
/// the kind itself is added by the key's own type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapContext {
    /// The deployment.
    pub deployment: Deployment,
    /// The tenant's number: keys of a tenant, a customer or an index page.
    pub tenant: u32,
    /// The customer's number: identity and field keys.
    pub number: u64,
    /// The generation: field keys.
    pub generation: u32,
    /// The page: page keys, and the keys that one wraps.
    pub page: u64,
    /// How often the page got a new key: page keys, and the keys under one.
    pub page_generation: u32,
    /// The epoch: master keys, and the keys that one wraps. 0 for identity and
    /// field keys, since a clean page's rows outlive its epoch as they are.
    pub epoch: u32,
}

/// Where any other sealed value stands. What `number` and `extra` are for each
/// label is in `docs/FORMAT.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageContext {
    /// The deployment.
    pub deployment: Deployment,
    /// What the value is.
    pub label: Label,
    /// The tenant's number.
    pub tenant: u32,
    /// The customer's number; 0 where the value belongs to none.
    pub customer: u64,
    /// Which of them: a record, an index page, an entry.
    pub number: u64,
    /// A second number, where one is not enough.
    pub extra: u64,
}

/// Where a manifest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestContext {
    /// The deployment.
    pub deployment: Deployment,
    /// The tenant's number.
    pub tenant: u32,
    /// The customer's number.
    pub customer: u64,
    /// The record type's number.
    pub record_type: u16,
    /// The record's number within its customer.
    pub record: u64,
    /// The record's revision.
    pub revision: u64,
}

/// Longest context.
const LONGEST: usize = 57;

fn start(label: Label, deployment: Deployment) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LONGEST);
    bytes.extend([label as u8, VERSION, SUITE]);
    bytes.extend(deployment.0);
    bytes
}

impl RecordContext {
    /// The canonical bytes, 57 of them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = start(Label::Record, self.deployment);
        bytes.extend(self.tenant.to_be_bytes());
        bytes.extend(self.customer.to_be_bytes());
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.record_type.to_be_bytes());
        bytes.extend(self.record.to_be_bytes());
        bytes.extend(self.schema_version.to_be_bytes());
        bytes.extend(self.revision.to_be_bytes());
        bytes
    }
}

impl WrapContext {
    /// The canonical bytes for a key of this kind, 52 of them.
    pub fn bytes(&self, kind: KeyKind) -> Vec<u8> {
        let mut bytes = start(Label::Wrap, self.deployment);
        bytes.push(kind as u8);
        bytes.extend(self.tenant.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.page.to_be_bytes());
        bytes.extend(self.page_generation.to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes
    }
}

impl MessageContext {
    /// The canonical bytes, 47 of them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = start(self.label, self.deployment);
        bytes.extend(self.tenant.to_be_bytes());
        bytes.extend(self.customer.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.extra.to_be_bytes());
        bytes
    }
}

impl ManifestContext {
    /// The canonical bytes, 49 of them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = start(Label::Manifest, self.deployment);
        bytes.extend(self.tenant.to_be_bytes());
        bytes.extend(self.customer.to_be_bytes());
        bytes.extend(self.record_type.to_be_bytes());
        bytes.extend(self.record.to_be_bytes());
        bytes.extend(self.revision.to_be_bytes());
        bytes
    }
}
