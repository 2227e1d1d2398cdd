//! A request of a person, as a state machine: pure, whoever stores it. The
//! states are those of the Data Rights Protocol and OpenDSR.

use super::clock::Regime;
use crate::access::Cause;
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::vault::restraint::was_told;
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What is known of me? GDPR art. 15.
    Access = 1,
    /// What I provided, to take along: art. 20.
    Portability = 2,
    /// Correct it: art. 16.
    Rectification = 3,
    /// Keep it but do not use it: art. 18.
    Restriction = 4,
    /// Stop using it for this: art. 21.
    Objection = 5,
    /// Forget me: art. 17.
    Erasure = 6,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Portability,
        Self::Rectification,
        Self::Restriction,
        Self::Objection,
        Self::Erasure,
    ];

    /// Its name in the log and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Portability => "portability",
            Self::Rectification => "rectification",
            Self::Restriction => "restriction",
            Self::Objection => "objection",
            Self::Erasure => "erasure",
        }
    }

    /// The one with that number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Received.
    Open = 1,
    /// Who is asking must be made sure of.
    NeedsVerification = 2,
    /// It is made sure; somebody must decide.
    InProgress = 3,
    /// It is to be done.
    Approved = 4,
    /// It is being done.
    Executing = 5,
    /// It is done.
    Fulfilled = 6,
    /// It was refused, with a reason.
    Denied = 7,
    /// The person took it back.
    Revoked = 8,
    /// Nobody could make sure in time who was asking.
    Expired = 9,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::NeedsVerification,
        Self::InProgress,
        Self::Approved,
        Self::Executing,
        Self::Fulfilled,
        Self::Denied,
        Self::Revoked,
        Self::Expired,
    ];

    /// The one with that number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// Its name in errors and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::NeedsVerification => "needs_verification",
            Self::InProgress => "in_progress",
            Self::Approved => "approved",
            Self::Executing => "executing",
            Self::Fulfilled => "fulfilled",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Fulfilled | Self::Denied | Self::Revoked | Self::Expired
        )
    }

    /// What it reads as on `today`: a request whose asker was not made sure of
    /// when its time ran out has expired, without anybody writing that down.
    pub fn on(self, today: Day, due: Option<Day>) -> Self {
        let is_unsure = matches!(self, Self::Open | Self::NeedsVerification);
        match due {
            Some(due) if is_unsure && today > due => Self::Expired,
            _ => self,
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The person must say more of who they are.
    AskVerification,
    /// Who is asking was made sure of, in a way that this names.
    Verify(String),
    /// It is to be done.
    Approve,
    /// It is refused.
    Deny(Denied),
    /// The laws that know an extension give it; the person was told why.
    Extend(String),
    /// The person takes it back.
    Revoke,
    /// It is being done.
    Begin,
    /// It is to be done, and waits for a hold to be released.
    Queue,
    /// It is done.
    Fulfil,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// A justification of the Data Privacy Vocabulary.
    pub code: String,
    /// For the person.
    pub text: String,
}

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When: microseconds since 1970.
    pub time: i64,
    /// Which service did it.
    pub by: String,
    /// What: a word of the log.
    pub what: String,
    /// More of it, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What of a request is about the person: stored sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Who opened it.
    pub opened_by: String,
    /// The laws that apply, by name.
    pub regimes: Vec<String>,
    /// What the person said of it.
    pub text: String,
    /// Why it was refused.
    pub denied: Option<Denied>,
    /// All that happened to it, in order.
    pub steps: Vec<Step>,
    /// What it keeps restricted: the number of the restraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restraint: Option<u64>,
    /// Of an objection: the purposes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// Of an approved erasure: the first day on which it is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<i32>,
    /// Whether it waits for a hold to be released.
    #[serde(default, skip_serializing_if = "is_not")]
    pub queued: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// The day it was received.
    pub received: Day,
    /// The day by which it must be answered, where a law says so.
    pub due: Option<Day>,
    /// Whether the time was extended.
    pub extended: bool,
    /// What is about the person.
    pub content: Content,
}

/// Who does something, when, and whether two must agree.
pub struct Doing<'a> {
    /// Which service.
    pub by: &'a str,
    /// When, in microseconds.
    pub time: i64,
    /// Today.
    pub today: Day,
    /// Whether somebody else must approve than who opened it.
    pub four_eyes: bool,
    /// How many days an approved erasure can still be taken back.
    pub grace_days: u32,
    /// When the person was told that what is restricted for the request will no
    /// longer be.
    pub told: Option<i64>,
}

/// That two agree where two must: another acts than the first.
pub fn another(four_eyes: bool, by: &str, first: &str) -> Result<()> {
    match four_eyes && by == first {
        true => Err(Error::SamePerson),
        false => Ok(()),
    }
}

/// A name of a DPV justification: `dpv:` or a prefix of its extensions, then a
/// term.
pub fn is_justification(code: &str) -> bool {
    let Some((prefix, term)) = code.split_once(':') else {
        return false;
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    code.len() <= 80 && is_word(prefix) && is_word(term)
}

impl Event {
    /// Its word in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AskVerification => "ask_verification",
            Self::Verify(_) => "verify",
            Self::Approve => "approve",
            Self::Deny(_) => "deny",
            Self::Extend(_) => "extend",
            Self::Revoke => "revoke",
            Self::Begin => "begin",
            Self::Queue => "queue",
            Self::Fulfil => "fulfil",
        }
    }

    /// The state that it leads to from `from`; `None` where it cannot happen.
    fn leads(&self, from: State) -> Option<State> {
        use State::{
            Approved, Denied, Executing, Fulfilled, InProgress, NeedsVerification, Open, Revoked,
        };
        match (self, from) {
            (Self::AskVerification, Open) => Some(NeedsVerification),
            (Self::Verify(_), Open | NeedsVerification) => Some(InProgress),
            (Self::Approve, InProgress) => Some(Approved),
            (Self::Deny(_), Open | NeedsVerification | InProgress) => Some(Denied),
            (Self::Revoke, Open | NeedsVerification | InProgress | Approved) => Some(Revoked),
            (Self::Begin, Approved | Executing) => Some(Executing),
            (Self::Queue, Approved) => Some(Approved),
            (Self::Fulfil, Approved | Executing) => Some(Fulfilled),
            (Self::Extend(_), state) if !state.is_final() => Some(state),
            _ => None,
        }
    }
}

impl Request {
    /// A request that was just received.
    pub fn open(kind: Kind, regimes: &[Regime], text: String, doing: &Doing<'_>) -> Self {
        let step = Step {
            time: doing.time,
            by: doing.by.to_owned(),
            what: "open".to_owned(),
            text: String::new(),
        };
        Self {
            kind,
            state: State::Open,
            received: doing.today,
            due: super::clock::due(doing.today, regimes, false),
            extended: false,
            content: Content {
                opened_by: doing.by.to_owned(),
                regimes: regimes.iter().map(|one| one.name().to_owned()).collect(),
                text,
                denied: None,
                steps: vec![step],
                restraint: None,
                purposes: Vec::new(),
                grace_until: None,
                queued: false,
            },
        }
    }

    /// The laws that apply.
    pub fn regimes(&self) -> Vec<Regime> {
        let names = self.content.regimes.iter();
        names.filter_map(|name| Regime::named(name)).collect()
    }

    /// What is restricted from when it is received until it is decided.
    pub fn restricts(&self) -> Option<Cause> {
        match self.kind {
            Kind::Erasure => Some(Cause::Erasure),
            Kind::Rectification => Some(Cause::Accuracy),
            Kind::Objection => Some(Cause::Objection),
            Kind::Access | Kind::Portability | Kind::Restriction => None,
        }
    }

    /// Whether what it keeps restricted no longer is once that has happened. An
    /// erasure that is approved goes on from there.
    fn lifts(&self, event: &Event) -> bool {
        let is_decided = match event {
            Event::Deny(_) | Event::Revoke => true,
            Event::Approve => self.kind != Kind::Erasure,
            _ => false,
        };
        is_decided && self.content.restraint.is_some()
    }

    /// Whether an approved erasure can still be taken back.
    pub fn is_in_grace(&self, today: Day) -> bool {
        let until = self.content.grace_until;
        self.state == State::Approved && until.is_some_and(|until| today.0 < until)
    }

    /// The request after something happened to it.
    ///
    /// # Errors
    /// [`Error::RequestState`] where it cannot happen to a request that stands
    /// there; [`Error::SamePerson`] where two must agree and one acts twice;
    /// [`Error::Invalid`] where the person was not told of what they must be.
    pub fn after(&self, event: Event, doing: &Doing<'_>) -> Result<Self> {
        let from = self.state.on(doing.today, self.due);
        let refused = Error::RequestState(from.name(), event.name());
        let to = event.leads(from).ok_or_else(|| refused.clone())?;
        let (mut next, mut text, what) = (self.clone(), String::new(), event.name());
        if self.lifts(&event) {
            // Who takes a request back knows of it (GDPR art. 18(3)).
            if event != Event::Revoke {
                let since = self.content.steps.first().map_or(0, |step| step.time);
                was_told(doing.told.unwrap_or(i64::MAX), since, doing.time)?;
            }
            next.content.restraint = None;
        }
        match event {
            Event::Approve => {
                another(doing.four_eyes, doing.by, &self.content.opened_by)?;
                if self.kind == Kind::Erasure && doing.grace_days > 0 {
                    let days = i32::try_from(doing.grace_days).unwrap_or(i32::MAX);
                    next.content.grace_until = Some(doing.today.0.saturating_add(days));
                }
            }
            Event::Begin if self.is_in_grace(doing.today) => return Err(refused),
            Event::Queue if self.kind != Kind::Erasure => return Err(refused),
            Event::Queue => next.content.queued = true,
            Event::Extend(why) => {
                let regimes = self.regimes();
                let can = !self.extended && regimes.iter().any(|regime| regime.extends());
                // Told within the first time, or not at all (GDPR art. 12(3)).
                if !can || self.due.is_none_or(|due| doing.today > due) {
                    return Err(refused);
                }
                next.extended = true;
                next.due = super::clock::due(self.received, &regimes, true);
                text = why;
            }
            Event::Deny(ref denied) => next.content.denied = Some(denied.clone()),
            Event::Verify(ref how) => text.clone_from(how),
            _ => {}
        }
        next.state = to;
        next.content.steps.push(Step {
            time: doing.time,
            by: doing.by.to_owned(),
            what: what.to_owned(),
            text,
        });
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
