//! Randomness for keys and salts: the operating system's, asked each time.
//! Nothing else in the house draws any.

use crate::error::Error;
use crate::secret::Key32;
use rand::TryRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// `N` random bytes from the operating system. Fails with
/// [`Error::Internal`] where it gives none: nothing is then made from less.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| Error::Internal("the operating system gave no randomness"))?;
    Ok(bytes)
}

/// The same source for a library that draws by itself. It panics where the
/// operating system gives no randomness: ask [`random_bytes`] first.
pub(super) fn source() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// A new random key. Fails as [`random_bytes`] does.
pub fn random_key() -> Result<Key32, Error> {
    let mut bytes = Zeroizing::new(random_bytes::<32>()?);
    Ok(Key32::take(&mut bytes))
}
