//! Stored bytes may have been changed by anybody: they open as they were
//! written or not at all, and never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oubliette::crypto::{RecordBody, message};
use oubliette::secret::Key32;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(body) = RecordBody::parse(bytes) {
        // One meaning has one form.
        assert_eq!(body.encode().expect("a parsed body encodes"), bytes);
    }
    let key = Key32::take(&mut [7; 32]);
    assert!(message::open(&key, b"context", bytes).is_err(), "a forgery");
});
