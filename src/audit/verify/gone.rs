//! What is not in an export any more, and why: entries were pruned, and a later
//! entry says up to where, and what stayed of them. A hole without such an
//! entry, and one that is larger, is a finding.

use super::super::export::{KEPT, entries_of, kept_of};
use super::super::merkle::{Frontier, Hash, leaf_hash};
use super::super::pruning::{Pruned, fact_stays};
use super::super::tiles::{WIDTH, path};
use super::calls::Calls;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What of a log was pruned, as its own entries say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedTold {
    /// Entries up to this number.
    pub entries: u64,
    /// No call of them came later, in microseconds since 1970.
    pub until: i64,
    /// How many of them stay.
    pub kept: u64,
    /// How many are not in this export; an older one may have been brought up
    /// to date, and have all of them.
    pub missing: u64,
}

/// A bundle of entries, or what was left of one.
pub enum Bundle {
    /// All of it.
    Whole(Vec<Vec<u8>>),
    /// The hashes, and the entries that stayed by their place.
    Pruned(Vec<Hash>, BTreeMap<u8, Vec<u8>>),
}

impl Bundle {
    /// Reads a bundle; where it is not there, its hashes and what stayed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(dir: &Path, index: u64, width: usize) -> Result<Self, String> {
        let name = path("entries", index, width);
        let bytes = match fs::read(dir.join(&name)) {
            Err(why) if why.kind() == ErrorKind::NotFound && width == WIDTH => {
                return Self::pruned(dir, index);
            }
            read => read.unwrap_or_default(),
        };
        let entries = entries_of(&bytes).unwrap_or_default();
        if entries.len() != width {
            return Err(format!("{name} does not hold its {width} entries"));
        }
        let entries = entries.into_iter().map(<[u8]>::to_vec);
        Ok(Self::Whole(entries.collect()))
    }

    fn pruned(dir: &Path, index: u64) -> Result<Self, String> {
        let tile = path("0", index, WIDTH);
        let hashes = fs::read(dir.join(&tile)).unwrap_or_default();
        let (hashes, rest) = hashes.as_chunks();
        if hashes.len() != WIDTH || !rest.is_empty() {
            return Err(format!("{tile} does not hold the hashes of its entries"));
        }
        let name = path(KEPT, index, WIDTH);
        let bytes = fs::read(dir.join(&name)).unwrap_or_default();
        let malformed = || format!("{name} does not hold entries as they stay");
        let kept = kept_of(&bytes).ok_or_else(malformed)?;
        let fits = |(place, entry): (&u8, &&[u8])| {
            hashes.get(usize::from(*place)) == Some(&leaf_hash(entry))
        };
        if !kept.iter().all(fits) {
            return Err(format!("{name} holds what is not in the log"));
        }
        let kept = kept
            .into_iter()
            .map(|(place, entry)| (place, entry.to_vec()));
        Ok(Self::Pruned(hashes.to_vec(), kept.collect()))
    }

    /// Whether all entries are there.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// Hash after hash, with the entry where it is there.
    pub fn leaves(&self) -> Vec<(Hash, Option<&[u8]>)> {
        match self {
            Self::Whole(entries) => {
                let entries = entries.iter().map(Vec::as_slice);
                entries
                    .map(|entry| (leaf_hash(entry), Some(entry)))
                    .collect()
            }
            Self::Pruned(hashes, kept) => {
                let places = (0_u8..=u8::MAX).zip(hashes);
                let kept = |place| kept.get(&place).map(Vec::as_slice);
                places.map(|(place, hash)| (*hash, kept(place))).collect()
            }
        }
    }
}

/// What is not there, and what the log says of it.
#[derive(Default)]
pub struct Gone {
    /// The end of the last bundle that was pruned.
    end: u64,
    /// Entries that are not there.
    missing: u64,
    /// Entries that stay when they are pruned: number and hash.
    stay: Vec<(u64, Hash)>,
    /// The prune that went furthest.
    told: Option<Pruned>,
}

impl Gone {
    /// A bundle that ends with entry `end`.
    pub fn see(&mut self, bundle: &Bundle, end: u64) {
        if let Bundle::Pruned(hashes, kept) = bundle {
            self.end = end;
            self.missing += (hashes.len() - kept.len()) as u64;
        }
    }

    /// An entry's fact.
    pub fn hear(&mut self, (number, hash): (u64, Hash), fact: Option<&Value>) {
        if fact_stays(fact) {
            self.stay.push((number, hash));
        }
        let further = self.told.as_ref().map_or(0, |of| of.entries);
        let told = Pruned::of(fact).filter(|of| of.entries > further && of.entries < number);
        self.told = told.or_else(|| self.told.take());
    }

    /// Holds what is not there against what the log says.
    ///
    /// # Errors
    /// More is gone than that.
    pub fn told(self, calls: &mut Calls) -> Result<Option<PrunedTold>, String> {
        let allowed = self.told.as_ref().map_or(0, |of| of.entries);
        if self.end > allowed {
            return Err(format!(
                "entries {} to {} are not there, and no entry says that they were pruned",
                allowed + 1,
                self.end
            ));
        }
        let Some(told) = self.told else {
            return Ok(None);
        };
        let stay = self
            .stay
            .iter()
            .filter(|(number, _)| *number <= told.entries);
        let (mut kept, mut tree) = (0, Frontier::default());
        for (_, hash) in stay {
            tree.push(*hash);
            kept += 1;
        }
        if kept != told.kept || hex::encode(tree.root()) != told.root {
            return Err(format!(
                "of the first {} entries, which were pruned, {} had to stay, and it is not these \
                 that are there",
                told.entries, told.kept
            ));
        }
        if self.missing > 0 {
            for of in &told.calls {
                calls.pruned(of);
            }
        }
        Ok(Some(PrunedTold {
            entries: told.entries,
            until: told.until,
            kept,
            missing: self.missing,
        }))
    }
}
