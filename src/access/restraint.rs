//! What keeps a customer's data from ordinary use: a restriction (GDPR art. 18)
//! is about all of it, a hold about all of it, one record type or one field.
//! They stand in the customer's state, so that every read and every write sees
//! them.

use crate::id::FieldNumber;

/// One restraint of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restraint {
    /// The revision of the state that it was placed on: its number within the
    /// customer. 0 in states of before there were such numbers.
    pub placed: u64,
    /// What it keeps from use.
    pub what: Restrained,
}

/// What a restraint keeps from use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restrained {
    /// Everything: processing is restricted.
    Restricted(Cause),
    /// What is held, for a legal claim for instance.
    Held(Scope),
}

/// Why processing is restricted. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Cause {
    /// Somebody asked for it, or a request for it was approved.
    Asked = 1,
    /// The customer asked to be forgotten, and that is not decided yet.
    Erasure = 2,
    /// The customer contests that the data is accurate: art. 18(1)(a).
    Accuracy = 3,
    /// The customer objected, and that is not decided yet: art. 18(1)(d).
    Objection = 4,
    /// The customer's erasure waits for a hold to be released.
    Queued = 5,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] = [
        Self::Asked,
        Self::Erasure,
        Self::Accuracy,
        Self::Objection,
        Self::Queued,
    ];

    /// Its word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Erasure => "erasure",
            Self::Accuracy => "accuracy",
            Self::Objection => "objection",
            Self::Queued => "queued",
        }
    }
}

/// What a hold is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All that there is of the customer.
    Customer,
    /// Their records of one type.
    Type(u16),
    /// One field of their records of one type.
    Field(u16, FieldNumber),
}

impl Scope {
    /// What two of them have in common.
    pub fn meet(self, other: Self) -> Option<Self> {
        let (this, that) = (self, other);
        match (this, that) {
            (Self::Customer, one) | (one, Self::Customer) => Some(one),
            (Self::Type(of), Self::Type(other)) => (of == other).then_some(this),
            (Self::Type(of), Self::Field(other, _)) => (of == other).then_some(that),
            (Self::Field(of, _), Self::Type(other)) => (of == other).then_some(this),
            (Self::Field(..), Self::Field(..)) => (this == that).then_some(this),
        }
    }

    /// Whether it keeps this field from use.
    pub fn covers(self, record_type: u16, field: FieldNumber) -> bool {
        match self {
            Self::Customer => true,
            Self::Type(of) => of == record_type,
            Self::Field(of, held) => of == record_type && held == field,
        }
    }
}

impl Restrained {
    /// Its numbers: 1 a restriction or 2 a hold; and what it is about. Part of
    /// the format of states and of the ledger.
    pub fn code(self) -> (u8, u32) {
        match self {
            Self::Restricted(cause) => (1, u32::from(cause as u16)),
            Self::Held(Scope::Customer) => (2, 0),
            Self::Held(Scope::Type(of)) => (2, u32::from(of) << 16),
            Self::Held(Scope::Field(of, field)) => (2, u32::from(of) << 16 | u32::from(field.0)),
        }
    }

    /// What has these numbers; `None`: this version knows no such restraint.
    pub fn of((kind, about): (u8, u32)) -> Option<Self> {
        let of_type = u16::try_from(about >> 16).ok()?;
        let low = u16::try_from(about & 0xffff).ok()?;
        match (kind, of_type, low) {
            (1, 0, cause) => {
                let known = Cause::ALL.into_iter().find(|one| *one as u16 == cause);
                known.map(Self::Restricted)
            }
            (2, 0, 0) => Some(Self::Held(Scope::Customer)),
            (2, 1.., 0) => Some(Self::Held(Scope::Type(of_type))),
            (2, 1.., field) => Some(Self::Held(Scope::Field(of_type, FieldNumber(field)))),
            _ => None,
        }
    }

    /// Its word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restricted(_) => "restriction",
            Self::Held(_) => "hold",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_holds_have_in_common_is_held_by_both() {
        let (all, card, memo) = (Scope::Customer, Scope::Type(1), Scope::Type(2));
        let (name, email) = (
            Scope::Field(1, FieldNumber(1)),
            Scope::Field(1, FieldNumber(2)),
        );
        for (one, other, common) in [
            (all, all, Some(all)),
            (all, memo, Some(memo)),
            (card, card, Some(card)),
            (card, memo, None),
            (card, name, Some(name)),
            (memo, name, None),
            (name, name, Some(name)),
            (name, email, None),
        ] {
            assert_eq!(one.meet(other), common, "{one:?} {other:?}");
            assert_eq!(other.meet(one), common, "{other:?} {one:?}");
        }
    }

    #[test]
    fn every_restraint_is_known_by_its_numbers_and_no_other_number_is_one() {
        let mut all: Vec<_> = Cause::ALL.map(Restrained::Restricted).to_vec();
        for scope in [
            Scope::Customer,
            Scope::Type(1),
            Scope::Type(u16::MAX),
            Scope::Field(1, FieldNumber(16_383)),
        ] {
            all.push(Restrained::Held(scope));
        }
        for one in all {
            assert_eq!(Restrained::of(one.code()), Some(one));
        }
        for unknown in [(0, 1), (1, 0), (1, 6), (1, 1 << 16 | 1), (2, 5), (3, 0)] {
            assert_eq!(Restrained::of(unknown), None, "{unknown:?}");
        }
    }
}
