//! The catalog: what may be stored, why it may be read, and how much of it.
//! TOML files in a directory, checked as a whole before any of it is used:
//!
//! ```text
//! catalog.toml            version, title, [controllers.<tenant>]
//! types/<name>.toml       a record type: number, version, title, [fields.<name>]
//! purposes/<name>.toml    a purpose: number, version, title, dpv, fides, basis,
//!                         mechanism, callers, recipients, jurisdictions,
//!                         retention_days, expires, gpc, tcf, tcf_vendor,
//!                         [grants.<record type>]
//! notices/<purpose>.toml  what customers are told of it: [versions.<number>]
//! ```

mod controller;
mod date;
mod derive;
mod file;
mod form;
mod hears;
mod json;
mod load;
mod mask;
mod notice;
mod purpose;
mod record_type;
mod retention;
mod scope;
mod value;

pub use controller::Controller;
pub use date::Date;
pub use file::{Entry, Section, read_text};
pub use form::{CityIn, Derivation, Form, Mask};
pub use hears::Hears;
pub use notice::{Notice, NoticeVersion};
pub use purpose::Purpose;
pub use record_type::{Classification, Field, Normaliser, RecordType};
pub use retention::{Aged, Retention};
pub use scope::{Basis, Mechanism, Scope, SpecialBasis, is_jurisdiction};
pub use value::{Kind, Value};

use crate::clock::Day;
use crate::id::{CatalogName, FieldNumber, TenantName};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A checked catalog. It does not change; a reload makes another.
#[derive(Debug)]
pub struct Catalog {
    version: u32,
    title: String,
    controllers: BTreeMap<TenantName, Controller>,
    hash: [u8; 32],
    types: BTreeMap<CatalogName, Arc<RecordType>>,
    types_by_number: HashMap<u16, Arc<RecordType>>,
    purposes: BTreeMap<CatalogName, Arc<Purpose>>,
    purposes_by_number: HashMap<u16, Arc<Purpose>>,
    /// The live purposes that collect a field.
    collectors: HashMap<(u16, FieldNumber), Vec<Arc<Purpose>>>,
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

    /// Who answers for a tenant's data, where the catalog says it.
    pub fn controller(&self, tenant: &TenantName) -> Option<&Controller> {
        self.controllers.get(tenant)
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

    /// The purpose of that number.
    pub fn purpose_by_number(&self, number: u16) -> Option<&Arc<Purpose>> {
        self.purposes_by_number.get(&number)
    }

    /// Every purpose, by name.
    pub fn purposes(&self) -> impl Iterator<Item = &Arc<Purpose>> {
        self.purposes.values()
    }

    /// Whether a purpose that has not expired needs the field. A field that
    /// none needs is not stored (GDPR art. 5(1)(c)).
    pub fn is_needed(&self, record_type: u16, field: FieldNumber, today: Day) -> bool {
        self.collectors(record_type, field)
            .any(|purpose| !purpose.scope.is_expired(today))
    }

    /// The purposes that data of a field may be collected for, whether expired
    /// or not.
    pub fn collectors(
        &self,
        record_type: u16,
        field: FieldNumber,
    ) -> impl Iterator<Item = &Arc<Purpose>> {
        let found = self.collectors.get(&(record_type, field));
        found.into_iter().flatten()
    }
}
