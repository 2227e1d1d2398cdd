//! Changes to `vault.db`. Each runs inside the writer's transaction, its audit
//! leaf with it.

use super::error::LeafTooLong;
use super::reader::{erasure, request};
use super::{certificates, events, history, retention};
use crate::clock::Day;
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{
    CreateCustomer, CreateOutcome, DeleteRecord, EraseIntent, LeafRow, PutOutcome, PutRecord,
    RecordKey, RequestClaim, SplitIndex, Tombstone,
};
use rusqlite::{Connection, OptionalExtension, Result, params};

/// A record's number takes the low bits of its place, the customer's the high:
/// a customer's records lie together.
const RECORD_BITS: u32 = 24;

/// Where a record lies: `records.place`. An error where the numbers do not fit:
/// two records never share a place.
pub fn place(key: RecordKey) -> Result<i64> {
    let (customer, record) = (key.customer.0, key.record.0);
    let too_large = rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX);
    if record >> RECORD_BITS != 0 || customer >> (63 - RECORD_BITS) != 0 {
        return Err(too_large);
    }
    i64::try_from((customer << RECORD_BITS) | record).map_err(|_| too_large)
}

/// The record that lies at a place.
pub fn key_at(place: i64) -> RecordKey {
    let place = place.unsigned_abs();
    RecordKey::new(
        CustomerNumber(place >> RECORD_BITS),
        place & ((1 << RECORD_BITS) - 1),
    )
}

/// Answers the first's number; 0 where a reader cannot be noted any more, so
/// that nothing is written.
pub fn append(db: &Connection, leaves: &[LeafRow]) -> Result<u64> {
    for reader in leaves.iter().filter_map(|leaf| leaf.reader.as_ref()) {
        if !events::note_reader(db, reader)? {
            return Ok(0);
        }
    }
    let mut first = None;
    for leaf in leaves {
        let number = append_one(db, leaf)?;
        first.get_or_insert(number);
    }
    Ok(first.unwrap_or(0))
}

pub fn append_one(db: &Connection, leaf: &LeafRow) -> Result<u64> {
    if leaf.leaf.len() > limits::LEAF_BYTES {
        return Err(LeafTooLong.into());
    }
    db.prepare_cached("INSERT INTO leaves (leaf, detail) VALUES (?1, ?2)")?
        .execute(params![leaf.leaf, leaf.detail])?;
    let number = db.last_insert_rowid().unsigned_abs();
    if let Some(row) = &leaf.history {
        history::note(number, row);
    }
    Ok(number)
}

pub fn claim(
    db: &Connection,
    claim: &RequestClaim,
    about: CustomerNumber,
    outcome: u64,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO requests (day, scope, request, customer, digest, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        claim.today.0,
        claim.key.scope,
        &claim.key.id[..],
        about.0,
        &claim.digest[..],
        outcome
    ])?;
    Ok(())
}

pub fn create_customer(db: &Connection, new: &CreateCustomer) -> Result<CreateOutcome> {
    if let Some(row) = request(db, &new.request.key, new.request.today)? {
        return Ok(CreateOutcome::Repeated(row));
    }
    let rows: Option<u64> = db
        .prepare_cached(
            "UPDATE index_pages SET rows = rows + ?2, changes = changes + 1
             WHERE page = ?1 RETURNING rows",
        )?
        .query_row(
            params![new.index_page, u8::from(new.replaces.is_none())],
            |row| row.get(0),
        )
        .optional()?;
    let rows = match rows {
        Some(rows) => rows,
        None if first_index_page(db, new)? => 1,
        None => return Ok(CreateOutcome::Moved),
    };
    let placed = match &new.replaces {
        None => db
            .prepare_cached(
                "INSERT INTO index_rows (page, tag, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![new.index_page, &new.index_tag[..], new.index_body])?,
        Some(tombstone) => db
            .prepare_cached(
                "UPDATE index_rows SET body = ?3 WHERE page = ?1 AND tag = ?2 AND body = ?4",
            )?
            .execute(params![
                new.index_page,
                &new.index_tag[..],
                new.index_body,
                tombstone.old
            ])?,
    };
    if placed == 0 {
        if new.replaces.is_none() {
            db.prepare_cached("UPDATE index_pages SET rows = rows - 1 WHERE page = ?1")?
                .execute([new.index_page])?;
        }
        return Ok(CreateOutcome::Taken);
    }
    db.prepare_cached(
        "INSERT INTO customers (customer, tenant, created_day, next_record, records, state,
                                state_mac, sealed_id) VALUES (?1, ?2, ?3, 1, 0, ?4, ?5, ?6)",
    )?
    .execute(params![
        new.customer.0,
        new.tenant.0,
        new.today.0,
        new.state,
        &new.state_mac[..],
        new.sealed_id
    ])?;
    claim(db, &new.request, new.customer, 0)?;
    append_one(db, &new.leaf)?;
    Ok(CreateOutcome::Created(rows))
}

/// A tenant's first index page holds every prefix. False where the tenant has
/// index pages already, so that the given one is out of date.
fn first_index_page(db: &Connection, new: &CreateCustomer) -> Result<bool> {
    let added = db
        .prepare_cached(
            "INSERT INTO index_pages (tenant, start, depth, page, rows, changes)
             SELECT ?1, 0, 0, ?2, 1, 1
             WHERE NOT EXISTS (SELECT 1 FROM index_pages WHERE tenant = ?1)",
        )?
        .execute(params![new.tenant.0, new.index_page])?;
    Ok(added == 1)
}

pub fn put_record(db: &Connection, put: &PutRecord) -> Result<PutOutcome> {
    if let Some(row) = request(db, &put.request.key, put.request.today)? {
        return Ok(PutOutcome::Repeated(row));
    }
    let at = place(put.key)?;
    let created = if put.replaces == 0 {
        // The next number and the locator's uniqueness are checked by the
        // statements themselves; a lost race changes nothing.
        let taken = db
            .prepare_cached(
                "UPDATE customers SET next_record = next_record + 1, records = records + 1
                 WHERE customer = ?1 AND next_record = ?2 AND least_generation <= ?4
                   AND NOT EXISTS (SELECT 1 FROM locators WHERE customer = ?1 AND locator = ?3)",
            )?
            .execute(params![
                put.key.customer.0,
                put.key.record.0,
                &put.locator[..],
                put.generation
            ])?;
        if taken == 0 {
            return lost_or_gone(db, put.key.customer);
        }
        db.prepare_cached(
            "INSERT INTO records (place, tenant, type, locator, revision, schema_version,
                                  created_day, updated_day, manifest, sealed_id, body,
                                  generation)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            at,
            put.tenant.0,
            put.record_type,
            &put.locator[..],
            put.schema_version,
            put.today.0,
            &put.manifest[..],
            put.sealed_id,
            put.body,
            put.generation
        ])?;
        db.prepare_cached("INSERT INTO locators (customer, locator, place) VALUES (?1, ?2, ?3)")?
            .execute(params![put.key.customer.0, &put.locator[..], at])?;
        put.today
    } else {
        let created: Option<i32> = db
            .prepare_cached(
                "UPDATE records SET revision = revision + 1, schema_version = ?3,
                        updated_day = ?4, manifest = ?5, body = ?6, generation = ?7
                 WHERE place = ?1 AND revision = ?2 AND manifest = ?8 AND ?7 >=
                   (SELECT least_generation FROM customers WHERE customer = ?9)
                 RETURNING created_day",
            )?
            .query_row(
                params![
                    at,
                    put.replaces,
                    put.schema_version,
                    put.today.0,
                    &put.manifest[..],
                    put.body,
                    put.generation,
                    put.replaces_manifest,
                    put.key.customer.0
                ],
                |row| row.get(0),
            )
            .optional()?;
        match created {
            Some(day) => Day(day),
            None => return lost_or_gone(db, put.key.customer),
        }
    };
    retention::note_write(db, put)?;
    claim(db, &put.request, put.key.customer, put.replaces + 1)?;
    append_one(db, &put.leaf)?;
    Ok(PutOutcome::Done(created, put.today))
}

fn lost_or_gone(db: &Connection, customer: CustomerNumber) -> Result<PutOutcome> {
    let there = db
        .prepare_cached("SELECT 1 FROM customers WHERE customer = ?1")?
        .exists([customer.0])?;
    Ok(if there {
        PutOutcome::Lost
    } else {
        PutOutcome::Gone
    })
}

pub fn delete_record(db: &Connection, delete: &DeleteRecord) -> Result<PutOutcome> {
    if let Some(row) = request(db, &delete.request.key, delete.request.today)? {
        return Ok(PutOutcome::Repeated(row));
    }
    let at = place(delete.key)?;
    let gone: Option<(i32, Vec<u8>)> = db
        .prepare_cached(
            "DELETE FROM records WHERE place = ?1 AND revision = ?2
             RETURNING created_day, locator",
        )?
        .query_row(params![at, delete.revision], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((created, locator)) = gone else {
        return lost_or_gone(db, delete.key.customer);
    };
    db.prepare_cached("DELETE FROM locators WHERE customer = ?1 AND locator = ?2")?
        .execute(params![delete.key.customer.0, locator])?;
    db.prepare_cached("UPDATE customers SET records = records - 1 WHERE customer = ?1")?
        .execute([delete.key.customer.0])?;
    retention::forget(db, at)?;
    // Once the record is gone, only this says which it was.
    claim(
        db,
        &delete.request,
        delete.key.customer,
        delete.key.record.0,
    )?;
    append_one(db, &delete.leaf)?;
    Ok(PutOutcome::Done(Day(created), Day(created)))
}

pub fn intend_erasure(db: &Connection, intent: &EraseIntent) -> Result<bool> {
    // While the intent stands, the index page is not split.
    let there = db
        .prepare_cached("SELECT 1 FROM index_rows WHERE page = ?1 AND tag = ?2")?
        .exists(params![intent.index_page, &intent.index_tag[..]])?;
    let is_as_read = db
        .prepare_cached("SELECT 1 FROM customers WHERE customer = ?1 AND state = ?2")?
        .exists(params![intent.customer.0, intent.state])?;
    if !(there && is_as_read && events::tells_all(db, intent.told.as_ref())?) {
        return Ok(false);
    }
    let story = intent.told.as_ref().map_or(0, |told| told.story);
    let is_new = db
        .prepare_cached(
            "INSERT INTO erasures (customer, tenant, level, index_page, index_tag, day, records,
                                   story)
             VALUES (?1, ?2, 1, ?3, ?4, ?5,
                     coalesce((SELECT records FROM customers WHERE customer = ?1), 0), ?6)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            intent.customer.0,
            intent.tenant.0,
            intent.index_page,
            &intent.index_tag[..],
            intent.today.0,
            story.cast_signed()
        ])?;
    // Another call that intends the same told it already.
    if let Some(told) = intent.told.as_ref().filter(|_| is_new == 1) {
        events::tell(db, told)?;
    }
    if let Some(certificate) = intent.certificate.as_ref().filter(|_| is_new == 1) {
        certificates::intend(db, intent.customer, certificate)?;
    }
    append_one(db, &intent.leaf)?;
    Ok(true)
}

/// Raises an erasure's level, once, with its leaf.
pub fn record_level(
    db: &Connection,
    customer: CustomerNumber,
    level: u8,
    leaf: &LeafRow,
) -> Result<()> {
    let raised = db
        .prepare_cached("UPDATE erasures SET level = ?2 WHERE customer = ?1 AND level < ?2")?
        .execute(params![customer.0, level])?;
    if raised == 1 {
        let number = append_one(db, leaf)?;
        if level == 2 {
            db.prepare_cached("UPDATE erasures SET leaf = ?2 WHERE customer = ?1")?
                .execute(params![customer.0, number])?;
        }
    }
    Ok(())
}

/// The day on which a purge was done, once.
pub fn note_purge_day(db: &Connection, customer: CustomerNumber, today: Day) -> Result<()> {
    db.prepare_cached(
        "UPDATE erasures SET purged_day = ?2 WHERE customer = ?1 AND purged_day = 0",
    )?
    .execute(params![customer.0, today.0])?;
    Ok(())
}

pub fn purge(
    db: &Connection,
    customer: CustomerNumber,
    tombstone: Option<&Tombstone>,
) -> Result<bool> {
    let most = limits::PURGE_ROWS;
    let (first, last) = (
        place(RecordKey::new(customer, 0))?,
        place(RecordKey::new(customer, (1 << RECORD_BITS) - 1))?,
    );
    let (mut gone, mut records) = (0, 0);
    for (sql, with_place) in [
        (
            "DELETE FROM records WHERE place IN
               (SELECT place FROM records WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)",
            true,
        ),
        (
            "DELETE FROM writes WHERE (type, day, place) IN
               (SELECT type, day, place FROM writes WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)",
            true,
        ),
        (
            "DELETE FROM origins WHERE place IN
               (SELECT place FROM origins WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)",
            true,
        ),
        (
            "DELETE FROM deferred WHERE place IN
               (SELECT place FROM deferred WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)",
            true,
        ),
        (
            "DELETE FROM locators WHERE (customer, locator) IN
               (SELECT customer, locator FROM locators WHERE customer = ?1 LIMIT ?3)",
            false,
        ),
        (
            "DELETE FROM consent_events WHERE (customer, number) IN
               (SELECT customer, number FROM consent_events WHERE customer = ?1 LIMIT ?3)",
            false,
        ),
        (
            "DELETE FROM readers WHERE (customer, reader) IN
               (SELECT customer, reader FROM readers WHERE customer = ?1 LIMIT ?3)",
            false,
        ),
        (
            "DELETE FROM requests WHERE (day, scope, request) IN
               (SELECT day, scope, request FROM requests WHERE customer = ?1 LIMIT ?3)",
            false,
        ),
    ] {
        let from = if with_place {
            first
        } else {
            customer.0.cast_signed()
        };
        let deleted = db.prepare_cached(sql)?.execute(params![from, last, most])?;
        gone += deleted;
        records += if sql.contains("FROM records") {
            deleted
        } else {
            0
        };
    }
    if records > 0 {
        db.prepare_cached("UPDATE erasures SET purged = purged + ?2 WHERE customer = ?1")?
            .execute(params![customer.0, records])?;
    }
    if gone > 0 {
        return Ok(false);
    }
    super::rights::forget(db, customer)?;
    super::restraints::forget(db, customer)?;
    super::partial::forget(db, customer)?;
    db.prepare_cached("DELETE FROM consent_ends WHERE customer = ?1")?
        .execute([customer.0])?;
    db.prepare_cached("DELETE FROM customers WHERE customer = ?1")?
        .execute([customer.0])?;
    if let (Some(tombstone), Some(erasure)) = (tombstone, erasure(db, customer)?) {
        db.prepare_cached(
            "UPDATE index_rows SET body = ?3 WHERE page = ?1 AND tag = ?2 AND body = ?4",
        )?
        .execute(params![
            erasure.index_page,
            &erasure.index_tag[..],
            tombstone.body,
            tombstone.old
        ])?;
        db.prepare_cached("UPDATE index_pages SET changes = changes + 1 WHERE page = ?1")?
            .execute([erasure.index_page])?;
    }
    Ok(true)
}

pub fn split_index(db: &Connection, split: &SplitIndex) -> Result<bool> {
    let gone = db
        .prepare_cached(
            "DELETE FROM index_pages WHERE tenant = ?1 AND page = ?2 AND changes = ?3
               AND NOT EXISTS (SELECT 1 FROM erasures WHERE level < 3 AND index_page = ?2)",
        )?
        .execute(params![split.tenant.0, split.old, split.changes])?;
    if gone == 0 {
        return Ok(false);
    }
    db.prepare_cached("DELETE FROM index_rows WHERE page = ?1")?
        .execute([split.old])?;
    for part in &split.new {
        db.prepare_cached(
            "INSERT INTO index_pages (tenant, start, depth, page, rows, changes)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?
        .execute(params![
            split.tenant.0,
            part.start,
            part.depth,
            part.page,
            part.rows.len()
        ])?;
        for (tag, body) in &part.rows {
            db.prepare_cached("INSERT INTO index_rows (page, tag, body) VALUES (?1, ?2, ?3)")?
                .execute(params![part.page, &tag[..], body])?;
        }
    }
    Ok(true)
}

pub fn next_boot(db: &Connection) -> Result<u64> {
    db.prepare_cached(
        "INSERT INTO boots (one, boot) VALUES (1, 1)
         ON CONFLICT (one) DO UPDATE SET boot = boot + 1 RETURNING boot",
    )?
    .query_row([], |row| row.get(0))
}

pub fn forget_requests(db: &Connection, before: Day) -> Result<usize> {
    db.prepare_cached(
        "DELETE FROM requests WHERE (day, scope, request) IN
           (SELECT day, scope, request FROM requests WHERE day < ?1 LIMIT ?2)",
    )?
    .execute(params![before.0, limits::PURGE_ROWS])
}
