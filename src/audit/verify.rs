//! Checking an exported log offline, with a public key and no access to the
//! vault. The root is rebuilt from the entries; nothing in the export is
//! believed because it is there.

pub(super) mod calls;
mod gone;

use super::checkpoint::{Checkpoint, Note};
use super::cosignature::WitnessKey;
use super::export::{CHECKPOINT, COSIGNED, PUBLIC_KEY};
use super::merkle::Hash;
use super::tiles::{Edge, path, widths};
use crate::error::{Error, Result};
use crate::keys::signing::PublicKey;
use crate::limits;
use crate::store::{EpochRow, EpochState, Rows, TileRow};
use calls::Calls;
pub use gone::PrunedTold;
use gone::{Bundle, Gone};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What to check an export against.
#[derive(Default)]
pub struct Known {
    /// The log's public key; without it the export's own is taken.
    pub key: Option<PublicKey>,
    /// Checkpoints that were kept outside: each must be one that the log has
    /// passed through.
    pub outside: Vec<String>,
    /// Witnesses: a checkpoint that enough of them cosigned counts as one that
    /// was kept outside.
    pub witnesses: Vec<WitnessKey>,
    /// How many are enough; 0: all.
    pub quorum: usize,
}

/// What witnesses say of an export.
pub struct Witnessed {
    /// How many entries the newest checkpoint covers that enough of them
    /// cosigned.
    pub size: u64,
    /// Their names, and when each cosigned it, in seconds since 1970.
    pub by: Vec<(String, u64)>,
}

/// What an export turned out to be.
pub struct Report {
    /// The key that it was checked with.
    pub key: PublicKey,
    /// Whether that key was the export's own, and so proves nothing of whose
    /// log it is.
    pub is_own_key: bool,
    /// The head that the entries were checked against.
    pub head: Checkpoint,
    /// How many entries a checkpoint from outside covers.
    pub proven: u64,
    /// The newest checkpoint that enough of the known witnesses cosigned.
    pub witnessed: Option<Witnessed>,
    /// What of the log was pruned, where it was.
    pub pruned: Option<PrunedTold>,
    /// Entries by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Starts of the server that left entries, by node.
    pub starts: u64,
    /// Calls that ended without an entry, as later entries say.
    pub unwritten: u64,
    /// Calls that were cut off with their server.
    pub cut_off: u64,
    /// Fingerprints of destroyed keys, with their epoch.
    pub shredded: BTreeMap<String, u32>,
    /// Epochs that were closed.
    pub closed: BTreeSet<u32>,
    findings: Findings,
}

/// What is wrong.
#[derive(Default)]
pub struct Findings {
    told: Vec<String>,
    more: u64,
}

impl Findings {
    fn add(&mut self, finding: impl Into<String>) {
        if self.told.len() < limits::FINDINGS_TOLD {
            self.told.push(finding.into());
        } else {
            self.more += 1;
        }
    }
}

impl Report {
    /// What is wrong with the log; nothing where it is verified.
    pub fn findings(&self) -> Vec<String> {
        let mut told = self.findings.told.clone();
        if self.findings.more > 0 {
            told.push(format!("and {} more", self.findings.more));
        }
        told
    }

    /// Entries at the end that no checkpoint from outside covers.
    pub fn unproven(&self) -> u64 {
        self.head.size.saturating_sub(self.proven)
    }
}

/// The part of an entry that verification reads.
#[derive(Deserialize)]
struct Entry {
    v: u8,
    time: i64,
    node: String,
    boot: u64,
    call: u64,
    verdict: String,
    fact: Option<Value>,
}

/// Checks the export in `dir`. `progress` is told how many entries of how many
/// are read.
///
/// # Errors
/// [`Error::Setup`] where there is no export, or no key; what is wrong with the
/// log itself is in the report.
pub fn verify(dir: &Path, known: &Known, progress: impl FnMut(u64, u64)) -> Result<Report> {
    let is_own_key = known.key.is_none();
    let key = match &known.key {
        Some(key) => key.clone(),
        None => own_key(dir)?,
    };
    let note = text(&dir.join(CHECKPOINT))?;
    let mut findings = Findings::default();
    let head = match Checkpoint::open(&note, &key) {
        Ok(head) => head,
        Err(why) => {
            findings.add(format!("the export's checkpoint {why}"));
            Checkpoint {
                origin: key.name().to_owned(),
                size: 0,
                root: Hash::default(),
            }
        }
    };
    let mut report = Report {
        key,
        is_own_key,
        head,
        proven: 0,
        witnessed: None,
        pruned: None,
        verdicts: BTreeMap::new(),
        starts: 0,
        unwritten: 0,
        cut_off: 0,
        shredded: BTreeMap::new(),
        closed: BTreeSet::new(),
        findings,
    };
    if report.findings.told.is_empty() {
        let mut notes = known.outside.clone();
        notes.extend(report.cosigned(known, vec![note, cosigned(dir)]));
        let outside = report.outside(&notes);
        report.rebuild(dir, outside, progress);
    }
    Ok(report)
}

/// The export's cosigned checkpoint, where it has one.
fn cosigned(dir: &Path) -> String {
    fs::read_to_string(dir.join(COSIGNED)).unwrap_or_default()
}

fn own_key(dir: &Path) -> Result<PublicKey> {
    let path = dir.join(PUBLIC_KEY);
    PublicKey::parse(&text(&path)?).ok_or_else(|| {
        Error::Setup(format!(
            "{} is not a public key (C2SP signed-note); give the log's with --key",
            path.display()
        ))
    })
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|why| {
        Error::Setup(format!(
            "{} cannot be read: {why}; `oubliette audit export` writes it",
            path.display()
        ))
    })
}

impl Report {
    /// Those of the export's own checkpoints that enough witnesses cosigned.
    fn cosigned(&mut self, known: &Known, notes: Vec<String>) -> Vec<String> {
        let quorum = match known.quorum {
            0 => known.witnesses.len(),
            some => some,
        };
        let mut kept = Vec::new();
        for text in notes {
            let Some(note) = Note::parse(&text) else {
                continue;
            };
            let by = known.witnesses.iter().filter_map(|witness| {
                let time = witness.cosigned(&note)?;
                Some((witness.name().to_owned(), time))
            });
            let by: Vec<_> = by.collect();
            if by.is_empty() || by.len() < quorum {
                continue;
            }
            let size = note.checkpoint().map_or(0, |head| head.size);
            if self
                .witnessed
                .as_ref()
                .is_none_or(|before| before.size < size)
            {
                self.witnessed = Some(Witnessed { size, by });
            }
            kept.push(text);
        }
        kept
    }

    /// The roots that outside checkpoints demand, by size.
    fn outside(&mut self, notes: &[String]) -> BTreeMap<u64, Hash> {
        let mut demanded = BTreeMap::new();
        for note in notes {
            match Checkpoint::open(note, &self.key) {
                Err(why) => self
                    .findings
                    .add(format!("a checkpoint from outside {why}")),
                Ok(seen) if seen.size > self.head.size => self.findings.add(format!(
                    "a checkpoint from outside covers {} entries and the export {}: entries were \
                     removed from the end, or the export is older",
                    seen.size, self.head.size
                )),
                Ok(seen) => {
                    let before = demanded.insert(seen.size, seen.root);
                    if before.is_some_and(|root| root != seen.root) {
                        let size = seen.size;
                        self.findings.add(format!(
                            "the log's key signed two different logs of {size} entries"
                        ));
                    }
                }
            }
        }
        demanded
    }

    fn rebuild(
        &mut self,
        dir: &Path,
        outside: BTreeMap<u64, Hash>,
        mut progress: impl FnMut(u64, u64),
    ) {
        let (mut edge, mut calls) = (Edge::default(), Calls::default());
        let (mut demanded, mut gone) = (outside.into_iter().peekable(), Gone::default());
        while demanded.next_if(|(size, _)| *size == 0).is_some() {}
        for (index, width) in widths(self.head.size) {
            let bundle = match Bundle::read(dir, index, width) {
                Ok(bundle) => bundle,
                Err(finding) => return self.findings.add(finding),
            };
            for (hash, entry) in bundle.leaves() {
                let mut full = Vec::new();
                edge.push(hash, |tile| full.push(tile));
                for tile in full {
                    self.compare(dir, &tile);
                }
                let number = edge.whole().size();
                if let Some(entry) = entry {
                    let calls = bundle.is_whole().then_some(&mut calls);
                    self.read((number, hash), entry, calls, &mut gone);
                }
                if let Some((_, root)) = demanded.next_if(|(size, _)| *size == number) {
                    self.hold_against(number, root, edge.whole().root());
                }
            }
            gone.see(&bundle, edge.whole().size());
            progress(edge.whole().size(), self.head.size);
        }
        for tile in edge.partial() {
            self.compare(dir, &tile);
        }
        if edge.whole().root() != self.head.root {
            self.findings
                .add("the entries do not make up the root that the checkpoint signs");
        }
        match gone.told(&mut calls) {
            Ok(pruned) => self.pruned = pruned,
            Err(finding) => self.findings.add(finding),
        }
        self.starts = calls.starts();
        self.unwritten = calls.unwritten();
        let (cut_off, gaps) = calls.gaps();
        self.cut_off = cut_off;
        for gap in gaps {
            self.findings.add(gap);
        }
    }

    fn hold_against(&mut self, size: u64, demanded: Hash, found: Hash) {
        if demanded == found {
            self.proven = size;
        } else {
            self.findings.add(format!(
                "the first {size} entries are not those that a checkpoint from outside was signed \
                 over: the log was written anew"
            ));
        }
    }

    fn compare(&mut self, dir: &Path, tile: &TileRow) {
        let width = tile.hashes.len() / 32;
        let name = path(&tile.level.to_string(), tile.index, width);
        if fs::read(dir.join(&name)).ok().as_ref() != Some(&tile.hashes) {
            self.findings
                .add(format!("{name} does not hold the hashes of its entries"));
        }
    }

    /// Without `calls` where the entries around it were pruned.
    fn read(
        &mut self,
        (number, hash): (u64, Hash),
        entry: &[u8],
        calls: Option<&mut Calls>,
        gone: &mut Gone,
    ) {
        let entry: Entry = match serde_json::from_slice(entry) {
            Ok(entry) => entry,
            Err(_) => {
                let finding = format!("entry {number} is not an entry of a vault");
                return self.findings.add(finding);
            }
        };
        if entry.v != 1 {
            let finding = format!("entry {number} has an unknown version");
            self.findings.add(finding);
        }
        *self.verdicts.entry(entry.verdict).or_default() += 1;
        let fact = entry.fact.as_ref();
        if let Some((keys, epoch)) = fact.and_then(shredded) {
            self.shredded.insert(keys, epoch);
        }
        if let Some(epoch) = fact.and_then(closed) {
            self.closed.insert(epoch);
        }
        gone.hear((number, hash), fact);
        let told = calls.map_or(Ok(()), |calls| {
            calls.see((&entry.node, entry.boot, entry.call), entry.time, fact)
        });
        if let Err(why) = told {
            self.findings.add(format!("entry {number}: {why}"));
        }
    }

    /// Holds the log against the vault's keys: every destroyed key has its
    /// entry, every such entry its fence, every closed epoch its entry. Entries
    /// that the vault has beyond the export count too.
    ///
    /// # Errors
    /// The vault's rows cannot be read.
    pub fn hold_against_vault(&mut self, rows: &mut dyn Rows) -> Result<()> {
        let pending: BTreeSet<_> = rows.erasures()?.iter().map(|row| row.customer).collect();
        let (fences, epochs) = (rows.fences()?, rows.epochs()?);
        let (mut shredded, mut closed) = (self.shredded.clone(), self.closed.clone());
        let mut after = self.head.size;
        loop {
            rows.refresh();
            let entries = rows.entries(after, limits::VERIFY_ENTRIES)?;
            for (number, entry) in &entries {
                let fact = serde_json::from_slice::<Entry>(entry).ok();
                let fact = fact.and_then(|entry| entry.fact);
                shredded.extend(fact.as_ref().and_then(self::shredded));
                closed.extend(fact.as_ref().and_then(self::closed));
                after = *number;
            }
            if entries.len() < limits::VERIFY_ENTRIES {
                break;
            }
        }
        let destroyed = epochs.iter().filter(|e| e.state == EpochState::Destroyed);
        let destroyed: BTreeSet<u32> = destroyed.map(|epoch| epoch.epoch).collect();
        let mut fenced = BTreeSet::new();
        for (customer, fence) in &fences {
            let keys = hex::encode(fence.fingerprint);
            if !shredded.contains_key(&keys) && !pending.contains(customer) {
                self.findings
                    .add(format!("keys {keys} are destroyed and no entry says so"));
            }
            fenced.insert(keys);
        }
        for (keys, epoch) in &self.shredded {
            if !fenced.contains(keys) && !destroyed.contains(epoch) {
                self.findings.add(format!(
                    "an entry says that keys {keys} are destroyed, and no fence keeps them so"
                ));
            }
        }
        // Its certificate is written when its key is gone, just before the end.
        let is_over = |epoch: &&EpochRow| {
            matches!(epoch.state, EpochState::Destroyed | EpochState::Condemned)
        };
        for epoch in epochs.iter().filter(|epoch| !is_over(epoch)) {
            let epoch = epoch.epoch;
            if closed.contains(&epoch) {
                self.findings.add(format!(
                    "an entry says that epoch {epoch} is closed, and it is open"
                ));
            }
        }
        for epoch in destroyed.difference(&closed) {
            self.findings
                .add(format!("epoch {epoch} is closed and no entry says so"));
        }
        Ok(())
    }
}

fn shredded(fact: &Value) -> Option<(String, u32)> {
    let fact = fact.get("shredded")?;
    let epoch = u32::try_from(fact.get("epoch")?.as_u64()?).ok()?;
    Some((fact.get("keys")?.as_str()?.to_owned(), epoch))
}

fn closed(fact: &Value) -> Option<u32> {
    u32::try_from(fact.get("epoch_closed")?.get("epoch")?.as_u64()?).ok()
}
