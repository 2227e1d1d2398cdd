//! error: E0277
use oubliette::secret::Key32;

pub fn print(key: &Key32) -> String {
    format!("{key:?}")
}
