//! Erasures in part in `vault.db`.

use super::Sqlite;
use super::consent::swap_state;
use super::reader::Reader;
use super::vault_file::append_one;
use super::{events, generations};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{
    Destroyed, PartialEnd, PartialIntent, PartialRow, PartialRows, PartialStore, Pending,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

impl PartialStore for Sqlite {
    fn intend_partial(&self, intent: PartialIntent) -> Pending<bool> {
        self.vault.change(move |db| intend(db, &intent))
    }

    fn end_partial(&self, done: PartialEnd) -> Pending<bool> {
        self.vault.change(move |db| end(db, &done))
    }
}

fn intend(db: &Connection, intent: &PartialIntent) -> rusqlite::Result<bool> {
    let customer = intent.customer.0;
    let is_as_read = db
        .prepare_cached(
            "SELECT 1 FROM customers WHERE customer = ?1 AND state = ?2
               AND NOT EXISTS (SELECT 1 FROM erasures WHERE customer = ?1)",
        )?
        .exists(params![customer, intent.state])?;
    if !(is_as_read && events::tells_all(db, Some(&intent.told))?) {
        return Ok(false);
    }
    let is_new = db
        .prepare_cached(
            "INSERT INTO partial_erasures (customer, generation, leaf, story, destroyed, keys,
                                           compromised, epoch, day, fingerprint, sealed)
             VALUES (?1, ?2, 0, ?3, 0, 0, 0, 0, 0, x'', ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            customer,
            intent.generation,
            intent.told.story.cast_signed(),
            intent.sealed
        ])?;
    if is_new == 0 {
        return Ok(true);
    }
    let certificate = &intent.certificate;
    let is_first = db
        .prepare_cached(
            "INSERT INTO living_certificates (customer, sealed) VALUES (?1, ?2)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![customer, certificate.sealed_id])?;
    if is_first == 1 {
        db.prepare_cached("INSERT INTO certificates (handle, body) VALUES (?1, ?2)")?
            .execute(params![&certificate.handle[..], certificate.body])?;
    }
    events::tell(db, &intent.told)?;
    Ok(true)
}

fn end(db: &Connection, done: &PartialEnd) -> rusqlite::Result<bool> {
    let (change, of) = (&done.change, &done.destroyed);
    let customer = change.customer;
    let is_done = db
        .prepare_cached(
            "SELECT 1 FROM partial_erasures WHERE customer = ?1 AND generation = ?2 AND leaf > 0",
        )?
        .exists(params![customer.0, done.generation])?;
    if is_done {
        return Ok(true);
    }
    if swap_state(db, customer, &change.was, &change.state, &change.state_mac)?.is_some() {
        return Ok(false);
    }
    for forgotten in [
        "DELETE FROM consent_events WHERE customer = ?1",
        "DELETE FROM consent_ends WHERE customer = ?1",
    ] {
        db.prepare_cached(forgotten)?.execute([customer.0])?;
    }
    let leaf = append_one(db, &done.leaf)?;
    db.prepare_cached(
        "UPDATE partial_erasures SET leaf = ?3, destroyed = ?4, keys = ?5, compromised = ?6,
                epoch = ?7, day = ?8, fingerprint = ?9
         WHERE customer = ?1 AND generation = ?2",
    )?
    .execute(params![
        customer.0,
        done.generation,
        leaf,
        of.generation,
        of.keys,
        of.compromised,
        of.epoch,
        done.today.0,
        &of.fingerprint[..]
    ])?;
    Ok(true)
}

/// What is left of a forgotten customer's: when, and which leaf says so.
pub fn forget(db: &Connection, customer: CustomerNumber) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partial_erasures SET sealed = x'' WHERE customer = ?1")?
        .execute([customer.0])?;
    db.prepare_cached("DELETE FROM living_certificates WHERE customer = ?1")?
        .execute([customer.0])?;
    Ok(())
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<PartialRow> {
    let (leaf, story): (u64, i64) = (row.get(1)?, row.get(2)?);
    let destroyed = match leaf {
        0 => None,
        _ => Some(Destroyed {
            generation: row.get(3)?,
            keys: row.get(4)?,
            compromised: row.get(5)?,
            epoch: row.get(6)?,
            day: Day(row.get(7)?),
            fingerprint: row.get(8)?,
        }),
    };
    Ok(PartialRow {
        generation: row.get(0)?,
        leaf,
        story: story.cast_unsigned(),
        destroyed,
        sealed: row.get(9)?,
    })
}

impl PartialRows for Reader {
    fn partial_erasures(&mut self, customer: CustomerNumber) -> Result<Vec<PartialRow>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT generation, leaf, story, destroyed, keys, compromised, epoch, day,
                    fingerprint, sealed
             FROM partial_erasures WHERE customer = ?1 ORDER BY generation",
        )?;
        let rows = statement.query_map([customer.0], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn partial_shred_to(
        &mut self,
        customer: CustomerNumber,
        generation: u32,
    ) -> Result<Option<Destroyed>> {
        let sql = format!(
            "SELECT {} FROM partial_shreds
             WHERE customer = ?1 AND generation = ?2 AND epoch > 0",
            generations::DESTROYED
        );
        Ok(self
            .keys()?
            .prepare_cached(&sql)?
            .query_row(params![customer.0, generation], generations::destroyed_of)
            .optional()?)
    }

    fn living_certificate(&mut self, customer: CustomerNumber) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT sealed FROM living_certificates WHERE customer = ?1";
        Ok(self
            .vault()?
            .prepare_cached(sql)?
            .query_row([customer.0], |row| row.get(0))
            .optional()?)
    }
}
