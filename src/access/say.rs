//! Who may put on record what a customer says of a purpose, and what of it can
//! be taken as said: one purpose, one notice that was shown, no yes out of
//! silence.

use super::action::Action;
use super::grant::Grant;
use super::roles::Principal;
use super::snapshot::Snapshot;
use super::state::Status;
use crate::catalog::{Basis, Mechanism, Purpose, SpecialBasis};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::secret::SecretBytes;
use std::sync::Arc;

/// Putting on record what a customer says of a purpose.
pub struct Say {
    /// Who says it.
    pub customer: CustomerId,
    /// Of which purpose.
    pub purpose: Arc<Purpose>,
    /// What.
    pub words: Words,
}

/// What is said.
pub enum Words {
    /// An answer to a notice.
    Answer(Answer),
    /// The yes is taken back.
    Withdraw,
    /// The customer objects.
    Object,
    /// A contract, an obligation or a task is in force, until a day, or is not.
    Basis(bool, Option<Day>),
}

/// An answer, checked against what was asked.
pub struct Answer {
    /// Yes, no, or not yet.
    pub status: Status,
    /// Whether it is about special categories.
    pub explicit: bool,
    /// The version of the notice that was shown; 0: none.
    pub notice: u32,
    /// In which language.
    pub language: String,
    /// SHA-256 of the text that was shown.
    pub notice_hash: Option<[u8; 32]>,
    /// By what it was given.
    pub method: Method,
    /// Where.
    pub channel: String,
    /// Who spoke.
    pub actor: String,
    /// What proves it.
    pub evidence: Option<SecretBytes>,
    /// The first day on which it no longer counts.
    pub expires: Option<Day>,
    /// When it was said.
    pub said: Instant,
}

/// By what an answer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// An act in a form.
    Form,
    /// In writing.
    Written,
    /// By word of mouth.
    Spoken,
    /// By a link or code that was sent to the customer.
    Link,
    /// A setting of the customer's own software.
    Signal,
    /// A question was closed without an answer.
    Dismiss,
    /// Nothing was said.
    Silence,
    /// The service was used on.
    ContinuedUse,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 8] = [
        Self::Form,
        Self::Written,
        Self::Spoken,
        Self::Link,
        Self::Signal,
        Self::Dismiss,
        Self::Silence,
        Self::ContinuedUse,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Written => "written",
            Self::Spoken => "spoken",
            Self::Link => "link",
            Self::Signal => "signal",
            Self::Dismiss => "dismiss",
            Self::Silence => "silence",
            Self::ContinuedUse => "continued_use",
        }
    }

    /// Whether it is an act of the customer's: a clear yes can be nothing less
    /// (GDPR art. 4(11)).
    fn is_an_act(self) -> bool {
        !matches!(self, Self::Dismiss | Self::Silence | Self::ContinuedUse)
    }
}

/// An answer as somebody brings it.
pub struct AnswerAsk {
    /// [`Status::Requested`], [`Status::Given`] or [`Status::Refused`].
    pub status: Status,
    /// Whether it is about special categories.
    pub explicit: bool,
    /// The version of the notice; 0: none.
    pub notice: u32,
    /// In which language.
    pub language: String,
    /// By what it was given.
    pub method: Method,
    /// Where.
    pub channel: String,
    /// Who spoke.
    pub actor: String,
    /// What proves it.
    pub evidence: SecretBytes,
    /// The first day on which it no longer counts.
    pub expires: Option<Day>,
    /// When it was said.
    pub said: Instant,
}

/// Looking at what a customer said.
pub struct Look {
    /// Which customer.
    pub customer: CustomerId,
}

fn refused<T>(field: &str, rule: &str) -> Result<T> {
    Err(Error::invalid(Violation::new(field, rule)))
}

impl Snapshot {
    /// Decides whether an answer is put on record.
    pub fn answer(
        &self,
        principal: &Arc<Principal>,
        (customer, purpose): (CustomerId, &str),
        ask: AnswerAsk,
        now: Instant,
    ) -> Result<Grant<Say>> {
        self.said(
            principal,
            Action::RecordConsent,
            customer,
            purpose,
            now,
            |of| checked(of, ask, now).map(Words::Answer),
        )
    }

    /// Decides whether consent is taken back.
    pub fn withdraw(
        &self,
        principal: &Arc<Principal>,
        (customer, purpose): (CustomerId, &str),
        now: Instant,
    ) -> Result<Grant<Say>> {
        self.said(
            principal,
            Action::WithdrawConsent,
            customer,
            purpose,
            now,
            |of| match may_consent(of) {
                true => Ok(Words::Withdraw),
                false => refused("purpose", "must be one that needs consent; call Object"),
            },
        )
    }

    /// Decides whether an objection is put on record.
    pub fn object(
        &self,
        principal: &Arc<Principal>,
        (customer, purpose): (CustomerId, &str),
        now: Instant,
    ) -> Result<Grant<Say>> {
        self.said(
            principal,
            Action::Object,
            customer,
            purpose,
            now,
            |of| match of.scope.mechanism {
                Mechanism::OptOut => Ok(Words::Object),
                Mechanism::OptIn => refused("purpose", "needs consent; call WithdrawConsent"),
                Mechanism::NoticeOnly => {
                    refused("purpose", "must be one that can be objected to (opt_out)")
                }
            },
        )
    }

    /// Decides whether a basis is put on record, or its end.
    pub fn assert_basis(
        &self,
        principal: &Arc<Principal>,
        (customer, purpose): (CustomerId, &str),
        (in_force, expires): (bool, Option<Day>),
        now: Instant,
    ) -> Result<Grant<Say>> {
        self.said(
            principal,
            Action::AssertBasis,
            customer,
            purpose,
            now,
            |of| {
                if matches!(of.scope.basis, Basis::Consent | Basis::LegitimateInterest) {
                    return refused(
                        "purpose",
                        "must rest on a contract, an obligation or a task",
                    );
                }
                ends_later(expires, now)?;
                Ok(Words::Basis(in_force, expires))
            },
        )
    }

    /// Decides whether what a customer said is shown: by which action.
    pub fn look(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        customer: CustomerId,
    ) -> Result<Grant<Look>> {
        let decided = self.vault_wide(principal, action)?;
        let target = Look { customer };
        Ok(Grant { decided, target })
    }

    fn said(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        customer: CustomerId,
        purpose: &str,
        now: Instant,
        words: impl FnOnce(&Purpose) -> Result<Words>,
    ) -> Result<Grant<Say>> {
        let decided = self.decide_say(principal, action, purpose, now.day())?;
        let Some(purpose) = decided.purpose.clone() else {
            return Err(Error::Internal("words of no purpose"));
        };
        let words = words(&purpose)?;
        let target = Say {
            customer,
            purpose,
            words,
        };
        Ok(Grant { decided, target })
    }

    pub(super) fn decide_say(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        purpose: &str,
        today: Day,
    ) -> Result<super::grant::Decided> {
        let principal = self.current(principal)?;
        let Some(purpose) = self.catalog().purpose(purpose) else {
            return refused("purpose", "must be exactly one purpose of the catalog");
        };
        if purpose.scope.is_expired(today) {
            return refused(
                "purpose",
                "must not be retired: it has expired in the catalog",
            );
        }
        let policies = self.permitted(principal, action, None, Some(purpose), &[]);
        let policies = policies.map_err(Error::Denied)?;
        Ok(self.decided(principal, action, Some(purpose), policies))
    }
}

/// Whether there is anything about a purpose that is consented to.
fn may_consent(purpose: &Purpose) -> bool {
    purpose.scope.mechanism == Mechanism::OptIn
        || purpose.scope.special_basis == Some(SpecialBasis::ExplicitConsent)
}

fn ends_later(expires: Option<Day>, now: Instant) -> Result<()> {
    match expires {
        Some(day) if day <= now.day() => refused("expire_date", "must be a day to come"),
        _ => Ok(()),
    }
}

pub(super) fn checked(purpose: &Purpose, ask: AnswerAsk, now: Instant) -> Result<Answer> {
    let scope = &purpose.scope;
    let is_explicit = scope.special_basis == Some(SpecialBasis::ExplicitConsent);
    if ask.explicit && !is_explicit {
        return refused(
            "explicit",
            "must be false: the purpose needs no explicit consent",
        );
    }
    if !ask.explicit && scope.mechanism == Mechanism::NoticeOnly {
        return refused("purpose", "must be one that customers have a say in");
    }
    if !matches!(
        ask.status,
        Status::Requested | Status::Given | Status::Refused
    ) {
        return refused("decision", "must be REQUESTED, GIVEN or REFUSED");
    }
    let is_yes = ask.status == Status::Given;
    if is_yes && !ask.method.is_an_act() {
        let rule = "must be an act of the customer: silence, a closed question or continued use \
                    is no consent (GDPR art. 4(11))";
        return refused("method", rule);
    }
    if ask.said > now {
        return refused("event_time", "must not be in the future");
    }
    ends_later(ask.expires, now)?;
    for (field, text) in [("channel", &ask.channel), ("actor", &ask.actor)] {
        if text.len() > limits::LABEL_BYTES || text.chars().any(char::is_control) {
            return refused(field, "must be at most 63 bytes without control characters");
        }
    }
    if ask.evidence.expose().len() > limits::EVIDENCE_BYTES {
        return refused("evidence", "must be at most 64 KiB");
    }
    let shown = shown(purpose, ask.notice, &ask.language)?;
    if shown.is_none() && (is_yes || ask.status == Status::Requested) {
        return refused(
            "notice_version",
            "must be the published version that was shown",
        );
    }
    Ok(Answer {
        status: ask.status,
        explicit: ask.explicit,
        notice: ask.notice,
        language: ask.language,
        notice_hash: shown,
        method: ask.method,
        channel: ask.channel,
        actor: ask.actor,
        evidence: Some(ask.evidence).filter(|evidence| !evidence.expose().is_empty()),
        expires: ask.expires,
        said: ask.said,
    })
}

/// The hash of the text that was shown; `None` where nothing was.
pub(super) fn shown(purpose: &Purpose, notice: u32, language: &str) -> Result<Option<[u8; 32]>> {
    if notice == 0 {
        return Ok(None);
    }
    let version = purpose.notice.as_ref().and_then(|n| n.version(notice));
    let Some(version) = version.filter(|version| version.published.is_some()) else {
        return refused(
            "notice_version",
            "must be a published version of the purpose's notice",
        );
    };
    match version.hash(language) {
        Some(hash) => Ok(Some(hash)),
        None => refused("language", "must be a language of that notice"),
    }
}
