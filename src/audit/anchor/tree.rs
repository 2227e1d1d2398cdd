//! A small log for the tests of anchors.

use super::{Past, Shown};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::{self, Hash, Nodes, leaf_hash};
use crate::error::{Error, Result};
use crate::keys::signing::SigningKey;
use std::sync::Arc;

/// A log in memory.
#[derive(Clone)]
pub struct Tree(pub Vec<String>);

impl Tree {
    /// So many entries, of a kind.
    pub fn of(kind: &str, many: u64) -> Self {
        Self((0..many).map(|n| format!("{kind} {n}")).collect())
    }

    /// As anchors see it.
    pub fn shown(self, key: &SigningKey) -> Shown {
        let head = Checkpoint {
            origin: key.public().name().to_owned(),
            size: self.0.len() as u64,
            root: merkle::root(&self.0),
        };
        Shown {
            key: key.public().clone(),
            note: head.sign(key),
            head,
            past: Arc::new(self),
        }
    }
}

impl Nodes for &Tree {
    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        let (from, many) = (index << level, 1 << level);
        let (from, many) = (usize::try_from(from).unwrap(), many);
        let entries = self.0.get(from..from + many);
        let entries = entries.ok_or(Error::Internal("no such node"))?;
        if let [one] = entries {
            return Ok(leaf_hash(one.as_bytes()));
        }
        Ok(merkle::root(entries))
    }
}

impl Past for Tree {
    fn root_at(&self, size: u64) -> Result<Hash> {
        merkle::root_of(&mut &*self, size)
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>> {
        merkle::consistency(&mut &*self, old, new)
    }
}

/// A signing key of that name.
pub fn key(name: &str) -> SigningKey {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    SigningKey::create(&path).unwrap();
    SigningKey::load(&path, name.to_owned()).unwrap()
}
