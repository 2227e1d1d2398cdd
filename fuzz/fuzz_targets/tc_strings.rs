//! Consent strings come from anybody's browser: each is read or refused, fast,
//! and what is read says nothing of purposes that there are not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oubliette::access::TcString;
use oubliette::clock::Instant;
use oubliette::limits::TC_STRING_BYTES;

fuzz_target!(|text: &str| {
    let now = Instant::from_micros(1_800_000_000_000_000);
    if let Ok(read) = TcString::read(text, now) {
        assert!(text.len() <= TC_STRING_BYTES);
        assert!(read.created <= read.updated && read.updated <= now);
        for vendor in [None, Some(1), Some(u16::MAX)] {
            for purpose in [0, 25, u8::MAX] {
                assert!(!read.consents(purpose, vendor) && !read.lets(purpose, vendor));
            }
        }
    }
});
