//! What messages and records share: the one-use key of c2sp.org/
//! chunked-encryption (SHA-512, AEAD_AES_256_GCM: "Cobblestone-256"), and a
//! value sealed under it in chunks of 16 KiB, the last one shorter.

use super::derive::{Prk, expand};
use super::mac::same;
use super::{COMMITMENT_BYTES, DoesNotOpen, SALT_BYTES};
use crate::error::Error;
use crate::secret::SecretBytes;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Plaintext in a whole chunk.
const CHUNK: usize = 16 << 10;
/// Bytes of a GCM tag.
const TAG: usize = 16;
const SEALED_CHUNK: usize = CHUNK + TAG;
/// Bits of the nonce that count chunks within one field or message; the field
/// number stands above them. 2^24 chunks are 256 GiB.
pub(super) const CHUNK_BITS: u32 = 24;
/// The specification's label, its AEAD's name and the closing zero.
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// A key for one message or one group of fields, and the commitment to it.
pub(super) struct OneUse {
    cipher: Aes256Gcm,
    base_nonce: [u8; 12],
    commitment: [u8; COMMITMENT_BYTES],
}

impl OneUse {
    pub(super) fn derive(parent: &Prk, salt: &[u8; SALT_BYTES], context: &[u8]) -> Self {
        let mut out = Zeroizing::new([0; 32 + 12 + COMMITMENT_BYTES]);
        expand(parent, &[LABEL, salt, context], &mut out);
        let mut key = Zeroizing::new([0; 32]);
        let mut base_nonce = [0; 12];
        let mut commitment = [0; COMMITMENT_BYTES];
        let parts = key.iter_mut().chain(&mut base_nonce).chain(&mut commitment);
        for (slot, byte) in parts.zip(out.iter()) {
            *slot = *byte;
        }
        Self {
            cipher: Aes256Gcm::new((&*key).into()),
            base_nonce,
            commitment,
        }
    }

    /// A key of the tests' choosing.
    #[cfg(test)]
    pub(super) fn of(cipher: Aes256Gcm, base_nonce: [u8; 12]) -> Self {
        Self {
            cipher,
            base_nonce,
            commitment: [0; COMMITMENT_BYTES],
        }
    }

    pub(super) fn commitment(&self) -> &[u8; COMMITMENT_BYTES] {
        &self.commitment
    }

    /// The check that comes before any chunk is opened.
    pub(super) fn check(&self, commitment: &[u8; COMMITMENT_BYTES]) -> Result<(), DoesNotOpen> {
        same(&self.commitment, commitment)
    }

    /// Base nonce XOR `number` as a big-endian integer of the same width.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.base_nonce;
        for (byte, n) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= n;
        }
        nonce
    }

    /// Appends `plaintext`, sealed as the value of number `field` (0 in a
    /// message), to `out`.
    pub(super) fn seal(
        &self,
        field: u16,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        const BROKEN: Error = Error::Internal("a value was cut into the wrong chunks");
        let length = sealed_length(plaintext.len())?;
        let start = out.len();
        out.resize(start + length, 0);
        let sealed = out.get_mut(start..).ok_or(BROKEN)?;
        let mut rest = plaintext;
        for (number, chunk) in numbers(field).zip(sealed.chunks_mut(SEALED_CHUNK)) {
            let (body, tag) = chunk
                .len()
                .checked_sub(TAG)
                .and_then(|length| chunk.split_at_mut_checked(length))
                .ok_or(BROKEN)?;
            let (plain, after) = rest.split_at_checked(body.len()).ok_or(BROKEN)?;
            rest = after;
            let buffer = InOutBuf::new(plain, body).map_err(|_| BROKEN)?;
            let made = self
                .cipher
                .encrypt_inout_detached(&self.nonce(number).into(), &[], buffer)
                .map_err(|_| BROKEN)?;
            tag.copy_from_slice(&made);
        }
        Ok(())
    }

    /// Opens what [`OneUse::seal`] appended for `field`. Nothing of it is
    /// given out unless all of it opens.
    pub(super) fn open(&self, field: u16, sealed: &[u8]) -> Result<SecretBytes, DoesNotOpen> {
        let mut plaintext = Zeroizing::new(vec![0; plain_length(sealed.len())?]);
        let mut rest = plaintext.as_mut_slice();
        for (number, chunk) in numbers(field).zip(sealed.chunks(SEALED_CHUNK)) {
            let (body, tag) = chunk.split_last_chunk::<TAG>().ok_or(DoesNotOpen)?;
            let (plain, after) = rest.split_at_mut_checked(body.len()).ok_or(DoesNotOpen)?;
            rest = after;
            let buffer = InOutBuf::new(body, plain).map_err(|_| DoesNotOpen)?;
            self.cipher
                .decrypt_inout_detached(&self.nonce(number).into(), &[], buffer, tag.into())
                .map_err(|_| DoesNotOpen)?;
        }
        Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
    }
}

/// The numbers that a value's chunks have in the nonce.
fn numbers(field: u16) -> impl Iterator<Item = u64> {
    let first = u64::from(field) << CHUNK_BITS;
    first..first + (1 << CHUNK_BITS)
}

/// How long a plaintext of `length` bytes is when sealed.
pub(super) fn sealed_length(length: usize) -> Result<usize, Error> {
    let chunks = length / CHUNK + 1;
    if chunks > 1 << CHUNK_BITS {
        return Err(Error::Internal("a value is too long to be sealed"));
    }
    Ok(length + chunks * TAG)
}

/// How long the plaintext of `length` sealed bytes is. The last chunk is there
/// and shorter than a whole one, or the value was cut off.
fn plain_length(length: usize) -> Result<usize, DoesNotOpen> {
    let whole = length / SEALED_CHUNK;
    let last = (length % SEALED_CHUNK)
        .checked_sub(TAG)
        .ok_or(DoesNotOpen)?;
    if whole >= 1 << CHUNK_BITS {
        return Err(DoesNotOpen);
    }
    Ok(whole * CHUNK + last)
}
