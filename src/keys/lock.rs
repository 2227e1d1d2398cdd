//! A lock on a file provider: people open it, and the daily close of an epoch
//! needs none of them. There is an unlock key pair (age's X25519). Every key
//! file is sealed to its public half; the private half is sealed (age's scrypt)
//! by a passphrase, or by a random one that is split among people. Who holds
//! what never changes when epochs do.
//!
//! ```text
//! oubliette lock, version 1
//! age1...                         the public half
//! passphrase                      or: shares THRESHOLD COUNT ID
//! base64                          the private half, an age file
//! ```
//!
//! A share is a text, shown once: `oubliette-share-ID-INDEX-HEX-CHECKSUM`.

mod draft;

pub use draft::Draft;

use crate::crypto::shares::{Share, checksum, combine};
use crate::durable;
use crate::error::{Error, Exhausted, Result};
use crate::limits;
use crate::secret::{Key32, SecretBytes, SecretText};
use age::secrecy::SecretString;
use age::{scrypt, x25519};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use zeroize::Zeroizing;

/// The lock's name in a directory of key files.
const FILE: &str = "lock";
const FIRST_LINE: &str = "oubliette lock, version 1";
const SHARE: &str = "oubliette-share";
/// scrypt with N = 2^17, r = 8, p = 1: what OWASP asks of a stored passphrase.
const WORK: u8 = 17;

/// Who opens a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// Whoever knows the passphrase.
    Passphrase,
    /// Any so many of so many people.
    Shares {
        /// How many are needed.
        threshold: u8,
        /// How many there are.
        shares: u8,
    },
}

/// What a lock waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Who opens it.
    pub by: HeldBy,
    /// How many pieces were given so far.
    pub given: u8,
    /// How many it needs.
    pub needed: u8,
}

/// The lock of one directory.
pub struct Lock {
    recipient: x25519::Recipient,
    by: HeldBy,
    id: String,
    sealed: Vec<u8>,
    tries: Mutex<Tries>,
}

/// What was tried since the lock was last opened.
#[derive(Default)]
struct Tries {
    given: Vec<Share>,
    failures: u32,
    last: Option<Instant>,
}

/// What opens key files.
pub struct Opener(x25519::Identity);

impl Lock {
    /// The lock of a directory, if it has one.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => {
                read.map_err(|why| refused(&path, &format!("cannot be read: {}", why.kind())))?
            }
        };
        let lock = Self::parse(&text);
        let not_one = || {
            refused(
                &path,
                "is not a lock; put the right one back from your copy",
            )
        };
        lock.map(Some).ok_or_else(not_one)
    }

    /// Takes the lock of a directory away: no key file may be sealed to it any
    /// more.
    pub(super) fn remove(dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let removed = std::fs::remove_file(&path).and_then(|()| durable::sync_directory_of(&path));
        removed.map_err(|why| refused(&path, &format!("cannot be removed: {}", why.kind())))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (FIRST_LINE, recipient, holders, sealed, None) = (
            lines.next()?,
            lines.next()?,
            lines.next()?,
            lines.next()?,
            lines.next(),
        ) else {
            return None;
        };
        let words: Vec<&str> = holders.split(' ').collect();
        let (by, id) = match words.as_slice() {
            ["passphrase"] => (HeldBy::Passphrase, ""),
            ["shares", threshold, shares, id] => {
                let (threshold, shares) = (threshold.parse().ok()?, shares.parse().ok()?);
                (HeldBy::Shares { threshold, shares }, *id)
            }
            _ => return None,
        };
        Some(Self {
            recipient: recipient.parse().ok()?,
            by,
            id: id.to_owned(),
            sealed: BASE64_STANDARD.decode(sealed).ok()?,
            tries: Mutex::default(),
        })
    }

    /// What it waits for.
    pub fn needs(&self) -> Needs {
        let given = self.tries().given.len();
        Needs {
            by: self.by,
            given: u8::try_from(given).unwrap_or(u8::MAX),
            needed: match self.by {
                HeldBy::Passphrase => 1,
                HeldBy::Shares { threshold, .. } => threshold,
            },
        }
    }

    /// Takes the passphrase or one of the shares. Answers what opens the key
    /// files once that is enough. What does not open it says so and no more;
    /// after a few of those each try has to wait.
    pub fn give(&self, piece: &SecretText) -> Result<Option<Opener>> {
        let mut tries = self.tries();
        tries.pause()?;
        let secret = match self.by {
            HeldBy::Passphrase => SecretString::from(piece.expose().to_owned()),
            HeldBy::Shares { threshold, .. } => {
                let share = parse_share(&self.id, piece.expose()).ok_or(Error::NotAShare)?;
                if tries.given.iter().all(|given| given.index != share.index) {
                    tries.given.push(share);
                }
                if tries.given.len() < usize::from(threshold) {
                    return Ok(None);
                }
                let given = std::mem::take(&mut tries.given);
                let Some(key) = combine(&given) else {
                    return Err(tries.failed());
                };
                SecretString::from(hex::encode(key.expose()))
            }
        };
        match self.open(secret) {
            Some(opener) => {
                *tries = Tries::default();
                Ok(Some(opener))
            }
            None => Err(tries.failed()),
        }
    }

    fn open(&self, secret: SecretString) -> Option<Opener> {
        let mut with = scrypt::Identity::new(secret);
        with.set_max_work_factor(WORK);
        let opened = Zeroizing::new(age::decrypt(&with, &self.sealed).ok()?);
        let identity: x25519::Identity = std::str::from_utf8(&opened).ok()?.parse().ok()?;
        let is_ours = identity.to_public().to_string() == self.recipient.to_string();
        is_ours.then_some(Opener(identity))
    }

    /// Seals a key so that only this lock's opener opens it.
    pub fn seal(&self, key: &Key32) -> Result<Vec<u8>> {
        let sealed = age::encrypt(&self.recipient, key.expose());
        sealed.map_err(|_| Error::Internal("age seals nothing"))
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tries {
    fn pause(&self) -> Result<()> {
        let passed = self
            .last
            .map_or(limits::UNLOCK_PAUSE, |last| last.elapsed());
        if self.failures >= limits::UNLOCK_TRIES && passed < limits::UNLOCK_PAUSE {
            let wait = limits::UNLOCK_PAUSE.saturating_sub(passed);
            return Err(Error::Exhausted(Exhausted::UnlockTries, wait));
        }
        Ok(())
    }

    fn failed(&mut self) -> Error {
        self.given.clear();
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Instant::now());
        Error::DoesNotUnlock
    }
}

impl Opener {
    /// The same pair, to be opened by others from now on: key files stay as
    /// they are.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn held_by(&self, by: HeldBy, passphrase: Option<&SecretText>) -> Result<Draft> {
        Draft::of(&self.0, by, passphrase)
    }

    /// Opens what [`Lock::seal`] sealed.
    pub fn open(&self, sealed: &[u8]) -> Option<Key32> {
        let opened = SecretBytes::new(age::decrypt(&self.0, sealed).ok()?);
        let mut key = Zeroizing::new(<[u8; 32]>::try_from(opened.expose()).ok()?);
        Some(Key32::take(&mut key))
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Setup(format!("{} {what}", path.display()))
}

fn share_text(id: &str, share: &Share) -> SecretText {
    let digits = Zeroizing::new(hex::encode(share.bytes.expose()));
    let mut text = format!("{SHARE}-{id}-{:02x}-{}", share.index, digits.as_str());
    let check = hex::encode(checksum(&text));
    text.reserve_exact(check.len().saturating_add(1));
    text.push('-');
    text.push_str(&check);
    SecretText::new(text)
}

/// A share of the lock of that id, typed without a slip.
fn parse_share(id: &str, text: &str) -> Option<Share> {
    let (body, check) = text.trim().rsplit_once('-')?;
    if hex::encode(checksum(body)) != check {
        return None;
    }
    let rest = body.strip_prefix(SHARE)?.strip_prefix('-')?;
    let rest = rest.strip_prefix(id)?.strip_prefix('-')?;
    let (index, digits) = rest.split_once('-')?;
    let index = u8::from_str_radix(index, 16)
        .ok()
        .filter(|index| *index > 0)?;
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
    let bytes = Key32::take(&mut bytes);
    Some(Share { index, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random_key;

    fn lock(by: HeldBy, passphrase: Option<&str>) -> (Lock, Vec<SecretText>) {
        let dir = tempfile::tempdir().unwrap();
        let passphrase = passphrase.map(|p| SecretText::new(p.to_owned()));
        let draft = Draft::new(by, passphrase.as_ref()).unwrap();
        draft.place(dir.path()).unwrap();
        assert!(draft.place(dir.path()).is_err(), "never replaced");
        let lock = Lock::load(dir.path()).unwrap().unwrap();
        (lock, draft.into_shares())
    }

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[test]
    fn a_passphrase_opens_and_wrong_ones_say_no_more_and_soon_wait() {
        let (lock, shares) = lock(HeldBy::Passphrase, Some("correct horse"));
        assert!(shares.is_empty());
        let key = random_key().unwrap();
        let sealed = lock.seal(&key).unwrap();
        let opener = lock.give(&text("correct horse")).unwrap().unwrap();
        assert_eq!(opener.open(&sealed).unwrap().expose(), key.expose());
        for _ in 0..limits::UNLOCK_TRIES {
            let refused = lock.give(&text("wrong horse")).err();
            assert_eq!(refused, Some(Error::DoesNotUnlock));
        }
        let refused = lock.give(&text("correct horse")).err();
        let waits = matches!(refused, Some(Error::Exhausted(Exhausted::UnlockTries, _)));
        assert!(waits, "{refused:?}");
    }

    #[test]
    fn any_two_of_three_shares_open_and_nothing_else_does() {
        let by = HeldBy::Shares {
            threshold: 2,
            shares: 3,
        };
        let (lock, shares) = lock(by, None);
        let (_, strangers) = self::lock(by, None);
        assert_eq!(shares.len(), 3);
        assert!(lock.give(&shares[0]).unwrap().is_none());
        assert!(
            lock.give(&shares[0]).unwrap().is_none(),
            "the same twice is one"
        );
        let slip = shares[1].expose().replace(['1', '2'], "3");
        for bad in ["", "x", "oubliette-share", &slip, strangers[1].expose()] {
            assert_eq!(lock.give(&text(bad)).err(), Some(Error::NotAShare), "{bad}");
        }
        let Needs { given, needed, .. } = lock.needs();
        assert_eq!((given, needed), (1, 2));
        assert!(lock.give(&shares[2]).unwrap().is_some());
        assert_eq!(lock.needs().given, 0, "nothing is remembered");

        // A share that somebody made up: well-formed, of this lock, and wrong.
        let made_up = Share {
            index: 3,
            bytes: random_key().unwrap(),
        };
        assert!(lock.give(&shares[0]).unwrap().is_none());
        let refused = lock.give(&share_text(&lock.id, &made_up)).err();
        assert_eq!(refused, Some(Error::DoesNotUnlock));
        assert_eq!(lock.needs().given, 0, "they begin again");
    }

    #[test]
    fn a_lock_changes_hands_and_what_it_sealed_opens_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::new(HeldBy::Passphrase, Some(&text("first words"))).unwrap();
        draft.place(dir.path()).unwrap();
        let lock = Lock::load(dir.path()).unwrap().unwrap();
        let key = random_key().unwrap();
        let sealed = lock.seal(&key).unwrap();
        let opener = lock.give(&text("first words")).unwrap().unwrap();
        let by = HeldBy::Shares {
            threshold: 2,
            shares: 2,
        };
        let draft = opener.held_by(by, None).unwrap();
        draft.replace(dir.path()).unwrap();
        let lock = Lock::load(dir.path()).unwrap().unwrap();
        assert_eq!(
            lock.give(&text("first words")).err(),
            Some(Error::NotAShare)
        );
        let shares = draft.into_shares();
        assert!(lock.give(&shares[1]).unwrap().is_none());
        let opener = lock.give(&shares[0]).unwrap().unwrap();
        assert_eq!(opener.open(&sealed).unwrap().expose(), key.expose());
    }

    #[test]
    fn a_lock_that_is_cut_or_grown_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::new(HeldBy::Passphrase, Some(&text("x"))).unwrap();
        draft.place(dir.path()).unwrap();
        let good = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(Lock::parse(&good).is_some());
        for bad in [
            "",
            good.get(1..).unwrap(),
            good.get(..good.len() - 1).unwrap(),
            &format!("{good}\n"),
        ] {
            assert!(Lock::parse(bad).is_none());
        }
    }
}
