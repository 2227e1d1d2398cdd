//! That the audit log holds an erasure: a proof that stands by itself
//! (c2sp.org/tlog-proof), of an entry that says the same as the certificate.

use super::document::{Certificate, LogProof};
use crate::audit::proof::check;
use crate::keys::signing::PublicKey;
use serde_json::Value;

/// Whether a proof shows that the log holds the erasure of this certificate.
pub fn holds(log: &LogProof, certificate: &Certificate) -> bool {
    let key = PublicKey::parse(&log.key).filter(|key| key.to_string() == log.key);
    let proven = key.and_then(|key| check(&log.proof, &key).ok());
    proven.is_some_and(|proven| says_the_same(&proven.entry, certificate))
}

/// Whether the entry is of the shred that the certificate tells of.
fn says_the_same(entry: &[u8], certificate: &Certificate) -> bool {
    let Ok(entry) = serde_json::from_slice::<Value>(entry) else {
        return false;
    };
    let text = |at: &str| entry.pointer(at).and_then(Value::as_str);
    let epoch = entry
        .pointer("/fact/shredded/epoch")
        .and_then(Value::as_u64);
    text("/verdict") == Some("shredded")
        && text("/fact/shredded/keys") == Some(&certificate.fingerprint)
        && epoch == Some(u64::from(certificate.epoch.number))
}
