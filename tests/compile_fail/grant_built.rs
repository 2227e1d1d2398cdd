//! error: E0451
use oubliette::access::{Grant, KeyStatus};

pub fn build(other: Grant<KeyStatus>) -> Grant<KeyStatus> {
    Grant { target: KeyStatus, ..other }
}
