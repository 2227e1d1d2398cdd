//! The tables of both files, one list of steps each. `user_version` says how
//! many steps a file has seen: a newer file is refused, an older one migrated.

use super::error::refused;
use crate::error::{Error, Result};
use crate::limits;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `keys.db`: what must be current after a restore.
pub const KEYS: &[&str] = &[
    "
CREATE TABLE deployment (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL) STRICT;
CREATE TABLE allocator (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY, state INTEGER NOT NULL, provider TEXT NOT NULL,
    provider_key TEXT NOT NULL, master BLOB NOT NULL, opened_day INTEGER NOT NULL) STRICT;
CREATE TABLE tenants (
    tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,
    wrapped BLOB NOT NULL) STRICT;
CREATE TABLE pages (
    kind INTEGER NOT NULL, page INTEGER NOT NULL, tenant INTEGER, generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL, dirty INTEGER NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (kind, page)) STRICT, WITHOUT ROWID;
CREATE TABLE customer_keys (
    customer INTEGER NOT NULL, kind INTEGER NOT NULL, generation INTEGER NOT NULL,
    tenant INTEGER NOT NULL, created_day INTEGER NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (customer, kind, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE fences (
    customer INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, day INTEGER NOT NULL,
    fingerprint BLOB NOT NULL) STRICT;
CREATE TABLE intents (customer INTEGER PRIMARY KEY, kind INTEGER NOT NULL) STRICT;
CREATE TABLE ledger (
    entry INTEGER PRIMARY KEY, kind INTEGER NOT NULL, customer INTEGER NOT NULL,
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, day INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE epoch_keys (
    epoch INTEGER NOT NULL, provider TEXT NOT NULL, name TEXT NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (epoch, provider)) STRICT, WITHOUT ROWID;
INSERT INTO epoch_keys SELECT epoch, provider, provider_key, master FROM epochs;
ALTER TABLE epochs DROP COLUMN provider;
ALTER TABLE epochs DROP COLUMN provider_key;
ALTER TABLE epochs DROP COLUMN master;
",
    "
CREATE TABLE copy (
    one INTEGER PRIMARY KEY CHECK (one = 1), deployment BLOB NOT NULL, ledger INTEGER NOT NULL,
    time INTEGER NOT NULL) STRICT;
CREATE TABLE restored (
    one INTEGER PRIMARY KEY CHECK (one = 1), floor INTEGER NOT NULL, proven INTEGER NOT NULL,
    time INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE jobs (
    job INTEGER PRIMARY KEY, kind INTEGER NOT NULL, target INTEGER NOT NULL,
    state INTEGER NOT NULL, step INTEGER NOT NULL, cursor INTEGER NOT NULL,
    done INTEGER NOT NULL, total INTEGER NOT NULL, keys INTEGER NOT NULL,
    throttle INTEGER NOT NULL, requester TEXT NOT NULL, reason TEXT NOT NULL,
    started_day INTEGER NOT NULL) STRICT;
CREATE INDEX jobs_open ON jobs (kind, target) WHERE state <> 4;
CREATE INDEX fences_by_epoch ON fences (epoch);
",
    "
CREATE TABLE destroyed_keys (
    customer INTEGER NOT NULL, generation INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    PRIMARY KEY (customer, generation)) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE opening (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE compromised (customer INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
CREATE TABLE approvals (
    approval INTEGER PRIMARY KEY, action INTEGER NOT NULL, target INTEGER NOT NULL,
    requester TEXT NOT NULL, reason TEXT NOT NULL, state INTEGER NOT NULL,
    decider TEXT NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE INDEX approvals_by_target ON approvals (action, target);
CREATE TABLE key_uses (
    kind INTEGER NOT NULL, number INTEGER NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (kind, number)) STRICT, WITHOUT ROWID;
CREATE TABLE generation_ends (
    generation INTEGER NOT NULL, compromised INTEGER NOT NULL, keys INTEGER NOT NULL,
    PRIMARY KEY (generation, compromised)) STRICT, WITHOUT ROWID;
CREATE TABLE partial_shreds (
    customer INTEGER NOT NULL, generation INTEGER NOT NULL, destroyed INTEGER NOT NULL DEFAULT 0,
    keys INTEGER NOT NULL, epoch INTEGER NOT NULL, day INTEGER NOT NULL,
    fingerprint BLOB NOT NULL, PRIMARY KEY (customer, generation)) STRICT, WITHOUT ROWID;
",
];

/// `vault.db`: what may be old after a restore.
pub const VAULT: &[&str] = &[
    "
CREATE TABLE boots (one INTEGER PRIMARY KEY CHECK (one = 1), boot INTEGER NOT NULL) STRICT;
CREATE TABLE customers (
    customer INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, created_day INTEGER NOT NULL,
    next_record INTEGER NOT NULL, records INTEGER NOT NULL, state BLOB NOT NULL,
    state_mac BLOB NOT NULL, sealed_id BLOB NOT NULL) STRICT;
CREATE TABLE records (
    place INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, type INTEGER NOT NULL,
    locator BLOB NOT NULL, revision INTEGER NOT NULL, schema_version INTEGER NOT NULL,
    generation INTEGER NOT NULL, created_day INTEGER NOT NULL, updated_day INTEGER NOT NULL, manifest BLOB NOT NULL,
    sealed_id BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE locators (
    customer INTEGER NOT NULL, locator BLOB NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (customer, locator)) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_type ON records (tenant, type, place);
CREATE TABLE index_pages (
    tenant INTEGER NOT NULL, start INTEGER NOT NULL, depth INTEGER NOT NULL,
    page INTEGER NOT NULL UNIQUE, rows INTEGER NOT NULL, changes INTEGER NOT NULL,
    PRIMARY KEY (tenant, start)) STRICT, WITHOUT ROWID;
CREATE TABLE index_rows (
    page INTEGER NOT NULL, tag BLOB NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (page, tag)) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
    day INTEGER NOT NULL, scope INTEGER NOT NULL, request BLOB NOT NULL,
    customer INTEGER NOT NULL, digest BLOB NOT NULL, outcome INTEGER NOT NULL,
    PRIMARY KEY (day, scope, request)) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_customer ON requests (customer);
CREATE TABLE erasures (
    customer INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, level INTEGER NOT NULL,
    index_page INTEGER NOT NULL, index_tag BLOB NOT NULL, day INTEGER NOT NULL) STRICT;
CREATE INDEX erasures_unfinished ON erasures (index_page) WHERE level < 3;
CREATE TABLE leaves (number INTEGER PRIMARY KEY, leaf BLOB NOT NULL, detail BLOB NOT NULL) STRICT;
CREATE TABLE history (
    slot INTEGER NOT NULL, locator BLOB NOT NULL, nonce BLOB NOT NULL, masked INTEGER NOT NULL,
    PRIMARY KEY (slot, locator, nonce)) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE certificates (handle BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE certificate_ids (
    customer INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
ALTER TABLE erasures ADD COLUMN leaf INTEGER NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN purged_day INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE rights (
    number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, customer INTEGER NOT NULL,
    kind INTEGER NOT NULL, state INTEGER NOT NULL, received_day INTEGER NOT NULL,
    due_day INTEGER NOT NULL, revision INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE INDEX rights_by_due ON rights (tenant, due_day, number);
CREATE INDEX rights_by_customer ON rights (customer) WHERE customer > 0;
",
    "
CREATE TABLE tiles (
    level INTEGER NOT NULL, tile INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (level, tile)) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY, time INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
",
    "
CREATE TABLE copy (
    one INTEGER PRIMARY KEY CHECK (one = 1), deployment BLOB NOT NULL, ledger INTEGER NOT NULL,
    time INTEGER NOT NULL) STRICT;
CREATE TABLE unproven (
    one INTEGER PRIMARY KEY CHECK (one = 1), time INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE consent_events (
    customer INTEGER NOT NULL, number INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (customer, number)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_done (one INTEGER PRIMARY KEY CHECK (one = 1), entry INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE closed_epochs (epoch INTEGER PRIMARY KEY, day INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE history_batches (
    batch INTEGER PRIMARY KEY, slot INTEGER NOT NULL, rows BLOB NOT NULL) STRICT;
ALTER TABLE history RENAME TO history_1;
CREATE TABLE history (
    slot INTEGER NOT NULL, run INTEGER NOT NULL, locator BLOB NOT NULL, nonce BLOB NOT NULL,
    masked INTEGER NOT NULL, PRIMARY KEY (slot, run, locator, nonce)) STRICT, WITHOUT ROWID;
INSERT INTO history SELECT slot, 0, locator, nonce, masked FROM history_1;
DROP TABLE history_1;
",
    "
ALTER TABLE closed_epochs ADD COLUMN assurance TEXT NOT NULL DEFAULT '';
",
    "
ALTER TABLE customers ADD COLUMN least_generation INTEGER NOT NULL DEFAULT 1;
",
    "
CREATE TABLE cosigned (
    one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, time INTEGER NOT NULL,
    note TEXT NOT NULL) STRICT;
",
    "
CREATE TABLE restraints (
    number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, customer INTEGER NOT NULL,
    placed INTEGER NOT NULL, kind INTEGER NOT NULL, about INTEGER NOT NULL,
    review_day INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX restraints_by_customer ON restraints (customer, placed);
CREATE INDEX restraints_by_review ON restraints (tenant, kind, review_day, number);
CREATE INDEX restraints_by_cause ON restraints (about, customer) WHERE kind = 1;
CREATE INDEX rights_approved ON rights (number) WHERE kind = 6 AND state IN (4, 5);
",
    "
CREATE TABLE readers (
    customer INTEGER NOT NULL, reader BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (customer, reader)) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    event INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, recipient TEXT NOT NULL,
    story INTEGER NOT NULL, kept INTEGER NOT NULL, raised_day INTEGER NOT NULL,
    acknowledged_day INTEGER, epoch INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE INDEX events_for ON events (recipient, event) WHERE acknowledged_day IS NULL;
CREATE INDEX events_by_tenant ON events (tenant, event) WHERE acknowledged_day IS NULL;
CREATE INDEX events_by_story ON events (story);
CREATE INDEX events_by_day ON events (kept, raised_day);
CREATE INDEX events_by_epoch ON events (epoch) WHERE length(sealed) > 0;
ALTER TABLE erasures ADD COLUMN story INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE writes (
    type INTEGER NOT NULL, day INTEGER NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (type, day, place)) STRICT, WITHOUT ROWID;
CREATE INDEX writes_by_place ON writes (place);
INSERT INTO writes SELECT type, created_day, place FROM records WHERE true
  ON CONFLICT DO NOTHING;
INSERT INTO writes SELECT type, updated_day, place FROM records WHERE true
  ON CONFLICT DO NOTHING;
CREATE TABLE origins (place INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE swept (
    type INTEGER NOT NULL, field INTEGER NOT NULL, up_to INTEGER NOT NULL,
    PRIMARY KEY (type, field)) STRICT, WITHOUT ROWID;
CREATE TABLE deferred (place INTEGER PRIMARY KEY) STRICT;
CREATE TABLE consent_ends (
    day INTEGER NOT NULL, customer INTEGER NOT NULL,
    PRIMARY KEY (day, customer)) STRICT, WITHOUT ROWID;
CREATE INDEX consent_ends_by_customer ON consent_ends (customer);
CREATE TABLE sweeps (
    one INTEGER PRIMARY KEY CHECK (one = 1), day INTEGER NOT NULL, looked INTEGER NOT NULL,
    fields INTEGER NOT NULL, late INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE pruned (
    one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, removed INTEGER NOT NULL,
    until INTEGER NOT NULL, leaf INTEGER NOT NULL) STRICT;
",
    "
CREATE TABLE partial_erasures (
    customer INTEGER NOT NULL, generation INTEGER NOT NULL, leaf INTEGER NOT NULL,
    story INTEGER NOT NULL, destroyed INTEGER NOT NULL, keys INTEGER NOT NULL,
    compromised INTEGER NOT NULL, epoch INTEGER NOT NULL, day INTEGER NOT NULL,
    fingerprint BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (customer, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE living_certificates (customer INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
ALTER TABLE certificate_ids ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
",
];

/// Makes a file that must not be there yet.
pub fn create(path: &Path, steps: &[&str]) -> Result<()> {
    if path.exists() {
        return Err(Error::Setup(format!(
            "{} exists already; a vault is founded once",
            path.display()
        )));
    }
    // Made here, so that it and what SQLite puts beside it are the owner's only.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::Setup(format!("cannot make {}: {error}", path.display())))?;
    let db = Connection::open(path).map_err(refused)?;
    prepare(&db)?;
    migrate(&db, steps, 0)
}

/// Opens a file for its writer and brings it to the newest step.
pub fn open_writer(path: &Path, steps: &[&str]) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|_| missing(path))?;
    let seen = steps_seen(&db, steps, path)?;
    prepare(&db)?;
    migrate(&db, steps, seen)?;
    Ok(db)
}

/// Opens a file for reading only.
pub fn open_reader(path: &Path, steps: &[&str]) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|_| missing(path))?;
    steps_seen(&db, steps, path)?;
    prepare(&db)?;
    // The writer checks each page's cells; here MACs see to what is in them.
    db.pragma_update(None, "cell_size_check", false)
        .and_then(|()| db.pragma_update(None, "cache_size", limits::READER_CACHE_KIB))
        .map_err(refused)?;
    Ok(db)
}

fn missing(path: &Path) -> Error {
    Error::Setup(format!(
        "{} cannot be opened; is there a vault? `oubliette init DIR` founds one",
        path.display()
    ))
}

/// The writer's own page cache is small: a commit costs time that grows with it,
/// and the kernel keeps the pages. Logs are emptied by `checkpoint.rs`.
fn prepare(db: &Connection) -> Result<()> {
    use rusqlite::config::DbConfig;
    db.set_prepared_statement_cache_capacity(64);
    db.busy_timeout(limits::BUSY_TIME)
        .and_then(|()| db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true))
        .and_then(|_| db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false))
        .and_then(|_| {
            // Without it STAT4 plans a statement anew at each bind.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        })
        .and_then(|_| {
            db.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
                 PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;
                 PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 0;",
            )
        })
        .map_err(refused)
}

/// How many steps a founded file has seen. An emptied file is not taken for a
/// new vault: numbers would begin again.
pub fn steps_seen(db: &Connection, steps: &[&str], path: &Path) -> Result<usize> {
    let seen: usize = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(refused)?;
    if seen == 0 {
        return Err(Error::Setup(format!(
            "{} is empty; put it back from a backup",
            path.display()
        )));
    }
    if seen > steps.len() {
        return Err(Error::Setup(format!(
            "{} was written by a newer version of this program; run that version",
            path.display()
        )));
    }
    Ok(seen)
}

pub fn migrate(db: &Connection, steps: &[&str], seen: usize) -> Result<()> {
    for (done, step) in steps.iter().enumerate().skip(seen) {
        let version = done + 1;
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT;"
        ))
        .map_err(refused)?;
    }
    Ok(())
}
