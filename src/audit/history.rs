//! How a customer's own key finds the entries about them: hour by hour, from a
//! locator to masked numbers. Without the key neither tells anything.

use crate::clock::Instant;
use crate::crypto::IdentityKeys;
use crate::crypto::mac::mac;
use crate::limits;

/// The slot of an instant: the hour, counted from 1970.
pub fn slot(time: Instant) -> i64 {
    let length = limits::HISTORY_SLOT.as_secs().cast_signed();
    time.seconds().div_euclid(length)
}

/// Where the customer's rows of a slot are.
pub fn locator(keys: &IdentityKeys, slot: i64) -> [u8; 16] {
    let whole = mac(&keys.history_locator, &[&slot.to_be_bytes()]);
    *whole.first_chunk().unwrap_or(&[0; 16])
}

/// What a row's number is masked with.
pub fn mask(keys: &IdentityKeys, slot: i64, nonce: &[u8; 8]) -> u64 {
    let whole = mac(&keys.history_mask, &[&slot.to_be_bytes(), nonce]);
    u64::from_be_bytes(*whole.first_chunk().unwrap_or(&[0; 8]))
}
