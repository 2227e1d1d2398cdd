//! The keys of an erasure certificate. Its id is 32 random bytes that the
//! vault gives out and does not keep: the stored row is found by one key
//! derived from it and opened by another, so that without the id a row says
//! neither whose it is nor that it is anybody's.

use super::derive::expand_keys;
use super::label;
use super::mac::{MacKey, mac};
use super::random::random_key;
use crate::error::Error;
use crate::secret::{Key32, SecretText};
use zeroize::Zeroizing;

/// A certificate's id.
pub struct CertificateKey(Key32);

/// The two keys under a certificate's id.
pub struct CertificateKeys {
    /// Finds the stored row: the first 16 bytes of a key that does nothing else.
    pub handle: [u8; 16],
    /// Seals the row's body.
    pub body: Key32,
}

impl CertificateKey {
    /// A new id. Fails with [`Error::Internal`] where the operating system
    /// gives no randomness.
    pub fn generate() -> Result<Self, Error> {
        random_key().map(Self)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).ok()?;
        let key = Self(Key32::take(&mut bytes));
        (key.text().expose() == text).then_some(key)
    }

    /// What [`Self::parse`] reads.
    pub fn text(&self) -> SecretText {
        SecretText::new(hex::encode(self.0.expose()))
    }

    /// The keys for its two uses, from one expansion.
    pub fn subkeys(&self) -> CertificateKeys {
        let [handle, body] = expand_keys(&self.0, label::CERTIFICATE);
        let handle = handle.expose().first_chunk().copied().unwrap_or_default();
        CertificateKeys { handle, body }
    }
}

/// What a certificate says of whom it is about: the MAC of the tenant's name
/// and the caller's id of the customer under a random salt. Whoever is told
/// both can check it; without the salt no guess can be tested.
pub fn subject(salt: &[u8; 32], tenant: &str, customer: &str) -> [u8; 32] {
    let key = MacKey::new(Key32::take(&mut { *salt }));
    mac(&key, &[tenant.as_bytes(), customer.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_one_form_only() {
        let key = CertificateKey::generate().unwrap();
        let text = key.text();
        let again = CertificateKey::parse(text.expose()).unwrap();
        assert_eq!(again.subkeys().handle, key.subkeys().handle);
        for wrong in ["", "00", &"A".repeat(64), &"g".repeat(64), &"0".repeat(66)] {
            assert!(CertificateKey::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_depends_on_salt_tenant_and_customer() {
        let one = subject(&[1; 32], "acme", "c-1");
        assert_eq!(one, subject(&[1; 32], "acme", "c-1"));
        for other in [
            subject(&[2; 32], "acme", "c-1"),
            subject(&[1; 32], "acm", "ec-1"),
            subject(&[1; 32], "acme", "c-2"),
        ] {
            assert_ne!(one, other);
        }
    }
}
