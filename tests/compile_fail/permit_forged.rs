//! error: E0451
use oubliette::access::{Grant, Permit, Read};
use oubliette::id::CustomerNumber;
use std::sync::Arc;

pub fn forge(grant: Arc<Grant<Read>>) -> Permit<Read> {
    Permit { grant, customer: CustomerNumber(1), allowed: panic!() }
}
