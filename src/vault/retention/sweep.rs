//! Deleting what is past its time. What cannot be deleted yet, since somebody's
//! request is about it or the customer's data is held, waits and is looked at
//! again.

use super::Origins;
use crate::access::{Facts, GetStatus, Grant, Moment, is_collected};
use crate::audit::{Call, Leaf, Verdict};
use crate::catalog::{Catalog, RecordType, Retention};
use crate::clock::{Day, Instant};
use crate::crypto::manifest::manifest;
use crate::error::{Error, Result};
use crate::id::{CustomerNumber, FieldNumber};
use crate::limits;
use crate::store::{RecordKey, RecordRow, Rows, SweepRecord, SweepRow, SweptRecord};
use crate::vault::Vault;
use crate::vault::events::{EventKind, tidings};
use crate::vault::find::newest_keys;
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::open::{checked_body, field_keys, manifest_place, record_place};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records that were looked at.
    pub looked: u64,
    /// Fields that were deleted.
    pub fields: u64,
    /// Records that wait.
    pub waiting: u64,
    /// The most days that a value was past its time when it was deleted.
    pub late: u32,
}

/// How the keeping stands.
pub struct KeepingView {
    /// The last sweep that found something; nothing before the first.
    pub last: SweepRow,
    /// Records that are past their time and wait.
    pub waiting: u64,
}

/// What became of one record.
enum Looked {
    /// Nothing of it is past its time, or it is gone.
    Fine,
    /// Something is, and must not be deleted yet.
    Waits,
    /// Something is: so many fields, so many days late.
    Over(Box<SweepRecord>, u64, u32),
}

impl Vault {
    /// Deletes what is past its time on a day, by this catalog.
    pub async fn sweep(&self, catalog: &Arc<Catalog>, today: Day) -> Result<Swept> {
        let mut sweeping = Sweeping {
            vault: self.clone(),
            catalog: Arc::clone(catalog),
            today,
            swept: Swept::default(),
            told: HashSet::new(),
        };
        for record_type in catalog.record_types() {
            sweeping.what_came_due(record_type).await?;
        }
        sweeping.whose_consent_ended().await?;
        sweeping.what_waited().await?;
        let swept = sweeping.swept;
        if swept.looked > 0 {
            let noted = SweepRow {
                day: today.0,
                looked: swept.looked,
                fields: swept.fields,
                late: swept.late,
            };
            self.0.store.note_sweep(noted).in_time().await?;
        }
        Ok(swept)
    }

    /// How the keeping stands.
    pub async fn keeping(&self, call: &Call, grant: Grant<GetStatus>) -> Result<KeepingView> {
        let (last, waiting) = self.on_rows(|rows, _| rows.sweeps()).await?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        let view = KeepingView { last, waiting };
        Ok(self.record_plain(call, &leaf, view).await?.release())
    }
}

struct Sweeping {
    vault: Vault,
    catalog: Arc<Catalog>,
    today: Day,
    swept: Swept,
    /// Customers whose readers were told in this sweep.
    told: HashSet<CustomerNumber>,
}

impl Sweeping {
    /// Records of a type that were written on days that have come due since the
    /// last sweep.
    async fn what_came_due(&mut self, record_type: &Arc<RecordType>) -> Result<()> {
        let fields = record_type.fields().iter();
        let timed: Vec<(FieldNumber, Day)> = fields
            .filter_map(|field| {
                let is_needed = || {
                    self.catalog
                        .is_needed(record_type.number, field.number, self.today)
                };
                let up_to = match field.retention {
                    Retention::UntilPurposeEnds => (!is_needed()).then_some(self.today),
                    other => other.over_up_to(self.today),
                };
                Some((field.number, up_to?))
            })
            .collect();
        let number = record_type.number;
        let due = self.vault.on_rows(move |rows, _| {
            let mut due = Vec::new();
            for (field, up_to) in timed {
                let before = rows.field_swept_up_to(number, field.0)?;
                if before.is_none_or(|before| before < up_to) {
                    due.push((field, before, up_to));
                }
            }
            Ok(due)
        });
        let due = due.await?;
        let from = due
            .iter()
            .map(|(_, before, _)| before.map_or(i32::MIN, |day| day.0.saturating_add(1)));
        let Some(first) = from.min() else {
            return Ok(());
        };
        let last = due
            .iter()
            .map(|(_, _, up_to)| up_to.0)
            .max()
            .unwrap_or(first);
        let mut after = None;
        loop {
            let days = (Day(first), Day(last));
            let found = self.vault.on_rows(move |rows, _| {
                rows.written_between(number, days, after, limits::SWEEP_RECORDS)
            });
            let found = found.await?;
            after = found.last().copied();
            for (_, key) in &found {
                self.one(*key).await?;
            }
            if found.len() < limits::SWEEP_RECORDS {
                break;
            }
        }
        for (field, _, up_to) in due {
            let done = self.vault.0.store.swept_up_to(number, field.0, up_to);
            done.in_time().await?;
        }
        Ok(())
    }

    /// Customers who said no, or whose yes ran out: what was kept for that.
    async fn whose_consent_ended(&mut self) -> Result<()> {
        let types: Vec<u16> = self
            .catalog
            .record_types()
            .filter(|of| {
                of.fields()
                    .iter()
                    .any(|f| f.retention == Retention::UntilPurposeEnds)
            })
            .map(|of| of.number)
            .collect();
        loop {
            let today = self.today;
            let ended = self
                .vault
                .on_rows(move |rows, _| rows.consent_ended(today, limits::SWEEP_RECORDS));
            let ended = ended.await?;
            if ended.is_empty() {
                return Ok(());
            }
            for customer in ended {
                for record_type in &types {
                    self.all_of(customer, *record_type).await?;
                }
                let done = self.vault.0.store.swept_customer(customer, today);
                done.in_time().await?;
            }
        }
    }

    async fn all_of(&mut self, customer: CustomerNumber, record_type: u16) -> Result<()> {
        let mut after = RecordKey::new(customer, 0);
        loop {
            let most = limits::EXPORT_RECORDS_A_JOB;
            let found = self.vault.on_rows(move |rows, _| {
                let found = rows.bodies_of_customer(after, record_type, most)?;
                Ok(found.into_iter().map(|row| row.key).collect::<Vec<_>>())
            });
            let found = found.await?;
            for key in &found {
                self.one(*key).await?;
            }
            match found.last().filter(|_| found.len() == most) {
                Some(last) => after = *last,
                None => return Ok(()),
            }
        }
    }

    /// A record that waits is looked at again and again; it counts once.
    async fn what_waited(&mut self) -> Result<()> {
        let (looked, fields) = (self.swept.looked, self.swept.fields);
        self.swept.waiting = 0;
        let mut after = None;
        loop {
            let found = self
                .vault
                .on_rows(move |rows, _| rows.deferred(after, limits::SWEEP_RECORDS));
            let found = found.await?;
            for key in &found {
                self.one(*key).await?;
            }
            after = found.last().copied();
            if found.len() < limits::SWEEP_RECORDS {
                break;
            }
        }
        self.swept.looked = looked + u64::from(self.swept.fields > fields);
        Ok(())
    }

    async fn one(&mut self, key: RecordKey) -> Result<()> {
        self.swept.looked += 1;
        let call = Arc::new(OnceLock::new());
        for _ in 0..limits::REVISION_RETRIES {
            let looking = Looking {
                vault: self.vault.clone(),
                call: Arc::clone(&call),
                catalog: Arc::clone(&self.catalog),
                today: self.today,
                tells: !self.told.contains(&key.customer),
            };
            let looked = self
                .vault
                .on_rows(move |rows, keyring| looking.look(rows, keyring, key))
                .await;
            let store = &self.vault.0.store;
            let looked = match looked {
                // A damaged record holds up no other.
                Err(error @ Error::DataLoss(_)) => {
                    tracing::error!(reason = error.reason(), "a record was not swept");
                    Looked::Waits
                }
                looked => looked?,
            };
            match looked {
                Looked::Fine => {
                    return store.defer_sweep(key, false).in_time().await;
                }
                Looked::Waits => {
                    self.swept.waiting += 1;
                    return store.defer_sweep(key, true).in_time().await;
                }
                Looked::Over(sweep, fields, late) => {
                    if store.sweep_record(*sweep).in_time().await? {
                        if let Some(call) = call.get() {
                            Call::mark_recorded(call);
                        }
                        self.told.insert(key.customer);
                        self.swept.fields += fields;
                        self.swept.late = self.swept.late.max(late);
                        return Ok(());
                    }
                }
            }
        }
        Err(Error::Contended)
    }
}

/// One look at one record, on a reader thread.
struct Looking {
    vault: Vault,
    /// Begun once there is something to write down.
    call: Arc<OnceLock<Call>>,
    catalog: Arc<Catalog>,
    today: Day,
    tells: bool,
}

impl Looking {
    fn look(&self, rows: &mut dyn Rows, keyring: &Keyring, key: RecordKey) -> Result<Looked> {
        let Some(row) = rows.record_at(key)? else {
            return Ok(Looked::Fine);
        };
        let is_asked_about = rows.has_open_request(key.customer)?;
        let (owner, stored) = (
            rows.customer(key.customer)?,
            newest_keys(rows, key.customer)?,
        );
        let (Some(owner), true) = (owner, stored.fence.is_none()) else {
            return Ok(Looked::Fine);
        };
        let keys = keyring.customer(key.customer, stored)?;
        let facts = keys.facts(&owner)?;
        let at = keyring.at(self.today);
        let origins = Origins::of(rows, keyring.deployment(), &keys, key)?;
        let (over, late) = self.over(&row, &facts, at, &origins)?;
        if over.is_empty() {
            return Ok(Looked::Fine);
        }
        let state = facts.state();
        let is_held = state.is_restricted() || state.holds_of_type(row.record_type);
        if is_held || is_asked_about {
            return Ok(Looked::Waits);
        }
        let sweep = self.without(rows, keyring, &keys, &row, origins, &over)?;
        Ok(Looked::Over(Box::new(sweep), over.len() as u64, late))
    }

    /// The stored fields that are past their time, and how long the first of
    /// them has been.
    fn over(
        &self,
        row: &RecordRow,
        facts: &Facts,
        at: Moment,
        origins: &Origins,
    ) -> Result<(Vec<FieldNumber>, u32)> {
        let (mut over, mut late) = (Vec::new(), 0);
        let Some(record_type) = self.catalog.record_type_by_number(row.record_type) else {
            return Ok((over, late));
        };
        let body = crate::crypto::RecordBody::parse(&row.body)
            .map_err(|_| Error::DataLoss(crate::error::Lost::Record))?;
        for (number, _) in body.commitments() {
            let Some(field) = record_type.field_by_number(number) else {
                continue;
            };
            if field.retention == Retention::UntilPurposeEnds {
                if !is_collected(&self.catalog, record_type, field, facts.state(), at) {
                    over.push(number);
                }
                continue;
            }
            let aged = origins.aged(number, row);
            if let Some(end) = field.retention.ends(aged).filter(|end| self.today >= *end) {
                let days = self.today.0.saturating_sub(end.0);
                late = late.max(u32::try_from(days).unwrap_or(0));
                over.push(number);
            }
        }
        Ok((over, late))
    }

    /// The record without these fields, and what is written down and told of it.
    fn without(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        keys: &CustomerKeyring,
        row: &RecordRow,
        origins: Origins,
        over: &[FieldNumber],
    ) -> Result<SweepRecord> {
        let deployment = keyring.deployment();
        let place = record_place(deployment, keys, row);
        let body = checked_body(&place, &field_keys(keys, row.generation)?, row)?.without(over);
        let left = if body.groups().is_empty() {
            None
        } else {
            let mut next = place;
            next.generation = keys.generation;
            next.revision = row.revision + 1;
            let newest = field_keys(keys, keys.generation)?;
            let left = SweptRecord {
                generation: keys.generation,
                manifest: manifest(&newest.manifest, &manifest_place(&next), &body),
                body: body.encode()?,
                origin: origins.without(over).seal(deployment, keys, row.key)?,
            };
            Some(left)
        };
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.catalog = self.catalog.version();
        leaf.fields = over.iter().map(|number| number.0).collect();
        leaf.count = 1;
        if let Some(record_type) = self.catalog.record_type_by_number(row.record_type) {
            leaf.record_type = record_type.name.to_string();
        }
        let begin = || self.vault.0.log.begin("Sweep", None, Instant::now());
        let call = self.call.get_or_init(begin);
        let touched = [(row.key.record.0, row.revision + 1)];
        let (kind, now) = (EventKind::RetentionSwept, call.time);
        Ok(SweepRecord {
            key: row.key,
            replaces: row.revision,
            left,
            told: if self.tells {
                Some(tidings(rows, keyring, keys, kind, None, now)?)
            } else {
                None
            },
            leaf: self.vault.subject_row(call, &leaf, keys, &touched)?,
        })
    }
}
