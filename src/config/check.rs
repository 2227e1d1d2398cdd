//! Dangers that a configuration can hold. Each is refused with what it is, why
//! it is one and what to do, unless the flag that names it is given.

use crate::config::{Config, Keeper, Transport};
use crate::error::{Error, Result};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use x509_parser::pem::Pem;

/// The organisation that every certificate under `keys-example/` names.
pub const EXAMPLE_ORGANISATION: &str = "Oubliette EXAMPLE - worthless";

/// The [`fingerprint`] of every secret under `keys-example/`.
const EXAMPLE_KEYS: &[&str] = &[
    "71fccf945ffe6ebc6f5b080cee86ac4f97ee5290a86da1743185598147dd29b3",
    "9803dcff59bf01eba910d6e5268822ab0c1d0107992b9f4dc9f0a561123f07b0",
    "7acba2d94b910340e2ff12c25f0a7df73e985717a0e244a63ff31701246b4785",
    "24fa47064f44716338aaaf59e9412f07389e0e336417d0d71f16aa30b816d678",
];

/// File systems that copy on write, by the number that statfs(2) gives
/// (linux/magic.h; OpenZFS's ZFS_SUPER_MAGIC; bcachefs's).
const COPY_ON_WRITE: &[(i128, &str)] = &[
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xca45_1a4e, "bcachefs"),
    (0x794c_7630, "overlay"),
];

/// Dangers that someone takes on. They are flags of the command line and not
/// keys of the file, so that a copied file does not bring one along.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct Allowances {
    /// Serve with keys that everybody has: nothing is protected.
    #[arg(long)]
    pub allow_example_keys: bool,
    /// Serve although other users can read key files.
    #[arg(long)]
    pub allow_readable_keys: bool,
    /// Serve although whoever copies the data directory copies keys with it.
    #[arg(long)]
    pub allow_keys_beside_data: bool,
    /// Serve this machine without TLS: every local user is taken for the
    /// configured principal.
    #[arg(long)]
    pub allow_plaintext: bool,
    /// Serve the network without TLS: everybody on it reads along and is taken
    /// for the configured principal.
    #[arg(long)]
    pub allow_plaintext_off_loopback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Danger {
    ExampleKeys,
    ReadableKeys,
    KeysBesideData,
    Plaintext,
    PlaintextOffLoopback,
}

impl Danger {
    fn flag(self) -> &'static str {
        match self {
            Self::ExampleKeys => "--allow-example-keys",
            Self::ReadableKeys => "--allow-readable-keys",
            Self::KeysBesideData => "--allow-keys-beside-data",
            Self::Plaintext => "--allow-plaintext",
            Self::PlaintextOffLoopback => "--allow-plaintext-off-loopback",
        }
    }

    fn allowed(self, by: &Allowances) -> bool {
        match self {
            Self::ExampleKeys => by.allow_example_keys,
            Self::ReadableKeys => by.allow_readable_keys,
            Self::KeysBesideData => by.allow_keys_beside_data,
            Self::Plaintext => by.allow_plaintext || by.allow_plaintext_off_loopback,
            Self::PlaintextOffLoopback => by.allow_plaintext_off_loopback,
        }
    }
}

/// A danger, and what, why, and what to do.
type Found = (Danger, String);

impl Config {
    /// Looks at everything that the configuration names for dangers that
    /// `allowed` does not cover. Answers with a line for each that it covers,
    /// and for each file system that keeps what is destroyed on it.
    ///
    /// # Errors
    /// [`Error::Setup`] with one line for each danger.
    pub fn check(&self, allowed: &Allowances) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.plaintext(&mut found);
        self.permissions(&mut found)?;
        self.beside_data(&mut found);
        self.examples(&mut found)?;
        let (mut warnings, mut refused) = (self.copies_on_write(), Vec::new());
        for (danger, what) in found {
            if danger.allowed(allowed) {
                warnings.push(format!("{what} (allowed by {})", danger.flag()));
            } else {
                refused.push(format!(
                    "{what} (or, if you mean it, give {})",
                    danger.flag()
                ));
            }
        }
        if refused.is_empty() {
            Ok(warnings)
        } else {
            Err(Error::Setup(refused.join("\n")))
        }
    }

    fn plaintext(&self, found: &mut Vec<Found>) {
        if !matches!(self.transport, Transport::Plaintext(..)) {
            return;
        }
        found.push(if self.listen.ip().is_loopback() {
            let what = "without [tls] every user of this machine is taken for \
                        plaintext_principal; add [tls]";
            (Danger::Plaintext, what.to_owned())
        } else {
            let what = format!(
                "{} is not a loopback address, and without [tls] everybody on that network \
                 reads along and is taken for plaintext_principal; add [tls]",
                self.listen
            );
            (Danger::PlaintextOffLoopback, what)
        });
    }

    /// The directories of the file providers' keys.
    fn key_directories(&self) -> impl Iterator<Item = &Path> {
        self.providers.iter().filter_map(|one| match &one.keeper {
            Keeper::File { directory } => Some(directory.as_path()),
            _ => None,
        })
    }

    /// The files that hold secrets, but for those in the key directories.
    fn named_secrets(&self) -> Vec<PathBuf> {
        let mut files = vec![self.signing.log.clone(), self.signing.vault.clone()];
        files.extend(self.providers.iter().filter_map(|one| match &one.keeper {
            Keeper::File { .. } => None,
            Keeper::Pkcs11(place) => Some(place.pin.clone()),
            Keeper::Transit(place) => Some(place.token.clone()),
        }));
        if let Transport::Tls(tls) = &self.transport {
            files.push(tls.key.clone());
        }
        files
    }

    /// The files that hold secrets.
    fn secrets(&self) -> Result<Vec<PathBuf>> {
        let mut files = self.named_secrets();
        for directory in self.key_directories() {
            let refused = |why: std::io::Error| {
                Error::Setup(format!(
                    "{} cannot be listed: {}; it must be the directory of the key files \
                     (oubliette init makes it)",
                    directory.display(),
                    why.kind()
                ))
            };
            for entry in fs::read_dir(directory).map_err(refused)? {
                let path = entry.map_err(refused)?.path();
                if path.is_file() {
                    files.push(path);
                }
            }
        }
        // Where signing keys lie beside the provider's, they are listed twice.
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn permissions(&self, found: &mut Vec<Found>) -> Result<()> {
        let files = self.secrets()?;
        let all = files.iter().map(|file| (file.as_path(), "600"));
        let directories = self.key_directories().map(|directory| (directory, "700"));
        for (path, right) in all.chain(directories) {
            let mode = fs::metadata(path).map_err(|why| missing(path, &why))?;
            if mode.permissions().mode() & 0o077 != 0 {
                let what = format!(
                    "{0} can be used by others than its owner, and it holds or guards a key; \
                     run chmod {right} {0}",
                    path.display()
                );
                found.push((Danger::ReadableKeys, what));
            }
        }
        Ok(())
    }

    fn beside_data(&self, found: &mut Vec<Found>) {
        let data = resolved(&self.data);
        let mut secrets = self.named_secrets();
        secrets.extend(self.key_directories().map(Path::to_owned));
        for path in secrets {
            if resolved(&path).starts_with(&data) {
                let what = format!(
                    "{} lies in the data directory {}, so whoever takes a copy of the data \
                     takes its keys along; move it elsewhere",
                    path.display(),
                    self.data.display()
                );
                found.push((Danger::KeysBesideData, what));
            }
        }
    }

    /// A file system that writes beside and not over keeps what was overwritten,
    /// and so may its snapshots: destroying a key file is worth less there.
    fn copies_on_write(&self) -> Vec<String> {
        let warned = |directory: &Path| {
            let magic = i128::from(rustix::fs::statfs(directory).ok()?.f_type);
            let (_, name) = COPY_ON_WRITE.iter().find(|(known, _)| *known == magic)?;
            Some(format!(
                "{} lies on {name}, which copies on write: what is destroyed may live on in it and \
                 in its snapshots; take another file system, or another provider",
                directory.display()
            ))
        };
        self.key_directories().filter_map(warned).collect()
    }

    fn examples(&self, found: &mut Vec<Found>) -> Result<()> {
        let cure = "is an example that everybody has; make your own with oubliette init";
        for path in self.secrets()? {
            if is_example_key(&path)? {
                let what = format!("{} {cure}", path.display());
                found.push((Danger::ExampleKeys, what));
            }
        }
        if let Transport::Tls(tls) = &self.transport {
            for path in [&tls.certificate, &tls.client_ca] {
                if is_example_certificate(path)? {
                    let what = format!("{} {cure}", path.display());
                    found.push((Danger::ExampleKeys, what));
                }
            }
        }
        Ok(())
    }
}

fn missing(path: &Path, why: &std::io::Error) -> Error {
    Error::Setup(format!(
        "{} cannot be read: {}; put the file there or correct the path in the configuration",
        path.display(),
        why.kind()
    ))
}

/// All links followed, as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether the file holds one of the keys under `keys-example/`.
///
/// # Errors
/// [`Error::Setup`] when it cannot be read.
pub fn is_example_key(path: &Path) -> Result<bool> {
    Ok(EXAMPLE_KEYS.contains(&fingerprint(path)?.as_str()))
}

/// SHA-256 in hexadecimal of a private key's DER where the file is PEM, so that
/// another layout is the same key, else of the file.
///
/// # Errors
/// [`Error::Setup`] when it cannot be read.
pub fn fingerprint(path: &Path) -> Result<String> {
    let content = zeroize::Zeroizing::new(fs::read(path).map_err(|why| missing(path, &why))?);
    let hash = match PrivateKeyDer::from_pem_slice(&content) {
        Ok(key) => Sha256::digest(key.secret_der()),
        Err(_) => Sha256::digest(content.as_slice()),
    };
    Ok(hex::encode(hash))
}

/// Whether one of the certificates was given to or by the example's
/// organisation. What is no certificate is for the TLS set-up to refuse.
fn is_example_certificate(path: &Path) -> Result<bool> {
    let content = fs::read(path).map_err(|why| missing(path, &why))?;
    for pem in Pem::iter_from_buffer(&content).flatten() {
        let Ok(certificate) = pem.parse_x509() else {
            continue;
        };
        let names = [certificate.subject(), certificate.issuer()];
        let mut organisations = names.iter().flat_map(|name| name.iter_organization());
        if organisations.any(|name| name.as_str() == Ok(EXAMPLE_ORGANISATION)) {
            return Ok(true);
        }
    }
    Ok(false)
}
