//! Changes to `keys.db`. Each runs inside the writer's transaction.

use crate::clock::Day;
use crate::id::CustomerNumber;
use crate::store::{
    CreateKeys, EpochRow, EpochState, Fence, LedgerKind, NewPage, PageKind, PageRow, RecordKey,
    TenantRow,
};
use rusqlite::{Connection, OptionalExtension, Result, params};
use sha2::{Digest, Sha256};

/// `customer_keys.kind`.
pub const IDENTITY: u8 = 1;
/// `customer_keys.kind`.
pub const FIELD: u8 = 2;
/// `intents.kind`: a customer is being created.
const CREATION: u8 = 1;

pub fn found(db: &Connection, deployment: [u8; 16], epoch: &EpochRow) -> Result<()> {
    db.execute(
        "INSERT INTO deployment (one, id) VALUES (1, ?1)",
        [&deployment[..]],
    )?;
    db.execute(
        "INSERT INTO allocator (name, next) VALUES ('customer', 1), ('index_page', 1)",
        [],
    )?;
    insert_epoch(db, epoch)
}

/// A new epoch with its master key as each provider wrapped it.
pub fn insert_epoch(db: &Connection, epoch: &EpochRow) -> Result<()> {
    db.execute(
        "INSERT INTO epochs (epoch, state, opened_day) VALUES (?1, ?2, ?3)",
        params![epoch.epoch, epoch.state as u8, epoch.opened.0],
    )?;
    for key in &epoch.keys {
        db.execute(
            "INSERT INTO epoch_keys (epoch, provider, name, wrapped) VALUES (?1, ?2, ?3, ?4)",
            params![epoch.epoch, key.provider, key.name, key.wrapped],
        )?;
    }
    Ok(())
}

/// Takes `count` numbers; answers the first.
pub fn allocate(db: &Connection, name: &str, count: u64) -> Result<u64> {
    db.prepare_cached("UPDATE allocator SET next = next + ?2 WHERE name = ?1 RETURNING next")?
        .query_row(params![name, count], |row| row.get::<_, u64>(0))
        .map(|next| next.saturating_sub(count))
}

pub fn page_of(row: &rusqlite::Row<'_>) -> Result<PageRow> {
    Ok(PageRow {
        page: row.get(0)?,
        generation: row.get(1)?,
        epoch: row.get(2)?,
        wrapped: row.get(3)?,
    })
}

pub fn page(db: &Connection, kind: PageKind, page: u64) -> Result<Option<PageRow>> {
    db.prepare_cached(
        "SELECT page, generation, epoch, wrapped FROM pages WHERE kind = ?1 AND page = ?2",
    )?
    .query_row(params![kind as u8, page], page_of)
    .optional()
}

pub fn allocate_customer(db: &Connection) -> Result<(CustomerNumber, Option<PageRow>)> {
    let customer = CustomerNumber(allocate(db, "customer", 1)?);
    db.prepare_cached("INSERT INTO intents (customer, kind) VALUES (?1, ?2)")?
        .execute(params![customer.0, CREATION])?;
    Ok((customer, page(db, PageKind::Customers, customer.page())?))
}

/// Adds a page's key, unless there is one or its epoch has passed its gate:
/// answers how many were added.
fn insert_page(db: &Connection, kind: PageKind, new: &NewPage) -> Result<usize> {
    db.prepare_cached(
        "INSERT INTO pages (kind, page, tenant, generation, epoch, dirty, wrapped)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE epoch = ?5 AND state IN (3, 4))
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        kind as u8,
        new.row.page,
        new.tenant.map(|tenant| tenant.0),
        new.row.generation,
        new.row.epoch,
        new.dirty,
        new.row.wrapped
    ])
}

pub fn add_page(db: &Connection, new: &NewPage) -> Result<PageRow> {
    insert_page(db, PageKind::Customers, new)?;
    page(db, PageKind::Customers, new.row.page)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub fn create_keys(db: &Connection, new: &CreateKeys) -> Result<bool> {
    // Compare and swap: a page that was wrapped anew opens nothing of the old.
    if page(db, PageKind::Customers, new.page.page)?.as_ref() != Some(&new.page) {
        return Ok(false);
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO customer_keys (customer, kind, generation, tenant, created_day, wrapped)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE NOT EXISTS (SELECT 1 FROM fences WHERE customer = ?1)",
    )?;
    for (kind, generation, wrapped) in [(IDENTITY, 0, &new.identity), (FIELD, 1, &new.field)] {
        let added = insert.execute(params![
            new.customer.0,
            kind,
            generation,
            new.tenant.0,
            new.today.0,
            wrapped
        ])?;
        if added != 1 {
            return Err(rusqlite::Error::StatementChangedRows(added));
        }
    }
    Ok(true)
}

pub fn abandon_customer(db: &Connection, customer: CustomerNumber) -> Result<()> {
    let gone = db
        .prepare_cached("DELETE FROM customer_keys WHERE customer = ?1")?
        .execute([customer.0])?;
    if gone > 0 {
        mark_dirty(db, PageKind::Customers, customer.page())?;
    }
    settle_customer(db, customer)
}

pub fn settle_customer(db: &Connection, customer: CustomerNumber) -> Result<()> {
    db.prepare_cached("DELETE FROM intents WHERE customer = ?1 AND kind = ?2")?
        .execute(params![customer.0, CREATION])?;
    Ok(())
}

pub fn mark_dirty(db: &Connection, kind: PageKind, page: u64) -> Result<()> {
    db.prepare_cached("UPDATE pages SET dirty = 1 WHERE kind = ?1 AND page = ?2 AND dirty = 0")?
        .execute(params![kind as u8, page])?;
    Ok(())
}

pub fn note(
    db: &Connection,
    kind: LedgerKind,
    customer: CustomerNumber,
    number: u64,
    epoch: u32,
    today: Day,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO ledger (kind, customer, number, epoch, day) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![kind as u8, customer.0, number, epoch, today.0])?;
    Ok(())
}

/// The epoch that new keys are wrapped under.
pub fn newest_epoch(db: &Connection) -> Result<u32> {
    db.prepare_cached("SELECT max(epoch) FROM epochs WHERE state = ?1")?
        .query_row([EpochState::Active as u8], |row| row.get(0))
}

pub fn note_deletion(db: &Connection, record: RecordKey, today: Day) -> Result<()> {
    let epoch = newest_epoch(db)?;
    note(
        db,
        LedgerKind::RecordDeletion,
        record.customer,
        record.record.0,
        epoch,
        today,
    )
}

pub fn fence(db: &Connection, customer: CustomerNumber) -> Result<Option<Fence>> {
    db.prepare_cached("SELECT epoch, day, fingerprint FROM fences WHERE customer = ?1")?
        .query_row([customer.0], |row| {
            Ok(Fence {
                epoch: row.get(0)?,
                day: Day(row.get(1)?),
                fingerprint: row.get(2)?,
            })
        })
        .optional()
}

/// The epoch whose destruction makes the end of a customer's keys final: the
/// one that their page row names now. Whoever wraps pages anew does it in this
/// file's transactions too, so it cannot slip between. Where a page of the index
/// must die as well, the later of the two counts. After a restore no stamp is
/// earlier than its floor: a newer backup may hold the page under that epoch
/// already.
pub fn stamp(db: &Connection, customer: CustomerNumber, index_page: Option<u64>) -> Result<u32> {
    db.prepare_cached(
        "SELECT coalesce(max(epoch), 0) FROM (
           SELECT epoch FROM pages
           WHERE (kind = 1 AND page = ?1) OR (kind = 2 AND page = ?2)
           UNION ALL SELECT floor FROM restored)",
    )?
    .query_row(params![customer.page(), index_page], |row| row.get(0))
}

/// The generation up to which a customer's field keys are compromised; 0: none.
pub fn compromised(db: &Connection, customer: CustomerNumber) -> Result<u32> {
    let found = db
        .prepare_cached("SELECT generation FROM compromised WHERE customer = ?1")?
        .query_row([customer.0], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// A customer's field keys older than a generation, oldest first.
pub fn generations_below(
    db: &Connection,
    customer: CustomerNumber,
    below: u32,
) -> Result<Vec<u32>> {
    let mut found = db.prepare_cached(
        "SELECT generation FROM customer_keys
         WHERE customer = ?1 AND kind = ?2 AND generation < ?3 ORDER BY generation",
    )?;
    let rows = found.query_map(params![customer.0, FIELD, below], |row| row.get(0))?;
    rows.collect()
}

pub fn shred(
    db: &Connection,
    customer: CustomerNumber,
    index_page: u64,
    today: Day,
) -> Result<Fence> {
    if let Some(fence) = fence(db, customer)? {
        return Ok(fence);
    }
    let epoch = stamp(db, customer, Some(index_page))?;
    let fingerprint = destroy_keys(db, customer)?;
    db.prepare_cached(
        "INSERT INTO fences (customer, epoch, day, fingerprint) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![customer.0, epoch, today.0, &fingerprint[..]])?;
    note(db, LedgerKind::Erasure, customer, 0, epoch, today)?;
    mark_dirty(db, PageKind::Customers, customer.page())?;
    mark_dirty(db, PageKind::Index, index_page)?;
    Ok(Fence {
        epoch,
        day: today,
        fingerprint,
    })
}

/// Deletes a customer's wrapped keys; answers their fingerprint.
fn destroy_keys(db: &Connection, customer: CustomerNumber) -> Result<[u8; 32]> {
    let mut fingerprint = Sha256::new();
    let mut keys = db.prepare_cached(
        "SELECT generation, wrapped FROM customer_keys
         WHERE customer = ?1 ORDER BY kind, generation",
    )?;
    let mut note = db.prepare_cached(
        "INSERT INTO destroyed_keys (customer, generation, fingerprint) VALUES (?1, ?2, ?3)",
    )?;
    let mut rows = keys.query([customer.0])?;
    while let Some(row) = rows.next()? {
        let (generation, wrapped): (u32, Vec<u8>) = (row.get(0)?, row.get(1)?);
        fingerprint.update(&wrapped);
        let one: [u8; 32] = Sha256::digest(&wrapped).into();
        note.execute(params![customer.0, generation, &one[..]])?;
    }
    for table in [
        "DELETE FROM customer_keys WHERE customer = ?1",
        "DELETE FROM compromised WHERE customer = ?1",
    ] {
        db.prepare_cached(table)?.execute([customer.0])?;
    }
    Ok(fingerprint.finalize().into())
}

pub fn add_index_pages(db: &Connection, pages: &[NewPage]) -> Result<()> {
    for page in pages {
        let added = insert_page(db, PageKind::Index, page)?;
        if added != 1 {
            return Err(rusqlite::Error::StatementChangedRows(added));
        }
    }
    Ok(())
}

pub fn drop_index_page(db: &Connection, page: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM pages WHERE kind = ?1 AND page = ?2")?
        .execute(params![PageKind::Index as u8, page])?;
    Ok(())
}

pub fn add_tenant(db: &Connection, new: &TenantRow) -> Result<()> {
    let added = db.execute(
        "INSERT INTO tenants (tenant, name, epoch, wrapped) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE epoch = ?3 AND state IN (3, 4))",
        params![new.tenant.0, new.name.as_str(), new.epoch, new.wrapped],
    )?;
    if added != 1 {
        return Err(rusqlite::Error::StatementChangedRows(added));
    }
    Ok(())
}
