//! Listing a customer's records: their names and metadata, never a value.

use super::Vault;
use super::cursor::Cursor;
use super::find::{customer_name, owner_of, record_name};
use super::open::{RecordView, permit};
use crate::access::{Grant, List};
use crate::audit::{Call, Recorded, Verdict};
use crate::error::Result;
use crate::secret::SecretText;
use std::sync::Arc;

/// A page of a listing.
pub struct Listed {
    /// Names and metadata, by rising record number.
    pub records: Vec<(SecretText, RecordView)>,
    /// The token of the next page; empty after the last.
    pub next: String,
}

impl Vault {
    /// The records of the grant's customer and type, at most `most` of them,
    /// from where `token` says (empty: the first).
    pub async fn list(
        &self,
        call: &Arc<Call>,
        grant: Grant<List>,
        token: &str,
        most: usize,
    ) -> Result<Recorded<Listed>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let grant = Arc::new(grant);
        let asked = Arc::clone(&grant);
        let (quota, now) = (self.quota(), call.time);
        let deployment = self.0.keyring.deployment();
        let cursor = Cursor::of_list(deployment, &tenant, grant.target().record_type.number);
        let after = cursor.open(token)?;
        let (records, next, keys) = self
            .on_rows(move |rows, keyring| {
                let list = asked.target();
                let found = keyring.keys_of(rows, &tenant, &list.customer);
                let keys = quota.admit(asked.principal(), now, found)?;
                let owner = rows.customer(keys.customer)?;
                let owner = owner_of(rows, keys.customer, owner)?;
                let permit = permit(&asked, &keys, &owner, keyring.at(now.day()))?;
                let after = match after {
                    None => 0,
                    Some(key) if key.customer == keys.customer => key.record.0,
                    Some(_) => return Err(Cursor::refused("page_token")),
                };
                let customer = customer_name(deployment, &keys, &owner)?;
                let found = rows.records_of_customer(
                    permit.customer(),
                    permit.target().record_type.number,
                    after,
                    most.saturating_add(1),
                )?;
                let more = found.len() > most;
                let mut records = Vec::with_capacity(found.len());
                for row in found.iter().take(most) {
                    let view = RecordView {
                        restricted: permit.is_restrained(),
                        ..RecordView::of(row)
                    };
                    records.push((record_name(deployment, &keys, &customer, row)?, view));
                }
                let next = most.checked_sub(1).and_then(|last| found.get(last));
                let next = next.filter(|_| more).map(|row| row.key);
                Ok((records, next, keys))
            })
            .await?;
        let listed = Listed {
            records,
            next: next.map_or(Ok(String::new()), |last| cursor.seal(last))?,
        };
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.record_type = grant.target().record_type.name.to_string();
        leaf.count = listed.records.len() as u64;
        let row = self.subject_row(call, &leaf, &keys, &[])?;
        self.0.log.record(call, vec![row], listed).await
    }
}
