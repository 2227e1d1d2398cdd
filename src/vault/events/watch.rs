//! Hearing events, acknowledging them, and seeing who did not.

use super::tell::{EventKind, Told};
use crate::access::{Events, Grant};
use crate::audit::{Call, Recorded, Verdict};
use crate::clock::{Day, Instant};
use crate::error::Result;
use crate::limits;
use crate::store::{EventRow, EventSwap, Rows};
use crate::vault::Vault;
use crate::vault::keyring::Keyring;
use std::sync::Arc;

/// An event as its recipient hears it.
pub struct EventView {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub kind: EventKind,
    /// The purpose's name.
    pub purpose: String,
    /// What the purpose calls the customer.
    pub handle: String,
    /// When it happened.
    pub time: Instant,
}

/// Some events, and where to go on.
pub struct EventPage {
    /// By rising number.
    pub events: Vec<EventView>,
    /// Every event up to this number was looked at.
    pub seen: u64,
}

/// An event that was not acknowledged.
pub struct Unheard {
    /// Its number.
    pub number: u64,
    /// Who was told, `tenant/service`.
    pub recipient: String,
    /// The day it was raised.
    pub raised: Day,
    /// What happened, and for which purpose; `None` once that is gone.
    pub what: Option<(EventKind, String)>,
}

impl Vault {
    /// Begins to watch: the call's own entry is durable. Answers after which
    /// event to go on: a number that was never given (a restore took it back)
    /// means from the beginning.
    pub async fn watch_events(
        &self,
        call: &Call,
        grant: &Grant<Events>,
        after: u64,
    ) -> Result<u64> {
        let newest = self.on_rows(|rows, _| rows.newest_event()).await?;
        let after = if after > newest { 0 } else { after };
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, after).await?.release())
    }

    /// The caller's own events that follow number `after` and are not
    /// acknowledged.
    pub async fn events(&self, grant: &Grant<Events>, after: u64) -> Result<EventPage> {
        let recipient = Arc::clone(grant.principal().name());
        self.on_rows(move |rows, keyring| {
            let found = rows.events_for(&recipient, after, limits::LIST_PAGE_MAX)?;
            let seen = found.last().map_or(after, |row| row.event);
            let mut events = Vec::with_capacity(found.len());
            for row in &found {
                // What its epoch took along is not told any more.
                let Some(told) = open(keyring, row)? else {
                    continue;
                };
                events.push(EventView {
                    number: row.event,
                    kind: told.kind,
                    purpose: told.purpose,
                    handle: told.handle,
                    time: Instant::from_micros(told.time),
                });
            }
            Ok(EventPage { events, seen })
        })
        .await
    }

    /// Acknowledges events of the caller's own; how many were not before.
    pub async fn acknowledge_events(
        &self,
        call: &Call,
        grant: &Grant<Events>,
        events: Vec<u64>,
    ) -> Result<u64> {
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = events.len() as u64;
        let row = self.plain_row(call, &leaf)?;
        let recipient = grant.principal().name().to_string();
        let today = call.time.day();
        let store = &self.0.store;
        let done = store.acknowledge_events(recipient, events, today, row);
        let done = done.in_time().await?;
        call.mark_recorded();
        Ok(done)
    }

    /// The tenant's events that are not acknowledged, of one recipient or
    /// (empty) of all.
    pub async fn unacknowledged_events(
        &self,
        call: &Call,
        grant: &Grant<Events>,
        recipient: &str,
        after: u64,
        most: usize,
    ) -> Result<Recorded<Vec<Unheard>>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let recipient = recipient.to_owned();
        let found = self.on_rows(move |rows, keyring| {
            let found = rows.unacknowledged(tenant.number, &recipient, after, most)?;
            let unheard = found.into_iter().map(|row| {
                let told = if row.sealed.is_empty() {
                    None
                } else {
                    open(keyring, &row)?
                };
                Ok(Unheard {
                    number: row.event,
                    recipient: row.recipient,
                    raised: row.raised,
                    what: told.map(|told| (told.kind, told.purpose)),
                })
            });
            unheard.collect::<Result<Vec<_>>>()
        });
        let found = found.await?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = found.len() as u64;
        self.record_plain(call, &leaf, found).await
    }

    /// What was told long ago is gone, heard or not.
    pub(in crate::vault) async fn forget_old_events(&self, today: Day) -> Result<()> {
        let before = Day(today.0.saturating_sub(limits::EVENT_DAYS));
        for _ in 0..limits::SWEEPS_A_LOOK {
            let gone = self.0.store.forget_events(before).in_time().await?;
            if gone < limits::PURGE_ROWS {
                break;
            }
        }
        Ok(())
    }

    /// Seals the events of an epoch that ends under the newest one: what nobody
    /// has heard yet outlives its epoch.
    pub(in crate::vault) async fn carry_events_over(&self, epoch: u32) -> Result<()> {
        loop {
            let swaps = self.on_rows(move |rows, keyring| resealed(rows, keyring, epoch));
            let swaps = swaps.await?;
            if swaps.is_empty() {
                return Ok(());
            }
            self.0.store.reseal_events(swaps).in_time().await?;
        }
    }
}

/// What an event says; `None` where the key of its epoch is gone.
fn open(keyring: &Keyring, row: &EventRow) -> Result<Option<Told>> {
    let key = keyring.events(row.epoch)?;
    key.map(|key| Told::open(keyring.deployment(), &key, row))
        .transpose()
}

fn resealed(rows: &mut dyn Rows, keyring: &Keyring, epoch: u32) -> Result<Vec<EventSwap>> {
    let (newest, key) = keyring.newest_events()?;
    let mut swaps = Vec::new();
    if newest <= epoch {
        return Ok(swaps);
    }
    for row in rows.events_up_to(epoch, limits::EVENTS_RESEALED)? {
        let told = open(keyring, &row)?;
        // One whose key is gone already says nothing to anybody.
        let new = told.map_or(Ok(Vec::new()), |told| {
            told.again(keyring.deployment(), &key, &row)
        })?;
        swaps.push(EventSwap {
            event: row.event,
            old: row.sealed,
            epoch: newest,
            new,
        });
    }
    Ok(swaps)
}
