//! What a certificate says, from the rows of an erasure.

use super::NO_DAY;
use super::document::{
    Certificate, EpochOf, Event, FORM, KeyGone, LogProof, Reached, Records, day_text,
};
use crate::audit::proof::prove;
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::keys::signing::PublicKey;
use crate::keys::{Assurance, Providers};
use crate::store::{ClosedEpoch, DestroyedKey, EpochState, ErasureProgress, Fence, Rows};

/// What the rows say of an erasure.
pub struct Facts {
    customer: CustomerNumber,
    fence: Fence,
    progress: ErasureProgress,
    keys: Vec<DestroyedKey>,
    is_epoch_destroyed: bool,
    /// The epoch's end as it was certified.
    closed: Option<ClosedEpoch>,
    /// What its end is, or will be, worth.
    assurance: Option<String>,
    closes_daily: bool,
    today: Day,
    log: Option<LogProof>,
}

/// The oldest epoch that is not destroyed.
pub fn oldest_open_epoch(rows: &mut dyn Rows) -> Result<u32> {
    let epochs = rows.epochs()?.into_iter();
    let open = epochs.filter(|row| row.state != EpochState::Destroyed);
    open.map(|row| row.epoch)
        .min()
        .ok_or(Error::Internal("no epoch is open"))
}

/// Whether a checkpoint covers the leaf of that number.
fn is_sealed(rows: &mut dyn Rows, leaf: u64) -> Result<bool> {
    let head = rows.checkpoint()?;
    Ok(head.is_some_and(|head| (1..=head.size).contains(&leaf)))
}

/// A certificate that says nothing yet.
pub fn blank() -> Certificate {
    Certificate {
        form: FORM.to_owned(),
        vault: String::new(),
        tenant: String::new(),
        subject: String::new(),
        name_sha256: String::new(),
        issue: 0,
        issued: String::new(),
        level: Reached::Shredded,
        events: Vec::new(),
        keys: Vec::new(),
        fingerprint: String::new(),
        epoch: EpochOf {
            number: 0,
            assurance: String::new(),
            destroyed: false,
            final_by: None,
        },
        records: Records {
            there_were: 0,
            purged: 0,
        },
        exceptions: Vec::new(),
        recipients: Vec::new(),
        log: None,
    }
}

impl Facts {
    /// Reads what there is to say of a shredded customer.
    pub fn read(
        rows: &mut dyn Rows,
        customer: CustomerNumber,
        (providers, closes_daily): (&Providers, bool),
        log: Option<&PublicKey>,
        today: Day,
    ) -> Result<Self> {
        let fence = rows.fence(customer)?;
        let fence = fence.ok_or(Error::Internal("a certificate without a fence"))?;
        let progress = rows.erasure_progress(customer)?;
        let progress = progress.ok_or(Error::Internal("a certificate without an erasure"))?;
        let log = match log {
            Some(key) if is_sealed(rows, progress.leaf)? => Some(LogProof {
                key: key.to_string(),
                proof: prove(rows, progress.leaf)?,
            }),
            _ => None,
        };
        let closed = rows.closed_epoch(fence.epoch)?;
        let open = rows.epochs()?;
        let open = open.iter().find(|row| row.epoch == fence.epoch);
        let holders = open.map(|row| row.keys.iter().map(|key| key.provider.as_str()));
        let open = holders.map(|kinds| providers.assurance_of(kinds).word().to_owned());
        let certified = closed.as_ref().map(|closed| closed.assurance.clone());
        Ok(Self {
            customer,
            progress,
            keys: rows.destroyed_keys(customer)?,
            is_epoch_destroyed: fence.epoch < oldest_open_epoch(rows)?,
            assurance: certified.filter(|word| !word.is_empty()).or(open),
            fence,
            closed,
            closes_daily,
            today,
            log,
        })
    }

    /// Whether there is more to say than a certificate says.
    pub fn exceed(&self, certificate: &Certificate) -> bool {
        let is_proven = self.log.is_some() && certificate.log.is_none();
        self.level() > certificate.level || is_proven
    }

    /// The level that is reached now.
    pub fn level(&self) -> Reached {
        match (self.progress.level, self.is_epoch_destroyed) {
            (3.., true) => Reached::Closed,
            (3.., false) => Reached::Purged,
            _ => Reached::Shredded,
        }
    }

    /// The next issue of a certificate, by what is so now.
    pub fn certificate(self, before: Certificate) -> Certificate {
        let level = self.level();
        let mut records = Records {
            there_were: self.progress.records,
            purged: self.progress.purged,
        };
        if level >= Reached::Purged {
            // What came or went between intent and shred.
            records.there_were = records.purged;
        }
        let number = self.customer.0;
        let keys: Vec<KeyGone> = self
            .keys
            .iter()
            .map(|key| KeyGone {
                key: match key.generation {
                    0 => format!("identity/{number}"),
                    generation => format!("field/{number}/{generation}"),
                },
                sha256: hex::encode(key.fingerprint),
            })
            .collect();
        // A restored keys.db does not say which keys: what was said before holds.
        let (keys, fingerprint) = match keys.is_empty() && before.issue > 0 {
            true => (before.keys.clone(), before.fingerprint.clone()),
            false => (keys, hex::encode(self.fence.fingerprint)),
        };
        let said = Some(before.epoch.assurance.clone()).filter(|said| !said.is_empty());
        let assurance = self.assurance.clone().or(said);
        let assurance = assurance.unwrap_or_else(|| Assurance::BestEffort.word().to_owned());
        Certificate {
            issue: before.issue.saturating_add(1),
            issued: day_text(self.today),
            level,
            events: self.events(&before.events, level),
            keys,
            fingerprint,
            epoch: EpochOf {
                number: self.fence.epoch,
                assurance,
                destroyed: level == Reached::Closed,
                final_by: self.final_by(level).map(day_text),
            },
            records,
            log: self.log.or(before.log),
            ..before
        }
    }

    /// The day on which no backup brings anything back: the day it is, or the
    /// one on which the epoch is closed at the latest.
    fn final_by(&self, level: Reached) -> Option<Day> {
        let next = Day(self.fence.day.0.saturating_add(1));
        match level {
            Reached::Closed => Some(self.closed_on()),
            _ => self.closes_daily.then_some(next),
        }
    }

    fn closed_on(&self) -> Day {
        self.closed.as_ref().map_or(self.today, |closed| closed.day)
    }

    /// What was said before stays as it was said.
    fn events(&self, before: &[Event], level: Reached) -> Vec<Event> {
        let mut events = before.to_vec();
        let reached = Reached::ALL.into_iter().filter(|one| *one <= level);
        for one in reached.skip(before.len()) {
            let day = match one {
                Reached::Shredded => self.fence.day,
                Reached::Purged if self.progress.purged_day != NO_DAY => self.progress.purged_day,
                Reached::Purged => self.today,
                Reached::Closed => self.closed_on(),
            };
            let day = day_text(day);
            events.push(Event { level: one, day });
        }
        events
    }
}
