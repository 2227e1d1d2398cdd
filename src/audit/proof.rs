//! That one entry is in the log, as a text that stands by itself
//! (c2sp.org/tlog-proof). The entry is in its `extra` line: the path up to the
//! signed root is what makes it count.

use super::checkpoint::Checkpoint;
use super::merkle::{Hash, includes, inclusion, leaf_hash};
use super::tiles::Tiled;
use crate::error::{Error, Result};
use crate::keys::signing::PublicKey;
use crate::store::{CheckpointRow, Rows};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An entry that a proof shows to be in a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    /// The entry's number, from 1.
    pub number: u64,
    /// The entry, as the log hashes it.
    pub entry: Vec<u8>,
    /// The log's head that it was proven against.
    pub head: Checkpoint,
}

/// Proves entry `number` (from 1) against the newest checkpoint that witnesses
/// cosigned, or else the newest.
///
/// # Errors
/// There is no such entry under a checkpoint.
pub fn prove(rows: &mut dyn Rows, number: u64) -> Result<String> {
    let covers = |head: &CheckpointRow| (1..=head.size).contains(&number);
    let head = match rows.cosigned()?.filter(covers) {
        Some(head) => Some(head),
        None => rows.checkpoint()?.filter(covers),
    };
    let head = head.ok_or_else(|| {
        Error::Setup(format!(
            "there is no entry {number} under a checkpoint; entries are numbered from 1, and a \
             new one is sealed within a second"
        ))
    })?;
    let index = number - 1;
    let (entry, _) = rows.leaf(number)?.ok_or_else(|| {
        Error::Setup(format!(
            "entry {number} was pruned; an export that was made before has it, and proves it"
        ))
    })?;
    let mut tree = Tiled(|level, index| rows.tile(level, index));
    let path = inclusion(&mut tree, index, head.size)?;
    let entry = BASE64_STANDARD.encode(entry);
    let mut text = format!("{HEADER}\nextra {entry}\nindex {index}\n");
    for hash in path {
        text.push_str(&BASE64_STANDARD.encode(hash));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&head.note);
    Ok(text)
}

/// Checks a proof with the log's key; says what is wrong with it.
///
/// # Errors
/// It is not a proof, not signed, or does not show what it says.
pub fn check(proof: &str, key: &PublicKey) -> std::result::Result<Proven, String> {
    let malformed = || "is not a proof (c2sp.org/tlog-proof) with its entry".to_owned();
    let (lines, note) = proof.split_once("\n\n").ok_or_else(malformed)?;
    let mut lines = lines.split('\n');
    if lines.next() != Some(HEADER) {
        return Err(malformed());
    }
    let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name));
    let (entry, index) = (field("extra "), field("index "));
    let entry = entry.and_then(|entry| BASE64_STANDARD.decode(entry).ok());
    let index: Option<u64> = index.and_then(|index| index.parse().ok());
    let hash = |line| Hash::try_from(BASE64_STANDARD.decode(line).ok()?).ok();
    let path: Option<Vec<Hash>> = lines.map(hash).collect();
    let (Some(entry), Some(index), Some(path)) = (entry, index, path) else {
        return Err(malformed());
    };
    let head = Checkpoint::open(note, key).map_err(|why| format!("its checkpoint {why}"))?;
    if !includes(&leaf_hash(&entry), index, head.size, &path, &head.root) {
        return Err("does not lead from the entry to the signed root".to_owned());
    }
    Ok(Proven {
        number: index + 1,
        entry,
        head,
    })
}
