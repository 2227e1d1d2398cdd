//! A stored value is read as it was written or not at all: one meaning has one
//! form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oubliette::catalog::Value;

fuzz_target!(|bytes: &[u8]| {
    if let Some(value) = Value::decode(bytes) {
        assert_eq!(value.encode().expose(), bytes);
    }
});
