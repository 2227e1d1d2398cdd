//! Certificates in `vault.db`, destroyed keys in `keys.db`.

use super::Sqlite;
use super::reader::Reader;
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{
    CertificateRows, CertificateStore, DestroyedKey, ErasureProgress, IntendedCertificate,
    NewCertificate, Pending,
};
use rusqlite::{Connection, OptionalExtension, params};

impl CertificateStore for Sqlite {
    fn add_certificate(&self, new: NewCertificate) -> Pending<bool> {
        self.vault.change(move |db| add(db, &new))
    }

    fn replace_certificate(&self, handle: [u8; 16], old: Vec<u8>, new: Vec<u8>) -> Pending<bool> {
        self.vault.change(move |db| {
            let sql = "UPDATE certificates SET body = ?3 WHERE handle = ?1 AND body = ?2";
            let replaced = db
                .prepare_cached(sql)?
                .execute(params![&handle[..], old, new])?;
            Ok(replaced == 1)
        })
    }

    fn move_certificate_id(
        &self,
        customer: CustomerNumber,
        epoch: u32,
        sealed_id: Vec<u8>,
    ) -> Pending<()> {
        self.vault.change(move |db| {
            let sql = "UPDATE certificate_ids SET epoch = ?2, sealed = ?3 WHERE customer = ?1";
            let moved = db
                .prepare_cached(sql)?
                .execute(params![customer.0, epoch, sealed_id]);
            moved.map(drop)
        })
    }

    fn forget_certificate_ids(&self, before: u32) -> Pending<usize> {
        self.vault.change(move |db| {
            db.prepare_cached("DELETE FROM certificate_ids WHERE epoch < ?1")?
                .execute([before])
        })
    }
}

fn add(db: &Connection, new: &NewCertificate) -> rusqlite::Result<bool> {
    let added = db
        .prepare_cached(
            "INSERT INTO certificate_ids (customer, epoch, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![new.customer.0, new.epoch, new.sealed_id])?;
    if added == 1 {
        db.prepare_cached("INSERT INTO certificates (handle, body) VALUES (?1, ?2)")?
            .execute(params![&new.handle[..], new.body])?;
    }
    Ok(added == 1)
}

/// Keeps the certificate of an erasure that is about to happen.
pub fn intend(
    db: &Connection,
    customer: CustomerNumber,
    of: &IntendedCertificate,
) -> rusqlite::Result<()> {
    let is_first = db
        .prepare_cached(
            "INSERT INTO certificate_ids (customer, epoch, sealed, request)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![customer.0, of.epoch, of.sealed_id, of.request])?;
    if let (Some((handle, body)), 1) = (&of.new, is_first) {
        db.prepare_cached("INSERT INTO certificates (handle, body) VALUES (?1, ?2)")?
            .execute(params![&handle[..], body])?;
    }
    Ok(())
}

impl CertificateRows for Reader {
    fn certificate(&mut self, handle: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        Ok(self
            .vault()?
            .prepare_cached("SELECT body FROM certificates WHERE handle = ?1")?
            .query_row([&handle[..]], |row| row.get(0))
            .optional()?)
    }

    fn certificate_id(&mut self, customer: CustomerNumber) -> Result<Option<(u32, Vec<u8>)>> {
        Ok(self
            .vault()?
            .prepare_cached("SELECT epoch, sealed FROM certificate_ids WHERE customer = ?1")?
            .query_row([customer.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    fn erased_by_request(&mut self, request: u64) -> Result<Option<CustomerNumber>> {
        let sql = "SELECT customer FROM certificate_ids WHERE request = ?1 AND request > 0";
        Ok(self
            .vault()?
            .prepare_cached(sql)?
            .query_row([request], |row| row.get(0).map(CustomerNumber))
            .optional()?)
    }

    fn erasure_progress(&mut self, customer: CustomerNumber) -> Result<Option<ErasureProgress>> {
        Ok(self
            .vault()?
            .prepare_cached(
                "SELECT level, leaf, records, purged, purged_day FROM erasures
                 WHERE customer = ?1",
            )?
            .query_row([customer.0], |row| {
                Ok(ErasureProgress {
                    level: row.get(0)?,
                    leaf: row.get(1)?,
                    records: row.get(2)?,
                    purged: row.get(3)?,
                    purged_day: Day(row.get(4)?),
                })
            })
            .optional()?)
    }

    fn destroyed_keys(&mut self, customer: CustomerNumber) -> Result<Vec<DestroyedKey>> {
        let mut statement = self.keys()?.prepare_cached(
            "SELECT generation, fingerprint FROM destroyed_keys
             WHERE customer = ?1 ORDER BY generation",
        )?;
        let rows = statement.query_map([customer.0], |row| {
            Ok(DestroyedKey {
                generation: row.get(0)?,
                fingerprint: row.get(1)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
