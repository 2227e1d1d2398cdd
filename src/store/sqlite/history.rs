//! How a customer's audit entries are found: rows whose keys look random, so
//! that each would cost a page of its own if it were put in its place at once.
//! The rows of a busy commit are kept together as one *batch*, sorted, so that
//! their order says nothing of the leaves'; many batches are folded into a
//! *run*, which lies sorted in the table.

use crate::limits;
use crate::store::HistoryRow;
use rusqlite::{Connection, Result, params};
use std::cell::RefCell;

/// A row of a batch: locator 16, nonce 8, masked leaf number 8, big-endian.
const ROW_BYTES: usize = 32;

/// A row with its leaf's masked number, in the order in which rows are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    slot: i64,
    locator: [u8; 16],
    nonce: [u8; 8],
    masked: u64,
}

thread_local! {
    /// The rows of the transaction that this thread has under way.
    static NOTED: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a leaf's row for the end of the transaction.
pub fn note(leaf: u64, row: &HistoryRow) {
    NOTED.with_borrow_mut(|noted| {
        noted.push(Entry {
            slot: row.slot,
            locator: row.locator,
            nonce: row.nonce,
            masked: leaf ^ row.mask,
        });
    });
}

/// How many rows are kept, for [`forget`].
pub fn noted() -> usize {
    NOTED.with_borrow(Vec::len)
}

/// Forgets the rows of what was undone.
pub fn forget(all_but: usize) {
    NOTED.with_borrow_mut(|noted| noted.truncate(all_but));
}

/// Decides when batches are folded.
pub struct Folds {
    batches: usize,
    /// The newest hour of a batch.
    slot: i64,
}

impl Folds {
    /// For a file as it was left.
    pub fn of(db: &Connection) -> Result<Self> {
        db.query_row(
            "SELECT count(*), coalesce(max(slot), 0) FROM history_batches",
            [],
            |row| {
                Ok(Self {
                    batches: row.get(0)?,
                    slot: row.get(1)?,
                })
            },
        )
    }

    /// Writes the rows of the transaction, as its last step.
    pub fn before_commit(&mut self, db: &Connection) -> Result<()> {
        let mut entries = NOTED.with_borrow_mut(std::mem::take);
        entries.sort_unstable();
        for of_slot in entries.chunk_by(|a, b| a.slot == b.slot) {
            if of_slot.len() < limits::HISTORY_BATCH {
                insert(db, 0, of_slot)?;
            } else {
                self.insert_batch(db, of_slot)?;
            }
        }
        Ok(())
    }

    fn insert_batch(&mut self, db: &Connection, entries: &[Entry]) -> Result<()> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let mut rows = Vec::with_capacity(entries.len() * ROW_BYTES);
        for entry in entries {
            rows.extend(entry.locator);
            rows.extend(entry.nonce);
            rows.extend(entry.masked.to_be_bytes());
        }
        db.prepare_cached("INSERT INTO history_batches (slot, rows) VALUES (?1, ?2)")?
            .execute(params![first.slot, rows])?;
        self.batches += 1;
        // With a new hour the batches of the one before are due.
        if first.slot > self.slot {
            self.batches = limits::HISTORY_BATCHES.max(self.batches);
            self.slot = first.slot;
        }
        Ok(())
    }

    /// Folds where there are many batches: in a transaction of its own, which
    /// changes nothing of what is found.
    pub fn after_commit(&mut self, db: &Connection) -> Result<()> {
        if self.batches < limits::HISTORY_BATCHES {
            return Ok(());
        }
        db.execute_batch("BEGIN IMMEDIATE")?;
        if let Err(error) = fold(db).and_then(|()| db.execute_batch("COMMIT")) {
            // It may have ended by itself.
            let _ = db.execute_batch("ROLLBACK");
            return Err(error);
        }
        *self = Self::of(db)?;
        Ok(())
    }
}

fn insert(db: &Connection, run: i64, entries: &[Entry]) -> Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO history (slot, run, locator, nonce, masked) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for entry in entries {
        insert.execute(params![
            entry.slot,
            run,
            &entry.locator[..],
            &entry.nonce[..],
            entry.masked.cast_signed()
        ])?;
    }
    Ok(())
}

/// Folds the batches of the oldest hour into one run.
pub fn fold(db: &Connection) -> Result<()> {
    let mut batches = db.prepare_cached(
        "SELECT batch, slot, rows FROM history_batches
         WHERE slot = (SELECT min(slot) FROM history_batches) ORDER BY batch",
    )?;
    let mut rows = batches.query([])?;
    let (mut entries, mut last): (Vec<Entry>, i64) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        entries.extend(entries_of(row.get(1)?, row.get_ref(2)?.as_blob()?));
    }
    drop(rows);
    let Some(slot) = entries.first().map(|entry| entry.slot) else {
        return Ok(());
    };
    entries.sort_unstable();
    let run = db
        .prepare_cached("SELECT coalesce(max(run), 0) + 1 FROM history WHERE slot = ?1")?
        .query_row([slot], |row| row.get(0))?;
    insert(db, run, &entries)?;
    db.prepare_cached("DELETE FROM history_batches WHERE slot = ?1 AND batch <= ?2")?
        .execute([slot, last])?;
    Ok(())
}

fn entries_of(slot: i64, rows: &[u8]) -> impl Iterator<Item = Entry> {
    rows.chunks_exact(ROW_BYTES).filter_map(move |row| {
        let (locator, rest) = row.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        Some(Entry {
            slot,
            locator: *locator,
            nonce: *nonce,
            masked: u64::from_be_bytes(*rest.first_chunk()?),
        })
    })
}

/// A customer's rows of one hour: nonces, and leaf numbers as they are masked.
pub fn find(db: &Connection, slot: i64, locator: &[u8; 16]) -> Result<Vec<([u8; 8], u64)>> {
    let mut found = Vec::new();
    // From run to run, each of which is sorted by locator; CROSS keeps SQLite
    // from looking for the runs anew with each row.
    let mut runs = db.prepare_cached(
        "WITH RECURSIVE runs (run) AS (
             SELECT min(run) FROM history WHERE slot = ?1
             UNION ALL
             SELECT (SELECT min(run) FROM history WHERE slot = ?1 AND run > runs.run)
             FROM runs WHERE run IS NOT NULL)
         SELECT nonce, masked FROM runs CROSS JOIN history ON history.run = runs.run
         WHERE slot = ?1 AND locator = ?2",
    )?;
    let mut rows = runs.query(params![slot, &locator[..]])?;
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
    }
    let mut batches = db.prepare_cached("SELECT rows FROM history_batches WHERE slot = ?1")?;
    let mut rows = batches.query([slot])?;
    while let Some(row) = rows.next()? {
        let entries = entries_of(slot, row.get_ref(0)?.as_blob()?);
        let own = entries.filter(|entry| entry.locator == *locator);
        found.extend(own.map(|entry| (entry.nonce, entry.masked)));
    }
    Ok(found)
}
