//! What a certificate says, from the rows of an erasure.

use super::NO_DAY;
use super::document::{
    Certificate, EpochOf, Event, Exception, FORM, KeyGone, LogProof, Part, Reached, Recipient,
    Records, day_text,
};
use super::epoch::EpochFacts;
use super::parts::{PartFacts, exceptions};
use crate::audit::proof::prove;
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::keys::Providers;
use crate::keys::signing::PublicKey;
use crate::store::{DestroyedKey, ErasureProgress, Fence, Rows};
use crate::vault::events::heard;
use crate::vault::find::newest_keys;
use crate::vault::keyring::Keyring;
use std::collections::BTreeMap;

/// What the rows say of an erasure.
pub struct Facts {
    customer: CustomerNumber,
    /// Once all of the customer is forgotten.
    whole: Option<Whole>,
    /// What was before.
    parts: Vec<PartFacts>,
    /// What is held.
    held: Vec<Exception>,
    recipients: Vec<Recipient>,
    closes_daily: bool,
    today: Day,
}

/// The end of a customer.
struct Whole {
    fence: Fence,
    progress: ErasureProgress,
    keys: Vec<DestroyedKey>,
    epoch: EpochFacts,
    log: Option<LogProof>,
}

/// That the log holds a leaf, where a checkpoint covers it.
pub fn proven(rows: &mut dyn Rows, log: Option<&PublicKey>, leaf: u64) -> Result<Option<LogProof>> {
    let head = rows.checkpoint()?;
    let is_sealed = head.is_some_and(|head| (1..=head.size).contains(&leaf));
    match log {
        Some(key) if is_sealed => Ok(Some(LogProof {
            key: key.to_string(),
            proof: prove(rows, leaf)?,
        })),
        _ => Ok(None),
    }
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
        parts: Vec::new(),
        recipients: Vec::new(),
        log: None,
    }
}

impl Facts {
    /// Reads what there is to say of a customer who is forgotten, in part or
    /// whole. ERASURE_PENDING where nothing is destroyed yet.
    pub fn read(
        rows: &mut dyn Rows,
        keyring: &Keyring,
        customer: CustomerNumber,
        (providers, closes_daily): (&Providers, bool),
        log: Option<&PublicKey>,
        today: Day,
    ) -> Result<Self> {
        let whole = match rows.fence(customer)? {
            Some(fence) => Some(Whole::read(rows, customer, fence, providers, log)?),
            None => None,
        };
        let keys = match &whole {
            Some(_) => None,
            None => Some(keyring.customer(customer, newest_keys(rows, customer)?)?),
        };
        let of = (keyring, keys.as_ref());
        let parts = PartFacts::read(rows, of, customer, providers, log)?;
        if whole.is_none() && parts.is_empty() {
            return Err(Error::ErasurePending);
        }
        let held = match &keys {
            Some(keys) => exceptions(rows, keyring, keys)?,
            None => Vec::new(),
        };
        let mut stories: Vec<u64> = parts.iter().map(|part| part.story).collect();
        if whole.is_some() {
            stories.push(rows.story_of_erasure(customer)?);
        }
        Ok(Self {
            customer,
            whole,
            parts,
            held,
            recipients: recipients(rows, &stories)?,
            closes_daily,
            today,
        })
    }

    /// Whether there is more to say than a certificate says.
    pub fn exceed(&self, certificate: &Certificate) -> bool {
        let log = self.whole.as_ref().map(|whole| whole.log.is_some());
        let is_proven = log == Some(true) && certificate.log.is_none();
        let has_heard = self.recipients != certificate.recipients;
        let parts = self.parts(&certificate.parts);
        self.level() > certificate.level
            || is_proven
            || has_heard
            || parts != certificate.parts
            || self.held != certificate.exceptions
    }

    /// The level that is reached now.
    pub fn level(&self) -> Reached {
        let Some(whole) = &self.whole else {
            return Reached::Restricted;
        };
        // With all that was erased before it, and proven: a checkpoint follows an
        // entry within a second or two.
        let are_final = self.parts.iter().all(PartFacts::is_final);
        let is_final = whole.epoch.is_destroyed && whole.log.is_some() && are_final;
        match (whole.progress.level, is_final) {
            (3.., true) => Reached::Closed,
            (3.., false) => Reached::Purged,
            _ => Reached::Shredded,
        }
    }

    fn parts(&self, before: &[Part]) -> Vec<Part> {
        let before = before.iter().map(Some).chain(std::iter::repeat(None));
        let parts = self.parts.iter().zip(before);
        let daily = self.closes_daily;
        parts
            .map(|(part, before)| part.part(before, daily, self.today))
            .collect()
    }

    /// The next issue of a certificate, by what is so now.
    pub fn certificate(self, before: Certificate) -> Certificate {
        let level = self.level();
        let next = Certificate {
            issue: before.issue.saturating_add(1),
            issued: day_text(self.today),
            level,
            parts: self.parts(&before.parts),
            exceptions: self.held,
            recipients: self.recipients,
            ..before
        };
        match self.whole {
            Some(whole) => {
                let at = (level, self.closes_daily, self.today);
                whole.certificate(self.customer, at, next)
            }
            None => Certificate {
                events: next.parts.first().map_or_else(Vec::new, |first| {
                    vec![Event {
                        level,
                        day: first.day.clone(),
                    }]
                }),
                ..next
            },
        }
    }
}

impl Whole {
    fn read(
        rows: &mut dyn Rows,
        customer: CustomerNumber,
        fence: Fence,
        providers: &Providers,
        log: Option<&PublicKey>,
    ) -> Result<Self> {
        let progress = rows.erasure_progress(customer)?;
        let progress = progress.ok_or(Error::Internal("a certificate without an erasure"))?;
        Ok(Self {
            log: proven(rows, log, progress.leaf)?,
            epoch: EpochFacts::read(rows, providers, fence.epoch)?,
            keys: rows.destroyed_keys(customer)?,
            progress,
            fence,
        })
    }

    fn certificate(
        self,
        customer: CustomerNumber,
        (level, closes_daily, today): (Reached, bool, Day),
        next: Certificate,
    ) -> Certificate {
        let mut records = Records {
            there_were: self.progress.records,
            purged: self.progress.purged,
        };
        if level >= Reached::Purged {
            // What came or went between intent and shred.
            records.there_were = records.purged;
        }
        let number = customer.0;
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
        let (keys, fingerprint) = match keys.is_empty() && !next.keys.is_empty() {
            true => (next.keys.clone(), next.fingerprint.clone()),
            false => (keys, hex::encode(self.fence.fingerprint)),
        };
        let stamped = (self.fence.day, closes_daily);
        let is_final = level == Reached::Closed;
        let said = Some(next.epoch.assurance.as_str());
        Certificate {
            events: self.events(&next.events, level, today),
            keys,
            fingerprint,
            epoch: self.epoch.said(said, is_final, stamped, today),
            records,
            log: self.log.or(next.log),
            ..next
        }
    }

    /// What was said before stays as it was said.
    fn events(&self, before: &[Event], level: Reached, today: Day) -> Vec<Event> {
        let before = before.iter();
        let mut events: Vec<Event> = before
            .filter(|event| event.level != Reached::Restricted)
            .cloned()
            .collect();
        let reached = Reached::STEPS.into_iter().filter(|one| *one <= level);
        for one in reached.skip(events.len()) {
            let day = match one {
                Reached::Purged if self.progress.purged_day != NO_DAY => self.progress.purged_day,
                Reached::Purged => today,
                Reached::Closed => self.epoch.closed_on(today),
                Reached::Shredded | Reached::Restricted => self.fence.day,
            };
            let day = day_text(day);
            events.push(Event { level: one, day });
        }
        events
    }
}

/// Who was told of it, in whichever story, and has acknowledged all of it.
fn recipients(rows: &mut dyn Rows, stories: &[u64]) -> Result<Vec<Recipient>> {
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    for story in stories {
        for heard in heard(rows, *story)? {
            let has = all.entry(heard.service).or_insert(true);
            *has &= heard.acknowledged.is_some();
        }
    }
    let all = all.into_iter();
    Ok(all
        .map(|(service, acknowledged)| Recipient {
            service,
            acknowledged,
        })
        .collect())
}
