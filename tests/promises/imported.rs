//! Signals from elsewhere: the stricter choice wins, one event a purpose, all of
//! them or none; what is no signal is refused by its field.

use crate::caller::{Answer, Caller, connect, customer, heard};
use crate::consent::{OFFERS, with_card, yes};
use crate::faulty::{Act, Director, Step, open};
use crate::log::{Fact, Log};
use crate::place::{Place, Server, until};
use crate::process::Process;
use crate::provable::says;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oubliette::client::request_id;
use oubliette::clock::Instant;
use oubliette::error::{Error, Unavailable};
use oubliette::pb;
use oubliette::pb::ImportOutcome::{self, *};
use oubliette::pb::import_signal_request::Signal;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;

const DAY: i64 = 86_400;

/// A consent string that was updated so many seconds ago and says yes to these
/// purposes of the framework, and lets these rest on a legitimate interest.
pub fn string(ago: i64, consents: &[u8], interests: &[u8]) -> String {
    let mut bits = String::new();
    let mut put = |value: u64, width: usize| bits += &format!("{value:0width$b}");
    let tenths = (Instant::now().micros() / 100_000 - ago * 10) as u64;
    let purposes = |of: &[u8]| of.iter().map(|purpose| 1 << (24 - purpose)).sum();
    put(2, 6);
    put(tenths, 36);
    put(tenths, 36);
    put(31, 12);
    put(1, 12);
    put(1, 6);
    // EN, vendor list 50, policy 4, service-specific, no special features.
    put(4 << 6 | 13, 12);
    put(50, 12);
    put(4, 6);
    put(2, 2);
    put(0, 12);
    put(purposes(consents), 24);
    put(purposes(interests), 24);
    // Purpose 1 disclosed, DE, no vendors, no restrictions.
    put(0, 1);
    put(3 << 6 | 4, 12);
    put(0, 17);
    put(0, 17);
    put(0, 12);
    let whole = bits.len().div_ceil(8) * 8;
    bits += &"0".repeat(whole - bits.len());
    let byte = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).expect("bits");
    let bytes: Vec<u8> = (0..whole).step_by(8).map(byte).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn gpc(id: &str) -> pb::ImportSignalRequest {
    pb::ImportSignalRequest {
        name: customer(id),
        signal: Some(Signal::Gpc("1".to_owned())),
        channel: "web".to_owned(),
        notices: Vec::new(),
        request_id: request_id(),
    }
}

/// A string, with the notice of offers shown.
fn tcf(id: &str, string: &str) -> pb::ImportSignalRequest {
    pb::ImportSignalRequest {
        signal: Some(Signal::Tcf(string.to_owned())),
        notices: vec![pb::ShownNotice {
            purpose: OFFERS.to_owned(),
            notice_version: 1,
            language: "en".to_owned(),
        }],
        ..gpc(id)
    }
}

type Became = BTreeMap<String, (ImportOutcome, i64)>;

fn became<const N: usize>(all: [(&str, ImportOutcome, i64); N]) -> Became {
    let all = all.into_iter();
    all.map(|(name, outcome, event)| (name.to_owned(), (outcome, event)))
        .collect()
}

impl Caller {
    async fn import(&self, request: pb::ImportSignalRequest) -> Answer<Became> {
        let reply = heard(self.consent.clone().import_signal(request).await)?;
        let purposes = reply.purposes.into_iter().map(|one| {
            let name = one.state.clone().unwrap_or_default().purpose;
            (name, (one.outcome(), one.event))
        });
        Ok(purposes.collect())
    }

    async fn said(&self, id: &str) -> Vec<pb::ConsentEvent> {
        let request = pb::ListConsentHistoryRequest {
            name: customer(id),
            page_size: 0,
            page_token: String::new(),
        };
        let page = self.consent.clone().list_consent_history(request).await;
        heard(page).expect("a history").events
    }
}

fn why<T>(answer: Answer<T>) -> String {
    answer.err().map_or_else(|| "OK".to_owned(), |f| f.reason)
}

fn stored(place: &Place) -> (i64, i64) {
    let count = |db: rusqlite::Connection, table: &str| -> i64 {
        let ask = format!("SELECT count(*) FROM {table}");
        db.query_row(&ask, [], |row| row.get(0)).expect("a count")
    };
    (
        count(place.vault(), "consent_events"),
        count(place.keys(), "ledger"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_global_privacy_control_is_a_no_to_all_that_hear_it_one_event_each() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    w.answer(yes("a")).await.expect("on record");
    let mut log = Log::of(&place);
    log.skip();
    let first = gpc("a");
    let both = became([("flyers", Recorded, 2), (OFFERS, Recorded, 3)]);
    assert_eq!(w.import(first.clone()).await.expect("heard"), both);
    // It is felt at once, and by no other purpose.
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(why(w.read_for("a", "flyers").await), "OBJECTED");
    assert_eq!(why(w.read_for("a", "brief").await), "OK");
    let leaf = &log.at_least(1).await[0];
    assert_eq!((leaf.method.as_str(), leaf.count), ("ImportSignal", 2));
    let Some(Fact::Imported {
        signal,
        first: from,
        last,
        yes: given,
        no,
    }) = &leaf.fact
    else {
        panic!("what was imported is told");
    };
    assert_eq!((signal.as_str(), *from, *last), ("gpc", 2, 3));
    assert_eq!((given.as_slice(), no.as_slice()), (&[][..], &[7, 2][..]));
    // The same request, and the same signal in another one.
    assert_eq!(w.import(first).await.expect("the same answer"), both);
    let stands = became([("flyers", Stands, 0), (OFFERS, Stands, 0)]);
    assert_eq!(w.import(gpc("a")).await.expect("heard"), stands);
    let events = w.said("a").await;
    assert_eq!(events.len(), 3, "one event a purpose");
    for event in &events[1..] {
        assert_eq!(event.signal, "Sec-GPC: 1");
        assert_eq!(event.method(), pb::ConsentMethod::Signal);
        assert_eq!((event.evidence.len(), &*event.channel), (64, "web"));
    }
    assert_eq!(events[1].status(), pb::ConsentStatus::Objected);
    assert_eq!(events[2].status(), pb::ConsentStatus::Withdrawn);
    // A review counts both, each for its purpose.
    let request = pb::GetReviewRequest { days: 1 };
    let seen = heard(w.review().get_review(request).await).expect("a review");
    let said = seen.consents.iter();
    let said: Vec<_> = said
        .map(|day| (&*day.purpose, day.given, day.ended))
        .collect();
    assert_eq!(said, [("flyers", 0, 1), (OFFERS, 1, 1)]);
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(w.said("a").await.len(), 3, "nothing is said again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_string_gives_only_what_it_says_yes_to_with_the_notice_that_was_shown() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let all = string(DAY, &[2, 4], &[7]);
    let silent = pb::ImportSignalRequest {
        notices: Vec::new(),
        ..tcf("a", &all)
    };
    let nothing = became([("brief", NotSaid, 0), (OFFERS, NoNotice, 0)]);
    assert_eq!(w.import(silent).await.expect("heard"), nothing);
    assert_eq!(stored(&place).0, 0, "nothing is put on record of it");
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_MISSING");

    let old = tcf("a", &string(391 * DAY, &[2, 4], &[7]));
    let too_old = became([("brief", NotSaid, 0), (OFFERS, TooOld, 0)]);
    assert_eq!(w.import(old).await.expect("heard"), too_old);

    let given = became([("brief", NotSaid, 0), (OFFERS, Recorded, 1)]);
    assert_eq!(w.import(tcf("a", &all)).await.expect("heard"), given);
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK");
    let event = &w.said("a").await[0];
    assert_eq!(event.status(), pb::ConsentStatus::Given);
    assert_eq!((event.notice_version, &*event.language), (1, "en"));
    assert_eq!((&event.signal, event.evidence.len()), (&all, 64));
    let said = event.event_time.expect("a time").seconds;
    assert!(
        (Instant::now().seconds() - DAY - said).abs() < 60,
        "LastUpdated"
    );
    let stands = became([("brief", NotSaid, 0), (OFFERS, Stands, 0)]);
    assert_eq!(w.import(tcf("a", &all)).await.expect("heard"), stands);

    // It is kept, and in no file in the clear.
    for file in fs::read_dir(place.data()).expect("files") {
        let bytes = fs::read(file.expect("a file").path()).expect("read");
        let mut windows = bytes.windows(all.len());
        assert!(!windows.any(|window| window == all.as_bytes()));
    }

    // A string that lacks one of what the purpose does is a no, also an older
    // one; an interest that it does not tell is an objection.
    let less = tcf("a", &string(2 * DAY, &[2], &[]));
    let both = became([("brief", Recorded, 2), (OFFERS, Recorded, 3)]);
    assert_eq!(w.import(less.clone()).await.expect("heard"), both);
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(why(w.read_for("a", "brief").await), "OBJECTED");
    // What it lets go on lifts no objection.
    let more = w.import(tcf("a", &all)).await.expect("heard");
    assert_eq!(more["brief"], (NotSaid, 0));
    assert_eq!(why(w.read_for("a", "brief").await), "OBJECTED");
    let request_again = pb::ImportSignalRequest {
        signal: Some(Signal::Tcf(all)),
        ..less
    };
    assert_eq!(why(w.import(request_again).await), "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_lifts_no_newer_no_and_never_a_global_privacy_control() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        with_card(&w, id).await;
        w.answer(yes(id)).await.expect("on record");
        w.withdraw(id, OFFERS).await.expect("taken back");
    }
    let offers = async |id: &str, string: String| {
        let became = w.import(tcf(id, &string)).await.expect("heard");
        became[OFFERS].0
    };
    // Said before the withdrawal, and after it.
    assert_eq!(
        offers("a", string(DAY, &[2, 4], &[7])).await,
        StricterStands
    );
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    until("a string is newer than the withdrawal", async || {
        offers("a", string(0, &[2, 4], &[7])).await == Recorded
    })
    .await;
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK");
    // A question that was asked since hides no no.
    let asked = pb::RecordConsentRequest {
        decision: pb::ConsentDecision::Requested.into(),
        ..yes("b")
    };
    w.answer(asked).await.expect("on record");
    assert_eq!(
        offers("b", string(DAY, &[2, 4], &[7])).await,
        StricterStands
    );

    w.import(gpc("b")).await.expect("heard");
    let recorded = w.said("b").await.len();
    let mark = Instant::now();
    until("time passes", async || {
        Instant::now().micros() - mark.micros() > 200_000
    })
    .await;
    assert_eq!(offers("b", string(0, &[2, 4], &[7])).await, StricterStands);
    assert_eq!(w.said("b").await.len(), recorded);
    // The customer's own answer ends it.
    w.answer(yes("b")).await.expect("on record");
    assert_eq!(why(w.read_for("b", OFFERS).await), "OK");
    assert_eq!(offers("b", string(0, &[2, 4], &[7])).await, Stands);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn double_opt_in_is_not_confirmed_by_a_string() {
    let place = Place::quick();
    let file = |name: &str| place.config_file(&format!("catalog/{name}/offers.toml"));
    for name in ["purposes", "notices"] {
        let text = fs::read_to_string(file(name)).expect("rules");
        let confirmed = text.replace(
            "mechanism = \"opt_in\"",
            "mechanism = \"opt_in\"\nconfirm = true",
        );
        fs::write(file(name), confirmed).expect("written");
    }
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let asked = pb::RecordConsentRequest {
        decision: pb::ConsentDecision::Requested.into(),
        ..yes("a")
    };
    w.answer(asked).await.expect("on record");
    let said = w.import(tcf("a", &string(0, &[2, 4], &[7]))).await;
    assert_eq!(said.expect("heard")[OFFERS], (NeedsConfirmation, 0));
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_MISSING");
    assert_eq!(why(w.answer(yes("a")).await), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_signal_is_refused_by_its_field_written_down_once_and_not_stored() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let good = string(DAY, &[2, 4], &[7]);
    let notice = |change: fn(&mut pb::ShownNotice)| {
        let mut request = tcf("a", &good);
        change(&mut request.notices[0]);
        request
    };
    let twice = {
        let mut request = tcf("a", &good);
        request.notices.push(request.notices[0].clone());
        request
    };
    let of_gpc = |value: &str| pb::ImportSignalRequest {
        signal: Some(Signal::Gpc(value.to_owned())),
        ..gpc("a")
    };
    let bad = [
        ("tcf", tcf("a", &good[..good.len() - 4])),
        ("tcf", tcf("a", &format!("B{}", &good[1..]))),
        ("tcf", tcf("a", &string(-3_600, &[2, 4], &[7]))),
        ("tcf", tcf("a", &format!("{good}{}", "A".repeat(4_096)))),
        ("tcf", tcf("a", &format!("{good}."))),
        ("tcf", tcf("a", "not a string")),
        ("tcf", tcf("a", "")),
        ("gpc", of_gpc("0")),
        ("gpc", of_gpc("")),
        (
            "signal",
            pb::ImportSignalRequest {
                signal: None,
                ..gpc("a")
            },
        ),
        (
            "notices",
            pb::ImportSignalRequest {
                notices: twice.notices.clone(),
                ..gpc("a")
            },
        ),
        ("notices", twice),
        ("notices", notice(|n| n.purpose = "care".to_owned())),
        ("notices", notice(|n| n.notice_version = 0)),
        ("notices", notice(|n| n.notice_version = -1)),
        ("notice_version", notice(|n| n.notice_version = 2)),
        ("language", notice(|n| n.language = "fr".to_owned())),
        (
            "channel",
            pb::ImportSignalRequest {
                channel: "x".repeat(64),
                ..gpc("a")
            },
        ),
        (
            "request_id",
            pb::ImportSignalRequest {
                request_id: "1".to_owned(),
                ..gpc("a")
            },
        ),
        (
            "name",
            pb::ImportSignalRequest {
                name: "a".to_owned(),
                ..gpc("a")
            },
        ),
    ];
    let (mut log, before) = (Log::of(&place), stored(&place));
    log.skip();
    let count = bad.len();
    for (field, request) in bad {
        let refused = w.import(request).await.expect_err(field);
        assert!(refused.is("INVALID_REQUEST"), "{field}: {refused}");
        assert_eq!(refused.violations[0].field, field, "{refused}");
        assert!(!refused.message.contains(&good[..20]), "{refused}");
    }
    let leaves = log.at_least(count).await;
    assert_eq!(leaves.len(), count, "one leaf each");
    assert!(leaves.iter().all(|leaf| leaf.reason == "INVALID_REQUEST"));
    assert_eq!(stored(&place), before, "nothing is stored");
    let idle = connect(&place, &server, "acme/idle").await;
    assert_eq!(why(idle.import(gpc("a")).await), "POLICY_DENIED");
    assert_eq!(why(w.import(gpc("nobody")).await), "CUSTOMER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_noes_of_a_signal_are_in_the_ledger_before_any_and_outlive_a_crash() {
    let place = Place::quick();
    let director = Director::new();
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        with_card(&w, id).await;
        w.answer(yes(id)).await.expect("on record");
    }
    let lost = || Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown));
    director.say(move |step| match step {
        Step::NoteNarrowing => lost(),
        _ => Act::Go,
    });
    assert_eq!(why(w.import(gpc("a")).await), "OUTCOME_UNKNOWN");
    director.say(move |step| match step {
        Step::ChangeConsent => lost(),
        _ => Act::Go,
    });
    assert_eq!(why(w.import(gpc("b")).await), "OUTCOME_UNKNOWN");
    director.well();
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK", "none of it");
    assert_eq!(why(w.read_for("a", "flyers").await), "OK", "none of it");
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.read_for("a", "flyers").await), "OK");
    assert_eq!(why(w.read_for("b", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(
        why(w.read_for("b", "flyers").await),
        "OBJECTED",
        "all of it"
    );
    assert_eq!(w.said("b").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_imports_both_signals() {
    let place = Place::quick();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let dir = place.path();
    let run = |code: i32, more: &[&str]| -> String {
        let dir = dir.to_str().expect("a path");
        let base = ["consent", "import", "a", "--dir", dir, "--as", "acme/w00"];
        says(code, &[&base[..], more].concat())
    };
    let text = string(DAY, &[2, 4], &[7]);
    let given = run(0, &["--tcf", &text, "--notice", "offers=1", "--json"]);
    let given: Json = serde_json::from_str(&given).expect("JSON");
    assert_eq!(given["purposes"][1]["outcome"], "recorded");
    assert_eq!(given["purposes"][1]["state"]["status"], "given");
    let no = run(0, &["--gpc"]);
    assert!(
        no.contains("withdrawn") && no.contains("on record as event 2"),
        "{no}"
    );
    assert!(run(1, &["--tcf", "nonsense"]).contains("tcf"));
    run(2, &["--tcf", &text, "--notice", "offers"]);
    run(2, &["--tcf", &text, "--gpc"]);
    run(2, &[]);
}
