//! A customer's live state, once it has carried its MAC.

use super::state::State;
use crate::crypto::mac::{self, MacKey};
use crate::error::{Error, Lost, Result};
use crate::id::CustomerNumber;

/// A customer's state that carried its MAC. There is no other way to make one,
/// and no permit without one.
pub struct Facts {
    customer: CustomerNumber,
    state: State,
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
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state, to be changed.
    pub fn into_state(self) -> State {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::super::restraint::{Cause, Restrained, Scope};
    use super::super::state::{Standing, Status};
    use super::*;
    use crate::clock::Day;
    use crate::crypto::IdentityKey;

    fn full() -> State {
        let mut state = State::active();
        let held = Scope::Field(1, crate::id::FieldNumber(9));
        for what in [
            Restrained::Restricted(Cause::Accuracy),
            Restrained::Held(held),
        ] {
            state.restrain(what).unwrap();
        }
        (state.revision, state.lineage) = (3, 1);
        (state.events, state.head) = (2, [9; 32]);
        for (purpose, special) in [(7, true), (2, false), (7, false)] {
            let standing = Standing {
                status: Status::Given,
                expires: Some(Day(20_800)),
                notice: 4,
                ..Standing::unknown(purpose, special)
            };
            state.set(standing).unwrap();
        }
        state
    }

    #[test]
    fn a_state_opens_only_unchanged_and_for_its_customer() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        let other = IdentityKey::generate().unwrap().subkeys();
        let number = CustomerNumber(7);
        let state = full();
        let (bytes, mac) = (state.encode(), state.mac(&keys.state, number));
        let facts = Facts::verify(&bytes, &mac, &keys.state, number).unwrap();
        assert_eq!((facts.customer(), facts.state()), (number, &state));
        let order: Vec<_> = state
            .standings()
            .iter()
            .map(|s| (s.purpose, s.special))
            .collect();
        assert_eq!(order, [(2, false), (7, false), (7, true)]);

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
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(why(&flipped, &mac, number), lost);
        }
    }

    #[test]
    fn the_first_version_of_a_state_still_reads() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        let number = CustomerNumber(7);
        let bytes = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3];
        let mac = mac::mac(&keys.state, &[&number.0.to_be_bytes(), &bytes]);
        let facts = Facts::verify(&bytes, &mac, &keys.state, number).unwrap();
        let mut wanted = State::active();
        wanted.revision = 0;
        let asked = Restrained::Restricted(Cause::Asked);
        wanted.restrain(asked).unwrap();
        wanted.revision = 3;
        assert_eq!(facts.into_state(), wanted);
    }

    #[test]
    fn what_comes_from_the_future_or_out_of_order_refuses() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        let good = full().encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let first = good.len() - 36 - 26;
        let wrong = [
            vec![1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1],
            with(0, 2),
            with(0, 4),
            with(4, 4),
            with(good.len() - 5, 3),
            with(first + 1, 8),
            with(first + 2, 2),
            with(first + 3, 11),
            good[..good.len() - 1].to_vec(),
            [&good[..], &[0]].concat(),
        ];
        for bytes in wrong {
            let number = CustomerNumber(1);
            let mac = mac::mac(&keys.state, &[&number.0.to_be_bytes(), &bytes]);
            let refused = Facts::verify(&bytes, &mac, &keys.state, number).err();
            assert_eq!(refused, Some(Error::DataLoss(Lost::State)));
        }
    }
}
