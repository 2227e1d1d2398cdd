//! Readers and events in `vault.db`.

use super::Sqlite;
use super::reader::Reader;
use super::vault_file::append_one;
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::limits;
use crate::store::{
    EventRow, EventRows, EventStore, EventSwap, LeafRow, Pending, ReaderRow, Tidings,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

impl EventStore for Sqlite {
    fn tell(&self, tidings: Tidings) -> Pending<bool> {
        self.vault.change(move |db| {
            let tells_all = tells_all(db, Some(&tidings))?;
            if tells_all {
                tell(db, &tidings)?;
            }
            Ok(tells_all)
        })
    }

    fn acknowledge_events(
        &self,
        recipient: String,
        events: Vec<u64>,
        today: Day,
        leaf: LeafRow,
    ) -> Pending<u64> {
        self.ordinary(&self.vault, move |db| {
            let mut acknowledged = 0;
            for event in &events {
                acknowledged +=
                    db.prepare_cached(
                        "UPDATE events SET acknowledged_day = ?3, sealed = x''
                         WHERE event = ?1 AND recipient = ?2 AND acknowledged_day IS NULL",
                    )?
                    .execute(params![event, recipient, today.0])? as u64;
            }
            append_one(db, &leaf)?;
            Ok(acknowledged)
        })
    }

    fn forget_events(&self, before: Day) -> Pending<usize> {
        self.vault.change(move |db| {
            let gone = db
                .prepare_cached(
                    "DELETE FROM events WHERE event IN
                       (SELECT event FROM events WHERE raised_day < ?1 AND kept = 0 LIMIT ?2)",
                )?
                .execute(params![before.0, limits::PURGE_ROWS])?;
            let emptied = db
                .prepare_cached(
                    "UPDATE events SET sealed = x'', kept = 2 WHERE event IN
                       (SELECT event FROM events WHERE raised_day < ?1 AND kept = 1 LIMIT ?2)",
                )?
                .execute(params![before.0, limits::PURGE_ROWS])?;
            Ok(gone.max(emptied))
        })
    }

    fn reseal_events(&self, swaps: Vec<EventSwap>) -> Pending<()> {
        self.vault.change(move |db| {
            for swap in &swaps {
                db.prepare_cached(
                    "UPDATE events SET epoch = ?3, sealed = ?4 WHERE event = ?1 AND sealed = ?2",
                )?
                .execute(params![swap.event, swap.old, swap.epoch, swap.new])?;
            }
            Ok(())
        })
    }
}

/// Notes a first read. False where the customer's state is another than the
/// read saw, or they are being forgotten.
pub fn note_reader(db: &Connection, reader: &ReaderRow) -> rusqlite::Result<bool> {
    let stands = db
        .prepare_cached(
            "SELECT 1 FROM customers WHERE customer = ?1 AND state_mac = ?2
               AND NOT EXISTS (SELECT 1 FROM erasures WHERE customer = ?1)",
        )?
        .exists(params![reader.customer.0, reader.state_mac])?;
    if stands {
        db.prepare_cached(
            "INSERT INTO readers (customer, reader, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            reader.customer.0,
            &reader.reader[..],
            reader.sealed
        ])?;
    }
    Ok(stands)
}

/// Whether there is no reader who would not be told: to be asked before
/// anything of the change is done.
pub fn tells_all(db: &Connection, tidings: Option<&Tidings>) -> rusqlite::Result<bool> {
    let Some(tidings) = tidings else {
        return Ok(true);
    };
    let readers: u64 = db
        .prepare_cached("SELECT count(*) FROM readers WHERE customer = ?1")?
        .query_row([tidings.customer.0], |row| row.get(0))?;
    Ok(readers == tidings.readers)
}

/// Puts the events of a change on record, in the change's own transaction.
pub fn tell(db: &Connection, tidings: &Tidings) -> rusqlite::Result<()> {
    for (recipient, sealed) in &tidings.events {
        db.prepare_cached(
            "INSERT INTO events (tenant, recipient, story, kept, raised_day, epoch, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            tidings.tenant.0,
            recipient,
            tidings.story.cast_signed(),
            tidings.is_kept,
            tidings.raised.0,
            tidings.epoch,
            sealed
        ])?;
    }
    Ok(())
}

const COLUMNS: &str =
    "event, tenant, recipient, story, raised_day, acknowledged_day, epoch, sealed";

fn row_of(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let acknowledged: Option<i32> = row.get(5)?;
    Ok(EventRow {
        event: row.get(0)?,
        tenant: TenantNumber(row.get(1)?),
        recipient: row.get(2)?,
        story: row.get::<_, i64>(3)?.cast_unsigned(),
        raised: Day(row.get(4)?),
        acknowledged: acknowledged.map(Day),
        epoch: row.get(6)?,
        sealed: row.get(7)?,
    })
}

impl Reader {
    fn events(&mut self, which: &str, params: impl rusqlite::Params) -> Result<Vec<EventRow>> {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE {which}");
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let rows = statement.query_map(params, row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl EventRows for Reader {
    fn readers(&mut self, customer: CustomerNumber) -> Result<Vec<([u8; 16], Vec<u8>)>> {
        let mut readers = self
            .vault()?
            .prepare_cached("SELECT reader, sealed FROM readers WHERE customer = ?1")?;
        let rows = readers.query_map([customer.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn events_for(&mut self, recipient: &str, after: u64, most: usize) -> Result<Vec<EventRow>> {
        let which = "recipient = ?1 AND event > ?2 AND acknowledged_day IS NULL
                     AND length(sealed) > 0 ORDER BY event LIMIT ?3";
        self.events(which, params![recipient, after, most])
    }

    fn unacknowledged(
        &mut self,
        tenant: TenantNumber,
        recipient: &str,
        after: u64,
        most: usize,
    ) -> Result<Vec<EventRow>> {
        let which = "tenant = ?1 AND (?2 = '' OR recipient = ?2) AND event > ?3
                     AND acknowledged_day IS NULL ORDER BY event LIMIT ?4";
        self.events(which, params![tenant.0, recipient, after, most])
    }

    fn story(&mut self, story: u64) -> Result<Vec<EventRow>> {
        self.events("story = ?1 ORDER BY event", [story.cast_signed()])
    }

    fn story_of_erasure(&mut self, customer: CustomerNumber) -> Result<u64> {
        let story: Option<i64> = self
            .vault()?
            .prepare_cached("SELECT story FROM erasures WHERE customer = ?1")?
            .query_row([customer.0], |row| row.get(0))
            .optional()?;
        Ok(story.unwrap_or(0).cast_unsigned())
    }

    fn events_up_to(&mut self, epoch: u32, most: usize) -> Result<Vec<EventRow>> {
        let which = "epoch <= ?1 AND length(sealed) > 0 ORDER BY event LIMIT ?2";
        self.events(which, params![epoch, most])
    }

    fn newest_event(&mut self) -> Result<u64> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";
        let newest = self
            .vault()?
            .query_row(sql, [], |row| row.get(0))
            .optional()?;
        Ok(newest.unwrap_or(0))
    }
}
