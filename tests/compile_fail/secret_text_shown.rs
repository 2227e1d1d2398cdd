//! error: E0277
use oubliette::secret::SecretText;

pub fn show(text: &SecretText) -> String {
    format!("{text}")
}
