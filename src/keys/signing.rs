//! Keys that sign what a stranger checks with a public key: the log's key
//! signs checkpoints, the vault's key certificates, receipts and ledgers.
//! Ed25519 (RFC 8032) through ring; names and texts as in C2SP signed-note.

use crate::crypto::random_key;
use crate::durable;
use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// C2SP signed-note: the byte before an Ed25519 public key.
const SIGNATURE: u8 = 1;
/// C2SP tlog-cosignature: the byte before the Ed25519 public key of a witness.
pub const COSIGNATURE: u8 = 4;

/// RFC 8410, section 7: what stands before the seed of an Ed25519 private key.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// A private key, with the name under which its public half is known.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// The public half: what a stranger needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; 32],
}

/// A signature is not this key's over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl SigningKey {
    /// Makes a new key in `path`: PKCS#8 in PEM, 0600. Refuses a path that is
    /// taken.
    pub fn create(path: &Path) -> Result<()> {
        let seed = random_key()?;
        let der = Zeroizing::new([&PKCS8[..], seed.expose()].concat());
        // The 48 bytes of a PKCS#8 Ed25519 key are one line of base64.
        let line = Zeroizing::new(BASE64_STANDARD.encode(der.as_slice()));
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let pem = Zeroizing::new([begin, line.as_str(), end, ""].join("\n"));
        let written = durable::create(path, pem.as_bytes(), durable::PRIVATE);
        written.map_err(|why| {
            let path = path.display();
            Error::Setup(format!("cannot make the signing key {path}: {why}"))
        })
    }

    /// Reads the key in `path`. `name` is what its signatures are known under:
    /// no spaces, no `+` (C2SP signed-note).
    pub fn load(path: &Path, name: String) -> Result<Self> {
        let refused = || {
            let path = path.display();
            Error::Setup(format!(
                "{path} is not an Ed25519 private key (PKCS#8 in PEM); put the right one back, \
                 or make one with: openssl genpkey -algorithm ed25519 -out {path}"
            ))
        };
        let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|_| refused())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| refused())?;
        let bytes = pair.public_key().as_ref();
        let bytes = bytes.try_into().map_err(|_| refused())?;
        let public = PublicKey { name, bytes };
        Ok(Self { pair, public })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        // An Ed25519 signature has 64 bytes.
        signature.as_ref().try_into().unwrap_or([0; 64])
    }
}

impl PublicKey {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_as(SIGNATURE, text)
    }

    /// The same for a key that makes signatures of another kind.
    pub fn parse_as(kind: u8, text: &str) -> Option<Self> {
        let (name, rest) = text.trim().split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let key = BASE64_STANDARD.decode(key).ok()?;
        let (of, bytes) = key.split_first()?;
        let public = Self {
            name: name.to_owned(),
            bytes: bytes.try_into().ok()?,
        };
        let fits = *of == kind && hex::encode(public.id_as(kind)) == id;
        (fits && !name.is_empty()).then_some(public)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key's id: what stands before its signatures in a note.
    pub fn id(&self) -> [u8; 4] {
        self.id_as(SIGNATURE)
    }

    /// The same for signatures of another kind.
    pub fn id_as(&self, kind: u8) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update(b"\n");
        hash.update([kind]);
        hash.update(self.bytes);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        [a, b, c, d]
    }

    /// The text of a verifier key for signatures of a kind: `name+id+key`.
    pub fn text_as(&self, kind: u8) -> String {
        let mut key = vec![kind];
        key.extend(self.bytes);
        let key = BASE64_STANDARD.encode(key);
        format!("{}+{}+{key}", self.name, hex::encode(self.id_as(kind)))
    }

    /// Checks a signature.
    pub fn verify(
        &self,
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, self.bytes)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}

/// The text of a verifier key in C2SP signed-note: `name+id+key`.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text_as(SIGNATURE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_and_its_public_text_checks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        SigningKey::create(&path).unwrap();
        assert!(SigningKey::create(&path).is_err(), "never replaced");
        let key = SigningKey::load(&path, "crm.example/log".to_owned()).unwrap();
        let text = key.public().to_string();
        let public = PublicKey::parse(&text).unwrap();
        assert_eq!(&public, key.public());
        let mut signature = key.sign(b"message");
        assert_eq!(public.verify(b"message", &signature), Ok(()));
        assert_eq!(public.verify(b"massage", &signature), Err(BadSignature));
        signature[0] ^= 1;
        assert_eq!(public.verify(b"message", &signature), Err(BadSignature));
        for wrong in [
            "",
            "a+b+c",
            &text.replace("log", "lag"),
            text.trim_start_matches("crm"),
        ] {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
        std::fs::write(&path, "no key").unwrap();
        assert!(SigningKey::load(&path, String::new()).is_err());
    }

    /// The example of Go's golang.org/x/mod/sumdb/note, which C2SP signed-note
    /// describes.
    #[test]
    fn a_key_id_is_that_of_the_specification() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(PublicKey::parse(text).unwrap().to_string(), text);
    }
}
