//! Finding without storing: the caller's ids are looked up by keyed tags.

use super::mac::{MacKey, mac};
use crate::id::{CustomerId, RecordId};

/// Bytes of a stored tag.
const TAG: usize = 16;

/// A customer id's blind form, under the tenant's index key. Its first bits
/// choose the index page. It is never stored in the clear: whoever holds the
/// tenant's key could test a guess against it.
pub fn blind(key: &MacKey, id: &CustomerId) -> [u8; 32] {
    mac(key, &[id.expose().as_bytes()])
}

/// The tag by which an index page finds a row, under the page's own key, so
/// that it means nothing once that key is gone.
pub fn tag(key: &MacKey, blind: &[u8; 32]) -> [u8; TAG] {
    shorten(mac(key, &[blind]))
}

/// The locator by which a record is found, under its customer's locator key.
pub fn record_locator(key: &MacKey, record_type: u16, id: &RecordId) -> [u8; TAG] {
    shorten(mac(
        key,
        &[&record_type.to_be_bytes(), id.expose().as_bytes()],
    ))
}

fn shorten(mac: [u8; 32]) -> [u8; TAG] {
    let mut short = [0; TAG];
    for (slot, byte) in short.iter_mut().zip(mac) {
        *slot = byte;
    }
    short
}
