//! The gate before the destruction: nothing may be left under the old epoch,
//! what is there must open under the new one, and where keys are backed up, a
//! backup under the new one must have been taken and read back.

use super::step;

use crate::crypto::random_bytes;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{JobRow, Rows};
use crate::vault::Vault;
use crate::vault::find::newest_keys;
use crate::vault::keyring::Keyring;
use crate::vault::open::{checked_body, field_keys, record_place};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Takes a backup of the keys and reads it back: wired where a backup place is
/// configured. Blocks.
pub trait KeyBackup: Send + Sync {
    /// Backs `keys.db` up, restores it beside and opens it; an error where any
    /// of that fails. `epoch` is the one that it must open under.
    fn take_and_test(&self, epoch: u32) -> Result<()>;
}

impl Vault {
    /// From here on keys are backed up before an epoch is destroyed. Once; for
    /// start-up.
    pub fn back_up_keys_with(&self, backup: Arc<dyn KeyBackup>) {
        // Only start-up calls this, and it does so once.
        let _ = self.0.key_backup.set(backup);
    }

    /// What a certificate says of the key backup.
    pub(super) fn backup_word(&self) -> &'static str {
        match self.0.key_backup.get() {
            Some(_) => "taken and tested",
            None => "none configured",
        }
    }

    /// Passes the gate: from here on the epoch can only be destroyed. Where a
    /// row came to be left under it after all, nothing is changed, and the
    /// caller looks again. False where it waits for a second principal.
    pub(super) async fn pass_gate(&self, job: &JobRow, epoch: u32) -> Result<bool> {
        let begun = self.0.store.begin_step(job.job, step::GATE, 0);
        begun.in_time().await?;
        let opened = self.open_samples().await?;
        tracing::info!(epoch, opened, "samples open without the epoch");
        if !self.may_destroy(job, epoch).await? {
            return Ok(false);
        }
        if let Some(backup) = self.0.key_backup.get() {
            let backup = Arc::clone(backup);
            let tested = spawn_blocking(move || backup.take_and_test(epoch + 1));
            tested
                .await
                .map_err(|_| Error::Internal("a key backup ended by itself"))??;
        }
        self.carry_events_over(epoch).await?;
        self.0.store.condemn_epoch(epoch).in_time().await?;
        Ok(true)
    }

    /// Opens some customers at random: their state's MAC and the manifest of
    /// one record. How many.
    pub(super) async fn open_samples(&self) -> Result<usize> {
        let mut opened = 0;
        for _ in 0..limits::CLOSE_SAMPLES {
            let draw = u64::from_be_bytes(random_bytes()?);
            let is_open = self
                .on_rows(move |rows, keyring| {
                    let from = draw % rows.next_customer()?.max(1);
                    sample(rows, keyring, from)
                })
                .await?;
            opened += usize::from(is_open);
        }
        Ok(opened)
    }
}

/// Opens the first customer from a number on. False where there is none, or
/// they were forgotten meanwhile.
fn sample(rows: &mut dyn Rows, keyring: &Keyring, from: u64) -> Result<bool> {
    let mut looked = Ok(false);
    // What changed between two looks at two files is looked at again.
    for _ in 0..limits::REVISION_RETRIES {
        rows.refresh();
        let Some(customer) = rows.customer_from(from)? else {
            return Ok(false);
        };
        looked = open(rows, keyring, customer);
        match &looked {
            Ok(_) => break,
            Err(Error::CustomerErased) => return Ok(false),
            Err(_) => {}
        }
    }
    looked
}

fn open(rows: &mut dyn Rows, keyring: &Keyring, customer: CustomerNumber) -> Result<bool> {
    let owner = rows.customer(customer)?;
    let record = rows.whole_records(customer, 0, 1)?.pop();
    let keys = keyring.customer(customer, newest_keys(rows, customer)?)?;
    let Some(owner) = owner else {
        return Ok(false);
    };
    keys.facts(&owner)?;
    if let Some(row) = record {
        let place = record_place(keyring.deployment(), &keys, &row);
        checked_body(&place, &field_keys(&keys, row.generation)?, &row)?;
    }
    Ok(true)
}
