//! error: E0277
use oubliette::id::RecordName;

pub fn print(name: &RecordName) -> String {
    format!("{name:?}")
}
