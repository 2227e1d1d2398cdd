//! Opening a record: the customer's state and the record's manifest are
//! checked first, then each granted field is opened and shown as far as the
//! purpose's ceiling goes.

use super::keyring::CustomerKeyring;
use super::retention::Origins;
use crate::access::{CustomerData, Grant, Moment, Permit, Read, Withheld};
use crate::catalog::{Form, RecordType, Value};
use crate::clock::Day;
use crate::crypto::mac::mac;
use crate::crypto::manifest::verify_manifest;
use crate::crypto::record::open_group;
use crate::crypto::{
    Deployment, FieldKeys, FieldRef, GroupOpener, GroupRef, ManifestContext, RecordBody,
    RecordContext,
};
use crate::error::{Denial, Error, Lost, Result, Rule};
use crate::id::CatalogName;
use crate::store::{CustomerRow, RecordRow};
use std::sync::Arc;

/// What is known of a record without opening a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// From 1, one more at each write.
    pub revision: u64,
    /// The record type's version at the last write.
    pub schema_version: u32,
    /// The day of the first write.
    pub created: Day,
    /// The day of the last write.
    pub updated: Day,
    /// Whether the data is restricted or held, so that whoever gets it may use
    /// it for nothing else.
    pub restricted: bool,
}

impl RecordView {
    /// What a stored row says.
    pub(super) fn of(row: &RecordRow) -> Self {
        Self {
            revision: row.revision,
            schema_version: row.schema_version,
            created: row.created,
            updated: row.updated,
            restricted: false,
        }
    }
}

/// A record, opened as far as its permit goes. It leaves the vault only when
/// its audit entry is durable.
pub struct OpenedRecord {
    /// The record type.
    pub record_type: Arc<RecordType>,
    /// What is known of it without opening a field.
    pub view: RecordView,
    /// The fields that hold a value, by rising number.
    pub fields: Vec<(CatalogName, Form, Value)>,
    /// What the purpose calls the customer, where it has names of its own or
    /// they were asked for.
    pub handle: Option<String>,
    /// What was granted and is not opened: the customer's state or the value's
    /// age says no.
    pub withheld: Vec<Withheld>,
}

/// Checks the customer's live state and makes the permit that opening takes.
pub fn permit<A: CustomerData>(
    grant: &Arc<Grant<A>>,
    keys: &CustomerKeyring,
    row: &CustomerRow,
    at: Moment,
) -> Result<Permit<A>> {
    let facts = keys.facts(row)?;
    grant.permit(keys.customer, &facts, at)
}

/// Where a record's groups stand, but for what each group says of itself.
pub fn record_place(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &RecordRow,
) -> RecordContext {
    RecordContext {
        deployment,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        generation: row.generation,
        record_type: row.record_type,
        record: row.key.record.0,
        schema_version: row.schema_version,
        revision: row.revision,
    }
}

/// Where a record's manifest stands.
pub fn manifest_place(place: &RecordContext) -> ManifestContext {
    ManifestContext {
        deployment: place.deployment,
        tenant: place.tenant,
        customer: place.customer,
        record_type: place.record_type,
        record: place.record,
        revision: place.revision,
    }
}

/// A stored record's body, once it matches its manifest.
pub fn checked_body<'a>(
    place: &RecordContext,
    keys: &FieldKeys,
    row: &'a RecordRow,
) -> Result<RecordBody<'a>> {
    let lost = |_| Error::DataLoss(Lost::Record);
    let body = RecordBody::parse(&row.body).map_err(lost)?;
    verify_manifest(&keys.manifest, &manifest_place(place), &body, &row.manifest).map_err(lost)?;
    Ok(body)
}

/// The keys of a generation that a row names; it must be there.
pub fn field_keys(keys: &CustomerKeyring, generation: u32) -> Result<FieldKeys> {
    keys.field(generation)?.ok_or(Error::DataLoss(Lost::Key))
}

/// Opens what the permit allows of a record of its customer.
pub fn open_record(
    deployment: Deployment,
    keys: &CustomerKeyring,
    permit: Permit<Read>,
    row: &RecordRow,
    origins: &Origins,
    today: Day,
) -> Result<OpenedRecord> {
    let read = permit.target();
    if permit.customer() != row.key.customer || read.record_type.number != row.record_type {
        tracing::error!("a record lies where another should");
        return Err(Error::DataLoss(Lost::Record));
    }
    let scope = permit.grant().purpose().map(|purpose| &purpose.scope);
    if is_over(row, scope.and_then(|scope| scope.retention_days), today) {
        return Err(Error::denied(Rule::RetentionOver));
    }
    let place = record_place(deployment, keys, row);
    let newest = field_keys(keys, row.generation)?;
    let body = checked_body(&place, &newest, row)?;
    let mut opener = Openers {
        place,
        keys,
        newest,
        ready: Vec::with_capacity(1),
    };
    let mut fields = Vec::with_capacity(read.fields.len());
    let mut withheld = Vec::new();
    for granted in &read.fields {
        let aged = origins.aged(granted.field.number, row);
        let is_late = granted.field.retention.is_over(aged, today);
        let late = is_late.then(|| Denial {
            rule: Rule::RetentionOver,
            field: Some(granted.field.name.clone()),
            policies: Vec::new(),
        });
        if let Some(denial) = permit.withholds(&granted.field).or(late) {
            let field = granted.field.number;
            withheld.push(Withheld { field, denial });
            continue;
        }
        let shown = match body.field(granted.field.number) {
            None => granted.form.of_nothing(),
            Some((group, field)) => {
                let value = opener.open(group, field)?;
                // The catalog may have changed while the vault was down.
                if value.kind() != granted.field.kind {
                    return Err(Error::DataLoss(Lost::Record));
                }
                Some(granted.form.apply(value, today))
            }
        };
        if let Some(value) = shown {
            fields.push((granted.field.name.clone(), granted.form, value));
        }
    }
    Ok(OpenedRecord {
        record_type: Arc::clone(&read.record_type),
        view: RecordView {
            restricted: permit.is_restrained(),
            ..RecordView::of(row)
        },
        fields,
        handle: scope
            .filter(|scope| scope.handles || read.with_handle)
            .and_then(|_| permit.grant().purpose())
            .map(|purpose| handle(keys, purpose.number)),
        withheld,
    })
}

/// What a purpose calls a customer: always the same, unlike what any other
/// purpose calls them, and nobody's once their keys are gone.
pub fn handle(keys: &CustomerKeyring, purpose: u16) -> String {
    let whole = mac(&keys.consent().handles, &[&purpose.to_be_bytes()]);
    hex::encode(whole.first_chunk::<16>().unwrap_or(&[0; 16]))
}

/// Whether a record's last change is so many days ago.
fn is_over(row: &RecordRow, days: Option<u32>, today: Day) -> bool {
    let age = i64::from(today.0) - i64::from(row.updated.0);
    days.is_some_and(|days| age >= i64::from(days))
}

/// One derivation a group, whatever many of its fields are opened.
struct Openers<'a> {
    place: RecordContext,
    keys: &'a CustomerKeyring,
    newest: FieldKeys,
    ready: Vec<(u64, GroupOpener)>,
}

impl Openers<'_> {
    fn open(&mut self, group: &GroupRef<'_>, field: FieldRef<'_>) -> Result<Value> {
        let lost = |_| Error::DataLoss(Lost::Record);
        let at = match self.ready.iter().position(|(of, _)| *of == group.revision) {
            Some(at) => at,
            None => {
                let context = self.place.of(group);
                let opener = if group.generation == self.place.generation {
                    open_group(&self.newest.record, &context, group)
                } else {
                    open_group(
                        &field_keys(self.keys, group.generation)?.record,
                        &context,
                        group,
                    )
                };
                self.ready.push((group.revision, opener.map_err(lost)?));
                self.ready.len() - 1
            }
        };
        let (_, opener) = self.ready.get(at).ok_or(Error::Internal("group opener"))?;
        let bytes = opener.open(field.number, field.ciphertext).map_err(lost)?;
        Value::decode(bytes.expose()).ok_or(Error::DataLoss(Lost::Record))
    }
}
