//! Generations of customers' field keys.

use super::keys_file::{self, FIELD, IDENTITY};
use super::reader::Reader;
use super::vault_file::place;
use super::{Sqlite, retention};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{
    Destroyed, GenerationEnd, GenerationRows, GenerationStore, KeyUse, LedgerKind, NewGeneration,
    PageKind, Pending, Reencrypted, UsedKey,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

/// Compare and swap: the page as it was read, the predecessor still there.
fn add_generation(db: &Connection, new: &NewGeneration) -> rusqlite::Result<bool> {
    let page = keys_file::page(db, PageKind::Customers, new.page.page)?;
    if page.as_ref() != Some(&new.page) {
        return Ok(false);
    }
    let added = db
        .prepare_cached(
            "INSERT INTO customer_keys (customer, kind, generation, tenant, created_day, wrapped)
             SELECT customer, kind, ?2, tenant, ?3, ?4 FROM customer_keys
             WHERE customer = ?1 AND kind = ?5 AND generation = ?2 - 1
               AND (?6 OR NOT EXISTS
                 (SELECT 1 FROM partial_shreds WHERE customer = ?1 AND epoch = 0))
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.customer.0,
            new.generation,
            new.today.0,
            new.wrapped,
            FIELD,
            new.is_partial
        ])?;
    if added == 1 && new.is_partial {
        db.execute(
            "INSERT INTO partial_shreds (customer, generation, keys, epoch, day, fingerprint)
             VALUES (?1, ?2, 0, 0, 0, x'')",
            params![new.customer.0, new.generation],
        )?;
    }
    Ok(added == 1)
}

fn require(db: &Connection, customer: CustomerNumber, generation: u32) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE customers SET least_generation = max(least_generation, ?2) WHERE customer = ?1",
    )?
    .execute(params![customer.0, generation])?;
    Ok(())
}

fn reencrypt(db: &Connection, records: &[Reencrypted]) -> rusqlite::Result<u64> {
    let mut missed = 0;
    for record in records {
        let at = place(record.key)?;
        let changed = match &record.new {
            Some((manifest, body)) => db
                .prepare_cached(
                    "UPDATE records SET generation = ?4, manifest = ?5, body = ?6
                     WHERE place = ?1 AND revision = ?2 AND manifest = ?3 AND ?4 >=
                       (SELECT least_generation FROM customers WHERE customer = ?7)",
                )?
                .execute(params![
                    at,
                    record.revision,
                    record.old,
                    record.generation,
                    &manifest[..],
                    body,
                    record.key.customer.0
                ])?,
            None => discard(db, record)?,
        };
        if let (Some(_), Some(origin), 1) = (&record.new, &record.origin, changed) {
            retention::note_origin(db, record.key, origin)?;
        }
        missed += u64::from(changed == 0);
    }
    Ok(missed)
}

fn discard(db: &Connection, record: &Reencrypted) -> rusqlite::Result<usize> {
    let customer = record.key.customer.0;
    let locator: Option<Vec<u8>> = db
        .prepare_cached(
            "DELETE FROM records WHERE place = ?1 AND revision = ?2 AND manifest = ?3
             RETURNING locator",
        )?
        .query_row(
            params![place(record.key)?, record.revision, record.old],
            |row| row.get(0),
        )
        .optional()?;
    let Some(locator) = locator else {
        return Ok(0);
    };
    db.prepare_cached("DELETE FROM locators WHERE customer = ?1 AND locator = ?2")?
        .execute(params![customer, locator])?;
    retention::forget(db, place(record.key)?)?;
    db.prepare_cached("UPDATE customers SET records = records - 1 WHERE customer = ?1")?
        .execute([customer])
}

fn destroy(
    db: &Connection,
    customer: CustomerNumber,
    below: u32,
    today: Day,
) -> rusqlite::Result<Option<Destroyed>> {
    let compromised = keys_file::compromised(db, customer)?;
    let epoch = keys_file::stamp(db, customer, None)?;
    let (mut fingerprint, mut keys, mut newest) = (Sha256::new(), 0, 0);
    let mut old = db.prepare_cached(
        "DELETE FROM customer_keys WHERE customer = ?1 AND kind = ?2 AND generation = ?3
         RETURNING wrapped",
    )?;
    for generation in keys_file::generations_below(db, customer, below)? {
        let wrapped: Vec<u8> =
            old.query_row(params![customer.0, FIELD, generation], |row| row.get(0))?;
        fingerprint.update(&wrapped);
        (keys, newest) = (keys + 1, generation);
        count_end(db, generation, generation <= compromised)?;
    }
    if keys == 0 {
        return Ok(None);
    }
    keys_file::mark_dirty(db, PageKind::Customers, customer.page())?;
    db.prepare_cached("DELETE FROM compromised WHERE customer = ?1 AND generation < ?2")?
        .execute(params![customer.0, below])?;
    let destroyed = Destroyed {
        generation: newest,
        keys,
        compromised: newest <= compromised,
        epoch,
        day: today,
        fingerprint: fingerprint.finalize().into(),
    };
    end_partial(db, customer, below, &destroyed)?;
    Ok(Some(destroyed))
}

fn count_end(db: &Connection, generation: u32, compromised: bool) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO generation_ends (generation, compromised, keys) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET keys = keys + 1",
    )?
    .execute(params![generation, compromised])?;
    Ok(())
}

/// A shred in part narrows for good, so the ledger notes it; a rotation does
/// not.
fn end_partial(
    db: &Connection,
    customer: CustomerNumber,
    below: u32,
    of: &Destroyed,
) -> rusqlite::Result<()> {
    let ended = db
        .prepare_cached(
            "UPDATE partial_shreds SET keys = ?3, epoch = ?4, day = ?5, fingerprint = ?6,
                    destroyed = ?7
             WHERE customer = ?1 AND generation <= ?2 AND epoch = 0",
        )?
        .execute(params![
            customer.0,
            below,
            of.keys,
            of.epoch,
            of.day.0,
            &of.fingerprint[..],
            of.generation
        ])?;
    if ended > 0 {
        let number = u64::from(of.generation);
        let kind = LedgerKind::PartialErasure;
        keys_file::note(db, kind, customer, number, of.epoch, of.day)?;
    }
    Ok(())
}

fn compromise(
    db: &Connection,
    customer: CustomerNumber,
    up_to: u32,
    today: Day,
) -> rusqlite::Result<bool> {
    let noted = db.execute(
        "INSERT INTO compromised (customer, generation) SELECT ?1, ?2
         WHERE EXISTS (SELECT 1 FROM customer_keys WHERE customer = ?1)
         ON CONFLICT (customer) DO UPDATE SET generation = max(generation, ?2)",
        params![customer.0, up_to],
    )?;
    if noted == 1 {
        let (kind, number) = (LedgerKind::Compromise, u64::from(up_to));
        let epoch = keys_file::newest_epoch(db)?;
        keys_file::note(db, kind, customer, number, epoch, today)?;
    }
    Ok(noted == 1)
}

fn note_uses(db: &Connection, uses: &[KeyUse]) -> rusqlite::Result<()> {
    let mut note = db.prepare_cached(
        "INSERT INTO key_uses (kind, number, day) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET day = max(day, ?3)",
    )?;
    for of in uses {
        note.execute(params![of.of as u8, of.number, of.day.0])?;
    }
    Ok(())
}

/// The columns of `partial_shreds` that [`destroyed_of`] reads.
pub const DESTROYED: &str = "destroyed, keys, epoch, day, fingerprint";

/// What a shred in part destroyed.
pub fn destroyed_of(row: &Row<'_>) -> rusqlite::Result<Destroyed> {
    Ok(Destroyed {
        generation: row.get(0)?,
        keys: row.get(1)?,
        compromised: false,
        epoch: row.get(2)?,
        day: Day(row.get(3)?),
        fingerprint: row.get(4)?,
    })
}

impl GenerationStore for Sqlite {
    fn add_generation(&self, new: NewGeneration) -> Pending<bool> {
        self.ordinary(&self.keys, move |db| add_generation(db, &new))
    }

    fn require_generation(&self, customer: CustomerNumber, generation: u32) -> Pending<()> {
        self.ordinary(&self.vault, move |db| require(db, customer, generation))
    }

    fn reencrypt_records(&self, records: Vec<Reencrypted>) -> Pending<u64> {
        self.ordinary(&self.vault, move |db| reencrypt(db, &records))
    }

    fn destroy_generations(
        &self,
        customer: CustomerNumber,
        below: u32,
        today: Day,
    ) -> Pending<Option<Destroyed>> {
        self.keys
            .change(move |db| destroy(db, customer, below, today))
    }

    fn compromise(&self, customer: CustomerNumber, up_to: u32, today: Day) -> Pending<bool> {
        self.keys
            .change(move |db| compromise(db, customer, up_to, today))
    }

    fn note_uses(&self, uses: Vec<KeyUse>) -> Pending<()> {
        self.ordinary(&self.keys, move |db| note_uses(db, &uses))
    }
}

impl GenerationRows for Reader {
    fn customers_with_keys(&mut self, from: u64, most: usize) -> Result<Vec<CustomerNumber>> {
        let mut statement = self.keys()?.prepare_cached(
            "SELECT customer FROM customer_keys WHERE customer >= ?1 AND kind = ?2
             ORDER BY customer LIMIT ?3",
        )?;
        let rows = statement.query_map(params![from, IDENTITY, most], |row| {
            row.get(0).map(CustomerNumber)
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn customers_with_type(
        &mut self,
        record_type: u16,
        from: u64,
        most: usize,
    ) -> Result<Vec<CustomerNumber>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT DISTINCT place >> 24 AS customer FROM records
             WHERE place >= ?1 << 24 AND type = ?2 ORDER BY customer LIMIT ?3",
        )?;
        let rows = statement.query_map(params![from, record_type, most], |row| {
            row.get(0).map(CustomerNumber)
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn partial_shred(&mut self, customer: CustomerNumber) -> Result<Option<u32>> {
        Ok(self
            .keys()?
            .prepare_cached(
                "SELECT max(generation) FROM partial_shreds WHERE customer = ?1 AND epoch = 0",
            )?
            .query_row([customer.0], |row| row.get(0))?)
    }

    fn generation_ends(&mut self) -> Result<Vec<GenerationEnd>> {
        let mut statement = self.keys()?.prepare_cached(
            "SELECT generation, compromised, keys FROM generation_ends ORDER BY generation",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(GenerationEnd {
                generation: row.get(0)?,
                compromised: row.get(1)?,
                keys: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn generations_apart(&mut self) -> Result<Vec<(u32, u64, u64)>> {
        let mut statement = self.keys()?.prepare_cached(
            "SELECT k.generation,
                    sum(EXISTS (SELECT 1 FROM customer_keys n WHERE n.customer = k.customer
                                AND n.kind = 2 AND n.generation > k.generation)),
                    sum(k.generation <= coalesce((SELECT c.generation FROM compromised c
                                                  WHERE c.customer = k.customer), 0))
             FROM customer_keys k WHERE k.kind = 2 GROUP BY k.generation ORDER BY k.generation",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn key_uses(&mut self) -> Result<Vec<KeyUse>> {
        let mut statement = self
            .keys()?
            .prepare_cached("SELECT kind, number, day FROM key_uses")?;
        let rows = statement.query_map([], |row| {
            let kind: u8 = row.get(0)?;
            Ok(KeyUse {
                of: match kind {
                    1 => UsedKey::Epoch,
                    _ => UsedKey::Generation,
                },
                number: row.get(1)?,
                day: Day(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
