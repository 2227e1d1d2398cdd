//! A request of a person, as a state machine: pure, whoever stores it. The
//! states are those of the Data Rights Protocol and OpenDSR.

use super::clock::Regime;
use crate::clock::Day;
use crate::error::{Error, Result};
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
            },
        }
    }

    /// The laws that apply.
    pub fn regimes(&self) -> Vec<Regime> {
        let names = self.content.regimes.iter();
        names.filter_map(|name| Regime::named(name)).collect()
    }

    /// The request after something happened to it.
    ///
    /// # Errors
    /// [`Error::RequestState`] where it cannot happen to a request that stands
    /// there; [`Error::SamePerson`] where two must agree and one acts twice.
    pub fn after(&self, event: Event, doing: &Doing<'_>) -> Result<Self> {
        let from = self.state.on(doing.today, self.due);
        let refused = Error::RequestState(from.name(), event.name());
        let to = event.leads(from).ok_or_else(|| refused.clone())?;
        let (mut next, mut text, what) = (self.clone(), String::new(), event.name());
        match event {
            Event::Approve if doing.four_eyes && doing.by == self.content.opened_by => {
                return Err(Error::SamePerson);
            }
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
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn doing(by: &str, day: i32) -> Doing<'_> {
        Doing {
            by,
            time: i64::from(day) * DAY,
            today: Day(day),
            four_eyes: true,
        }
    }

    fn opened(regimes: &[Regime]) -> Request {
        Request::open(Kind::Erasure, regimes, String::new(), &doing("a/one", 100))
    }

    fn denied() -> Event {
        Event::Deny(Denied {
            code: "dpv:LegalObligation".to_owned(),
            text: "tax law".to_owned(),
        })
    }

    fn events() -> [Event; 8] {
        [
            Event::AskVerification,
            Event::Verify("passport seen".to_owned()),
            Event::Approve,
            denied(),
            Event::Extend("many requests".to_owned()),
            Event::Revoke,
            Event::Begin,
            Event::Fulfil,
        ]
    }

    #[test]
    fn a_request_is_opened_verified_approved_by_another_and_done() {
        let request = opened(&[Regime::Gdpr]);
        let request = request
            .after(Event::AskVerification, &doing("a/one", 101))
            .unwrap();
        let request = request
            .after(
                Event::Verify("signed in again".to_owned()),
                &doing("a/one", 102),
            )
            .unwrap();
        let same = request.after(Event::Approve, &doing("a/one", 103)).err();
        assert_eq!(same, Some(Error::SamePerson));
        let request = request.after(Event::Approve, &doing("a/two", 103)).unwrap();
        let request = request.after(Event::Begin, &doing("a/two", 103)).unwrap();
        let request = request.after(Event::Fulfil, &doing("a/two", 103)).unwrap();
        assert_eq!(request.state, State::Fulfilled);
        let told: Vec<&str> = request
            .content
            .steps
            .iter()
            .map(|s| s.what.as_str())
            .collect();
        assert_eq!(
            told,
            [
                "open",
                "ask_verification",
                "verify",
                "approve",
                "begin",
                "fulfil"
            ]
        );
    }

    #[test]
    fn nothing_is_approved_before_it_is_known_who_asks_and_nothing_follows_an_end() {
        for state in State::ALL {
            let request = Request {
                state,
                ..opened(&[Regime::Gdpr])
            };
            for event in events() {
                let name = event.name();
                let next = request.after(event, &doing("a/two", 101));
                if state.is_final() {
                    let refused = Error::RequestState(state.name(), name);
                    assert_eq!(next.err(), Some(refused), "{name} after {}", state.name());
                } else if name == "approve" {
                    assert_eq!(next.is_ok(), state == State::InProgress, "{}", state.name());
                } else if name == "fulfil" {
                    let can = matches!(state, State::Approved | State::Executing);
                    assert_eq!(next.is_ok(), can, "{}", state.name());
                } else if ["deny", "revoke"].contains(&name) && state == State::Executing {
                    assert!(next.is_err(), "what has begun is carried out");
                }
            }
        }
    }

    #[test]
    fn a_request_whose_asker_stays_unknown_expires_by_itself() {
        let request = opened(&[Regime::Lgpd]);
        assert_eq!(request.due, Some(Day(115)));
        assert_eq!(request.state.on(Day(115), request.due), State::Open);
        assert_eq!(request.state.on(Day(116), request.due), State::Expired);
        let late = request.after(Event::Verify(String::new()), &doing("a/two", 116));
        assert_eq!(late.err(), Some(Error::RequestState("expired", "verify")));
        // Once it is known who asks, being late is a breach and no way out.
        assert_eq!(
            State::InProgress.on(Day(500), request.due),
            State::InProgress
        );
    }

    #[test]
    fn time_is_extended_once_in_time_and_where_a_law_knows_it() {
        let why = || Event::Extend("many requests".to_owned());
        let request = opened(&[Regime::Gdpr, Regime::Ccpa]);
        let first = request.due.unwrap();
        let longer = request.after(why(), &doing("a/one", first.0)).unwrap();
        assert!(longer.due.unwrap() > first && longer.extended);
        assert!(longer.after(why(), &doing("a/one", 101)).is_err(), "once");
        assert!(
            request.after(why(), &doing("a/one", first.0 + 1)).is_err(),
            "in time"
        );
        let short = opened(&[Regime::Lgpd]);
        assert!(short.after(why(), &doing("a/one", 101)).is_err());
    }

    #[test]
    fn a_denial_names_a_justification() {
        for good in ["dpv:LegalObligation", "eu-gdpr:A17-3-b", "dpv:X"] {
            assert!(is_justification(good), "{good}");
        }
        for bad in [
            "",
            "dpv",
            "dpv:",
            ":X",
            "dpv:a b",
            "dpv:é",
            &format!("dpv:{}", "a".repeat(90)),
        ] {
            assert!(!is_justification(bad), "{bad}");
        }
    }
}
