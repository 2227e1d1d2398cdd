//! What a certificate says of the epoch that makes something final.

use super::document::{EpochOf, day_text};
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::keys::{Assurance, Providers};
use crate::store::{ClosedEpoch, EpochState, Rows};

/// An epoch as the rows have it.
pub struct EpochFacts {
    number: u32,
    /// Whether its keys are destroyed.
    pub is_destroyed: bool,
    /// Its end as it was certified.
    closed: Option<ClosedEpoch>,
    /// What its end is, or will be, worth.
    assurance: Option<String>,
}

/// The oldest epoch that is not destroyed.
pub fn oldest_open_epoch(rows: &mut dyn Rows) -> Result<u32> {
    let epochs = rows.epochs()?.into_iter();
    let open = epochs.filter(|row| row.state != EpochState::Destroyed);
    open.map(|row| row.epoch)
        .min()
        .ok_or(Error::Internal("no epoch is open"))
}

impl EpochFacts {
    /// Reads them.
    pub fn read(rows: &mut dyn Rows, providers: &Providers, number: u32) -> Result<Self> {
        let closed = rows.closed_epoch(number)?;
        let open = rows.epochs()?;
        let open = open.iter().find(|row| row.epoch == number);
        let holders = open.map(|row| row.keys.iter().map(|key| key.provider.as_str()));
        let open = holders.map(|kinds| providers.assurance_of(kinds).word().to_owned());
        let certified = closed.as_ref().map(|closed| closed.assurance.clone());
        Ok(Self {
            number,
            is_destroyed: number < oldest_open_epoch(rows)?,
            assurance: certified.filter(|word| !word.is_empty()).or(open),
            closed,
        })
    }

    /// The day on which it was closed.
    pub fn closed_on(&self, today: Day) -> Day {
        self.closed.as_ref().map_or(today, |closed| closed.day)
    }

    /// What a certificate says of it: `before` it said that its end is worth
    /// this; `stamped`: the day of the erasure, and whether epochs are closed
    /// daily.
    pub fn said(
        &self,
        before: Option<&str>,
        is_final: bool,
        (stamped, closes_daily): (Day, bool),
        today: Day,
    ) -> EpochOf {
        let before = before.filter(|said| !said.is_empty()).map(str::to_owned);
        let assurance = self.assurance.clone().or(before);
        let next = Day(stamped.0.saturating_add(1));
        let final_by = match is_final {
            true => Some(self.closed_on(today)),
            // At the latest.
            false => closes_daily.then_some(next),
        };
        EpochOf {
            number: self.number,
            assurance: assurance.unwrap_or_else(|| Assurance::BestEffort.word().to_owned()),
            destroyed: is_final,
            final_by: final_by.map(day_text),
        }
    }
}
