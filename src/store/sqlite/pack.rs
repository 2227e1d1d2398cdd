//! `keys.db` taken apart and put together again: read part by part beside a
//! running server, each in one short transaction; some parts together are an
//! image, itself an SQLite file in memory; and a new file made of parts.

use super::error::refused;
use super::{KEYS_FILE, ledger, schema};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{CopyMark, EpochState, LedgerEntry, LedgerKind, Part};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The tables that have parts of their own; `copy` is no content.
const APART: [&str; 5] = ["pages", "customer_keys", "fences", "ledger", "copy"];

/// The rows of one part.
pub struct PartRows(Vec<(String, Vec<Vec<Value>>)>);

impl PartRows {
    /// SHA-256 of the rows: tables by name, rows in the order of their bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (table, rows) in self.0.iter().filter(|(_, rows)| !rows.is_empty()) {
            hash.update(bytes_of(table.as_bytes(), b't'));
            let mut rows: Vec<Vec<u8>> = rows.iter().map(|row| row_bytes(row)).collect();
            rows.sort_unstable();
            rows.iter().for_each(|row| hash.update(bytes_of(row, b'r')));
        }
        hash.finalize().into()
    }

    /// About how many bytes it is.
    pub fn weight(&self) -> usize {
        let of = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 8,
        };
        let rows = self.0.iter().flat_map(|(_, rows)| rows);
        rows.map(|row| row.iter().map(of).sum::<usize>()).sum()
    }
}

fn bytes_of(bytes: &[u8], kind: u8) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((bytes.len() as u64).to_be_bytes());
    out.extend(bytes);
    out
}

fn row_bytes(row: &[Value]) -> Vec<u8> {
    let values = row.iter().flat_map(|value| match value {
        Value::Null => bytes_of(&[], b'n'),
        Value::Integer(number) => bytes_of(&number.to_be_bytes(), b'i'),
        Value::Real(number) => bytes_of(&number.to_be_bytes(), b'f'),
        Value::Text(text) => bytes_of(text.as_bytes(), b's'),
        Value::Blob(bytes) => bytes_of(bytes, b'b'),
    });
    values.collect()
}

/// The tables of a part and which of their rows.
fn places(db: &Connection, part: Part) -> rusqlite::Result<Vec<(String, String)>> {
    let page = limits::CUSTOMERS_PER_PAGE_BITS;
    let range = |of: &str, first: u64, many: u64| {
        format!(
            "{of} BETWEEN {first} AND {}",
            first.saturating_add(many - 1)
        )
    };
    Ok(match part {
        Part::Customers(number) => {
            let customers = range("customer", number << page, 1 << page);
            vec![
                ("pages".to_owned(), format!("kind = 1 AND page = {number}")),
                ("customer_keys".to_owned(), customers.clone()),
                ("fences".to_owned(), customers),
            ]
        }
        Part::Index(group) => {
            let pages = range("page", group << page, 1 << page);
            vec![("pages".to_owned(), format!("kind = 2 AND {pages}"))]
        }
        Part::Ledger(group) => {
            let most = limits::LEDGER_PART;
            vec![("ledger".to_owned(), range("entry", group * most, most))]
        }
        Part::Rest => {
            let mut tables = db.prepare(
                "SELECT name FROM sqlite_schema
                 WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
            )?;
            let names = tables.query_map([], |row| row.get(0))?;
            let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
            let rest = names
                .into_iter()
                .filter(|name| !APART.contains(&name.as_str()));
            rest.map(|name| (name, "1".to_owned())).collect()
        }
    })
}

fn read(db: &Connection, part: Part) -> rusqlite::Result<PartRows> {
    let mut found = Vec::new();
    for (table, of) in places(db, part)? {
        let mut statement = db.prepare_cached(&format!("SELECT * FROM {table} WHERE {of}"))?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
        found.push((table, rows.collect::<rusqlite::Result<_>>()?));
    }
    Ok(PartRows(found))
}

fn write(db: &Connection, rows: &PartRows) -> rusqlite::Result<()> {
    for (table, rows) in &rows.0 {
        for row in rows {
            let places = vec!["?"; row.len()].join(", ");
            let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
            db.prepare_cached(&sql)?.execute(params_from_iter(row))?;
        }
    }
    Ok(())
}

/// Reads `keys.db` part by part.
pub struct KeysScan(Connection);

impl KeysScan {
    /// Opens the file in `dir` for reading, also beside a running server.
    pub fn open(dir: &Path) -> Result<Self> {
        schema::open_reader(&dir.join(KEYS_FILE), schema::KEYS).map(Self)
    }

    /// Every part that there is, [`Part::Rest`] last.
    pub fn parts(&self) -> Result<Vec<Part>> {
        let most = |sql: &str| -> Result<u64> {
            self.0.query_row(sql, [], |row| row.get(0)).map_err(refused)
        };
        let page = limits::CUSTOMERS_PER_PAGE_BITS;
        let customers = most(
            "SELECT max(coalesce((SELECT max(customer) FROM customer_keys), 0),
                        coalesce((SELECT max(customer) FROM fences), 0))",
        )? >> page;
        let pages = most("SELECT coalesce(max(page), 0) FROM pages WHERE kind = 1")?;
        let index = most("SELECT coalesce(max(page), 0) FROM pages WHERE kind = 2")? >> page;
        let entries = most("SELECT coalesce(max(entry), 0) FROM ledger")? / limits::LEDGER_PART;
        let mut parts: Vec<Part> = (0..=customers.max(pages)).map(Part::Customers).collect();
        parts.extend((0..=index).map(Part::Index));
        parts.extend((0..=entries).map(Part::Ledger));
        parts.push(Part::Rest);
        Ok(parts)
    }

    /// The rows of a part, as of one moment.
    pub fn read(&self, part: Part) -> Result<PartRows> {
        self.0.execute_batch("BEGIN").map_err(refused)?;
        let rows = read(&self.0, part);
        self.0.execute_batch("COMMIT").map_err(refused)?;
        rows.map_err(refused)
    }

    /// Which vault, the last entry of its ledger, and its epochs that are not
    /// destroyed.
    pub fn now(&self) -> Result<([u8; 16], u64, Vec<u32>)> {
        let db = &self.0;
        let deployment = db.query_row("SELECT id FROM deployment", [], |row| row.get(0));
        let live = || {
            let mut epochs =
                db.prepare("SELECT epoch FROM epochs WHERE state < ?1 ORDER BY epoch")?;
            let rows = epochs.query_map([EpochState::Destroyed as u8], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<u32>>>()
        };
        Ok((
            deployment.map_err(refused)?,
            ledger::end(db).map_err(refused)?,
            live().map_err(refused)?,
        ))
    }
}

/// Some parts of a `keys.db`, in memory.
pub struct Image(Connection);

impl Image {
    /// One without rows.
    pub fn new() -> Result<Self> {
        let db = Connection::open_in_memory().map_err(refused)?;
        schema::migrate(&db, schema::KEYS, 0)?;
        Ok(Self(db))
    }

    /// Adds the rows of a part.
    pub fn add(&self, rows: &PartRows) -> Result<()> {
        self.0.execute_batch("BEGIN").map_err(refused)?;
        write(&self.0, rows).map_err(refused)?;
        self.0.execute_batch("COMMIT").map_err(refused)
    }

    /// The image as the bytes of an SQLite file.
    pub fn bytes(mut self) -> Result<Vec<u8>> {
        let bytes = self.0.serialize("main").map_err(refused)?;
        Ok(bytes.to_vec())
    }

    /// Reads what [`Image::bytes`] made.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        let mut db = Connection::open_in_memory().map_err(refused)?;
        db.deserialize_read_exact("main", bytes, bytes.len(), false)
            .map_err(refused)?;
        Ok(Self(db))
    }

    /// The rows of a part.
    pub fn read(&self, part: Part) -> Result<PartRows> {
        read(&self.0, part).map_err(refused)
    }

    /// Brings an image of an older version to the newest step.
    pub fn migrate(&self) -> Result<()> {
        let seen: usize = self
            .0
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(refused)?;
        schema::migrate(&self.0, schema::KEYS, seen)
    }

    /// The connection, for whoever looks at rows of an image as at those of a
    /// file.
    pub(super) fn into_db(self) -> Connection {
        self.0
    }
}

/// A new `keys.db` in the making.
pub struct KeysBuild(Connection);

impl KeysBuild {
    /// Makes an empty file, marked as a copy that is not restored yet.
    pub fn create(path: &Path, mark: &CopyMark) -> Result<Self> {
        schema::create(path, schema::KEYS)?;
        let db = schema::open_writer(path, schema::KEYS)?;
        set_mark(&db, mark).map_err(refused)?;
        Ok(Self(db))
    }

    /// Puts the rows of a part in.
    pub fn add(&self, rows: &PartRows) -> Result<()> {
        self.0.execute_batch("BEGIN IMMEDIATE").map_err(refused)?;
        write(&self.0, rows).map_err(refused)?;
        self.0.execute_batch("COMMIT").map_err(refused)
    }

    /// The entries of the ledger that came with the parts.
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        let all = || {
            let mut statement = self
                .0
                .prepare(&format!("{} ORDER BY l.entry", ledger::ENTRY))?;
            let rows = statement.query_map([], ledger::entry_of)?;
            rows.collect::<rusqlite::Result<_>>()
        };
        all().map_err(refused)
    }

    /// Applies the ledger: what it lists is added where it is missing, and
    /// nobody whom it lists keeps a key. Every page counts as dirty from now
    /// on, and no erasure is stamped with an earlier epoch than `floor`, since
    /// a newer backup may exist. Answers how many had keys again.
    pub fn apply(
        &self,
        entries: &[LedgerEntry],
        floor: u32,
        is_proven: bool,
        time: i64,
    ) -> Result<u64> {
        self.0.execute_batch("BEGIN IMMEDIATE").map_err(refused)?;
        let gone = apply(&self.0, entries).map_err(refused)?;
        let restored = || {
            self.0.execute("UPDATE pages SET dirty = 1", [])?;
            // A closing epoch that nothing hangs on is past its gate: its
            // provider key may be gone.
            self.0.execute(
                "UPDATE epochs SET state = ?1 WHERE state = ?2
                   AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.epoch = epochs.epoch)
                   AND NOT EXISTS (SELECT 1 FROM tenants t WHERE t.epoch = epochs.epoch)",
                [EpochState::Condemned as u8, EpochState::Closing as u8],
            )?;
            self.0.execute(
                "INSERT OR REPLACE INTO restored (one, floor, proven, time) VALUES (1, ?1, ?2, ?3)",
                params![floor, is_proven, time],
            )
        };
        restored().map_err(refused)?;
        self.0.execute_batch("COMMIT").map_err(refused)?;
        Ok(gone)
    }

    /// Shreds customers whom `vault.db` shows as erased and the ledger does not
    /// list; each gets an entry. Answers how many there were.
    pub fn shred_unlisted(&self, shredded: &[(CustomerNumber, Day)], epoch: u32) -> Result<u64> {
        let mut listed = 0;
        for (customer, day) in shredded {
            let missing = self.0.execute(
                "INSERT INTO ledger (kind, customer, number, epoch, day)
                 SELECT 1, ?1, 0, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM fences WHERE customer = ?1)",
                params![customer.0, epoch, day.0],
            );
            if missing.map_err(refused)? == 1 {
                shred_again(&self.0, *customer, epoch, *day, [0; 32]).map_err(refused)?;
                listed += 1;
            }
        }
        Ok(listed)
    }

    /// Numbers begin beyond everything that was given out before: beyond
    /// `customer` and `page`, and far beyond what the file itself says.
    pub fn skip_numbers(&self, customer: u64, page: u64) -> Result<()> {
        for (name, beyond) in [("customer", customer), ("index_page", page)] {
            self.0
                .execute(
                    "UPDATE allocator SET next = max(next, ?2 + 1) + ?3 WHERE name = ?1",
                    params![name, beyond, limits::NUMBERS_SKIPPED],
                )
                .map_err(refused)?;
        }
        Ok(())
    }

    /// The newest epoch, and those that page rows name.
    pub fn epochs(&self) -> Result<(u32, Vec<u32>)> {
        let all = || {
            let newest = self
                .0
                .query_row("SELECT max(epoch) FROM epochs", [], |row| row.get(0))?;
            let mut named = self
                .0
                .prepare("SELECT DISTINCT epoch FROM pages ORDER BY epoch")?;
            let rows = named.query_map([], |row| row.get(0))?;
            Ok((newest, rows.collect::<rusqlite::Result<_>>()?))
        };
        all().map_err(refused)
    }

    /// Closes the file, whole and durable.
    pub fn finish(self) -> Result<()> {
        self.0
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(refused)?;
        self.0.close().map_err(|(_, error)| refused(error))
    }
}

pub fn set_mark(db: &Connection, mark: &CopyMark) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO copy (one, deployment, ledger, time) VALUES (1, ?1, ?2, ?3)",
        params![&mark.deployment[..], mark.ledger, mark.time],
    )?;
    Ok(())
}

fn apply(db: &Connection, entries: &[LedgerEntry]) -> rusqlite::Result<u64> {
    let mut gone = 0;
    for entry in entries {
        db.prepare_cached(
            "INSERT INTO ledger (entry, kind, customer, number, epoch, day)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            entry.entry,
            entry.kind,
            entry.customer.0,
            entry.number,
            entry.epoch,
            entry.day.0
        ])?;
        if entry.kind == LedgerKind::Erasure as u8 {
            let print = entry.fingerprint.unwrap_or_default();
            gone += u64::from(shred_again(
                db,
                entry.customer,
                entry.epoch,
                entry.day,
                print,
            )?);
        }
        let narrows = match entry.kind {
            kind if kind == LedgerKind::Compromise as u8 => {
                "INSERT INTO compromised (customer, generation) SELECT ?1, ?2
                 WHERE EXISTS (SELECT 1 FROM customer_keys WHERE customer = ?1)
                 ON CONFLICT (customer) DO UPDATE SET generation = max(generation, ?2)"
            }
            kind if kind == LedgerKind::PartialErasure as u8 => {
                "DELETE FROM customer_keys WHERE customer = ?1 AND kind = 2 AND generation <= ?2"
            }
            _ => continue,
        };
        db.prepare_cached(narrows)?
            .execute(params![entry.customer.0, entry.number])?;
    }
    Ok(gone)
}

fn shred_again(
    db: &Connection,
    customer: CustomerNumber,
    epoch: u32,
    day: Day,
    fingerprint: [u8; 32],
) -> rusqlite::Result<bool> {
    let gone = db
        .prepare_cached("DELETE FROM customer_keys WHERE customer = ?1")?
        .execute([customer.0])?;
    db.prepare_cached(
        "INSERT INTO fences (customer, epoch, day, fingerprint) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![customer.0, epoch, day.0, &fingerprint[..]])?;
    db.prepare_cached("DELETE FROM intents WHERE customer = ?1")?
        .execute([customer.0])?;
    Ok(gone > 0)
}

/// What a `vault.db` knows of what `keys.db` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The highest customer and the highest index page that were given out.
    pub numbers: (u64, u64),
    /// The newest audit leaf.
    pub leaves: u64,
    /// Customers who were shredded, and when.
    pub shredded: Vec<(CustomerNumber, Day)>,
}

/// Reads the traces in a `vault.db`, which nobody has open.
pub fn traces(path: &Path) -> Result<Traces> {
    let db = schema::open_reader(path, schema::VAULT)?;
    let all = || {
        let numbers = db.query_row(
            "SELECT max(coalesce((SELECT max(customer) FROM customers), 0),
                        coalesce((SELECT max(customer) FROM erasures), 0)),
                    coalesce((SELECT max(page) FROM index_pages), 0)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let sql = "SELECT coalesce(max(number), 0) FROM leaves";
        let leaves = db.query_row(sql, [], |row| row.get(0))?;
        let mut shredded = db.prepare("SELECT customer, day FROM erasures WHERE level >= 2")?;
        let shredded = shredded.query_map([], |row| {
            Ok((CustomerNumber(row.get(0)?), Day(row.get(1)?)))
        })?;
        Ok(Traces {
            numbers,
            leaves,
            shredded: shredded.collect::<rusqlite::Result<_>>()?,
        })
    };
    all().map_err(refused)
}
