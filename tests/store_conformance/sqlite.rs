//! The embedded backend.

use crate::house::{Backend, DEPLOYMENT, LedgerEntry, first_epoch};
use oubliette::clock::Day;
use oubliette::error::Result;
use oubliette::id::CustomerNumber;
use oubliette::store::sqlite::{self, KEYS_FILE, Sqlite, VAULT_FILE};
use oubliette::store::{DataFile, LedgerKind, Rows, Store};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::path::PathBuf;
use std::sync::Arc;

struct Files(tempfile::TempDir);

/// An empty vault in a directory of its own.
pub fn backend() -> Box<dyn Backend> {
    let dir = tempfile::tempdir().unwrap();
    sqlite::found(dir.path(), DEPLOYMENT, &first_epoch()).unwrap();
    Box::new(Files(dir))
}

impl Files {
    fn path(&self, file: DataFile) -> PathBuf {
        self.0.path().join(self.name(file))
    }

    fn look(&self, file: DataFile) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        Connection::open_with_flags(self.path(file), flags).unwrap()
    }
}

/// A customer's records lie at places that begin with their number.
fn is_about(column: &str, value: ValueRef<'_>, customer: CustomerNumber, bytes: &[u8]) -> bool {
    match value {
        ValueRef::Integer(number) => match column {
            "customer" => number.unsigned_abs() == customer.0,
            "place" => number.unsigned_abs() >> 24 == customer.0,
            _ => false,
        },
        ValueRef::Blob(stored) | ValueRef::Text(stored) => holds(stored, bytes),
        ValueRef::Null | ValueRef::Real(_) => false,
    }
}

fn holds(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

impl Backend for Files {
    fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Sqlite::open(self.0.path())?))
    }

    fn open_rows(&self) -> Result<Box<dyn Rows>> {
        Ok(Box::new(sqlite::open_rows(self.0.path())?))
    }

    fn tables_about(&self, customer: CustomerNumber, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for file in [DataFile::Keys, DataFile::Vault] {
            let db = self.look(file);
            let mut tables = db
                .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
                .unwrap();
            let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
            for table in tables.map(std::result::Result::unwrap) {
                let mut all = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
                let columns: Vec<String> = all.column_names().map(str::to_owned).collect();
                let mut rows = all.query([]).unwrap();
                let mut is_here = false;
                while let Some(row) = rows.next().unwrap() {
                    is_here |= columns.iter().enumerate().any(|(at, column)| {
                        is_about(column, row.get_ref(at).unwrap(), customer, bytes)
                    });
                }
                if is_here {
                    found.push(table);
                }
            }
        }
        found
    }

    fn is_on_disk(&self, bytes: &[u8]) -> bool {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("reserve"))
            .any(|path| holds(&std::fs::read(path).unwrap(), bytes))
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        let db = self.look(DataFile::Keys);
        let mut entries = db
            .prepare("SELECT kind, customer, number, epoch, day FROM ledger ORDER BY entry")
            .unwrap();
        let entries = entries.query_map([], |row| {
            Ok(LedgerEntry {
                kind: match row.get(0)? {
                    1 => LedgerKind::Erasure,
                    2 => LedgerKind::RecordDeletion,
                    other => panic!("a ledger entry of kind {other}"),
                },
                customer: CustomerNumber(row.get(1)?),
                number: row.get(2)?,
                epoch: row.get(3)?,
                day: Day(row.get(4)?),
            })
        });
        entries.unwrap().map(std::result::Result::unwrap).collect()
    }

    fn log_bytes(&self, file: DataFile) -> u64 {
        let log = self.0.path().join(format!("{}-wal", self.name(file)));
        std::fs::metadata(log).unwrap().len()
    }

    fn make_newer(&self, file: DataFile) {
        let db = Connection::open(self.path(file)).unwrap();
        let seen: i64 = db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        db.pragma_update(None, "user_version", seen + 1).unwrap();
    }

    fn make_empty(&self, file: DataFile) {
        std::fs::write(self.path(file), []).unwrap();
    }

    fn remove(&self, file: DataFile) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    fn name(&self, file: DataFile) -> &'static str {
        match file {
            DataFile::Keys => KEYS_FILE,
            DataFile::Vault => VAULT_FILE,
        }
    }
}
