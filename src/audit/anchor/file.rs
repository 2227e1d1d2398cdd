//! The simplest anchor: a file, on a disk or share of its own, that holds the
//! newest checkpoint.

use super::{Anchor, Held, Shown, Slipped, rolled_back, written_anew};
use crate::audit::checkpoint::Checkpoint;
use crate::durable;
use crate::keys::signing::PublicKey;
use crate::limits;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The file of the newest checkpoint.
pub struct FileAnchor {
    path: PathBuf,
    /// What this process wrote last.
    own: Option<String>,
}

impl FileAnchor {
    /// An anchor at `path`, whose folder is there.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            own: None,
        }
    }

    /// Reads the anchor. Nothing where none was written yet.
    fn read(&self, key: &PublicKey) -> Result<Option<(String, Checkpoint)>, Slipped> {
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

    /// What is there must be what this process left or, at first, what the log
    /// once was.
    fn check(&self, log: &Shown) -> Result<(), Slipped> {
        let (shown, found) = (self.path.display(), self.read(&log.key)?);
        if self.own.is_some() {
            let is_own = found.map(|(note, _)| note) == self.own;
            return is_own.then_some(()).ok_or_else(|| {
                Slipped::Conflict(format!(
                    "{shown} was changed by another: a second vault has this log"
                ))
            });
        }
        let Some((_, seen)) = found else {
            return Ok(());
        };
        if seen.size > log.head.size {
            return Err(rolled_back(&shown.to_string(), seen.size, log.head.size));
        }
        match log.past.root_at(seen.size) {
            Ok(root) if root == seen.root => Ok(()),
            _ => Err(written_anew(&shown.to_string(), seen.size)),
        }
    }

    fn write(&self, note: &str) -> io::Result<()> {
        durable::replace(&self.path, note.as_bytes(), durable::PUBLIC)
    }
}

impl Anchor for FileAnchor {
    fn show(&mut self, log: &Shown) -> Held {
        if self.own.as_ref() == Some(&log.note) {
            return Ok(None);
        }
        self.check(log)?;
        self.write(&log.note).map_err(|why| {
            Slipped::Unreachable(format!("{} cannot be written: {why}", self.path.display()))
        })?;
        self.own = Some(log.note.clone());
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Tree, key};
    use super::*;
    use std::fs;

    #[test]
    fn an_anchor_holds_against_a_rollback_a_rewrite_and_a_second_writer() {
        let dir = tempfile::tempdir().unwrap();
        let key = key("a.example");
        let log = |many| Tree::of("entry", many).shown(&key);
        let path = dir.path().join("anchor");
        let mut anchor = FileAnchor::new(&path);
        for size in [0, 5, 5, 9] {
            assert_eq!(anchor.show(&log(size)), Ok(None), "{size}");
        }
        let conflict = |done: Held| done.unwrap_err().word();
        let mut restarted = FileAnchor::new(&path);
        assert_eq!(conflict(restarted.show(&log(4))), "anchor_conflict");
        let other = Tree::of("other", 9).shown(&key);
        assert_eq!(conflict(restarted.show(&other)), "anchor_conflict");
        assert_eq!(fs::read_to_string(&path).unwrap(), log(9).note, "evidence");
        assert_eq!(restarted.show(&log(12)), Ok(None));
        assert_eq!(conflict(anchor.show(&log(10))), "anchor_conflict");
        fs::write(&path, "no checkpoint").unwrap();
        assert_eq!(conflict(restarted.show(&log(13))), "anchor_conflict");
        let mut nowhere = FileAnchor::new(&dir.path().join("no/where"));
        assert_eq!(conflict(nowhere.show(&log(5))), "anchor_unreachable");
    }
}
