//! What a person may take along (GDPR art. 20): what they provided under
//! consent or contract, as schema.org's Person with the vault's own fields
//! beside it, and as a table.

use super::File;
use super::document::Record;
use crate::error::{Error, Result};
use serde_json::{Map, Value as Json, json};

/// Which property of schema.org's Person a kind of data is. The first field of
/// a kind is the person's.
const PERSON: &[(&str, &str)] = &[
    ("user.name.first", "givenName"),
    ("user.name.last", "familyName"),
    ("user.name", "name"),
    ("user.contact.email", "email"),
    ("user.contact.phone_number", "telephone"),
    ("user.demographic.date_of_birth", "birthDate"),
    ("user.demographic.gender", "gender"),
    ("user.demographic.language", "knowsLanguage"),
    ("user.contact.url", "url"),
];

/// The same for schema.org's PostalAddress.
const ADDRESS: &[(&str, &str)] = &[
    ("user.contact.address.street", "streetAddress"),
    ("user.contact.address.city", "addressLocality"),
    ("user.contact.address.postal_code", "postalCode"),
    ("user.contact.address.state", "addressRegion"),
    ("user.contact.address.country", "addressCountry"),
];

/// portable.json and portable.csv.
pub fn files(customer: &str, records: &[Record]) -> Result<Vec<File>> {
    let person = person(customer, records);
    let content = serde_json::to_vec_pretty(&person);
    Ok(vec![
        File {
            name: "portable.json",
            content: content.map_err(|_| Error::Internal("a person"))?.into(),
        },
        File {
            name: "portable.csv",
            content: table(records)?.into(),
        },
    ])
}

fn properties(records: &[Record], known: &[(&str, &str)]) -> Map<String, Json> {
    let mut found = Map::new();
    for field in records.iter().flat_map(|record| &record.fields) {
        let kind = field.classification.as_str();
        let named = known
            .iter()
            .find(|(classification, _)| *classification == kind);
        if let Some((_, property)) = named {
            found
                .entry((*property).to_owned())
                .or_insert_with(|| field.value.clone());
        }
    }
    found
}

fn person(customer: &str, records: &[Record]) -> Json {
    let mut person = properties(records, PERSON);
    let mut address = properties(records, ADDRESS);
    person.insert("@context".to_owned(), json!("https://schema.org"));
    person.insert("@type".to_owned(), json!("Person"));
    person.insert("identifier".to_owned(), json!(customer));
    if !address.is_empty() {
        address.insert("@type".to_owned(), json!("PostalAddress"));
        person.insert("address".to_owned(), Json::Object(address));
    }
    let records = records.iter().filter(|record| !record.fields.is_empty());
    let records = records.map(|record| {
        let fields = record.fields.iter();
        let fields = fields.map(|field| (field.field.clone(), field.value.clone()));
        json!({
            "name": record.name,
            "recordType": record.record_type,
            "collected": record.collected,
            "updated": record.updated,
            "fields": fields.collect::<Map<_, _>>(),
        })
    });
    json!({ "person": person, "records": records.collect::<Vec<_>>() })
}

/// A cell that a spreadsheet would take for a formula is marked as text.
fn cell(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

fn table(records: &[Record]) -> Result<Vec<u8>> {
    let failed = |_| Error::Internal("a table");
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = ["record", "record_type", "field", "value", "updated"];
    table.write_record(header).map_err(failed)?;
    for record in records {
        for field in &record.fields {
            let value = match &field.value {
                Json::String(text) => cell(text),
                Json::Number(number) => number.to_string(),
                other => other.to_string(),
            };
            let row = [
                &record.name,
                &record.record_type,
                &field.field,
                &value,
                &record.updated,
            ];
            table.write_record(row).map_err(failed)?;
        }
    }
    table.into_inner().map_err(|_| Error::Internal("a table"))
}
