//! A field's value: eight kinds, one canonical binary form.

use super::date::Date;
use crate::secret::{SecretBytes, SecretText};
use zeroize::Zeroize;

/// The kinds of value. The number is the first byte of a stored value and the
/// field number in `oubliette.v1.Value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// UTF-8 text without NUL.
    String = 1,
    /// Raw bytes.
    Bytes = 2,
    /// A signed 64-bit integer.
    Int64 = 3,
    /// An IEEE 754 double, finite.
    Double = 4,
    /// True or false.
    Bool = 5,
    /// A calendar date.
    Date = 6,
    /// An instant, UTC.
    Timestamp = 7,
    /// A JSON text (RFC 8259).
    Json = 8,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::String,
        Self::Bytes,
        Self::Int64,
        Self::Double,
        Self::Bool,
        Self::Date,
        Self::Timestamp,
        Self::Json,
    ];

    /// Its name in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether values differ in length, so that a catalog must bound it.
    pub fn has_length(self) -> bool {
        matches!(self, Self::String | Self::Bytes | Self::Json)
    }
}

/// A value: what a customer said. It has no `Debug` and no `Clone` and is
/// wiped when dropped.
pub enum Value {
    /// UTF-8 text.
    String(SecretText),
    /// Raw bytes.
    Bytes(SecretBytes),
    /// A signed 64-bit integer.
    Int64(i64),
    /// An IEEE 754 double.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A calendar date.
    Date(Date),
    /// An instant, UTC.
    Timestamp {
        /// Whole seconds since 1970-01-01T00:00:00Z.
        seconds: i64,
        /// 0 to 999,999,999, counted forward also before 1970.
        nanos: u32,
    },
    /// A JSON text, kept as it was written.
    Json(SecretText),
}

/// 0001-01-01T00:00:00Z, the first instant of protobuf's Timestamp.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last one.
const LAST_SECOND: i64 = 253_402_300_799;
const NANOS: u32 = 1_000_000_000;

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::String(SecretText::new(text.into()))
    }

    /// An instant between the years 1 and 9999, or nothing.
    pub fn timestamp(seconds: i64, nanos: i32) -> Option<Self> {
        let nanos = u32::try_from(nanos).ok().filter(|n| *n < NANOS)?;
        (FIRST_SECOND..=LAST_SECOND)
            .contains(&seconds)
            .then_some(Self::Timestamp { seconds, nanos })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::Int64(_) => Kind::Int64,
            Self::Double(_) => Kind::Double,
            Self::Bool(_) => Kind::Bool,
            Self::Date(_) => Kind::Date,
            Self::Timestamp { .. } => Kind::Timestamp,
            Self::Json(_) => Kind::Json,
        }
    }

    /// Bytes of content, without the kind byte.
    pub fn size(&self) -> usize {
        match self {
            Self::String(text) | Self::Json(text) => text.expose().len(),
            Self::Bytes(bytes) => bytes.expose().len(),
            Self::Int64(_) | Self::Double(_) => 8,
            Self::Bool(_) => 1,
            Self::Date(_) => 4,
            Self::Timestamp { .. } => 12,
        }
    }

    /// The one binary form: the kind's number, then the content. Numbers are
    /// big-endian: int64 and double (its bits) 8 bytes, bool 0 or 1, date year
    /// 2, month 1, day 1, timestamp seconds 8, nanoseconds 4.
    pub fn encode(&self) -> SecretBytes {
        // Exact capacity: a growing buffer would leave unwiped copies behind.
        let mut out = Vec::with_capacity(1 + self.size());
        out.push(self.kind() as u8);
        match self {
            Self::String(text) | Self::Json(text) => out.extend(text.expose().as_bytes()),
            Self::Bytes(bytes) => out.extend(bytes.expose()),
            Self::Int64(number) => out.extend(number.to_be_bytes()),
            Self::Double(number) => out.extend(number.to_bits().to_be_bytes()),
            Self::Bool(flag) => out.push(u8::from(*flag)),
            Self::Date(date) => {
                let (year, month, day) = date.parts();
                let [_, _, high, low] = year.to_be_bytes();
                let ([_, _, _, month], [_, _, _, day]) = (month.to_be_bytes(), day.to_be_bytes());
                out.extend([high, low, month, day]);
            }
            Self::Timestamp { seconds, nanos } => {
                out.extend(seconds.to_be_bytes());
                out.extend(nanos.to_be_bytes());
            }
        }
        SecretBytes::new(out)
    }

    /// Reads [`Value::encode`]'s form; nothing when it is not exactly that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, content) = bytes.split_first()?;
        let kind = Kind::ALL.into_iter().find(|k| *k as u8 == *kind)?;
        let text = || {
            let text = std::str::from_utf8(content).ok()?;
            Some(SecretText::new(text.to_owned()))
        };
        Some(match kind {
            Kind::String => Self::String(text()?),
            Kind::Json => Self::Json(text()?),
            Kind::Bytes => Self::Bytes(SecretBytes::new(content.to_vec())),
            Kind::Int64 => Self::Int64(i64::from_be_bytes(content.try_into().ok()?)),
            Kind::Double => {
                let number = f64::from_bits(u64::from_be_bytes(content.try_into().ok()?));
                Self::Double(Some(number).filter(|n| n.is_finite())?)
            }
            Kind::Bool => match content {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                _ => return None,
            },
            Kind::Date => {
                let [high, low, month, day]: [u8; 4] = content.try_into().ok()?;
                let year = i32::from(u16::from_be_bytes([high, low]));
                Self::Date(Date::new(year, month.into(), day.into())?)
            }
            Kind::Timestamp => {
                let (seconds, nanos) = content.split_at_checked(8)?;
                let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
                let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
                Self::timestamp(seconds, i32::try_from(nanos).ok()?)?
            }
        })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            // These wipe themselves.
            Self::String(_) | Self::Json(_) | Self::Bytes(_) => {}
            Self::Int64(number) => number.zeroize(),
            Self::Double(number) => number.zeroize(),
            Self::Bool(flag) => flag.zeroize(),
            Self::Date(date) => date.zeroize(),
            Self::Timestamp { seconds, nanos } => {
                seconds.zeroize();
                nanos.zeroize();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<Value> {
        vec![
            Value::text("Ω, \"x\"\n"),
            Value::text(""),
            Value::Bytes(SecretBytes::new(vec![0, 255])),
            Value::Int64(i64::MIN),
            Value::Double(-0.0),
            Value::Bool(true),
            Value::Date(Date::new(9999, 12, 31).unwrap()),
            Value::timestamp(FIRST_SECOND, 999_999_999).unwrap(),
            Value::Json(SecretText::new("[1]".to_owned())),
        ]
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_bytes() {
        for value in every_kind() {
            let bytes = value.encode();
            let again = Value::decode(bytes.expose()).unwrap();
            assert!(again.kind() == value.kind());
            assert_eq!(again.encode().expose(), bytes.expose());
            assert_eq!(bytes.expose().len(), value.size() + 1);
        }
    }

    #[test]
    fn the_stored_form_never_changes() {
        let date = Value::Date(Date::new(1990, 2, 28).unwrap());
        assert_eq!(date.encode().expose(), [6, 7, 198, 2, 28]);
        let at = Value::timestamp(-1, 5).unwrap();
        let wanted = [7, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 5];
        assert_eq!(at.encode().expose(), wanted);
        assert_eq!(Value::Bool(true).encode().expose(), [5, 1]);
        assert_eq!(Value::text("é").encode().expose(), [1, 0xc3, 0xa9]);
    }

    #[test]
    fn what_is_not_exactly_the_stored_form_is_refused() {
        let nan = [&[4][..], &f64::NAN.to_bits().to_be_bytes()].concat();
        let nanos = [&[7][..], &[0; 8], &NANOS.to_be_bytes()].concat();
        let bad: [&[u8]; 12] = [
            &[],
            &[0],
            &[9, 1],
            &[1, 0xff],
            &[3, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &nan,
            &[5],
            &[5, 2],
            &[6, 7, 198, 2, 30],
            &[7, 0, 0, 0],
            &nanos,
        ];
        for bytes in bad {
            assert!(Value::decode(bytes).is_none(), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_to_what_encodes_to_them_or_not_at_all(
            kind in 0u8..10, content in proptest::collection::vec(0u8.., 0..16)
        ) {
            let bytes = [&[kind][..], &content].concat();
            if let Some(value) = Value::decode(&bytes) {
                assert_eq!(value.encode().expose(), bytes);
            }
        }
    }
}
