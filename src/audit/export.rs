//! The log as files that any static server can publish and anybody's tools can
//! check: C2SP tlog-tiles, with the log's public key beside it.

use super::checkpoint::{Checkpoint, Note};
use super::tiles::{WIDTH, path, tiles_of, widths};
use crate::error::{Error, Lost, Result};
use crate::keys::signing::SigningKey;
use crate::limits;
use crate::store::{CheckpointRow, Rows};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of the signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The file of the newest checkpoint that witnesses cosigned, where they did.
pub const COSIGNED: &str = "checkpoint.cosigned";
/// Beside `entries`: what stayed of bundles that were pruned.
pub const KEPT: &str = "kept";
/// The file of the log's public key, as C2SP signed-note writes it.
pub const PUBLIC_KEY: &str = "log.vkey";

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Which log.
    pub origin: String,
    /// Entries, all under the checkpoint.
    pub entries: u64,
    /// Entries up to this number were pruned, but for those that stay.
    pub pruned: u64,
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
    let row = covered(rows, out, &mut progress)?;
    let origin = Note::parse(&row.note).and_then(|note| note.text().lines().next());
    let key = SigningKey::load(key, origin.unwrap_or_default().to_owned())?;
    let checkpoint = Checkpoint::open(&row.note, key.public())
        .map_err(|why| Error::Setup(format!("the log's newest checkpoint {why}")))?;
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
        pruned: rows.pruned()?.map_or(0, |of| of.removed),
        unsealed: rows.newest_entry()?.saturating_sub(checkpoint.size),
    })
}

/// Writes the entries under the newest checkpoint, and answers that one.
fn covered(
    rows: &mut dyn Rows,
    out: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<CheckpointRow> {
    for _ in 0..limits::EXPORT_TRIES {
        rows.refresh();
        let row = rows.checkpoint()?.ok_or_else(|| {
            Error::Setup(
                "the log has no checkpoint yet; start the vault once, and it signs one".to_owned(),
            )
        })?;
        let has_holes = write_entries(rows, out, row.size, progress)?;
        // A prune that began meanwhile is told by an entry that a later
        // checkpoint covers: without it the holes would have no reason.
        if !has_holes || rows.pruned()?.is_some_and(|of| of.leaf <= row.size) {
            return Ok(row);
        }
    }
    Err(Error::Contended)
}

/// Whether some were pruned.
fn write_entries(
    rows: &mut dyn Rows,
    out: &Path,
    size: u64,
    progress: &mut impl FnMut(u64, u64),
) -> Result<bool> {
    let mut has_holes = false;
    for (index, width) in widths(size) {
        let after = index * WIDTH as u64;
        let end = after + width as u64;
        let mut entries = rows.entries(after, width)?;
        entries.retain(|(number, _)| *number <= end);
        if entries.len() == width {
            let entries = entries.iter().map(|(_, entry)| entry.as_slice());
            write(out, &path("entries", index, width), &bundle(entries)?)?;
        } else if rows.pruned()?.is_some_and(|of| end <= of.removed) {
            has_holes = true;
            if !entries.is_empty() {
                write(out, &path(KEPT, index, width), &kept(&entries)?)?;
            }
        } else {
            return Err(Error::DataLoss(Lost::Row));
        }
        progress(end, size);
        // A running vault empties its log only between our reads.
        rows.refresh();
    }
    Ok(has_holes)
}

/// Entries, each behind its length as a big-endian `u16`.
pub(super) fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len());
        let length = length.map_err(|_| Error::TooMuch("bytes of an audit entry"))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle that stayed, each behind its place in the bundle as a
/// byte and its length.
fn kept(entries: &[(u64, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (number, entry) in entries {
        let place = number.saturating_sub(1) % WIDTH as u64;
        bytes.push(u8::try_from(place).unwrap_or_default());
        bytes.extend(bundle([entry.as_slice()])?);
    }
    Ok(bytes)
}

/// The entries of a bundle that stayed, by their place in it; `None` where that
/// is malformed, or their places do not rise.
pub fn kept_of(bytes: &[u8]) -> Option<BTreeMap<u8, &[u8]>> {
    let (mut rest, mut kept) = (bytes, BTreeMap::new());
    while !rest.is_empty() {
        let (place, after) = rest.split_first()?;
        let (length, after) = after.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        let rises = kept.last_key_value().is_none_or(|(last, _)| last < place);
        if !rises {
            return None;
        }
        kept.insert(*place, entry);
        rest = after;
    }
    Some(kept)
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
