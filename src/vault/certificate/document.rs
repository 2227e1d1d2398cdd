//! An erasure certificate as a stranger reads it: JSON in one form only, that
//! of RFC 8785, signed with Ed25519. It names nobody: whom it is about is a
//! MAC under a salt, and the opening that explains it goes with the person's
//! own copy and is not kept.

use crate::clock::Day;
use crate::crypto::certificate::subject;
use crate::error::{Error, Result};
use crate::keys::signing::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the document is.
pub const FORM: &str = "oubliette.v1/erasure-certificate";
/// What stands before the canonical bytes when they are signed: the vault's
/// key signs other things too.
const DOMAIN: &[u8] = b"oubliette.v1/erasure-certificate\0";

/// How far the erasure has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reached {
    /// Something is held: it is kept, and not used. The rest is in the parts.
    #[serde(rename = "L0")]
    Restricted,
    /// The keys are destroyed: nothing can be read.
    #[serde(rename = "L2")]
    Shredded,
    /// Ciphertext and index rows are gone.
    #[serde(rename = "L3")]
    Purged,
    /// The key epoch is destroyed: no backup brings anything back.
    #[serde(rename = "L4")]
    Closed,
}

impl Reached {
    /// The levels of a whole erasure, in the order in which they are reached.
    pub const STEPS: [Self; 3] = [Self::Shredded, Self::Purged, Self::Closed];

    /// "L0", "L2" to "L4".
    pub fn name(self) -> &'static str {
        match self {
            Self::Restricted => "L0",
            Self::Shredded => "L2",
            Self::Purged => "L3",
            Self::Closed => "L4",
        }
    }
}

/// What is certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORM`].
    pub form: String,
    /// The vault: its deployment's id, in hexadecimal.
    pub vault: String,
    /// Whose customer it was.
    pub tenant: String,
    /// Whom it is about: see [`Opening`].
    pub subject: String,
    /// SHA-256 of the certificate's own name.
    pub name_sha256: String,
    /// 1 for the first; one more each time that a further level is reached.
    pub issue: u32,
    /// The day of this issue.
    pub issued: String,
    /// The level reached.
    pub level: Reached,
    /// When each level was reached, in order.
    pub events: Vec<Event>,
    /// The keys that were destroyed.
    pub keys: Vec<KeyGone>,
    /// SHA-256 of all of them as they were stored, identity key first: the log
    /// says the same.
    pub fingerprint: String,
    /// The key epoch that backups depend on.
    pub epoch: EpochOf,
    /// What was there, and how much of it is gone.
    pub records: Records,
    /// What is kept, and by which law.
    pub exceptions: Vec<Exception>,
    /// What was erased before the rest, oldest first: while something is held,
    /// the level is L0 and only these are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Who had read the data and was told of the erasure.
    pub recipients: Vec<Recipient>,
    /// That the audit log holds the erasure; null until a checkpoint covers it,
    /// which takes a second or two.
    pub log: Option<LogProof>,
}

/// A level was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Which.
    pub level: Reached,
    /// On which day, UTC.
    pub day: String,
}

/// A destroyed key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGone {
    /// `identity/{number}` or `field/{number}/{generation}`. The number is the
    /// vault's own and says nothing of the customer.
    pub key: String,
    /// SHA-256 of the wrapped key.
    pub sha256: String,
}

/// The epoch of an erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochOf {
    /// From 1.
    pub number: u32,
    /// What its destruction is worth: `hsm`, `provider`, `scheduled` or
    /// `best-effort`.
    pub assurance: String,
    /// Whether its keys are destroyed.
    pub destroyed: bool,
    /// The day on which L4 completes: expected while it is open; null where
    /// epochs are closed by hand.
    pub final_by: Option<String>,
}

/// How many records there were, and how many are purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// When the erasure began.
    pub there_were: u64,
    /// Ciphertext deleted so far.
    pub purged: u64,
}

/// Something that was not erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// What: a record type or `type.field`.
    pub what: String,
    /// The legal code, of the Data Privacy Vocabulary.
    pub code: String,
    /// Who demands it, where somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// What was erased while the rest was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What, by the catalog's names: record types, or `type.field`.
    pub what: Vec<String>,
    /// L3: keys destroyed, ciphertext deleted; L4: the epoch is destroyed too.
    pub level: Reached,
    /// The day on which the keys were destroyed.
    pub day: String,
    /// The newest generation of field keys that was destroyed.
    pub generation: u32,
    /// How many keys were.
    pub keys: u64,
    /// SHA-256 of them as they were stored, oldest first: the log says the
    /// same.
    pub fingerprint: String,
    /// The key epoch that backups depend on.
    pub epoch: EpochOf,
    /// That the audit log holds it; null until a checkpoint covers it.
    pub log: Option<LogProof>,
}

/// A service that had read the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// Which.
    pub service: String,
    /// Whether it acknowledged.
    pub acknowledged: bool,
}

/// That the log holds the erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogProof {
    /// The log's public key, as in C2SP signed-note.
    pub key: String,
    /// The shred's entry, the path to the root and the signed checkpoint
    /// (c2sp.org/tlog-proof).
    pub proof: String,
}

/// What explains a certificate to whom it is about. Not signed, but the
/// certificate commits to it; without it the certificate names nobody.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// `certificates/{id}`: finds the certificate in the vault, for whoever has
    /// it.
    pub certificate: String,
    /// The caller's id of the customer.
    pub customer: String,
    /// The salt of the subject, in hexadecimal.
    pub salt: String,
}

/// A certificate with its signature: the file.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is certified.
    pub certificate: Certificate,
    /// Who certifies it: a public key as in C2SP signed-note.
    pub key: String,
    /// Ed25519 over `oubliette.v1/erasure-certificate`, a zero byte and the
    /// certificate's canonical bytes; in hexadecimal.
    pub signature: String,
    /// Whom it is about, in the person's own copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
}

/// `YYYY-MM-DD`.
pub fn day_text(day: Day) -> String {
    let (year, month, day) = day.civil();
    format!("{year:04}-{month:02}-{day:02}")
}

/// SHA-256 in hexadecimal.
pub fn sha256_text(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The canonical form of a document (RFC 8785).
pub fn canonical(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(document)
        .map_err(|_| Error::Internal("a document has no canonical form"))
}

/// What is signed.
pub fn signed_bytes(certificate: &Certificate) -> Result<Vec<u8>> {
    Ok([DOMAIN, &canonical(certificate)?].concat())
}

impl Certificate {
    /// Signs it.
    pub fn sign(self, key: &SigningKey) -> Result<Signed> {
        let signature = key.sign(&signed_bytes(&self)?);
        Ok(Signed {
            certificate: self,
            key: key.public().to_string(),
            signature: hex::encode(signature),
            opening: None,
        })
    }
}

impl Opening {
    /// Whether this is whom the certificate is about, and the certificate's own
    /// name.
    pub fn fits(&self, certificate: &Certificate) -> bool {
        let mut salt = [0; 32];
        let is_salt = hex::decode_to_slice(&self.salt, &mut salt).is_ok();
        let told = subject(&salt, &certificate.tenant, &self.customer);
        is_salt
            && hex::encode(told) == certificate.subject
            && hex::encode(salt) == self.salt
            && sha256_text(self.certificate.as_bytes()) == certificate.name_sha256
    }
}
