//! Writing a record: whole, or some of its fields. What is written together is
//! one group under a one-use key; what stays is not opened.

use super::Vault;
use super::find::{found_record, owner_of, sealed_record_id};
use super::keyring::Tenant;
use super::keyring::{CustomerKeyring, Keyring};
use super::open::{RecordView, checked_body, field_keys, manifest_place, permit, record_place};
use super::request::Request;
use super::retention::Origins;
use crate::access::{Change, Grant, Permit, Write};
use crate::audit::{Call, Verdict};
use crate::clock::Day;
use crate::crypto::index::record_locator;
use crate::crypto::manifest::manifest;
use crate::crypto::record::seal_group;
use crate::crypto::{RecordBody, RecordContext, SealedGroup};
use crate::error::{Denial, Error, Lost, Missing, Result, Rule};
use crate::id::{FieldNumber, RecordNumber, RequestId};
use crate::limits;
use crate::secret::SecretBytes;
use crate::store::{CustomerRow, PutOutcome, PutRecord, RecordKey, RecordRow, Rows};
use std::sync::Arc;

/// What a look at the record found.
enum Prepared {
    /// The request was made before and is answered again.
    Again(RecordView, CustomerKeyring),
    /// Ready to be stored.
    Put(Box<PutRecord>),
}

impl Vault {
    /// Writes a record. `expected` is the revision that must be the current
    /// one; 0: there must be none.
    pub async fn write(
        &self,
        call: &Arc<Call>,
        grant: Grant<Write>,
        expected: Option<u64>,
        request: RequestId,
    ) -> Result<RecordView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let request = request_of(&grant, expected, request);
        let grant = Arc::new(grant);
        for _ in 0..limits::REVISION_RETRIES {
            let prepared = {
                let (vault, tenant, time) = (self.clone(), Arc::clone(&tenant), call.time);
                let (grant, request) = (Arc::clone(&grant), request.clone());
                let call = Arc::clone(call);
                self.on_rows(move |rows, keyring| {
                    Writing {
                        vault: &vault,
                        keyring,
                        tenant: &tenant,
                        grant: &grant,
                        request: &request,
                        expected,
                        today: time.day(),
                        call: &call,
                    }
                    .prepare(rows)
                })
                .await?
            };
            match prepared {
                Prepared::Again(view, keys) => {
                    let leaf = self.leaf(&grant, Verdict::Allowed);
                    let row = self.subject_row(call, &leaf, &keys, &[])?;
                    return Ok(self.0.log.record(call, vec![row], view).await?.release());
                }
                Prepared::Put(put) => {
                    let (revision, schema_version) = (put.replaces + 1, put.schema_version);
                    if let PutOutcome::Done(created, updated) =
                        self.0.store.put_record(*put).in_time().await?
                    {
                        call.mark_recorded();
                        return Ok(RecordView {
                            revision,
                            schema_version,
                            created,
                            updated,
                            restricted: false,
                        });
                    }
                }
            }
        }
        Err(Error::Contended)
    }
}

/// The content of a write: the same write has the same bytes.
fn request_of(grant: &Grant<Write>, expected: Option<u64>, id: RequestId) -> Request {
    let write = grant.target();
    let values: Vec<(FieldNumber, SecretBytes)> = write
        .values
        .iter()
        .map(|(field, value)| (field.number, value.encode()))
        .collect();
    let numbers: Vec<[u8; 2]> = values.iter().map(|(n, _)| n.0.to_be_bytes()).collect();
    let expected = expected.map_or([0xff; 8], u64::to_be_bytes);
    let record_type = write.record_type.number.to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![
        b"write",
        write.target.customer.expose().as_bytes(),
        write.target.record.expose().as_bytes(),
        &record_type,
        &expected,
    ];
    for (number, (_, value)) in numbers.iter().zip(&values) {
        parts.extend([&number[..], value.expose()]);
    }
    let removed: Vec<u8> = match &write.change {
        Change::Replace => vec![0],
        Change::Update { remove } => remove
            .iter()
            .flat_map(|number| number.0.to_be_bytes())
            .collect(),
    };
    parts.push(&removed);
    let collected = write.origin.collected.map(|at| at.micros().to_be_bytes());
    if let Some(collected) = &collected {
        parts.extend([write.origin.source.as_bytes(), collected]);
    }
    Request::new(grant.principal(), id, &parts)
}

/// One try at a write, on a reader thread.
struct Writing<'a> {
    vault: &'a Vault,
    keyring: &'a Keyring,
    tenant: &'a Tenant,
    grant: &'a Arc<Grant<Write>>,
    request: &'a Request,
    expected: Option<u64>,
    today: Day,
    call: &'a Arc<Call>,
}

impl Writing<'_> {
    /// What a refused write tells of a customer counts as a look at them.
    fn prepare(&self, rows: &mut dyn Rows) -> Result<Prepared> {
        let (who, quota) = (self.grant.principal(), &self.vault.0.quota);
        let name = &self.grant.target().target.customer;
        let keys = match self.keyring.keys_of(rows, self.tenant, name) {
            Ok(keys) => keys,
            error => quota.admit(who, self.call.time, error)?,
        };
        let customer = keys.customer;
        let prepared = match self.prepare_for(rows, keys) {
            // A rotation may have passed between the looks at the two files.
            Err(Error::DataLoss(Lost::Key)) => {
                rows.refresh();
                let keys = self.keyring.keys_of(rows, self.tenant, name)?;
                self.prepare_for(rows, keys)
            }
            prepared => prepared,
        };
        if prepared.is_err() {
            quota.touch(who, customer, self.call.time)?;
        }
        prepared
    }

    fn prepare_for(&self, rows: &mut dyn Rows, keys: CustomerKeyring) -> Result<Prepared> {
        let write = self.grant.target();
        let locator = record_locator(
            &keys.identity.record_locator,
            write.record_type.number,
            &write.target.record,
        );
        let (owner, row) = rows.record(keys.customer, &locator)?;
        let whose = (keys.customer, &keys.identity);
        if let Some(known) = self.request.again(rows, whose, self.today)? {
            let view = RecordView {
                revision: known.outcome,
                schema_version: write.record_type.version,
                created: row.as_ref().map_or(self.today, |row| row.created),
                updated: row.as_ref().map_or(self.today, |row| row.updated),
                restricted: false,
            };
            return Ok(Prepared::Again(view, keys));
        }
        let owner = owner_of(rows, keys.customer, owner)?;
        let permit = permit(self.grant, &keys, &owner, self.keyring.at(self.today))?;
        let deployment = self.keyring.deployment();
        let row = found_record(deployment, &keys, &write.target.record, row)?;
        let current = row.as_ref().map_or(0, |row| row.revision);
        if self.expected.is_some_and(|expected| expected != current) {
            return Err(Error::RevisionStale);
        }
        if row.is_none() && matches!(write.change, Change::Update { .. }) {
            return Err(Error::NotFound(Missing::Record));
        }
        if let (Change::Replace, Some(row)) = (&write.change, &row) {
            may_replace(write, row)?;
        }
        let origins = match (&write.change, &row) {
            (Change::Update { .. }, Some(row)) => Origins::of(rows, deployment, &keys, row.key)?,
            _ => Origins::default(),
        };
        self.seal(permit, &keys, locator, &owner, row.as_ref(), origins)
            .map(|put| Prepared::Put(Box::new(put)))
    }

    fn seal(
        &self,
        permit: Permit<Write>,
        keys: &CustomerKeyring,
        locator: [u8; 16],
        owner: &CustomerRow,
        row: Option<&RecordRow>,
        origins: Origins,
    ) -> Result<PutRecord> {
        let (write, deployment) = (permit.target(), self.keyring.deployment());
        let number = match row {
            Some(row) => row.key.record.0,
            None if owner.next_record > limits::RECORDS_PER_CUSTOMER => {
                return Err(Error::TooMuch("records of one customer"));
            }
            None => owner.next_record,
        };
        let replaces = row.map_or(0, |row| row.revision);
        let place = RecordContext {
            deployment,
            tenant: keys.tenant.0,
            customer: permit.customer().0,
            generation: keys.generation,
            record_type: write.record_type.number,
            record: number,
            schema_version: write.record_type.version,
            revision: replaces + 1,
        };
        let (manifest, body) = self.body(&permit, keys, &place, row)?;
        let fields = write.values.iter().map(|(field, _)| field.number.0);
        let mut leaf = self.vault.leaf(self.grant, Verdict::Allowed);
        leaf.record_type = write.record_type.name.to_string();
        leaf.fields = fields.collect();
        leaf.count = 1;
        let key = RecordKey {
            customer: permit.customer(),
            record: RecordNumber(number),
        };
        let origins = match &write.change {
            Change::Update { remove } => origins.without(remove),
            Change::Replace => origins,
        };
        let origins = origins.after(write, self.call.time);
        Ok(PutRecord {
            key,
            origin: origins.seal(deployment, keys, key)?,
            collected: write.origin.collected.map_or(self.today, |at| at.day()),
            tenant: keys.tenant,
            locator,
            record_type: write.record_type.number,
            replaces,
            replaces_manifest: row.map(|row| row.manifest.clone()).unwrap_or_default(),
            schema_version: place.schema_version,
            generation: place.generation,
            manifest,
            sealed_id: match row {
                Some(_) => Vec::new(),
                None => sealed_record_id(
                    deployment,
                    keys,
                    number,
                    write.record_type.number,
                    &write.target.record,
                )?,
            },
            body,
            request: self.request.claim(&keys.identity, self.today),
            leaf: self
                .vault
                .subject_row(self.call, &leaf, keys, &[(number, replaces + 1)])?,
            today: self.today,
        })
    }

    /// The new body and its manifest's MAC. What stays of the old body must
    /// match the old manifest; its fields are not opened.
    fn body(
        &self,
        permit: &Permit<Write>,
        keys: &CustomerKeyring,
        place: &RecordContext,
        row: Option<&RecordRow>,
    ) -> Result<([u8; 32], Vec<u8>)> {
        let write = permit.target();
        let newest = field_keys(keys, keys.generation)?;
        let sealed = seal_values(&newest.record, place, write)?;
        let mut body = match (row, &write.change) {
            (Some(row), Change::Update { remove }) => {
                let old_place = record_place(place.deployment, keys, row);
                let of_old = field_keys(keys, row.generation)?;
                let mut gone: Vec<FieldNumber> = remove.clone();
                gone.extend(write.values.iter().map(|(field, _)| field.number));
                checked_body(&old_place, &of_old, row)?.without(&gone)
            }
            _ => RecordBody::empty(),
        };
        if let Some(group) = &sealed {
            body.push(group.as_ref())?;
        }
        let encoded = body.encode()?;
        if encoded.len() > limits::BODY_BYTES {
            return Err(Error::TooMuch("bytes in one record"));
        }
        let mac = manifest(&newest.manifest, &manifest_place(place), &body);
        Ok((mac, encoded))
    }
}

/// That a replacement takes no field away that the caller may not write. A body
/// that cannot be read may hold any.
fn may_replace(write: &Write, row: &RecordRow) -> Result<()> {
    let old = RecordBody::parse(&row.body).ok();
    let holds = |number| old.as_ref().is_none_or(|body| body.field(number).is_some());
    let is_given = |number| write.values.iter().any(|(field, _)| field.number == number);
    let refused = write.record_type.fields().iter().find(|field| {
        let number = field.number;
        holds(number) && !is_given(number) && write.may_drop.binary_search(&number).is_err()
    });
    match refused {
        None => Ok(()),
        Some(field) => Err(Error::Denied(Denial {
            rule: Rule::Policy,
            field: Some(field.name.clone()),
            policies: Vec::new(),
        })),
    }
}

fn seal_values(
    key: &crate::crypto::RecordKey,
    place: &RecordContext,
    write: &Write,
) -> Result<Option<SealedGroup>> {
    if write.values.is_empty() {
        return Ok(None);
    }
    let encoded: Vec<(FieldNumber, SecretBytes)> = write
        .values
        .iter()
        .map(|(field, value)| (field.number, value.encode()))
        .collect();
    let fields: Vec<(FieldNumber, &[u8])> = encoded
        .iter()
        .map(|(number, value)| (*number, value.expose()))
        .collect();
    seal_group(key, place, &fields).map(Some)
}
