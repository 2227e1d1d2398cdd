//! Making a `keys.db` of a key backup and a ledger. Both are checked before a
//! byte is written; the new file is marked as a copy until the restore is
//! finished, so that it cannot be served before.

use super::age_file::Identity;
use super::failed;
use super::ledger::Ledger;
use super::manifest::{Manifest, digest_of};
use crate::durable;
use crate::error::{Error, Result};
use crate::store::sqlite::{Image, KEYS_FILE, KeysBuild, Traces, mark_of_keys};
use crate::store::{CopyMark, LedgerEntry, Part};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What else than the ledger's copy says what happened after the backup.
#[derive(Clone, Default)]
pub struct Evidence {
    /// What the vault's own `vault.db` knows, where it is there.
    pub traces: Traces,
    /// The newest epoch that the provider has a key of.
    pub newest_key: u32,
    /// Whether the ledger is known to reach the newest outside checkpoint.
    pub is_proven: bool,
}

/// What a rebuild came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The backup's number and time.
    pub sequence: u64,
    /// When it was taken, in seconds since 1970.
    pub time: i64,
    /// Entries of the ledger that the backup did not know.
    pub replayed: u64,
    /// Customers who had keys in the backup and were erased since.
    pub kept_dead: u64,
    /// Customers whom only `vault.db` shows as erased; they are dead too.
    pub unlisted: u64,
    /// The epochs that its pages are wrapped under.
    pub epochs: Vec<u32>,
}

/// Opens every pack of a backup and hands out its parts, each checked against
/// its digest.
pub fn open_packs(
    dir: &Path,
    manifest: &Manifest,
    identity: &Identity,
    mut part: impl FnMut(&Image, Part) -> Result<()>,
) -> Result<()> {
    let mut of_pack: BTreeMap<usize, Vec<(Part, [u8; 32])>> = BTreeMap::new();
    for row in manifest.parts() {
        let (part, digest, pack) = row.ok_or(Error::Internal("a part of a signed manifest"))?;
        of_pack.entry(pack).or_default().push((part, digest));
    }
    for (pack, parts) in of_pack {
        let pack = manifest
            .packs
            .get(pack)
            .ok_or(Error::Internal("a pack of a signed manifest"))?;
        let path = dir.join(&pack.file);
        let changed = || {
            Error::Setup(format!(
                "{} is not the file that the backup was made of; take another copy of it",
                path.display()
            ))
        };
        if digest_of(&path)? != pack.sha256 {
            return Err(changed());
        }
        let image = Image::open(&identity.read(&path)?)?;
        for (name, digest) in &parts {
            if image.read(*name)?.digest() != *digest {
                return Err(changed());
            }
        }
        image.migrate()?;
        for (name, _) in parts {
            part(&image, name)?;
        }
    }
    Ok(())
}

/// Makes the `keys.db` of `data`, which must not be there, of a backup and the
/// ledger.
pub fn rebuild_keys(
    data: &Path,
    dir: &Path,
    manifest: &Manifest,
    identity: &Identity,
    ledger: Option<&Ledger>,
    evidence: &Evidence,
    time: i64,
) -> Result<Rebuilt> {
    let path = data.join(KEYS_FILE);
    let is_copy = || mark_of_keys(&path).is_ok_and(|mark| mark.is_some());
    if path.exists() && is_copy() {
        // A restore that was cut off left it there.
        clear(&path);
    }
    if path.exists() {
        return Err(Error::Setup(format!(
            "{} is there, and it may be newer than any backup; move it away if it is damaged",
            path.display()
        )));
    }
    let draft = data.join(format!(".{KEYS_FILE}.new"));
    clear(&draft);
    let deployment = hex::decode(&manifest.vault)
        .ok()
        .and_then(|id| id.try_into().ok());
    let deployment = deployment.ok_or(Error::Internal("a signed manifest"))?;
    let mark = CopyMark {
        deployment,
        ledger: manifest.ledger,
        time: manifest.time,
    };
    let build = KeysBuild::create(&draft, &mark)?;
    open_packs(dir, manifest, identity, |image, part| {
        build.add(&image.read(part)?)
    })?;
    let own = build.ledger()?;
    let given: &[LedgerEntry] = ledger.map_or(&[], |ledger| &ledger.entries);
    let replayed = agree(&own, given)?;
    let (newest, epochs) = build.epochs()?;
    let floor = newest.max(evidence.newest_key);
    let listed = if given.len() > own.len() { given } else { &own };
    let kept_dead = build.apply(listed, floor, evidence.is_proven, time)?;
    let Traces {
        numbers, shredded, ..
    } = &evidence.traces;
    let unlisted = build.shred_unlisted(shredded, floor)?;
    build.skip_numbers(numbers.0, numbers.1)?;
    build.finish()?;
    durable::settle(&draft, &path).map_err(|why| failed(&path, &why))?;
    clear(&draft);
    let (sequence, time) = (manifest.sequence, manifest.time);
    Ok(Rebuilt {
        sequence,
        time,
        replayed,
        kept_dead,
        unlisted,
        epochs,
    })
}

/// A draft and what SQLite puts beside it.
fn clear(draft: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = draft.as_os_str().to_owned();
        name.push(ending);
        // A file that is not there is what is wanted.
        let _ = fs::remove_file(name);
    }
}

/// The backup's own entries and the ledger's must be one story; how many more
/// the ledger has.
fn agree(own: &[LedgerEntry], given: &[LedgerEntry]) -> Result<u64> {
    let same = |(a, b): (&LedgerEntry, &LedgerEntry)| {
        let plain = |of: &LedgerEntry| (of.entry, of.kind, of.customer, of.number, of.day);
        plain(a) == plain(b)
    };
    if !own.iter().zip(given).all(same) {
        return Err(Error::Setup(
            "the ledger tells another story than the backup: they are not of one vault's one \
             life; take the ledger that the vault wrote"
                .to_owned(),
        ));
    }
    Ok(given.len().saturating_sub(own.len()) as u64)
}

/// Restores a backup into a directory of its own and looks whether every part
/// is there: what the close of an epoch asks before it destroys the old key.
pub fn test_restore(dir: &Path, manifest: &Manifest, identity: &Identity) -> Result<()> {
    open_packs(dir, manifest, identity, |_, _| Ok(()))
}
