//! What the log says of itself, signed: how many entries, and the root over
//! them (c2sp.org/tlog-checkpoint, a c2sp.org/signed-note).

use super::merkle::Hash;
use crate::crypto::Deployment;
use crate::keys::signing::{PublicKey, SigningKey};
use crate::limits;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries there are.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a note is not a checkpoint of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGenuine {
    /// It does not look like one.
    Malformed,
    /// It carries no signature of that key.
    Unsigned,
    /// A signature that names the key is not the key's.
    BadSignature,
}

impl std::fmt::Display for NotGenuine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a checkpoint (c2sp.org/tlog-checkpoint)",
            Self::Unsigned => "is not signed by the log's key",
            Self::BadSignature => "carries a signature that is not the log's",
        })
    }
}

/// A signed note taken apart: nothing in it counts until a signature is checked.
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

/// What the log of a deployment is called, which is its key's name too.
pub fn origin(trust_domain: &str, deployment: Deployment) -> String {
    let [a, b, c, d, ..] = deployment.0;
    format!("{trust_domain}/audit/{}", hex::encode([a, b, c, d]))
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let root = BASE64_STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let public = key.public();
        let mut signature = public.id().to_vec();
        signature.extend(key.sign(text.as_bytes()));
        let signature = BASE64_STANDARD.encode(signature);
        format!("{text}\n\u{2014} {} {signature}\n", public.name())
    }

    /// Reads a note that `key` must have signed.
    pub fn open(note: &str, key: &PublicKey) -> Result<Self, NotGenuine> {
        let note = Note::parse(note).ok_or(NotGenuine::Malformed)?;
        note.check(key)?;
        let checkpoint = note.checkpoint().ok_or(NotGenuine::Malformed)?;
        // A key signs for one log: the one whose name it has.
        if checkpoint.origin != key.name() {
            return Err(NotGenuine::Unsigned);
        }
        Ok(checkpoint)
    }
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    pub fn parse(note: &'a str) -> Option<Self> {
        let is_plain = note.chars().all(|c| c >= ' ' || c == '\n');
        if note.len() > limits::NOTE_BYTES || !is_plain {
            return None;
        }
        let (text, lines) = note.rsplit_once("\n\n")?;
        let text = note.get(..=text.len())?;
        let mut signatures = Vec::new();
        for line in lines.strip_suffix('\n')?.split('\n') {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let signature = BASE64_STANDARD.decode(signature).ok()?;
            if name.is_empty() || signature.len() < 5 {
                return None;
            }
            signatures.push((name, signature));
        }
        Some(Self { text, signatures })
    }

    /// What is signed.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The signatures of a name and key id.
    pub fn signatures_of(&self, name: &str, id: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        let named = self.signatures.iter().filter(move |(of, _)| *of == name);
        named.filter_map(move |(_, bytes)| bytes.strip_prefix(&id))
    }

    /// Checks that a key signed this, and every signature that is said to be
    /// its own.
    pub fn check(&self, key: &PublicKey) -> Result<(), NotGenuine> {
        let mut of_key = self.signatures_of(key.name(), key.id()).peekable();
        of_key.peek().ok_or(NotGenuine::Unsigned)?;
        let text = self.text.as_bytes();
        let all = of_key.all(|signature| key.verify(text, signature).is_ok());
        all.then_some(()).ok_or(NotGenuine::BadSignature)
    }

    /// What it says, if it is a checkpoint.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let mut lines = self.text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let number: u64 = size.parse().ok()?;
        let root = BASE64_STANDARD.decode(root).ok()?;
        let root = root.try_into().ok()?;
        let origin = origin.to_owned();
        // One way only to write a number.
        (number.to_string() == size).then_some(Checkpoint {
            origin,
            size: number,
            root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SigningKey {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        SigningKey::create(&path).unwrap();
        SigningKey::load(&path, name.to_owned()).unwrap()
    }

    #[test]
    fn a_checkpoint_opens_with_its_own_key_only_and_as_it_was_signed() {
        let (log, other) = (key("a.example/audit"), key("a.example/audit"));
        let checkpoint = Checkpoint {
            origin: "a.example/audit".to_owned(),
            size: 70_000,
            root: [7; 32],
        };
        let note = checkpoint.sign(&log);
        assert_eq!(
            Checkpoint::open(&note, log.public()),
            Ok(checkpoint.clone())
        );
        let theirs = tlog_tiles::Checkpoint::from_bytes(checkpoint.text().as_bytes()).unwrap();
        assert_eq!((theirs.size(), theirs.hash().0), (70_000, [7; 32]));
        let opened = Checkpoint::open(&note, other.public());
        assert_eq!(opened, Err(NotGenuine::Unsigned));
        for (from, to) in [("70000", "70001"), ("audit\n", "audits\n"), ("Bwc", "Cwc")] {
            let bent = note.replacen(from, to, 1);
            assert_eq!(
                Checkpoint::open(&bent, log.public()),
                Err(NotGenuine::BadSignature),
                "{from}"
            );
        }
        for bent in [
            note.trim_end(),
            "",
            &note.replace("\n\n", "\n"),
            &note.replace('\u{2014}', "-"),
            &format!("{note}\r"),
            &format!("{note}{}", " ".repeat(limits::NOTE_BYTES)),
        ] {
            let opened = Checkpoint::open(bent, log.public());
            assert_eq!(opened, Err(NotGenuine::Malformed), "{bent}");
        }
        // A name that the key does not sign for.
        let stray = Checkpoint {
            origin: "b.example/audit".to_owned(),
            ..checkpoint
        };
        let opened = Checkpoint::open(&stray.sign(&log), log.public());
        assert_eq!(opened, Err(NotGenuine::Unsigned));
    }

    #[test]
    fn other_signatures_are_passed_over() {
        let (log, witness) = (key("a.example/audit"), key("w.example"));
        let checkpoint = Checkpoint {
            origin: "a.example/audit".to_owned(),
            size: 0,
            root: [0; 32],
        };
        let both = format!(
            "{}{}",
            checkpoint.sign(&log),
            checkpoint.sign(&witness).rsplit_once("\n\n").unwrap().1
        );
        assert_eq!(Checkpoint::open(&both, log.public()), Ok(checkpoint));
    }
}
