//! A witness for others' logs (c2sp.org/tlog-witness): of each log that it
//! trusts it keeps the newest head, and cosigns one that continues it. What it
//! cosigned once it never contradicts.

use super::checkpoint::{Checkpoint, NotGenuine, Note};
use super::cosignature::cosign;
use super::merkle::{Hash, continues};
use crate::clock::Instant;
use crate::durable;
use crate::error::{Error, Result};
use crate::keys::signing::{PublicKey, SigningKey};
use crate::limits;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A witness: its key, and what it remembers.
pub struct Witness {
    key: SigningKey,
    logs: BTreeMap<String, Mutex<Remembered>>,
}

/// One log, by the file that holds its newest head.
struct Remembered {
    key: PublicKey,
    file: PathBuf,
    /// Size and root; of a log that was never seen the empty one's.
    newest: Option<(u64, Hash)>,
}

/// What a witness says to a checkpoint, with the status of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the cosignature's line.
    Cosigned(String),
    /// 400: not a request.
    Malformed,
    /// 403: not signed by the log's key.
    Forbidden,
    /// 404: no log of that origin is trusted.
    Unknown,
    /// 409: the log's newest head that was cosigned has this size, or at this
    /// size another root.
    Conflict(u64),
    /// 422: the proof does not show it.
    Unproven,
    /// 500: it could not be remembered, and so was not cosigned.
    NotKept,
}

/// A request taken apart.
struct Asked<'a> {
    old: u64,
    proof: Vec<Hash>,
    note: &'a str,
}

impl Witness {
    /// The witness that remembers in `dir`, with the keys of the logs that it
    /// trusts. A log is known by its key's name.
    ///
    /// # Errors
    /// [`Error::Setup`] where what it remembers cannot be read: it must not
    /// begin anew.
    pub fn open(dir: &Path, key: SigningKey, trusted: Vec<PublicKey>) -> Result<Self> {
        let mut logs = BTreeMap::new();
        for key in trusted {
            let origin = key.name().to_owned();
            let name = hex::encode(Sha256::digest(origin.as_bytes()));
            let remembered = Remembered::load(dir.join(format!("{name}.checkpoint")), key)?;
            if logs.insert(origin, Mutex::new(remembered)).is_some() {
                let why = "two trusted keys have one name; a log has one key here";
                return Err(Error::Setup(why.to_owned()));
            }
        }
        Ok(Self { key, logs })
    }

    /// Answers `POST add-checkpoint`.
    pub fn add_checkpoint(&self, body: &str, now: Instant) -> Answer {
        let Some(asked) = asked(body) else {
            return Answer::Malformed;
        };
        let note = Note::parse(asked.note);
        let Some((note, head)) = note.and_then(|note| {
            let head = note.checkpoint()?;
            Some((note, head))
        }) else {
            return Answer::Malformed;
        };
        let Some(log) = self.logs.get(&head.origin) else {
            return Answer::Unknown;
        };
        // One at a time for each log, from the comparison to the disk.
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        match note.check(&log.key) {
            Ok(()) => {}
            Err(NotGenuine::Malformed) => return Answer::Malformed,
            Err(_) => return Answer::Forbidden,
        }
        if asked.old > head.size {
            return Answer::Malformed;
        }
        if let Err(refusal) = log.judge(&asked, &head) {
            return refusal;
        }
        if let Err(why) = log.keep(asked.note, &head) {
            tracing::error!(why = %why.kind(), "a checkpoint cannot be kept, and is not cosigned");
            return Answer::NotKept;
        }
        Answer::Cosigned(cosign(&self.key, note.text(), now.seconds().unsigned_abs()))
    }
}

impl Remembered {
    fn load(file: PathBuf, key: PublicKey) -> Result<Self> {
        let newest = match fs::read_to_string(&file) {
            Ok(note) => {
                let head = Checkpoint::open(&note, &key).map_err(|why| {
                    Error::Setup(format!(
                        "{} {why}; put it back as it was: a witness that forgets proves nothing",
                        file.display()
                    ))
                })?;
                Some((head.size, head.root))
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => {
                let file = file.display();
                return Err(Error::Setup(format!("{file} cannot be read: {why}")));
            }
        };
        Ok(Self { key, file, newest })
    }

    fn judge(&self, asked: &Asked<'_>, head: &Checkpoint) -> std::result::Result<(), Answer> {
        let size = self.newest.map_or(0, |(size, _)| size);
        if asked.old != size {
            return Err(Answer::Conflict(size));
        }
        let Some((_, root)) = self.newest.filter(|(size, _)| *size > 0) else {
            // Nothing is to be proven from nothing.
            return asked.proof.is_empty().then_some(()).ok_or(Answer::Unproven);
        };
        if size == head.size && root != head.root {
            return Err(Answer::Conflict(size));
        }
        let shown = continues((size, &root), (head.size, &head.root), &asked.proof);
        shown.then_some(()).ok_or(Answer::Unproven)
    }

    /// Durable before anybody is told.
    fn keep(&mut self, note: &str, head: &Checkpoint) -> io::Result<()> {
        let newest = Some((head.size, head.root));
        if self.newest == newest {
            return Ok(());
        }
        durable::replace(&self.file, note.as_bytes(), durable::PUBLIC)?;
        self.newest = newest;
        Ok(())
    }
}

fn asked(body: &str) -> Option<Asked<'_>> {
    let (lines, note) = body.split_once("\n\n")?;
    let mut lines = lines.split('\n');
    let size = lines.next()?.strip_prefix("old ")?;
    let old: u64 = size.parse().ok()?;
    let hash = |line| Hash::try_from(BASE64_STANDARD.decode(line).ok()?).ok();
    let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
    let fits = old.to_string() == size && proof.len() <= limits::PROOF_HASHES;
    fits.then_some(Asked { old, proof, note })
}

#[cfg(test)]
mod tests {
    use super::super::anchor::Shown;
    use super::super::anchor::tree::{Tree, key};
    use super::super::cosignature::WitnessKey;
    use super::*;

    struct House {
        dir: tempfile::TempDir,
        log: SigningKey,
        witness: WitnessKey,
    }

    impl House {
        fn new() -> (Self, Witness) {
            let dir = tempfile::tempdir().unwrap();
            SigningKey::create(&dir.path().join("key")).unwrap();
            let log = key("a.example");
            let mine = SigningKey::load(&dir.path().join("key"), "w.example".to_owned()).unwrap();
            let house = Self {
                dir,
                log,
                witness: WitnessKey::of(&mine),
            };
            let witness = house.open();
            (house, witness)
        }

        fn open(&self) -> Witness {
            let mine = self.dir.path().join("key");
            let mine = SigningKey::load(&mine, "w.example".to_owned()).unwrap();
            Witness::open(self.dir.path(), mine, vec![self.log.public().clone()]).unwrap()
        }

        fn log(&self, kind: &str, many: u64) -> Shown {
            Tree::of(kind, many).shown(&self.log)
        }
    }

    fn request(old: u64, log: &Shown) -> String {
        let proof = log.past.consistency(old, log.head.size).unwrap();
        let proof = proof.iter().map(|hash| BASE64_STANDARD.encode(hash) + "\n");
        format!("old {old}\n{}\n{}", proof.collect::<String>(), log.note)
    }

    #[test]
    fn a_witness_cosigns_what_continues_and_nothing_else() {
        let (house, witness) = House::new();
        let now = Instant::from_micros(1_700_000_000_000_000);
        let say = |witness: &Witness, body: &str| witness.add_checkpoint(body, now);
        for (old, size) in [(0, 5), (5, 5), (5, 70)] {
            let log = house.log("entry", size);
            let Answer::Cosigned(line) = say(&witness, &request(old, &log)) else {
                panic!("{old} to {size}");
            };
            let note = format!("{}{line}", log.note);
            let time = house.witness.cosigned(&Note::parse(&note).unwrap());
            assert_eq!(time, Some(1_700_000_000));
        }
        // What it remembers outlives it.
        let witness = house.open();
        let (whole, other) = (house.log("entry", 90), house.log("other", 90));
        for (body, answer) in [
            (request(5, &whole), Answer::Conflict(70)),
            (request(0, &house.log("entry", 60)), Answer::Conflict(70)),
            (request(70, &house.log("other", 70)), Answer::Conflict(70)),
            (request(70, &other), Answer::Unproven),
            (format!("old 70\n\n{}", whole.note), Answer::Unproven),
            (format!("old 91\n\n{}", whole.note), Answer::Malformed),
            (format!("old 070\n\n{}", whole.note), Answer::Malformed),
            (format!("old 70\nAAAA\n\n{}", whole.note), Answer::Malformed),
            ("old 70\n\n".to_owned(), Answer::Malformed),
            (String::new(), Answer::Malformed),
        ] {
            assert_eq!(say(&witness, &body), answer, "{body}");
        }
        let forged = Tree::of("entry", 90).shown(&key("a.example"));
        assert_eq!(say(&witness, &request(70, &forged)), Answer::Forbidden);
        let stranger = Tree::of("entry", 90).shown(&key("b.example"));
        assert_eq!(say(&witness, &request(70, &stranger)), Answer::Unknown);
        let next = say(&witness, &request(70, &whole));
        assert!(matches!(next, Answer::Cosigned(_)), "{next:?}");
    }

    #[test]
    fn a_witness_whose_memory_is_damaged_does_not_begin_anew() {
        let (house, witness) = House::new();
        let body = request(0, &house.log("entry", 5));
        let answer = witness.add_checkpoint(&body, Instant::now());
        assert!(matches!(answer, Answer::Cosigned(_)));
        let files = fs::read_dir(house.dir.path()).unwrap();
        let kept = files.map(|file| file.unwrap().path());
        let mut kept = kept.filter(|path| path.extension().is_some_and(|e| e == "checkpoint"));
        fs::write(kept.next().unwrap(), "nothing").unwrap();
        let mine = SigningKey::load(&house.dir.path().join("key"), "w".to_owned()).unwrap();
        let trusted = vec![house.log.public().clone()];
        assert!(Witness::open(house.dir.path(), mine, trusted).is_err());
    }
}
