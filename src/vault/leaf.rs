//! Audit leaves as the use cases make them: what a grant decided, and whom it
//! is about.

use super::Vault;
use super::keyring::CustomerKeyring;
use crate::access::Grant;
use crate::audit::{Call, Detail, Leaf, Recorded, Subject, Verdict};
use crate::clock::Instant;
use crate::error::Result;
use crate::store::LeafRow;

impl Vault {
    /// A leaf that says what the grant decided.
    pub(super) fn leaf<A>(&self, grant: &Grant<A>, verdict: Verdict) -> Leaf {
        let mut leaf = Leaf::new(verdict, "");
        leaf.purpose = grant
            .purpose()
            .map_or_else(String::new, |p| p.name.to_string());
        leaf.policies = grant.policies().to_vec();
        leaf.catalog = grant.catalog_version();
        leaf
    }

    /// The row of a leaf about a customer and these records, each with its
    /// revision.
    pub(super) fn subject_row(
        &self,
        call: &Call,
        leaf: &Leaf,
        keys: &CustomerKeyring,
        records: &[(u64, u64)],
    ) -> Result<LeafRow> {
        let subject = self.subject(call.time, keys, records)?;
        Ok(self.0.log.row(call, leaf, subject))
    }

    /// Whom a leaf is about, for a leaf that is written when the keys are gone.
    pub(super) fn subject(
        &self,
        now: Instant,
        keys: &CustomerKeyring,
        records: &[(u64, u64)],
    ) -> Result<Subject> {
        let detail = Detail {
            tenant: keys.tenant,
            customer: keys.customer,
            records: records.to_vec(),
        };
        Subject::of(self.0.keyring.deployment(), &keys.identity, &detail, now)
    }

    /// The row of a leaf about nobody.
    pub(super) fn plain_row(&self, call: &Call, leaf: &Leaf) -> Result<LeafRow> {
        Ok(self.0.log.row(call, leaf, Subject::nobody()?))
    }

    /// Makes a leaf about nobody durable.
    pub(super) async fn record_plain<T>(
        &self,
        call: &Call,
        leaf: &Leaf,
        opened: T,
    ) -> Result<Recorded<T>> {
        let row = self.plain_row(call, leaf)?;
        self.0.log.record(call, vec![row], opened).await
    }
}
