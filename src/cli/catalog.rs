//! `oubliette catalog`: what may be stored, why it may be read, how much of it
//! is seen.

use super::out::Out;
use super::stop::Done;
use crate::catalog::{self, Form, Purpose};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// What can be done with the catalog.
#[derive(Subcommand, Debug)]
pub enum Catalog {
    /// Check the catalog's files and show what they declare
    Check(Check),
}

/// Arguments of `catalog check`.
#[derive(Args, Debug)]
pub struct Check {
    /// A directory made by `oubliette init`
    #[arg(
        long,
        env = "OUBLIETTE_DIR",
        value_name = "DIR",
        required_unless_present = "catalog"
    )]
    dir: Option<PathBuf>,
    /// A catalog's directory, instead of DIR/config/catalog
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Catalog {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        let Self::Check(check) = self;
        check.json
    }

    /// Loads the catalog and shows it.
    pub fn run(self) -> Done {
        let Self::Check(check) = self;
        let in_dir = check.dir.unwrap_or_default().join("config").join("catalog");
        let loaded = catalog::Catalog::load(&check.catalog.unwrap_or(in_dir))?;
        let mut out = Out::new(check.json);
        out.document(&document(&loaded));
        out.line(&format!(
            "{}, version {}: good.\n",
            loaded.title(),
            loaded.version()
        ));
        for record_type in loaded.record_types() {
            out.line(&format!(
                "record type {} ({})",
                record_type.name, record_type.title
            ));
            let rows: Vec<Vec<String>> = record_type
                .fields()
                .iter()
                .map(|field| {
                    vec![
                        field.number.0.to_string(),
                        field.name.to_string(),
                        field.kind.name().to_owned(),
                        field.classification.as_str().to_owned(),
                        field.max_bytes.to_string(),
                    ]
                })
                .collect();
            out.table(
                &["number", "field", "kind", "classification", "most bytes"],
                &rows,
            );
        }
        for purpose in loaded.purposes() {
            tell_purpose(&mut out, &loaded, purpose);
        }
        Ok(())
    }
}

fn tell_purpose(out: &mut Out, loaded: &catalog::Catalog, purpose: &Purpose) {
    let callers: Vec<&str> = purpose
        .scope
        .callers
        .iter()
        .map(|role| role.as_str())
        .collect();
    out.line(&format!(
        "\npurpose {} ({}): basis {}, {}, for the roles {}",
        purpose.name,
        purpose.title,
        purpose.scope.basis.name(),
        purpose.scope.mechanism.name(),
        callers.join(", ")
    ));
    let rows: Vec<Vec<String>> = grants(loaded, purpose)
        .into_iter()
        .map(|(record_type, field, form)| vec![record_type, field, form_text(form)])
        .collect();
    out.table(&["record type", "field", "sees"], &rows);
}

/// What a purpose may see: record type, field, form.
fn grants(loaded: &catalog::Catalog, purpose: &Purpose) -> Vec<(String, String, Form)> {
    let types = purpose
        .scope
        .record_types()
        .filter_map(|number| loaded.record_type_by_number(number));
    let mut grants: Vec<(String, String, Form)> = types
        .flat_map(|record_type| {
            purpose
                .scope
                .granted(record_type.number)
                .filter_map(|(number, form)| {
                    let field = record_type.field_by_number(number)?;
                    Some((record_type.name.to_string(), field.name.to_string(), form))
                })
        })
        .collect();
    grants.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    grants
}

fn form_text(form: Form) -> String {
    format!("{} {}", form.kind(), form.transform())
        .trim_end()
        .to_owned()
}

fn document(loaded: &catalog::Catalog) -> Json {
    let types: Vec<Json> = loaded
        .record_types()
        .map(|record_type| {
            let fields: Vec<Json> = record_type
                .fields()
                .iter()
                .map(|field| {
                    json!({
                        "number": field.number.0,
                        "name": field.name.as_str(),
                        "kind": field.kind.name(),
                        "classification": field.classification.as_str(),
                        "max_bytes": field.max_bytes,
                    })
                })
                .collect();
            json!({
                "name": record_type.name.as_str(),
                "version": record_type.version,
                "fields": fields,
            })
        })
        .collect();
    let purposes: Vec<Json> = loaded
        .purposes()
        .map(|purpose| {
            let grants: Vec<Json> = grants(loaded, purpose)
                .into_iter()
                .map(|(record_type, field, form)| {
                    json!({"record_type": record_type, "field": field, "form": form_text(form)})
                })
                .collect();
            json!({
                "name": purpose.name.as_str(),
                "basis": purpose.scope.basis.name(),
                "mechanism": purpose.scope.mechanism.name(),
                "callers": purpose.scope.callers.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
                "grants": grants,
            })
        })
        .collect();
    json!({
        "title": loaded.title(),
        "version": loaded.version(),
        "hash": hex::encode(loaded.hash()),
        "record_types": types,
        "purposes": purposes,
    })
}
