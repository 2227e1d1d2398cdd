//! A key split among people: Shamir's scheme over GF(2^8). The arithmetic is
//! `vsss-rs`'s, which has no tables and no branch on a secret; nothing of it is
//! ours.

use super::random::{random_bytes, source};
use crate::error::Error;
use crate::secret::Key32;
use sha2::{Digest, Sha256};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

/// One of the shares. Fewer than the threshold of them say nothing about the
/// key.
pub struct Share {
    /// Which: 1 to 255.
    pub index: u8,
    /// A byte of the share for each byte of the key.
    pub bytes: Key32,
}

/// Splits a key into `shares`, of which any `threshold` make it again: 2 to 255
/// of them. Fails with [`Error::Internal`] for any other numbers, and where the
/// operating system gives no randomness.
pub fn split(key: &Key32, threshold: u8, shares: u8) -> Result<Vec<Share>, Error> {
    // The scheme's own draws cannot fail: asked here first, so that they do not.
    random_bytes::<32>()?;
    let split = Gf256::split_bytes(
        usize::from(threshold),
        usize::from(shares),
        key.expose(),
        source(),
    );
    let split = split.map_err(|_| Error::Internal("a key cannot be split so"))?;
    let share = |bytes: Vec<u8>| {
        let bytes = Zeroizing::new(bytes);
        let (index, rest) = bytes.split_first()?;
        let mut rest = Zeroizing::new(<[u8; 32]>::try_from(rest).ok()?);
        let bytes = Key32::take(&mut rest);
        let index = *index;
        Some(Share { index, bytes })
    };
    let shares: Option<Vec<Share>> = split.into_iter().map(share).collect();
    shares.ok_or(Error::Internal("a share of another size"))
}

/// The key that these shares make. `None` where they cannot be shares of one
/// key; shares of another key, or too few, make another key.
pub fn combine(shares: &[Share]) -> Option<Key32> {
    let whole = |share: &Share| [&[share.index], share.bytes.expose().as_slice()].concat();
    let whole: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(shares.iter().map(whole).collect());
    let key = Zeroizing::new(Gf256::combine_bytes(whole.as_slice()).ok()?);
    let mut key = Zeroizing::new(<[u8; 32]>::try_from(key.as_slice()).ok()?);
    Some(Key32::take(&mut key))
}

/// Four bytes of SHA-256 that tell a mistyped text. They guard against slips,
/// not against anybody.
pub fn checksum(text: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(text));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random_key;

    #[test]
    fn any_three_of_five_make_the_key_and_no_two_do() {
        let key = random_key().unwrap();
        let shares = split(&key, 3, 5).unwrap();
        let made = |which: &[usize]| {
            let copy = |at: &usize| Share {
                index: shares[*at].index,
                bytes: Key32::take(&mut { *shares[*at].bytes.expose() }),
            };
            let some: Vec<Share> = which.iter().map(copy).collect();
            combine(&some).is_some_and(|made| made.expose() == key.expose())
        };
        for a in 0..5 {
            for b in 0..5 {
                for c in 0..5 {
                    let three = a != b && b != c && a != c;
                    assert_eq!(made(&[a, b, c]), three, "{a} {b} {c}");
                }
                assert!(!made(&[a, b]), "{a} {b}");
            }
        }
        assert!(made(&[0, 1, 2, 3, 4]));
        for (threshold, shares) in [(0, 3), (1, 3), (4, 3)] {
            assert!(split(&key, threshold, shares).is_err());
        }
    }

    /// A published example of the scheme over GF(2^8) with the polynomial of
    /// AES, so that shares outlive the library: f(x) = 0x2a + 0x35 x, at 1 and 2.
    #[test]
    fn shares_are_points_of_a_polynomial_over_the_field_of_aes() {
        let share = |index, byte| Share {
            index,
            bytes: Key32::take(&mut [byte; 32]),
        };
        let made = combine(&[share(1, 0x2a ^ 0x35), share(2, 0x2a ^ 0x6a)]).unwrap();
        assert_eq!(made.expose(), &[0x2a; 32]);
    }
}
