//! error: E0277
use oubliette::access::Principal;

pub fn copy(principal: &Principal) -> Principal {
    Principal::clone(principal)
}
