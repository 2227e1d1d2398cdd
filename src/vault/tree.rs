//! The log's tree of hashes, taken up behind the calls.

use super::Vault;
use crate::audit::{Fact, Leaf, Sealer, Verdict, checkpoint};
use crate::clock::Instant;
use crate::error::Result;
use crate::keys::signing::SigningKey;
use std::sync::Arc;

impl Vault {
    /// What the log is known by outside (C2SP tlog-checkpoint): one name for
    /// each deployment of a trust domain.
    pub fn log_origin(&self, trust_domain: &str) -> String {
        checkpoint::origin(trust_domain, self.0.keyring.deployment())
    }

    /// Takes up the log's tree; `key` has the log's origin for a name.
    pub async fn sealer(&self, key: SigningKey) -> Result<Sealer> {
        // It is one key for as long as the process runs.
        let _known = self.0.log_key.set(key.public().clone());
        Sealer::open(Arc::clone(&self.0.store), key).await
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
