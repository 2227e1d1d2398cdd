//! error: E0451
use oubliette::access::{Facts, State};
use oubliette::id::CustomerNumber;

pub fn build() -> Facts {
    Facts { customer: CustomerNumber(1), state: State::active() }
}
