//! The first step of a closing: the next epoch is opened.

use crate::access::{CloseEpoch, Grant};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::clock::{Day, Instant};
use crate::crypto::Deployment;
use crate::error::{Error, Result};
use crate::keys::Providers;
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
        let may_be_left = self.on_rows(move |rows, _| rows.may_be_left(next)).await?;
        let all = Arc::clone(&providers);
        on_thread(move || no_strays(deployment, &all, closing, may_be_left)).await?;
        self.0.store.note_opening(next).in_time().await?;
        let (row, master) = on_thread(move || new_epoch(deployment, &providers, next)).await?;
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

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal("opening an epoch ended by itself"))?
}

/// Destroys what a crash left between making a key and noting it. What this
/// file never heard of may be a living vault's, and is left alone.
fn no_strays(
    deployment: Deployment,
    providers: &Providers,
    closing: u32,
    may_be_left: bool,
) -> Result<()> {
    for provider in providers.iter() {
        for stray in provider.stray(deployment, closing)? {
            if !may_be_left {
                return Err(later_epoch());
            }
            provider.destroy(&stray)?;
        }
    }
    Ok(())
}

fn later_epoch() -> Error {
    Error::Setup(
        "a key provider has a key of a later epoch than keys.db knows, so keys.db may be an old \
         copy, or a second vault may run over the same provider; nothing was destroyed. Stop the \
         other vault, or put the newest keys.db back with `oubliette restore keys`"
            .to_owned(),
    )
}
