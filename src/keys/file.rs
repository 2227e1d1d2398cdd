//! The file provider: one 0600 file an epoch, in a directory that is not the
//! data's. The file is text, so that it can be recognised and never mistaken:
//!
//! ```text
//! oubliette provider key, version 1
//! 64 hexadecimal digits
//! ```

use super::{Assurance, KeyProvider, KeyState};
use crate::crypto::{MasterKey, Prk, WrapContext, random_key};
use crate::error::{Error, Result};
use crate::secret::Key32;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FIRST_LINE: &str = "oubliette provider key, version 1";
/// The first line, a line end, 64 digits, a line end: and not a byte more.
const FILE_BYTES: usize = FIRST_LINE.len() + 1 + 64 + 1;

/// Keys in files of one directory.
pub struct FileProvider {
    dir: PathBuf,
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
        })
    }

    fn key(&self, name: &str) -> Result<Prk> {
        let path = self.dir.join(name);
        let mode = fs::metadata(&path)
            .map_err(|error| failed("find the key file", &path, &error))?
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
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
        File::open(&path)
            .and_then(|file| file.take(FILE_BYTES as u64 + 1).read_to_end(&mut text))
            .map_err(|error| failed("read the key file", &path, &error))?;
        parse(&text).map(|key| Prk::new(&key)).ok_or_else(|| {
            Error::Setup(format!(
                "{} is not a provider key file; restore the right one from your key backup",
                path.display()
            ))
        })
    }
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

    /// Atomic: written beside, synced, linked to its name, directory synced.
    /// Linking refuses a name that is taken; a rename would replace it.
    fn create(&self, epoch: u32) -> Result<String> {
        let name = format!("epoch-{epoch:08}.key");
        let (path, draft) = (self.dir.join(&name), self.dir.join(format!(".{name}.new")));
        let key = random_key()?;
        let digits = Zeroizing::new(hex::encode(key.expose()));
        let written = (|| {
            let _ = fs::remove_file(&draft);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)?;
            for part in [FIRST_LINE, "\n", digits.as_str(), "\n"] {
                file.write_all(part.as_bytes())?;
            }
            file.sync_all()?;
            fs::hard_link(&draft, &path)?;
            fs::remove_file(&draft)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|error| failed("make the key file", &path, &error))?;
        Ok(name)
    }

    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        master.wrap_under(&self.key(name)?, context)
    }

    fn destroy(&self, name: &str) -> Result<KeyState> {
        let path = self.dir.join(name);
        let destroyed = (|| {
            let mut file = match OpenOptions::new().write(true).open(&path) {
                Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            };
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(FILE_BYTES);
            file.write_all(&vec![0; length.min(FILE_BYTES)])?;
            file.sync_all()?;
            fs::remove_file(&path)?;
            File::open(&self.dir)?.sync_all()
        })();
        destroyed.map_err(|error| failed("destroy the key file", &path, &error))?;
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

    fn stray(&self, newest: u32) -> Result<Vec<String>> {
        let listed = fs::read_dir(&self.dir)
            .map_err(|error| failed("list the key directory", &self.dir, &error))?;
        let names = listed
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let is_stray = |name: &String| {
            let number = name
                .strip_prefix("epoch-")
                .and_then(|n| n.strip_suffix(".key"));
            number
                .and_then(|n| n.parse().ok())
                .is_some_and(|epoch: u32| epoch > newest)
        };
        Ok(names.filter(is_stray).collect())
    }

    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        MasterKey::unwrap_from(&self.key(name)?, context, wrapped).map_err(|_| {
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
    use crate::crypto::Deployment;

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
        let name = one.create(1).unwrap();
        assert_eq!(two.create(1).unwrap(), name);
        let master = MasterKey::generate().unwrap();
        let wrapped = one.wrap(&name, &context(), &master).unwrap();
        assert!(one.unwrap(&name, &context(), &wrapped).is_ok());
        assert!(two.unwrap(&name, &context(), &wrapped).is_err());
    }

    #[test]
    fn an_epochs_key_is_made_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::new(dir.path()).unwrap();
        let name = provider.create(1).unwrap();
        let before = fs::read(dir.path().join(&name)).unwrap();
        assert!(provider.create(1).is_err());
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
        let names = [provider.create(1).unwrap(), provider.create(2).unwrap()];
        assert_eq!(provider.stray(1).unwrap(), [names[1].clone()]);
        assert_eq!(provider.state(&names[0]), Ok(KeyState::Usable));
        for _ in 0..2 {
            assert_eq!(provider.destroy(&names[0]), Ok(KeyState::Gone));
        }
        assert!(!dir.path().join(&names[0]).exists());
        assert_eq!(provider.state(&names[1]), Ok(KeyState::Usable));
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
