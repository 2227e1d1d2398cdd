//! Values between what people type and what the wire carries. An error names
//! the rule, never the value.

use crate::catalog::Kind;
use crate::pb;
use crate::pb::value::Kind as Wire;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value as Json;

/// An instant, for people: seconds since 1970 as RFC 3339, UTC.
pub fn seconds_text(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// An instant as people write it, to the microsecond.
pub fn micros_text(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |at| at.to_string())
}

/// An instant of a reply, as exactly as it is.
pub fn instant_text(at: prost_types::Timestamp) -> String {
    let micros = at.seconds.saturating_mul(1_000_000);
    micros_text(micros.saturating_add(i64::from(at.nanos / 1_000)))
}

/// Reads a value as typed on the command line or found in a CSV cell.
///
/// # Errors
/// The rule that the text breaks.
pub fn parse(kind: Kind, text: &str) -> Result<pb::Value, &'static str> {
    let wire = match kind {
        Kind::String if text.contains('\0') => return Err("must be text without NUL"),
        Kind::String => Wire::StringValue(text.to_owned()),
        Kind::Bytes => BASE64
            .decode(text)
            .map(Wire::BytesValue)
            .map_err(|_| "must be base64")?,
        Kind::Int64 => text
            .parse()
            .map(Wire::Int64Value)
            .map_err(|_| "must be a whole number of 64 bits")?,
        Kind::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Wire::DoubleValue(number),
            _ => return Err("must be a finite number, written like 12.5"),
        },
        Kind::Bool => match text {
            "true" => Wire::BoolValue(true),
            "false" => Wire::BoolValue(false),
            _ => return Err("must be true or false"),
        },
        Kind::Date => Wire::DateValue(date(text).ok_or("must be a date, written YYYY-MM-DD")?),
        Kind::Timestamp => text
            .parse::<Timestamp>()
            .map(|at| Wire::TimestampValue(timestamp(at)))
            .map_err(|_| "must be an instant, written like 2026-11-23T15:04:05Z")?,
        Kind::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Wire::JsonValue(text.to_owned()),
            Err(_) => return Err("must be JSON"),
        },
    };
    Ok(pb::Value { kind: Some(wire) })
}

/// Reads a value out of a JSON document.
///
/// # Errors
/// The rule that the value breaks.
pub fn parse_json(kind: Kind, value: &Json) -> Result<pb::Value, &'static str> {
    match value {
        Json::String(text) if kind != Kind::Json => parse(kind, text),
        other => parse(kind, &other.to_string()),
    }
}

/// Exactly YYYY-MM-DD; jiff alone would take other ISO 8601 forms too.
pub fn date(text: &str) -> Option<pb::Date> {
    let date: Date = (text.len() == 10).then(|| text.parse().ok())??;
    (date.to_string() == text).then(|| pb::Date {
        year: date.year().into(),
        month: date.month().into(),
        day: date.day().into(),
    })
}

/// An instant on the wire.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    // Before 1970 jiff's nanoseconds are negative; on the wire they never are.
    let nanos = at.as_nanosecond();
    let second = 1_000_000_000_i128;
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(second)).unwrap_or_default(),
        nanos: i32::try_from(nanos.rem_euclid(second)).unwrap_or_default(),
    }
}

/// A date as YYYY-MM-DD; nothing for an unset one.
pub fn date_text(date: Option<&pb::Date>) -> String {
    date.map(|d| format!("{:04}-{:02}-{:02}", d.year, d.month, d.day))
        .unwrap_or_default()
}

/// A value as people write it.
pub fn text(value: Option<&pb::Value>) -> String {
    match value.and_then(|v| v.kind.as_ref()) {
        None => String::new(),
        Some(Wire::StringValue(text) | Wire::JsonValue(text)) => text.clone(),
        Some(Wire::BytesValue(bytes)) => BASE64.encode(bytes),
        Some(Wire::Int64Value(number)) => number.to_string(),
        Some(Wire::DoubleValue(number)) => number.to_string(),
        Some(Wire::BoolValue(yes)) => yes.to_string(),
        Some(Wire::DateValue(date)) => date_text(Some(date)),
        Some(Wire::TimestampValue(at)) => Timestamp::new(at.seconds, at.nanos)
            .map(|at| at.to_string())
            .unwrap_or_default(),
    }
}

/// A value for programs: numbers and booleans as such, JSON as itself, the
/// rest as text.
pub fn json(value: Option<&pb::Value>) -> Json {
    match value.and_then(|v| v.kind.as_ref()) {
        None => Json::Null,
        Some(Wire::Int64Value(number)) => (*number).into(),
        Some(Wire::DoubleValue(number)) => (*number).into(),
        Some(Wire::BoolValue(yes)) => (*yes).into(),
        Some(Wire::JsonValue(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        }
        Some(_) => Json::String(text(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_shown_again() {
        for (kind, typed) in [
            (Kind::String, "Zoë, \"😀\""),
            (Kind::String, ""),
            (Kind::Bytes, "AP8="),
            (Kind::Int64, "-9223372036854775808"),
            (Kind::Double, "12.5"),
            (Kind::Bool, "true"),
            (Kind::Date, "1987-02-28"),
            (Kind::Timestamp, "2026-11-23T15:04:05.25Z"),
            (Kind::Timestamp, "1969-12-31T23:59:59.75Z"),
            (Kind::Json, r#"{"a":[1,null]}"#),
        ] {
            let value = parse(kind, typed).ok();
            assert_eq!(text(value.as_ref()), typed);
        }
    }

    #[test]
    fn what_does_not_fit_its_kind_is_refused() {
        for (kind, typed) in [
            (Kind::String, "a\0b"),
            (Kind::Bytes, "not base64!"),
            (Kind::Int64, "9223372036854775808"),
            (Kind::Int64, "1.0"),
            (Kind::Double, "NaN"),
            (Kind::Double, "inf"),
            (Kind::Bool, "yes"),
            (Kind::Date, "1987-02-30"),
            (Kind::Date, "28/02/1987"),
            (Kind::Date, "19870228"),
            (Kind::Timestamp, "2026-11-23 15:04:05"),
            (Kind::Json, "{"),
        ] {
            assert!(parse(kind, typed).is_err(), "{kind:?} {typed}");
        }
    }

    #[test]
    fn a_json_document_gives_the_same_values() {
        let from = |kind, doc| text(parse_json(kind, &doc).ok().as_ref());
        assert_eq!(from(Kind::Int64, 7.into()), "7");
        assert_eq!(from(Kind::Bool, true.into()), "true");
        assert_eq!(from(Kind::Date, "1987-02-28".into()), "1987-02-28");
        assert_eq!(from(Kind::Json, "text".into()), "\"text\"");
        assert!(parse_json(Kind::Int64, &"x".into()).is_err());
    }
}
