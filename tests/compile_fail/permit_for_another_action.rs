//! error: E0308
use oubliette::access::{Facts, Grant, Permit, Read, Write};
use oubliette::id::CustomerNumber;
use std::sync::Arc;

pub fn permit(grant: &Arc<Grant<Read>>, facts: &Facts) -> Option<Permit<Write>> {
    grant.permit(CustomerNumber(1), facts).ok()
}
