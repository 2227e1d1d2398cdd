//! Records for people and for programs.

use crate::cli::out::{Out, printable, table};
use crate::cli::value::{date_text, json, text};
use crate::pb;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// How a field was shown: "raw", "masked last4", "derived age_band".
fn form(field: &pb::FieldValue) -> String {
    let form = match field.form() {
        pb::Form::Unspecified => "",
        pb::Form::Exists => "exists",
        pb::Form::Derived => "derived",
        pb::Form::Masked => "masked",
        pb::Form::Raw => "raw",
    };
    format!("{form} {}", field.transform).trim_end().to_owned()
}

/// The fields of a record, and what was withheld, as a table.
pub fn fields_table(record: &pb::Record) -> String {
    let sorted: BTreeMap<_, _> = record.fields.iter().collect();
    let mut rows: Vec<Vec<String>> = sorted
        .into_iter()
        .map(|(name, field)| vec![name.clone(), text(field.value.as_ref()), form(field)])
        .collect();
    rows.extend(record.withheld.iter().map(|w| {
        vec![
            w.field.clone(),
            w.message.clone(),
            format!("withheld: {}", w.reason),
        ]
    }));
    table(&["field", "value", "form"], &rows)
}

/// A record for programs.
pub fn record_json(record: &pb::Record) -> Json {
    let fields: Map<String, Json> = record
        .fields
        .iter()
        .map(|(name, field)| {
            let shown = json!({
                "value": json(field.value.as_ref()),
                "form": form(field).split(' ').next(),
                "transform": field.transform,
            });
            (name.clone(), shown)
        })
        .collect();
    let withheld: Vec<Json> = record
        .withheld
        .iter()
        .map(|w| json!({"field": w.field, "reason": w.reason, "message": w.message}))
        .collect();
    let metadata = record.metadata.as_ref().map(metadata_json);
    let handle = &record.handle;
    json!({ "metadata": metadata, "fields": fields, "withheld": withheld, "handle": handle })
}

fn metadata_json(metadata: &pb::RecordMetadata) -> Json {
    json!({
        "name": metadata.name,
        "record_type": metadata.record_type,
        "revision": metadata.revision,
        "schema_version": metadata.schema_version,
        "create_date": date_text(metadata.create_date.as_ref()),
        "update_date": date_text(metadata.update_date.as_ref()),
    })
}

/// A record that was read.
pub fn record(out: &mut Out, record: &pb::Record) {
    out.document(&record_json(record));
    if let Some(metadata) = &record.metadata {
        out.line(&format!(
            "{} ({}, revision {})",
            printable(&metadata.name),
            metadata.record_type,
            metadata.revision
        ));
    }
    out.line(&fields_table(record));
    if !record.handle.is_empty() {
        out.line(&format!("The purpose calls them {}.", record.handle));
    }
}

/// A record that was written.
pub fn metadata(out: &mut Out, written: Option<&pb::RecordMetadata>) {
    let written = written.cloned().unwrap_or_default();
    out.document(&json!({ "record": metadata_json(&written) }));
    out.line(&format!(
        "{} ({}) is at revision {}.",
        printable(&written.name),
        written.record_type,
        written.revision
    ));
}

/// A customer's records.
pub fn list(out: &mut Out, records: &[pb::RecordMetadata]) {
    let documents: Vec<Json> = records.iter().map(metadata_json).collect();
    out.document(&json!({ "records": documents }));
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|m| {
            vec![
                m.name.clone(),
                m.revision.to_string(),
                m.schema_version.to_string(),
                date_text(m.create_date.as_ref()),
                date_text(m.update_date.as_ref()),
            ]
        })
        .collect();
    let header = ["record", "revision", "schema", "created", "changed"];
    out.table(&header, &rows);
}
