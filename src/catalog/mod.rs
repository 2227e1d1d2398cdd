//! The catalog: what may be stored, why it may be read, and how much of it.
//! TOML files in a directory, checked as a whole before any of it is used:
//!
//! ```text
//! catalog.toml            version, title
//! types/<name>.toml       a record type: number, version, title, [fields.<name>]
//! purposes/<name>.toml    a purpose: number, title, basis, mechanism, callers,
//!                         recipients, expires, [grants.<record type>]
//! ```

mod date;
mod derive;
mod file;
mod form;
mod json;
mod load;
mod mask;
mod purpose;
mod record_type;
mod value;

pub use date::Date;
pub use file::{Entry, Section, read_text};
pub use form::{CityIn, Derivation, Form, Mask};
pub use purpose::{Basis, Mechanism, Purpose, SpecialBasis};
pub use record_type::{Classification, Field, Normaliser, RecordType};
pub use value::{Kind, Value};

use crate::clock::Day;
use crate::id::{CatalogName, FieldNumber};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A checked catalog. It does not change; a reload makes another.
#[derive(Debug)]
pub struct Catalog {
    version: u32,
    title: String,
    hash: [u8; 32],
    types: BTreeMap<CatalogName, Arc<RecordType>>,
    types_by_number: HashMap<u16, Arc<RecordType>>,
    purposes: BTreeMap<CatalogName, Arc<Purpose>>,
    /// Until when some purpose needs a field; `None`: without end.
    needed: HashMap<(u16, FieldNumber), Option<Day>>,
}

impl Catalog {
    /// Its version: it rises with every change.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What it is, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// SHA-256 over the names and contents of its files.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The record type of that name.
    pub fn record_type(&self, name: &str) -> Option<&Arc<RecordType>> {
        self.types.get(name)
    }

    /// The record type of that number.
    pub fn record_type_by_number(&self, number: u16) -> Option<&Arc<RecordType>> {
        self.types_by_number.get(&number)
    }

    /// Every record type, by name.
    pub fn record_types(&self) -> impl Iterator<Item = &Arc<RecordType>> {
        self.types.values()
    }

    /// The purpose of that name.
    pub fn purpose(&self, name: &str) -> Option<&Arc<Purpose>> {
        self.purposes.get(name)
    }

    /// Every purpose, by name.
    pub fn purposes(&self) -> impl Iterator<Item = &Arc<Purpose>> {
        self.purposes.values()
    }

    /// Whether a purpose that has not expired needs the field. A field that
    /// none needs is not stored (GDPR art. 5(1)(c)).
    pub fn is_needed(&self, record_type: u16, field: FieldNumber, today: Day) -> bool {
        match self.needed.get(&(record_type, field)) {
            None => false,
            Some(until) => until.is_none_or(|until| today < until),
        }
    }
}
