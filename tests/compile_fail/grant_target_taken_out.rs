//! error: E0616
use oubliette::access::{Grant, Read};

pub fn take(grant: Grant<Read>) -> Read {
    grant.target
}
