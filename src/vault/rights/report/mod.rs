//! What is known of a customer, told to them: a signed report (GDPR art. 15)
//! and what they may take along (art. 20).

pub mod document;
mod html;
mod portable;

use super::super::Vault;
use super::super::find::{customer_name, owner_of, record_name};
use super::super::keyring::{CustomerKeyring, Keyring, Tenant};
use super::super::open::{open_record, permit};
use crate::access::{Grant, Read, ReadTarget};
use crate::audit::history::{Entry, Walk, complete_from, slot};
use crate::audit::{Call, Fact, Verdict};
use crate::catalog::{Basis, Catalog, Field, Purpose, RecordType};
use crate::clock::{Day, Instant};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerId, TenantName};
use crate::limits;
use crate::store::{RecordKey, RecordRow, Rows};
use crate::vault::certificate::document::{day_text, sha256_text};
use crate::vault::events::FirstRead;
use crate::vault::retention::Origins;
use document::{Counts, FORM, FieldOf, PurposeOf, Record, Report, Seen, json, time_text};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// A file of an export.
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub content: Zeroizing<Vec<u8>>,
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// All that is known: report.json, signed, and report.html.
    Report,
    /// What the person provided under consent or contract: portable.json and
    /// portable.csv.
    Portable,
}

/// What was found of a customer.
struct Known {
    customer: String,
    since: Day,
    records: Vec<Record>,
    /// Numbers and revisions of the records that were opened.
    opened: Vec<(u64, u64)>,
    entries: Vec<Entry>,
    /// From when on these are all that there were, where older ones were pruned.
    complete_from: Option<Instant>,
    /// The export is the first read of its kind.
    first: Option<FirstRead>,
}

impl Vault {
    /// Exports what the grants allow of their customer. The entry of the export
    /// is durable before a byte of it leaves.
    pub async fn export(
        &self,
        call: &Arc<Call>,
        catalog: Arc<Catalog>,
        grants: Vec<Grant<Read>>,
        what: Export,
    ) -> Result<Vec<File>> {
        let grants: Vec<Arc<Grant<Read>>> = grants.into_iter().map(Arc::new).collect();
        let first = grants
            .first()
            .ok_or(Error::Internal("an export of nothing"))?;
        let tenant_name = first.principal().tenant().clone();
        let purpose = first
            .purpose()
            .map_or_else(String::new, |p| p.name.to_string());
        let mut leaf = self.leaf(first, Verdict::Allowed);
        let (keys, mut known) = self.known(call, &catalog, grants, what).await?;
        leaf.count = known.opened.len() as u64;
        let types = known.records.iter().map(|record| &record.record_type);
        let types: BTreeSet<&String> = types.collect();
        leaf.fact = Some(Fact::Exported {
            types: types.into_iter().cloned().collect(),
        });
        let mut row = self.subject_row(call, &leaf, &keys, &known.opened)?;
        row.reader = known.first.as_mut().and_then(FirstRead::take_row);
        let first = known.first.take();
        drop(keys);
        // Much text, and a signature: not on the runtime's own threads.
        let (vault, of) = (self.clone(), Arc::clone(call));
        let files = spawn_blocking(move || match what {
            Export::Portable => portable::files(&known.customer, &known.records),
            Export::Report => vault.report_files(vault.report(
                &of,
                &catalog,
                tenant_name.as_str(),
                purpose,
                known,
            )),
        });
        let files = files
            .await
            .map_err(|_| Error::Internal("an export ended by itself"))??;
        let files = self.0.log.record(call, vec![row], files).await?;
        self.0.readers.learn(first.into_iter().collect());
        Ok(files.release())
    }

    /// The report for machines, signed, and the page that it is tied to.
    fn report_files(&self, mut report: Report) -> Result<Vec<File>> {
        let page = html::page(&report);
        report.html_sha256 = sha256_text(page.as_bytes());
        let signed = report.sign(self.signing()?)?;
        Ok(vec![
            File {
                name: "report.json",
                content: Zeroizing::new(signed),
            },
            File {
                name: "report.html",
                content: Zeroizing::new(page.into_bytes()),
            },
        ])
    }

    /// Whether a customer is still there to be told about.
    ///
    /// # Errors
    /// As of any look at a customer: [`Error::CustomerErased`] after an erasure.
    pub async fn is_there(&self, tenant: &TenantName, id: Arc<CustomerId>) -> Result<()> {
        let tenant = self.tenant(tenant)?;
        let look = move |rows: &mut dyn Rows, keyring: &Keyring| {
            keyring.keys_of(rows, &tenant, &id).map(|_| ())
        };
        self.on_rows(look).await
    }

    /// Reads in short jobs: records some at a time, the history slot by slot.
    async fn known(
        &self,
        call: &Arc<Call>,
        catalog: &Arc<Catalog>,
        grants: Vec<Arc<Grant<Read>>>,
        what: Export,
    ) -> Result<(CustomerKeyring, Known)> {
        let first = grants
            .first()
            .ok_or(Error::Internal("an export of nothing"))?;
        let tenant = self.tenant(first.principal().tenant())?;
        let mut known = Known {
            customer: String::new(),
            since: Day(0),
            records: Vec::new(),
            opened: Vec::new(),
            entries: Vec::new(),
            complete_from: None,
            first: None,
        };
        let mut bytes = 0;
        for grant in &grants {
            let mut after = 0;
            loop {
                let part = Part {
                    vault: self.clone(),
                    tenant: Arc::clone(&tenant),
                    grant: Arc::clone(grant),
                    catalog: Arc::clone(catalog),
                    what,
                    now: call.time,
                    after,
                };
                let found = self
                    .on_rows(move |rows, keyring| part.read(rows, keyring))
                    .await?;
                (known.customer, known.since) = (found.customer, found.since);
                bytes += found.bytes;
                if bytes > limits::EXPORT_BYTES {
                    return Err(Error::TooMuch("bytes in one export"));
                }
                known.records.extend(found.records);
                known.opened.extend(found.opened);
                known.first = known.first.or(found.first);
                if known.opened.len() > limits::EXPORT_RECORDS {
                    return Err(Error::TooMuch("records in one export"));
                }
                match found.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
        }
        let since = Instant::from_micros(midnight(known.since));
        let mut walk = Walk::over(slot(since)..=slot(call.time));
        loop {
            let (tenant, grant) = (Arc::clone(&tenant), Arc::clone(first));
            let part = self.on_rows(move |rows, keyring| {
                let keys = keyring.keys_of(rows, &tenant, customer_of(&grant)?)?;
                let entries = walk.next(rows, &keys.identity)?;
                Ok((keys, walk, entries, complete_from(rows)?))
            });
            let (keys, walked, entries, complete) = part.await?;
            known.entries.extend(entries);
            known.complete_from = complete;
            if known.entries.len() > limits::EXPORT_ENTRIES {
                return Err(Error::TooMuch("entries of the audit log in one export"));
            }
            if walked.is_over() || what != Export::Report {
                return Ok((keys, known));
            }
            walk = walked;
        }
    }

    fn report(
        &self,
        call: &Call,
        catalog: &Catalog,
        tenant: &str,
        purpose: String,
        known: Known,
    ) -> Report {
        let (mut reads, mut denials, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut records_read = 0;
        for entry in known.entries {
            let seen = seen(catalog, &entry);
            match entry.verdict.as_str() {
                "allowed" if is_read(&entry) => {
                    records_read += entry.count;
                    reads.push(seen);
                }
                "denied" => denials.push(seen),
                _ => others.push(seen),
            }
        }
        let counts = Counts {
            records: known.records.len() as u64,
            reads: reads.len() as u64,
            records_read,
            denials: denials.len() as u64,
        };
        Report {
            form: FORM.to_owned(),
            vault: hex::encode(self.0.keyring.deployment().0),
            tenant: tenant.to_owned(),
            customer: known.customer,
            made: time_text(call.time.micros()),
            purpose,
            since: day_text(known.since),
            records: known.records,
            purposes: catalog.purposes().map(|purpose| told(purpose)).collect(),
            complete_from: known
                .complete_from
                .filter(|since| since.micros() > midnight(known.since))
                .map(|since| time_text(since.micros())),
            reads,
            denials,
            others,
            counts,
            html_sha256: String::new(),
        }
    }
}

fn midnight(day: Day) -> i64 {
    i64::from(day.0) * 86_400_000_000
}

fn told(purpose: &Purpose) -> PurposeOf {
    PurposeOf {
        purpose: purpose.name.to_string(),
        title: purpose.title.clone(),
        basis: purpose.scope.basis.name().to_owned(),
        say: purpose.scope.mechanism.name().to_owned(),
        recipients: purpose.scope.recipients.clone(),
    }
}

/// Whether an allowed call opened values.
fn is_read(entry: &Entry) -> bool {
    let opens = [
        "GetRecord",
        "BatchGetRecords",
        "StreamRecords",
        "ExportCustomer",
    ];
    entry.count > 0 && opens.contains(&entry.method.as_str())
}

fn seen(catalog: &Catalog, entry: &Entry) -> Seen {
    let record_type = catalog.record_type(&entry.record_type);
    let fields = entry.fields.iter().map(|number| {
        let number = crate::id::FieldNumber(*number);
        let field = record_type.and_then(|of| of.field_by_number(number));
        field.map_or_else(|| number.0.to_string(), |field| field.name.to_string())
    });
    let outcome = match entry.reason.as_str() {
        "" => entry.verdict.clone(),
        reason => format!("{}: {reason}", entry.verdict),
    };
    Seen {
        time: time_text(entry.time),
        entry: entry.number,
        service: entry.principal.clone(),
        method: entry.method.clone(),
        outcome,
        purpose: entry.purpose.clone(),
        record_type: match entry.exported() {
            [] => entry.record_type.clone(),
            types => types.join(", "),
        },
        fields: fields.collect(),
        records: entry.count,
    }
}

fn customer_of(grant: &Grant<Read>) -> Result<&crate::id::CustomerId> {
    match &grant.target().target {
        ReadTarget::Customer(customer) => Ok(customer),
        _ => Err(Error::Internal("an export of more than one customer")),
    }
}

/// Some records of one type.
struct Part {
    vault: Vault,
    tenant: Arc<Tenant>,
    grant: Arc<Grant<Read>>,
    catalog: Arc<Catalog>,
    what: Export,
    now: Instant,
    after: u64,
}

/// What was found of them.
struct Found {
    customer: String,
    since: Day,
    records: Vec<Record>,
    opened: Vec<(u64, u64)>,
    /// Bytes that were stored of them.
    bytes: usize,
    first: Option<FirstRead>,
    next: Option<u64>,
}

impl Part {
    /// A rotation may pass between the looks at the two files: then they are
    /// looked at once more.
    fn read(&self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Found> {
        match self.look(rows, keyring) {
            Err(Error::DataLoss(Lost::Key)) => {
                rows.refresh();
                self.look(rows, keyring)
            }
            looked => looked,
        }
    }

    fn look(&self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Found> {
        let found = keyring.keys_of(rows, &self.tenant, customer_of(&self.grant)?);
        let who = self.grant.principal();
        let keys = self.vault.quota().admit(who, self.now, found)?;
        let owner = rows.customer(keys.customer)?;
        let owner = owner_of(rows, keys.customer, owner)?;
        let name = customer_name(keyring.deployment(), &keys, &owner)?;
        let read = self.grant.target();
        let most = limits::EXPORT_RECORDS_A_JOB;
        let after = RecordKey::new(keys.customer, self.after);
        let all = rows.bodies_of_customer(after, read.record_type.number, most)?;
        let next = all.last().filter(|_| all.len() == most);
        let next = next.map(|row| row.key.record.0);
        let mut records = Vec::with_capacity(all.len());
        let mut opened = Vec::with_capacity(all.len());
        let mut bytes = 0;
        for row in &all {
            bytes += row.body.len();
            let at = keyring.at(self.now.day());
            let permit = permit(&self.grant, &keys, &owner, at)?;
            let deployment = keyring.deployment();
            let origins = Origins::of(rows, deployment, &keys, row.key)?;
            let shown = open_record(deployment, &keys, permit, row, &origins, self.now.day())?;
            opened.push((row.key.record.0, row.revision));
            let name = record_name(keyring.deployment(), &keys, &name, row)?;
            records.push(self.record(name.expose().to_owned(), row, &origins, shown.fields));
        }
        let customer = name.expose().trim_start_matches("customers/").to_owned();
        let first = if opened.is_empty() {
            None
        } else {
            let readers = &self.vault.0.readers;
            readers.first_read(&self.grant, keyring.deployment(), &keys, &owner)?
        };
        Ok(Found {
            first,
            customer,
            since: owner.created,
            records,
            opened,
            bytes,
            next,
        })
    }

    fn record(
        &self,
        name: String,
        row: &RecordRow,
        origins: &Origins,
        fields: Vec<(
            crate::id::CatalogName,
            crate::catalog::Form,
            crate::catalog::Value,
        )>,
    ) -> Record {
        let read = self.grant.target();
        let record_type = &read.record_type;
        let fields = fields.into_iter().filter_map(|(name, form, value)| {
            let field = record_type.field(name.as_str())?;
            let purposes = self.purposes(record_type, field);
            let is_provided = |purpose: &&Arc<Purpose>| {
                matches!(purpose.scope.basis, Basis::Consent | Basis::Contract)
            };
            if self.what == Export::Portable && !purposes.iter().any(is_provided) {
                return None;
            }
            let known = origins.known(field.number);
            let ends = field.retention.ends(origins.aged(field.number, row));
            Some(FieldOf {
                field: name.to_string(),
                classification: field.classification.as_str().to_owned(),
                special: field.special,
                shown: form.kind().to_owned(),
                value: json(&value),
                rights: rights(&purposes),
                purposes: purposes.iter().map(|p| p.name.to_string()).collect(),
                erase_on: ends.map(day_text),
                collected: known.map(|(day, _)| day_text(day)),
                source: known.map(|(_, source)| source.to_owned()),
            })
        });
        Record {
            name,
            record_type: record_type.name.to_string(),
            title: record_type.title.clone(),
            collected: day_text(row.created),
            updated: day_text(row.updated),
            fields: fields.collect(),
            withheld: read
                .withheld
                .iter()
                .filter_map(|one| one.denial.field.as_ref().map(ToString::to_string))
                .collect(),
        }
    }

    /// The purposes that are open today and may see something of a field.
    fn purposes(&self, record_type: &RecordType, field: &Field) -> Vec<&Arc<Purpose>> {
        let all = self.catalog.purposes();
        let today = self.now.day();
        let open = all.filter(|purpose| !purpose.scope.is_expired(today));
        open.filter(|purpose| {
            purpose
                .scope
                .ceiling(record_type.number, field.number)
                .is_some()
        })
        .collect()
    }
}

/// What a person can ask of a field: the rights that follow from the bases of
/// the purposes that use it (GDPR art. 7, 15 to 21).
fn rights(purposes: &[&Arc<Purpose>]) -> Vec<String> {
    let has = |bases: &[Basis]| {
        purposes
            .iter()
            .any(|purpose| bases.contains(&purpose.scope.basis))
    };
    let mut rights = vec!["access", "rectification", "restriction"];
    if has(&[Basis::Consent]) {
        rights.push("withdrawal");
    }
    if has(&[Basis::Consent, Basis::Contract]) {
        rights.push("portability");
    }
    if has(&[Basis::PublicTask, Basis::LegitimateInterest]) {
        rights.push("objection");
    }
    // What the law wants kept is not erased (art. 17(3)(b)).
    if !has(&[Basis::LegalObligation, Basis::PublicTask]) {
        rights.push("erasure");
    }
    rights.into_iter().map(str::to_owned).collect()
}
