//! The end of an epoch: its master key is let go of here, its provider keys
//! are destroyed and asked for again, and only what every provider calls gone
//! is written down as closed.

use super::step;
use crate::audit::{Fact, Leaf, Receipt, Verdict, merkle};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Unavailable};
use crate::keys::KeyState;
use crate::store::{ClosedEpoch, DataFile, EpochKey, JobRow, JobState, Progress, SCHEDULED};
use crate::vault::Vault;
use std::sync::Arc;
use tokio::task::spawn_blocking;

impl Vault {
    /// Destroys a condemned epoch. False where a provider has set a date for
    /// it: until then the epoch is not closed, and nothing says that it is.
    pub(super) async fn destroy_epoch(&self, job: &JobRow, epoch: u32) -> Result<bool> {
        if job.step != step::DESTROY {
            let begun = self.0.store.begin_step(job.job, step::DESTROY, 0);
            begun.in_time().await?;
        }
        self.0.keyring.forget_epoch(epoch)?;
        self.0.store.blank_epoch(epoch).in_time().await?;
        let epochs = self.on_rows(|rows, _| rows.epochs()).await?;
        let row = epochs.into_iter().find(|row| row.epoch == epoch);
        let keys = row.ok_or(Error::Internal("a job closes no epoch"))?.keys;
        let states = self.destroyed(&keys).await?;
        if let Some(date) = latest(&states)? {
            self.wait_for(job, date).await?;
            return Ok(false);
        }
        self.certify(epoch, &keys).await?;
        self.0.store.end_epoch(epoch).in_time().await?;
        // From here on a certificate is found by its own name alone.
        self.forget_closed_certificates().await?;
        // What is left of the wrapped master keys is in the logs; a reader that
        // holds one is waited for.
        for file in [DataFile::Keys, DataFile::Vault] {
            if !self.truncated(file).await? {
                return Err(Error::ErasurePending);
            }
        }
        Ok(true)
    }

    async fn destroyed(&self, keys: &[EpochKey]) -> Result<Vec<KeyState>> {
        let providers = Arc::clone(&self.0.providers);
        let named: Vec<(String, String)> = keys
            .iter()
            .map(|key| (key.provider.clone(), key.name.clone()))
            .collect();
        let states = spawn_blocking(move || {
            let named = named.iter();
            named
                .map(|(kind, name)| providers.destroy(kind, name))
                .collect()
        });
        states
            .await
            .map_err(|_| Error::Internal("destroying an epoch ended by itself"))?
    }

    async fn wait_for(&self, job: &JobRow, date: Day) -> Result<()> {
        let progress = Progress {
            job: job.job,
            cursor: u64::from(date.0.unsigned_abs()),
        };
        let store = &self.0.store;
        store.advance_job(progress, 0, 0).in_time().await?;
        let waits = store.set_job(job.job, JobState::Waiting, SCHEDULED);
        waits.in_time().await.map(|_| ())
    }

    /// The epoch's certificate: a leaf, written once.
    async fn certify(&self, epoch: u32, keys: &[EpochKey]) -> Result<()> {
        let (certified, mut erased) = self
            .on_rows(move |rows, _| Ok((rows.closed_epoch(epoch)?, rows.erased_in(epoch)?)))
            .await?;
        if certified.is_some() {
            return Ok(());
        }
        erased.sort_unstable();
        let call = self.0.log.begin("CloseEpoch", None, Instant::now());
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.count = erased.len() as u64;
        let holders = keys.iter().map(|key| key.provider.as_str());
        let assurance = self.0.providers.assurance_of(holders).word();
        leaf.fact = Some(Fact::EpochClosed {
            epoch,
            receipts: keys
                .iter()
                .map(|key| Receipt {
                    provider: key.provider.clone(),
                    key: key.name.clone(),
                    state: "gone",
                })
                .collect(),
            assurance,
            erased: erased.len() as u64,
            root: hex::encode(merkle::root(&erased)),
            backup: self.backup_word(),
        });
        let row = self.plain_row(&call, &leaf)?;
        let closed = ClosedEpoch {
            day: call.time.day(),
            assurance: assurance.to_owned(),
        };
        let certified = self.0.store.certify_epoch(epoch, closed, row);
        certified.in_time().await?;
        call.mark_recorded();
        Ok(())
    }
}

/// The date of the last key to go, if one is only scheduled. A key that still
/// works after it was destroyed is its provider's failure.
fn latest(states: &[KeyState]) -> Result<Option<Day>> {
    let mut date = None;
    for state in states {
        match state {
            KeyState::Gone => {}
            KeyState::Scheduled(day) => date = date.max(Some(*day)),
            KeyState::Usable => return Err(Error::Unavailable(Unavailable::KeyProvider)),
        }
    }
    Ok(date)
}
