//! What is kept for a time, in `vault.db`.

use super::reader::{Reader, record_of};
use super::vault_file::{append_one, key_at, place};
use super::{Sqlite, events};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::{
    KeepingCounts, Pending, PutRecord, RecordKey, RecordRow, RetentionRows, RetentionStore,
    SweepRecord, SweepRow,
};
use rusqlite::{Connection, OptionalExtension, params};

/// Notes on which day a record was written, and where its values came from. What
/// was collected on an earlier day has a day of its own, and is looked at by the
/// next sweep: that day may be swept already.
pub fn note_write(db: &Connection, put: &PutRecord) -> rusqlite::Result<()> {
    note_day(db, put, put.today)?;
    if put.collected < put.today {
        note_day(db, put, put.collected)?;
        db.prepare_cached("INSERT INTO deferred (place) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([place(put.key)?])?;
    }
    note_origin(db, put.key, &put.origin)
}

fn note_day(db: &Connection, put: &PutRecord, day: Day) -> rusqlite::Result<()> {
    let at = params![put.record_type, day.0, place(put.key)?];
    let sql = "INSERT INTO writes (type, day, place) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    db.prepare_cached(sql)?.execute(at).map(drop)
}

/// Puts where a record's values came from in the place of what was known.
pub fn note_origin(db: &Connection, key: RecordKey, origin: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO origins (place, sealed) VALUES (?1, ?2)
         ON CONFLICT (place) DO UPDATE SET sealed = ?2",
    )?
    .execute(params![place(key)?, origin])?;
    Ok(())
}

/// A customer's consent to something ends on a day.
pub fn note_end(db: &Connection, customer: CustomerNumber, day: Day) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO consent_ends (day, customer) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute(params![day.0, customer.0])?;
    Ok(())
}

/// A record is gone, and what is known of its keeping with it.
pub fn forget(db: &Connection, at: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM writes WHERE place = ?1",
        "DELETE FROM origins WHERE place = ?1",
        "DELETE FROM deferred WHERE place = ?1",
    ] {
        db.prepare_cached(sql)?.execute([at])?;
    }
    Ok(())
}

impl RetentionStore for Sqlite {
    fn sweep_record(&self, sweep: SweepRecord) -> Pending<bool> {
        self.vault.change(move |db| swept(db, &sweep))
    }

    fn swept_up_to(&self, record_type: u16, field: u16, day: Day) -> Pending<()> {
        self.vault.change(move |db| {
            db.prepare_cached(
                "INSERT INTO swept (type, field, up_to) VALUES (?1, ?2, ?3)
                 ON CONFLICT (type, field) DO UPDATE SET up_to = max(up_to, ?3)",
            )?
            .execute(params![record_type, field, day.0])
            .map(drop)
        })
    }

    fn defer_sweep(&self, key: RecordKey, is_deferred: bool) -> Pending<()> {
        let sql = if is_deferred {
            "INSERT INTO deferred (place) VALUES (?1) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM deferred WHERE place = ?1"
        };
        self.vault.change(move |db| {
            let done = db.prepare_cached(sql)?.execute([place(key)?]);
            done.map(drop)
        })
    }

    fn swept_customer(&self, customer: CustomerNumber, up_to: Day) -> Pending<()> {
        self.vault.change(move |db| {
            db.prepare_cached("DELETE FROM consent_ends WHERE customer = ?1 AND day <= ?2")?
                .execute(params![customer.0, up_to.0])
                .map(drop)
        })
    }

    fn note_sweep(&self, sweep: SweepRow) -> Pending<()> {
        self.vault.change(move |db| {
            db.prepare_cached(
                "INSERT INTO sweeps (one, day, looked, fields, late) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (one) DO UPDATE SET day = ?1, looked = looked + ?2,
                   fields = fields + ?3, late = ?4",
            )?
            .execute(params![sweep.day, sweep.looked, sweep.fields, sweep.late])
            .map(drop)
        })
    }
}

fn swept(db: &Connection, sweep: &SweepRecord) -> rusqlite::Result<bool> {
    if !events::tells_all(db, sweep.told.as_ref())? {
        return Ok(false);
    }
    let at = place(sweep.key)?;
    match &sweep.left {
        Some(left) => {
            // No activity of the customer's: the day of the last write stays.
            let changed = db
                .prepare_cached(
                    "UPDATE records SET revision = revision + 1, manifest = ?3, body = ?4,
                            generation = ?5 WHERE place = ?1 AND revision = ?2",
                )?
                .execute(params![
                    at,
                    sweep.replaces,
                    &left.manifest[..],
                    left.body,
                    left.generation
                ])?;
            if changed == 0 {
                return Ok(false);
            }
            note_origin(db, sweep.key, &left.origin)?;
        }
        None => {
            let locator: Option<Vec<u8>> = db
                .prepare_cached(
                    "DELETE FROM records WHERE place = ?1 AND revision = ?2 RETURNING locator",
                )?
                .query_row(params![at, sweep.replaces], |row| row.get(0))
                .optional()?;
            let Some(locator) = locator else {
                return Ok(false);
            };
            let customer = sweep.key.customer.0;
            db.prepare_cached("DELETE FROM locators WHERE customer = ?1 AND locator = ?2")?
                .execute(params![customer, locator])?;
            db.prepare_cached("UPDATE customers SET records = records - 1 WHERE customer = ?1")?
                .execute([customer])?;
            forget(db, at)?;
        }
    }
    db.prepare_cached("DELETE FROM deferred WHERE place = ?1")?
        .execute([at])?;
    if let Some(told) = &sweep.told {
        events::tell(db, told)?;
    }
    append_one(db, &sweep.leaf)?;
    Ok(true)
}

impl RetentionRows for Reader {
    fn field_swept_up_to(&mut self, record_type: u16, field: u16) -> Result<Option<Day>> {
        let day: Option<i32> = self
            .vault()?
            .prepare_cached("SELECT up_to FROM swept WHERE type = ?1 AND field = ?2")?
            .query_row(params![record_type, field], |row| row.get(0))
            .optional()?;
        Ok(day.map(Day))
    }

    fn written_between(
        &mut self,
        record_type: u16,
        (first, last): (Day, Day),
        after: Option<(Day, RecordKey)>,
        most: usize,
    ) -> Result<Vec<(Day, RecordKey)>> {
        let mut rows = self.vault()?.prepare_cached(
            "SELECT day, place FROM writes
             WHERE type = ?1 AND (day, place) > (?2, ?3) AND day <= ?4
             ORDER BY day, place LIMIT ?5",
        )?;
        let (day, at) = match after {
            None => (first.0, -1),
            Some((day, key)) => (day.0, place(key)?),
        };
        let found = rows.query_map(params![record_type, day, at, last.0, most], |row| {
            Ok((Day(row.get(0)?), key_at(row.get(1)?)))
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn deferred(&mut self, after: Option<RecordKey>, most: usize) -> Result<Vec<RecordKey>> {
        let mut rows = self.vault()?.prepare_cached(
            "SELECT place FROM deferred WHERE place > ?1 ORDER BY place LIMIT ?2",
        )?;
        let after = after.map_or(Ok(-1), place)?;
        let found = rows.query_map(params![after, most], |row| Ok(key_at(row.get(0)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn consent_ended(&mut self, up_to: Day, most: usize) -> Result<Vec<CustomerNumber>> {
        let mut rows = self.vault()?.prepare_cached(
            "SELECT DISTINCT customer FROM
               (SELECT customer FROM consent_ends WHERE day <= ?1 ORDER BY day LIMIT ?2)",
        )?;
        let found = rows.query_map(params![up_to.0, most], |row| {
            Ok(CustomerNumber(row.get(0)?))
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn record_at(&mut self, key: RecordKey) -> Result<Option<RecordRow>> {
        let found = self
            .vault()?
            .prepare_cached(
                "SELECT place, type, revision, schema_version, generation, created_day,
                        updated_day, manifest, sealed_id, body FROM records WHERE place = ?1",
            )?
            .query_row([place(key)?], record_of)
            .optional()?;
        Ok(found)
    }

    fn origin(&mut self, key: RecordKey) -> Result<Option<Vec<u8>>> {
        let found = self
            .vault()?
            .prepare_cached("SELECT sealed FROM origins WHERE place = ?1")?
            .query_row([place(key)?], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    fn has_open_request(&mut self, customer: CustomerNumber) -> Result<bool> {
        let open = "SELECT 1 FROM rights WHERE customer = ?1 AND customer > 0 AND state < ?2";
        let ended = super::rights::ENDED;
        let mut found = self.vault()?.prepare_cached(open)?;
        Ok(found.exists(params![customer.0, ended])?)
    }

    fn keeping_counts(
        &mut self,
        tenant: TenantNumber,
        idle_since: Day,
        (today, soon): (Day, Day),
    ) -> Result<KeepingCounts> {
        let db = self.vault()?;
        let count = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<u64> {
            db.prepare_cached(sql)?.query_row(params, |row| row.get(0))
        };
        Ok(KeepingCounts {
            customers: count(
                "SELECT count(*) FROM customers WHERE tenant = ?1",
                &[&tenant.0],
            )?,
            idle: count(
                "SELECT count(*) FROM customers c WHERE tenant = ?1 AND created_day < ?2
                   AND NOT EXISTS (SELECT 1 FROM writes w
                     WHERE w.place BETWEEN c.customer << 24 AND (c.customer << 24) + 16777215
                       AND w.day >= ?2)",
                &[&tenant.0, &idle_since.0],
            )?,
            waiting: count(
                "SELECT count(*) FROM deferred d JOIN records r USING (place)
                 WHERE r.tenant = ?1",
                &[&tenant.0],
            )?,
            ending: count(
                "SELECT count(DISTINCT e.customer) FROM consent_ends e JOIN customers c
                   USING (customer) WHERE c.tenant = ?1 AND e.day > ?2 AND e.day <= ?3",
                &[&tenant.0, &today.0, &soon.0],
            )?,
        })
    }

    fn sweeps(&mut self) -> Result<(SweepRow, u64)> {
        let db = self.vault()?;
        let row = db
            .prepare_cached("SELECT day, looked, fields, late FROM sweeps")?
            .query_row([], |row| {
                Ok(SweepRow {
                    day: row.get(0)?,
                    looked: row.get(1)?,
                    fields: row.get(2)?,
                    late: row.get(3)?,
                })
            })
            .optional()?;
        let waiting = db.query_row("SELECT count(*) FROM deferred", [], |row| row.get(0))?;
        Ok((row.unwrap_or_default(), waiting))
    }
}
