//! That the audit log holds an erasure: a proof that stands by itself
//! (c2sp.org/tlog-proof), of an entry that says the same as the certificate.

use super::document::{Certificate, LogProof, Part};
use crate::audit::proof::check;
use crate::keys::signing::PublicKey;
use serde_json::Value;

/// Whether a proof shows that the log holds the erasure of this certificate.
pub fn holds(log: &LogProof, certificate: &Certificate) -> bool {
    let of = (&*certificate.fingerprint, certificate.epoch.number);
    entry(log).is_some_and(|entry| {
        let verdict = entry.pointer("/verdict").and_then(Value::as_str);
        verdict == Some("shredded") && says(&entry, "/fact/shredded", of)
    })
}

/// Whether a proof shows that the log holds this erasure in part.
pub fn holds_part(log: &LogProof, part: &Part) -> bool {
    let of = (&*part.fingerprint, part.epoch.number);
    entry(log).is_some_and(|entry| {
        let newest = entry.pointer("/fact/shredded_in_part/generation");
        newest.and_then(Value::as_u64) == Some(u64::from(part.generation))
            && says(&entry, "/fact/shredded_in_part", of)
    })
}

/// The entry that a proof proves.
fn entry(log: &LogProof) -> Option<Value> {
    let key = PublicKey::parse(&log.key).filter(|key| key.to_string() == log.key)?;
    let proven = check(&log.proof, &key).ok()?;
    serde_json::from_slice(&proven.entry).ok()
}

/// Whether the entry's fact is of these keys and this epoch.
fn says(entry: &Value, fact: &str, (keys, epoch): (&str, u32)) -> bool {
    let of = |name: &str| entry.pointer(&format!("{fact}/{name}"));
    of("keys").and_then(Value::as_str) == Some(keys)
        && of("epoch").and_then(Value::as_u64) == Some(u64::from(epoch))
}
