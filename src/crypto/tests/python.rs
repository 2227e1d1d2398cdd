//! The same construction in another language: `tests/python/crosscheck.py`,
//! over PyPI's `cryptography`, opens what the vault wrote and writes what the
//! vault opens.

use super::super::record::{RecordKey, seal_group};
use super::super::{Deployment, RecordContext, message, random_bytes};
use super::vectors::{Field, Message, Record, directory, read, write};
use crate::id::FieldNumber;
use crate::secret::Key32;
use std::path::Path;
use std::process::Command;

const LENGTHS: [usize; 7] = [0, 1, 40, 16_383, 16_384, 16_385, 40_960];

/// As the vault seals it: under random salts.
fn fresh_messages() -> Vec<Message> {
    let make = |length: &usize| {
        let key = random_bytes::<32>().unwrap();
        let context = random_bytes::<47>().unwrap();
        let plaintext = vec![0x61; *length];
        let stored = message::seal(&Key32::take(&mut key.clone()), &context, &plaintext);
        Message {
            key: hex::encode(key),
            context: hex::encode(context),
            message: hex::encode(&stored.unwrap()[2..]),
            plaintext: hex::encode(plaintext),
        }
    };
    LENGTHS.iter().map(make).collect()
}

fn fresh_records() -> Vec<Record> {
    let key = random_bytes::<32>().unwrap();
    let context = RecordContext {
        deployment: Deployment(random_bytes().unwrap()),
        tenant: 1,
        customer: 2,
        generation: 3,
        record_type: 4,
        record: 5,
        schema_version: 6,
        revision: 7,
    };
    let values = LENGTHS.map(|length| vec![0x62; length]);
    let numbers = [1, 2, 3, 255, 256, 4_096, 16_383].map(FieldNumber);
    let fields: Vec<_> = numbers
        .into_iter()
        .zip(values.iter().map(Vec::as_slice))
        .collect();
    let record_key = RecordKey::new(&Key32::take(&mut key.clone()));
    let group = seal_group(&record_key, &context, &fields).unwrap();
    let sealed = group.fields.iter().zip(&values);
    vec![Record {
        key: hex::encode(key),
        context: hex::encode(context.bytes()),
        salt: hex::encode(group.salt),
        commitment: hex::encode(group.commitment),
        fields: sealed
            .map(|(field, plaintext)| Field {
                number: field.number.0,
                ciphertext: hex::encode(&field.ciphertext),
                plaintext: hex::encode(plaintext),
            })
            .collect(),
    }]
}

#[test]
fn python_opens_what_the_vault_wrote_and_the_vault_what_python_wrote() {
    let Some(python) = std::env::var_os("OUBLIETTE_TEST_PYTHON") else {
        eprintln!("did not run: OUBLIETTE_TEST_PYTHON names no Python with cryptography >= 50");
        return;
    };
    let ours = tempfile::tempdir().unwrap();
    let theirs = tempfile::tempdir().unwrap();
    write(&ours.path().join("message.json"), &fresh_messages());
    write(&ours.path().join("record.json"), &fresh_records());
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/crosscheck.py"))
        .arg("--write")
        .arg(theirs.path())
        .arg(directory())
        .arg(ours.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let messages: Vec<Message> = read(&theirs.path().join("message.json"));
    let records: Vec<Record> = read(&theirs.path().join("record.json"));
    assert!(messages.len() >= 20 && records.len() >= 20);
    for vector in &messages {
        assert_eq!(vector.open().as_ref(), Ok(&vector.plaintext));
    }
    for vector in &records {
        let plain = vector.fields.iter().map(|field| field.plaintext.clone());
        assert_eq!(vector.open(), Ok(plain.collect()));
    }
}
