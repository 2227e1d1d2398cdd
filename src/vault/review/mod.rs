//! What is declared, held against what callers really did.

mod findings;
mod processing;
mod tilt;
mod usage;

pub use findings::{Finding, FindingKind};
pub use processing::{form_text, record as processing_record, scope_json};
pub use tilt::Telling;
pub use usage::Usage;

use super::Vault;
use crate::access::{Grant, Review, Roles};
use crate::audit::{Call, Recorded, Verdict};
use crate::catalog::Catalog;
use crate::clock::{Day, Instant};
use crate::error::Result;
use crate::limits;
use crate::store::KeepingCounts;

/// A review.
pub struct ReviewView {
    /// What could be less.
    pub findings: Vec<Finding>,
    /// What was done.
    pub usage: Usage,
}

impl Vault {
    /// Looks for what could be less, by so many days of the log.
    pub async fn review(
        &self,
        call: &Call,
        grant: &Grant<Review>,
        (catalog, roles): (&Catalog, &Roles),
        days: u32,
    ) -> Result<Recorded<ReviewView>> {
        let usage = self.usage(call, grant, days).await?;
        let counts = self.keeping_counts(call, grant, days).await?;
        let today = call.time.day();
        let tenant = grant.principal().tenant();
        let findings = findings::find(catalog, (roles, tenant), &usage, counts, (days, today));
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = findings.len() as u64;
        let view = ReviewView { findings, usage };
        self.record_plain(call, &leaf, view).await
    }

    /// What was read in so many days, for a question that says so itself.
    pub async fn reads_of(
        &self,
        call: &Call,
        grant: &Grant<Review>,
        days: u32,
    ) -> Result<Recorded<Usage>> {
        let usage = self.usage(call, grant, days).await?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = usage.entries;
        self.record_plain(call, &leaf, usage).await
    }

    /// Writes down that something of the catalog was shown.
    pub async fn shown<T>(&self, call: &Call, grant: &Grant<Review>, what: T) -> Result<T> {
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, what).await?.release())
    }

    async fn keeping_counts(
        &self,
        call: &Call,
        grant: &Grant<Review>,
        days: u32,
    ) -> Result<KeepingCounts> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let today = call.time.day();
        let away = |days: u32| i32::try_from(days).unwrap_or(i32::MAX);
        let idle_since = Day(today.0.saturating_sub(away(days)));
        let soon = Day(today.0.saturating_add(away(limits::CONSENT_SOON_DAYS)));
        let counts = move |rows: &mut dyn crate::store::Rows| {
            rows.keeping_counts(tenant, idle_since, (today, soon))
        };
        self.0.log.aside(counts).await
    }

    async fn usage(&self, call: &Call, grant: &Grant<Review>, days: u32) -> Result<Usage> {
        let span = i64::from(days) * 86_400_000_000;
        let from = Instant::from_micros(call.time.micros().saturating_sub(span));
        let (first, end) = self
            .0
            .log
            .aside(move |rows| Ok((rows.sealed_before(from.micros())?, rows.newest_entry()?)))
            .await?;
        let mut usage = Usage::new(grant.principal().tenant().clone(), from);
        // Too many: the newest count.
        let mut seen = first.max(end.saturating_sub(limits::REVIEW_ENTRIES));
        while seen < end {
            let many = usize::try_from(end - seen).unwrap_or(usize::MAX);
            let many = many.min(limits::LEAVES_PER_READ);
            let leaves = self.0.log.aside(move |rows| rows.entries(seen, many));
            let leaves = leaves.await?;
            if leaves.is_empty() {
                break;
            }
            for (number, leaf) in &leaves {
                seen = *number;
                usage.take(leaf);
            }
        }
        Ok(usage)
    }
}
