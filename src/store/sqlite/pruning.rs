//! Leaves of `vault.db` that are pruned. What is deleted is overwritten
//! (`secure_delete`), and gone from the write-ahead log once that is emptied.

use super::Sqlite;
use super::reader::{Reader, number};
use super::vault_file::append_one;
use crate::error::Result;
use crate::limits;
use crate::store::{BeginPrune, Pending, PruneRows, PruneStep, PruneStore, PrunedRow};
use rusqlite::{Connection, OptionalExtension, params};

impl PruneStore for Sqlite {
    fn begin_prune(&self, prune: BeginPrune) -> Pending<u64> {
        self.ordinary(&self.vault, move |db| begin(db, &prune))
    }

    fn prune_leaves(&self, step: PruneStep) -> Pending<bool> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| remove(db, &step)),
            Err(error) => Pending::refused(error),
        }
    }

    fn prune_history(&self, before: i64) -> Pending<bool> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| remove_history(db, before)),
            Err(error) => Pending::refused(error),
        }
    }
}

fn begin(db: &Connection, prune: &BeginPrune) -> rusqlite::Result<u64> {
    let known = pruned(db)?;
    let fits = |of: PrunedRow| of.removed == of.entries && of.entries < prune.entries;
    if !known.is_none_or(fits) {
        return Ok(0);
    }
    let leaf = append_one(db, &prune.leaf)?;
    db.execute(
        "INSERT INTO pruned (one, entries, removed, until, leaf) VALUES (1, ?1, 0, ?2, ?3)
         ON CONFLICT DO UPDATE SET entries = ?1, until = ?2, leaf = ?3",
        params![prune.entries, prune.until, leaf],
    )?;
    Ok(leaf)
}

fn remove(db: &Connection, step: &PruneStep) -> rusqlite::Result<bool> {
    let turned = db
        .prepare_cached(
            "UPDATE pruned SET removed = ?2 WHERE removed = ?1 AND entries >= ?2 AND ?1 < ?2",
        )?
        .execute(params![step.after, step.to])?;
    if turned == 0 {
        return Ok(false);
    }
    let mut between = db.prepare_cached("DELETE FROM leaves WHERE number > ?1 AND number < ?2")?;
    let mut from = step.after;
    for stays in step.stay.iter().copied().chain([step.to + 1]) {
        between.execute(params![from, stays])?;
        from = stays;
    }
    Ok(true)
}

fn remove_history(db: &Connection, before: i64) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "DELETE FROM history WHERE (slot, run, locator, nonce) IN
               (SELECT slot, run, locator, nonce FROM history WHERE slot < ?1 LIMIT ?2)",
        )?
        .execute(params![before, limits::PURGE_ROWS])?;
    let batches = db
        .prepare_cached(
            "DELETE FROM history_batches WHERE batch IN
               (SELECT batch FROM history_batches WHERE slot < ?1 LIMIT ?2)",
        )?
        .execute(params![before, limits::PRUNE_BATCHES])?;
    Ok(rows < limits::PURGE_ROWS && batches < limits::PRUNE_BATCHES)
}

pub fn pruned(db: &Connection) -> rusqlite::Result<Option<PrunedRow>> {
    db.prepare_cached("SELECT entries, removed, until, leaf FROM pruned")?
        .query_row([], |row| {
            Ok(PrunedRow {
                entries: number(row, 0)?,
                removed: number(row, 1)?,
                until: row.get(2)?,
                leaf: number(row, 3)?,
            })
        })
        .optional()
}

impl PruneRows for Reader {
    fn pruned(&mut self) -> Result<Option<PrunedRow>> {
        Ok(pruned(self.vault.db()?)?)
    }

    fn leaf(&mut self, number: u64) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT leaf, detail FROM leaves WHERE number = ?1")?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }
}
