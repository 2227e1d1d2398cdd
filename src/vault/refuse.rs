//! Writing down what was not done. A denial is tagged to the customer it was
//! about, with no effect on the reply; of an id that does not exist nothing is
//! kept, and the leaf looks the same.

use super::Vault;
use crate::audit::{Call, Leaf, Subject, Verdict};
use crate::error::{Error, Result};
use crate::id::{CustomerId, TenantName};
use std::sync::Arc;

/// What was known of a call that was refused.
#[derive(Default)]
pub struct Refused {
    /// The purpose, where the catalog declares it.
    pub purpose: String,
    /// The record type, where the catalog declares it.
    pub record_type: String,
    /// The catalog's version that decided.
    pub catalog: u32,
    /// The caller's tenant.
    pub tenant: Option<TenantName>,
    /// The customers it asked for.
    pub about: Vec<CustomerId>,
}

impl Vault {
    /// Makes the leaf of a refused call durable.
    pub async fn record_refusal(&self, call: &Call, refused: Refused, error: &Error) -> Result<()> {
        let verdict = match error {
            Error::Denied(_) | Error::Unauthenticated(_) => Verdict::Denied,
            _ => Verdict::Failed,
        };
        let mut leaf = Leaf::new(verdict, error.reason());
        leaf.purpose = refused.purpose;
        leaf.record_type = refused.record_type;
        leaf.catalog = refused.catalog;
        if let Error::Denied(denial) = error {
            leaf.policies.clone_from(&denial.policies);
        }
        let subjects = match &refused.tenant {
            Some(tenant) if !refused.about.is_empty() => {
                self.subjects(call, tenant, refused.about).await?
            }
            _ => vec![Subject::nobody()?],
        };
        let row = |subject| self.0.log.row(call, &leaf, subject);
        let rows = subjects.into_iter().map(row).collect();
        self.0.log.record(call, rows, ()).await?;
        Ok(())
    }

    async fn subjects(
        &self,
        call: &Call,
        tenant: &TenantName,
        ids: Vec<CustomerId>,
    ) -> Result<Vec<Subject>> {
        if self.is_sealed() {
            let decoy = |_| Subject::decoy(self.0.keyring.deployment(), call.time);
            return ids.into_iter().map(decoy).collect();
        }
        let tenant = self.tenant(tenant)?;
        let (vault, time) = (self.clone(), call.time);
        self.on_rows(move |rows, keyring| {
            let subject = |id| match keyring.keys_of(rows, &tenant, id) {
                Ok(keys) => vault.subject(time, &keys, &[]),
                Err(_) => Subject::decoy(keyring.deployment(), time),
            };
            ids.iter().map(subject).collect()
        })
        .await
    }

    /// Makes the leaf of shed calls durable: so many of a principal within a
    /// second.
    pub async fn record_shed(
        &self,
        principal: Arc<str>,
        reason: &'static str,
        count: u64,
    ) -> Result<()> {
        let now = crate::clock::Instant::now();
        let call = self.0.log.begin("Shed", Some(principal), now);
        let mut leaf = Leaf::new(Verdict::Shed, reason);
        leaf.count = count;
        self.record_plain(&call, &leaf, ()).await?;
        Ok(())
    }
}
