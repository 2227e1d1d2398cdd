//! Putting on record what a customer says.

use super::event::{Event, Place, head_of};
use super::place;
use crate::access::{Grant, Moment, Say, Standing, State, Status, Words, denied_by};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::catalog::{Mechanism, Purpose};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::id::RequestId;
use crate::keys::signing::SigningKey;
use crate::limits;
use crate::store::{
    ConsentChange, ConsentOutcome, CustomerRow, LedgerKind, Narrowing, Rows, Tidings,
};
use crate::vault::Vault;
use crate::vault::events::{EventKind, tidings};
use crate::vault::find::owner_of;
use crate::vault::keyring::{CustomerKeyring, Keyring, Tenant};
use crate::vault::request::Request;
use std::sync::Arc;

/// What stands of a purpose after something was said.
pub struct Said {
    /// The basis of the rest of the data.
    pub standing: Standing,
    /// Special categories.
    pub explicit: Standing,
    /// The event's number.
    pub event: u32,
    /// The reason why data may not be read for it now; empty: it may.
    pub denied_by: &'static str,
}

/// What a look at the customer found.
enum Looked {
    /// The request was made before and is answered again.
    Again(Said, CustomerKeyring),
    /// Ready to be put on record.
    Change(Box<ConsentChange>, Option<Narrowing>, Said),
}

impl Vault {
    /// Puts on record what the grant says.
    pub async fn say(
        &self,
        call: &Arc<Call>,
        grant: Grant<Say>,
        request: RequestId,
    ) -> Result<Said> {
        let request = request_of(&grant, request);
        // In a task of its own: a caller that goes away stops nothing half-way.
        let (vault, call, grant) = (self.clone(), Arc::clone(call), Arc::new(grant));
        tokio::spawn(async move { vault.say_to_the_end(&call, &grant, request).await })
            .await
            .unwrap_or(Err(Error::Internal("a consent ended by itself")))
    }

    async fn say_to_the_end(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Say>>,
        request: Request,
    ) -> Result<Said> {
        let tenant = self.tenant(grant.principal().tenant())?;
        for _ in 0..limits::REVISION_RETRIES {
            let saying = Saying {
                vault: self.clone(),
                tenant: Arc::clone(&tenant),
                call: Arc::clone(call),
                grant: Arc::clone(grant),
                request: request.clone(),
            };
            let looked = self
                .on_rows(move |rows, keyring| saying.look(rows, keyring))
                .await?;
            let (change, narrowing, said) = match looked {
                Looked::Again(said, keys) => {
                    let leaf = self.leaf(grant, Verdict::Allowed);
                    let row = self.subject_row(call, &leaf, &keys, &[])?;
                    return Ok(self.0.log.record(call, vec![row], said).await?.release());
                }
                Looked::Change(change, narrowing, said) => (change, narrowing, said),
            };
            let noes = narrowing.into_iter().collect();
            if self.put_on_record(call, &change, noes).await? {
                return Ok(said);
            }
        }
        Err(Error::Contended)
    }

    /// Notes the noes in the ledger, then puts the change on record; `false`
    /// where the customer's state is another by now.
    pub(super) async fn put_on_record(
        &self,
        call: &Call,
        change: &ConsentChange,
        noes: Vec<Narrowing>,
    ) -> Result<bool> {
        if !noes.is_empty() {
            let today = call.time.day();
            self.reserved(|| self.0.store.note_narrowings(noes.clone(), today))
                .await?;
        }
        let store = || self.0.store.change_consent(change.clone());
        let outcome = if change.narrows {
            self.reserved(store).await?
        } else {
            store().in_time().await?
        };
        let is_done = matches!(outcome, ConsentOutcome::Done);
        if is_done {
            call.mark_recorded();
        }
        Ok(is_done)
    }
}

/// The content of what is said: the same words have the same bytes.
fn request_of(grant: &Grant<Say>, id: RequestId) -> Request {
    let say = grant.target();
    let (kind, content) = match &say.words {
        Words::Withdraw => ("withdraw", Vec::new()),
        Words::Object => ("object", Vec::new()),
        Words::Basis(in_force, expires) => {
            let day = expires.map_or(0, |day| day.0);
            (
                "basis",
                [&[u8::from(*in_force)][..], &day.to_be_bytes()].concat(),
            )
        }
        Words::Answer(answer) => {
            let day = answer.expires.map_or(0, |day| day.0).to_be_bytes();
            let flags = [answer.status as u8, u8::from(answer.explicit)];
            let notice = answer.notice.to_be_bytes();
            ("answer", [&flags[..], &notice, &day].concat())
        }
    };
    let mut parts: Vec<&[u8]> = vec![
        kind.as_bytes(),
        say.customer.expose().as_bytes(),
        say.purpose.name.as_str().as_bytes(),
        &content,
    ];
    if let Words::Answer(answer) = &say.words {
        parts.push(answer.language.as_bytes());
        parts.push(answer.method.name().as_bytes());
        parts.push(answer.channel.as_bytes());
        parts.push(answer.actor.as_bytes());
        parts.push(answer.evidence.as_ref().map_or(&[], |e| e.expose()));
    }
    Request::new(grant.principal(), id, &parts)
}

/// One try, on a reader thread.
struct Saying {
    vault: Vault,
    tenant: Arc<Tenant>,
    call: Arc<Call>,
    grant: Arc<Grant<Say>>,
    request: Request,
}

impl Saying {
    fn look(&self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Looked> {
        let (who, quota) = (self.grant.principal(), &self.vault.0.quota);
        let say = self.grant.target();
        let found = keyring.keys_of(rows, &self.tenant, &say.customer);
        let keys = quota.admit(who, self.call.time, found)?;
        let row = rows.customer(keys.customer)?;
        let row = owner_of(rows, keys.customer, row)?;
        let state = keys.facts(&row)?.into_state();
        let whose = (keys.customer, &keys.identity);
        if let Some(known) = self.request.again(rows, whose, self.call.time.day())? {
            let event = u32::try_from(known.outcome).unwrap_or(u32::MAX);
            let at = keyring.at(self.call.time.day());
            return Ok(Looked::Again(said(&say.purpose, &state, event, at), keys));
        }
        self.change(rows, keyring, &keys, &row, state)
    }

    fn change(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        keys: &CustomerKeyring,
        row: &CustomerRow,
        mut state: State,
    ) -> Result<Looked> {
        let (say, now) = (self.grant.target(), self.call.time);
        let at = keyring.at(now.day());
        if state.lineage < at.lineage {
            state.forget_consent(at.lineage);
        }
        let consent = keys.consent();
        let speaking = Speaking {
            place: place(keyring.deployment(), keys, &consent),
            key: self.vault.signing()?,
            principal: self.grant.principal().name(),
            catalog: self.grant.catalog_version(),
            now,
        };
        let of = (&*say.purpose, &say.words);
        let spoken = speaking.speak(of, &mut state, |_| ())?;
        let mut leaf = self.vault.leaf(&self.grant, Verdict::Allowed);
        told(&mut leaf, spoken.status, spoken.number);
        let said = said(&say.purpose, &state, spoken.number, at);
        let narrowing = spoken.narrowing;
        let tidings = narrowing.map(|no| no_is_told(rows, keyring, keys, no, now));
        let change = ConsentChange {
            customer: keys.customer,
            was: row.state.clone(),
            state: state.encode(),
            state_mac: state.mac(&keys.identity.state, keys.customer),
            events: vec![(spoken.number, spoken.sealed)],
            request: Some(self.request.claim(&keys.identity, now.day())),
            leaf: self.vault.subject_row(&self.call, &leaf, keys, &[])?,
            narrows: narrowing.is_some(),
            told: tidings.transpose()?.into_iter().collect(),
            ends: spoken.ends.into_iter().collect(),
        };
        Ok(Looked::Change(Box::new(change), narrowing, said))
    }
}

/// By whom and where something is said.
pub(super) struct Speaking<'a> {
    /// Where the customer's events are kept.
    pub place: Place<'a>,
    /// What signs them.
    pub key: &'a SigningKey,
    /// Who puts it on record.
    pub principal: &'a str,
    /// The catalog's version.
    pub catalog: u32,
    /// When.
    pub now: Instant,
}

/// One thing that was said: in the state already, not on record yet.
pub(super) struct Spoken {
    /// The purpose's number.
    pub purpose: u16,
    /// The event's number.
    pub number: u32,
    /// The event.
    pub sealed: Vec<u8>,
    /// What it came to.
    pub status: Status,
    /// What the ledger notes of it.
    pub narrowing: Option<Narrowing>,
    /// The day on which it ends a basis: today for a no.
    pub ends: Option<Day>,
}

impl Speaking<'_> {
    /// Makes the event of what is said of a purpose, and takes it up in the
    /// state. `add` says what else the event tells.
    pub(super) fn speak(
        &self,
        of: (&Purpose, &Words),
        state: &mut State,
        add: impl FnOnce(&mut Event),
    ) -> Result<Spoken> {
        let (purpose, words) = of;
        let (status, narrows) = said_of(purpose, words, state)?;
        let mut event = Event::of(of, status, state, self.place.keys, self.now);
        self.principal.clone_into(&mut event.principal);
        event.catalog = self.catalog;
        add(&mut event);
        let sealed = event.seal(&self.place, self.key)?;
        let narrowing = narrows.map(|kind| Narrowing {
            entry: 0,
            kind,
            customer: self.place.customer,
            about: purpose.number.into(),
            revision: state.revision,
        });
        take_up(state, purpose, words, status)?;
        (state.events, state.head) = (event.number, head_of(&sealed));
        state.revision += 1;
        Ok(Spoken {
            purpose: purpose.number,
            number: event.number,
            sealed,
            status,
            narrowing,
            ends: ends_on(words, narrows.is_some(), self.now.day()),
        })
    }
}

/// The day on which what is said ends a basis: today for a no.
fn ends_on(words: &Words, is_no: bool, today: Day) -> Option<Day> {
    let expires = match words {
        Words::Answer(answer) => answer.expires,
        Words::Basis(_, expires) => *expires,
        Words::Withdraw | Words::Object => None,
    };
    if is_no { Some(today) } else { expires }
}

/// What those who read for the purpose are told of a no.
pub fn no_is_told(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    no: Narrowing,
    now: Instant,
) -> Result<Tidings> {
    let kind = match no.kind {
        LedgerKind::Withdrawal => EventKind::ConsentWithdrawn,
        _ => EventKind::Objected,
    };
    tidings(
        rows,
        keyring,
        keys,
        kind,
        Some(&[u16::try_from(no.about).unwrap_or(0)]),
        now,
    )
}

/// What an auditor counts on: what was said, and which event says it.
pub fn told(leaf: &mut Leaf, status: Status, event: u32) {
    leaf.count = 1;
    leaf.fact = Some(Fact::Consent {
        status: status.name(),
        event,
    });
}

pub(super) fn said(purpose: &Purpose, state: &State, event: u32, at: Moment) -> Said {
    Said {
        standing: state.standing(purpose.number, false),
        explicit: state.standing(purpose.number, true),
        event,
        denied_by: denied_by(purpose, state, at),
    }
}

/// What the words come to after what was said before, and what the ledger notes
/// of it.
fn said_of(
    purpose: &Purpose,
    words: &Words,
    state: &State,
) -> Result<(Status, Option<LedgerKind>)> {
    match words {
        Words::Withdraw => Ok((Status::Withdrawn, Some(LedgerKind::Withdrawal))),
        Words::Object => Ok((Status::Objected, Some(LedgerKind::Objection))),
        Words::Basis(true, _) => {
            let before = state.standing(purpose.number, false).status;
            match is_objected(purpose, before) {
                false => Ok((Status::Asserted, None)),
                true => {
                    let rule =
                        "is one that the customer objected to: only their own GIVEN ends that";
                    Err(Error::invalid(Violation::new("purpose", rule)))
                }
            }
        }
        Words::Basis(false, _) => Ok((Status::Revoked, Some(LedgerKind::BasisEnded))),
        Words::Answer(answer) => {
            let before = state.standing(purpose.number, answer.explicit).status;
            match answer.status {
                Status::Given if before.is_yes() => Ok((Status::Renewed, None)),
                Status::Given if purpose.scope.confirm && before != Status::Requested => {
                    let rule = "must be REQUESTED first: the purpose has double opt-in, and a \
                                GIVEN confirms what was requested";
                    Err(Error::invalid(Violation::new("decision", rule)))
                }
                // A no after a yes is a withdrawal, whatever it is called.
                Status::Refused if before.is_yes() => {
                    Ok((Status::Withdrawn, Some(LedgerKind::Withdrawal)))
                }
                Status::Refused if purpose.scope.mechanism == Mechanism::OptOut => {
                    Ok((Status::Objected, Some(LedgerKind::Objection)))
                }
                Status::Requested if stands(purpose, before) => Ok((before, None)),
                other => Ok((other, None)),
            }
        }
    }
}

/// Asking again takes nothing back: neither a yes, nor the no without which an
/// opt-out purpose would be free again.
fn stands(purpose: &Purpose, before: Status) -> bool {
    before.is_yes() || is_objected(purpose, before)
}

fn is_objected(purpose: &Purpose, before: Status) -> bool {
    before.is_no() && purpose.scope.mechanism == Mechanism::OptOut
}

/// Takes up in the state what was said.
fn take_up(state: &mut State, purpose: &Purpose, words: &Words, status: Status) -> Result<()> {
    let number = purpose.number;
    match words {
        Words::Withdraw => {
            for explicit in [false, true] {
                let before = state.standing(number, explicit);
                // A contract goes on: what is taken back is the consent beside it.
                let is_consent = if explicit {
                    before.status != Status::Unknown
                } else {
                    purpose.scope.mechanism == Mechanism::OptIn || before.status.is_yes()
                };
                if is_consent {
                    state.set(Standing { status, ..before })?;
                }
            }
            Ok(())
        }
        Words::Object => {
            let before = state.standing(number, false);
            state.set(Standing { status, ..before })
        }
        Words::Basis(_, expires) => state.set(Standing {
            status,
            expires: *expires,
            ..Standing::unknown(number, false)
        }),
        Words::Answer(answer) => {
            let before = state.standing(number, answer.explicit);
            if answer.status == Status::Requested && stands(purpose, before.status) {
                return Ok(());
            }
            state.set(Standing {
                status,
                expires: answer.expires,
                notice: answer.notice,
                ..Standing::unknown(number, answer.explicit)
            })
        }
    }
}
