//! Backing up `keys.db`: beside a running server, part by part, only what has
//! changed since the last backup in the same directory, encrypted and signed.

use super::age_file::Recipient;
use super::failed;
use super::manifest::{Manifest, Pack, digest_of, newest};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::keys::signing::SigningKey;
use crate::limits;
use crate::store::Part;
use crate::store::sqlite::{Image, KeysScan, PartRows};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a vault's key backups go: what the close of an epoch asks before it
/// destroys the old key.
pub struct KeyBackups {
    /// Where `keys.db` is.
    pub data: PathBuf,
    /// The directory of the backups.
    pub dir: PathBuf,
    /// Whom they are encrypted to.
    pub recipient: Recipient,
    /// Signs them.
    pub key: SigningKey,
}

impl KeyBackups {
    /// Takes a backup and reads it back: every part is opened again before it
    /// is encrypted, and every file hashed as it lies on the disk. Refused
    /// where it does not hold `epoch`. Blocks.
    pub fn take_and_test(&self, epoch: u32) -> Result<()> {
        let now = Instant::now().seconds();
        let Self {
            data,
            dir,
            recipient,
            key,
        } = self;
        let taken = back_up_keys(data, dir, recipient, key, now, false, |_, _| {})?;
        let Some((manifest, _)) = newest(dir, key.public())? else {
            return Err(Error::Internal("a key backup that is not there"));
        };
        for pack in &manifest.packs {
            if digest_of(&dir.join(&pack.file))? != pack.sha256 {
                return Err(Error::Setup(format!(
                    "{} is not as it was written; see to the disk of the key backups, and take \
                     a new one with: oubliette backup keys --full",
                    dir.join(&pack.file).display()
                )));
            }
        }
        if manifest != taken.manifest || !manifest.epochs.contains(&epoch) {
            return Err(Error::Internal("a key backup of another moment"));
        }
        Ok(())
    }
}

/// What a key backup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysBackup {
    /// Its table of contents.
    pub manifest: Manifest,
    /// How many parts were written.
    pub written: usize,
    /// How many stand in earlier packs as they are.
    pub kept: usize,
}

/// Backs up the `keys.db` of `data` into `dir`. `is_full`: also what has not
/// changed. `told` hears how many of how many parts are read.
pub fn back_up_keys(
    data: &Path,
    dir: &Path,
    recipient: &Recipient,
    key: &SigningKey,
    time: i64,
    is_full: bool,
    mut told: impl FnMut(usize, usize),
) -> Result<KeysBackup> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|why| failed(dir, &why))?;
    let before = newest(dir, key.public())?;
    let scan = KeysScan::open(data)?;
    for _ in 0..limits::BACKUP_TRIES {
        let (vault, _, epochs) = scan.now()?;
        let vault = hex::encode(vault);
        if before
            .as_ref()
            .is_some_and(|(manifest, _)| manifest.vault != vault)
        {
            return Err(Error::Setup(format!(
                "{} holds the backups of another vault; name another directory",
                dir.display()
            )));
        }
        let old = before
            .as_ref()
            .filter(|_| !is_full)
            .map(|(manifest, _)| manifest);
        let mut backup = Backup::begin(dir, recipient, old, before.as_ref().map(|b| &b.0));
        let parts = scan.parts()?;
        for (done, part) in parts.iter().enumerate() {
            told(done, parts.len());
            backup.add(*part, &scan.read(*part)?)?;
        }
        backup.close_pack()?;
        // A page that was read under an epoch that the rest does not know, or
        // knows as destroyed, would be lost: read all of it again.
        let (_, ledger, after) = scan.now()?;
        if after != epochs {
            backup.give_up();
            continue;
        }
        let (written, kept) = (backup.written, backup.kept);
        let previous = before
            .as_ref()
            .map(|(_, path)| digest_of(path))
            .transpose()?;
        let manifest = backup.manifest(vault, previous.unwrap_or_default(), time, ledger, epochs);
        manifest.write(dir, key)?;
        return Ok(KeysBackup {
            manifest,
            written,
            kept,
        });
    }
    Err(Error::Setup(format!(
        "an epoch was opened or closed during each of {} tries; take the backup again when no \
         epoch is being closed",
        limits::BACKUP_TRIES
    )))
}

/// A backup in the making.
struct Backup<'a> {
    dir: &'a Path,
    recipient: &'a Recipient,
    old: Option<&'a Manifest>,
    sequence: u64,
    packs: Vec<Pack>,
    parts: BTreeMap<String, (String, usize)>,
    image: Option<(Image, usize)>,
    written: usize,
    kept: usize,
}

impl<'a> Backup<'a> {
    fn begin(
        dir: &'a Path,
        recipient: &'a Recipient,
        old: Option<&'a Manifest>,
        before: Option<&Manifest>,
    ) -> Self {
        Self {
            dir,
            recipient,
            old,
            sequence: before.map_or(1, |manifest| manifest.sequence + 1),
            packs: old.map_or_else(Vec::new, |manifest| manifest.packs.clone()),
            parts: BTreeMap::new(),
            image: None,
            written: 0,
            kept: 0,
        }
    }

    fn add(&mut self, part: Part, rows: &PartRows) -> Result<()> {
        let (name, digest) = (part.to_string(), hex::encode(rows.digest()));
        if let Some(old) = self.old.and_then(|old| old.parts.get(&name))
            && old.0 == digest
        {
            self.kept += 1;
            self.parts.insert(name, old.clone());
            return Ok(());
        }
        let (image, bytes) = match self.image.take() {
            Some(image) => image,
            None => (Image::new()?, 0),
        };
        image.add(rows)?;
        self.written += 1;
        self.parts.insert(name, (digest, self.packs.len()));
        let bytes = bytes + rows.weight();
        self.image = Some((image, bytes));
        if bytes >= limits::PACK_BYTES {
            self.close_pack()
        } else {
            Ok(())
        }
    }

    fn close_pack(&mut self) -> Result<()> {
        let Some((image, _)) = self.image.take() else {
            return Ok(());
        };
        let bytes = image.bytes()?;
        self.read_back(&bytes)?;
        // A try that was given up may have left files of these names.
        for number in 0.. {
            let file = format!(
                "keys-{:08}-{:04}.age",
                self.sequence,
                self.packs.len() + number
            );
            let path = self.dir.join(&file);
            if path.exists() {
                continue;
            }
            self.recipient.write(&path, &bytes)?;
            let sha256 = digest_of(&path)?;
            self.packs.push(Pack { file, sha256 });
            break;
        }
        Ok(())
    }

    /// Removes the packs of a try that came to nothing.
    fn give_up(self) {
        let old = self.old.map_or(0, |manifest| manifest.packs.len());
        for pack in self.packs.iter().skip(old) {
            // What cannot be removed is named by no manifest.
            let _ = std::fs::remove_file(self.dir.join(&pack.file));
        }
    }

    /// The image, opened again, holds what was read: the pack is written only
    /// then.
    fn read_back(&self, bytes: &[u8]) -> Result<()> {
        let image = Image::open(bytes)?;
        let own = self
            .parts
            .iter()
            .filter(|(_, (_, pack))| *pack == self.packs.len());
        for (name, (digest, _)) in own {
            let part = Part::parse(name).ok_or(Error::Internal("a part's name"))?;
            if hex::encode(image.read(part)?.digest()) != *digest {
                return Err(Error::Internal("a pack that does not hold what was read"));
            }
        }
        Ok(())
    }

    /// The table of contents, with the packs that a part still needs.
    fn manifest(
        self,
        vault: String,
        previous: String,
        time: i64,
        ledger: u64,
        epochs: Vec<u32>,
    ) -> Manifest {
        let used: BTreeSet<usize> = self.parts.values().map(|(_, pack)| *pack).collect();
        let place: BTreeMap<usize, usize> = used.iter().copied().zip(0..).collect();
        let packs = self.packs.into_iter().enumerate();
        let packs = packs
            .filter(|(at, _)| used.contains(at))
            .map(|(_, pack)| pack);
        let parts = self.parts.into_iter().map(|(name, (digest, pack))| {
            let pack = place.get(&pack).copied().unwrap_or_default();
            (name, (digest, pack))
        });
        Manifest {
            vault,
            sequence: self.sequence,
            previous,
            time,
            ledger,
            epochs,
            packs: packs.collect(),
            parts: parts.collect(),
        }
    }
}
