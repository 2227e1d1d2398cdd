//! Secret bytes: wiped when dropped, and without `Debug`, `Clone`, `Display` or
//! serde, so that no log line, error or copy can carry them.

use zeroize::{Zeroize, Zeroizing};

/// 32 secret bytes: a key. Made only in [`crate::crypto`].
pub struct Key32(Box<[u8; 32]>);

impl Key32 {
    /// Takes the bytes over and wipes the caller's copy.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let key = Self(Box::new(*bytes));
        bytes.zeroize();
        key
    }

    /// The one loud door to the bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Key32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Secret bytes of any length: a plaintext.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over; they are wiped when this is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The one loud door to the bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Secret text: a customer's id, a record's id, a value.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over; it is wiped when this is dropped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The one loud door to the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
