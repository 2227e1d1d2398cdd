//! Reads: one connection a file, never written through.

use super::history;
use super::keys_file::{self, FIELD, IDENTITY};
use super::reads::Needs;
use super::schema;
use super::vault_file::{key_at, place};
use super::writer::{Committed, Counts, Writer};
use super::{KEYS_FILE, VAULT_FILE};
use crate::clock::Day;
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerNumber, TenantName, TenantNumber};
use crate::limits;
use crate::store::{
    CustomerKeys, CustomerRow, EpochKey, EpochRow, EpochState, ErasureRow, Fence, GenerationKeys,
    IndexRef, KeyCounts, KeyRow, PageKind, PageRow, RecordKey, RecordRow, RequestKey, RequestRow,
    Rows, TenantRow,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Reader {
    pub(super) keys: Snapshot,
    pub(super) vault: Snapshot,
}

/// One file, seen as it was when the first read since [`Snapshot::end`] began.
pub(super) struct Snapshot {
    db: Connection,
    /// What the file's writer has committed; `None` where others write too.
    written: Option<Arc<Counts>>,
    longest: Duration,
    open: Option<Opened>,
}

struct Opened {
    since: Instant,
    /// What was committed before: the state may hold more.
    holds: Committed,
}

impl Snapshot {
    fn new(db: Connection, written: Option<Arc<Counts>>, longest: Duration) -> Self {
        Self {
            db,
            written,
            longest,
            open: None,
        }
    }

    pub(super) fn db(&mut self) -> Result<&Connection> {
        if self.open.is_none() {
            let holds = self.committed();
            self.db.prepare_cached("BEGIN")?.execute([])?;
            self.open = Some(Opened {
                since: Instant::now(),
                holds,
            });
        }
        Ok(&self.db)
    }

    fn committed(&self) -> Committed {
        let written = self.written.as_ref();
        written.map_or_else(Committed::default, |counts| counts.committed())
    }

    /// Ends a state that lacks, or may lack, what a read needs.
    fn catch_up(&mut self, needs: Needs) {
        let Some(open) = &self.open else { return };
        let now = self.committed();
        let lacks = match needs {
            Needs::Everything => now != open.holds,
            Needs::AllButTheLog => now.beside_log != open.holds.beside_log,
        };
        if lacks || self.written.is_none() {
            self.end();
        }
    }

    fn end_if_old(&mut self, now: Instant) {
        let is_old = |open: &Opened| now.duration_since(open.since) > self.longest;
        if self.open.as_ref().is_some_and(is_old) {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.open.take().is_some() {
            let ended = self
                .db
                .prepare_cached("COMMIT")
                .and_then(|mut s| s.execute([]));
            if let Err(error) = ended {
                tracing::error!(code = ?error.sqlite_error_code(), "a read did not end");
            }
        }
    }
}

impl Reader {
    /// Over the files in `dir`, also beside a running server.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::over(dir, None, None)
    }

    /// Beside the only writers, by whose counts a state is known to be new.
    pub fn beside(dir: &Path, keys: &Writer, vault: &Writer) -> Result<Self> {
        Self::over(dir, Some(keys.counts()), Some(vault.counts()))
    }

    fn over(dir: &Path, keys: Option<Arc<Counts>>, vault: Option<Arc<Counts>>) -> Result<Self> {
        let keys_db = schema::open_reader(&dir.join(KEYS_FILE), schema::KEYS)?;
        let vault_db = schema::open_reader(&dir.join(VAULT_FILE), schema::VAULT)?;
        Ok(Self {
            keys: Snapshot::new(keys_db, keys, limits::READ_STATE_TIME),
            vault: Snapshot::new(vault_db, vault, limits::KEPT_STATE_TIME),
        })
    }

    /// From here on states that hold what a read needs.
    pub fn catch_up(&mut self, needs: Needs) {
        self.keys.catch_up(needs);
        self.vault.catch_up(needs);
    }

    /// Ends states that were held for as long as may be.
    pub fn let_go_of_old(&mut self, now: Instant) {
        self.keys.end_if_old(now);
        self.vault.end_if_old(now);
    }

    /// Whether a state is held.
    pub fn is_holding(&self) -> bool {
        self.keys.open.is_some() || self.vault.open.is_some()
    }

    /// Ends both states.
    pub fn let_go(&mut self) {
        self.keys.end();
        self.vault.end();
    }

    /// `keys.db` in this job's state.
    pub fn keys(&mut self) -> Result<&Connection> {
        self.keys.db()
    }

    /// `vault.db` in this job's state.
    pub fn vault(&mut self) -> Result<&Connection> {
        self.vault.db()
    }
}

const CUSTOMER: &str = "SELECT tenant, created_day, records, next_record, state, state_mac,
                               sealed_id
                        FROM customers WHERE customer = ?1";

/// A number that somebody changed to one that does not fit is read as 0, which
/// stands for nothing: the row then does not match what it is sealed for, and
/// no other row is hurt.
pub(super) fn number<T: TryFrom<i64> + Default>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let stored: i64 = row.get(column)?;
    Ok(T::try_from(stored).unwrap_or_default())
}

fn customer_of(row: &Row<'_>) -> rusqlite::Result<CustomerRow> {
    Ok(CustomerRow {
        tenant: TenantNumber(number(row, 0)?),
        created: Day(number(row, 1)?),
        records: number(row, 2)?,
        next_record: number(row, 3)?,
        state: row.get(4)?,
        state_mac: row.get(5)?,
        sealed_id: row.get(6)?,
    })
}

pub fn record_of(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        key: key_at(row.get(0)?),
        record_type: number(row, 1)?,
        revision: number(row, 2)?,
        schema_version: number(row, 3)?,
        generation: number(row, 4)?,
        created: Day(number(row, 5)?),
        updated: Day(number(row, 6)?),
        manifest: row.get(7)?,
        sealed_id: row.get(8)?,
        body: row.get(9)?,
    })
}

pub fn index_ref_of(row: &Row<'_>) -> rusqlite::Result<IndexRef> {
    Ok(IndexRef {
        page: row.get(0)?,
        start: row.get(1)?,
        depth: row.get(2)?,
        rows: row.get(3)?,
        changes: row.get(4)?,
    })
}

pub fn request(
    db: &Connection,
    key: &RequestKey,
    today: Day,
) -> rusqlite::Result<Option<RequestRow>> {
    db.prepare_cached(
        "SELECT customer, digest, outcome FROM requests
         WHERE day IN (?1, ?1 - 1) AND scope = ?2 AND request = ?3",
    )?
    .query_row(params![today.0, key.scope, &key.id[..]], |row| {
        Ok(RequestRow {
            customer: CustomerNumber(row.get(0)?),
            digest: row.get(1)?,
            outcome: row.get(2)?,
        })
    })
    .optional()
}

fn erasure_of(row: &Row<'_>) -> rusqlite::Result<ErasureRow> {
    Ok(ErasureRow {
        customer: CustomerNumber(row.get(0)?),
        tenant: TenantNumber(row.get(1)?),
        level: row.get(2)?,
        index_page: row.get(3)?,
        index_tag: row.get(4)?,
    })
}

pub fn erasure(db: &Connection, customer: CustomerNumber) -> rusqlite::Result<Option<ErasureRow>> {
    db.prepare_cached(
        "SELECT customer, tenant, level, index_page, index_tag FROM erasures WHERE customer = ?1",
    )?
    .query_row([customer.0], erasure_of)
    .optional()
}

fn keys_of(db: &Connection, customer: CustomerNumber) -> rusqlite::Result<CustomerKeys> {
    let mut found = CustomerKeys {
        tenant: None,
        identity: None,
        fields: Vec::with_capacity(1),
        page: None,
        fence: None,
    };
    let mut statement = db.prepare_cached(
        "SELECT kind, generation, tenant, wrapped FROM customer_keys
         WHERE customer = ?1 ORDER BY kind, generation",
    )?;
    let mut rows = statement.query([customer.0])?;
    while let Some(row) = rows.next()? {
        found.tenant = Some(TenantNumber(row.get(2)?));
        let key = KeyRow {
            generation: row.get(1)?,
            wrapped: row.get(3)?,
        };
        match row.get(0)? {
            IDENTITY => found.identity = Some(key),
            FIELD => found.fields.push(key),
            _ => {}
        }
    }
    if found.identity.is_some() {
        found.page = keys_file::page(db, PageKind::Customers, customer.page())?;
    } else {
        found.fence = keys_file::fence(db, customer)?;
    }
    Ok(found)
}

impl Rows for Reader {
    fn refresh(&mut self) {
        self.let_go();
    }

    fn deployment(&mut self) -> Result<Option<[u8; 16]>> {
        Ok(self
            .keys
            .db()?
            .query_row("SELECT id FROM deployment", [], |row| row.get(0))
            .optional()?)
    }

    fn epochs(&mut self) -> Result<Vec<EpochRow>> {
        let db = self.keys.db()?;
        let mut epochs =
            db.prepare_cached("SELECT epoch, opened_day, state FROM epochs ORDER BY epoch")?;
        let mut keys = db.prepare_cached(
            "SELECT provider, name, wrapped FROM epoch_keys WHERE epoch = ?1 ORDER BY provider",
        )?;
        let mut rows = epochs.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let epoch = row.get(0)?;
            let keys = keys.query_map([epoch], |row| {
                Ok(EpochKey {
                    provider: row.get(0)?,
                    name: row.get(1)?,
                    wrapped: row.get(2)?,
                })
            })?;
            found.push(EpochRow {
                epoch,
                opened: Day(row.get(1)?),
                state: match row.get(2)? {
                    1_i64 => EpochState::Active,
                    2 => EpochState::Closing,
                    3 => EpochState::Destroyed,
                    4 => EpochState::Condemned,
                    _ => return Err(Error::DataLoss(Lost::Row)),
                },
                keys: keys.collect::<rusqlite::Result<_>>()?,
            });
        }
        Ok(found)
    }

    fn tenants(&mut self) -> Result<Vec<TenantRow>> {
        let mut statement = self
            .keys
            .db()?
            .prepare_cached("SELECT tenant, name, epoch, wrapped FROM tenants ORDER BY tenant")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(1)?;
            found.push(TenantRow {
                tenant: TenantNumber(row.get(0)?),
                name: TenantName::parse(&name).ok_or(Error::Internal("tenant name"))?,
                epoch: row.get(2)?,
                wrapped: row.get(3)?,
            });
        }
        Ok(found)
    }

    fn page(&mut self, kind: PageKind, page: u64) -> Result<Option<PageRow>> {
        Ok(keys_file::page(self.keys.db()?, kind, page)?)
    }

    fn customer_keys(&mut self, customer: CustomerNumber) -> Result<CustomerKeys> {
        Ok(keys_of(self.keys.db()?, customer)?)
    }

    fn key_counts(&mut self) -> Result<KeyCounts> {
        Ok(key_counts(self.keys.db()?)?)
    }

    fn creations(&mut self) -> Result<Vec<CustomerNumber>> {
        let mut statement = self
            .keys
            .db()?
            .prepare_cached("SELECT customer FROM intents WHERE kind = 1 ORDER BY customer")?;
        let rows = statement.query_map([], |row| row.get(0).map(CustomerNumber))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn fence(&mut self, customer: CustomerNumber) -> Result<Option<Fence>> {
        Ok(keys_file::fence(self.keys.db()?, customer)?)
    }

    fn index_ref(&mut self, tenant: TenantNumber, prefix: u32) -> Result<Option<IndexRef>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached(
                "SELECT page, start, depth, rows, changes FROM index_pages
                 WHERE tenant = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1",
            )?
            .query_row(params![tenant.0, prefix], index_ref_of)
            .optional()?)
    }

    fn index_row(&mut self, page: u64, tag: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached("SELECT body FROM index_rows WHERE page = ?1 AND tag = ?2")?
            .query_row(params![page, &tag[..]], |row| row.get(0))
            .optional()?)
    }

    fn index_rows(&mut self, page: u64) -> Result<Vec<([u8; 16], Vec<u8>)>> {
        let mut statement = self
            .vault
            .db()?
            .prepare_cached("SELECT tag, body FROM index_rows WHERE page = ?1 ORDER BY tag")?;
        let rows = statement.query_map([page], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn customer(&mut self, customer: CustomerNumber) -> Result<Option<CustomerRow>> {
        Ok(self
            .vault
            .db()?
            .prepare_cached(CUSTOMER)?
            .query_row([customer.0], customer_of)
            .optional()?)
    }

    fn record(
        &mut self,
        customer: CustomerNumber,
        locator: &[u8; 16],
    ) -> Result<(Option<CustomerRow>, Option<RecordRow>)> {
        let db = self.vault.db()?;
        let owner = db
            .prepare_cached(CUSTOMER)?
            .query_row([customer.0], customer_of)
            .optional()?;
        let record = db
                .prepare_cached(
                    "SELECT place, type, revision, schema_version, generation, created_day, updated_day,
                            manifest, sealed_id, body
                     FROM records WHERE place =
                       (SELECT place FROM locators WHERE customer = ?1 AND locator = ?2)",
                )?
                .query_row(params![customer.0, &locator[..]], record_of)
                .optional()?;
        Ok((owner, record))
    }

    fn records_of_type(
        &mut self,
        tenant: TenantNumber,
        record_type: u16,
        after: Option<RecordKey>,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<RecordRow>> {
        let mut statement = self.vault.db()?.prepare_cached(
            "SELECT place, type, revision, schema_version, generation, created_day, updated_day,
                    manifest, sealed_id, body
             FROM records WHERE tenant = ?1 AND type = ?2 AND place > ?3 ORDER BY place LIMIT ?4",
        )?;
        let after = after.map_or(Ok(-1), place)?;
        let mut rows = statement.query(params![tenant.0, record_type, after, most])?;
        let (mut found, mut weight) = (Vec::with_capacity(most), 0_usize);
        while let Some(row) = rows.next()? {
            let record = record_of(row)?;
            weight = weight.saturating_add(record.body.len());
            if weight > bytes && !found.is_empty() {
                break;
            }
            found.push(record);
        }
        Ok(found)
    }

    fn records_of_customer(
        &mut self,
        customer: CustomerNumber,
        record_type: u16,
        after: u64,
        most: usize,
    ) -> Result<Vec<RecordRow>> {
        let mut statement = self.vault.db()?.prepare_cached(
            "SELECT place, type, revision, schema_version, generation, created_day, updated_day,
                    manifest, sealed_id, x'' FROM records
             WHERE place > ?1 AND place < ?2 AND type = ?3 ORDER BY place LIMIT ?4",
        )?;
        let rows = statement.query_map(
            params![
                place(RecordKey::new(customer, after))?,
                place(RecordKey::new(CustomerNumber(customer.0 + 1), 0))?,
                record_type,
                most
            ],
            record_of,
        )?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn request(&mut self, key: &RequestKey, today: Day) -> Result<Option<RequestRow>> {
        Ok(request(self.vault.db()?, key, today)?)
    }

    fn erasures(&mut self) -> Result<Vec<ErasureRow>> {
        let mut statement = self.vault.db()?.prepare_cached(
            "SELECT customer, tenant, level, index_page, index_tag FROM erasures
             WHERE level < 3 ORDER BY customer",
        )?;
        let rows = statement.query_map([], erasure_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn erasure(&mut self, customer: CustomerNumber) -> Result<Option<ErasureRow>> {
        Ok(erasure(self.vault.db()?, customer)?)
    }

    fn history(&mut self, slot: i64, locator: &[u8; 16]) -> Result<Vec<([u8; 8], u64)>> {
        Ok(history::find(self.vault.db()?, slot, locator)?)
    }

    fn leaf_count(&mut self) -> Result<u64> {
        Ok(self
            .vault
            .db()?
            .query_row("SELECT count(*) FROM leaves", [], |row| row.get(0))?)
    }

    fn leaves(&mut self, from: u64, most: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut statement = self.vault.db()?.prepare_cached(
            "SELECT leaf, detail FROM leaves WHERE number >= ?1 ORDER BY number LIMIT ?2",
        )?;
        let rows =
            statement.query_map(params![from, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn key_counts(db: &Connection) -> rusqlite::Result<KeyCounts> {
    let pages = |kind: PageKind| {
        db.query_row(
            "SELECT count(*) FROM pages WHERE kind = ?1",
            [kind as u8],
            |row| row.get(0),
        )
    };
    let mut epochs = db.prepare(
        "SELECT epoch, (SELECT count(*) FROM pages p WHERE p.epoch = e.epoch),
                (SELECT count(*) FROM pages p WHERE p.epoch = e.epoch AND p.dirty = 1),
                (SELECT count(*) FROM fences f WHERE f.epoch = e.epoch)
         FROM epochs e ORDER BY epoch",
    )?;
    let epochs = epochs.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut generations = db.prepare(
        "SELECT generation, count(*) FROM customer_keys WHERE kind = 2
         GROUP BY generation ORDER BY generation",
    )?;
    let generations = generations.query_map([], |row| {
        Ok(GenerationKeys {
            generation: row.get(0)?,
            keys: row.get(1)?,
        })
    })?;
    Ok(KeyCounts {
        epochs: epochs.collect::<rusqlite::Result<_>>()?,
        customer_pages: pages(PageKind::Customers)?,
        index_pages: pages(PageKind::Index)?,
        customers: db.query_row(
            "SELECT count(*) FROM customer_keys WHERE kind = 1",
            [],
            |row| row.get(0),
        )?,
        generations: generations.collect::<rusqlite::Result<_>>()?,
    })
}
