//! The manifest of a record: a MAC over the record's place and revision and
//! every field's number with its group's commitment. It is checked on every
//! read, so a field that was removed, added or put back is seen.

use super::DoesNotOpen;
use super::body::RecordBody;
use super::context::ManifestContext;
use super::mac::{MacKey, mac, same};
use crate::secret::Key32;

/// The key of a customer's manifests in one generation. Made only by the key
/// tree.
pub struct ManifestKey(MacKey);

impl ManifestKey {
    pub(super) fn new(key: Key32) -> Self {
        Self(MacKey::new(key))
    }
}

/// The manifest of `body` as it stands at `context`.
pub fn manifest(key: &ManifestKey, context: &ManifestContext, body: &RecordBody<'_>) -> [u8; 32] {
    let commitments = body.commitments();
    let mut fields = Vec::with_capacity(commitments.len() * 34);
    for (number, commitment) in commitments {
        fields.extend(number.0.to_be_bytes());
        fields.extend(commitment);
    }
    mac(&key.0, &[&context.bytes(), &fields])
}

/// Checks that `stored` is the manifest of `body` at `context`, in constant time.
pub fn verify_manifest(
    key: &ManifestKey,
    context: &ManifestContext,
    body: &RecordBody<'_>,
    stored: &[u8],
) -> Result<(), DoesNotOpen> {
    same(&manifest(key, context, body), stored)
}
