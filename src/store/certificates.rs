//! The room of erasure certificates: what is kept of each, and what they are
//! made from.

use super::Pending;
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;

/// A new certificate.
#[derive(Clone)]
pub struct NewCertificate {
    /// How it is found by whoever has its id.
    pub handle: [u8; 16],
    /// What is kept of it, sealed under its id.
    pub body: Vec<u8>,
    /// Whose erasure it is about.
    pub customer: CustomerNumber,
    /// The epoch of the erasure.
    pub epoch: u32,
    /// Its id, sealed under that epoch's note key.
    pub sealed_id: Vec<u8>,
}

/// The certificate of an erasure that is about to happen: kept with the intent,
/// so that there is one whatever comes in between.
#[derive(Clone)]
pub struct IntendedCertificate {
    /// The epoch whose note key its id is sealed under: the newest.
    pub epoch: u32,
    /// Its id, sealed.
    pub sealed_id: Vec<u8>,
    /// The person's request that asks for the erasure; 0: none.
    pub request: u64,
    /// Handle and body, where it is a new one.
    pub new: Option<([u8; 16], Vec<u8>)>,
}

/// A key that a shred destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// 0 for the identity key, else the field key's generation.
    pub generation: u32,
    /// SHA-256 of the wrapped key.
    pub fingerprint: [u8; 32],
}

/// How far an erasure has come, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasureProgress {
    /// 1 intended, 2 shredded, 3 purged.
    pub level: u8,
    /// The number of the shred leaf; 0 before there is one.
    pub leaf: u64,
    /// How many records there were.
    pub records: u64,
    /// How many of them are purged.
    pub purged: u64,
    /// The day on which the purge was done; day 0 before.
    pub purged_day: Day,
}

/// Changes to certificates.
pub trait CertificateStore {
    /// `vault.db`: keeps a new certificate. False where that customer's erasure
    /// has one: look it up.
    fn add_certificate(&self, new: NewCertificate) -> Pending<bool>;
    /// `vault.db`: a certificate was issued anew. False where another was
    /// first.
    fn replace_certificate(&self, handle: [u8; 16], old: Vec<u8>, new: Vec<u8>) -> Pending<bool>;
    /// `vault.db`: the id of an erasure's certificate dies with that epoch.
    fn move_certificate_id(
        &self,
        customer: CustomerNumber,
        epoch: u32,
        sealed_id: Vec<u8>,
    ) -> Pending<()>;
    /// `vault.db`: forgets the ids of certificates of epochs before `epoch`:
    /// nothing opens them any more.
    fn forget_certificate_ids(&self, before: u32) -> Pending<usize>;
}

/// Reads of certificates and of what they say.
pub trait CertificateRows {
    /// `vault.db`: what is kept of a certificate.
    fn certificate(&mut self, handle: &[u8; 16]) -> Result<Option<Vec<u8>>>;
    /// `vault.db`: the id of the certificate of an erasure: epoch, sealed id.
    fn certificate_id(&mut self, customer: CustomerNumber) -> Result<Option<(u32, Vec<u8>)>>;
    /// `vault.db`: whose erasure a person's request asked for, while the id of its
    /// certificate is kept.
    fn erased_by_request(&mut self, request: u64) -> Result<Option<CustomerNumber>>;
    /// `vault.db`: how far an erasure has come.
    fn erasure_progress(&mut self, customer: CustomerNumber) -> Result<Option<ErasureProgress>>;
    /// `keys.db`: the keys that a shred destroyed, identity key first.
    fn destroyed_keys(&mut self, customer: CustomerNumber) -> Result<Vec<DestroyedKey>>;
}
