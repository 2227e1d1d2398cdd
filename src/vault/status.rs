//! The key tree, counted.

use super::Vault;
use crate::access::{Grant, KeyStatus};
use crate::audit::{Call, Verdict};
use crate::clock::Day;
use crate::error::Result;
use crate::store::{EpochState, GenerationEnd, JobRow, KeyCounts, KeyUse};

/// One epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochView {
    /// From 1.
    pub epoch: u32,
    /// Where it stands.
    pub state: EpochState,
    /// The kinds of the providers that hold its key.
    pub providers: Vec<String>,
    /// The day it was opened.
    pub opened: Day,
}

/// The key tree, counted; never a key.
pub struct StatusView {
    /// Every epoch, oldest first.
    pub epochs: Vec<EpochView>,
    /// How many of everything.
    pub counts: KeyCounts,
    /// For each generation, how many keys are not their customer's newest, and
    /// how many are compromised.
    pub apart: Vec<(u32, u64, u64)>,
    /// What rotation has destroyed, by generation.
    pub ends: Vec<GenerationEnd>,
    /// When epochs and generations were last used.
    pub uses: Vec<KeyUse>,
    /// Whether the master keys are out of memory.
    pub is_sealed: bool,
    /// Erasures that are not purged.
    pub purges_pending: u64,
    /// The jobs that are not done, oldest first.
    pub jobs: Vec<JobRow>,
}

impl Vault {
    /// Which epochs, pages and keys there are.
    pub async fn key_status(&self, call: &Call, grant: Grant<KeyStatus>) -> Result<StatusView> {
        let is_sealed = self.is_sealed();
        let mut view = self
            .on_rows(move |rows, _| {
                let epochs = rows.epochs()?.into_iter().map(|row| EpochView {
                    epoch: row.epoch,
                    state: row.state,
                    providers: row.keys.into_iter().map(|key| key.provider).collect(),
                    opened: row.opened,
                });
                Ok(StatusView {
                    epochs: epochs.collect(),
                    counts: rows.key_counts()?,
                    apart: rows.generations_apart()?,
                    ends: rows.generation_ends()?,
                    uses: rows.key_uses()?,
                    is_sealed,
                    purges_pending: rows.erasures()?.len() as u64,
                    jobs: rows.open_jobs()?,
                })
            })
            .await?;
        view.uses = self.uses(view.uses);
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, view).await?.release())
    }
}
