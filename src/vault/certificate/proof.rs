//! That the audit log holds an erasure: the leaf, the path from it to a root,
//! and the log's signature over that root.

use super::document::{Certificate, LogProof};
use crate::audit::merkle::{Hash, includes, leaf_hash};
use crate::keys::signing::PublicKey;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// What the log has signed.
struct Root {
    size: u64,
    root: Hash,
}

/// Reads a checkpoint (C2SP tlog-checkpoint) that `key` has signed.
fn checkpoint(text: &str, key: &PublicKey) -> Option<Root> {
    let (body, signatures) = text.split_once("\n\n")?;
    let mut lines = body.lines();
    let origin = lines.next()?;
    let size: u64 = lines.next()?.parse().ok()?;
    let root = BASE64_STANDARD.decode(lines.next()?).ok()?;
    let start = format!("\u{2014} {} ", key.name());
    let line = signatures.lines().find_map(|l| l.strip_prefix(&start))?;
    let signature = BASE64_STANDARD.decode(line).ok()?;
    let (id, signature) = signature.split_first_chunk::<4>()?;
    let is_signed = key
        .verify(format!("{body}\n").as_bytes(), signature)
        .is_ok();
    let root = Root {
        size,
        root: root.try_into().ok()?,
    };
    (origin == key.name() && *id == key.id() && is_signed).then_some(root)
}

/// Whether a proof shows that the log holds the erasure of this certificate.
pub fn holds(proof: &LogProof, certificate: &Certificate) -> bool {
    shown(proof).is_some_and(|()| says_the_same(&proof.leaf, certificate))
}

fn shown(proof: &LogProof) -> Option<()> {
    let key = PublicKey::parse(&proof.key).filter(|key| key.to_string() == proof.key)?;
    let Root { size, root } = checkpoint(&proof.checkpoint, &key)?;
    let path = proof.path.iter().map(|node| {
        let mut hash = Hash::default();
        hex::decode_to_slice(node, &mut hash).ok()?;
        (hex::encode(hash) == *node).then_some(hash)
    });
    let path: Option<Vec<Hash>> = path.collect();
    let leaf = leaf_hash(proof.leaf.as_bytes());
    includes(&leaf, proof.index, size, &path?, &root).then_some(())
}

/// Whether the leaf is of the shred that the certificate tells of.
fn says_the_same(leaf: &str, certificate: &Certificate) -> bool {
    let Ok(leaf) = serde_json::from_str::<Value>(leaf) else {
        return false;
    };
    let field = |name: &str| leaf.pointer(name);
    field("/verdict").and_then(Value::as_str) == Some("shredded")
        && field("/fact/shredded/keys").and_then(Value::as_str) == Some(&certificate.fingerprint)
        && field("/fact/shredded/epoch").and_then(Value::as_u64)
            == Some(u64::from(certificate.epoch.number))
}
