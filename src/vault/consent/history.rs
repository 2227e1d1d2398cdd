//! Looking at what a customer said: what stands now, and the whole chain.

use super::event::{Event, Place, head_of};
use super::place;
use crate::access::{Grant, Look, Standing, State, denied_by};
use crate::audit::{Call, Recorded, Verdict};
use crate::catalog::{Catalog, Purpose};
use crate::error::{Error, Lost, Result};
use crate::limits;
use crate::store::{CustomerRow, RecordKey, Rows};
use crate::vault::Vault;
use crate::vault::cursor::Cursor;
use crate::vault::find::owner_of;
use crate::vault::keyring::{CustomerKeyring, Keyring, Tenant};
use std::sync::Arc;

/// What stands of a customer's say.
pub struct ConsentView {
    /// Whether processing is restricted.
    pub restricted: bool,
    /// Whether the data is held.
    pub held: bool,
    /// Of every purpose of the catalog, by name.
    pub purposes: Vec<PurposeView>,
}

/// What stands of one purpose.
pub struct PurposeView {
    /// Which.
    pub purpose: Arc<Purpose>,
    /// The basis of the rest of the data.
    pub standing: Standing,
    /// Special categories.
    pub explicit: Standing,
    /// The reason why data may not be read for it now; empty: it may.
    pub denied_by: &'static str,
}

/// A page of what was said.
pub struct History {
    /// Oldest first.
    pub events: Vec<Event>,
    /// The token of the next page; empty after the last.
    pub next: String,
}

/// A customer whose words are looked at.
pub struct Speaker {
    /// Their keys.
    pub keys: CustomerKeyring,
    /// Their row.
    pub row: CustomerRow,
    /// Their state, MAC checked.
    pub state: State,
}

impl Vault {
    /// What stands of every purpose of the catalog.
    pub async fn consent_state(
        &self,
        call: &Arc<Call>,
        grant: Grant<Look>,
        catalog: &Arc<Catalog>,
    ) -> Result<Recorded<ConsentView>> {
        let (speaker, _) = self.speaker(call, &grant, |_, _, _| Ok(())).await?;
        let at = self.0.keyring.at(call.time.day());
        let purposes = catalog.purposes().map(|purpose| PurposeView {
            purpose: Arc::clone(purpose),
            standing: speaker.state.standing(purpose.number, false),
            explicit: speaker.state.standing(purpose.number, true),
            denied_by: denied_by(purpose, &speaker.state, at),
        });
        let view = ConsentView {
            restricted: speaker.state.is_restricted(),
            held: speaker.state.is_held(),
            purposes: purposes.collect(),
        };
        self.looked(call, &grant, &speaker, view).await
    }

    /// What was said, at most `most` events after where `token` says.
    pub async fn consent_history(
        &self,
        call: &Arc<Call>,
        grant: Grant<Look>,
        token: &str,
        most: usize,
    ) -> Result<Recorded<History>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let cursor = Cursor::of_consent(self.0.keyring.deployment(), &tenant);
        let after = cursor.open(token)?;
        let (speaker, events) = self
            .speaker(call, &grant, move |rows, keyring, speaker| {
                let after = match after {
                    None => 0,
                    Some(key) if key.customer == speaker.keys.customer => {
                        u32::try_from(key.record.0).unwrap_or(u32::MAX)
                    }
                    Some(_) => return Err(Cursor::refused("page_token")),
                };
                let consent = speaker.keys.consent();
                let place = place(keyring.deployment(), &speaker.keys, &consent);
                chain(rows, &place, &speaker.state, after, most)
            })
            .await?;
        let last = events.last().map_or(0, |event| event.number);
        let is_more = last != 0 && last < speaker.state.events;
        let next = is_more.then(|| RecordKey::new(speaker.keys.customer, last.into()));
        let history = History {
            events,
            next: next.map_or(Ok(String::new()), |last| cursor.seal(last))?,
        };
        self.looked(call, &grant, &speaker, history).await
    }

    /// The customer of a grant, and what `more` reads of them in the same state
    /// of the files.
    pub(super) async fn speaker<T: Send + 'static>(
        &self,
        call: &Arc<Call>,
        grant: &Grant<Look>,
        more: impl FnOnce(&mut dyn Rows, &Keyring, &Speaker) -> Result<T> + Send + 'static,
    ) -> Result<(Speaker, T)> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let (quota, now, who) = (self.quota(), call.time, Arc::clone(grant.principal()));
        let customer = crate::id::CustomerId::parse("name", grant.target().customer.expose())?;
        self.on_rows(move |rows, keyring| {
            let found = keyring.keys_of(rows, &tenant as &Tenant, &customer);
            let keys = quota.admit(&who, now, found)?;
            let row = rows.customer(keys.customer)?;
            let row = owner_of(rows, keys.customer, row)?;
            let state = keys.facts(&row)?.into_state();
            let speaker = Speaker { keys, row, state };
            let more = more(rows, keyring, &speaker)?;
            Ok((speaker, more))
        })
        .await
    }

    /// Writes down that it was looked at.
    pub(super) async fn looked<T>(
        &self,
        call: &Call,
        grant: &Grant<Look>,
        speaker: &Speaker,
        seen: T,
    ) -> Result<Recorded<T>> {
        let leaf = self.leaf(grant, Verdict::Allowed);
        let row = self.subject_row(call, &leaf, &speaker.keys, &[])?;
        self.0.log.record(call, vec![row], seen).await
    }
}

/// Events after a number, each held against the one before it; the last of all
/// against the state.
pub fn chain(
    rows: &mut dyn Rows,
    place: &Place<'_>,
    state: &State,
    after: u32,
    most: usize,
) -> Result<Vec<Event>> {
    let lost = || Error::DataLoss(Lost::Consent);
    let from = after.saturating_sub(1);
    let wanted = most.min(limits::LIST_PAGE_MAX).saturating_add(1);
    let stored = rows.consent_events(place.customer, from, wanted)?;
    let mut before = (after == 0).then_some([0; 32]);
    let mut events = Vec::with_capacity(stored.len());
    for (expected, (number, sealed)) in (from + 1..).zip(&stored) {
        let event = Event::open(place, *number, sealed)?;
        if *number != expected || before.is_some_and(|before| !event.follows(before)) {
            return Err(lost());
        }
        before = Some(head_of(sealed));
        if *number == state.events && before != Some(state.head) {
            return Err(lost());
        }
        if *number > after && events.len() < most {
            events.push(event);
        }
    }
    let end = stored.last().map_or(from, |(number, _)| *number);
    let is_whole = stored.len() == wanted || end == state.events;
    if is_whole { Ok(events) } else { Err(lost()) }
}
