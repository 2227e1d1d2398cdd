//! A request, event by event.

use super::*;

const DAY: i64 = 86_400_000_000;

fn doing(by: &str, day: i32) -> Doing<'_> {
    Doing {
        by,
        time: i64::from(day) * DAY,
        today: Day(day),
        four_eyes: true,
        grace_days: 0,
        told: None,
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

fn events() -> [Event; 9] {
    [
        Event::AskVerification,
        Event::Verify("passport seen".to_owned()),
        Event::Approve,
        denied(),
        Event::Extend("many requests".to_owned()),
        Event::Revoke,
        Event::Begin,
        Event::Queue,
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
fn what_is_restricted_is_lifted_once_the_person_was_told() {
    let mut request = Request {
        kind: Kind::Objection,
        state: State::InProgress,
        ..opened(&[Regime::Gdpr])
    };
    request.content.restraint = Some(3);
    let at = |day: i32, told: Option<i32>| Doing {
        told: told.map(|day| i64::from(day) * DAY),
        ..doing("a/two", day)
    };
    for untold in [None, Some(99), Some(104)] {
        for event in [Event::Approve, denied()] {
            let refused = request.after(event, &at(103, untold));
            assert!(matches!(refused, Err(Error::Invalid(_))), "{untold:?}");
        }
    }
    for event in [Event::Approve, denied()] {
        let lifted = request.after(event, &at(103, Some(102))).unwrap();
        assert_eq!(lifted.content.restraint, None);
    }
    let revoked = request.after(Event::Revoke, &at(103, None)).unwrap();
    assert_eq!(revoked.content.restraint, None, "they know of it");
    let erasure = Request {
        kind: Kind::Erasure,
        ..request
    };
    let approved = erasure.after(Event::Approve, &at(103, None)).unwrap();
    assert_eq!(approved.content.restraint, Some(3), "until they are erased");
}

#[test]
fn an_approved_erasure_can_be_taken_back_until_its_grace_is_over() {
    let request = Request {
        state: State::InProgress,
        ..opened(&[Regime::Gdpr])
    };
    let at = |day: i32| Doing {
        grace_days: 7,
        ..doing("a/two", day)
    };
    let approved = request.after(Event::Approve, &at(103)).unwrap();
    for day in [103, 109] {
        assert!(approved.is_in_grace(Day(day)));
        let early = approved.after(Event::Begin, &at(day)).err();
        assert_eq!(early, Some(Error::RequestState("approved", "begin")));
    }
    assert!(!approved.is_in_grace(Day(110)));
    assert!(approved.after(Event::Revoke, &at(109)).is_ok());
    let begun = approved.after(Event::Begin, &at(110)).unwrap();
    assert!(begun.after(Event::Revoke, &at(110)).is_err());
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
