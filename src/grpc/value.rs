//! Typed values, between the wire and the catalog.

use crate::catalog::{Date, Form, Value};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::pb;
use crate::secret::{SecretBytes, SecretText};
use pb::value::Kind;
use std::collections::HashMap;

/// The values of a request, by field name. What is no value at all is refused
/// here; whether it suits its field is the catalog's to say.
pub fn values_of(fields: HashMap<String, pb::Value>) -> Result<Vec<(String, Value)>> {
    let mut values = Vec::with_capacity(fields.len());
    let mut violations = Vec::new();
    for (name, value) in fields {
        match value_of(value) {
            Ok(value) => values.push((name, value)),
            Err(rule) => {
                // The name may be a misplaced value: it is shown only if it has
                // the shape of a name.
                let path = match crate::id::CatalogName::parse(&name) {
                    Some(name) => format!("fields.{name}"),
                    None => "fields".to_owned(),
                };
                violations.push(Violation::new(path, rule));
            }
        }
    }
    if violations.is_empty() {
        Ok(values)
    } else {
        Err(Error::Invalid(violations))
    }
}

fn value_of(value: pb::Value) -> std::result::Result<Value, &'static str> {
    match value.kind {
        None => Err("must hold a value of a kind that this server knows"),
        Some(Kind::StringValue(text)) => Ok(Value::String(SecretText::new(text))),
        Some(Kind::BytesValue(bytes)) => Ok(Value::Bytes(SecretBytes::new(bytes))),
        Some(Kind::Int64Value(number)) => Ok(Value::Int64(number)),
        Some(Kind::DoubleValue(number)) => Ok(Value::Double(number)),
        Some(Kind::BoolValue(flag)) => Ok(Value::Bool(flag)),
        Some(Kind::DateValue(date)) => Date::new(date.year, date.month, date.day)
            .map(Value::Date)
            .ok_or("must be a date that exists"),
        Some(Kind::TimestampValue(at)) => Value::timestamp(at.seconds, at.nanos)
            .ok_or("must be an instant between the years 1 and 9999"),
        Some(Kind::JsonValue(text)) => Ok(Value::Json(SecretText::new(text))),
    }
}

/// A field as the purpose may see it.
pub fn shown(form: Form, value: &Value) -> pb::FieldValue {
    let level = match form {
        Form::Exists => pb::Form::Exists,
        Form::Derived(_) => pb::Form::Derived,
        Form::Masked(_) => pb::Form::Masked,
        Form::Raw => pb::Form::Raw,
    };
    pb::FieldValue {
        value: Some(wire(value)),
        form: level.into(),
        transform: form.transform().to_owned(),
    }
}

fn wire(value: &Value) -> pb::Value {
    let kind = match value {
        Value::String(text) => Kind::StringValue(text.expose().to_owned()),
        Value::Bytes(bytes) => Kind::BytesValue(bytes.expose().to_vec()),
        Value::Int64(number) => Kind::Int64Value(*number),
        Value::Double(number) => Kind::DoubleValue(*number),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Date(date) => {
            let (year, month, day) = date.parts();
            Kind::DateValue(pb::Date { year, month, day })
        }
        Value::Timestamp { seconds, nanos } => Kind::TimestampValue(prost_types::Timestamp {
            seconds: *seconds,
            nanos: nanos.cast_signed(),
        }),
        Value::Json(text) => Kind::JsonValue(text.expose().to_owned()),
    };
    pb::Value { kind: Some(kind) }
}

/// A whole day, UTC.
pub fn date(day: Day) -> pb::Date {
    let (year, month, day) = day.civil();
    pb::Date { year, month, day }
}

/// An instant of a request, if it is given.
pub fn instant(
    field: &'static str,
    asked: Option<prost_types::Timestamp>,
) -> Result<Option<Instant>> {
    let micros = |asked: prost_types::Timestamp| {
        let nanos = u32::try_from(asked.nanos)
            .ok()
            .filter(|n| *n < 1_000_000_000)?;
        let micros = asked.seconds.checked_mul(1_000_000)?;
        micros.checked_add(i64::from(nanos / 1_000))
    };
    let rule = || Error::invalid(Violation::new(field, "must be an instant"));
    let read = asked.map(|asked| micros(asked).map(Instant::from_micros).ok_or_else(rule));
    read.transpose()
}

/// An instant of a reply.
pub fn timestamp(time: Instant) -> prost_types::Timestamp {
    let nanos = time.micros().rem_euclid(1_000_000) * 1_000;
    prost_types::Timestamp {
        seconds: time.seconds(),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

/// The expected revision of a request.
pub fn expected(revision: Option<i64>) -> Result<Option<u64>> {
    revision
        .map(|revision| {
            u64::try_from(revision).map_err(|_| {
                Error::invalid(Violation::new("expected_revision", "must not be negative"))
            })
        })
        .transpose()
}

/// A day of a request.
pub fn day(field: &str, date: Option<pb::Date>) -> Result<Option<Day>> {
    let Some(date) = date else {
        return Ok(None);
    };
    match Date::new(date.year, date.month, date.day).and_then(Date::to_day) {
        Some(day) => Ok(Some(day)),
        None => Err(Error::invalid(Violation::new(
            field,
            "must be a date that exists",
        ))),
    }
}
