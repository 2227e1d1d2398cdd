//! How many living customers each service read, for an audit report: entries
//! do not tell whom they are about, and each customer's own key finds theirs.

use super::keyring::Keyring;
use super::seal;
use crate::audit::history;
use crate::audit::report::{Counts, Customers, is_read};
use crate::clock::Instant;
use crate::crypto::Deployment;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::keys::Providers;
use crate::limits;
use crate::store::{PageKind, Rows};
use std::collections::{BTreeMap, BTreeSet};

/// Counts customers by service in a span of time, beside a running vault or
/// not; nothing is written. `reads` are all reads of a service, and what no
/// living customer explains is of forgotten ones. `progress` is told how many
/// of how many numbers were looked at.
///
/// # Errors
/// The keys do not open, or rows cannot be read.
pub fn customers_seen(
    rows: &mut dyn Rows,
    providers: &Providers,
    (from, to): (Instant, Instant),
    reads: &Counts,
    mut progress: impl FnMut(u64, u64),
) -> Result<BTreeMap<String, Customers>> {
    let deployment = rows.deployment()?;
    let none = Error::Internal("a report of no vault");
    let deployment = Deployment(deployment.ok_or(none)?);
    let keyring = Keyring::new(deployment);
    keyring.unseal(seal::masters(providers, deployment, &rows.epochs()?)?);
    let (mut seen, mut known) = (BTreeMap::<String, Customers>::new(), Counts::new());
    let (end, mut next) = (rows.next_customer()?, 0);
    loop {
        // No long look at keys.db.
        rows.refresh();
        let most = limits::CLOSE_PAGES_READ;
        let pages = rows.pages_up_to(PageKind::Customers, u32::MAX, next, most)?;
        let Some(last) = pages.last() else { break };
        next = last.row.page + 1;
        for page in pages {
            let first = page.row.page << limits::CUSTOMERS_PER_PAGE_BITS;
            for number in first..first + (1 << limits::CUSTOMERS_PER_PAGE_BITS) {
                let customer = CustomerNumber(number);
                let by = services_of(rows, &keyring, customer, (from, to))?;
                for (service, many) in by {
                    *known.entry(service.clone()).or_default() += many;
                    seen.entry(service).or_default().distinct += 1;
                }
            }
            progress(first.min(end), end);
        }
    }
    for (service, many) in reads {
        let living = known.get(service).copied().unwrap_or(0);
        let forgotten = many.saturating_sub(living);
        seen.entry(service.clone()).or_default().forgotten_reads = forgotten;
    }
    Ok(seen)
}

/// How often each service read one customer; nothing where there is none.
fn services_of(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    customer: CustomerNumber,
    (from, to): (Instant, Instant),
) -> Result<Counts> {
    rows.refresh();
    let keys = rows.customer_keys(customer)?;
    if keys.identity.is_none() || keys.fence.is_some() {
        return Ok(Counts::new());
    }
    let keys = keyring.customer(customer, keys)?;
    let (mut counts, mut entries) = (Counts::new(), BTreeSet::new());
    for slot in history::slot(from)..=history::slot(to) {
        for entry in history::in_slot(rows, &keys.identity, slot)? {
            let is_within = entry.time >= from.micros() && entry.time < to.micros();
            let is_read = is_read(&entry.verdict, &entry.purpose, &entry.fields);
            if is_within && is_read && entries.insert(entry.number) {
                *counts.entry(entry.principal).or_default() += 1;
            }
        }
    }
    Ok(counts)
}
