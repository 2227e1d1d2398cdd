//! An exported log as its adversaries see it: with or without the log's key
//! they rewrite it, file by file.

use oubliette::audit::checkpoint::Checkpoint;
use oubliette::audit::export::{CHECKPOINT, PUBLIC_KEY, entries_of};
use oubliette::audit::merkle::leaf_hash;
use oubliette::audit::tiles::{Edge, path, widths};
use oubliette::keys::signing::{PublicKey, SigningKey};
use std::fs;
use std::path::Path;

/// The public key beside an export.
pub fn key_of(dir: &Path) -> PublicKey {
    let text = fs::read_to_string(dir.join(PUBLIC_KEY)).expect("a key");
    PublicKey::parse(&text).expect("a key")
}

/// The checkpoint of an export.
pub fn checkpoint_of(dir: &Path) -> String {
    fs::read_to_string(dir.join(CHECKPOINT)).expect("a checkpoint")
}

/// Every entry of an export.
pub fn read(dir: &Path) -> Vec<Vec<u8>> {
    let head = Checkpoint::open(&checkpoint_of(dir), &key_of(dir)).expect("a checkpoint");
    let bundles = widths(head.size).map(|(index, width)| {
        let bundle = fs::read(dir.join(path("entries", index, width))).expect("a bundle");
        let entries = entries_of(&bundle).expect("entries");
        entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    bundles.flatten().collect()
}

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, bytes).expect("a file");
}

/// What of an export is made to fit entries that were tampered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The bundles only.
    Entries,
    /// The hash tiles too.
    Tiles,
    /// Everything: whoever does it has the log's key.
    Signature,
}

/// Writes entries over an export.
pub fn write(dir: &Path, entries: &[Vec<u8>], fit: Fit, key: &SigningKey) {
    let _gone = fs::remove_dir_all(dir.join("tile/entries"));
    for (index, width) in widths(entries.len() as u64) {
        let first = usize::try_from(index).unwrap() * 256;
        let mut bundle = Vec::new();
        for entry in &entries[first..first + width] {
            bundle.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
            bundle.extend(entry);
        }
        put(dir, &path("entries", index, width), &bundle);
    }
    if fit == Fit::Entries {
        return;
    }
    let (mut edge, mut tiles) = (Edge::default(), Vec::new());
    for entry in entries {
        edge.push(leaf_hash(entry), |tile| tiles.push(tile));
    }
    tiles.extend(edge.partial());
    for tile in tiles {
        let width = tile.hashes.len() / 32;
        let name = path(&tile.level.to_string(), tile.index, width);
        put(dir, &name, &tile.hashes);
    }
    if fit == Fit::Signature {
        let head = Checkpoint {
            origin: key.public().name().to_owned(),
            size: edge.whole().size(),
            root: edge.whole().root(),
        };
        put(dir, CHECKPOINT, head.sign(key).as_bytes());
    }
}
