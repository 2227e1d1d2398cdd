//! Reads this process's own memory after a key was dropped.

use super::super::derive::Prk;
use super::super::mac;
use crate::secret::Key32;
use aes_gcm::{Aes256Gcm, KeyInit};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Non-zero bytes where a value stood, before and after it was dropped in
/// place. The box outlives it, so nobody else writes there meanwhile.
fn bytes_before_and_after_drop<T>(value: T) -> (Vec<u8>, Vec<u8>) {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut slot = Box::new(Some(value));
    let address = u64::try_from(std::ptr::from_ref(&*slot).addr()).unwrap();
    let mut before = vec![0; size_of::<Option<T>>()];
    memory.read_exact_at(&mut before, address).unwrap();
    *slot = None;
    let mut after = vec![0; before.len()];
    memory.read_exact_at(&mut after, address).unwrap();
    assert!(std::hint::black_box(&slot).is_none());
    (before, after)
}

/// Whether any 8 bytes that stood there still stand anywhere there.
fn leaves_a_trace((before, after): &(Vec<u8>, Vec<u8>)) -> bool {
    let secret = |window: &[u8]| window.iter().filter(|byte| **byte != 0).count() > 5;
    before
        .windows(8)
        .filter(|window| secret(window))
        .any(|window| after.windows(8).any(|w| w == window))
}

const KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

#[test]
fn the_check_sees_a_key_that_is_not_wiped() {
    assert!(leaves_a_trace(&bytes_before_and_after_drop(KEY)));
}

#[test]
fn a_dropped_cipher_leaves_no_trace() {
    let cipher = Aes256Gcm::new((&KEY).into());
    let memory = bytes_before_and_after_drop(cipher);
    assert!(memory.0.iter().filter(|byte| **byte != 0).count() > 200);
    assert!(!leaves_a_trace(&memory));
}

#[test]
fn a_dropped_hmac_state_leaves_no_trace() {
    let sha512 = Prk::new(&Key32::take(&mut KEY.clone()));
    let memory = bytes_before_and_after_drop(*sha512.into_state());
    assert!(memory.0.iter().filter(|byte| **byte != 0).count() > 100);
    assert!(!leaves_a_trace(&memory));

    let mut sha256 = mac::ready(&KEY);
    hmac::Mac::update(&mut sha256, b"half a block of something");
    let memory = bytes_before_and_after_drop(sha256);
    assert!(memory.0.iter().filter(|byte| **byte != 0).count() > 60);
    assert!(!leaves_a_trace(&memory));
}
