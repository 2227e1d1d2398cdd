//! One value sealed as one message: a version byte, a suite byte, then a
//! Cobblestone-256 message (c2sp.org/chunked-encryption): salt, commitment,
//! chunks. The salt is drawn here; no caller chooses one.

use super::chunks::OneUse;
use super::derive::Prk;
use super::random::random_bytes;
use super::{COMMITMENT_BYTES, DoesNotOpen, SALT_BYTES, SUITE, VERSION};
use crate::error::Error;
use crate::secret::{Key32, SecretBytes};

/// A message has no field number.
const NO_FIELD: u16 = 0;

/// Seals `plaintext` under `key`, to open only in `context`. Fails with
/// [`Error::Internal`] where the operating system gives no randomness.
pub fn seal(key: &Key32, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    seal_under(&Prk::new(key), context, plaintext)
}

/// Opens what [`seal`] made under the same key in the same context.
pub fn open(key: &Key32, context: &[u8], stored: &[u8]) -> Result<SecretBytes, DoesNotOpen> {
    open_under(&Prk::new(key), context, stored)
}

/// [`seal`] under a key that is ready.
pub(super) fn seal_under(parent: &Prk, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    seal_salted(parent, &random_bytes()?, context, plaintext)
}

/// [`open`] under a key that is ready.
pub(super) fn open_under(
    parent: &Prk,
    context: &[u8],
    stored: &[u8],
) -> Result<SecretBytes, DoesNotOpen> {
    let Some(([VERSION, SUITE], message)) = stored.split_first_chunk::<2>() else {
        return Err(DoesNotOpen);
    };
    let (salt, rest) = message
        .split_first_chunk::<SALT_BYTES>()
        .ok_or(DoesNotOpen)?;
    let (commitment, chunks) = rest
        .split_first_chunk::<COMMITMENT_BYTES>()
        .ok_or(DoesNotOpen)?;
    let one_use = OneUse::derive(parent, salt, context);
    one_use.check(commitment)?;
    one_use.open(NO_FIELD, chunks)
}

/// The salt must never come twice with the same key: only [`seal_under`] and
/// the maker of the test vectors call this.
pub(super) fn seal_salted(
    parent: &Prk,
    salt: &[u8; SALT_BYTES],
    context: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let one_use = OneUse::derive(parent, salt, context);
    let mut stored = vec![VERSION, SUITE];
    stored.extend(salt);
    stored.extend(one_use.commitment());
    one_use.seal(NO_FIELD, plaintext, &mut stored)?;
    Ok(stored)
}
