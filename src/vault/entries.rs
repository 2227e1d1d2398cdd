//! Questions to the log. An entry says whom it is about to nobody; what is
//! known of one customer is found with that customer's own key.

use super::Vault;
use super::keyring::CustomerKeyring;
use crate::access::{CustomerEntries, Entries, Grant};
use crate::audit::{Call, Detail, Recorded, Verdict, history, proof};
use crate::clock::Instant;
use crate::crypto::Deployment;
use crate::error::{Error, Missing, Result, Violation};
use crate::id::TenantName;
use crate::limits;
use crate::store::CheckpointRow;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which entries; what is empty leaves none out.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// `tenant/service`.
    pub principal: String,
    /// The purpose's name.
    pub purpose: String,
    /// The RPC's name.
    pub method: String,
    /// How the call ended.
    pub verdict: String,
    /// The record type's name.
    pub record_type: String,
    /// Calls from then on.
    pub from: Option<Instant>,
    /// Calls before then.
    pub to: Option<Instant>,
}

/// One entry: its number, and the bytes that the log hashes.
pub struct EntryView {
    /// From 1.
    pub number: u64,
    /// One JSON object.
    pub leaf: String,
}

/// Some entries, and where to go on.
pub struct EntryPage {
    /// By rising number.
    pub entries: Vec<EntryView>,
    /// Every entry up to this number was looked at.
    pub seen: u64,
    /// Whether that is the end of the log, or of the span.
    pub is_end: bool,
}

/// One entry about a customer.
pub struct CustomerEntry {
    /// The entry.
    pub entry: EntryView,
    /// Record numbers and revisions.
    pub records: Vec<(u64, u64)>,
}

/// Entries about a customer.
pub struct CustomerPage {
    /// By rising number.
    pub entries: Vec<CustomerEntry>,
    /// Whether there are more.
    pub is_cut: bool,
    /// Where entries of the span may have been pruned: from when on none was.
    pub complete_from: Option<Instant>,
}

/// What the filter looks at.
#[derive(Deserialize)]
struct Line<'a> {
    time: i64,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    verdict: Cow<'a, str>,
    #[serde(borrow)]
    purpose: Cow<'a, str>,
    #[serde(borrow)]
    record_type: Cow<'a, str>,
}

impl EntryFilter {
    fn takes(&self, line: &Line<'_>, tenant: &TenantName) -> bool {
        let is = |asked: &str, found: &str| asked.is_empty() || asked == found;
        let since = |from: Instant| line.time >= from.micros();
        let before = |to: Instant| line.time < to.micros();
        is_of(&line.principal, tenant)
            && is(&self.principal, &line.principal)
            && is(&self.purpose, &line.purpose)
            && is(&self.method, &line.method)
            && is(&self.verdict, &line.verdict)
            && is(&self.record_type, &line.record_type)
            && self.from.is_none_or(since)
            && self.to.is_none_or(before)
    }
}

/// Whether a tenant may see entries of this principal: those of its own
/// services, and of the vault itself, which names no principal.
fn is_of(principal: &str, tenant: &TenantName) -> bool {
    match principal.split_once('/') {
        Some((of, _)) => of == tenant.as_str(),
        None => true,
    }
}

impl Vault {
    /// The entries that the filter takes and that follow number `after`, at
    /// most `most`; the call's own entry is durable with them.
    pub async fn list_entries(
        &self,
        call: &Call,
        grant: Grant<Entries>,
        filter: EntryFilter,
        after: u64,
        most: usize,
    ) -> Result<Recorded<EntryPage>> {
        let page = self.entries(&grant, &filter, after, most).await?;
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.count = page.entries.len() as u64;
        self.record_plain(call, &leaf, page).await
    }

    /// Begins to watch: the call's own entry is durable. Answers after which
    /// number to go on, where `after` does not say.
    pub async fn watch_entries(
        &self,
        call: &Call,
        grant: &Grant<Entries>,
        after: u64,
    ) -> Result<u64> {
        let newest = self.0.log.aside(|rows| rows.newest_entry()).await?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        let after = if after == 0 { newest } else { after };
        Ok(self.record_plain(call, &leaf, after).await?.release())
    }

    /// The entries that the filter takes and that follow number `after`. Only
    /// so many are looked at at once.
    pub async fn entries(
        &self,
        grant: &Grant<Entries>,
        filter: &EntryFilter,
        after: u64,
        most: usize,
    ) -> Result<EntryPage> {
        let span = (
            filter.from,
            filter.to.map(|to| to.micros() + history::lag()),
        );
        let (first, end) = self
            .0
            .log
            .aside(move |rows| {
                // What was sealed before the span began came before it.
                let first = match span.0 {
                    Some(from) => rows.sealed_before(from.micros())?,
                    None => 0,
                };
                let end = match span.1 {
                    Some(to) => rows.sealed_after(to)?,
                    None => None,
                };
                Ok((first, end.map_or_else(|| rows.newest_entry(), Ok)?))
            })
            .await?;
        let (mut seen, mut entries, mut bytes) = (after.max(first), Vec::new(), 0);
        let last = end.min(seen.saturating_add(limits::ENTRIES_LOOKED_AT));
        let tenant = grant.principal().tenant();
        while seen < last && entries.len() < most && bytes < limits::BATCH_BYTES {
            let many = usize::try_from(last - seen).unwrap_or(usize::MAX);
            let many = many.min(limits::LEAVES_PER_READ);
            let leaves = self.0.log.aside(move |rows| rows.entries(seen, many));
            let leaves = leaves.await?;
            if leaves.is_empty() {
                break;
            }
            for (number, leaf) in leaves {
                if entries.len() == most || bytes >= limits::BATCH_BYTES {
                    break;
                }
                // Behind pruned ones it may be one after the span.
                seen = number.min(end);
                if number > end {
                    break;
                }
                let line = serde_json::from_slice::<Line<'_>>(&leaf);
                if line.is_ok_and(|line| filter.takes(&line, tenant)) {
                    bytes += leaf.len();
                    entries.push(view(seen, &leaf));
                }
            }
        }
        Ok(EntryPage {
            entries,
            seen,
            is_end: seen >= end,
        })
    }

    /// The entries about one living customer in a span of time.
    pub async fn list_customer_entries(
        &self,
        call: &Call,
        grant: Grant<CustomerEntries>,
        (from, to): (Instant, Instant),
    ) -> Result<Recorded<CustomerPage>> {
        if to.micros() - from.micros() > micros(limits::HISTORY_SPAN) || from > to {
            let days = limits::HISTORY_SPAN.as_secs() / 86_400;
            let rule = format!("must be at most {days} days before to_time");
            return Err(Error::invalid(Violation::new("from_time", rule)));
        }
        let tenant = self.tenant(grant.principal().tenant())?;
        let grant = Arc::new(grant);
        let (asked, quota, now) = (Arc::clone(&grant), self.quota(), call.time);
        let (page, keys) = self
            .on_rows(move |rows, keyring| {
                let keys = keyring.keys_of(rows, &tenant, &asked.target().customer);
                let keys = quota.admit(asked.principal(), now, keys)?;
                let mut numbers = BTreeSet::new();
                for slot in history::slot(from)..=history::slot(to) {
                    let locator = history::locator(&keys.identity, slot);
                    for (nonce, masked) in rows.history(slot, &locator)? {
                        let mask = history::mask(&keys.identity, slot, &nonce);
                        numbers.insert(masked ^ mask);
                    }
                }
                let (mut found, most) = (Vec::new(), limits::LIST_PAGE_MAX);
                let is_cut = numbers.len() > most;
                for number in numbers.into_iter().take(most) {
                    let Some((leaf, detail)) = rows.leaf(number)? else {
                        continue;
                    };
                    let deployment = keyring.deployment();
                    let entry = entry_of(deployment, &keys, number, &leaf, &detail);
                    found.extend(entry.filter(|(_, time)| *time >= from && *time < to));
                }
                let complete = history::complete_from(rows)?;
                let page = CustomerPage {
                    entries: found.into_iter().map(|(entry, _)| entry).collect(),
                    is_cut,
                    complete_from: complete.filter(|since| *since > from),
                };
                Ok((page, keys))
            })
            .await?;
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.count = page.entries.len() as u64;
        let row = self.subject_row(call, &leaf, &keys, &[])?;
        self.0.log.record(call, vec![row], page).await
    }

    /// The newest checkpoint.
    pub async fn checkpoint(&self, call: &Call, grant: Grant<Entries>) -> Result<CheckpointRow> {
        let newest = self.0.log.aside(|rows| rows.checkpoint()).await?;
        let newest = newest.ok_or(Error::NotFound(Missing::Entry))?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, newest).await?.release())
    }

    /// A proof of one entry that the caller may see.
    pub async fn prove_entry(
        &self,
        call: &Call,
        grant: Grant<Entries>,
        number: u64,
    ) -> Result<String> {
        let tenant = grant.principal().tenant().clone();
        let proof = self.0.log.aside(move |rows| {
            let sealed = rows.checkpoint()?.map_or(0, |head| head.size);
            if !(1..=sealed).contains(&number) {
                return Err(Error::NotFound(Missing::Entry));
            }
            let pruned = Error::NotFound(Missing::PrunedEntry);
            let (leaf, _) = rows.leaf(number)?.ok_or(pruned)?;
            let line = serde_json::from_slice::<Line<'_>>(&leaf);
            if !line.is_ok_and(|line| is_of(&line.principal, &tenant)) {
                return Err(Error::NotFound(Missing::Entry));
            }
            proof::prove(rows, number)
        });
        let proof = proof.await?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, proof).await?.release())
    }
}

fn view(number: u64, leaf: &[u8]) -> EntryView {
    EntryView {
        number,
        leaf: String::from_utf8_lossy(leaf).into_owned(),
    }
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// When the call came, and what the leaf's detail says.
#[derive(Deserialize)]
struct Subjected<'a> {
    time: i64,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
}

fn entry_of(
    deployment: Deployment,
    keys: &CustomerKeyring,
    number: u64,
    leaf: &[u8],
    detail: &[u8],
) -> Option<(CustomerEntry, Instant)> {
    let line = serde_json::from_slice::<Subjected<'_>>(leaf).ok()?;
    let mut nonce = [0; 16];
    hex::decode_to_slice(&*line.nonce, &mut nonce).ok()?;
    // A history row that somebody bent leads to another's leaf, which does not
    // open.
    let of = (keys.tenant, keys.customer);
    let detail = Detail::open(deployment, &keys.identity, of, &nonce, detail)?;
    let entry = CustomerEntry {
        entry: view(number, leaf),
        records: detail.records,
    };
    Some((entry, Instant::from_micros(line.time)))
}
