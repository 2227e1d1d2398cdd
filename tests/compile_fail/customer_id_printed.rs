//! error: E0277
use oubliette::id::CustomerId;

pub fn print(id: &CustomerId) -> String {
    format!("{id:?}")
}
