//! What is about one customer in `vault.db`.

use super::reader::{Reader, record_of};
use super::vault_file::place;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{PersonRows, RecordKey, RecordRow};
use rusqlite::params;

impl PersonRows for Reader {
    fn bodies_of_customer(
        &mut self,
        after: RecordKey,
        record_type: u16,
        most: usize,
    ) -> Result<Vec<RecordRow>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT place, type, revision, schema_version, generation, created_day, updated_day,
                    manifest, sealed_id, body FROM records
             WHERE place > ?1 AND place < ?2 AND type = ?3 ORDER BY place LIMIT ?4",
        )?;
        let next = CustomerNumber(after.customer.0 + 1);
        let (first, end) = (place(after)?, place(RecordKey::new(next, 0))?);
        let rows = statement.query_map(params![first, end, record_type, most], record_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
