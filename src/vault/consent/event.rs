//! One thing that a customer said, as it is kept: sealed under the consent key,
//! signed by the vault, with the hash of the sealed event before it inside. The
//! customer's state holds the hash of the newest, so that a chain is whole or
//! seen not to be.

use crate::access::{Answer, State, Status, Words};
use crate::catalog::Purpose;
use crate::clock::Instant;
use crate::crypto::mac::mac;
use crate::crypto::{ConsentKeys, Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerNumber, TenantNumber};
use crate::keys::signing::SigningKey;
use crate::store::LedgerKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is signed begins with it, so that no other text of ours is taken for an
/// event.
const DOMAIN: &[u8] = b"oubliette.v1/consent-event\0";

/// What was said, by whom, of what, and how it is proven.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    v: u8,
    /// From 1, without gaps.
    pub number: u32,
    /// SHA-256 of the sealed event before, in hexadecimal.
    previous: String,
    /// When it was put on record, in microseconds since 1970.
    pub recorded: i64,
    /// When it was said.
    pub said: i64,
    /// `tenant/service`; empty where the ledger was replayed.
    pub principal: String,
    /// The purpose's name.
    pub purpose: String,
    /// Its number.
    pub purpose_number: u16,
    /// Its version.
    pub purpose_version: u32,
    /// The catalog's version.
    pub catalog: u32,
    /// What was said: a word of [`Status`].
    pub status: String,
    /// Whether it is about special categories.
    pub explicit: bool,
    /// The version of the notice that was shown; 0: none.
    pub notice: u32,
    /// In which language.
    pub language: String,
    /// SHA-256 of the text, in hexadecimal.
    pub notice_hash: String,
    /// By what it was given.
    pub method: String,
    /// Where.
    pub channel: String,
    /// Who spoke.
    pub actor: String,
    /// Keyed hash of the evidence, in hexadecimal.
    pub evidence: String,
    /// The first day on which it no longer counts, days since 1970.
    pub expires: Option<i32>,
    /// The signal that says it, as it came; empty: none did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signal: String,
}

/// Where a customer's events are kept and under what.
pub struct Place<'a> {
    /// Which vault.
    pub deployment: Deployment,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// Whose.
    pub customer: CustomerNumber,
    /// The customer's keys for it.
    pub keys: &'a ConsentKeys,
}

impl Event {
    /// The event of what is said of a purpose, to follow on `state`.
    pub fn of(
        (purpose, words): (&Purpose, &Words),
        status: Status,
        state: &State,
        keys: &ConsentKeys,
        now: Instant,
    ) -> Self {
        let mut event = Self {
            purpose: purpose.name.to_string(),
            purpose_version: purpose.version,
            ..Self::following(state, purpose.number, status, now)
        };
        match words {
            Words::Answer(answer) => event.answered(answer, keys),
            Words::Basis(_, expires) => event.expires = expires.map(|day| day.0),
            Words::Withdraw | Words::Object => {}
        }
        event
    }

    /// What an answer says beside its status, and what proves it.
    pub fn answered(&mut self, answer: &Answer, keys: &ConsentKeys) {
        self.said = answer.said.micros();
        self.explicit = answer.explicit;
        self.notice = answer.notice;
        self.language.clone_from(&answer.language);
        self.notice_hash = answer.notice_hash.map_or_else(String::new, hex::encode);
        answer.method.name().clone_into(&mut self.method);
        self.channel.clone_from(&answer.channel);
        self.actor.clone_from(&answer.actor);
        if let Some(evidence) = &answer.evidence {
            self.evidence = hex::encode(mac(&keys.evidence, &[evidence.expose()]));
        }
        self.expires = answer.expires.map(|day| day.0);
    }

    /// The no of the ledger, put on record after a restore or a crash.
    pub fn replayed(kind: LedgerKind, purpose: u16, state: &State, now: Instant) -> Self {
        Self::following(state, purpose, status_of(kind), now)
    }

    /// What follows on `state`, told by nobody in particular.
    fn following(state: &State, purpose: u16, status: Status, now: Instant) -> Self {
        Self {
            v: 1,
            number: state.events.saturating_add(1),
            previous: hex::encode(state.head),
            recorded: now.micros(),
            said: now.micros(),
            principal: String::new(),
            purpose: String::new(),
            purpose_number: purpose,
            purpose_version: 0,
            catalog: 0,
            status: status.name().to_owned(),
            explicit: false,
            notice: 0,
            language: String::new(),
            notice_hash: String::new(),
            method: String::new(),
            channel: String::new(),
            actor: String::new(),
            evidence: String::new(),
            expires: None,
            signal: String::new(),
        }
    }

    /// What was said.
    pub fn status(&self) -> Status {
        let named = |status: &Status| status.name() == self.status;
        Status::ALL
            .into_iter()
            .find(named)
            .unwrap_or(Status::Unknown)
    }

    /// Signed and sealed: 64 bytes of signature, then JSON.
    pub fn seal(&self, place: &Place<'_>, key: &SigningKey) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|_| Error::Internal("a consent event"))?;
        let context = place.context(self.number);
        let signature = key.sign(&[DOMAIN, &context, &json].concat());
        let content = [&signature[..], &json].concat();
        message::seal(&place.keys.events, &context, &content)
    }

    /// Opens a sealed event.
    pub fn open(place: &Place<'_>, number: u32, sealed: &[u8]) -> Result<Self> {
        let lost = Error::DataLoss(Lost::Consent);
        let content = message::open(&place.keys.events, &place.context(number), sealed)
            .map_err(|_| lost.clone())?;
        let (_, json) = content
            .expose()
            .split_first_chunk::<64>()
            .ok_or(lost.clone())?;
        let event: Self = serde_json::from_slice(json).map_err(|_| lost.clone())?;
        (event.number == number).then_some(event).ok_or(lost)
    }

    /// That `before` is the sealed event before this one.
    pub fn follows(&self, before: [u8; 32]) -> bool {
        self.previous == hex::encode(before)
    }
}

/// What a no of the ledger came to.
pub fn status_of(kind: LedgerKind) -> Status {
    match kind {
        LedgerKind::Objection => Status::Objected,
        LedgerKind::BasisEnded => Status::Revoked,
        _ => Status::Withdrawn,
    }
}

/// What the state, and the next event, keep of a sealed event.
pub fn head_of(sealed: &[u8]) -> [u8; 32] {
    Sha256::digest(sealed).into()
}

impl Place<'_> {
    fn context(&self, number: u32) -> Vec<u8> {
        MessageContext {
            deployment: self.deployment,
            label: Label::ConsentEvent,
            tenant: self.tenant.0,
            customer: self.customer.0,
            number: number.into(),
            extra: 0,
        }
        .bytes()
    }
}
