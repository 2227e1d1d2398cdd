//! Deleting a record. It is noted in the ledger of `keys.db` first, so that a
//! restore of older data deletes it again. Deleting is not forgetting: until
//! the customer's next key generation a backup still opens.

use super::Vault;
use super::find::found_record;
use super::open::permit;
use super::request::Request;
use crate::access::{Delete, Grant};
use crate::audit::{Call, Verdict};
use crate::crypto::index::record_locator;
use crate::error::{Error, Lost, Missing, Result};
use crate::id::RequestId;
use crate::limits;
use crate::store::{DeleteRecord, PutOutcome};
use std::sync::Arc;

impl Vault {
    /// Deletes the record that the grant names. `expected` is the revision
    /// that must be the current one.
    pub async fn delete_record(
        &self,
        call: &Arc<Call>,
        grant: Grant<Delete>,
        expected: Option<u64>,
        request: RequestId,
    ) -> Result<()> {
        let request = Request::new(
            grant.principal(),
            request,
            &[
                b"delete",
                grant.target().target.customer.expose().as_bytes(),
                grant.target().target.record.expose().as_bytes(),
                &grant.target().record_type.number.to_be_bytes(),
                &expected.map_or([0xff; 8], u64::to_be_bytes),
            ],
        );
        let grant = Arc::new(grant);
        for _ in 0..limits::REVISION_RETRIES {
            let Some(delete) = self
                .look_before_delete(call, &grant, expected, &request)
                .await?
            else {
                let leaf = self.leaf(&grant, Verdict::Allowed);
                self.record_plain(call, &leaf, ()).await?;
                return Ok(());
            };
            let today = call.time.day();
            self.0
                .store
                .note_deletion(delete.key, today)
                .in_time()
                .await?;
            let outcome = self.0.store.delete_record(delete).in_time().await?;
            if matches!(outcome, PutOutcome::Done(..)) {
                call.mark_recorded();
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// The deletion, ready to be stored; `None` where the request was made
    /// before.
    async fn look_before_delete(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Delete>>,
        expected: Option<u64>,
        request: &Request,
    ) -> Result<Option<DeleteRecord>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let (vault, call) = (self.clone(), Arc::clone(call));
        let (grant, request) = (Arc::clone(grant), request.clone());
        self.on_rows(move |rows, keyring| {
            let delete = grant.target();
            let keys = keyring.keys_of(rows, &tenant, &delete.target.customer)?;
            if let Some(known) = rows.request(&request.key)? {
                if known.customer != keys.customer {
                    return Err(Error::RequestIdReused);
                }
                request.is_same(&keys.identity, &known)?;
                return Ok(None);
            }
            let locator = record_locator(
                &keys.identity.record_locator,
                delete.record_type.number,
                &delete.target.record,
            );
            let (owner, row) = rows.record(keys.customer, &locator)?;
            let owner = owner.ok_or(Error::DataLoss(Lost::State))?;
            let permit = permit(&grant, &keys, &owner)?;
            let row = found_record(keyring.deployment(), &keys, &delete.target.record, row)?
                .ok_or(Error::NotFound(Missing::Record))?;
            if expected.is_some_and(|expected| expected != row.revision) {
                return Err(Error::RevisionStale);
            }
            let mut leaf = vault.leaf(permit.grant(), Verdict::Allowed);
            leaf.record_type = permit.target().record_type.name.to_string();
            leaf.count = 1;
            let of = [(row.key.record.0, row.revision)];
            Ok(Some(DeleteRecord {
                key: row.key,
                revision: row.revision,
                leaf: vault.subject_row(&call, &leaf, &keys, &of)?,
                request: request.claim(&keys.identity, call.time.day()),
            }))
        })
        .await
    }
}
