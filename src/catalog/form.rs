//! Forms: how much of a field a purpose sees. A value that a form cannot be
//! made of gives an empty result, never the value itself.

use super::date::Date;
use super::record_type::Field;
use super::value::{Kind, Value};
use super::{derive, mask};
use crate::clock::Day;

/// How much of a field a purpose sees, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Whether the field holds a value.
    Exists,
    /// Something computed from the value.
    Derived(Derivation),
    /// A part of the value.
    Masked(Mask),
    /// The value as it was written.
    Raw,
}

/// What can be computed from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Derivation {
    /// The year of a date or an instant: an int64.
    Year,
    /// An age in bands of about ten years, from a birth date: a string such as
    /// `25-34`; empty for a date to come.
    AgeBand,
    /// Whether 18 years are complete, from a birth date: a bool.
    AtLeast18,
    /// What stands after the `@` of an e-mail address: a string.
    EmailDomain,
    /// The city: a string. Of a field that holds only a city, that field; of
    /// one that holds a whole address, the last part after a comma without
    /// words that have digits in them.
    City(CityIn),
    /// The first half of a postal code, at most three characters: a string.
    PostalPrefix,
}

/// What a field holds from which a city is derived. The catalog's
/// classification of the field says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CityIn {
    /// Only a city (`user.contact.address.city`).
    City,
    /// A whole address (`user.contact.address`).
    Address,
}

/// Which part of a text is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// The last four letters or digits of at least eight: `****0958`.
    Last4,
    /// The first letter of at most four words: `A.L.`; a word of one letter
    /// is its own initial and stays hidden.
    Initials,
    /// The first letter and the domain of an e-mail address: `a***@host`.
    Email,
}

impl Form {
    /// The forms a catalog can name, for messages.
    pub(super) const RULE: &'static str = "must be raw, exists, masked:last4, masked:initials, \
         masked:email, derived:year, derived:age_band, derived:at_least_18, \
         derived:email_domain, derived:city or derived:postal_prefix";

    /// Parses a catalog's word for a form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "raw" => Self::Raw,
            "exists" => Self::Exists,
            "masked:last4" => Self::Masked(Mask::Last4),
            "masked:initials" => Self::Masked(Mask::Initials),
            "masked:email" => Self::Masked(Mask::Email),
            "derived:year" => Self::Derived(Derivation::Year),
            "derived:age_band" => Self::Derived(Derivation::AgeBand),
            "derived:at_least_18" => Self::Derived(Derivation::AtLeast18),
            "derived:email_domain" => Self::Derived(Derivation::EmailDomain),
            "derived:city" => Self::Derived(Derivation::City(CityIn::Address)),
            "derived:postal_prefix" => Self::Derived(Derivation::PostalPrefix),
            _ => return None,
        })
    }

    /// The form as it works on `field`, or why it cannot.
    pub(super) fn suited_to(self, field: &Field) -> Result<Self, String> {
        let kinds: &[Kind] = match self {
            Self::Raw | Self::Exists => &Kind::ALL,
            Self::Derived(Derivation::Year) => &[Kind::Date, Kind::Timestamp],
            Self::Derived(Derivation::AgeBand | Derivation::AtLeast18) => &[Kind::Date],
            Self::Derived(_) | Self::Masked(_) => &[Kind::String],
        };
        if !kinds.contains(&field.kind) {
            let kinds: Vec<_> = kinds.iter().map(|k| k.name()).collect();
            return Err(format!(
                "is a form for fields of kind {}",
                kinds.join(" or ")
            ));
        }
        if let Self::Derived(Derivation::City(_)) = self {
            let city_in = match field.classification.as_str() {
                "user.contact.address.city" => CityIn::City,
                "user.contact.address" => CityIn::Address,
                _ => {
                    return Err("is a form for fields classified user.contact.address.city \
                                or user.contact.address"
                        .to_owned());
                }
            };
            return Ok(Self::Derived(Derivation::City(city_in)));
        }
        Ok(self)
    }

    /// `raw`, `masked`, `derived` or `exists`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Derived(_) => "derived",
            Self::Masked(_) => "masked",
            Self::Raw => "raw",
        }
    }

    /// The mask's or derivation's name; empty for `raw` and `exists`.
    pub fn transform(self) -> &'static str {
        match self {
            Self::Exists | Self::Raw => "",
            Self::Derived(Derivation::Year) => "year",
            Self::Derived(Derivation::AgeBand) => "age_band",
            Self::Derived(Derivation::AtLeast18) => "at_least_18",
            Self::Derived(Derivation::EmailDomain) => "email_domain",
            Self::Derived(Derivation::City(_)) => "city",
            Self::Derived(Derivation::PostalPrefix) => "postal_prefix",
            Self::Masked(Mask::Last4) => "last4",
            Self::Masked(Mask::Initials) => "initials",
            Self::Masked(Mask::Email) => "email",
        }
    }

    /// What a purpose with this ceiling sees of `value`. A raw value is handed
    /// through; of any other form the value is wiped here. `today` is UTC.
    pub fn apply(self, value: Value, today: Day) -> Value {
        match self {
            Self::Raw => value,
            Self::Exists => Value::Bool(true),
            Self::Derived(derivation) => derivation.apply(&value, today),
            Self::Masked(mask) => match &value {
                Value::String(text) => Value::text(mask.apply(text.expose())),
                _ => Value::text(""),
            },
        }
    }

    /// What a purpose with this ceiling sees of a field without a value.
    pub fn of_nothing(self) -> Option<Value> {
        (self == Self::Exists).then_some(Value::Bool(false))
    }
}

impl Derivation {
    fn apply(self, value: &Value, today: Day) -> Value {
        match (self, value) {
            (Self::Year, Value::Date(date)) => Value::Int64(date.parts().0.into()),
            (Self::Year, Value::Timestamp { seconds, .. }) => {
                derive::year(*seconds).map_or_else(|| Value::text(""), Value::Int64)
            }
            (Self::AgeBand, Value::Date(born)) => {
                let age = Date::of_day(today).and_then(|today| born.age(today));
                Value::text(age.map_or("", derive::age_band))
            }
            (Self::AtLeast18, Value::Date(born)) => {
                let age = Date::of_day(today).and_then(|today| born.age(today));
                Value::Bool(age.is_some_and(|age| age >= 18))
            }
            (Self::EmailDomain, Value::String(text)) => {
                Value::text(derive::email_domain(text.expose()))
            }
            (Self::City(CityIn::City), Value::String(text)) => Value::text(text.expose()),
            (Self::City(CityIn::Address), Value::String(text)) => {
                Value::text(derive::city_of_address(text.expose()))
            }
            (Self::PostalPrefix, Value::String(text)) => {
                Value::text(derive::postal_prefix(text.expose()))
            }
            _ => Value::text(""),
        }
    }
}

impl Mask {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Last4 => mask::last4(text),
            Self::Initials => mask::initials(text),
            Self::Email => mask::email(text),
        }
    }
}
