//! What a key backup consists of: one signed file a backup, which names every
//! part of `keys.db`, its digest, and the pack that holds it. A backup writes
//! only packs of parts that changed and names the earlier packs for the rest.

use super::failed;
use crate::crypto::Deployment;
use crate::durable;
use crate::error::{Error, Result};
use crate::keys::signing::{PublicKey, SigningKey};
use crate::limits;
use crate::store::Part;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const FIRST_LINE: &str = "oubliette key backup, version 1";

/// A key backup's table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of which vault, in hexadecimal.
    pub vault: String,
    /// From 1, one more at each backup in a directory.
    pub sequence: u64,
    /// SHA-256 of the manifest before, in hexadecimal; empty for the first.
    pub previous: String,
    /// When it was taken, in seconds since 1970.
    pub time: i64,
    /// The last entry of the ledger.
    pub ledger: u64,
    /// Epochs that were not destroyed.
    pub epochs: Vec<u32>,
    /// The packs that hold its parts.
    pub packs: Vec<Pack>,
    /// Every part, by name: its digest in hexadecimal, and the place of its
    /// pack in `packs`.
    pub parts: BTreeMap<String, (String, usize)>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name in the directory.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|why| failed(path, &why))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let many = file.read(&mut buffer).map_err(|why| failed(path, &why))?;
        match buffer.get(..many) {
            Some(read) if many > 0 => hash.update(read),
            _ => return Ok(hex::encode(hash.finalize())),
        }
    }
}

impl Manifest {
    /// The name of a manifest's file.
    pub fn file_name(sequence: u64) -> String {
        format!("keys-{sequence:08}.manifest")
    }

    /// Each part with its digest and the place of its pack.
    pub fn parts(&self) -> impl Iterator<Item = Option<(Part, [u8; 32], usize)>> {
        self.parts.iter().map(|(name, (digest, pack))| {
            let digest = hex::decode(digest).ok()?.try_into().ok()?;
            Some((Part::parse(name)?, digest, *pack))
        })
    }

    /// Writes it into `dir`, signed: first beside, then to its name, so that
    /// there is never half of one.
    pub(super) fn write(&self, dir: &Path, key: &SigningKey) -> Result<()> {
        let json = serde_json::to_string(self).map_err(|_| Error::Internal("a manifest"))?;
        let text = format!("{FIRST_LINE}\n{json}\n");
        let signature = BASE64_STANDARD.encode(key.sign(text.as_bytes()));
        let path = dir.join(Self::file_name(self.sequence));
        let signed = format!("{text}{signature}\n");
        let written = durable::replace(&path, signed.as_bytes(), durable::PRIVATE);
        written.map_err(|why| failed(&path, &why))
    }

    /// Of which vault.
    pub fn deployment(&self) -> Result<Deployment> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&self.vault, &mut bytes).map_err(|_| {
            Error::Setup("a key backup's manifest names no vault; take another copy".to_owned())
        })?;
        Ok(Deployment(bytes))
    }

    /// Reads one and checks that `public` signed it.
    pub fn read(path: &Path, public: &PublicKey) -> Result<Self> {
        let refused = || {
            Error::Setup(format!(
                "{} was changed, or is not signed by this vault's key; take another copy of it, \
                 or an earlier backup",
                path.display()
            ))
        };
        let mut text = String::new();
        let most = limits::MANIFEST_BYTES as u64;
        let file = File::open(path).map_err(|why| failed(path, &why))?;
        file.take(most)
            .read_to_string(&mut text)
            .map_err(|why| failed(path, &why))?;
        let (content, signature) = text.trim_end().rsplit_once('\n').ok_or_else(refused)?;
        let content = format!("{content}\n");
        let signature = BASE64_STANDARD.decode(signature).map_err(|_| refused())?;
        public
            .verify(content.as_bytes(), &signature)
            .map_err(|_| refused())?;
        let json = content.strip_prefix(FIRST_LINE).ok_or_else(refused)?;
        serde_json::from_str(json).map_err(|_| refused())
    }
}

/// The newest manifest in `dir`, and its path; `None` where there is none.
pub fn newest(dir: &Path, public: &PublicKey) -> Result<Option<(Manifest, PathBuf)>> {
    let listed = fs::read_dir(dir).map_err(|why| failed(dir, &why))?;
    let sequence = |name: String| -> Option<u64> {
        name.strip_prefix("keys-")?
            .strip_suffix(".manifest")?
            .parse()
            .ok()
    };
    let names = listed
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let Some(newest) = names.filter_map(sequence).max() else {
        return Ok(None);
    };
    let path = dir.join(Manifest::file_name(newest));
    Ok(Some((Manifest::read(&path, public)?, path)))
}
