//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) over a list of parts, each behind its
//! length, so that no two lists look alike.

use super::DoesNotOpen;
use crate::secret::Key32;
use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of one SHA-256 block.
const BLOCK: usize = 64;

/// A key for one kind of MAC. Made only by the key tree.
pub struct MacKey(Key32);

impl MacKey {
    pub(super) fn new(key: Key32) -> Self {
        Self(key)
    }
}

/// The MAC of `parts` under `key`.
pub fn mac(key: &MacKey, parts: &[&[u8]]) -> [u8; 32] {
    let mut state = ready(key.0.expose());
    for part in parts {
        // No part comes near 4 GiB: what a caller sends is bounded by
        // `limits::REQUEST_BYTES`.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        state.update(&length.to_be_bytes());
        state.update(part);
    }
    finish(state)
}

/// Checks that `expected` is the MAC of `parts` under `key`, in constant time.
pub fn verify(key: &MacKey, parts: &[&[u8]], expected: &[u8]) -> Result<(), DoesNotOpen> {
    same(&mac(key, parts), expected)
}

/// Compares in constant time; the lengths are no secret.
pub(super) fn same(left: &[u8], right: &[u8]) -> Result<(), DoesNotOpen> {
    if bool::from(left.ct_eq(right)) {
        Ok(())
    } else {
        Err(DoesNotOpen)
    }
}

/// HMAC pads a key shorter than a block with zeros, so this is `key`.
pub(super) fn ready(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK]);
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    Hmac::new((&*block).into())
}

pub(super) fn finish(state: Hmac<Sha256>) -> [u8; 32] {
    let mut out = [0; 32];
    state.finalize_into((&mut out).into());
    out
}
