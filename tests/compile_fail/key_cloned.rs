//! error: E0277
use oubliette::secret::Key32;

pub fn copy(key: &Key32) -> Key32 {
    Key32::clone(key)
}
