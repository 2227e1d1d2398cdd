//! Tiles and checkpoints in `vault.db`.

use super::pruning::pruned;
use super::reader::Reader;
use super::{Sqlite, reader};
use crate::clock::Day;
use crate::error::{Error, Lost, Result};
use crate::id::CustomerNumber;
use crate::store::{CheckpointRow, Fence, Pending, ReadJob, Rows, Seal, TreeRows, TreeStore};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::PoisonError;

impl TreeStore for Sqlite {
    fn seal(&self, seal: Seal) -> Pending<bool> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| grow(db, &seal)),
            Err(error) => Pending::refused(error),
        }
    }

    fn keep_cosigned(&self, checkpoint: CheckpointRow) -> Pending<()> {
        match self.reserve.check() {
            Ok(()) => self.vault.append(move |db| {
                let CheckpointRow { size, time, note } = &checkpoint;
                db.prepare_cached(
                    "INSERT INTO cosigned (one, size, time, note) VALUES (1, ?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET size = excluded.size, time = excluded.time,
                     note = excluded.note",
                )?
                .execute(params![size, time, note])
                .map(|_| ())
            }),
            Err(error) => Pending::refused(error),
        }
    }

    fn aside(&self, job: ReadJob) {
        let mut reader = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let _held = self.reads.hold();
        job(&mut *reader);
        reader.refresh();
    }
}

fn grow(db: &Connection, seal: &Seal) -> rusqlite::Result<bool> {
    let newest: u64 = db
        .prepare_cached("SELECT coalesce(max(size), 0) FROM checkpoints")?
        .query_row([], |row| row.get(0))?;
    if newest >= seal.checkpoint.size {
        return Ok(false);
    }
    for tile in &seal.tiles {
        db.prepare_cached(
            "INSERT INTO tiles (level, tile, hashes) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET hashes = excluded.hashes",
        )?
        .execute(params![tile.level, tile.index, tile.hashes])?;
    }
    db.prepare_cached("DELETE FROM checkpoints WHERE size = ?1 AND time >= ?2")?
        .execute(params![newest, seal.replaces_since])?;
    let CheckpointRow { size, time, note } = &seal.checkpoint;
    db.prepare_cached("INSERT INTO checkpoints (size, time, note) VALUES (?1, ?2, ?3)")?
        .execute(params![size, time, note])?;
    Ok(true)
}

impl Reader {
    fn one_checkpoint(&mut self, sql: &str) -> Result<Option<CheckpointRow>> {
        let mut statement = self.vault.db()?.prepare_cached(sql)?;
        let read = statement.query_row([], |row| {
            Ok(CheckpointRow {
                size: reader::number(row, 0)?,
                time: row.get(1)?,
                note: row.get(2)?,
            })
        });
        Ok(read.optional()?)
    }
}

impl TreeRows for Reader {
    fn checkpoint(&mut self) -> Result<Option<CheckpointRow>> {
        self.one_checkpoint("SELECT size, time, note FROM checkpoints ORDER BY size DESC LIMIT 1")
    }

    fn cosigned(&mut self) -> Result<Option<CheckpointRow>> {
        self.one_checkpoint("SELECT size, time, note FROM cosigned")
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT hashes FROM tiles WHERE level = ?1 AND tile = ?2")?
            .query_row(params![level, index], |row| row.get(0))
            .optional()?)
    }

    fn entries(&mut self, after: u64, most: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let removed = pruned(self.vault.db()?)?.map_or(0, |of| of.removed);
        let mut statement = self.vault.db()?.prepare_cached(
            "SELECT number, leaf FROM leaves WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, most], |row| {
            Ok((reader::number::<u64>(row, 0)?, row.get(1)?))
        })?;
        let (mut entries, mut last) = (Vec::new(), after);
        for row in rows {
            let (number, leaf) = row?;
            let expected = last.max(removed).saturating_add(1);
            if number > expected {
                tracing::error!(number, expected, "the log has a hole");
                return Err(Error::DataLoss(Lost::Row));
            }
            entries.push((number, leaf));
            last = number;
        }
        Ok(entries)
    }

    fn newest_entry(&mut self) -> Result<u64> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT coalesce(max(number), 0) FROM leaves")?
            .query_row([], |row| row.get(0))?)
    }

    fn sealed_before(&mut self, time: i64) -> Result<u64> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT coalesce(max(size), 0) FROM checkpoints WHERE time < ?1")?
            .query_row([time], |row| reader::number(row, 0))?)
    }

    fn sealed_after(&mut self, time: i64) -> Result<Option<u64>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT min(size) FROM checkpoints WHERE time >= ?1")?
            .query_row([time], |row| row.get(0))?)
    }

    fn fences(&mut self) -> Result<Vec<(CustomerNumber, Fence)>> {
        let mut statement = self
            .keys
            .db()?
            .prepare_cached("SELECT customer, epoch, day, fingerprint FROM fences")?;
        let rows = statement.query_map([], |row| {
            let fence = Fence {
                epoch: row.get(1)?,
                day: Day(row.get(2)?),
                fingerprint: row.get(3)?,
            };
            Ok((CustomerNumber(row.get(0)?), fence))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
