//! What customers say of purposes: put on record, felt at once, chained,
//! refused where it is no word of theirs.

use crate::caller::{
    Answer, Caller, connect, customer, fields, get_request, heard, named, record, text,
};
use crate::faulty::{Act, Director, Step, open};
use crate::log::Log;
use crate::place::{Place, Server};
use oubliette::client::{Failure, request_id};
use oubliette::error::{Error, Unavailable};
use oubliette::keys::note;
use oubliette::keys::signing::PublicKey;
use oubliette::pb;
use std::collections::{BTreeMap, HashMap};

pub const OFFERS: &str = "offers";

/// Yes to offers, as the first notice asks.
pub fn yes(id: &str) -> pb::RecordConsentRequest {
    pb::RecordConsentRequest {
        name: customer(id),
        purpose: OFFERS.to_owned(),
        decision: pb::ConsentDecision::Given.into(),
        notice_version: 1,
        language: "en".to_owned(),
        method: pb::ConsentMethod::Form.into(),
        channel: "web".to_owned(),
        request_id: request_id(),
        ..Default::default()
    }
}

impl Caller {
    /// Puts an answer on record.
    pub async fn answer(&self, request: pb::RecordConsentRequest) -> Answer<pb::PurposeState> {
        let said = heard(self.consent.clone().record_consent(request).await)?;
        Ok(said.state.unwrap_or_default())
    }

    /// Takes consent back.
    pub async fn withdraw(&self, id: &str, purpose: &str) -> Answer<pb::PurposeState> {
        let request = pb::WithdrawConsentRequest {
            name: customer(id),
            purpose: purpose.to_owned(),
            request_id: request_id(),
        };
        let said = heard(self.consent.clone().withdraw_consent(request).await)?;
        Ok(said.state.unwrap_or_default())
    }

    async fn objects(&self, id: &str, purpose: &str) -> Answer<pb::PurposeState> {
        let request = pb::ObjectRequest {
            name: customer(id),
            purpose: purpose.to_owned(),
            request_id: request_id(),
        };
        let said = heard(self.consent.clone().object(request).await)?;
        Ok(said.state.unwrap_or_default())
    }

    async fn asserts(&self, id: &str, purpose: &str, in_force: bool) -> Answer<()> {
        let request = pb::AssertBasisRequest {
            name: customer(id),
            purpose: purpose.to_owned(),
            in_force,
            expire_date: None,
            request_id: request_id(),
        };
        heard(self.consent.clone().assert_basis(request).await).map(|_| ())
    }

    /// Reads a card for a purpose.
    pub async fn read_for(&self, id: &str, purpose: &str) -> Answer<()> {
        let mut request = get_request(&record(id, "r"));
        purpose.clone_into(&mut request.purpose);
        self.get_as(request).await.map(|_| ())
    }

    async fn history(&self, id: &str) -> Answer<Vec<pb::ConsentEvent>> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListConsentHistoryRequest {
                name: customer(id),
                page_size: 2,
                page_token,
            };
            let page = heard(self.consent.clone().list_consent_history(request).await)?;
            all.extend(page.events);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn receipt(&self, id: &str, event: i64) -> Answer<pb::GetReceiptResponse> {
        let name = customer(id);
        let request = pb::GetReceiptRequest { name, event };
        heard(self.consent.clone().get_receipt(request).await)
    }

    async fn standing(&self, id: &str) -> Answer<BTreeMap<String, pb::PurposeState>> {
        let name = customer(id);
        let request = pb::GetConsentStateRequest { name };
        let state = heard(self.consent.clone().get_consent_state(request).await)?;
        let by_name = state.purposes.into_iter();
        Ok(by_name.map(|s| (s.purpose.clone(), s)).collect())
    }
}

/// A customer with a card that has an e-mail address.
pub async fn with_card(w: &Caller, id: &str) {
    w.create(id).await.expect("created");
    let mut card = named("Ada");
    card.insert("email".to_owned(), text("ada@example.org"));
    w.put(&record(id, "r"), card).await.expect("written");
}

fn why<T>(answer: Answer<T>) -> String {
    answer.err().map_or_else(|| "OK".to_owned(), |f| f.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_opens_a_purpose_and_its_withdrawal_closes_it_at_once() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    with_card(&w, "b").await;
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_MISSING");
    let given = w.answer(yes("a")).await.expect("on record");
    assert_eq!(given.status(), pb::ConsentStatus::Given);
    assert_eq!(given.denied_by, "");
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK");
    assert_eq!(why(w.read_for("b", OFFERS).await), "CONSENT_MISSING");
    let again = w.answer(yes("a")).await.expect("on record");
    assert_eq!(again.status(), pb::ConsentStatus::Renewed);
    let gone = w.withdraw("a", OFFERS).await.expect("taken back");
    assert_eq!(gone.status(), pb::ConsentStatus::Withdrawn);
    assert_eq!(gone.denied_by, "CONSENT_WITHDRAWN");
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(why(w.read_for("a", "care").await), "OK", "another basis");
    server.stop();

    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(why(w.answer(yes("a")).await), "OK", "only the customer can");
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_objection_a_refusal_and_an_ended_contract_close_too() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    assert_eq!(why(w.read_for("a", "brief").await), "OK");
    w.objects("a", "brief").await.expect("on record");
    assert_eq!(why(w.read_for("a", "brief").await), "OBJECTED");
    // What others say or ask does not lift it.
    assert_eq!(why(w.asserts("a", "brief", true).await), "INVALID_REQUEST");
    assert_eq!(why(w.read_for("a", "brief").await), "OBJECTED");
    let lifted = pb::RecordConsentRequest {
        purpose: "brief".to_owned(),
        notice_version: 0,
        ..yes("a")
    };
    // `brief` has no notice to say yes to.
    assert_eq!(why(w.answer(lifted).await), "INVALID_REQUEST");
    let no = pb::RecordConsentRequest {
        decision: pb::ConsentDecision::Refused.into(),
        ..yes("a")
    };
    w.answer(no).await.expect("on record");
    assert_eq!(why(w.read_for("a", OFFERS).await), "CONSENT_REFUSED");

    // A purpose whose basis must be asserted, with a special category.
    let memo = record("a", "m");
    let put = |names: &[&str]| {
        let fields = names.iter().map(|n| ((*n).to_owned(), text("x")));
        pb::PutRecordRequest {
            name: memo.clone(),
            record_type: "memo".to_owned(),
            fields: fields.collect::<HashMap<_, _>>(),
            request_id: request_id(),
            expected_revision: None,
        }
    };
    let read = |mode: pb::ReadMode| pb::GetRecordRequest {
        name: memo.clone(),
        record_type: "memo".to_owned(),
        purpose: "help".to_owned(),
        mode: mode.into(),
        ..Default::default()
    };
    assert_eq!(why(w.put_as(put(&["health"])).await), "NO_LIVE_PURPOSE");
    w.asserts("a", "help", true).await.expect("on record");
    let refused = w
        .put_as(put(&["text", "health"]))
        .await
        .expect_err("refused");
    assert!(refused.is("SPECIAL_CATEGORY"), "{refused}");
    assert_eq!(
        refused.details.get("field").map(String::as_str),
        Some("health")
    );
    let explicit = pb::RecordConsentRequest {
        purpose: "help".to_owned(),
        explicit: true,
        ..yes("a")
    };
    w.answer(explicit).await.expect("on record");
    assert_eq!(why(w.put_as(put(&["text", "health"])).await), "OK");
    let whole = read(pb::ReadMode::AllOrNothing);
    assert_eq!(why(w.get_as(whole.clone()).await), "OK");
    w.withdraw("a", "help").await.expect("taken back");
    assert_eq!(why(w.get_as(whole.clone()).await), "SPECIAL_CATEGORY");
    let some = read(pb::ReadMode::WhatIMaySee);
    let seen = heard(w.records.clone().get_record(some).await).expect("read");
    let seen = seen.record.expect("a record");
    let withheld: Vec<_> = seen
        .withheld
        .iter()
        .map(|w| (&*w.field, &*w.reason))
        .collect();
    assert_eq!(withheld, [("health", "SPECIAL_CATEGORY")]);
    assert_eq!(fields(Some(seen)).len(), 1);
    w.asserts("a", "help", false).await.expect("on record");
    assert_eq!(why(w.get_as(whole).await), "BASIS_ENDED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_word_of_the_customers_is_refused_by_its_field_and_nothing_is_stored() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let mut log = Log::of(&place);
    let tomorrow = prost_types::Timestamp {
        seconds: oubliette::clock::Instant::now().seconds() + 86_400,
        nanos: 0,
    };
    type Change = Box<dyn Fn(&mut pb::RecordConsentRequest)>;
    let wrong: Vec<(&str, Change)> = vec![
        (
            "purpose",
            Box::new(|r| r.purpose = "offers,brief".to_owned()),
        ),
        ("purpose", Box::new(|r| r.purpose = "nonsense".to_owned())),
        ("purpose", Box::new(|r| r.purpose = "ended".to_owned())),
        ("purpose", Box::new(|r| r.purpose = "care".to_owned())),
        ("notice_version", Box::new(|r| r.notice_version = 2)),
        ("notice_version", Box::new(|r| r.notice_version = 9)),
        ("notice_version", Box::new(|r| r.notice_version = 0)),
        ("notice_version", Box::new(|r| r.notice_version = -1)),
        ("language", Box::new(|r| r.language = "fr".to_owned())),
        (
            "event_time",
            Box::new(move |r| r.event_time = Some(tomorrow)),
        ),
        (
            "method",
            Box::new(|r| r.method = pb::ConsentMethod::Dismiss.into()),
        ),
        (
            "method",
            Box::new(|r| r.method = pb::ConsentMethod::Silence.into()),
        ),
        (
            "method",
            Box::new(|r| r.method = pb::ConsentMethod::ContinuedUse.into()),
        ),
        ("method", Box::new(|r| r.method = 99)),
        ("decision", Box::new(|r| r.decision = 0)),
        ("explicit", Box::new(|r| r.explicit = true)),
        (
            "evidence",
            Box::new(|r| r.evidence = vec![0; (64 << 10) + 1]),
        ),
        ("channel", Box::new(|r| r.channel = "x".repeat(64))),
        ("request_id", Box::new(|r| r.request_id = "once".to_owned())),
        ("name", Box::new(|r| r.name = "a".to_owned())),
        (
            "expire_date",
            Box::new(|r| {
                r.expire_date = Some(pb::Date {
                    year: 2020,
                    month: 1,
                    day: 1,
                });
            }),
        ),
    ];
    log.skip();
    let count = wrong.len();
    for (field, change) in wrong {
        let mut request = yes("a");
        change(&mut request);
        let refused = w.answer(request).await.err().expect(field);
        assert!(refused.is("INVALID_REQUEST"), "{field}: {refused}");
        assert_eq!(refused.violations[0].field, field, "{refused}");
    }
    let leaves = log.at_least(count).await;
    assert_eq!(leaves.len(), count, "one leaf each");
    assert!(leaves.iter().all(|leaf| leaf.reason == "INVALID_REQUEST"));
    let events: i64 = place
        .vault()
        .query_row("SELECT count(*) FROM consent_events", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(events, 0, "nothing is stored");
    assert_eq!(why(w.withdraw("a", "care").await), "INVALID_REQUEST");
    assert_eq!(why(w.objects("a", OFFERS).await), "INVALID_REQUEST");
    assert_eq!(why(w.asserts("a", OFFERS, true).await), "INVALID_REQUEST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_a_chain_and_a_receipt_is_checked_offline() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let mut log = Log::of(&place);
    log.skip();
    let proven = pb::RecordConsentRequest {
        evidence: b"a recording of the call".to_vec(),
        ..yes("a")
    };
    w.answer(proven.clone()).await.expect("on record");
    w.answer(proven)
        .await
        .expect("the same request, the same answer");
    w.objects("a", "brief").await.expect("on record");
    w.withdraw("a", OFFERS).await.expect("taken back");
    let leaves = log.at_least(4).await;
    assert_eq!(leaves.len(), 4, "one leaf each");
    assert_eq!(leaves.iter().filter(|leaf| leaf.fact.is_some()).count(), 3);
    assert!(leaves.iter().all(|leaf| !leaf.purpose.is_empty()));
    let events = w.history("a").await.expect("a history");
    let told: Vec<_> = events
        .iter()
        .map(|e| (e.number, e.purpose.as_str(), e.status(), e.notice_version))
        .collect();
    assert_eq!(
        told,
        [
            (1, OFFERS, pb::ConsentStatus::Given, 1),
            (2, "brief", pb::ConsentStatus::Objected, 0),
            (3, OFFERS, pb::ConsentStatus::Withdrawn, 0),
        ]
    );
    assert_eq!(events[0].evidence.len(), 64, "a keyed hash");
    assert_eq!(events[0].principal, "acme/w00");
    let standing = w.standing("a").await.expect("a state");
    assert_eq!(standing["brief"].denied_by, "OBJECTED");
    assert_eq!(standing["care"].denied_by, "");

    let reply = w.receipt("a", 1).await.expect("a receipt");
    let key = PublicKey::parse(&reply.public_key).expect("a key");
    let text = note::open(&reply.receipt, &key).expect("signed");
    let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let record = &json["dpv:hasRecordOfActivity"];
    assert_eq!(json["@type"], "dpv:ConsentReceipt");
    assert_eq!(record["dpv:hasConsentStatus"]["@type"], "dpv:ConsentGiven");
    assert_eq!(record["dpv:hasDataSubject"]["@id"], "customers/a");
    assert_eq!(record["dpv:hasLegalBasis"], "eu-gdpr:A6-1-a");
    for at in (0..reply.receipt.len()).step_by(7) {
        let mut flipped = reply.receipt.clone().into_bytes();
        flipped[at] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap_or_default();
        assert!(note::open(&flipped, &key).is_none(), "byte {at}");
    }
    assert_eq!(why(w.receipt("a", 4).await), "INVALID_REQUEST");

    // An event that is taken out, and one put in another's place, are seen.
    for change in [
        "UPDATE consent_events SET sealed = (SELECT sealed FROM consent_events WHERE number = 1)
         WHERE number = 2",
        "DELETE FROM consent_events WHERE number = 3",
    ] {
        let db = place.vault();
        assert_eq!(db.execute(change, []).expect("changed"), 1);
        assert_eq!(why(w.history("a").await), "DATA_LOSS", "{change}");
    }
    w.erase("a").await.expect("forgotten");
    crate::place::until("the events are purged", async || {
        let left: i64 = place
            .vault()
            .query_row("SELECT count(*) FROM consent_events", [], |row| row.get(0))
            .expect("a count");
        left == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_in_the_ledger_before_it_is_anywhere_else_and_outlives_a_crash() {
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
    assert_eq!(why(w.withdraw("a", OFFERS).await), "OUTCOME_UNKNOWN");
    assert_eq!(
        why(w.read_for("a", OFFERS).await),
        "OK",
        "nothing was noted"
    );
    director.say(move |step| match step {
        Step::ChangeConsent => lost(),
        _ => Act::Go,
    });
    assert_eq!(why(w.withdraw("b", OFFERS).await), "OUTCOME_UNKNOWN");
    director.well();
    server.stop();
    // The start carries out what the ledger notes, and only that.
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.read_for("a", OFFERS).await), "OK");
    assert_eq!(why(w.read_for("b", OFFERS).await), "CONSENT_WITHDRAWN");
    assert_eq!(w.history("b").await.expect("a chain").len(), 2);
    w.answer(yes("b")).await.expect("on record");
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.read_for("b", OFFERS).await), "OK", "it came after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_batches_pass_over_who_said_no_and_say_how_many() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for number in 0..5 {
        let id = format!("c{number}");
        with_card(&w, &id).await;
        if number < 3 {
            w.answer(yes(&id)).await.expect("on record");
        }
    }
    w.withdraw("c0", OFFERS).await.expect("taken back");
    let request = pb::StreamRecordsRequest {
        record_type: "card".to_owned(),
        purpose: OFFERS.to_owned(),
        ..Default::default()
    };
    let mut stream = heard(w.records.clone().stream_records(request).await).expect("a stream");
    let (mut names, mut skipped) = (Vec::new(), BTreeMap::new());
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        let of = |r: pb::Record| r.metadata.unwrap_or_default().name;
        names.extend(chunk.records.into_iter().map(of));
        for skip in chunk.skipped {
            *skipped.entry(skip.reason).or_insert(0) += skip.count;
        }
    }
    assert_eq!(names, [record("c1", "r"), record("c2", "r")]);
    let counted = [("CONSENT_MISSING", 2), ("CONSENT_WITHDRAWN", 1)];
    assert_eq!(skipped, counted.map(|(r, n)| (r.to_owned(), n)).into());
    let request = pb::BatchGetRecordsRequest {
        names: (0..5).map(|n| record(&format!("c{n}"), "r")).collect(),
        record_type: "card".to_owned(),
        purpose: OFFERS.to_owned(),
        ..Default::default()
    };
    let batch = heard(w.records.clone().batch_get_records(request).await).expect("a batch");
    let skipped: BTreeMap<_, _> = batch
        .skipped
        .into_iter()
        .map(|s| (s.reason, s.count))
        .collect();
    assert_eq!(skipped, counted.map(|(r, n)| (r.to_owned(), n)).into());
}

/// The words of a denial say which rule denied and what would allow it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_says_what_would_allow_it() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    w.withdraw("a", OFFERS).await.expect("taken back");
    let denied: Failure = w.read_for("a", OFFERS).await.expect_err("denied");
    assert!(denied.message.contains("withdrew"), "{denied}");
    assert!(denied.message.contains("only the customer"), "{denied}");
}

/// The handle that a purpose has for a customer.
async fn handle(w: &Caller, id: &str, purpose: &str) -> String {
    let mut request = get_request(&record(id, "r"));
    purpose.clone_into(&mut request.purpose);
    let read = heard(w.records.clone().get_record(request).await).expect("read");
    read.record.expect("a record").handle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_stable_for_one_purpose_strange_to_another_and_dead_after_an_erasure() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        with_card(&w, id).await;
        w.asserts(id, "help", true).await.expect("on record");
    }
    let brief = handle(&w, "a", "brief").await;
    assert_eq!(brief.len(), 32);
    assert_eq!(handle(&w, "a", "brief").await, brief, "stable");
    assert_ne!(handle(&w, "a", "help").await, brief, "unlinkable");
    assert_ne!(handle(&w, "b", "brief").await, brief, "one's own");
    assert_eq!(handle(&w, "a", "care").await, "", "only where asked for");
    let request = pb::StreamRecordsRequest {
        record_type: "card".to_owned(),
        purpose: "brief".to_owned(),
        ..Default::default()
    };
    let mut stream = heard(w.records.clone().stream_records(request).await).expect("a stream");
    let mut seen = Vec::new();
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        for read in chunk.records {
            assert_eq!(
                read.metadata.unwrap_or_default().name,
                "",
                "nobody is named"
            );
            seen.push(read.handle);
        }
    }
    assert_eq!(seen, [brief.clone(), handle(&w, "b", "brief").await]);
    w.erase("a").await.expect("forgotten");
    crate::place::until("it is back", async || w.recreate("a").await.is_ok()).await;
    w.put(&record("a", "r"), named("Ada"))
        .await
        .expect("written");
    assert_ne!(
        handle(&w, "a", "brief").await,
        brief,
        "dead with the customer"
    );
}
