//! Emptying a file's write-ahead log: in full on request, and so that it does
//! not grow without end.

use super::reads::Reads;
use crate::limits;
use rusqlite::{Connection, Result};
use std::sync::Arc;
use std::time::Duration;

/// Keeps one file's log short.
pub struct Checkpoints {
    reads: Arc<Reads>,
    /// Pages in the log after the last commit.
    pages: u64,
    /// How many there may be before the next try.
    most: u64,
}

impl Checkpoints {
    /// For a file that `reads` are made of.
    pub fn new(reads: Arc<Reads>) -> Self {
        Self {
            reads,
            pages: 0,
            most: limits::LOG_PAGES,
        }
    }

    /// Copies a long log into the file. The readers let go of their states
    /// meanwhile; the next ones do without the log, so that the commit that
    /// follows begins it anew.
    pub fn after_commit(&mut self, db: &Connection) -> Result<()> {
        let pages = run(db, "PRAGMA wal_checkpoint(NOOP)")?.1;
        if pages < self.pages {
            self.most = limits::LOG_PAGES;
        }
        self.pages = pages;
        if pages < self.most {
            return Ok(());
        }
        // Where another process reads, it cannot begin anew: tried again when
        // it has grown by as much.
        self.most = pages + limits::LOG_PAGES;
        self.reads
            .quietly(|| run(db, "PRAGMA wal_checkpoint(PASSIVE)"))
            .map(|_| ())
    }
}

/// Tries to empty the write-ahead log; false while another's reader holds it,
/// which is not waited for: changes would wait with it.
pub fn truncate(db: &Connection, reads: &Reads) -> Result<bool> {
    db.busy_timeout(Duration::ZERO)?;
    let emptied = reads.quietly(|| run(db, "PRAGMA wal_checkpoint(TRUNCATE)"));
    db.busy_timeout(limits::BUSY_TIME)?;
    emptied.map(|(is_busy, _)| !is_busy)
}

/// Whether it was busy, and the log's pages.
fn run(db: &Connection, checkpoint: &str) -> Result<(bool, u64)> {
    db.prepare_cached(checkpoint)?.query_row([], |row| {
        let (busy, pages): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((busy != 0, u64::try_from(pages).unwrap_or(0)))
    })
}
