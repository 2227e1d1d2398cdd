//! An anchor outside the vault: a file, on a disk or share that whoever rolls
//! the databases back does not roll back with them, that holds the newest
//! checkpoint. Its conflict with the log shows a restored or rewritten log, and
//! a second vault that writes the same one.

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::keys::signing::PublicKey;
use crate::limits;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What to do about a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// The vault does not start, or says that it is not ready.
    #[default]
    Strict,
    /// It goes on, with an error in its log and a metric.
    Report,
}

/// Why the anchor does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slipped {
    /// It cannot be read or written now.
    Unreachable(String),
    /// It holds what this log never was.
    Conflict(String),
}

/// The file of the newest checkpoint.
pub struct Anchor {
    path: PathBuf,
    /// Whether the log was held against it, and stood.
    is_held: bool,
    /// What this process wrote last.
    own: Option<String>,
}

impl Anchor {
    /// An anchor at `path`, whose folder is there.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is_held: false,
            own: None,
        }
    }

    /// Reads the anchor. Nothing where none was written yet.
    fn read(&self, key: &PublicKey) -> std::result::Result<Option<(String, Checkpoint)>, Slipped> {
        let shown = self.path.display();
        let mut note = String::new();
        let read = File::open(&self.path).and_then(|file| {
            let most = limits::NOTE_BYTES as u64 + 1;
            file.take(most).read_to_string(&mut note)
        });
        match read {
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) if why.kind() == io::ErrorKind::InvalidData => {
                return Err(Slipped::Conflict(format!("{shown} is not a text")));
            }
            Err(why) => return Err(Slipped::Unreachable(format!("{shown}: {why}"))),
        }
        let opened = Checkpoint::open(&note, key);
        let opened = opened.map_err(|why| Slipped::Conflict(format!("{shown} {why}")))?;
        Ok(Some((note, opened)))
    }

    /// Holds the log against what is anchored: `root_at` gives the log's root
    /// at a size that it has reached.
    pub fn check(
        &mut self,
        key: &PublicKey,
        size: u64,
        root_at: impl FnOnce(u64) -> Result<[u8; 32]>,
    ) -> std::result::Result<(), Slipped> {
        let Some((_, seen)) = self.read(key)? else {
            self.is_held = true;
            return Ok(());
        };
        let shown = self.path.display();
        if seen.size > size {
            return Err(Slipped::Conflict(format!(
                "{shown} holds a checkpoint over {} entries, and the log has {size}: the \
                 databases were rolled back or restored from a backup",
                seen.size
            )));
        }
        match root_at(seen.size) {
            Ok(root) if root == seen.root => {
                self.is_held = true;
                Ok(())
            }
            _ => Err(Slipped::Conflict(format!(
                "the log's first {} entries are not those that {shown} was signed over: the log \
                 was written anew",
                seen.size
            ))),
        }
    }

    /// Puts the newest checkpoint there. What is there must be what this
    /// process, or an earlier one, left.
    pub fn put(&mut self, key: &PublicKey, note: &str) -> std::result::Result<(), Slipped> {
        if self.own.as_deref() == Some(note) {
            return Ok(());
        }
        let shown = self.path.display();
        if !self.is_held {
            return Err(Slipped::Conflict(format!(
                "{shown} did not fit the log at start, and is left as it is"
            )));
        }
        let found = self.read(key)?.map(|(found, _)| found);
        if self.own.is_some() && found != self.own {
            return Err(Slipped::Conflict(format!(
                "{shown} was changed by another: a second vault has this log"
            )));
        }
        self.write(note).map_err(|why| {
            Slipped::Unreachable(format!("{} cannot be written: {why}", self.path.display()))
        })?;
        self.own = Some(note.to_owned());
        Ok(())
    }

    fn write(&self, note: &str) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

impl Slipped {
    /// What is wrong.
    pub fn text(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Conflict(text) => text,
        }
    }

    /// A word for readiness.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "anchor_unreachable",
            Self::Conflict(_) => "anchor_conflict",
        }
    }

    /// The refusal to start.
    pub fn refusal(&self) -> Error {
        let next = match self {
            Self::Unreachable(_) => "make it readable, or set mode = \"report\" in [audit]",
            Self::Conflict(_) => {
                "restore the newest databases; or, where the loss is known and accepted, move the \
                 anchor's file away, which `oubliette audit verify --checkpoint` shows to whoever \
                 kept a copy of it"
            }
        };
        Error::Setup(format!("{}; nothing was served; {next}", self.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::signing::SigningKey;

    #[test]
    fn an_anchor_holds_against_a_rollback_a_rewrite_and_a_second_writer() {
        let dir = tempfile::tempdir().unwrap();
        SigningKey::create(&dir.path().join("key")).unwrap();
        let key = SigningKey::load(&dir.path().join("key"), "a.example".to_owned()).unwrap();
        let note = |size, root| {
            let origin = "a.example".to_owned();
            Checkpoint { origin, size, root }.sign(&key)
        };
        let path = dir.path().join("anchor");
        let public = key.public();
        let mut anchor = Anchor::new(&path);
        let same = |_| Ok([1; 32]);
        assert_eq!(
            anchor.check(public, 5, same),
            Ok(()),
            "nothing is anchored yet"
        );
        anchor.put(public, &note(5, [1; 32])).unwrap();
        anchor.put(public, &note(5, [1; 32])).unwrap();
        assert_eq!(anchor.check(public, 5, same), Ok(()));
        assert_eq!(anchor.check(public, 9, same), Ok(()));
        let conflict = |done: std::result::Result<(), Slipped>| done.unwrap_err().word();
        assert_eq!(conflict(anchor.check(public, 4, same)), "anchor_conflict");
        let other = |_| Ok([2; 32]);
        assert_eq!(conflict(anchor.check(public, 9, other)), "anchor_conflict");
        let mut second = Anchor::new(&path);
        let put = second.put(public, &note(6, [6; 32]));
        assert_eq!(conflict(put), "anchor_conflict", "not held against the log");
        assert_eq!(second.check(public, 9, same), Ok(()));
        second.put(public, &note(6, [6; 32])).unwrap();
        let put = anchor.put(public, &note(7, [7; 32]));
        assert_eq!(conflict(put), "anchor_conflict");
        fs::write(&path, "no checkpoint").unwrap();
        assert_eq!(conflict(anchor.check(public, 9, same)), "anchor_conflict");
        let mut nowhere = Anchor::new(&dir.path().join("no/where"));
        assert_eq!(nowhere.check(public, 9, same), Ok(()));
        let put = nowhere.put(public, &note(5, [1; 32]));
        assert_eq!(conflict(put), "anchor_unreachable");
    }
}
