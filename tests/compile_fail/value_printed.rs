//! error: E0277
use oubliette::catalog::Value;

pub fn print(value: &Value) -> String {
    format!("{value:?}")
}
