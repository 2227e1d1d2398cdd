//! HKDF-Expand with SHA-512 (RFC 5869 section 2.3; NIST SP 800-108 feedback
//! mode), without Extract: every parent here is a uniformly random key.

use crate::secret::Key32;
use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

/// Bytes of one SHA-512 block: shorter HMAC keys are padded to it with zeros
/// (RFC 2104).
const BLOCK: usize = 128;
/// Bytes of one SHA-512 digest.
const DIGEST: usize = 64;
/// RFC 5869: at most 255 digests from one expansion.
pub(super) const LONGEST: usize = 255 * DIGEST;

/// A parent key, ready to expand: its two HMAC key blocks are hashed once, not
/// at every derivation. On the heap, so that moving it leaves no copy.
pub struct Prk(Box<Hmac<Sha512>>);

impl Prk {
    /// Readies `key`.
    pub fn new(key: &Key32) -> Self {
        Self::padded(key.expose())
    }

    /// HMAC pads a short key with zeros, so this is the same key as `key`. A
    /// longer one than a block does not occur: callers pass 32 bytes, tests
    /// up to 64.
    pub(super) fn padded(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        for (slot, byte) in block.iter_mut().zip(key) {
            *slot = *byte;
        }
        Self(Box::new(Hmac::new((&*block).into())))
    }

    /// The state itself, for the tests.
    #[cfg(test)]
    pub(super) fn into_state(self) -> Box<Hmac<Sha512>> {
        self.0
    }

    /// Callers have checked that `out` is no longer than [`LONGEST`].
    pub(super) fn fill(&self, info: &[&[u8]], out: &mut [u8]) {
        let mut block = Zeroizing::new([0; DIGEST]);
        for (counter, part) in (1..=u8::MAX).zip(out.chunks_mut(DIGEST)) {
            let mut mac = (*self.0).clone();
            if counter > 1 {
                mac.update(&*block);
            }
            for piece in info {
                mac.update(piece);
            }
            mac.update(&[counter]);
            mac.finalize_into((&mut *block).into());
            for (slot, byte) in part.iter_mut().zip(block.iter()) {
                *slot = *byte;
            }
        }
    }
}

/// Fills `out` from `prk`; the pieces of `info` count as one string, so the
/// caller makes their concatenation injective.
pub fn expand<const N: usize>(prk: &Prk, info: &[&[u8]], out: &mut [u8; N]) {
    const { assert!(N <= LONGEST) };
    prk.fill(info, out);
}

/// `N` keys from one expansion of `parent`.
pub fn expand_keys<const N: usize>(parent: &Key32, info: &str) -> [Key32; N] {
    const { assert!(32 * N <= LONGEST) };
    let mut bytes = Zeroizing::new([[0; 32]; N]);
    Prk::new(parent).fill(&[info.as_bytes()], bytes.as_flattened_mut());
    bytes.each_mut().map(Key32::take)
}
