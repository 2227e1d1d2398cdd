//! Finishing a restore, before anybody is served: whoever has no keys is
//! purged, what the ledger says was deleted is deleted, and the index is made
//! anew, since its pages' keys may be others by now. Every step may be
//! repeated; until the last one the files count as copies and are not served.

use super::Vault;
use super::find::customer_id;
use super::index::{Entry, blinded, pages_for};
use super::keyring::{Keyring, Tenant};
use crate::audit::{Fact, Leaf, Subject, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::Rows;
use crate::store::sqlite::{Purged, Restoring, open_rows};
use std::path::Path;

/// What a restore came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What was removed.
    pub purged: Purged,
    /// Customers that have keys and no data: how many.
    pub lost: u64,
    /// The numbers of the first of them.
    pub lost_first: Vec<CustomerNumber>,
    /// Customers that can be found again.
    pub indexed: u64,
    /// Whether the ledger is known to be complete; else every opt-in basis that
    /// is older than the restore reads as unknown.
    pub is_proven: bool,
}

/// Who approved a restore that cannot be proved, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unproven {
    /// Why.
    pub reason: String,
    /// Two principals.
    pub approved_by: Vec<String>,
}

impl Vault {
    /// Finishes the restore of the files in `data`. Blocks; nobody is served.
    pub fn finish_restore(&self, data: &Path, unproven: &Unproven) -> Result<Restored> {
        let now = Instant::now();
        let files = Restoring::open(data)?;
        let purged = files.purge()?;
        let (lost, lost_first) = files.lost(limits::LOST_TOLD)?;
        let keyring = &self.0.keyring;
        let mut rows = open_rows(data)?;
        let mut indexed = 0;
        for tenant in rows.tenants()? {
            let tenant = keyring.tenant(&tenant.name)?;
            indexed += index_anew(&files, &mut rows, keyring, &tenant)?;
        }
        let is_proven = files.is_proven()?;
        let restored = Restored {
            purged,
            lost,
            lost_first,
            indexed,
            is_proven,
        };
        self.note_restore(&restored, unproven, now)?;
        files.finish((!is_proven).then_some(now.seconds()))?;
        Ok(restored)
    }

    fn note_restore(&self, of: &Restored, unproven: &Unproven, now: Instant) -> Result<()> {
        let call = self.0.log.begin("Restore", None, now);
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.fact = Some(Fact::Restored {
            kept_dead: of.purged.erased,
            deletions: of.purged.deleted,
            narrowed: of.purged.narrowed,
            without_keys: of.purged.without_keys,
            lost: of.lost,
            proven: of.is_proven,
            reason: unproven.reason.clone(),
            approved_by: unproven.approved_by.clone(),
        });
        let row = self.0.log.row(&call, &leaf, Subject::nobody()?);
        self.0.store.append(vec![row]).wait().map(|_| ())
    }

    /// Which vault this is.
    pub fn deployment(&self) -> [u8; 16] {
        self.0.keyring.deployment().0
    }
}

/// Makes a tenant's index anew; answers how many customers are in it. Where an
/// old page still opens, its tombstones are kept as long as they should be.
fn index_anew(
    files: &Restoring,
    rows: &mut impl Rows,
    keyring: &Keyring,
    tenant: &Tenant,
) -> Result<u64> {
    let mut entries = tombstones(files, rows, keyring, tenant)?;
    let mut after = CustomerNumber(0);
    loop {
        let batch = files.sealed_ids(tenant.number, after, limits::RESTORE_BATCH)?;
        let Some((last, _)) = batch.last() else { break };
        after = *last;
        for (customer, sealed) in &batch {
            let keys = keyring.customer(*customer, rows.customer_keys(*customer)?)?;
            let id = customer_id(keyring.deployment(), &keys, sealed)?;
            entries.push((blinded(tenant, &id), Entry::Customer(*customer)));
        }
        // No long look at keys.db, not even here.
        rows.refresh();
    }
    let living = entries
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::Customer(_)));
    let living = living.count() as u64;
    // Somebody who came back stands in the place of their own tombstone.
    entries.sort_by_key(|(blind, entry)| (*blind, matches!(entry, Entry::Tombstone(_))));
    entries.dedup_by_key(|(blind, _)| *blind);
    if entries.is_empty() && files.index_pages(tenant.number)?.is_empty() {
        return Ok(0);
    }
    let shares = pages_for(&entries);
    let first = files.allocate_index_pages(shares.len() as u64)?;
    let (mut pages, mut parts, mut left) = (Vec::new(), Vec::new(), entries.as_slice());
    for ((start, depth, many), number) in shares.into_iter().zip(first..) {
        let (own, rest) = left
            .split_at_checked(many)
            .ok_or(Error::Internal("shares of an index"))?;
        let (page, part) = keyring.filled_page(tenant.number, number, start, depth, own)?;
        pages.push(page);
        parts.push(part);
        left = rest;
    }
    files.replace_index(tenant.number, &pages, &parts)?;
    rows.refresh();
    Ok(living)
}

/// Those of the old index that still open: of customers who are erased, and
/// whose epoch is the newest, so that the page they go to dies with it.
fn tombstones(
    files: &Restoring,
    rows: &mut impl Rows,
    keyring: &Keyring,
    tenant: &Tenant,
) -> Result<Vec<([u8; 32], Entry)>> {
    let newest = rows.epochs()?.last().map_or(0, |epoch| epoch.epoch);
    let mut kept = Vec::new();
    for page in files.index_pages(tenant.number)? {
        for (blind, entry) in keyring.entries(rows, tenant.number, page)? {
            let (Entry::Customer(customer) | Entry::Tombstone(customer)) = entry;
            let fence = rows.fence(customer)?;
            if fence.is_some_and(|fence| fence.epoch >= newest) {
                kept.push((blind, Entry::Tombstone(customer)));
            }
        }
        rows.refresh();
    }
    Ok(kept)
}
