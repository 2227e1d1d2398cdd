//! A customer's live state: whether their data is restricted. It is stored in
//! the clear, so that a reader needs no key to see it, and bound to the
//! customer by a MAC under a key that dies with them.

use crate::crypto::mac::{self, MacKey};
use crate::error::{Error, Lost, Result};
use crate::id::CustomerNumber;

/// First byte of a stored state.
const VERSION: u8 = 1;
/// Bit 0 of the flags: processing is restricted (GDPR art. 18).
const RESTRICTED: u32 = 1;
/// Bytes of a stored state: version 1, flags 4, revision 8, big-endian.
pub const STATE_BYTES: usize = 13;

/// What is stored of a customer's say over their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether processing is restricted (GDPR art. 18).
    pub restricted: bool,
    /// 1 for a new customer, one more with every change.
    pub revision: u64,
}

/// A customer's state that carried its MAC. There is no other way to make one,
/// and no permit without one.
pub struct Facts {
    customer: CustomerNumber,
    state: State,
}

impl State {
    /// The state of a new customer.
    pub fn active() -> Self {
        Self {
            restricted: false,
            revision: 1,
        }
    }

    /// The stored form.
    pub fn encode(self) -> [u8; STATE_BYTES] {
        let flags = if self.restricted { RESTRICTED } else { 0 };
        let mut bytes = [VERSION; STATE_BYTES];
        let content = flags
            .to_be_bytes()
            .into_iter()
            .chain(self.revision.to_be_bytes());
        for (slot, byte) in bytes.iter_mut().skip(1).zip(content) {
            *slot = byte;
        }
        bytes
    }

    /// The MAC to store beside the stored form. `key` is the customer's state
    /// MAC key.
    pub fn mac(self, key: &MacKey, customer: CustomerNumber) -> [u8; 32] {
        mac::mac(key, &[&customer.0.to_be_bytes(), &self.encode()])
    }

    /// A flag that this version does not know refuses: it may forbid something.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STATE_BYTES] = bytes.try_into().ok()?;
        let [version, f0, f1, f2, f3, revision @ ..] = *bytes;
        let flags = u32::from_be_bytes([f0, f1, f2, f3]);
        (version == VERSION && flags & !RESTRICTED == 0).then_some(Self {
            restricted: flags & RESTRICTED != 0,
            revision: u64::from_be_bytes(revision),
        })
    }
}

impl Facts {
    /// Checks a stored state against its MAC. Anything that does not fit is
    /// [`Lost::State`].
    pub fn verify(
        state: &[u8],
        mac: &[u8],
        key: &MacKey,
        customer: CustomerNumber,
    ) -> Result<Self> {
        let lost = Error::DataLoss(Lost::State);
        if mac::verify(key, &[&customer.0.to_be_bytes(), state], mac).is_err() {
            return Err(lost);
        }
        let state = State::decode(state).ok_or(lost)?;
        Ok(Self { customer, state })
    }

    /// Whose state it is.
    pub fn customer(&self) -> CustomerNumber {
        self.customer
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::IdentityKey;

    #[test]
    fn a_state_opens_only_unchanged_and_for_its_customer() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        let other = IdentityKey::generate().unwrap().subkeys();
        let number = CustomerNumber(7);
        let state = State {
            restricted: true,
            revision: 3,
        };
        let (bytes, mac) = (state.encode(), state.mac(&keys.state, number));
        assert_eq!(bytes, [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]);
        let facts = Facts::verify(&bytes, &mac, &keys.state, number).ok();
        assert_eq!(
            facts.map(|f| (f.customer(), f.state())),
            Some((number, state))
        );

        let lost = Some(Error::DataLoss(Lost::State));
        let why = |bytes: &[u8], mac: &[u8], n| Facts::verify(bytes, mac, &keys.state, n).err();
        assert_eq!(why(&bytes, &mac, CustomerNumber(8)), lost);
        assert_eq!(why(&bytes, &[], number), lost);
        assert_eq!(why(&[], &mac, number), lost);
        assert_eq!(
            Facts::verify(&bytes, &mac, &other.state, number).err(),
            lost
        );
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(why(&flipped, &mac, number), lost);
        }
    }

    #[test]
    fn a_flag_or_a_version_from_the_future_refuses() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        for bytes in [[1, 0, 0, 0, 2], [2, 0, 0, 0, 0]] {
            let bytes = [&bytes[..], &1u64.to_be_bytes()].concat();
            let number = CustomerNumber(1);
            let mac = mac::mac(&keys.state, &[&number.0.to_be_bytes(), &bytes]);
            let refused = Facts::verify(&bytes, &mac, &keys.state, number).err();
            assert_eq!(refused, Some(Error::DataLoss(Lost::State)));
        }
    }
}
