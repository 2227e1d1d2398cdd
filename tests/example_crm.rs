//! The example: its customers fit its catalog, and none of their values can
//! be mistaken for a word of its configuration.

#![allow(clippy::unwrap_used)]

use oubliette::catalog::{Catalog, Date, Kind, Value, read_text};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/crm")
        .join(name)
}

fn rows() -> (Vec<String>, Vec<Vec<String>>) {
    let mut file = csv::Reader::from_path(example("customers.csv")).unwrap();
    let header = file.headers().unwrap().iter().map(str::to_owned).collect();
    let owned = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    let rows = file.records().map(|row| owned(row.unwrap())).collect();
    (header, rows)
}

fn value(kind: Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::String => Some(Value::text(text)),
        Kind::Double => text.parse().ok().map(Value::Double),
        Kind::Date => {
            let mut parts = text.split('-').map(|part| part.parse().ok());
            let mut next = || parts.next().flatten();
            Date::new(next()?, next()?, next()?).map(Value::Date)
        }
        _ => None,
    }
}

#[test]
fn every_customer_fits_the_catalog() {
    let catalog = Catalog::load(&example("catalog")).unwrap();
    let contact = catalog.record_type("contact").unwrap();
    let (header, rows) = rows();
    let fields: HashSet<_> = contact.fields().iter().map(|f| f.name.as_str()).collect();
    let columns: HashSet<_> = header.iter().skip(1).map(String::as_str).collect();
    assert_eq!(header.first().map(String::as_str), Some("customer_id"));
    assert_eq!(columns, fields);
    assert!(columns.len() >= 11);
    assert!(rows.len() >= 1_000);
    for row in &rows {
        for (column, text) in header.iter().zip(row).skip(1) {
            let field = contact.field(column).unwrap();
            if text.is_empty() {
                continue;
            }
            let value = value(field.kind, text).unwrap_or_else(|| panic!("{}: {column}", row[0]));
            assert_eq!(field.check(&value), Ok(()), "{}: {column}", row[0]);
        }
    }
}

#[test]
fn ids_are_unique_and_long_enough_to_search_for() {
    let (_, rows) = rows();
    let ids: HashSet<_> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(ids.iter().all(|id| id.len() >= 9));
}

#[test]
fn the_customers_are_as_varied_as_real_ones() {
    let (header, rows) = rows();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let notes: Vec<_> = rows
        .iter()
        .map(|row| row[column("notes")].as_str())
        .collect();
    let with = |what: &dyn Fn(&str) -> bool| notes.iter().filter(|note| what(note)).count();
    assert!(with(&|note| note.is_empty()) > 50);
    // Longer than one chunk of 16 KiB.
    assert!(with(&|note| note.len() > 16 << 10) >= 2);
    assert!(with(&|note| note.contains('\n')) > 50);
    assert!(with(&|note| note.contains('"') && note.contains(',')) > 10);
    assert!(with(&|note| note.contains('🐕')) > 10);
    let names = rows.iter().map(|row| row[column("family_name")].as_str());
    assert!(names.filter(|name| !name.is_ascii()).count() > 300);
    let languages: HashSet<_> = rows.iter().map(|row| &row[column("language")]).collect();
    assert!(languages.len() >= 20);
}

#[test]
fn no_long_value_is_a_word_of_the_configuration() {
    let mut config = vec![example("policy.cedar"), example("roles.toml")];
    config.push(example("catalog/catalog.toml"));
    for folder in ["catalog/types", "catalog/purposes"] {
        let entries = std::fs::read_dir(example(folder)).unwrap();
        config.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let config: Vec<_> = config.iter().map(|path| read_text(path).unwrap()).collect();
    assert!(config.len() >= 10);
    let (_, rows) = rows();
    for value in rows.iter().flatten().filter(|value| value.len() >= 9) {
        assert!(!config.iter().any(|text| text.contains(value)), "{value}");
    }
}

#[test]
fn the_csv_is_what_its_generator_makes() {
    let script = example("make_customers.py");
    let Ok(status) = Command::new("python3").arg(script).arg("--check").status() else {
        println!("not run: there is no python3 here");
        return;
    };
    assert!(status.success(), "run examples/crm/make_customers.py");
}
