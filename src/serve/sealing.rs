//! The log sealed behind the calls, and anchored outside where that is
//! configured.

use super::anchoring::Anchors;
use crate::audit::Sealer;
use crate::audit::anchor::Shown;
use crate::config::Config;
use crate::error::Result;
use crate::keys::signing::PublicKey;
use crate::limits;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::vault::Vault;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

/// Seals the log of a vault.
pub struct Sealing {
    sealer: Sealer,
    anchors: Anchors,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    trouble: watch::Sender<Option<&'static str>>,
}

impl Sealing {
    /// Takes up the log where it stands, and holds it against its anchors. The
    /// log is not written to.
    ///
    /// # Errors
    /// [`crate::error::Error::Setup`] where the log does not fit its newest
    /// checkpoint, or, in strict mode, an anchor.
    pub async fn open(
        config: &Config,
        store: &Arc<dyn Store>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self> {
        let (store, key) = (Arc::clone(store), &config.signing.log);
        let sealer = Sealer::open(Arc::clone(&store), &config.trust_domain, key).await?;
        let anchors = Anchors::new(&config.audit, metrics)?;
        anchors.hold(&sealer.shown()).await?;
        Ok(Self {
            sealer,
            anchors,
            store,
            metrics: Arc::clone(metrics),
            trouble: watch::Sender::new(None),
        })
    }

    /// The log's public key.
    pub fn key(&self) -> &PublicKey {
        self.sealer.key()
    }

    /// Why the vault must not call itself ready, as a word; now and later.
    pub fn trouble(&self) -> watch::Receiver<Option<&'static str>> {
        self.trouble.subscribe()
    }

    /// Seals the log of `vault` until `last` is dropped, and then once more.
    pub async fn run(mut self, vault: Vault, mut last: oneshot::Receiver<()>) {
        let (logs, log) = watch::channel(self.sealer.shown());
        let store = Arc::clone(&self.store);
        let (unwitnessed, witnessing) = self.anchors.witness(log, store);
        let mut look = tokio::time::interval(limits::SEAL_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = &mut last => true,
                _ = look.tick() => false,
            };
            if !vault.is_sound() {
                return;
            }
            let trouble = self.seal(&vault, &logs).await;
            let trouble = trouble.or(*unwitnessed.borrow());
            self.trouble.send_if_modified(|known| {
                let is_new = *known != trouble;
                *known = trouble;
                is_new
            });
            if is_last {
                break;
            }
        }
        drop(logs);
        // It ends by itself after one last round.
        let _ = witnessing.await;
    }

    async fn seal(&mut self, vault: &Vault, logs: &watch::Sender<Shown>) -> Option<&'static str> {
        if vault.tell_unwritten().await.is_err() {
            tracing::warn!("calls without an audit entry are not written down yet");
        }
        match self.sealer.catch_up().await {
            Ok(size) => self.metrics.sealed(size),
            Err(error) => {
                self.metrics.seal_failures.inc();
                tracing::error!(reason = error.reason(), "the log is not sealed");
                return Some("log_not_sealed");
            }
        }
        let log = self.sealer.shown();
        let trouble = self.anchors.leave(&log).await;
        logs.send_replace(log);
        trouble
    }
}
