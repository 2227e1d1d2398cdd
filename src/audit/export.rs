//! The log as files that any static server can publish and anybody's tools can
//! check: C2SP tlog-tiles, with the log's public key beside it.

use super::checkpoint::{Checkpoint, Note};
use super::tiles::{path, tiles_of, widths};
use crate::error::{Error, Lost, Result};
use crate::keys::signing::SigningKey;
use crate::store::Rows;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of the signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The file of the newest checkpoint that witnesses cosigned, where they did.
pub const COSIGNED: &str = "checkpoint.cosigned";
/// The file of the log's public key, as C2SP signed-note writes it.
pub const PUBLIC_KEY: &str = "log.vkey";

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Which log.
    pub origin: String,
    /// Entries, all under the checkpoint.
    pub entries: u64,
    /// Entries that the vault has beyond its newest checkpoint.
    pub unsealed: u64,
}

/// Writes the log up to its newest checkpoint into `out`, beside what an
/// earlier export left there; `key` is the file of the log's signing key.
/// `progress` is told how many entries are written.
///
/// # Errors
/// There is no checkpoint yet, rows are missing, or a file cannot be written.
pub fn export(
    rows: &mut dyn Rows,
    key: &Path,
    out: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported> {
    let row = rows.checkpoint()?.ok_or_else(|| {
        Error::Setup(
            "the log has no checkpoint yet; start the vault once, and it signs one".to_owned(),
        )
    })?;
    let origin = Note::parse(&row.note).and_then(|note| note.text().lines().next());
    let key = SigningKey::load(key, origin.unwrap_or_default().to_owned())?;
    let checkpoint = Checkpoint::open(&row.note, key.public())
        .map_err(|why| Error::Setup(format!("the log's newest checkpoint {why}")))?;
    for (index, width) in widths(checkpoint.size) {
        let after = index * super::tiles::WIDTH as u64;
        let entries = rows.entries(after, width)?;
        if entries.len() < width {
            return Err(Error::DataLoss(Lost::Row));
        }
        write(out, &path("entries", index, width), &bundle(&entries)?)?;
        progress(after + width as u64, checkpoint.size);
        // A running vault empties its log only between our reads.
        rows.refresh();
    }
    for (level, index, width) in tiles_of(checkpoint.size) {
        let mut hashes = rows.tile(level, index)?.unwrap_or_default();
        hashes.truncate(width * 32);
        if hashes.len() < width * 32 {
            return Err(Error::DataLoss(Lost::Row));
        }
        write(out, &path(&level.to_string(), index, width), &hashes)?;
    }
    write(out, PUBLIC_KEY, format!("{}\n", key.public()).as_bytes())?;
    let cosigned = rows.cosigned()?.filter(|of| of.size <= row.size);
    if let Some(cosigned) = &cosigned {
        write(out, COSIGNED, cosigned.note.as_bytes())?;
    }
    // Last: what it covers is there.
    let is_newest = cosigned.filter(|of| of.size == row.size);
    let newest = is_newest.unwrap_or(row);
    write(out, CHECKPOINT, newest.note.as_bytes())?;
    Ok(Exported {
        origin: checkpoint.origin,
        entries: checkpoint.size,
        unsealed: rows.newest_entry()?.saturating_sub(checkpoint.size),
    })
}

/// Entries, each behind its length as a big-endian `u16`.
fn bundle(entries: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len());
        let length = length.map_err(|_| Error::TooMuch("bytes of an audit entry"))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle; `None` where it is cut short.
pub fn entries_of(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut entries) = (bundle, Vec::new());
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

/// Writes a file whole: whoever looks sees the old one or the new one.
fn write(out: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = out.join(name);
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let parent = path.parent().unwrap_or(out);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&beside, bytes))
        .and_then(|()| fs::rename(&beside, &path))
        .map_err(|why| {
            Error::Setup(format!(
                "{} cannot be written: {why}; name a directory that you may write to",
                path.display()
            ))
        })
}
