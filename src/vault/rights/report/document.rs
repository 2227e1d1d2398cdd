//! What a person is told: the report as data. Canonical JSON (RFC 8785) signed
//! with the vault's key, so that it proves itself to whoever it is shown to.

use crate::catalog::Value;
use crate::error::{Error, Result};
use crate::keys::signing::{PublicKey, SigningKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What the document is.
pub const FORM: &str = "oubliette.v1/access-report";
/// What stands before the canonical bytes when they are signed.
const DOMAIN: &[u8] = b"oubliette.v1/access-report\0";

/// All that is known of one customer.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`FORM`].
    pub form: String,
    /// The vault: its deployment's id, in hexadecimal.
    pub vault: String,
    /// Whose customer.
    pub tenant: String,
    /// The caller's id of the customer.
    pub customer: String,
    /// When it was made: RFC 3339, UTC.
    pub made: String,
    /// The purpose it was made for.
    pub purpose: String,
    /// The day on which the customer was created.
    pub since: String,
    /// What is stored.
    pub records: Vec<Record>,
    /// Why, and on which basis.
    pub purposes: Vec<PurposeOf>,
    /// Where older entries of the audit log were pruned: from when on what
    /// follows is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_from: Option<String>,
    /// Every read: when, for which purpose, by which service, which fields.
    pub reads: Vec<Seen>,
    /// Every denial that named the customer.
    pub denials: Vec<Seen>,
    /// Everything else that was done: created, written, listed, looked at.
    pub others: Vec<Seen>,
    /// How many of each.
    pub counts: Counts,
    /// SHA-256 of the page for people that goes with it.
    pub html_sha256: String,
}

/// How many of each.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records that are stored.
    pub records: u64,
    /// Reads.
    pub reads: u64,
    /// Records opened by those reads.
    pub records_read: u64,
    /// Denials.
    pub denials: u64,
}

/// A record.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `customers/{customer}/records/{record}`.
    pub name: String,
    /// Its type's name.
    pub record_type: String,
    /// What that is.
    pub title: String,
    /// The day of the first write.
    pub collected: String,
    /// The day of the last write.
    pub updated: String,
    /// Its fields that hold a value.
    pub fields: Vec<FieldOf>,
    /// Fields of its type that this export may not show.
    pub withheld: Vec<String>,
}

/// A field's value and all that goes with it.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FieldOf {
    /// Its name.
    pub field: String,
    /// What kind of personal data it is.
    pub classification: String,
    /// Whether it is of a special category.
    pub special: bool,
    /// How much of it is shown: `raw`, `masked`, ...
    pub shown: String,
    /// The value. Numbers of 64 bits, dates and JSON are text.
    pub value: Json,
    /// The purposes that may see something of it.
    pub purposes: Vec<String>,
    /// What the person can ask of it, by the bases of those purposes.
    pub rights: Vec<String>,
    /// The day on which its retention ends, where it has one.
    pub erase_on: Option<String>,
    /// The day on which it was collected, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<String>,
    /// From where (GDPR art. 15(1)(g)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A purpose.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PurposeOf {
    /// Its name.
    pub purpose: String,
    /// What it is.
    pub title: String,
    /// Its legal basis.
    pub basis: String,
    /// How the person has a say: `opt_in`, `opt_out`, `notice_only`.
    pub say: String,
    /// Who else gets the data.
    pub recipients: Vec<String>,
}

/// Something that the log says of the customer.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// When: RFC 3339 with microseconds, UTC.
    pub time: String,
    /// The number of its entry in the audit log.
    pub entry: u64,
    /// Which service.
    pub service: String,
    /// What it did.
    pub method: String,
    /// How it ended; the reason where it was not allowed.
    pub outcome: String,
    /// For which purpose.
    pub purpose: String,
    /// Of which type.
    pub record_type: String,
    /// Which fields.
    pub fields: Vec<String>,
    /// How many records.
    pub records: u64,
}

/// A report with its signature: the file.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SignedReport {
    /// The report.
    pub report: Report,
    /// Who signed it: a public key as in C2SP signed-note.
    pub key: String,
    /// Ed25519 over `oubliette.v1/access-report`, a zero byte and the report's
    /// canonical bytes; in hexadecimal.
    pub signature: String,
}

fn canonical(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(document)
        .map_err(|_| Error::Internal("a report has no canonical form"))
}

fn signed_bytes(report: &Report) -> Result<Vec<u8>> {
    Ok([DOMAIN, &canonical(report)?].concat())
}

impl Report {
    /// Signs it; answers the file.
    pub fn sign(self, key: &SigningKey) -> Result<Vec<u8>> {
        let signature = hex::encode(key.sign(&signed_bytes(&self)?));
        canonical(&SignedReport {
            report: self,
            key: key.public().to_string(),
            signature,
        })
    }
}

/// Reads a report's file, if it is whole and signed by `key`. One line feed at
/// its end is allowed.
pub fn verify(file: &[u8], key: &PublicKey) -> Option<SignedReport> {
    let bytes = file.strip_suffix(b"\n").unwrap_or(file);
    let signed: SignedReport = serde_json::from_slice(bytes).ok()?;
    let signature = hex::decode(&signed.signature).ok()?;
    let is_whole = canonical(&signed).ok()? == bytes
        && signed.report.form == FORM
        && signed.key == key.to_string()
        && hex::encode(&signature) == signed.signature
        && key
            .verify(&signed_bytes(&signed.report).ok()?, &signature)
            .is_ok();
    is_whole.then_some(signed)
}

/// A value as JSON. What JSON numbers cannot hold is text.
pub fn json(value: &Value) -> Json {
    match value {
        Value::String(text) | Value::Json(text) => Json::from(text.expose()),
        Value::Bytes(bytes) => Json::from(BASE64_STANDARD.encode(bytes.expose())),
        Value::Int64(number) => Json::from(number.to_string()),
        Value::Double(number) => Json::from(*number),
        Value::Bool(is) => Json::from(*is),
        Value::Date(date) => {
            let (year, month, day) = date.parts();
            Json::from(format!("{year:04}-{month:02}-{day:02}"))
        }
        Value::Timestamp { seconds, nanos } => {
            let nanos = i32::try_from(*nanos).unwrap_or(0);
            let time = jiff::Timestamp::new(*seconds, nanos);
            Json::from(time.map_or_else(|_| seconds.to_string(), |time| time.to_string()))
        }
    }
}

/// RFC 3339 with microseconds, UTC.
pub fn time_text(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros);
    time.map_or_else(|_| micros.to_string(), |time| time.to_string())
}
