//! error: E0277
use oubliette::catalog::Date;

pub fn print(date: Date) -> String {
    format!("{date:?}")
}
