//! Which entries stay when old ones are pruned, and what is written down of the
//! others. Only the entries themselves go: every hash stays, so that each root,
//! proof and signature of before holds (c2sp.org/tlog-tiles, "Pruning").

use super::checkpoint::Checkpoint;
use super::export::{bundle, entries_of};
use super::leaf::{Fact, Numbered};
use super::merkle::{Frontier, leaf_hash, root_of};
use super::tiles::{Tiled, WIDTH, path};
use super::verify::calls::Calls;
use crate::error::{Error, Lost, Result};
use crate::keys::signing::PublicKey;
use crate::limits;
use crate::store::{PrunedRow, Rows};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::path::Path;

/// What is told of one customer's doings goes with its time. Every other fact
/// is about keys, the vault or who runs it: it stays, also one of a kind that
/// is not known here.
const GO: [&str; 5] = ["consent", "exported", "imported", "request", "restraint"];

/// What is read of an entry.
#[derive(Deserialize)]
struct Line<'a> {
    time: i64,
    #[serde(borrow)]
    node: Cow<'a, str>,
    boot: u64,
    call: u64,
    fact: Option<Value>,
}

fn line(entry: &[u8]) -> Result<Line<'_>> {
    serde_json::from_slice(entry).map_err(|_| Error::DataLoss(Lost::Row))
}

/// Whether an entry with this fact stays.
pub fn fact_stays(fact: Option<&Value>) -> bool {
    let name = fact
        .and_then(Value::as_object)
        .and_then(|of| of.keys().next());
    name.is_some_and(|name| !GO.contains(&name.as_str()))
}

/// Whether an entry stays.
///
/// # Errors
/// It is no entry of a vault.
pub fn stays(entry: &[u8]) -> Result<bool> {
    Ok(fact_stays(line(entry)?.fact.as_ref()))
}

/// What a prune says, as an entry has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Pruned {
    /// Up to which number.
    pub entries: u64,
    /// None is of a call that came later, in microseconds since 1970.
    pub until: i64,
    /// How many of them stay.
    pub kept: u64,
    /// The root over those, in hexadecimal.
    pub root: String,
    /// How far calls were numbered then.
    pub calls: Vec<Numbered>,
}

impl Pruned {
    /// What an entry's fact says of a prune.
    pub fn of(fact: Option<&Value>) -> Option<Self> {
        let pruned = fact?.get("pruned")?;
        serde_json::from_value(pruned.clone()).ok()
    }
}

/// Entries looked at before they are pruned: from the first of the log on.
pub struct Survey {
    size: u64,
    until: i64,
    kept: Frontier,
    calls: Calls,
    before: Option<Pruned>,
}

impl Survey {
    /// Takes up what was pruned before.
    ///
    /// # Errors
    /// Rows cannot be read, or the entry of that prune is not there.
    pub fn begin(rows: &mut dyn Rows, known: Option<PrunedRow>) -> Result<Self> {
        let mut survey = Self {
            size: 0,
            until: i64::MIN,
            kept: Frontier::default(),
            calls: Calls::default(),
            before: None,
        };
        let Some(known) = known else {
            return Ok(survey);
        };
        let (leaf, _) = rows.leaf(known.leaf)?.ok_or(Error::DataLoss(Lost::Row))?;
        survey.before = Pruned::of(line(&leaf)?.fact.as_ref());
        (survey.size, survey.until) = (known.entries, known.until);
        let mut seen = 0;
        loop {
            rows.refresh();
            let mut entries = rows.entries(seen, limits::LEAVES_PER_READ)?;
            entries.retain(|(number, _)| *number <= known.entries);
            for (number, entry) in &entries {
                if stays(entry)? {
                    survey.kept.push(leaf_hash(entry));
                }
                seen = *number;
            }
            if entries.len() < limits::LEAVES_PER_READ {
                return Ok(survey);
            }
        }
    }

    /// How many entries were looked at.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many of them stay.
    pub fn kept(&self) -> u64 {
        self.kept.size()
    }

    /// When the latest of their calls came, in microseconds since 1970.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Looks at the next whole bundle. False, and nothing is taken, where it is
    /// not whole or an entry is of a call at `before` or later.
    ///
    /// # Errors
    /// Something in it is no entry.
    pub fn take(&mut self, entries: &[(u64, Vec<u8>)], before: i64) -> Result<bool> {
        let lines = entries.iter().map(|(_, entry)| line(entry));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let newest = lines.iter().map(|line| line.time).max();
        let Some(newest) = newest.filter(|newest| *newest < before) else {
            return Ok(false);
        };
        if entries.len() != WIDTH {
            return Ok(false);
        }
        for ((_, entry), line) in entries.iter().zip(&lines) {
            let fact = line.fact.as_ref();
            if fact_stays(fact) {
                self.kept.push(leaf_hash(entry));
            }
            // What cannot be right is `audit verify`'s to tell.
            let _seen = self
                .calls
                .see((&line.node, line.boot, line.call), line.time, fact);
        }
        self.size += WIDTH as u64;
        self.until = self.until.max(newest);
        Ok(true)
    }

    /// What is written down of all of them.
    ///
    /// # Errors
    /// Too many calls were under way then to tell of each.
    pub fn fact(mut self, requester: String, approver: String) -> Result<Fact> {
        for of in self.before.iter().flat_map(|before| &before.calls) {
            self.calls.pruned(of);
        }
        let calls = self.calls.numbered();
        let ranges: usize = calls.iter().map(|of| of.missing.len()).sum();
        if ranges > limits::PRUNE_RANGES {
            return Err(Error::TooMuch("calls without an entry before the date"));
        }
        Ok(Fact::Pruned {
            entries: self.size,
            until: self.until,
            kept: self.kept.size(),
            root: hex::encode(self.kept.root()),
            calls,
            requester,
            approver,
        })
    }
}

/// How many entries the checkpoint in a file covers that is this log's.
///
/// # Errors
/// [`Error::Setup`] where there is none.
pub fn anchored(rows: &mut dyn Rows, key: &PublicKey, file: &Path) -> Result<u64> {
    let shown = file.display();
    let note = std::fs::read_to_string(file).map_err(|why| {
        Error::Setup(format!(
            "the log's anchor {shown} cannot be read: {why}; nothing is pruned beyond it"
        ))
    })?;
    let seen = Checkpoint::open(&note, key);
    let seen = seen.map_err(|why| Error::Setup(format!("the log's anchor {shown} {why}")))?;
    let root = root_of(
        &mut Tiled(|level, index| rows.tile(level, index)),
        seen.size,
    );
    match root {
        Ok(root) if root == seen.root => Ok(seen.size),
        _ => Err(Error::Setup(format!(
            "the log's anchor {shown} is of another log; nothing is pruned"
        ))),
    }
}

/// Whether an export holds a bundle's entries, byte by byte.
///
/// # Errors
/// An entry is too long for a bundle.
pub fn is_exported(dir: &Path, entries: &[(u64, Vec<u8>)]) -> Result<bool> {
    let Some((first, _)) = entries.first() else {
        return Ok(true);
    };
    let index = first.saturating_sub(1) / WIDTH as u64;
    let there = std::fs::read(dir.join(path("entries", index, WIDTH))).unwrap_or_default();
    let whole = entries_of(&there).is_some_and(|of| of.len() == entries.len());
    Ok(whole && there == bundle(entries.iter().map(|(_, entry)| entry.as_slice()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::export::kept_of;
    use serde_json::json;

    #[test]
    fn what_is_told_of_a_customer_goes_and_what_is_told_of_keys_stays() {
        for (fact, stays) in [
            (json!(null), false),
            (
                json!({"consent": {"status": "ConsentGiven", "event": 1}}),
                false,
            ),
            (json!({"restraint": {}}), false),
            (json!({"request": {}}), false),
            (json!({"shredded": {"keys": "", "epoch": 1}}), true),
            (json!({"epoch_closed": {}}), true),
            (json!({"pruned": {}}), true),
            (json!({"of a later version": {}}), true),
        ] {
            assert_eq!(fact_stays(Some(&fact)), stays, "{fact}");
        }
        assert!(!fact_stays(None));
        assert!(stays(b"no entry").is_err());
    }

    #[test]
    fn what_stayed_of_a_bundle_has_one_form() {
        let good = [0, 0, 1, b'a', 7, 0, 2, b'b', b'c'];
        let kept = kept_of(&good).unwrap();
        assert_eq!(
            kept.into_iter().collect::<Vec<_>>(),
            [(0, &b"a"[..]), (7, b"bc")]
        );
        for cut in 1..good.len() {
            assert_eq!(kept_of(&good[..cut]).is_some(), cut == 4, "{cut}");
        }
        for wrong in [&[7, 0, 0, 7, 0, 0][..], &[7, 0, 0, 1, 0, 0]] {
            assert!(kept_of(wrong).is_none(), "places rise");
        }
    }
}
