//! The key tree, counted.

use super::Vault;
use crate::access::{Grant, KeyStatus};
use crate::audit::{Call, Verdict};
use crate::clock::Day;
use crate::error::Result;
use crate::store::{EpochState, JobRow, KeyCounts};

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
    /// Erasures that are not purged.
    pub purges_pending: u64,
    /// The jobs that are not done, oldest first.
    pub jobs: Vec<JobRow>,
}

impl Vault {
    /// Which epochs, pages and keys there are.
    pub async fn key_status(&self, call: &Call, grant: Grant<KeyStatus>) -> Result<StatusView> {
        let view = self
            .on_rows(|rows, _| {
                let epochs = rows.epochs()?.into_iter().map(|row| EpochView {
                    epoch: row.epoch,
                    state: row.state,
                    providers: row.keys.into_iter().map(|key| key.provider).collect(),
                    opened: row.opened,
                });
                Ok(StatusView {
                    epochs: epochs.collect(),
                    counts: rows.key_counts()?,
                    purges_pending: rows.erasures()?.len() as u64,
                    jobs: rows.open_jobs()?,
                })
            })
            .await?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, view).await?.release())
    }
}
