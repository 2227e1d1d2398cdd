//! Both files while a restore is finished, before anybody is served. Each step
//! may be repeated: a restore that was cut off is made again from the start.

use super::error::refused;
use super::{KEYS_FILE, VAULT_FILE, keys_file, schema};
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::{NewPage, SplitPart};
use rusqlite::{Connection, params};
use std::path::Path;

/// What was removed because its keys are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Customers that were erased since the copy was taken.
    pub erased: u64,
    /// Customers that have neither keys nor a fence: they came after the keys.
    pub without_keys: u64,
    /// Records whose deletion the ledger notes.
    pub deleted: u64,
    /// Records of living customers, under a generation that is gone.
    pub unreadable: u64,
    /// Withdrawals, objections and other noes that the start will carry out
    /// again.
    pub narrowed: u64,
}

/// Both files, for one process alone.
pub struct Restoring {
    keys: Connection,
    /// `vault.db`, with `keys.db` attached.
    vault: Connection,
}

impl Restoring {
    /// Opens the files in `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        let keys = schema::open_writer(&dir.join(KEYS_FILE), schema::KEYS)?;
        let vault = schema::open_writer(&dir.join(VAULT_FILE), schema::VAULT)?;
        let name = dir.join(KEYS_FILE);
        vault
            .execute("ATTACH ?1 AS keys", [name.to_string_lossy()])
            .map_err(refused)?;
        Ok(Self { keys, vault })
    }

    /// Removes whatever has no keys, and what the ledger says was deleted after
    /// the copy was taken.
    pub fn purge(&self) -> Result<Purged> {
        self.vault
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(refused)?;
        let purged = purge(&self.vault).map_err(refused)?;
        self.vault.execute_batch("COMMIT").map_err(refused)?;
        Ok(purged)
    }

    /// Customers that have keys and no data: how many, and the first of them.
    pub fn lost(&self, most: usize) -> Result<(u64, Vec<CustomerNumber>)> {
        const LOST: &str = "FROM keys.customer_keys k WHERE k.kind = 1
             AND NOT EXISTS (SELECT 1 FROM main.customers c WHERE c.customer = k.customer)
             AND NOT EXISTS (SELECT 1 FROM keys.intents i WHERE i.customer = k.customer)";
        let all = || {
            let count = self
                .vault
                .query_row(&format!("SELECT count(*) {LOST}"), [], |row| row.get(0))?;
            let sql = format!("SELECT k.customer {LOST} ORDER BY k.customer LIMIT ?1");
            let mut first = self.vault.prepare(&sql)?;
            let first = first.query_map([most], |row| Ok(CustomerNumber(row.get(0)?)))?;
            Ok((count, first.collect::<rusqlite::Result<_>>()?))
        };
        all().map_err(refused)
    }

    /// A tenant's customers that follow `after`: number and sealed id.
    pub fn sealed_ids(
        &self,
        tenant: TenantNumber,
        after: CustomerNumber,
        most: usize,
    ) -> Result<Vec<(CustomerNumber, Vec<u8>)>> {
        let all = || {
            let mut rows = self.vault.prepare_cached(
                "SELECT customer, sealed_id FROM customers
                 WHERE tenant = ?1 AND customer > ?2 ORDER BY customer LIMIT ?3",
            )?;
            let rows = rows.query_map(params![tenant.0, after.0, most], |row| {
                Ok((CustomerNumber(row.get(0)?), row.get(1)?))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        all().map_err(refused)
    }

    /// The index pages of a tenant.
    pub fn index_pages(&self, tenant: TenantNumber) -> Result<Vec<u64>> {
        let all = || {
            let sql = "SELECT page FROM index_pages WHERE tenant = ?1";
            let mut pages = self.vault.prepare(sql)?;
            let pages = pages.query_map([tenant.0], |row| row.get(0))?;
            pages.collect::<rusqlite::Result<_>>()
        };
        all().map_err(refused)
    }

    /// Numbers for new index pages; answers the first.
    pub fn allocate_index_pages(&self, count: u64) -> Result<u64> {
        keys_file::allocate(&self.keys, "index_page", count).map_err(refused)
    }

    /// Puts a new index in the place of a tenant's whole index: the new pages'
    /// keys, the rows, and then the old pages' keys go.
    pub fn replace_index(
        &self,
        tenant: TenantNumber,
        pages: &[NewPage],
        parts: &[SplitPart],
    ) -> Result<()> {
        keys_file::add_index_pages(&self.keys, pages).map_err(refused)?;
        self.vault
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(refused)?;
        replace_rows(&self.vault, tenant, parts).map_err(refused)?;
        self.vault.execute_batch("COMMIT").map_err(refused)?;
        let first = pages.iter().map(|page| page.row.page).min();
        self.keys
            .execute(
                "DELETE FROM pages WHERE kind = 2 AND tenant = ?1 AND page < ?2",
                params![tenant.0, first.unwrap_or(u64::from(u32::MAX))],
            )
            .map_err(refused)?;
        Ok(())
    }

    /// Whether the ledger of `keys.db` is known to be complete: it is, unless
    /// the file was restored without proof.
    pub fn is_proven(&self) -> Result<bool> {
        let doubt = "SELECT 1 FROM restored WHERE proven = 0";
        let doubt = self.keys.prepare(doubt).and_then(|mut s| s.exists([]));
        Ok(!doubt.map_err(refused)?)
    }

    /// The restore is done: the files are copies no longer. `unproven`: since
    /// when, in seconds since 1970, consent is not known.
    pub fn finish(&self, unproven: Option<i64>) -> Result<()> {
        if let Some(time) = unproven {
            self.vault
                .execute(
                    "INSERT OR REPLACE INTO unproven (one, time) VALUES (1, ?1)",
                    [time],
                )
                .map_err(refused)?;
        }
        for db in [&self.vault, &self.keys] {
            db.execute("DELETE FROM main.copy", []).map_err(refused)?;
            db.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(refused)?;
        }
        Ok(())
    }
}

fn purge(db: &Connection) -> rusqlite::Result<Purged> {
    db.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS gone (customer INTEGER PRIMARY KEY, is_erased INTEGER);
         DELETE FROM temp.gone;
         INSERT INTO temp.gone
           SELECT c.customer, EXISTS (SELECT 1 FROM keys.fences f WHERE f.customer = c.customer)
           FROM main.customers c
           WHERE EXISTS (SELECT 1 FROM keys.fences f WHERE f.customer = c.customer)
              OR NOT EXISTS (SELECT 1 FROM keys.customer_keys k
                             WHERE k.customer = c.customer AND k.kind = 1);
         INSERT INTO erasures (customer, tenant, level, index_page, index_tag, day)
           SELECT g.customer, c.tenant, 3, 0, zeroblob(16), f.day
           FROM temp.gone g JOIN main.customers c USING (customer)
             JOIN keys.fences f USING (customer)
           WHERE true ON CONFLICT (customer) DO UPDATE SET level = 3;
         UPDATE erasures SET level = 3
           WHERE level < 3 AND customer IN (SELECT customer FROM keys.fences);
         DELETE FROM records WHERE place >> 24 IN (SELECT customer FROM temp.gone);
         DELETE FROM locators WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM requests WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM consent_events WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM restraints WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM readers WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM consent_ends WHERE customer IN (SELECT customer FROM temp.gone);
         DELETE FROM writes WHERE place >> 24 IN (SELECT customer FROM temp.gone);
         DELETE FROM origins WHERE place >> 24 IN (SELECT customer FROM temp.gone);
         DELETE FROM deferred WHERE place >> 24 IN (SELECT customer FROM temp.gone);
         DELETE FROM main.customers WHERE customer IN (SELECT customer FROM temp.gone);
         UPDATE main.customers SET least_generation = 1 WHERE least_generation > 1;",
    )?;
    let mut whose = db.prepare(
        "SELECT DISTINCT customer FROM rights
         WHERE customer IN (SELECT customer FROM temp.gone UNION SELECT customer FROM keys.fences)",
    )?;
    let whose = whose.query_map([], |row| row.get(0))?;
    for customer in whose.collect::<rusqlite::Result<Vec<u64>>>()? {
        super::rights::forget(db, CustomerNumber(customer))?;
    }
    db.execute_batch(
        "DELETE FROM living_certificates WHERE customer IN (SELECT customer FROM temp.gone);
         UPDATE partial_erasures SET sealed = x''
           WHERE customer IN (SELECT customer FROM temp.gone);",
    )?;
    let count = |is_erased: bool| {
        db.query_row(
            "SELECT count(*) FROM temp.gone WHERE is_erased = ?1",
            [is_erased],
            |row| row.get(0),
        )
    };
    // A file that is no copy holds every deletion already.
    let deleted = delete_records(
        db,
        "SELECT customer << 24 | number FROM keys.ledger
         WHERE kind = 2 AND entry > (SELECT ledger FROM main.copy)",
    )?;
    let unreadable = delete_records(
        db,
        "SELECT place FROM records r WHERE NOT EXISTS
           (SELECT 1 FROM keys.customer_keys k WHERE k.customer = r.place >> 24
            AND k.kind = 2 AND k.generation = r.generation)",
    )?;
    let narrowed = db.query_row(
        "SELECT count(*) FROM keys.ledger l WHERE kind IN (3, 4, 5, 6, 7)
           AND entry > coalesce((SELECT entry FROM ledger_done), 0)
           AND EXISTS (SELECT 1 FROM main.customers c WHERE c.customer = l.customer)",
        [],
        |row| row.get(0),
    )?;
    Ok(Purged {
        narrowed,
        erased: count(true)?,
        without_keys: count(false)?,
        deleted,
        unreadable,
    })
}

/// Deletes the records at the places that a statement gives; how many were
/// there.
fn delete_records(db: &Connection, places: &str) -> rusqlite::Result<u64> {
    let mut found = db.prepare(&format!(
        "SELECT place, locator FROM records WHERE place IN ({places})"
    ))?;
    let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(i64, Vec<u8>)> = found.collect::<rusqlite::Result<_>>()?;
    for (place, locator) in &found {
        db.prepare_cached("DELETE FROM records WHERE place = ?1")?
            .execute([place])?;
        super::retention::forget(db, *place)?;
        db.prepare_cached("DELETE FROM locators WHERE customer = ?1 >> 24 AND locator = ?2")?
            .execute(params![place, locator])?;
        db.prepare_cached("UPDATE customers SET records = records - 1 WHERE customer = ?1 >> 24")?
            .execute([place])?;
    }
    Ok(found.len() as u64)
}

fn replace_rows(
    db: &Connection,
    tenant: TenantNumber,
    parts: &[SplitPart],
) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM index_rows WHERE page IN (SELECT page FROM index_pages WHERE tenant = ?1)",
        [tenant.0],
    )?;
    db.execute("DELETE FROM index_pages WHERE tenant = ?1", [tenant.0])?;
    let mut page = db.prepare(
        "INSERT INTO index_pages (tenant, start, depth, page, rows, changes)
         VALUES (?1, ?2, ?3, ?4, ?5, 0)",
    )?;
    let mut row = db.prepare("INSERT INTO index_rows (page, tag, body) VALUES (?1, ?2, ?3)")?;
    for part in parts {
        let rows = part.rows.len();
        page.execute(params![tenant.0, part.start, part.depth, part.page, rows])?;
        for (tag, body) in &part.rows {
            row.execute(params![part.page, &tag[..], body])?;
        }
    }
    Ok(())
}
