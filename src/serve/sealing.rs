//! The log sealed behind the calls, and anchored outside where that is
//! configured.

use crate::audit::Sealer;
use crate::audit::anchor::{Anchor, Mode, Slipped};
use crate::error::Result;
use crate::keys::signing::SigningKey;
use crate::limits;
use crate::metrics::Metrics;
use crate::vault::Vault;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

/// Seals the log of a vault.
pub struct Sealing {
    sealer: Sealer,
    vault: Vault,
    anchor: Option<(Arc<Mutex<Anchor>>, Mode)>,
    metrics: Arc<Metrics>,
    trouble: watch::Sender<Option<&'static str>>,
}

impl Sealing {
    /// Takes up the log where it stands, and holds it against the anchor.
    ///
    /// # Errors
    /// [`crate::error::Error::Setup`] where the log does not fit its newest
    /// checkpoint, or, in strict mode, the anchor.
    pub async fn open(
        vault: &Vault,
        key: SigningKey,
        anchor: Option<&(PathBuf, Mode)>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self> {
        let sealer = vault.sealer(key).await?;
        let anchor = anchor.map(|(path, mode)| {
            let anchor = Anchor::new(path);
            (Arc::new(Mutex::new(anchor)), *mode)
        });
        let sealing = Self {
            sealer,
            vault: vault.clone(),
            anchor,
            metrics: Arc::clone(metrics),
            trouble: watch::Sender::new(None),
        };
        if let Some((anchor, mode)) = &sealing.anchor
            && let Some(slipped) = sealing.sealer.hold_against(anchor).await?
        {
            if *mode == Mode::Strict {
                return Err(slipped.refusal());
            }
            sealing.report(&slipped);
        }
        Ok(sealing)
    }

    /// Why the vault must not call itself ready, as a word; now and later.
    pub fn trouble(&self) -> watch::Receiver<Option<&'static str>> {
        self.trouble.subscribe()
    }

    /// Seals until `last` is dropped, and then once more.
    pub async fn run(mut self, mut last: oneshot::Receiver<()>) {
        let mut look = tokio::time::interval(limits::SEAL_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = &mut last => true,
                _ = look.tick() => false,
            };
            if !self.vault.is_sound() {
                return;
            }
            let trouble = self.seal().await;
            self.trouble.send_if_modified(|known| {
                let is_new = *known != trouble;
                *known = trouble;
                is_new
            });
            if is_last {
                return;
            }
        }
    }

    async fn seal(&mut self) -> Option<&'static str> {
        if self.vault.tell_unwritten().await.is_err() {
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
        let (anchor, mode) = self.anchor.as_ref()?;
        let slipped = self.sealer.anchor(anchor).await?;
        self.report(&slipped);
        (*mode == Mode::Strict).then(|| slipped.word())
    }

    fn report(&self, slipped: &Slipped) {
        self.metrics.anchor_failures.inc();
        tracing::error!(why = slipped.text(), "the log's anchor does not hold");
    }
}
