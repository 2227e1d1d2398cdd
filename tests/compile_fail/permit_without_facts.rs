//! error: E0599
// Erasing needs no live state, so there is no permit for it to be had.
use oubliette::access::{Erase, Facts, Grant, Permit};
use oubliette::id::CustomerNumber;
use std::sync::Arc;

pub fn permit(grant: &Arc<Grant<Erase>>, facts: &Facts) -> Permit<Erase> {
    grant.permit(CustomerNumber(1), facts).unwrap()
}
