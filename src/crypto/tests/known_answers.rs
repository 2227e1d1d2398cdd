//! Known answers: `tests/vectors/message.json` and `record.json`. Both only
//! ever grow: what stands in them was written by some version of the vault,
//! and every later one must open it and, given the same salt, write it again.

use super::super::derive::{Prk, expand};
use super::super::message::seal_salted;
use super::super::record::{RecordKey, seal_group_salted};
use super::super::{
    Deployment, KeyKind, Label, MessageContext, RecordContext, SealedField, WrapContext,
};
use super::vectors::{Field, Message, Record, directory, read, write};
use crate::id::FieldNumber;
use crate::secret::Key32;

/// Bytes that look random and are the same each time.
fn stream<const N: usize>(name: &str, number: usize) -> [u8; N] {
    let mut out = [0; N];
    let seed = Prk::new(&Key32::take(&mut [0x5a; 32]));
    expand(&seed, &[format!("{name} {number}").as_bytes()], &mut out);
    out
}

fn long(length: usize, number: usize) -> Vec<u8> {
    let block = stream::<1024>("long", number);
    block.iter().copied().cycle().take(length).collect()
}

fn plaintexts() -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        vec![],
        vec![0],
        text("a"),
        text("fifteen bytes.."),
        text("sixteen bytes..."),
        text("seventeen bytes.."),
        text("Zoë Çelik-Ångström"),
        text("Ηράκλειτος, Москва, 東京, 👩🏽‍🚀"),
        text("{\"city\":\"Łódź\",\"tags\":[\"é\",null,1.5e300]}"),
        text("line\r\nline\ttab\0nul"),
        stream::<32>("key", 900).to_vec(),
        vec![0xff; 127],
        vec![0x00; 128],
        long(129, 1),
        long(1000, 2),
        long((16 << 10) - 1, 3),
        long(16 << 10, 4),
        long((16 << 10) + 1, 5),
        long(40 << 10, 6),
        long(32 << 10, 7),
    ]
}

fn deployment(number: usize) -> Deployment {
    Deployment(stream("deployment", number))
}

fn messages() -> Vec<Message> {
    let place = |number: usize| {
        let n = u64::try_from(number).unwrap();
        let wrap = WrapContext {
            deployment: deployment(number),
            tenant: 7,
            number: n << 33,
            generation: u32::MAX,
            page: n << 25,
            page_generation: 3,
            epoch: 0,
        };
        let value = |label| MessageContext {
            deployment: deployment(number),
            label,
            tenant: 1,
            customer: n,
            number: u64::MAX,
            extra: n * 3,
        };
        match number % 7 {
            0 => wrap.bytes(KeyKind::Identity),
            1 => wrap.bytes(KeyKind::Field),
            2 => value(Label::CustomerId).bytes(),
            3 => value(Label::AuditDetail).bytes(),
            4 => value(Label::IndexRow).bytes(),
            5 => Vec::new(),
            _ => long(300, number),
        }
    };
    let mut made = Vec::new();
    for (number, plaintext) in plaintexts().into_iter().enumerate() {
        let key = stream::<32>("message key", number);
        let salt = stream("message salt", number);
        let prk = Prk::new(&Key32::take(&mut key.clone()));
        let stored = seal_salted(&prk, &salt, &place(number), &plaintext).unwrap();
        made.push(Message {
            key: hex::encode(key),
            context: hex::encode(place(number)),
            message: hex::encode(&stored[2..]),
            plaintext: hex::encode(plaintext),
        });
    }
    made
}

/// Twenty groups of one field, then four of several.
fn groups() -> Vec<Vec<(FieldNumber, Vec<u8>)>> {
    let values = plaintexts();
    let several = |numbers: &[u16], values: &[Vec<u8>]| {
        let numbers = numbers.iter().map(|number| FieldNumber(*number));
        numbers.zip(values.iter().cloned()).collect()
    };
    let mut groups: Vec<Vec<_>> = Vec::new();
    for (value, number) in values.iter().zip((1..).step_by(862)) {
        groups.push(vec![(FieldNumber(number), value.clone())]);
    }
    groups.push(several(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &values[..10]));
    groups.push(several(&[1, 255, 256, 16_383], &values[4..8]));
    groups.push(several(&[2, 3, 4], &vec![Vec::new(); 3]));
    groups.push(several(&[16_381, 16_382, 16_383], &values[14..17]));
    groups
}

fn records() -> Vec<Record> {
    let mut made = Vec::new();
    for (number, fields) in groups().into_iter().enumerate() {
        let n = u64::try_from(number).unwrap();
        let context = RecordContext {
            deployment: deployment(number / 3),
            tenant: 1 + u32::try_from(n % 2).unwrap(),
            customer: 1 + (n << 30),
            generation: 1 + u32::try_from(n % 4).unwrap(),
            record_type: 1 + u16::try_from(number % 5).unwrap(),
            record: 1 + n,
            schema_version: 1 + u32::try_from(n % 3).unwrap(),
            revision: u64::MAX >> number,
        };
        let key = stream::<32>("record key", number);
        let record_key = RecordKey::new(&Key32::take(&mut key.clone()));
        let borrowed: Vec<_> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
        let salt = stream("record salt", number);
        let group = seal_group_salted(&record_key, salt, &context, &borrowed).unwrap();
        let field = |(sealed, plain): (&SealedField, &(FieldNumber, Vec<u8>))| Field {
            number: sealed.number.0,
            ciphertext: hex::encode(&sealed.ciphertext),
            plaintext: hex::encode(&plain.1),
        };
        made.push(Record {
            key: hex::encode(key),
            context: hex::encode(context.bytes()),
            salt: hex::encode(group.salt),
            commitment: hex::encode(group.commitment),
            fields: group.fields.iter().zip(&fields).map(field).collect(),
        });
    }
    made
}

#[test]
fn every_message_ever_written_opens_and_is_written_the_same_again() {
    let known: Vec<Message> = read(&directory().join("message.json"));
    assert!(known.len() >= 20);
    for vector in &known {
        assert_eq!(vector.open().as_ref(), Ok(&vector.plaintext));
    }
    let made = messages();
    assert_eq!(made, known);
}

#[test]
fn every_record_ever_written_opens_and_is_written_the_same_again() {
    let known: Vec<Record> = read(&directory().join("record.json"));
    assert!(known.len() >= 20);
    for vector in &known {
        let plain = vector.fields.iter().map(|field| field.plaintext.clone());
        assert_eq!(vector.open(), Ok(plain.collect()));
    }
    assert_eq!(records(), known);
}

/// Run by hand after cases were added at the end of a list above; it refuses
/// to change what stands in the files.
#[test]
#[ignore = "writes tests/vectors"]
fn add_vectors() {
    let (message, record) = (
        directory().join("message.json"),
        directory().join("record.json"),
    );
    if message.exists() {
        let (old, new) = (read::<Message>(&message), messages());
        assert_eq!(old[..], new[..old.len()]);
        let (old, new) = (read::<Record>(&record), records());
        assert_eq!(old[..], new[..old.len()]);
    }
    write(&message, &messages());
    write(&record, &records());
}
