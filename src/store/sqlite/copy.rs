//! A copy of `vault.db` beside a running server, and the mark by which a copy
//! is known. A live file is never copied as a file.

use super::error::refused;
use super::pack::set_mark;
use super::{KEYS_FILE, VAULT_FILE, ledger, schema};
use crate::error::{Error, Result};
use crate::store::CopyMark;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Copies the `vault.db` of `dir` to `to`, which must not be there: as of one
/// moment, whole, durable, and marked as a copy. The mark is read before the
/// copy begins: a change that the ledger noted until then is in the copy.
pub fn copy_data(dir: &Path, to: &Path, time: i64) -> Result<CopyMark> {
    let keys = schema::open_reader(&dir.join(KEYS_FILE), schema::KEYS)?;
    let mark = CopyMark {
        deployment: deployment(dir)?,
        ledger: ledger::end(&keys).map_err(refused)?,
        time,
    };
    drop(keys);
    let vault = schema::open_reader(&dir.join(VAULT_FILE), schema::VAULT)?;
    // Made here, so that it is the owner's only; SQLite fills an empty file.
    let cannot = |why: std::io::Error| {
        let kind = why.kind();
        Error::Setup(format!(
            "cannot make {}: {kind}; nothing was copied",
            to.display()
        ))
    };
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to);
    made.map_err(cannot)?;
    let copied = (|| {
        let name = to.to_str().ok_or_else(|| {
            Error::Setup(format!(
                "{} is not a name in UTF-8; name another",
                to.display()
            ))
        })?;
        vault.execute("VACUUM INTO ?1", [name]).map_err(refused)?;
        let copy = Connection::open(to).map_err(refused)?;
        copy.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")
            .map_err(refused)?;
        set_mark(&copy, &mark).map_err(refused)?;
        copy.close().map_err(|(_, error)| refused(error))?;
        File::open(to)
            .and_then(|file| file.sync_all())
            .map_err(cannot)
    })();
    if copied.is_err() {
        // Half a copy is of no use; what cannot be removed bears no mark.
        let _ = std::fs::remove_file(to);
    }
    copied.map(|()| mark)
}

fn mark(path: &Path, steps: &[&str]) -> Result<Option<CopyMark>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(refused)?;
    schema::steps_seen(&db, steps, path)?;
    let known = db
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'copy'")
        .and_then(|mut statement| statement.exists([]));
    if !known.map_err(refused)? {
        return Ok(None);
    }
    db.query_row("SELECT deployment, ledger, time FROM copy", [], |row| {
        Ok(CopyMark {
            deployment: row.get(0)?,
            ledger: row.get(1)?,
            time: row.get(2)?,
        })
    })
    .optional()
    .map_err(refused)
}

/// The mark of a `vault.db`, if it is a copy.
pub fn mark_of_data(path: &Path) -> Result<Option<CopyMark>> {
    mark(path, schema::VAULT)
}

/// The mark of a `keys.db`, if it is a copy.
pub fn mark_of_keys(path: &Path) -> Result<Option<CopyMark>> {
    mark(path, schema::KEYS)
}

/// Which vault the `keys.db` of `dir` belongs to.
pub fn deployment(dir: &Path) -> Result<[u8; 16]> {
    let keys = schema::open_reader(&dir.join(KEYS_FILE), schema::KEYS)?;
    keys.query_row("SELECT id FROM deployment", [], |row| row.get(0))
        .map_err(refused)
}

/// Moves what a write-ahead log holds into its file, which nobody else has
/// open, so that the file can be moved by itself.
pub fn settle_log(path: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(refused)?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(refused)?;
    db.close().map_err(|(_, error)| refused(error))
}
