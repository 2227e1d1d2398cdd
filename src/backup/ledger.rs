//! The signed copy of the ledger in a second place: a text file that only
//! grows. Each line is an entry or a head; a head signs everything above it.
//! What stands after the last head was cut off by a crash and counts for
//! nothing. `docs/FORMAT.md` gives the bytes.

use crate::clock::Day;
use crate::durable;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::keys::signing::{PublicKey, SigningKey};
use crate::store::LedgerEntry;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The copy's name in its directory.
pub const LEDGER_FILE: &str = "oubliette.ledger";
const FIRST_LINE: &str = "oubliette ledger, version 1";
/// Longer than any line is.
const LINE_BYTES: u64 = 512;

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Head {
    /// The number of the last entry above it.
    pub entry: u64,
    /// When it was signed, in seconds since 1970.
    pub time: i64,
    /// How many leaves the audit log had then.
    pub leaves: u64,
}

/// A copy of a ledger whose signature was checked.
pub struct Ledger {
    /// Of which vault.
    pub deployment: [u8; 16],
    /// Every entry, in order.
    pub entries: Vec<LedgerEntry>,
    /// The last head.
    pub head: Head,
}

/// SHA-256 over the chain so far and a line.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Chain([u8; 32]);

/// Where a file stands: what a head was read or written for.
#[derive(Clone, Copy)]
struct End {
    chain: Chain,
    head: Head,
    /// Bytes up to and with that head.
    length: u64,
}

impl Chain {
    fn start(deployment: &[u8; 16]) -> Self {
        Self(Sha256::digest(opening(deployment)).into())
    }

    fn with(self, line: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(line);
        Self(hash.finalize().into())
    }
}

fn opening(deployment: &[u8; 16]) -> String {
    format!("{FIRST_LINE}\nvault {}\n", hex::encode(deployment))
}

fn entry_line(of: &LedgerEntry) -> String {
    let print = of.fingerprint.map_or("-".to_owned(), hex::encode);
    format!(
        "e {} {} {} {} {} {} {print}\n",
        of.entry, of.kind, of.customer.0, of.number, of.epoch, of.day.0
    )
}

fn parse_entry(line: &str) -> Option<LedgerEntry> {
    let mut words = line.strip_prefix("e ")?.strip_suffix('\n')?.split(' ');
    let mut word = || words.next();
    let entry = LedgerEntry {
        entry: word()?.parse().ok()?,
        kind: word()?.parse().ok()?,
        customer: CustomerNumber(word()?.parse().ok()?),
        number: word()?.parse().ok()?,
        epoch: word()?.parse().ok()?,
        day: Day(word()?.parse().ok()?),
        fingerprint: match word()? {
            "-" => None,
            print => Some(hex::decode(print).ok()?.try_into().ok()?),
        },
    };
    // One form only.
    (entry_line(&entry) == line).then_some(entry)
}

/// What a head signs: the file's first lines, and the head's own numbers.
fn signed(deployment: &[u8; 16], head: &Head, chain: Chain) -> String {
    let Head {
        entry,
        time,
        leaves,
    } = head;
    let chain = hex::encode(chain.0);
    format!("{}h {entry} {time} {leaves} {chain}", opening(deployment))
}

fn head_line(deployment: &[u8; 16], head: &Head, chain: Chain, key: &SigningKey) -> String {
    let text = signed(deployment, head, chain);
    let signature = BASE64_STANDARD.encode(key.sign(text.as_bytes()));
    let numbers = text.lines().last().unwrap_or_default();
    format!("{numbers} {signature}\n")
}

fn parse_head(line: &str, deployment: &[u8; 16], chain: Chain, public: &PublicKey) -> Option<Head> {
    let (numbers, signature) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    let mut words = numbers.strip_prefix("h ")?.split(' ');
    let head = Head {
        entry: words.next()?.parse().ok()?,
        time: words.next()?.parse().ok()?,
        leaves: words.next()?.parse().ok()?,
    };
    let text = signed(deployment, &head, chain);
    let signature = BASE64_STANDARD.decode(signature).ok()?;
    let is_good = text.ends_with(numbers) && public.verify(text.as_bytes(), &signature).is_ok();
    is_good.then_some(head)
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Setup(format!("{} {what}", path.display()))
}

fn failed(path: &Path, why: &std::io::Error) -> Error {
    refused(path, &format!("cannot be used: {}", why.kind()))
}

/// Reads a file line by line, checking every head; hands out each entry.
fn read(
    path: &Path,
    public: &PublicKey,
    mut entry: impl FnMut(LedgerEntry),
) -> Result<([u8; 16], End)> {
    let mut file = BufReader::new(File::open(path).map_err(|why| failed(path, &why))?);
    let mut line = String::new();
    let mut next = |line: &mut String| -> Result<bool> {
        line.clear();
        let some = (&mut file).take(LINE_BYTES).read_line(line);
        match some {
            Ok(_) => Ok(line.ends_with('\n')),
            // What a crash left at the end need not be text.
            Err(why) if why.kind() == ErrorKind::InvalidData => Ok(false),
            Err(why) => Err(failed(path, &why)),
        }
    };
    let no_ledger = || refused(path, "is not a ledger of a vault; name another file");
    if !next(&mut line)? || line.trim_end() != FIRST_LINE || !next(&mut line)? {
        return Err(no_ledger());
    }
    let digits = line
        .trim_end()
        .strip_prefix("vault ")
        .ok_or_else(no_ledger)?;
    let deployment = hex::decode(digits)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let deployment: [u8; 16] = deployment.ok_or_else(no_ledger)?;
    let (mut chain, mut last) = (Chain::start(&deployment), 0);
    let mut length = opening(&deployment).len() as u64;
    let mut end = End {
        chain,
        head: Head::default(),
        length,
    };
    while next(&mut line)? {
        length += line.len() as u64;
        if let Some(found) = parse_entry(&line).filter(|found| found.entry == last + 1) {
            (chain, last) = (chain.with(&line), found.entry);
            entry(found);
        } else if let Some(head) = parse_head(&line, &deployment, chain, public)
            && head.entry == last
        {
            end = End {
                chain,
                head,
                length,
            };
        } else {
            return Err(refused(
                path,
                "was changed, or is not signed by this vault's key; \
                 take the copy that the vault wrote, or another copy of it",
            ));
        }
    }
    Ok((deployment, end))
}

impl Ledger {
    /// Reads a copy and checks that `public` signed it.
    pub fn read(path: &Path, public: &PublicKey) -> Result<Self> {
        let mut entries = Vec::new();
        let (deployment, end) = read(path, public, |entry| entries.push(entry))?;
        let head = end.head;
        entries.retain(|entry| entry.entry <= head.entry);
        Ok(Self {
            deployment,
            entries,
            head,
        })
    }
}

/// The copy that a running vault keeps.
pub struct LedgerCopy {
    path: PathBuf,
    deployment: [u8; 16],
    key: SigningKey,
    end: Mutex<End>,
}

impl LedgerCopy {
    /// The copy in `dir`, which is begun where there is none.
    pub fn open(dir: &Path, deployment: [u8; 16], key: SigningKey) -> Result<Self> {
        let path = dir.join(LEDGER_FILE);
        if !path.try_exists().map_err(|why| failed(&path, &why))? {
            begin(&path, &deployment)?;
        }
        let (of, end) = read(&path, key.public(), |_| {})?;
        if of != deployment {
            return Err(refused(
                &path,
                "is the ledger of another vault; name another directory",
            ));
        }
        let end = Mutex::new(end);
        Ok(Self {
            path,
            deployment,
            key,
            end,
        })
    }

    /// The last head.
    pub fn head(&self) -> Head {
        self.end().head
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds entries, which follow the last one without a gap, and signs a new
    /// head; durable when it returns. Blocks.
    pub fn append(&self, entries: &[LedgerEntry], time: i64, leaves: u64) -> Result<()> {
        let mut end = self.end();
        let (mut chain, mut last, mut text) = (end.chain, end.head.entry, String::new());
        for entry in entries {
            if entry.entry != last + 1 {
                return Err(Error::Internal("a gap in the ledger"));
            }
            let line = entry_line(entry);
            (chain, last) = (chain.with(&line), entry.entry);
            text.push_str(&line);
        }
        let head = Head {
            entry: last,
            time,
            leaves,
        };
        text.push_str(&head_line(&self.deployment, &head, chain, &self.key));
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            // What an earlier try left behind its last head goes.
            file.set_len(end.length)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        write().map_err(|why| failed(&self.path, &why))?;
        *end = End {
            chain,
            head,
            length: end.length + text.len() as u64,
        };
        Ok(())
    }

    /// Whether the copy and the vault tell the same story: `entry` is the
    /// vault's own of the number that the copy ends with. Checked at start.
    pub fn ends_with(&self, entry: &LedgerEntry) -> Result<bool> {
        let mut last = None;
        read(&self.path, self.key.public(), |found| last = Some(found))?;
        Ok(last.as_ref() == Some(entry))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn begin(path: &Path, deployment: &[u8; 16]) -> Result<()> {
    let opening = opening(deployment);
    let begun = durable::replace(path, opening.as_bytes(), durable::PRIVATE);
    begun.map_err(|why| failed(path, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(entry: u64, customer: u64) -> LedgerEntry {
        LedgerEntry {
            entry,
            kind: 1,
            customer: CustomerNumber(customer),
            number: 0,
            epoch: 3,
            day: Day(20_782),
            fingerprint: Some([7; 32]),
        }
    }

    fn key(dir: &Path) -> SigningKey {
        let path = dir.join("vault.key");
        if !path.exists() {
            SigningKey::create(&path).unwrap();
        }
        SigningKey::load(&path, "crm.example/vault".to_owned()).unwrap()
    }

    #[test]
    fn what_is_appended_is_read_and_a_torn_end_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let public = key(dir.path()).public().clone();
        let copy = LedgerCopy::open(dir.path(), [1; 16], key(dir.path())).unwrap();
        copy.append(&[entry(1, 17), entry(2, 5)], 1_000, 40)
            .unwrap();
        copy.append(&[entry(3, 9)], 1_001, 44).unwrap();
        let path = copy.path().to_owned();
        let whole = std::fs::read(&path).unwrap();
        let ledger = Ledger::read(&path, &public).unwrap();
        assert_eq!(ledger.entries, [entry(1, 17), entry(2, 5), entry(3, 9)]);
        assert_eq!(
            ledger.head,
            Head {
                entry: 3,
                time: 1_001,
                leaves: 44
            }
        );
        // Cut anywhere behind the first head: the entries of that head stand.
        let second = whole.len() - 1;
        std::fs::write(&path, &whole[..second]).unwrap();
        assert_eq!(Ledger::read(&path, &public).unwrap().entries.len(), 2);
        let again = LedgerCopy::open(dir.path(), [1; 16], key(dir.path())).unwrap();
        assert_eq!(again.head().entry, 2);
        again.append(&[entry(3, 9)], 1_001, 44).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(again.append(&[entry(5, 1)], 0, 0).is_err(), "no gap");
    }

    #[test]
    fn a_changed_ledger_or_one_of_another_key_or_vault_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let public = key(dir.path()).public().clone();
        let copy = LedgerCopy::open(dir.path(), [1; 16], key(dir.path())).unwrap();
        copy.append(&[entry(1, 17), entry(2, 5)], 1_000, 40)
            .unwrap();
        let path = copy.path().to_owned();
        assert!(LedgerCopy::open(dir.path(), [2; 16], key(dir.path())).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        for changed in [
            text.replace("e 2 1 5 ", "e 2 1 6 "),
            text.replace("h 2 1000", "h 2 1001"),
            text.lines()
                .filter(|line| !line.starts_with("e 1 "))
                .map(|l| format!("{l}\n"))
                .collect(),
            text.replace("vault 01", "vault 02"),
        ] {
            assert_ne!(changed, text);
            std::fs::write(&path, changed).unwrap();
            assert!(Ledger::read(&path, &public).is_err());
        }
        std::fs::write(&path, &text).unwrap();
        let other = tempfile::tempdir().unwrap();
        assert!(Ledger::read(&path, key(other.path()).public()).is_err());
    }
}
