//! Putting on record what a signal says: one event a purpose, all of them in one
//! transaction. What of it is a no is noted in the ledger first, all of it in
//! one transaction too.

use super::event::{Event, Place};
use super::history::chain;
use super::place;
use super::say::{Said, Speaking, Spoken, no_is_told, said};
use crate::access::{GPC, Grant, Heard, Import, State, Status, Untaken, Words};
use crate::audit::{Call, Fact, Verdict};
use crate::catalog::{Mechanism, Purpose};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::RequestId;
use crate::limits;
use crate::store::{ConsentChange, CustomerRow, LeafRow, Narrowing, Rows};
use crate::vault::Vault;
use crate::vault::find::owner_of;
use crate::vault::keyring::{CustomerKeyring, Keyring, Tenant};
use crate::vault::request::Request;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of a signal for one purpose.
pub struct Imported {
    /// Which.
    pub purpose: Arc<Purpose>,
    /// What stands of it now; its `event` is 0 where nothing was put on record.
    pub said: Said,
    /// Why nothing was.
    pub untaken: Option<Untaken>,
}

/// What a look at the customer found.
enum Looked {
    /// Nothing is to be put on record, or it is already.
    Nothing(Vec<Imported>, CustomerKeyring),
    /// Ready to be put on record.
    Change(Box<ConsentChange>, Vec<Narrowing>, Vec<Imported>),
}

/// The noes to a purpose since the last yes.
#[derive(Clone, Copy, Default)]
struct Noes {
    /// When the newest was said.
    newest: Option<Instant>,
    /// Whether a GPC signal is one of them.
    gpc: bool,
    /// Whether all of them are known.
    whole: bool,
}

impl Vault {
    /// Puts on record what a signal says of each purpose that hears it.
    pub async fn import(
        &self,
        call: &Arc<Call>,
        grant: Grant<Import>,
        request: RequestId,
    ) -> Result<Vec<Imported>> {
        let request = request_of(&grant, request);
        // In a task of its own: a caller that goes away stops nothing half-way.
        let (vault, call, grant) = (self.clone(), Arc::clone(call), Arc::new(grant));
        tokio::spawn(async move { vault.import_to_the_end(&call, &grant, request).await })
            .await
            .unwrap_or(Err(Error::Internal("an import ended by itself")))
    }

    async fn import_to_the_end(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Import>>,
        request: Request,
    ) -> Result<Vec<Imported>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        for _ in 0..limits::REVISION_RETRIES {
            let importing = Importing {
                vault: self.clone(),
                tenant: Arc::clone(&tenant),
                call: Arc::clone(call),
                grant: Arc::clone(grant),
                request: request.clone(),
            };
            let looked = self
                .on_rows(move |rows, keyring| importing.look(rows, keyring))
                .await?;
            let (change, noes, imported) = match looked {
                Looked::Nothing(imported, keys) => {
                    let leaf = self.leaf(grant, Verdict::Allowed);
                    let row = self.subject_row(call, &leaf, &keys, &[])?;
                    let recorded = self.0.log.record(call, vec![row], imported).await?;
                    return Ok(recorded.release());
                }
                Looked::Change(change, noes, imported) => (change, noes, imported),
            };
            if self.put_on_record(call, &change, noes).await? {
                return Ok(imported);
            }
        }
        Err(Error::Contended)
    }
}

/// The content of the import: the same signal has the same bytes.
fn request_of(grant: &Grant<Import>, id: RequestId) -> Request {
    let import = grant.target();
    let mut parts: Vec<Vec<u8>> = vec![
        b"import".to_vec(),
        import.customer.expose().as_bytes().to_vec(),
        import.kind.as_bytes().to_vec(),
        import.raw.expose().as_bytes().to_vec(),
        import.channel.as_bytes().to_vec(),
    ];
    for (purpose, heard) in &import.heard {
        if let Heard::Yes(Words::Answer(answer)) = heard {
            parts.push(purpose.name.as_str().as_bytes().to_vec());
            parts.push(answer.notice.to_be_bytes().to_vec());
            parts.push(answer.language.as_bytes().to_vec());
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Request::new(grant.principal(), id, &parts)
}

/// One try, on a reader thread.
struct Importing {
    vault: Vault,
    tenant: Arc<Tenant>,
    call: Arc<Call>,
    grant: Arc<Grant<Import>>,
    request: Request,
}

impl Importing {
    fn look(&self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Looked> {
        let (who, quota) = (self.grant.principal(), &self.vault.0.quota);
        let import = self.grant.target();
        let found = keyring.keys_of(rows, &self.tenant, &import.customer);
        let keys = quota.admit(who, self.call.time, found)?;
        let row = rows.customer(keys.customer)?;
        let row = owner_of(rows, keys.customer, row)?;
        let state = keys.facts(&row)?.into_state();
        let whose = (keys.customer, &keys.identity);
        let known = self.request.again(rows, whose, self.call.time.day())?;
        let Some(known) = known else {
            return self.change(rows, keyring, keys, &row, state);
        };
        let last = u32::try_from(known.outcome).unwrap_or(u32::MAX);
        let last = last.min(state.events);
        let imported = self.again(rows, keyring, &keys, &state, last)?;
        Ok(Looked::Nothing(imported, keys))
    }

    /// What the first of these requests put on record: the events of one signal
    /// were recorded at one time.
    fn again(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        keys: &CustomerKeyring,
        state: &State,
        last: u32,
    ) -> Result<Vec<Imported>> {
        let heard = &self.grant.target().heard;
        let consent = keys.consent();
        let place = place(keyring.deployment(), keys, &consent);
        let most = u32::try_from(heard.len()).unwrap_or(u32::MAX).min(last);
        let events = chain(rows, &place, state, last - most, heard.len())?;
        let time = events.last().map(|event| event.recorded);
        let at = keyring.at(self.call.time.day());
        let again = heard.iter().map(|(purpose, _)| {
            let of = |event: &&Event| {
                event.purpose_number == purpose.number && Some(event.recorded) == time
            };
            let event = events.iter().find(of).map(|event| event.number);
            Imported {
                purpose: Arc::clone(purpose),
                said: said(purpose, state, event.unwrap_or(0), at),
                untaken: event.is_none().then_some(Untaken::Stands),
            }
        });
        Ok(again.collect())
    }

    fn change(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        keys: CustomerKeyring,
        row: &CustomerRow,
        mut state: State,
    ) -> Result<Looked> {
        let now = self.call.time;
        let at = keyring.at(now.day());
        if state.lineage < at.lineage {
            state.forget_consent(at.lineage);
        }
        let consent = keys.consent();
        let speaking = Speaking {
            place: place(keyring.deployment(), &keys, &consent),
            key: self.vault.signing()?,
            principal: self.grant.principal().name(),
            catalog: self.grant.catalog_version(),
            now,
        };
        let noes = self.noes(rows, &speaking.place, &state)?;
        let (mut spoken, mut became) = (Vec::new(), Vec::new());
        for (purpose, heard) in &self.grant.target().heard {
            let noes = noes.get(&purpose.number).copied().unwrap_or_default();
            match self.taken(purpose, heard, &state, noes) {
                Err(why) => became.push((purpose, 0, Some(why))),
                Ok(words) => {
                    let one = self.speak(&speaking, (purpose, words), heard, &mut state)?;
                    became.push((purpose, one.number, None));
                    spoken.push(one);
                }
            }
        }
        let imported = became
            .into_iter()
            .map(|(purpose, event, untaken)| Imported {
                purpose: Arc::clone(purpose),
                said: said(purpose, &state, event, at),
                untaken,
            });
        let imported: Vec<Imported> = imported.collect();
        if spoken.is_empty() {
            return Ok(Looked::Nothing(imported, keys));
        }
        let narrowings: Vec<_> = spoken.iter().filter_map(|one| one.narrowing).collect();
        let change = ConsentChange {
            customer: keys.customer,
            was: row.state.clone(),
            state: state.encode(),
            state_mac: state.mac(&keys.identity.state, keys.customer),
            request: Some(self.request.claim(&keys.identity, now.day())),
            leaf: self.leaf(&keys, &spoken)?,
            narrows: !narrowings.is_empty(),
            told: narrowings
                .iter()
                .map(|no| no_is_told(rows, keyring, &keys, *no, now))
                .collect::<Result<_>>()?,
            ends: spoken.iter().filter_map(|one| one.ends).collect(),
            events: spoken
                .into_iter()
                .map(|one| (one.number, one.sealed))
                .collect(),
        };
        Ok(Looked::Change(Box::new(change), narrowings, imported))
    }

    /// The event of one purpose: it keeps the signal as it came.
    fn speak(
        &self,
        speaking: &Speaking<'_>,
        of: (&Purpose, &Words),
        heard: &Heard,
        state: &mut State,
    ) -> Result<Spoken> {
        let raw = self.grant.target().raw.expose();
        speaking.speak(of, state, |event| {
            if let Heard::No(Words::Answer(answer)) | Heard::Yes(Words::Answer(answer)) = heard {
                event.answered(answer, speaking.place.keys);
            }
            raw.clone_into(&mut event.signal);
        })
    }

    fn leaf(&self, keys: &CustomerKeyring, spoken: &[Spoken]) -> Result<LeafRow> {
        let of = |yes: bool| -> Vec<u16> {
            let of = spoken.iter().filter(|one| one.status.is_yes() == yes);
            of.map(|one| one.purpose).collect()
        };
        let number = |one: Option<&Spoken>| one.map_or(0, |one| one.number);
        let mut leaf = self.vault.leaf(&self.grant, Verdict::Allowed);
        leaf.count = spoken.len() as u64;
        leaf.fact = Some(Fact::Imported {
            signal: self.grant.target().kind,
            first: number(spoken.first()),
            last: number(spoken.last()),
            yes: of(true),
            no: of(false),
        });
        self.vault.subject_row(&self.call, &leaf, keys, &[])
    }

    /// The words that are put on record of a purpose, or why none are.
    fn taken<'a>(
        &self,
        purpose: &Purpose,
        heard: &'a Heard,
        state: &State,
        noes: Noes,
    ) -> std::result::Result<&'a Words, Untaken> {
        let import = self.grant.target();
        let before = state.standing(purpose.number, false);
        let explicit = state.standing(purpose.number, true);
        let asks = purpose.scope.mechanism == Mechanism::OptIn;
        let no_stands = noes.newest.is_some_and(|newest| newest >= import.said);
        match heard {
            Heard::Nothing(why) => Err(*why),
            Heard::No(_) if asks && explicit.status.is_yes() => Ok(&Words::Withdraw),
            // The same no need not be kept twice; a GPC signal must be, once.
            Heard::No(_)
                if before.status.is_no() && (noes.gpc || !import.is_gpc() && no_stands) =>
            {
                Err(Untaken::Stands)
            }
            Heard::No(words) => Ok(words),
            Heard::Yes(words @ Words::Answer(answer)) if before.status.is_yes() => {
                let is_longer = before.expires.is_some() && answer.expires > before.expires;
                let is_more =
                    answer.notice > before.notice || answer.notice == before.notice && is_longer;
                match is_more {
                    true => unless_stricter(words, noes, no_stands),
                    false => Err(Untaken::Stands),
                }
            }
            Heard::Yes(words) => match before.status {
                Status::Unknown | Status::Requested | Status::Refused | Status::Withdrawn => {
                    unless_stricter(words, noes, no_stands)
                }
                _ => Err(Untaken::StricterStands),
            },
        }
    }

    /// The noes to each purpose that hears the signal, since the last yes to it:
    /// from the newest event back.
    fn noes(
        &self,
        rows: &mut dyn Rows,
        place: &Place<'_>,
        state: &State,
    ) -> Result<BTreeMap<u16, Noes>> {
        let heard = &self.grant.target().heard;
        let mut noes: BTreeMap<u16, Noes> = heard
            .iter()
            .map(|(purpose, _)| {
                let known = [false, true].map(|special| state.standing(purpose.number, special));
                // Nothing was ever said of it.
                let whole = known.iter().all(|one| one.status == Status::Unknown);
                let none = Noes {
                    whole,
                    ..Noes::default()
                };
                (purpose.number, none)
            })
            .collect();
        let window = u32::try_from(limits::LIST_PAGE_DEFAULT).unwrap_or(u32::MAX);
        let (mut end, mut looked_at) = (state.events, 0);
        while end > 0 && looked_at < limits::SIGNAL_EVENTS && noes.values().any(|one| !one.whole) {
            let after = end.saturating_sub(window);
            let most = usize::try_from(end - after).unwrap_or(usize::MAX);
            let events = chain(rows, place, state, after, most)?;
            for event in events.iter().rev() {
                if let Some(one) = noes.get_mut(&event.purpose_number) {
                    one.take(event);
                }
            }
            looked_at += most;
            end = after;
        }
        if end == 0 {
            noes.values_mut().for_each(|one| one.whole = true);
        }
        Ok(noes)
    }
}

/// A yes, where nothing stricter stands and all that could is known.
fn unless_stricter(
    yes: &Words,
    noes: Noes,
    no_stands: bool,
) -> std::result::Result<&Words, Untaken> {
    match noes.whole && !noes.gpc && !no_stands {
        true => Ok(yes),
        false => Err(Untaken::StricterStands),
    }
}

impl Noes {
    /// An event before those that are known.
    fn take(&mut self, event: &Event) {
        let status = event.status();
        if self.whole {
            return;
        }
        if status.is_yes() && !event.explicit {
            self.whole = true;
        } else if status.is_no() {
            let at = Instant::from_micros(event.said);
            self.newest = self.newest.max(Some(at));
            self.gpc |= event.signal == GPC;
        }
    }
}
