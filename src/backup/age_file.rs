//! Packs are encrypted to an age recipient (age-encryption.org/v1, X25519):
//! whoever takes backups needs no secret, and who restores has the identity.

use super::failed;
use crate::durable;
use crate::error::{Error, Result};
use age::secrecy::ExposeSecret;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Whom packs are encrypted to: `age1...`.
#[derive(Clone, Debug)]
pub struct Recipient(age::x25519::Recipient);

/// Who decrypts them: `AGE-SECRET-KEY-1...`.
pub struct Identity(age::x25519::Identity);

impl Recipient {
    /// Reads `age1...`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// Writes `content`, encrypted, to a new file; durable when it returns.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let recipients = std::iter::once(&self.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients)
            .map_err(|_| Error::Internal("an age recipient"))?;
        let write = || {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            let mut out = encryptor.wrap_output(file)?;
            out.write_all(content)?;
            out.finish()?.sync_all()
        };
        write().map_err(|why| failed(path, &why))
    }
}

impl Identity {
    /// Makes a new identity in a file of its own, as `age-keygen` does; answers
    /// the recipient.
    pub fn create(path: &Path) -> Result<String> {
        let identity = age::x25519::Identity::generate();
        let (secret, recipient) = (identity.to_string(), identity.to_public().to_string());
        let secret = secret.expose_secret();
        let text = Zeroizing::new(format!("# public key: {recipient}\n{secret}\n"));
        durable::create(path, text.as_bytes(), durable::PRIVATE)
            .map_err(|why| failed(path, &why))?;
        Ok(recipient)
    }

    /// Reads a file as `age-keygen` writes it: the first line that is no
    /// comment.
    pub fn load(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|why| failed(path, &why))?;
        for line in BufReader::new(file).lines() {
            let line = Zeroizing::new(line.map_err(|why| failed(path, &why))?);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Ok(identity) = line.trim().parse() {
                return Ok(Self(identity));
            }
        }
        Err(Error::Setup(format!(
            "{} holds no age identity (AGE-SECRET-KEY-1...); \
             name the file of the recipient that the backups are encrypted to",
            path.display()
        )))
    }

    /// Reads what [`Recipient::write`] wrote.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let file = File::open(path).map_err(|why| failed(path, &why))?;
        let refused = || {
            Error::Setup(format!(
                "{} does not open with this age identity, or was changed; \
                 name the identity of the recipient that it was encrypted to",
                path.display()
            ))
        };
        let decryptor =
            age::Decryptor::new_buffered(BufReader::new(file)).map_err(|_| refused())?;
        let identity = std::iter::once(&self.0 as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identity).map_err(|_| refused())?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(|_| refused())?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_a_recipient_opens_for_its_identity_alone() {
        let dir = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let recipient = Recipient::parse(&identity.to_public().to_string()).unwrap();
        let path = dir.path().join("pack.age");
        recipient.write(&path, b"rows").unwrap();
        assert!(recipient.write(&path, b"rows").is_err(), "never replaced");
        let file = dir.path().join("identity");
        let secret = identity.to_string();
        std::fs::write(&file, format!("# a comment\n{}\n", secret.expose_secret())).unwrap();
        assert_eq!(Identity::load(&file).unwrap().read(&path).unwrap(), b"rows");
        let other = Identity(age::x25519::Identity::generate());
        assert!(other.read(&path).is_err());
        assert!(Identity::load(&path).is_err());
        assert!(Recipient::parse("age1xyz").is_none());
    }
}
