//! error: E0277
use oubliette::secret::SecretBytes;

pub fn print(bytes: &SecretBytes) -> String {
    format!("{bytes:?}")
}
