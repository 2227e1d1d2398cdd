//! The dry run of a closing: what it would do, measured and not guessed.

use crate::access::{CloseEpoch, Grant};
use crate::audit::{Call, Verdict};
use crate::error::{Error, Result};
use crate::store::{EpochState, Left, PageKind, Rows};
use crate::vault::Vault;
use crate::vault::keyring::Keyring;
use std::time::{Duration, Instant};

/// What storing one key anew takes besides wrapping it, on a quiet disk: a rough
/// figure; `bench rewrap` measures a whole close.
const STORE_A_KEY: Duration = Duration::from_micros(6);

/// What closing the active epoch would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosePlan {
    /// The epoch that would be closed.
    pub epoch: u32,
    /// Pages and tenants under it.
    pub left: Left,
    /// Customers' keys that would be wrapped under a new page key.
    pub keys: u64,
    /// Customers' keys and page keys that would be wrapped, in all.
    pub rewraps: u64,
    /// How long it would take at the speed measured just now, provider apart.
    pub time: Duration,
    /// Calls to key providers: two for each new key, two for each old one.
    pub provider_calls: u64,
    /// Sample customers that open now.
    pub samples: u64,
    /// Erasures that would become final.
    pub erasures: u64,
    /// What the certificate would say of the key backup.
    pub backup: &'static str,
}

impl Vault {
    /// The dry run: counts, times and opens, and changes nothing.
    pub async fn plan_close(&self, call: &Call, grant: &Grant<CloseEpoch>) -> Result<ClosePlan> {
        let samples = self.open_samples().await? as u64;
        let (mut plan, speed) = self
            .on_rows(|rows, keyring| {
                let plan = count(rows)?;
                Ok((plan, speed(rows, keyring)?))
            })
            .await?;
        let providers = self.0.providers.iter().count() as u64;
        plan.samples = samples;
        plan.provider_calls = 4 * providers;
        plan.backup = self.backup_word();
        let rewraps = u32::try_from(plan.rewraps).unwrap_or(u32::MAX);
        plan.time = (speed + STORE_A_KEY).saturating_mul(rewraps);
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, plan).await?.release())
    }
}

fn count(rows: &mut dyn Rows) -> Result<ClosePlan> {
    let epochs = rows.epochs()?;
    let active = epochs.iter().find(|row| row.state == EpochState::Active);
    let epoch = active.ok_or(Error::Internal("no active epoch"))?.epoch;
    let (left, keys) = (rows.left_up_to(epoch)?, rows.dirty_keys_up_to(epoch)?);
    Ok(ClosePlan {
        epoch,
        left,
        keys,
        rewraps: keys + left.rows(),
        time: Duration::ZERO,
        provider_calls: 0,
        samples: 0,
        erasures: rows.erased_in(epoch)?.len() as u64,
        backup: "",
    })
}

/// How long wrapping one key anew takes here and now: a page is done and the
/// result thrown away.
fn speed(rows: &mut dyn Rows, keyring: &Keyring) -> Result<Duration> {
    let first = rows.pages_up_to(PageKind::Customers, u32::MAX, 0, 1)?.pop();
    let Some((view, keys)) = first
        .map(|view| rows.page_with_keys(view.row.page))
        .transpose()?
        .flatten()
    else {
        return Ok(Duration::ZERO);
    };
    let (many, since) = (
        u32::try_from(keys.len()).unwrap_or(u32::MAX),
        Instant::now(),
    );
    keyring.renewed(view, keys)?;
    Ok(since.elapsed() / many.max(1))
}
