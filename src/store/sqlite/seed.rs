//! Many customers at once, written straight into the files of a vault that
//! serves nobody: for measuring. What they hold is what their creation, one by
//! one, would have written, but for requests and audit leaves.

use super::keys_file::{self, FIELD, IDENTITY};
use super::vault_file::place;
use super::{KEYS_FILE, VAULT_FILE, schema};
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::{CustomerRow, NewPage, RecordRow, SplitPart};
use rusqlite::{Connection, params};
use std::path::Path;

/// A customer to be written.
pub struct Seedling {
    /// Which.
    pub customer: CustomerNumber,
    /// Their wrapped identity key.
    pub identity: Vec<u8>,
    /// Their wrapped field key of generation 1.
    pub field: Vec<u8>,
    /// Their row.
    pub row: CustomerRow,
    /// Their one record and its locator, if they have one.
    pub record: Option<([u8; 16], RecordRow)>,
}

/// The files of a vault, open for seeding.
pub struct Seed {
    keys: Connection,
    vault: Connection,
}

impl Seed {
    /// Opens the vault in `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self {
            keys: schema::open_writer(&dir.join(KEYS_FILE), schema::KEYS)?,
            vault: schema::open_writer(&dir.join(VAULT_FILE), schema::VAULT)?,
        })
    }

    /// A page of customers, whose numbers are the next.
    pub fn customers(&mut self, page: NewPage, seedlings: &[Seedling]) -> Result<()> {
        let keys = self.keys.transaction()?;
        keys_file::add_page(&keys, &page)?;
        for seedling in seedlings {
            keys_of(&keys, seedling)?;
        }
        keys_file::allocate(&keys, "customer", seedlings.len() as u64)?;
        keys.commit()?;
        let vault = self.vault.transaction()?;
        for seedling in seedlings {
            row_of(&vault, seedling)?;
        }
        vault.commit()?;
        Ok(())
    }

    /// A page of the index.
    pub fn index(&mut self, tenant: TenantNumber, page: NewPage, part: &SplitPart) -> Result<()> {
        let keys = self.keys.transaction()?;
        keys_file::allocate(&keys, "index_page", 1)?;
        keys_file::add_index_pages(&keys, &[page])?;
        keys.commit()?;
        let vault = self.vault.transaction()?;
        vault.execute(
            "INSERT INTO index_pages (tenant, start, depth, page, rows, changes)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            params![tenant.0, part.start, part.depth, part.page, part.rows.len()],
        )?;
        for (tag, body) in &part.rows {
            vault
                .prepare_cached("INSERT INTO index_rows (page, tag, body) VALUES (?1, ?2, ?3)")?
                .execute(params![part.page, &tag[..], body])?;
        }
        vault.commit()?;
        Ok(())
    }

    /// Marks every page of customers' keys as one that lost a row.
    pub fn all_dirty(&mut self) -> Result<()> {
        self.keys
            .execute("UPDATE pages SET dirty = 1 WHERE kind = 1", [])?;
        Ok(())
    }
}

fn keys_of(db: &Connection, seedling: &Seedling) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO customer_keys (customer, kind, generation, tenant, created_day, wrapped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let both = [
        (IDENTITY, 0, &seedling.identity),
        (FIELD, 1, &seedling.field),
    ];
    for (kind, generation, wrapped) in both {
        insert.execute(params![
            seedling.customer.0,
            kind,
            generation,
            seedling.row.tenant.0,
            seedling.row.created.0,
            wrapped
        ])?;
    }
    Ok(())
}

fn row_of(db: &Connection, seedling: &Seedling) -> rusqlite::Result<()> {
    let (row, customer) = (&seedling.row, seedling.customer.0);
    db.prepare_cached(
        "INSERT INTO customers (customer, tenant, created_day, next_record, records, state,
                                state_mac, sealed_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        customer,
        row.tenant.0,
        row.created.0,
        row.next_record,
        row.records,
        row.state,
        row.state_mac,
        row.sealed_id
    ])?;
    let Some((locator, record)) = &seedling.record else {
        return Ok(());
    };
    let at = place(record.key)?;
    db.prepare_cached(
        "INSERT INTO records (place, tenant, type, locator, revision, schema_version, generation,
                              created_day, updated_day, manifest, sealed_id, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        at,
        row.tenant.0,
        record.record_type,
        &locator[..],
        record.revision,
        record.schema_version,
        record.generation,
        record.created.0,
        record.manifest,
        record.sealed_id,
        record.body
    ])?;
    db.prepare_cached("INSERT INTO locators (customer, locator, place) VALUES (?1, ?2, ?3)")?
        .execute(params![customer, &locator[..], at])?;
    Ok(())
}
