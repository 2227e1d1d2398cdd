//! Reads of the ledger, and of what tells whether the two files fit each other.

use super::reader::Reader;
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{LedgerEntry, LedgerRows};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub const ENTRY: &str =
    "SELECT l.entry, l.kind, l.customer, l.number, l.epoch, l.day, f.fingerprint
     FROM ledger l LEFT JOIN fences f ON l.kind = 1 AND f.customer = l.customer";

pub fn entry_of(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    Ok(LedgerEntry {
        entry: row.get(0)?,
        kind: row.get(1)?,
        customer: CustomerNumber(row.get(2)?),
        number: row.get(3)?,
        epoch: row.get(4)?,
        day: Day(row.get(5)?),
        fingerprint: row.get(6)?,
    })
}

pub fn end(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT coalesce(max(entry), 0) FROM ledger", [], |row| {
        row.get(0)
    })
}

impl LedgerRows for Reader {
    fn ledger(&mut self, after: u64, most: usize) -> Result<Vec<LedgerEntry>> {
        let sql = format!("{ENTRY} WHERE l.entry > ?1 ORDER BY l.entry LIMIT ?2");
        let mut statement = self.keys.db()?.prepare_cached(&sql)?;
        let rows = statement.query_map(params![after, most], entry_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn ledger_end(&mut self) -> Result<u64> {
        Ok(end(self.keys.db()?)?)
    }

    fn unproven(&mut self) -> Result<Option<i64>> {
        let sql = "SELECT time FROM unproven";
        Ok(self
            .vault
            .db()?
            .query_row(sql, [], |row| row.get(0))
            .optional()?)
    }

    fn newer_than_keys(&mut self) -> Result<Option<CustomerNumber>> {
        let next: u64 = self.keys.db()?.query_row(
            "SELECT next FROM allocator WHERE name = 'customer'",
            [],
            |row| row.get(0),
        )?;
        let sql = "SELECT max(customer) FROM customers WHERE customer >= ?1";
        let unknown: Option<u64> = self.vault.db()?.query_row(sql, [next], |row| row.get(0))?;
        if unknown.is_some() {
            return Ok(unknown.map(CustomerNumber));
        }
        let mut fence = self
            .keys
            .db()?
            .prepare("SELECT 1 FROM fences WHERE customer = ?1")?;
        let mut shredded = self
            .vault
            .db()?
            .prepare("SELECT customer FROM erasures WHERE level >= 2")?;
        let mut rows = shredded.query([])?;
        while let Some(row) = rows.next()? {
            let customer: u64 = row.get(0)?;
            if fence
                .query_row([customer], |_| Ok(()))
                .optional()?
                .is_none()
            {
                return Ok(Some(CustomerNumber(customer)));
            }
        }
        Ok(None)
    }
}
