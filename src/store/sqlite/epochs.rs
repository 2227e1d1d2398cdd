//! Closing an epoch: pages swapped for the same under new keys.

use super::keys_file::{self, FIELD, IDENTITY, page_of};
use super::reader::{Reader, index_ref_of, record_of};
use super::vault_file::{append, place};
use super::{Sqlite, jobs};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::limits;
use crate::store::{
    ClosedEpoch, EpochRow, EpochRows, EpochState, EpochStore, IndexRef, KeptKey, KeyRow, KeySwap,
    LeafRow, Left, NewJob, PageKind, PageSwap, PageView, Pending, Progress, RecordKey, RecordRow,
    Swapped, TenantRow,
};
use rusqlite::{Connection, OptionalExtension, params};

/// The first and the last customer whose keys a page wraps.
fn customers_on(page: u64) -> (u64, u64) {
    let first = page << limits::CUSTOMERS_PER_PAGE_BITS;
    (first, first | ((1 << limits::CUSTOMERS_PER_PAGE_BITS) - 1))
}

fn open_epoch(db: &Connection, epoch: &EpochRow, job: &NewJob) -> rusqlite::Result<Option<u64>> {
    let closed = db.execute(
        "UPDATE epochs SET state = ?2 WHERE epoch = ?1 - 1 AND state = ?3
           AND NOT EXISTS (SELECT 1 FROM epochs WHERE epoch >= ?1)",
        params![
            epoch.epoch,
            EpochState::Closing as u8,
            EpochState::Active as u8
        ],
    )?;
    if closed == 0 {
        return Ok(None);
    }
    keys_file::insert_epoch(db, epoch)?;
    db.execute("DELETE FROM opening", [])?;
    jobs::start(db, job)
}

fn note_opening(db: &Connection, epoch: u32) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO opening (one, epoch) VALUES (1, ?1)";
    db.execute(sql, [epoch]).map(|_| ())
}

fn swap_pages(
    db: &Connection,
    swaps: &[PageSwap],
    progress: &Progress,
) -> rusqlite::Result<Swapped> {
    let (mut pages, mut keys) = (0, 0);
    for swap in swaps {
        db.prepare_cached("SAVEPOINT page")?.execute([])?;
        if swap_page(db, swap)? {
            pages += 1;
            keys += swap.keys.len() as u64;
        } else {
            db.prepare_cached("ROLLBACK TO page")?.execute([])?;
        }
        db.prepare_cached("RELEASE page")?.execute([])?;
    }
    let orders = jobs::advance(db, progress, pages, keys)?;
    Ok(Swapped {
        pages,
        keys,
        orders,
    })
}

/// Compare and swap: the page must be as it was read, and every key on it as
/// it was read or gone. A key that was shredded meanwhile is not put back; one
/// that was added meanwhile makes the whole page wait for another turn.
fn swap_page(db: &Connection, swap: &PageSwap) -> rusqlite::Result<bool> {
    let old = &swap.old;
    let taken = db
        .prepare_cached(
            "UPDATE pages SET generation = ?6, epoch = ?7, wrapped = ?8, dirty = 0
             WHERE kind = ?1 AND page = ?2 AND generation = ?3 AND epoch = ?4 AND dirty = ?5
               AND wrapped = ?9",
        )?
        .execute(params![
            swap.kind as u8,
            old.row.page,
            old.row.generation,
            old.row.epoch,
            old.dirty,
            swap.new.generation,
            swap.new.epoch,
            swap.new.wrapped,
            old.row.wrapped
        ])?;
    if taken == 0 {
        return Ok(false);
    }
    if swap.new.generation == old.row.generation {
        return Ok(true);
    }
    let mut update = db.prepare_cached(
        "UPDATE customer_keys SET wrapped = ?5
         WHERE customer = ?1 AND kind = ?2 AND generation = ?3 AND wrapped = ?4",
    )?;
    let mut swapped = 0;
    for key in &swap.keys {
        let KeySwap {
            customer,
            generation,
            old,
            new,
        } = key;
        swapped += update.execute(params![
            customer.0,
            kind_of(*generation),
            generation,
            old,
            new
        ])?;
    }
    let (first, last) = customers_on(old.row.page);
    let there: usize = db
        .prepare_cached("SELECT count(*) FROM customer_keys WHERE customer BETWEEN ?1 AND ?2")?
        .query_row([first, last], |row| row.get(0))?;
    Ok(there == swapped)
}

fn kind_of(generation: u32) -> u8 {
    if generation == 0 { IDENTITY } else { FIELD }
}

fn swap_tenant(
    db: &Connection,
    old: &TenantRow,
    epoch: u32,
    wrapped: &[u8],
) -> rusqlite::Result<bool> {
    let swapped = db.execute(
        "UPDATE tenants SET epoch = ?3, wrapped = ?4
         WHERE tenant = ?1 AND wrapped = ?2",
        params![old.tenant.0, old.wrapped, epoch, wrapped],
    )?;
    Ok(swapped == 1)
}

fn condemn_epoch(db: &Connection, epoch: u32) -> rusqlite::Result<bool> {
    if left_up_to(db, epoch)?.rows() > 0 {
        return Ok(false);
    }
    let condemned = db.execute(
        "UPDATE epochs SET state = ?2 WHERE epoch = ?1 AND state IN (?2, ?3)",
        params![
            epoch,
            EpochState::Condemned as u8,
            EpochState::Closing as u8
        ],
    )?;
    Ok(condemned == 1)
}

fn blank_epoch(db: &Connection, epoch: u32) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE epoch_keys SET wrapped = x'' WHERE epoch = ?1 AND EXISTS
           (SELECT 1 FROM epochs WHERE epoch = ?1 AND state = ?2)",
        params![epoch, EpochState::Condemned as u8],
    )?;
    Ok(())
}

fn end_epoch(db: &Connection, epoch: u32) -> rusqlite::Result<()> {
    let ended = db.execute(
        "UPDATE epochs SET state = ?2 WHERE epoch = ?1 AND state = ?3",
        params![
            epoch,
            EpochState::Destroyed as u8,
            EpochState::Condemned as u8
        ],
    )?;
    if ended == 1 {
        db.execute("DELETE FROM epoch_keys WHERE epoch = ?1", [epoch])?;
    }
    Ok(())
}

fn certify_epoch(
    db: &Connection,
    epoch: u32,
    closed: &ClosedEpoch,
    leaf: &LeafRow,
) -> rusqlite::Result<bool> {
    let first = db.execute(
        "INSERT INTO closed_epochs (epoch, day, assurance) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
        params![epoch, closed.day.0, closed.assurance],
    )?;
    if first == 1 {
        append(db, std::slice::from_ref(leaf))?;
    }
    Ok(first == 1)
}

fn left_up_to(db: &Connection, epoch: u32) -> rusqlite::Result<Left> {
    let mut pages = db.prepare_cached(
        "SELECT count(*), coalesce(sum(dirty), 0) FROM pages WHERE kind = ?1 AND epoch <= ?2",
    )?;
    let mut count = |kind: PageKind| {
        pages.query_row(params![kind as u8, epoch], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    };
    let (customer_pages, dirty_pages) = count(PageKind::Customers)?;
    let (index_pages, dirty_index_pages) = count(PageKind::Index)?;
    Ok(Left {
        customer_pages,
        dirty_pages,
        index_pages,
        dirty_index_pages,
        tenants: db
            .prepare_cached("SELECT count(*) FROM tenants WHERE epoch <= ?1")?
            .query_row([epoch], |row| row.get(0))?,
    })
}

impl EpochStore for Sqlite {
    fn note_opening(&self, epoch: u32) -> Pending<()> {
        self.ordinary(&self.keys, move |db| note_opening(db, epoch))
    }

    fn open_epoch(&self, epoch: EpochRow, job: NewJob) -> Pending<Option<u64>> {
        self.ordinary(&self.keys, move |db| open_epoch(db, &epoch, &job))
    }

    fn swap_pages(&self, swaps: Vec<PageSwap>, progress: Progress) -> Pending<Swapped> {
        self.ordinary(&self.keys, move |db| swap_pages(db, &swaps, &progress))
    }

    fn swap_tenant(&self, old: TenantRow, epoch: u32, wrapped: Vec<u8>) -> Pending<bool> {
        self.ordinary(&self.keys, move |db| swap_tenant(db, &old, epoch, &wrapped))
    }

    fn condemn_epoch(&self, epoch: u32) -> Pending<bool> {
        self.keys.change(move |db| condemn_epoch(db, epoch))
    }

    fn blank_epoch(&self, epoch: u32) -> Pending<()> {
        self.keys.change(move |db| blank_epoch(db, epoch))
    }

    fn end_epoch(&self, epoch: u32) -> Pending<()> {
        self.keys.change(move |db| end_epoch(db, epoch))
    }

    fn certify_epoch(&self, epoch: u32, closed: ClosedEpoch, leaf: LeafRow) -> Pending<bool> {
        self.vault
            .change(move |db| certify_epoch(db, epoch, &closed, &leaf))
    }
}

fn view_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<PageView> {
    Ok(PageView {
        row: page_of(row)?,
        tenant: row.get::<_, Option<u32>>(4)?.map(TenantNumber),
        dirty: row.get(5)?,
    })
}

const VIEW: &str = "SELECT page, generation, epoch, wrapped, tenant, dirty FROM pages ";

impl EpochRows for Reader {
    fn pages_up_to(
        &mut self,
        kind: PageKind,
        epoch: u32,
        from: u64,
        most: usize,
    ) -> Result<Vec<PageView>> {
        let mut statement = self.keys()?.prepare_cached(&format!(
            "{VIEW} WHERE kind = ?1 AND page >= ?2 AND epoch <= ?3 ORDER BY page LIMIT ?4"
        ))?;
        let rows = statement.query_map(params![kind as u8, from, epoch, most], view_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn page_with_keys(&mut self, page: u64) -> Result<Option<(PageView, Vec<KeptKey>)>> {
        let db = self.keys()?;
        let view = db
            .prepare_cached(&format!("{VIEW} WHERE kind = ?1 AND page = ?2"))?
            .query_row(params![PageKind::Customers as u8, page], view_of)
            .optional()?;
        let Some(view) = view else {
            return Ok(None);
        };
        let mut keys = db.prepare_cached(
            "SELECT customer, tenant, generation, wrapped FROM customer_keys
             WHERE customer BETWEEN ?1 AND ?2 ORDER BY customer, kind, generation",
        )?;
        let (first, last) = customers_on(page);
        let keys = keys.query_map([first, last], |row| {
            Ok(KeptKey {
                customer: CustomerNumber(row.get(0)?),
                tenant: TenantNumber(row.get(1)?),
                key: KeyRow {
                    generation: row.get(2)?,
                    wrapped: row.get(3)?,
                },
            })
        })?;
        Ok(Some((view, keys.collect::<rusqlite::Result<_>>()?)))
    }

    fn left_up_to(&mut self, epoch: u32) -> Result<Left> {
        Ok(left_up_to(self.keys()?, epoch)?)
    }

    fn dirty_keys_up_to(&mut self, epoch: u32) -> Result<u64> {
        Ok(self.keys()?.query_row(
            "SELECT count(*) FROM pages p JOIN customer_keys k
               ON k.customer BETWEEN p.page << ?2 AND (p.page << ?2) + (1 << ?2) - 1
             WHERE p.kind = 1 AND p.dirty = 1 AND p.epoch <= ?1",
            params![epoch, limits::CUSTOMERS_PER_PAGE_BITS],
            |row| row.get(0),
        )?)
    }

    fn erased_in(&mut self, epoch: u32) -> Result<Vec<[u8; 32]>> {
        let mut statement = self
            .keys()?
            .prepare_cached("SELECT fingerprint FROM fences WHERE epoch = ?1")?;
        let rows = statement.query_map([epoch], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn erased_after(&mut self, epoch: u32) -> Result<Vec<CustomerNumber>> {
        let mut statement = self
            .keys()?
            .prepare_cached("SELECT customer FROM fences WHERE epoch > ?1")?;
        let rows = statement.query_map([epoch], |row| row.get(0).map(CustomerNumber))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn next_customer(&mut self) -> Result<u64> {
        Ok(self.keys()?.query_row(
            "SELECT next FROM allocator WHERE name = 'customer'",
            [],
            |row| row.get(0),
        )?)
    }

    fn index_page_keys(&mut self) -> Result<Vec<u64>> {
        let mut statement = self
            .keys()?
            .prepare_cached("SELECT page FROM pages WHERE kind = ?1 ORDER BY page")?;
        let rows = statement.query_map([PageKind::Index as u8], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn index_place(&mut self, page: u64) -> Result<Option<(TenantNumber, IndexRef)>> {
        Ok(self
            .vault()?
            .prepare_cached(
                "SELECT page, start, depth, rows, changes, tenant FROM index_pages
                 WHERE page = ?1",
            )?
            .query_row([page], |row| {
                Ok((TenantNumber(row.get(5)?), index_ref_of(row)?))
            })
            .optional()?)
    }

    fn purges_on(&mut self, page: u64) -> Result<Vec<CustomerNumber>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT customer FROM erasures WHERE level < 3 AND index_page = ?1 ORDER BY customer",
        )?;
        let rows = statement.query_map([page], |row| row.get(0).map(CustomerNumber))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn customer_from(&mut self, from: u64) -> Result<Option<CustomerNumber>> {
        Ok(self
            .vault()?
            .prepare_cached(
                "SELECT customer FROM customers WHERE customer >= ?1 ORDER BY customer LIMIT 1",
            )?
            .query_row([from], |row| row.get(0).map(CustomerNumber))
            .optional()?)
    }

    fn whole_records(
        &mut self,
        customer: CustomerNumber,
        after: u64,
        most: usize,
    ) -> Result<Vec<RecordRow>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT place, type, revision, schema_version, generation, created_day, updated_day,
                    manifest, sealed_id, body FROM records
             WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3",
        )?;
        let first = place(RecordKey::new(customer, after))?;
        let last = place(RecordKey::new(CustomerNumber(customer.0 + 1), 0))?;
        let rows = statement.query_map(params![first, last, most], record_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn closed_epoch(&mut self, epoch: u32) -> Result<Option<ClosedEpoch>> {
        Ok(self
            .vault()?
            .prepare_cached("SELECT day, assurance FROM closed_epochs WHERE epoch = ?1")?
            .query_row([epoch], |row| {
                Ok(ClosedEpoch {
                    day: Day(row.get(0)?),
                    assurance: row.get(1)?,
                })
            })
            .optional()?)
    }

    fn may_be_left(&mut self, epoch: u32) -> Result<bool> {
        let sql = "SELECT 1 FROM opening WHERE epoch = ?1 UNION ALL SELECT 1 FROM restored";
        Ok(self.keys()?.prepare_cached(sql)?.exists([epoch])?)
    }
}
