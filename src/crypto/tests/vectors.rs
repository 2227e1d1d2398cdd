//! The shape of `tests/vectors/message.json` and `record.json`: all values in
//! hex, so that any other implementation can read them.

use super::super::label::Label;
use super::super::record::{RecordKey, open_group};
use super::super::{Deployment, DoesNotOpen, GroupRef, RecordContext, SUITE, VERSION, message};
use crate::id::FieldNumber;
use crate::secret::Key32;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A message without its version and suite bytes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub key: String,
    pub context: String,
    pub message: String,
    pub plaintext: String,
}

/// A group; `key` is the record key, which feeds HKDF-Expand directly.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub key: String,
    pub context: String,
    pub salt: String,
    pub commitment: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub number: u16,
    pub ciphertext: String,
    pub plaintext: String,
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn write<T: Serialize>(path: &Path, vectors: &[T]) {
    let mut text = serde_json::to_string_pretty(vectors).unwrap();
    text.push('\n');
    std::fs::write(path, text).unwrap();
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn key(text: &str) -> Key32 {
    Key32::take(&mut array(text))
}

impl Message {
    /// Opens it as the library does, behind a version and a suite byte.
    pub fn open(&self) -> Result<String, DoesNotOpen> {
        let stored = [vec![VERSION, SUITE], hex::decode(&self.message).unwrap()].concat();
        let context = hex::decode(&self.context).unwrap();
        let plaintext = message::open(&key(&self.key), &context, &stored)?;
        Ok(hex::encode(plaintext.expose()))
    }
}

impl Record {
    /// Opens every field as the library does.
    pub fn open(&self) -> Result<Vec<String>, DoesNotOpen> {
        let context = self.context();
        let group = GroupRef {
            generation: context.generation,
            schema_version: context.schema_version,
            revision: context.revision,
            salt: &array(&self.salt),
            commitment: &array(&self.commitment),
            fields: Vec::new(),
        };
        let opener = open_group(&RecordKey::new(&key(&self.key)), &context, &group)?;
        let open = |field: &Field| {
            let sealed = hex::decode(&field.ciphertext).unwrap();
            let plaintext = opener.open(FieldNumber(field.number), &sealed)?;
            Ok(hex::encode(plaintext.expose()))
        };
        self.fields.iter().map(open).collect()
    }

    /// Reads the context's bytes back, by the layout in `docs/FORMAT.md`.
    fn context(&self) -> RecordContext {
        let bytes = hex::decode(&self.context).unwrap();
        let number = |at: std::ops::Range<usize>| {
            bytes[at]
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        assert_eq!(bytes[..3], [Label::Record as u8, VERSION, SUITE]);
        let context = RecordContext {
            deployment: Deployment(bytes[3..19].try_into().unwrap()),
            tenant: u32::try_from(number(19..23)).unwrap(),
            customer: number(23..31),
            generation: u32::try_from(number(31..35)).unwrap(),
            record_type: u16::try_from(number(35..37)).unwrap(),
            record: number(37..45),
            schema_version: u32::try_from(number(45..49)).unwrap(),
            revision: number(49..57),
        };
        assert_eq!(context.bytes(), bytes);
        context
    }
}
