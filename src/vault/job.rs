//! Jobs: long work that goes on behind the calls, one runner a job, and is
//! taken up again at start. What a job has done is in its row and in the rows
//! it is about, never in memory alone.

use super::Vault;
use crate::access::{ControlJob, Grant, WatchJob};
use crate::audit::{Call, Verdict};
use crate::clock;
use crate::error::{Error, Missing, Result};
use crate::limits;
use crate::store::{JobKind, JobOrders, JobRow, JobState};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The jobs that have a runner.
#[derive(Default)]
pub(super) struct Runners(Mutex<HashSet<u64>>);

impl Runners {
    fn set(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a job is held to while it runs, as its row said last.
pub(super) struct Orders {
    stopped: AtomicBool,
    throttle: AtomicU32,
    free: tokio::sync::Mutex<Instant>,
}

impl Orders {
    pub(super) fn of(job: &JobRow) -> Self {
        Self {
            stopped: AtomicBool::new(job.state != JobState::Running),
            throttle: AtomicU32::new(job.throttle),
            free: tokio::sync::Mutex::new(Instant::now()),
        }
    }

    /// Takes note of what the row says now.
    pub(super) fn hear(&self, orders: JobOrders) {
        self.throttle.store(orders.throttle, Ordering::Relaxed);
        if orders.state != JobState::Running {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody paused the job.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Waits until `pages` more may be done.
    pub(super) async fn pace(&self, pages: usize) {
        let throttle = self.throttle.load(Ordering::Relaxed);
        if throttle == 0 {
            return;
        }
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let cost = Duration::from_secs(1).saturating_mul(pages) / throttle;
        let mut free = self.free.lock().await;
        let begin = (*free).max(Instant::now());
        *free = begin + cost;
        tokio::time::sleep_until(begin).await;
    }
}

impl Vault {
    /// Takes up whatever jobs a restart cut off.
    pub async fn resume_jobs(&self) -> Result<()> {
        for job in self.open_jobs().await? {
            if job.state == JobState::Running {
                self.run_job(job.job);
            }
        }
        Ok(())
    }

    /// Wakes the jobs that waited for a date that has come, or for somebody
    /// who did not come in time: those ask again.
    pub async fn wake_jobs(&self, now: clock::Instant) -> Result<()> {
        for job in self.open_jobs().await? {
            let is_due = job.due().is_some_and(|due| due <= now.day());
            if is_due || self.waits_in_vain(&job, now).await? {
                let running = self.0.store.set_job(job.job, JobState::Running, "");
                running.in_time().await?;
                self.run_job(job.job);
            }
        }
        Ok(())
    }

    /// The jobs that are not done.
    pub(super) async fn open_jobs(&self) -> Result<Vec<JobRow>> {
        self.on_rows(|rows, _| rows.open_jobs()).await
    }

    /// One job as it stands.
    pub(super) async fn job_row(&self, job: u64) -> Result<Option<JobRow>> {
        self.on_rows(move |rows, _| rows.job(job)).await
    }

    /// Runs a job behind the call, unless it is being run.
    pub(super) fn run_job(&self, job: u64) {
        if !self.0.runners.set().insert(job) {
            return;
        }
        let vault = self.clone();
        tokio::spawn(async move {
            loop {
                vault.work_on(job).await;
                vault.0.runners.set().remove(&job);
                // It may have been resumed a moment ago, by a caller who saw
                // that it had a runner.
                let again = vault.job_row(job).await.ok().flatten();
                let is_on = again.is_some_and(|row| row.state == JobState::Running);
                if !is_on || !vault.is_sound() || !vault.0.runners.set().insert(job) {
                    return;
                }
            }
        });
    }

    /// Works on a job until it is done, stopped or cannot go on.
    async fn work_on(&self, job: u64) {
        while self.is_sound() {
            match self.turn(job).await {
                Ok(()) => return,
                Err(error) if passes(&error) => {
                    tracing::warn!(job, reason = error.reason(), "a job waits");
                    self.note(job, JobState::Running, error.reason()).await;
                    tokio::time::sleep(limits::JOB_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(job, reason = error.reason(), "a job cannot go on");
                    self.note(job, JobState::Failed, error.reason()).await;
                    return;
                }
            }
        }
    }

    async fn note(&self, job: u64, state: JobState, reason: &'static str) {
        // A pause that came in between is not undone by a passing failure.
        let row = self.job_row(job).await.ok().flatten();
        if row.is_some_and(|row| row.state == JobState::Running) {
            // Should it fail, the row says what it said before.
            let _ = self.0.store.set_job(job, state, reason).in_time().await;
        }
    }

    async fn turn(&self, job: u64) -> Result<()> {
        let Some(row) = self.job_row(job).await? else {
            return Ok(());
        };
        if row.state != JobState::Running {
            return Ok(());
        }
        match row.kind {
            JobKind::CloseEpoch => self.close(&row).await,
            JobKind::RotateCustomer | JobKind::RotateType | JobKind::RotateAll => {
                self.rotate_on(&row).await
            }
        }
    }
}

/// What somebody wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It stops after what is under way.
    Pause,
    /// It goes on.
    Resume,
    /// It does so many pages a second at most; 0: as many as it can.
    Pace(u32),
}

impl Vault {
    /// Pauses, resumes or paces a job. JOB_NOT_FOUND where there is none that
    /// is not done.
    pub async fn control_job(
        &self,
        call: &Call,
        grant: &Grant<ControlJob>,
        order: Order,
    ) -> Result<JobRow> {
        let job = grant.target().job;
        let store = &self.0.store;
        let changed = match order {
            Order::Pause => store.set_job(job, JobState::Paused, ""),
            Order::Resume => store.set_job(job, JobState::Running, ""),
            Order::Pace(pages) => store.throttle_job(job, pages),
        };
        if !changed.in_time().await? {
            return Err(Error::NotFound(Missing::Job));
        }
        if order == Order::Resume {
            self.run_job(job);
        }
        let row = self.job_row(job).await?;
        let row = row.ok_or(Error::NotFound(Missing::Job))?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, row).await?.release())
    }

    /// A job as it stands, for one who begins to watch it.
    pub async fn watch_job(&self, call: &Call, grant: &Grant<WatchJob>) -> Result<JobRow> {
        let row = self.job_now(grant).await?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, row).await?.release())
    }

    /// The same again, for one who watches it: that was written down.
    pub async fn job_now(&self, grant: &Grant<WatchJob>) -> Result<JobRow> {
        let row = self.job_row(grant.target().job).await?;
        row.ok_or(Error::NotFound(Missing::Job))
    }
}

/// Whether a failure may pass by itself.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable(_) | Error::ErasurePending | Error::Contended
    )
}
