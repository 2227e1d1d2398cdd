//! What was erased while something of the customer was held, and what is.

use super::document::{Exception, LogProof, Part, Reached, day_text};
use super::epoch::EpochFacts;
use super::facts::proven;
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::keys::Providers;
use crate::keys::signing::PublicKey;
use crate::store::{Destroyed, Rows};
use crate::vault::in_part::Share;
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::restraint::Note;

/// What is claimed where a hold names no law: legal claims (GDPR art. 17(3)(e)).
const LEGAL_CLAIMS: &str = "eu-gdpr:A17-3-e";

/// An erasure in part as the rows have it.
pub struct PartFacts {
    /// What went; `None` once the customer's key is gone: it was said before.
    went: Option<Vec<String>>,
    destroyed: Destroyed,
    epoch: EpochFacts,
    log: Option<LogProof>,
    /// The events that tell of it.
    pub story: u64,
}

impl PartFacts {
    /// Reads those of a customer that are done, oldest first.
    pub fn read(
        rows: &mut dyn Rows,
        (keyring, keys): (&Keyring, Option<&CustomerKeyring>),
        customer: CustomerNumber,
        providers: &Providers,
        log: Option<&PublicKey>,
    ) -> Result<Vec<Self>> {
        let mut parts = Vec::new();
        for row in rows.partial_erasures(customer)? {
            let Some(destroyed) = row.destroyed else {
                continue;
            };
            let share = keys.map(|keys| Share::open(keyring.deployment(), keys, &row));
            parts.push(Self {
                went: share.transpose()?.map(|share| share.went),
                destroyed,
                epoch: EpochFacts::read(rows, providers, destroyed.epoch)?,
                log: proven(rows, log, row.leaf)?,
                story: row.story,
            });
        }
        Ok(parts)
    }

    /// Whether its epoch is destroyed and the log proves it.
    pub fn is_final(&self) -> bool {
        self.epoch.is_destroyed && self.log.is_some()
    }

    /// What a certificate says of it, `before` of which it said this.
    pub fn part(&self, before: Option<&Part>, closes_daily: bool, today: Day) -> Part {
        let of = &self.destroyed;
        // Once proven it is: the proof stays the one that was given out.
        let log = before.and_then(|part| part.log.clone());
        let log = log.or_else(|| self.log.clone());
        let is_final = self.is_final();
        let said = before.map(|part| part.epoch.assurance.as_str());
        let stamped = (of.day, closes_daily);
        let went = before.map(|part| part.what.clone());
        Part {
            what: self.went.clone().or(went).unwrap_or_default(),
            level: match is_final {
                true => Reached::Closed,
                false => Reached::Purged,
            },
            day: day_text(of.day),
            generation: of.generation,
            keys: of.keys,
            fingerprint: hex::encode(of.fingerprint),
            epoch: self.epoch.said(said, is_final, stamped, today),
            log,
        }
    }
}

/// What is held of a customer, as a certificate says it.
pub fn exceptions(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
) -> Result<Vec<Exception>> {
    let mut held = Vec::new();
    for row in rows.restraints_of(keys.customer)? {
        if row.kind != 2 {
            continue;
        }
        let note = Note::open(keyring.deployment(), keys, &row)?;
        let or = |text: String, other: &str| match text.is_empty() {
            true => other.to_owned(),
            false => text,
        };
        held.push(Exception {
            what: or(note.what, "customer"),
            code: or(note.code, LEGAL_CLAIMS),
            authority: Some(note.authority).filter(|name| !name.is_empty()),
        });
    }
    Ok(held)
}
