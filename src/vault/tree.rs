//! The log's tree of hashes, taken up behind the calls.

use super::Vault;
use crate::audit::{Fact, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::Result;
use crate::keys::signing::PublicKey;

impl Vault {
    /// The key that signs the log's checkpoints, for certificates that refer to
    /// them; known once, at start.
    pub fn log_signed_by(&self, key: &PublicKey) {
        // It is one key for as long as the process runs.
        let _known = self.0.log_key.set(key.clone());
    }

    /// Writes down which calls ended without an entry, now that there is room
    /// for one again.
    pub async fn tell_unwritten(&self) -> Result<()> {
        let calls = self.0.log.take_unwritten();
        if calls.is_empty() {
            return Ok(());
        }
        let call = self.0.log.begin("Unwritten", None, Instant::now());
        let mut leaf = Leaf::new(Verdict::Failed, "AUDIT_WRITE_FAILED");
        leaf.count = calls.iter().map(|(first, last)| last - first + 1).sum();
        leaf.fact = Some(Fact::Unwritten {
            calls: calls.clone(),
        });
        let told = self.record_plain(&call, &leaf, ()).await;
        if told.is_err() {
            self.0.log.keep_unwritten(calls);
        }
        told.map(|_| ())
    }
}
