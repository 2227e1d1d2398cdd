//! error: E0599
use oubliette::access::{Permit, Read};

pub fn copy(permit: Permit<Read>) -> (Permit<Read>, Permit<Read>) {
    (permit.clone(), permit)
}
