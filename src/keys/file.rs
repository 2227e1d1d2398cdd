//! The file provider: one 0600 file an epoch, in a directory that is not the
//! data's. The file is text, so that it can be recognised and never mistaken:
//!
//! ```text
//! oubliette provider key, version 1          or: oubliette locked provider key, version 1
//! 64 hexadecimal digits                          base64 of an age file with the 32 bytes
//! ```
//!
//! The second form stands in a directory that has a [`Lock`]. What people
//! opened is in memory until [`KeyProvider::lock`], as the master keys are.

use super::lock::{Lock, Opener};
use super::{Assurance, KeyProvider, KeyState, Needs};
use crate::crypto::{Deployment, MasterKey, Prk, WrapContext, random_key};
use crate::durable;
use crate::error::{Error, Result, Unavailable};
use crate::secret::{Key32, SecretText};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

const LOCKED_LINE: &str = "oubliette locked provider key, version 1";
/// The longest locked key file.
const LOCKED_BYTES: usize = 4_096;
const FIRST_LINE: &str = "oubliette provider key, version 1";
/// The first line, a line end, 64 digits, a line end: and not a byte more.
const FILE_BYTES: usize = FIRST_LINE.len() + 1 + 64 + 1;

/// Keys in files of one directory.
pub struct FileProvider {
    dir: PathBuf,
    lock: Option<Lock>,
    /// Keys that people opened, or that were made since, where there is a lock.
    opened: Mutex<BTreeMap<String, Key32>>,
}

impl FileProvider {
    /// The provider of `dir`, which is made (0700) if it is not there.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| failed("make the key directory", dir, &error))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            lock: Lock::load(dir)?,
            opened: Mutex::default(),
        })
    }

    fn key(&self, name: &str) -> Result<Prk> {
        if self.lock.is_none() {
            let path = self.dir.join(name);
            return parse(&read(&path)?)
                .map(|key| Prk::new(&key))
                .ok_or_else(|| not_one(&path));
        }
        let opened = self.opened();
        if opened.is_empty() {
            return Err(Error::Unavailable(Unavailable::Sealed));
        }
        let key = opened.get(name).map(Prk::new);
        key.ok_or_else(|| not_one(&self.dir.join(name)))
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<String, Key32>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of the key files, with their epochs.
    fn names(&self) -> Result<Vec<(u32, String)>> {
        let listed = fs::read_dir(&self.dir)
            .map_err(|error| failed("list the key directory", &self.dir, &error))?;
        let named = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix("epoch-")?.strip_suffix(".key")?;
            Some((number.parse().ok()?, name))
        };
        Ok(listed.flatten().filter_map(named).collect())
    }

    /// Opens every key file. One that is none is left aside: power may have
    /// gone while it was being destroyed, and whoever needs it is told so.
    fn open_all(&self, opener: &Opener) -> Result<BTreeMap<String, Key32>> {
        let mut opened = BTreeMap::new();
        for (_, name) in self.names()? {
            let text = read(&self.dir.join(&name))?;
            let sealed = || parse_locked(&text).and_then(|sealed| opener.open(&sealed));
            match sealed().or_else(|| parse(&text)) {
                Some(key) => drop(opened.insert(name, key)),
                None => tracing::warn!(name, "this key file does not open; it is left aside"),
            }
        }
        match opened.is_empty() {
            true => Err(not_one(&self.dir)),
            false => Ok(opened),
        }
    }

    /// Seals what was there before the lock was. It may be cut off anywhere
    /// and repeated. Answers how many files it sealed.
    ///
    /// # Errors
    /// [`Error::Setup`] where there is no lock or a file cannot be rewritten.
    pub fn seal_files(&self) -> Result<usize> {
        let lock = self.lock.as_ref().ok_or_else(|| no_lock(&self.dir))?;
        let mut sealed = 0;
        for (_, name) in self.names()? {
            let path = self.dir.join(name);
            if let Some(key) = parse(&read(&path)?) {
                rewrite(&path, &locked(lock, &key)?)?;
                sealed += 1;
            }
        }
        Ok(sealed)
    }

    /// Writes every key file in the clear, then takes the lock away. People
    /// must have opened it. It may be cut off anywhere and repeated. Answers
    /// how many files it opened.
    ///
    /// # Errors
    /// [`Error::Setup`] where there is no lock or a file cannot be rewritten.
    pub fn remove_lock(&mut self) -> Result<usize> {
        if self.lock.is_none() || self.opened().is_empty() {
            return Err(no_lock(&self.dir));
        }
        let mut opened = 0;
        for (name, key) in self.opened().iter() {
            let path = self.dir.join(name);
            if parse(&read(&path)?).is_none() {
                rewrite(&path, &plain(key))?;
                opened += 1;
            }
        }
        Lock::remove(&self.dir)?;
        self.lock = None;
        Ok(opened)
    }
}

/// The text of a key's file where there is no lock.
fn plain(key: &Key32) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(key.expose()));
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES));
    for part in [FIRST_LINE, "\n", digits.as_str(), "\n"] {
        text.push_str(part);
    }
    text
}

/// The text of a key's file where there is one.
fn locked(lock: &Lock, key: &Key32) -> Result<Zeroizing<String>> {
    let sealed = BASE64_STANDARD.encode(lock.seal(key)?);
    Ok(Zeroizing::new(format!("{LOCKED_LINE}\n{sealed}\n")))
}

/// Puts `text` in the place of a key file, and overwrites what was there.
fn rewrite(path: &Path, text: &str) -> Result<()> {
    let rewritten = OpenOptions::new().write(true).open(path).and_then(|old| {
        obliterate(&durable::draft_of(path))?;
        durable::replace(path, text.as_bytes(), durable::PRIVATE)?;
        overwrite(old)
    });
    rewritten.map_err(|error| failed("rewrite the key file", path, &error))
}

/// Overwrites a file and takes it away, where there is one.
fn obliterate(path: &Path) -> std::io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    overwrite(file)?;
    fs::remove_file(path)?;
    durable::sync_directory_of(path)
}

/// Writes zeros over all of a file; as much as the medium honours.
fn overwrite(mut file: File) -> std::io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(LOCKED_BYTES);
    file.write_all(&vec![0; length.min(LOCKED_BYTES)])?;
    file.sync_all()
}

fn no_lock(dir: &Path) -> Error {
    Error::Setup(format!(
        "the key files in {} have no lock that was opened; put one on with: oubliette lock add",
        dir.display()
    ))
}

/// Reads a key file, which must be its owner's alone.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mode = fs::metadata(path)
        .map_err(|error| failed("find the key file", path, &error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::Setup(format!(
            "the key file {} can be read by others (mode {:o}); run: chmod 600 {}",
            path.display(),
            mode & 0o777,
            path.display()
        )));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LOCKED_BYTES + 1));
    File::open(path)
        .and_then(|file| file.take(LOCKED_BYTES as u64 + 1).read_to_end(&mut text))
        .map_err(|error| failed("read the key file", path, &error))?;
    Ok(text)
}

fn not_one(path: &Path) -> Error {
    Error::Setup(format!(
        "{} is not a provider key file of this directory; restore the right one from your copy",
        path.display()
    ))
}

/// What is sealed in a locked key file.
fn parse_locked(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let sealed = text
        .strip_prefix(LOCKED_LINE)?
        .strip_prefix('\n')?
        .strip_suffix('\n')?;
    BASE64_STANDARD.decode(sealed).ok()
}

fn parse(text: &[u8]) -> Option<Key32> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text
        .strip_prefix(FIRST_LINE)?
        .strip_prefix('\n')?
        .strip_suffix('\n')?;
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *bytes).ok()?;
    Some(Key32::take(&mut bytes))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Setup(format!("cannot {what} {}: {error}", path.display()))
}

impl KeyProvider for FileProvider {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn assurance(&self) -> Assurance {
        Assurance::BestEffort
    }

    fn create(&self, _: Deployment, epoch: u32) -> Result<String> {
        let name = format!("epoch-{epoch:08}.key");
        let path = self.dir.join(&name);
        let key = random_key()?;
        let text = match &self.lock {
            None => plain(&key),
            Some(lock) => locked(lock, &key)?,
        };
        durable::create(&path, text.as_bytes(), durable::PRIVATE)
            .map_err(|error| failed("make the key file", &path, &error))?;
        if self.lock.is_some() {
            self.opened().insert(name.clone(), key);
        }
        Ok(name)
    }

    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        master.wrap_under(&self.key(name)?, context)
    }

    fn destroy(&self, name: &str) -> Result<KeyState> {
        let path = self.dir.join(name);
        // A rewriting that was cut off leaves a second copy.
        let destroyed = obliterate(&durable::draft_of(&path)).and_then(|()| obliterate(&path));
        destroyed.map_err(|error| failed("destroy the key file", &path, &error))?;
        self.opened().remove(name);
        self.state(name)
    }

    fn state(&self, name: &str) -> Result<KeyState> {
        let path = self.dir.join(name);
        match path.try_exists() {
            Ok(true) => Ok(KeyState::Usable),
            Ok(false) => Ok(KeyState::Gone),
            Err(error) => Err(failed("look for the key file", &path, &error)),
        }
    }

    fn stray(&self, _: Deployment, newest: u32) -> Result<Vec<String>> {
        let stray = self
            .names()?
            .into_iter()
            .filter(|(epoch, _)| *epoch > newest);
        Ok(stray.map(|(_, name)| name).collect())
    }

    fn needs(&self) -> Option<Needs> {
        let lock = self.lock.as_ref()?;
        self.opened().is_empty().then(|| lock.needs())
    }

    fn unlock(&self, piece: &SecretText) -> Result<()> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        if let Some(opener) = lock.give(piece)? {
            let opened = self.open_all(&opener)?;
            *self.opened() = opened;
        }
        Ok(())
    }

    fn lock(&self) {
        if self.lock.is_some() {
            self.opened().clear();
        }
    }

    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        let key = self.key(name)?;
        MasterKey::unwrap_from(&key, context, wrapped).map_err(|_| {
            Error::Setup(format!(
                "the key file {} does not open this vault's master key; \
                 is it the file of another vault?",
                self.dir.join(name).display()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> WrapContext {
        WrapContext {
            deployment: Deployment([7; 16]),
            tenant: 0,
            number: 0,
            generation: 0,
            page: 0,
            page_generation: 0,
            epoch: 1,
        }
    }

    #[test]
    fn a_master_key_opens_only_under_its_own_key_file() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (
            FileProvider::new(one.path()).unwrap(),
            FileProvider::new(two.path()).unwrap(),
        );
        let name = one.create(Deployment([7; 16]), 1).unwrap();
        assert_eq!(two.create(Deployment([7; 16]), 1).unwrap(), name);
        let master = MasterKey::generate().unwrap();
        let wrapped = one.wrap(&name, &context(), &master).unwrap();
        assert!(one.unwrap(&name, &context(), &wrapped).is_ok());
        assert!(two.unwrap(&name, &context(), &wrapped).is_err());
    }

    #[test]
    fn an_epochs_key_is_made_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::new(dir.path()).unwrap();
        let name = provider.create(Deployment([7; 16]), 1).unwrap();
        let before = fs::read(dir.path().join(&name)).unwrap();
        assert!(provider.create(Deployment([7; 16]), 1).is_err());
        assert_eq!(fs::read(dir.path().join(&name)).unwrap(), before);
        let mode = fs::metadata(dir.path().join(&name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        fs::set_permissions(dir.path().join(&name), fs::Permissions::from_mode(0o640)).unwrap();
        let refused = provider.key(&name).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|text| text.contains("chmod 600")));
    }

    #[test]
    fn a_destroyed_key_is_gone_and_destroying_it_again_is_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::new(dir.path()).unwrap();
        let names = [
            provider.create(Deployment([7; 16]), 1).unwrap(),
            provider.create(Deployment([7; 16]), 2).unwrap(),
        ];
        assert_eq!(
            provider.stray(Deployment([7; 16]), 1).unwrap(),
            [names[1].clone()]
        );
        assert_eq!(provider.state(&names[0]), Ok(KeyState::Usable));
        for _ in 0..2 {
            assert_eq!(provider.destroy(&names[0]), Ok(KeyState::Gone));
        }
        assert!(!dir.path().join(&names[0]).exists());
        assert_eq!(provider.state(&names[1]), Ok(KeyState::Usable));
    }

    #[test]
    fn what_a_rewriting_left_goes_with_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::new(dir.path()).unwrap();
        let name = provider.create(Deployment([7; 16]), 1).unwrap();
        let path = dir.path().join(&name);
        fs::copy(&path, durable::draft_of(&path)).unwrap();
        assert_eq!(provider.destroy(&name), Ok(KeyState::Gone));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_file_that_is_cut_or_grown_is_refused() {
        let digits = "ab".repeat(32);
        let good = format!("{FIRST_LINE}\n{digits}\n").into_bytes();
        assert!(parse(&good).is_some());
        let grown = [&good[..], b"\n"].concat();
        for bad in [&good[..good.len() - 1], &good[1..], &grown[..]] {
            assert!(parse(bad).is_none());
        }
    }
}
