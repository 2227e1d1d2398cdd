//! Record types and their fields.

use super::file::{Entry, Section};
use super::json;
use super::retention::Retention;
use super::value::{Kind, Value};
use crate::error::Result;
use crate::id::{CatalogName, FieldNumber};
use crate::limits;
use std::collections::HashMap;
use std::sync::Arc;

/// What kind of personal data a field is: a key of the Fides taxonomy, such as
/// `user.contact.email`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Classification(Arc<str>);

/// A record type: which fields a record of it may hold.
#[derive(Debug)]
pub struct RecordType {
    /// Its name: the name of its file.
    pub name: CatalogName,
    /// Its number in stored data, from 1; never used for another type.
    pub number: u16,
    /// Its version: it rises with every change of the fields.
    pub version: u32,
    /// What it is, for people.
    pub title: String,
    fields: Vec<Arc<Field>>,
    by_name: HashMap<CatalogName, Arc<Field>>,
}

/// One field of a record type.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: CatalogName,
    /// Its number in stored data; never used for another field.
    pub number: FieldNumber,
    /// Which kind of value it takes.
    pub kind: Kind,
    /// What kind of personal data it is.
    pub classification: Classification,
    /// Whether it is of a special category (GDPR art. 9).
    pub special: bool,
    /// The longest value in bytes; for kinds of fixed size, that size.
    pub max_bytes: usize,
    /// How long values are kept.
    pub retention: Retention,
    /// Whether records can be found by it.
    pub indexed: bool,
    /// What is done to a value before it is searched for.
    pub normaliser: Option<Normaliser>,
    /// Its place among the type's fields, ordered by number: 0 to 127.
    position: u32,
}

/// How two spellings of a value are made one, for finding it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normaliser {
    /// As it is.
    Exact,
    /// Without outer blanks, in lower case.
    Lowercase,
    /// Digits only.
    Digits,
}

impl Classification {
    /// Two or more names joined by dots, of which the first is `user` or
    /// `system`; at most 127 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let (root, rest) = text.split_once('.')?;
        let known = matches!(root, "user" | "system");
        let parts = rest
            .split('.')
            .all(|part| CatalogName::parse(part).is_some());
        (known && parts && text.len() <= 2 * limits::LABEL_BYTES + 1).then(|| Self(text.into()))
    }

    /// A key of the Fides data uses: names joined by dots.
    pub(super) fn parse_use(text: &str) -> Option<String> {
        let named = |part: &str| CatalogName::parse(part).is_some();
        let is_key = text.split('.').all(named) && text.len() <= 2 * limits::LABEL_BYTES + 1;
        is_key.then(|| text.to_owned())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key and every key above it: `user.contact.email`, `user.contact`,
    /// `user`.
    pub fn lineage(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |key| {
            key.rsplit_once('.').map(|(above, _)| above)
        })
    }
}

impl Normaliser {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "exact" => Some(Self::Exact),
            "lowercase" => Some(Self::Lowercase),
            "digits" => Some(Self::Digits),
            _ => None,
        }
    }
}

impl RecordType {
    /// Its fields, ordered by number.
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Arc<Field>> {
        self.by_name.get(name)
    }

    /// The field of that number.
    pub fn field_by_number(&self, number: FieldNumber) -> Option<&Arc<Field>> {
        let at = self
            .fields
            .binary_search_by_key(&number, |f| f.number)
            .ok()?;
        self.fields.get(at)
    }

    /// Reads `types/<name>.toml`.
    pub(super) fn read(name: CatalogName, mut file: Section<'_>) -> Result<Self> {
        let number = file.need("number")?.number(1, u16::MAX.into())?;
        let version = file.need("version")?.number(1, u32::MAX.into())?;
        let title = file.need("title")?.text(limits::TITLE_BYTES)?.to_owned();
        let table = file.need("fields")?.section()?;
        let empty = table.wrong("must declare 1 to 128 fields");
        let mut fields = Vec::new();
        for (key, entry) in table.each() {
            let field = Field::read(&key, entry)?;
            if fields
                .iter()
                .any(|(f, _): &(Field, _)| f.number == field.0.number)
            {
                return Err(field.1);
            }
            fields.push(field);
        }
        file.finish()?;
        if !(1..=limits::FIELDS_PER_TYPE).contains(&fields.len()) {
            return Err(empty);
        }
        fields.sort_by_key(|(f, _)| f.number);
        let fields: Vec<_> = (0..)
            .zip(fields)
            .map(|(position, (field, _))| Arc::new(Field { position, ..field }))
            .collect();
        Ok(Self {
            name,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            version: u32::try_from(version).unwrap_or(u32::MAX),
            title,
            by_name: fields.iter().map(|f| (f.name.clone(), f.clone())).collect(),
            fields,
        })
    }
}

impl Field {
    /// Whether the field takes this value; otherwise what the value must be.
    /// The rule never repeats the value.
    pub fn check(&self, value: &Value) -> std::result::Result<(), String> {
        if value.kind() != self.kind {
            return Err(format!("must be of kind {}", self.kind.name()));
        }
        if value.size() > self.max_bytes {
            return Err(format!("must be at most {} bytes", self.max_bytes));
        }
        match value {
            Value::String(text) if text.expose().contains('\0') => {
                Err("must not contain NUL".to_owned())
            }
            Value::Double(number) if !number.is_finite() => {
                Err("must be a finite number".to_owned())
            }
            Value::Json(text) if !json::is_bounded_json(text.expose()) => Err(format!(
                "must be one JSON text (RFC 8259), nested at most {} deep",
                limits::JSON_DEPTH
            )),
            _ => Ok(()),
        }
    }

    /// The field's bit in a set of fields of its type.
    pub fn bit(&self) -> u128 {
        1u128.checked_shl(self.position).unwrap_or(0)
    }

    /// Reads one entry of `[fields]`; with it comes the refusal to use when
    /// its number is taken.
    fn read(key: &str, entry: Entry<'_>) -> Result<(Self, crate::error::Error)> {
        let name = CatalogName::parse(key).ok_or_else(|| {
            entry.wrong("must be named by a-z, then a-z 0-9 _, at most 63 in all")
        })?;
        let mut table = entry.section()?;
        let number = table.need("number")?;
        let taken = number.wrong("is the number of another field; take one never used before");
        let number = number.number(1, limits::FIELD_NUMBER_MAX.into())?;
        let rule = "must be string, bytes, int64, double, bool, date, timestamp or json";
        let kind = table.need("kind")?.parsed(rule, Kind::parse)?;
        let rule = "must be a Fides key such as user.contact.email";
        let classification = table
            .need("classification")?
            .parsed(rule, Classification::parse)?;
        let special = table.take("special").map_or(Ok(false), |e| e.flag())?;
        let max_bytes = read_max_bytes(&mut table, kind)?;
        let retention = Retention::read(&mut table)?;
        let indexed = table.take("indexed").map_or(Ok(false), |e| e.flag())?;
        let normaliser = table.take("normaliser");
        let rule = "must be exact, lowercase or digits";
        let normaliser = normaliser
            .map(|e| e.parsed(rule, Normaliser::parse))
            .transpose()?;
        if indexed != normaliser.is_some() {
            return Err(table.wrong("needs indexed = true and a normaliser, or neither"));
        }
        if indexed && kind != Kind::String {
            return Err(table.wrong("can be indexed only if its kind is string"));
        }
        table.finish()?;
        let field = Self {
            name,
            number: FieldNumber(u16::try_from(number).unwrap_or(u16::MAX)),
            kind,
            classification,
            special,
            max_bytes,
            retention,
            indexed,
            normaliser,
            position: 0,
        };
        Ok((field, taken))
    }
}

/// Kinds with a length need a bound, the others have their size.
fn read_max_bytes(table: &mut Section<'_>, kind: Kind) -> Result<usize> {
    if kind.has_length() {
        let most = u64::try_from(limits::FIELD_BYTES).unwrap_or(u64::MAX);
        let bound = table.need("max_bytes")?.number(1, most)?;
        return Ok(usize::try_from(bound).unwrap_or(limits::FIELD_BYTES));
    }
    match table.take("max_bytes") {
        Some(entry) => Err(entry.wrong("is only for string, bytes and json; remove it")),
        None => Ok(12),
    }
}
