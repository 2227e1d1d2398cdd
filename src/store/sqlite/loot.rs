//! The rows of any copy of a vault's files, wherever it comes from: what the
//! attack program goes through.

use super::Image;
use super::error::refused;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::sqlite::vault_file::key_at;
use crate::store::{DataFile, EpochKey, PageKind, PageRow, RecordKey};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;

/// A copy of `keys.db` or of `vault.db`: a file, or an image from a key backup.
pub struct Loot {
    db: Connection,
    file: DataFile,
}

/// A page's wrapped key.
pub struct LootPage {
    /// What it wraps.
    pub kind: PageKind,
    /// The tenant of an index page; 0 for customers' keys.
    pub tenant: TenantNumber,
    /// The row.
    pub row: PageRow,
}

/// A customer's wrapped key.
pub struct LootKey {
    /// Whose.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// 0 for the identity key.
    pub generation: u32,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// A record, sealed.
pub struct LootRecord {
    /// Which.
    pub key: RecordKey,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// Its type.
    pub record_type: u16,
    /// The caller's id, sealed.
    pub sealed_id: Vec<u8>,
    /// The groups.
    pub body: Vec<u8>,
}

impl Loot {
    /// Opens a file for reading; `None` where it is neither `keys.db` nor
    /// `vault.db`, of any version.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(db) = Connection::open_with_flags(path, flags) else {
            return Ok(None);
        };
        let has = |table: &str| {
            let sql = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
            db.prepare(sql)
                .and_then(|mut s| s.exists([table]))
                .unwrap_or(false)
        };
        let is_new = has("epoch_keys");
        let file = match (has("customer_keys"), has("records")) {
            (true, _) => DataFile::Keys,
            (false, true) => DataFile::Vault,
            (false, false) => return Ok(None),
        };
        let loot = Self { db, file };
        Ok(Some(match (file, is_new) {
            // An older table: the same rows, in a newer shape in memory.
            (DataFile::Keys, false) => loot.renewed()?,
            _ => loot,
        }))
    }

    /// The rows of a key backup's image.
    pub fn of_image(image: Image) -> Result<Self> {
        image.migrate()?;
        Ok(Self {
            db: image.into_db(),
            file: DataFile::Keys,
        })
    }

    fn renewed(mut self) -> Result<Self> {
        let bytes = self.db.serialize("main").map_err(refused)?.to_vec();
        Self::of_image(Image::open(&bytes)?)
    }

    /// Which of the two files it is.
    pub fn file(&self) -> DataFile {
        self.file
    }

    /// Every master key as a provider wrapped it, with its epoch.
    pub fn masters(&self) -> Result<Vec<(u32, EpochKey)>> {
        self.all(
            "SELECT epoch, provider, name, wrapped FROM epoch_keys",
            |row| {
                let (provider, name, wrapped) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((
                    row.get(0)?,
                    EpochKey {
                        provider,
                        name,
                        wrapped,
                    },
                ))
            },
        )
    }

    /// Every page's key.
    pub fn pages(&self) -> Result<Vec<LootPage>> {
        let sql = "SELECT kind, coalesce(tenant, 0), page, generation, epoch, wrapped FROM pages";
        self.all(sql, |row| {
            Ok(LootPage {
                kind: match row.get(0)? {
                    1_i64 => PageKind::Customers,
                    _ => PageKind::Index,
                },
                tenant: TenantNumber(row.get(1)?),
                row: PageRow {
                    page: row.get(2)?,
                    generation: row.get(3)?,
                    epoch: row.get(4)?,
                    wrapped: row.get(5)?,
                },
            })
        })
    }

    /// Who is erased, and the epoch that the erasure is stamped with.
    pub fn fences(&self) -> Result<BTreeMap<u64, u32>> {
        let all = self.all("SELECT customer, epoch FROM fences", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(all.into_iter().collect())
    }

    /// Who is erased in part, and the newest generation that was destroyed with
    /// that. A copy of before there were such erasures knows of none.
    pub fn partial_shreds(&self) -> Result<BTreeMap<u64, u32>> {
        let sql = "SELECT customer, max(destroyed) FROM partial_shreds WHERE epoch > 0
                   GROUP BY customer";
        if self.db.prepare(sql).is_err() {
            return Ok(BTreeMap::new());
        }
        let all = self.all(sql, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(all.into_iter().collect())
    }

    /// Goes through customers' keys.
    pub fn customer_keys(&self, each: impl FnMut(LootKey)) -> Result<()> {
        let sql = "SELECT customer, tenant, generation, wrapped FROM customer_keys";
        self.each(sql, each, |row| {
            Ok(LootKey {
                customer: CustomerNumber(row.get(0)?),
                tenant: TenantNumber(row.get(1)?),
                generation: row.get(2)?,
                wrapped: row.get(3)?,
            })
        })
    }

    /// Goes through customers: number, tenant, sealed id.
    pub fn customers(
        &self,
        each: impl FnMut((CustomerNumber, TenantNumber, Vec<u8>)),
    ) -> Result<()> {
        let sql = "SELECT customer, tenant, sealed_id FROM customers";
        self.each(sql, each, |row| {
            let customer = CustomerNumber(row.get(0)?);
            Ok((customer, TenantNumber(row.get(1)?), row.get(2)?))
        })
    }

    /// Goes through records.
    pub fn records(&self, each: impl FnMut(LootRecord)) -> Result<()> {
        let sql = "SELECT place, tenant, type, sealed_id, body FROM records";
        self.each(sql, each, |row| {
            Ok(LootRecord {
                key: key_at(row.get(0)?),
                tenant: TenantNumber(row.get(1)?),
                record_type: row.get(2)?,
                sealed_id: row.get(3)?,
                body: row.get(4)?,
            })
        })
    }

    /// Goes through index rows: page, tag, sealed body.
    pub fn index_rows(&self, each: impl FnMut((u64, [u8; 16], Vec<u8>))) -> Result<()> {
        let sql = "SELECT page, tag, body FROM index_rows";
        self.each(sql, each, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    fn all<T>(
        &self,
        sql: &str,
        of: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.each(sql, |row| found.push(row), of)?;
        Ok(found)
    }

    fn each<T>(
        &self,
        sql: &str,
        mut each: impl FnMut(T),
        of: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<()> {
        let mut statement = self.db.prepare(sql).map_err(refused)?;
        for row in statement.query_map([], of).map_err(refused)? {
            each(row.map_err(refused)?);
        }
        Ok(())
    }
}
