//! How a customer's own key finds the entries about them: hour by hour, from a
//! locator to masked numbers. Without the key neither tells anything. Each leaf
//! that is found is checked to be about them.

use crate::clock::Instant;
use crate::crypto::IdentityKeys;
use crate::crypto::mac::{mac, verify};
use crate::error::{Error, Lost, Result};
use crate::limits;
use crate::store::Rows;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// The slot of an instant: the hour, counted from 1970.
pub fn slot(time: Instant) -> i64 {
    let length = limits::HISTORY_SLOT.as_secs().cast_signed();
    time.seconds().div_euclid(length)
}

/// The longest time between a call and its last entry, and then its checkpoint,
/// in microseconds.
pub fn lag() -> i64 {
    let lag = limits::STREAM_TIME + limits::COMMIT_TIME + limits::CALL_TIME;
    i64::try_from(lag.as_micros()).unwrap_or(i64::MAX)
}

/// From which instant on the log is complete, in microseconds since 1970;
/// nothing where it was never pruned.
///
/// # Errors
/// Rows cannot be read.
pub fn complete_from(rows: &mut dyn Rows) -> Result<Option<Instant>> {
    let pruned = rows.pruned()?;
    Ok(pruned.map(|of| Instant::from_micros(of.until.saturating_add(1))))
}

/// Where the customer's rows of a slot are.
pub fn locator(keys: &IdentityKeys, slot: i64) -> [u8; 16] {
    let whole = mac(&keys.history_locator, &[&slot.to_be_bytes()]);
    *whole.first_chunk().unwrap_or(&[0; 16])
}

/// What a row's number is masked with.
pub fn mask(keys: &IdentityKeys, slot: i64, nonce: &[u8; 8]) -> u64 {
    let whole = mac(&keys.history_mask, &[&slot.to_be_bytes(), nonce]);
    u64::from_be_bytes(*whole.first_chunk().unwrap_or(&[0; 8]))
}

/// What a leaf about a customer says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Entry {
    /// The leaf's number in the log, from 1.
    #[serde(skip)]
    pub number: u64,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Which service: `tenant/service`; empty where the vault did it itself.
    pub principal: String,
    /// The RPC.
    pub method: String,
    /// How it ended: `allowed`, `denied`, `failed`...
    pub verdict: String,
    /// The reason, where it was not allowed.
    pub reason: String,
    /// The purpose.
    pub purpose: String,
    /// The record type.
    pub record_type: String,
    /// The numbers of its fields.
    pub fields: Vec<u16>,
    /// How many records.
    pub count: u64,
    nonce: String,
    subject: String,
    fact: Option<Said>,
}

/// Of what a leaf says beyond that, what is told to the customer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Said {
    exported: Option<Exported>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Exported {
    types: Vec<String>,
}

impl Entry {
    /// The record types of which records left with an export.
    pub fn exported(&self) -> &[String] {
        let said = self.fact.as_ref().and_then(|said| said.exported.as_ref());
        said.map_or(&[], |exported| &exported.types)
    }
}

/// The numbers of the leaves about a customer in one slot, in order.
fn numbers(rows: &mut dyn Rows, keys: &IdentityKeys, slot: i64) -> Result<Vec<u64>> {
    let found = rows.history(slot, &locator(keys, slot))?.into_iter();
    let unmasked = found.map(|(nonce, masked)| masked ^ mask(keys, slot, &nonce));
    let mut numbers: Vec<u64> = unmasked.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The leaves about a customer in a slot, in the order of the log.
///
/// # Errors
/// [`Lost::Row`] where a row leads to a leaf that is not about them.
pub fn in_slot(rows: &mut dyn Rows, keys: &IdentityKeys, slot: i64) -> Result<Vec<Entry>> {
    let numbers = numbers(rows, keys, slot)?.into_iter();
    let entries = numbers.map(|number| entry(rows, keys, number).transpose());
    entries.flatten().collect()
}

/// A walk over the leaves about a customer, so many at a time, in the order of
/// the log within each slot.
#[derive(Debug)]
pub struct Walk {
    slots: RangeInclusive<i64>,
    /// The numbers that are left of the slot that is being walked, the last
    /// first.
    left: Vec<u64>,
}

impl Walk {
    /// A walk over slots.
    pub fn over(slots: RangeInclusive<i64>) -> Self {
        let left = Vec::new();
        Self { slots, left }
    }

    /// Whether there is nothing left.
    pub fn is_over(&self) -> bool {
        self.left.is_empty() && self.slots.is_empty()
    }

    /// The next leaves: few enough for one job of a reader, perhaps none.
    ///
    /// # Errors
    /// As [`in_slot`].
    pub fn next(&mut self, rows: &mut dyn Rows, keys: &IdentityKeys) -> Result<Vec<Entry>> {
        let (mut entries, mut looked) = (Vec::new(), 0);
        while entries.len() < limits::HISTORY_ENTRIES_A_JOB {
            if let Some(number) = self.left.pop() {
                entries.extend(entry(rows, keys, number)?);
                continue;
            }
            if looked == limits::HISTORY_SLOTS_A_JOB {
                break;
            }
            let Some(slot) = self.slots.next() else {
                break;
            };
            self.left = numbers(rows, keys, slot)?;
            self.left.reverse();
            looked += 1;
        }
        Ok(entries)
    }
}

/// Nothing where it was pruned.
fn entry(rows: &mut dyn Rows, keys: &IdentityKeys, number: u64) -> Result<Option<Entry>> {
    let lost = || Error::DataLoss(Lost::Row);
    let Some((leaf, _)) = rows.leaf(number)? else {
        let is_pruned = rows.pruned()?.is_some_and(|of| number <= of.removed);
        return is_pruned.then_some(None).ok_or_else(lost);
    };
    let entry: Entry = serde_json::from_slice(&leaf).map_err(|_| lost())?;
    let (mut nonce, mut subject) = ([0; 16], [0; 32]);
    hex::decode_to_slice(&entry.nonce, &mut nonce).map_err(|_| lost())?;
    hex::decode_to_slice(&entry.subject, &mut subject).map_err(|_| lost())?;
    verify(&keys.audit_tag, &[&nonce], &subject).map_err(|_| lost())?;
    Ok(Some(Entry { number, ..entry }))
}
