//! error: E0277
use oubliette::access::{Grant, KeyStatus};

pub fn copy(grant: &Grant<KeyStatus>) -> Grant<KeyStatus> {
    Grant::clone(grant)
}
