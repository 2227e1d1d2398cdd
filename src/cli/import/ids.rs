//! Request ids of an import. They follow from the file and the row, so that a
//! row sent twice is written once. They are keyed: an unkeyed digest of what
//! customers said would let anyone who reads the vault's files test a guess.

use crate::cli::stop::{Done, Stop};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What an import's request ids are made from.
#[derive(Clone)]
pub struct ImportIds([u8; 32]);

/// The two changes that a row makes.
#[derive(Clone, Copy)]
pub enum Change {
    /// CreateCustomer.
    Create,
    /// PutRecord.
    Put,
}

fn keyed(key: &[u8]) -> Done<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| Stop::Failed("the import has no key".to_owned()))
}

fn add(mac: &mut Hmac<Sha256>, part: &str) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part.as_bytes());
}

impl ImportIds {
    /// Of a file, imported in a certain way (`parts`: type, columns, ids). The
    /// key is the caller's private key, which is not in the vault.
    pub fn of_file(key: &Path, file: &Path, parts: &[&str]) -> Done<Self> {
        let key = std::fs::read(key).map_err(|error| Stop::file(key, "read", &error))?;
        let mut mac = keyed(&key)?;
        add(&mut mac, "oubliette import 1");
        for part in parts {
            add(&mut mac, part);
        }
        let mut input = File::open(file).map_err(|error| Stop::file(file, "read", &error))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = input
                .read(&mut buffer)
                .map_err(|error| Stop::file(file, "read", &error))?;
            match buffer.get(..read) {
                Some(part) if !part.is_empty() => mac.update(part),
                _ => break,
            }
        }
        Ok(Self(mac.finalize().into_bytes().into()))
    }

    /// Of an import that is made once.
    pub fn fresh() -> Self {
        let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let mut bytes = [0; 32];
        let (front, back) = bytes.split_at_mut(16);
        front.copy_from_slice(one.as_bytes());
        back.copy_from_slice(two.as_bytes());
        Self(bytes)
    }

    /// Names the import in its journal.
    pub fn name(&self) -> Done<String> {
        let mut mac = keyed(&self.0)?;
        add(&mut mac, "journal");
        Ok(hex::encode(mac.finalize().into_bytes()))
    }

    /// The request id of a row's change: a UUID of version 8 (RFC 9562).
    pub fn request(&self, row: u64, change: Change) -> Done<String> {
        let mut mac = keyed(&self.0)?;
        add(
            &mut mac,
            match change {
                Change::Create => "create",
                Change::Put => "put",
            },
        );
        mac.update(&row.to_be_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(digest.split_at(16).0);
        Ok(uuid::Builder::from_custom_bytes(bytes)
            .into_uuid()
            .to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestId;

    #[test]
    fn a_row_keeps_its_request_ids_and_shares_them_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (key, file) = (dir.path().join("key"), dir.path().join("file"));
        std::fs::write(&key, "private").unwrap();
        std::fs::write(&file, "customer_id\nc-1\n").unwrap();
        let ids = |parts: &[&str]| ImportIds::of_file(&key, &file, parts).ok().unwrap();
        let id = |ids: &ImportIds, row, change| ids.request(row, change).ok().unwrap();
        let first = id(&ids(&["contact", "main"]), 1, Change::Put);
        assert_eq!(first, id(&ids(&["contact", "main"]), 1, Change::Put));
        assert!(RequestId::parse(&first).is_ok() && first.as_bytes()[14] == b'8');
        let mut others = vec![
            id(&ids(&["contact", "main"]), 2, Change::Put),
            id(&ids(&["contact", "main"]), 1, Change::Create),
            id(&ids(&["contactm", "ain"]), 1, Change::Put),
            id(&ImportIds::fresh(), 1, Change::Put),
        ];
        std::fs::write(&file, "customer_id\nc-2\n").unwrap();
        others.push(id(&ids(&["contact", "main"]), 1, Change::Put));
        std::fs::write(&key, "another").unwrap();
        others.push(id(&ids(&["contact", "main"]), 1, Change::Put));
        others.push(first);
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 7);
    }
}
