//! Closing an epoch, so that whoever was erased under it is forgotten in every
//! backup too. A new epoch is opened; every page is wrapped under it, those
//! that lost a row with a new key of their own; when nothing is left under the
//! old one, and what is there opens, its keys are destroyed in every provider
//! and read back; that is written down as the epoch's certificate. Where the
//! closing stands is the state of the epoch's row; each step may be repeated.

mod destroy;
mod gate;
mod index;
mod open;
mod pages;
mod plan;

pub use gate::KeyBackup;
pub use plan::ClosePlan;

use super::Vault;
use super::job::Orders;
use crate::error::{Error, Result};
use crate::store::{EpochState, JobRow, JobState};

/// The steps of a closing, as its job shows them (`jobs.step`).
pub(super) mod step {
    /// Tenants and pages are wrapped anew.
    pub const PAGES: u8 = 1;
    /// Nothing is left; what is there is opened, and backed up.
    pub const GATE: u8 = 2;
    /// The provider keys are destroyed. While the job waits for a provider's
    /// date, its cursor is that day.
    pub const DESTROY: u8 = 3;
}

impl Vault {
    /// Closes the epoch of a job, from wherever it stands.
    pub(super) async fn close(&self, job: &JobRow) -> Result<()> {
        let epoch = u32::try_from(job.target).map_err(|_| Error::Internal("epoch"))?;
        let orders = Orders::of(job);
        loop {
            match self.epoch_state(epoch).await? {
                EpochState::Closing => {
                    if !self.rewrap_all(job, epoch, &orders).await? {
                        return Ok(());
                    }
                    if !self.pass_gate(job, epoch).await? {
                        return Ok(());
                    }
                }
                EpochState::Condemned => {
                    if !self.destroy_epoch(job, epoch).await? {
                        return Ok(());
                    }
                }
                EpochState::Destroyed => {
                    let done = self.0.store.set_job(job.job, JobState::Done, "");
                    return done.in_time().await.map(|_| ());
                }
                EpochState::Active => return Err(Error::Internal("a job closes an active epoch")),
            }
        }
    }

    async fn epoch_state(&self, epoch: u32) -> Result<EpochState> {
        let epochs = self.on_rows(|rows, _| rows.epochs()).await?;
        let row = epochs.into_iter().find(|row| row.epoch == epoch);
        row.map(|row| row.state)
            .ok_or(Error::Internal("a job closes no epoch"))
    }
}
