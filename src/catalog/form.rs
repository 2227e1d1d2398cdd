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

    /// A form of a field that shows less than the whole value, as a catalog names
    /// it: the first that the kind of data has; none for other kinds.
    pub fn less_than_raw(field: &Field) -> Option<&'static str> {
        let class = field.classification.as_str();
        let less = match class {
            "user.demographic.date_of_birth" => "derived:age_band",
            "user.contact.email" => "derived:email_domain",
            "user.contact.address" | "user.contact.address.city" => "derived:city",
            "user.contact.address.postal_code" => "derived:postal_prefix",
            "user.contact.phone_number" => "masked:last4",
            "user.name" => "masked:initials",
            _ => return None,
        };
        let is_suited = Self::parse(less).is_some_and(|form| form.suited_to(field).is_ok());
        is_suited.then_some(less)
    }

    /// Whether it shows nothing that `other` does not show.
    pub(super) fn is_within(self, other: Self) -> bool {
        self == other || self == Self::Exists || other == Self::Raw
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Section;
    use crate::secret::{SecretBytes, SecretText};

    const FORMS: [&str; 11] = [
        "raw",
        "exists",
        "masked:last4",
        "masked:initials",
        "masked:email",
        "derived:year",
        "derived:age_band",
        "derived:at_least_18",
        "derived:email_domain",
        "derived:city",
        "derived:postal_prefix",
    ];

    fn form(text: &str) -> Form {
        Form::parse(text).unwrap()
    }

    fn date(year: i32, month: i32, day: i32) -> Date {
        Date::new(year, month, day).unwrap()
    }

    fn day(year: i32, month: i32, day: i32) -> Day {
        date(year, month, day).to_day().unwrap()
    }

    /// A result as text, for comparing.
    fn shown(value: &Value) -> String {
        match value {
            Value::String(text) => text.expose().to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Int64(number) => number.to_string(),
            _ => panic!("a form gave a value of another kind"),
        }
    }

    fn of_birth(text: &str, born: Date, today: Day) -> String {
        shown(&form(text).apply(Value::Date(born), today))
    }

    #[test]
    fn an_age_band_changes_on_the_birthday() {
        let born = date(2000, 6, 15);
        for (today, band) in [
            (day(2018, 6, 14), "0-17"),
            (day(2018, 6, 15), "18-24"),
            (day(2025, 6, 14), "18-24"),
            (day(2025, 6, 15), "25-34"),
            (day(2035, 6, 15), "35-44"),
            (day(2065, 6, 14), "55-64"),
            (day(2065, 6, 15), "65+"),
            (day(2000, 6, 14), ""),
        ] {
            assert_eq!(of_birth("derived:age_band", born, today), band);
        }
    }

    #[test]
    fn at_least_18_begins_on_the_birthday_and_never_early() {
        let adult = |born, today| of_birth("derived:at_least_18", born, today);
        assert_eq!(adult(date(2008, 11, 24), day(2026, 11, 23)), "false");
        assert_eq!(adult(date(2008, 11, 23), day(2026, 11, 23)), "true");
        // Born on a day that the year of coming of age does not have.
        assert_eq!(adult(date(2008, 2, 29), day(2026, 2, 28)), "false");
        assert_eq!(adult(date(2008, 2, 29), day(2026, 3, 1)), "true");
        assert_eq!(adult(date(2030, 1, 1), day(2026, 1, 1)), "false");
    }

    #[test]
    fn a_year_comes_from_a_date_and_from_an_instant() {
        assert_eq!(of_birth("derived:year", date(1999, 12, 31), Day(0)), "1999");
        let instant = Value::timestamp(946_684_799, 999_999_999).unwrap();
        assert_eq!(shown(&form("derived:year").apply(instant, Day(0))), "1999");
    }

    #[test]
    fn exists_says_only_whether_there_is_a_value() {
        let exists = form("exists");
        assert_eq!(shown(&exists.apply(Value::text("x"), Day(0))), "true");
        assert_eq!(
            exists.of_nothing().as_ref().map(shown).as_deref(),
            Some("false")
        );
        for text in FORMS.into_iter().filter(|text| *text != "exists") {
            assert!(form(text).of_nothing().is_none(), "{text}");
        }
    }

    #[test]
    fn a_value_that_a_form_cannot_be_made_of_is_never_shown_itself() {
        let values = || {
            let secret = || SecretText::new("Hunter2".to_owned());
            [
                Value::String(secret()),
                Value::Json(secret()),
                Value::Bytes(SecretBytes::new(b"Hunter2".to_vec())),
                Value::Int64(4_711),
                Value::Double(47.11),
                Value::Bool(true),
                Value::Date(date(1990, 2, 3)),
                Value::timestamp(4_711, 0).unwrap(),
            ]
        };
        for text in FORMS.into_iter().filter(|text| *text != "raw") {
            for value in values() {
                let before = value.encode();
                let after = form(text).apply(value, day(2026, 11, 23));
                let same = after.encode().expose() == before.expose();
                // `exists` of a true bool is true.
                assert!(!same || matches!(after, Value::Bool(_)), "{text}");
                let text_shown = shown(&after);
                assert!(
                    !text_shown.contains("Hunter2") && text_shown != "4711",
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn raw_hands_the_value_through() {
        assert_eq!(
            shown(&form("raw").apply(Value::text("as it is"), Day(0))),
            "as it is"
        );
    }

    /// A field of a kind and classification, out of a catalog file.
    fn field(kind: &str, classification: &str) -> std::sync::Arc<Field> {
        let length = if kind == "string" {
            "max_bytes = 9\n"
        } else {
            ""
        };
        let text = format!(
            "number = 1\nversion = 1\ntitle = \"t\"\n[fields.f]\nnumber = 1\n\
             kind = \"{kind}\"\nclassification = \"{classification}\"\n{length}"
        );
        let name = crate::id::CatalogName::parse("t").unwrap();
        let section = Section::parse("t.toml", &text).unwrap();
        let made = super::super::RecordType::read(name, section).unwrap();
        made.field("f").unwrap().clone()
    }

    #[test]
    fn a_city_is_derived_as_the_classification_says() {
        let city = |classification: &str, text: &str| {
            let field = field("string", classification);
            let form = form("derived:city").suited_to(&field)?;
            assert_eq!((form.kind(), form.transform()), ("derived", "city"));
            Ok::<_, String>(shown(&form.apply(Value::text(text), Day(0))))
        };
        let (whole, only) = ("user.contact.address", "user.contact.address.city");
        assert_eq!(city(only, "São Paulo").as_deref(), Ok("São Paulo"));
        assert_eq!(
            city(whole, "Rua A 1, São Paulo 01310-100").as_deref(),
            Ok("São Paulo")
        );
        assert_eq!(city(whole, "Rua A 1").as_deref(), Ok(""));
        assert!(city("user.contact.address.street", "Rua A 1").is_err());
    }

    #[test]
    fn a_form_suits_only_kinds_that_it_can_be_made_of() {
        let suited = |kind: &str| -> Vec<&str> {
            let field = field(kind, "user.content");
            let suits = |text: &&str| form(text).suited_to(&field).is_ok();
            FORMS.into_iter().filter(suits).collect()
        };
        let birth = [
            "raw",
            "exists",
            "derived:year",
            "derived:age_band",
            "derived:at_least_18",
        ];
        assert_eq!(suited("date"), birth);
        assert_eq!(suited("timestamp"), ["raw", "exists", "derived:year"]);
        assert_eq!(suited("int64"), ["raw", "exists"]);
        assert_eq!(suited("string").len(), 7);
    }

    #[test]
    fn every_form_is_in_the_rule_that_names_them() {
        for text in FORMS {
            assert!(Form::RULE.contains(text), "{text}");
            let form = form(text);
            let again = [form.kind(), form.transform()].join(":");
            assert_eq!(again.trim_end_matches(':'), text);
        }
    }
}
