//! The first step of a closing: the next epoch is opened.

use crate::access::{CloseEpoch, Grant};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result};
use crate::store::{EpochState, JobKind, JobRow, JobState, NewJob};
use crate::vault::Vault;
use crate::vault::unseal::new_epoch;
use std::sync::Arc;
use tokio::task::spawn_blocking;

impl Vault {
    /// Begins to close the active epoch, or goes on with a closing that was
    /// paused or failed; answers its job. `leaf` is the call's own: what it
    /// says is written down with the new epoch.
    pub(in crate::vault) async fn begin_close(
        &self,
        call: &Call,
        leaf: Leaf,
        throttle: u32,
        requester: &str,
    ) -> Result<u64> {
        let _one = self.0.opening.lock().await;
        let open = self.open_jobs().await?;
        if let Some(job) = open.iter().find(|job| is_closing(job)) {
            if matches!(job.state, JobState::Paused | JobState::Failed) {
                let resumed = self.0.store.set_job(job.job, JobState::Running, "");
                resumed.in_time().await?;
            }
            self.record_plain(call, &leaf, ()).await?;
            self.run_job(job.job);
            return Ok(job.job);
        }
        let (epoch, job) = self.open_next(throttle, requester).await?;
        let mut leaf = leaf;
        leaf.fact = Some(Fact::EpochOpened {
            epoch: epoch + 1,
            closing: epoch,
        });
        // Should it not be written, the call fails and says so; the closing
        // goes on, and its certificate will be.
        let written = self.record_plain(call, &leaf, ()).await;
        self.run_job(job);
        written.map(|_| job)
    }

    /// Opens the next epoch; answers the one that is now closing, and its job.
    async fn open_next(&self, throttle: u32, requester: &str) -> Result<(u32, u64)> {
        let epochs = self.on_rows(|rows, _| rows.epochs()).await?;
        let newest = epochs.last().ok_or(Error::Internal("no epoch"))?;
        if newest.state != EpochState::Active {
            return Err(Error::Internal("the newest epoch is not active"));
        }
        let (closing, next) = (newest.epoch, newest.epoch + 1);
        let (providers, deployment) = (Arc::clone(&self.0.providers), self.0.keyring.deployment());
        let made = spawn_blocking(move || {
            for provider in providers.iter() {
                // What a crash left between making a key and noting it.
                for stray in provider.stray(deployment, closing)? {
                    provider.destroy(&stray)?;
                }
            }
            new_epoch(deployment, &providers, next)
        });
        let (row, master) = made
            .await
            .map_err(|_| Error::Internal("opening an epoch ended by itself"))??;
        let job = NewJob {
            kind: JobKind::CloseEpoch,
            target: u64::from(closing),
            throttle,
            requester: requester.to_owned(),
            today: Instant::now().day(),
        };
        let opened = self.0.store.open_epoch(row, job).in_time().await?;
        let job = opened.ok_or(Error::Contended)?;
        self.0.keyring.open_epoch(next, master)?;
        Ok((closing, job))
    }

    /// Closes the active epoch behind the call, or goes on with a closing that
    /// was paused or failed; answers its job.
    pub async fn close_epoch(
        &self,
        call: &Call,
        grant: &Grant<CloseEpoch>,
        throttle: u32,
    ) -> Result<JobRow> {
        let leaf = self.leaf(grant, Verdict::Allowed);
        let requester = grant.principal().name();
        let job = self.begin_close(call, leaf, throttle, requester).await?;
        let row = self.job_row(job).await?;
        row.ok_or(Error::Internal("a job without a row"))
    }

    /// The day that the newest epoch was opened.
    pub async fn newest_epoch(&self) -> Result<Day> {
        let epochs = self.on_rows(|rows, _| rows.epochs()).await?;
        let newest = epochs.last().map(|row| row.opened);
        newest.ok_or(Error::Internal("no epoch"))
    }

    /// Closes the active epoch by itself: the daily closing. One that somebody
    /// paused stays paused.
    pub async fn close_daily(&self) -> Result<()> {
        let open = self.open_jobs().await?;
        let mut closing = open.iter().filter(|job| is_closing(job));
        if closing.any(|job| job.state == JobState::Paused) {
            return Ok(());
        }
        let call = self.0.log.begin("CloseEpoch", None, Instant::now());
        let leaf = Leaf::new(Verdict::Allowed, "");
        self.begin_close(&call, leaf, 0, "").await.map(|_| ())
    }
}

/// Whether a job closes an epoch, but for one that only waits until a provider's
/// date: the next epoch need not wait with it.
fn is_closing(job: &JobRow) -> bool {
    job.kind == JobKind::CloseEpoch && job.due().is_none()
}
