//! Deleting a record. Before it is acknowledged it is noted in the ledger of
//! `keys.db`, so that a restore of older data deletes it again; but not before
//! it is done, or a restore would delete a record whose deletion was refused.
//! Deleting is not forgetting: until the customer's next key generation a
//! backup still opens.

use super::Vault;
use super::find::{found_record, owner_of};
use super::keyring::Tenant;
use super::keyring::{CustomerKeyring, Keyring};
use super::open::permit;
use super::request::Request;
use crate::access::{Delete, Grant};
use crate::audit::{Call, Verdict};
use crate::crypto::index::record_locator;
use crate::error::{Error, Missing, Result};
use crate::id::RequestId;
use crate::limits;
use crate::store::{DeleteRecord, LeafRow, PutOutcome, RecordKey, Rows};
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
        // In a task of its own: a caller that goes away stops nothing half-way.
        let (vault, call, grant) = (self.clone(), Arc::clone(call), Arc::new(grant));
        let all = async move {
            let gone = vault.delete_row(&call, &grant, expected, request).await?;
            let noted = vault.0.store.note_deletion(gone, call.time.day());
            noted.in_time().await
        };
        let ended = tokio::spawn(all).await;
        ended.unwrap_or(Err(Error::Internal("a deletion ended by itself")))
    }

    /// Deletes the record, or finds that this request has; answers which.
    async fn delete_row(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Delete>>,
        expected: Option<u64>,
        request: Request,
    ) -> Result<RecordKey> {
        let tenant = self.tenant(grant.principal().tenant())?;
        for _ in 0..limits::REVISION_RETRIES {
            let deleting = Deleting {
                vault: self.clone(),
                tenant: Arc::clone(&tenant),
                call: Arc::clone(call),
                grant: Arc::clone(grant),
                request: request.clone(),
                expected,
            };
            let looked = self
                .on_rows(move |rows, keyring| deleting.look(rows, keyring))
                .await?;
            let delete = match looked {
                Looked::Delete(delete) => delete,
                Looked::Again(record, leaf) => {
                    return Ok(self.0.log.record(call, vec![leaf], record).await?.release());
                }
            };
            let record = delete.key;
            let outcome = self.0.store.delete_record(*delete).in_time().await?;
            if matches!(outcome, PutOutcome::Done(..)) {
                call.mark_recorded();
                return Ok(record);
            }
        }
        Err(Error::Contended)
    }
}

/// What a look at the record found.
enum Looked {
    /// The request was made before and deleted this record: say so again.
    Again(RecordKey, LeafRow),
    /// Ready to be stored.
    Delete(Box<DeleteRecord>),
}

/// One try at a deletion, on a reader thread.
struct Deleting {
    vault: Vault,
    tenant: Arc<Tenant>,
    call: Arc<Call>,
    grant: Arc<Grant<Delete>>,
    request: Request,
    expected: Option<u64>,
}

impl Deleting {
    /// What a refusal tells of a customer counts as a look at them.
    fn look(&self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Looked> {
        let (who, quota) = (self.grant.principal(), &self.vault.0.quota);
        let customer = &self.grant.target().target.customer;
        let keys = match keyring.keys_of(rows, &self.tenant, customer) {
            Ok(keys) => keys,
            error => quota.admit(who, self.call.time, error)?,
        };
        let looked = self.look_at(rows, keyring, &keys);
        if looked.is_err() {
            quota.touch(who, keys.customer, self.call.time)?;
        }
        looked
    }

    fn look_at(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        keys: &CustomerKeyring,
    ) -> Result<Looked> {
        let delete = self.grant.target();
        let mut leaf = self.vault.leaf(&self.grant, Verdict::Allowed);
        leaf.record_type = delete.record_type.name.to_string();
        let whose = (keys.customer, &keys.identity);
        if let Some(known) = self.request.again(rows, whose, self.call.time.day())? {
            let leaf = self.vault.subject_row(&self.call, &leaf, keys, &[])?;
            return Ok(Looked::Again(
                RecordKey::new(keys.customer, known.outcome),
                leaf,
            ));
        }
        let locator = record_locator(
            &keys.identity.record_locator,
            delete.record_type.number,
            &delete.target.record,
        );
        let (owner, row) = rows.record(keys.customer, &locator)?;
        let owner = owner_of(rows, keys.customer, owner)?;
        let permit = permit(&self.grant, keys, &owner, keyring.at(self.call.time.day()))?;
        let id = &permit.target().target.record;
        let row = found_record(keyring.deployment(), keys, id, row)?
            .ok_or(Error::NotFound(Missing::Record))?;
        if self
            .expected
            .is_some_and(|expected| expected != row.revision)
        {
            return Err(Error::RevisionStale);
        }
        leaf.count = 1;
        let of = [(row.key.record.0, row.revision)];
        Ok(Looked::Delete(Box::new(DeleteRecord {
            key: row.key,
            revision: row.revision,
            leaf: self.vault.subject_row(&self.call, &leaf, keys, &of)?,
            request: self.request.claim(&keys.identity, self.call.time.day()),
        })))
    }
}
