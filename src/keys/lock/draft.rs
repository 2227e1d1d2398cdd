//! A lock before it is in its place: so that its shares, which are nowhere
//! else, are in people's hands before a key depends on them.

use super::{FILE, FIRST_LINE, HeldBy, WORK, refused, share_text};
use crate::crypto::shares::split;
use crate::crypto::{random_bytes, random_key};
use crate::durable;
use crate::error::{Error, Result};
use crate::secret::SecretText;
use age::secrecy::{ExposeSecret, SecretString};
use age::{scrypt, x25519};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;

/// A lock that nobody has to open yet.
pub struct Draft {
    text: String,
    shares: Vec<SecretText>,
}

impl Draft {
    /// A lock with an unlock key pair of its own.
    ///
    /// # Errors
    /// [`Error::Internal`] where `by` and `passphrase` do not fit each other.
    pub fn new(by: HeldBy, passphrase: Option<&SecretText>) -> Result<Self> {
        Self::of(&x25519::Identity::generate(), by, passphrase)
    }

    pub(super) fn of(
        identity: &x25519::Identity,
        by: HeldBy,
        passphrase: Option<&SecretText>,
    ) -> Result<Self> {
        let id = hex::encode(random_bytes::<4>()?);
        let (holders, secret, shares) = match (by, passphrase) {
            (HeldBy::Passphrase, Some(passphrase)) => {
                let secret = SecretString::from(passphrase.expose().to_owned());
                ("passphrase".to_owned(), secret, Vec::new())
            }
            (HeldBy::Shares { threshold, shares }, None) => {
                let key = random_key()?;
                let split = split(&key, threshold, shares)?;
                let texts = split.iter().map(|share| share_text(&id, share)).collect();
                let line = format!("shares {threshold} {shares} {id}");
                (line, SecretString::from(hex::encode(key.expose())), texts)
            }
            _ => return Err(Error::Internal("a lock without its passphrase")),
        };
        let mut to = scrypt::Recipient::new(secret);
        to.set_work_factor(WORK);
        let sealed = age::encrypt(&to, identity.to_string().expose_secret().as_bytes());
        let sealed = sealed.map_err(|_| Error::Internal("age seals nothing"))?;
        let text = format!(
            "{FIRST_LINE}\n{}\n{holders}\n{}\n",
            identity.to_public(),
            BASE64_STANDARD.encode(sealed)
        );
        Ok(Self { text, shares })
    }

    /// The shares, where it is held by shares: nowhere else are they kept.
    pub fn shares(&self) -> &[SecretText] {
        &self.shares
    }

    /// The same, for whoever hands them on.
    pub fn into_shares(self) -> Vec<SecretText> {
        self.shares
    }

    /// Locks a directory that has no lock: key files made from then on are
    /// sealed to it.
    ///
    /// # Errors
    /// [`Error::Setup`] where it has one, or cannot be written to.
    pub fn place(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let placed = durable::create(&path, self.text.as_bytes(), durable::PRIVATE);
        placed.map_err(|why| refused(&path, &format!("cannot be made: {}", why.kind())))
    }

    /// Takes the place of the directory's lock, at once or not at all.
    ///
    /// # Errors
    /// [`Error::Setup`] where the directory cannot be written to.
    pub fn replace(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let replaced = durable::replace(&path, self.text.as_bytes(), durable::PRIVATE);
        replaced.map_err(|why| refused(&path, &format!("cannot be replaced: {}", why.kind())))
    }
}
