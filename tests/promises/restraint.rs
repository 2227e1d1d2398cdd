//! Restricted and held: what is kept and not used, what waits for that, and that
//! neither a crash nor a restore loses it.

use crate::caller::{
    Answer, Caller, connect, customer, delete_request, get_request, heard, named, put_request,
    record, text, update_request,
};
use crate::deciding::asking;
use crate::log::{Fact, Log};
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use crate::process::Process;
use crate::restore::House;
use oubliette::client::request_id;
use oubliette::pb;
use std::collections::HashMap;

/// Seconds since 1970, as they are on the wire.
pub fn at(ahead: i64) -> Option<prost_types::Timestamp> {
    let now = jiff::Timestamp::now();
    Some(prost_types::Timestamp {
        seconds: now.as_second() + ahead,
        nanos: now.subsec_nanosecond(),
    })
}

/// What a call was refused with.
pub fn why<T>(answer: Answer<T>) -> String {
    answer.map_or_else(|failure| failure.reason, |_| "OK".to_owned())
}

fn hold_request(id: &str, record_type: &str, field: &str) -> pb::PlaceHoldRequest {
    pb::PlaceHoldRequest {
        customer: customer(id),
        record_type: record_type.to_owned(),
        field: field.to_owned(),
        authority: "the court of Bonn".to_owned(),
        reason: "a claim about an order".to_owned(),
        reviewers: vec!["legal".to_owned()],
        review_date: Some(pb::Date {
            year: 2090,
            month: 1,
            day: 1,
        }),
        request_id: request_id(),
        code: String::new(),
    }
}

impl Caller {
    async fn restrict(&self, id: &str) -> Answer<pb::Customer> {
        let request = pb::RestrictCustomerRequest {
            name: customer(id),
            reason: "they asked".to_owned(),
        };
        let restricted = heard(self.customers.clone().restrict_customer(request).await)?;
        Ok(restricted.customer.unwrap_or_default())
    }

    pub async fn lift(
        &self,
        id: &str,
        person_told_time: Option<prost_types::Timestamp>,
    ) -> Answer<pb::Customer> {
        let request = pb::LiftRestrictionRequest {
            name: customer(id),
            person_told_time,
        };
        let lifted = heard(self.customers.clone().lift_restriction(request).await)?;
        Ok(lifted.customer.unwrap_or_default())
    }

    pub async fn hold(&self, id: &str, record_type: &str, field: &str) -> Answer<pb::Hold> {
        self.hold_as(hold_request(id, record_type, field)).await
    }

    async fn hold_as(&self, request: pb::PlaceHoldRequest) -> Answer<pb::Hold> {
        let placed = heard(self.holds.clone().place_hold(request).await)?;
        Ok(placed.hold.unwrap_or_default())
    }

    pub async fn release(&self, hold: &pb::Hold) -> Answer<bool> {
        let name = hold.name.clone();
        let request = pb::ReleaseHoldRequest { name };
        Ok(heard(self.holds.clone().release_hold(request).await)?.erased)
    }

    pub async fn held(&self, id: &str) -> Vec<pb::Hold> {
        let request = pb::ListHoldsRequest {
            customer: match id {
                "" => String::new(),
                id => customer(id),
            },
            ..Default::default()
        };
        let listed = heard(self.holds.clone().list_holds(request).await);
        listed.expect("listed").holds
    }
}

pub async fn filled(place: &Place, server: &impl crate::caller::Listens, ids: &[&str]) -> Caller {
    let w = connect(place, server, "acme/w00").await;
    for id in ids {
        w.create(id).await.expect("created");
        let mut fields = named("N");
        fields.insert("email".to_owned(), text("n@example.org"));
        w.put(&record(id, "a"), fields).await.expect("written");
    }
    w
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restricted_data_is_kept_and_not_used_and_every_reply_says_so() {
    let place = Place::crm();
    let server = Server::start(&place);
    let checkout = connect(&place, &server, "acme/checkout").await;
    let privacy = connect(&place, &server, "acme/privacy-office").await;
    checkout.create("erika").await.expect("created");
    let name = record("erika", "main");
    let contact = |request: pb::PutRecordRequest| pb::PutRecordRequest {
        record_type: "contact".to_owned(),
        ..request
    };
    let fields = HashMap::from([("city".to_owned(), text("Bonn"))]);
    let put = || contact(put_request(&name, fields.clone()));
    checkout.put_as(put()).await.expect("written");
    let read = |purpose: &str| pb::GetRecordRequest {
        record_type: "contact".to_owned(),
        purpose: purpose.to_owned(),
        ..get_request(&name)
    };
    let shown = async |caller: &Caller, purpose: &str| {
        let reply = heard(caller.records.clone().get_record(read(purpose)).await)?;
        let metadata = reply.record.unwrap_or_default().metadata;
        Ok::<_, oubliette::client::Failure>(metadata.unwrap_or_default().restricted)
    };
    assert!(matches!(
        shown(&checkout, "service_delivery").await,
        Ok(false)
    ));
    assert_eq!(why(checkout.restrict("erika").await), "POLICY_DENIED");
    let mut log = Log::of(&place);
    log.skip();
    let before = at(0);
    let restricted = privacy.restrict("erika").await.expect("restricted");
    assert!(restricted.restricted && !restricted.held);
    privacy.restrict("erika").await.expect("twice is once");
    assert_eq!(
        why(shown(&checkout, "service_delivery").await),
        "RESTRICTED"
    );
    assert_eq!(why(checkout.put_as(put()).await), "RESTRICTED");
    let update = pb::UpdateRecordRequest {
        record_type: "contact".to_owned(),
        fields: fields.clone(),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["city".to_owned()],
        }),
        ..update_request(&name, "")
    };
    assert_eq!(why(checkout.update_as(update).await), "RESTRICTED");
    // Whoever asks for their own data gets it, and it says what it is.
    assert!(matches!(
        shown(&privacy, "privacy_requests").await,
        Ok(true)
    ));
    let told: Vec<(String, String)> = log
        .new_leaves()
        .iter()
        .map(|leaf| (leaf.method.clone(), leaf.reason.clone()))
        .collect();
    let expected = [
        ("RestrictCustomer", ""),
        ("RestrictCustomer", ""),
        ("GetRecord", "RESTRICTED"),
        ("PutRecord", "RESTRICTED"),
        ("UpdateRecord", "RESTRICTED"),
        ("GetRecord", ""),
    ];
    assert_eq!(
        told,
        expected.map(|(method, reason)| (method.to_owned(), reason.to_owned()))
    );

    // The person is told before it is lifted, and after it began.
    for untold in [
        None,
        before.map(|t| prost_types::Timestamp {
            seconds: t.seconds - 60,
            ..t
        }),
        at(600),
    ] {
        let refused = privacy.lift("erika", untold).await;
        assert_eq!(why(refused), "INVALID_REQUEST", "{untold:?}");
    }
    let lifted = privacy.lift("erika", at(0)).await.expect("lifted");
    assert!(!lifted.restricted);
    privacy.lift("erika", at(0)).await.expect("twice is once");
    assert!(matches!(
        shown(&checkout, "service_delivery").await,
        Ok(false)
    ));
    assert_eq!(why(checkout.put_as(put()).await), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_neither_changed_nor_read_as_usual() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server, &["a", "b"]).await;
    let (one, other) = (record("a", "a"), record("b", "a"));
    let request = hold_request("a", "card", "name");
    let hold = w.hold_as(request.clone()).await.expect("held");
    assert_eq!(
        w.hold_as(request.clone()).await.expect("the same").name,
        hold.name
    );
    let another = pb::PlaceHoldRequest {
        reason: "something else".to_owned(),
        ..request
    };
    assert_eq!(why(w.hold_as(another).await), "REQUEST_ID_REUSED");
    for wrong in [
        pb::PlaceHoldRequest {
            review_date: None,
            ..hold_request("a", "card", "")
        },
        pb::PlaceHoldRequest {
            reviewers: vec![],
            ..hold_request("a", "card", "")
        },
        pb::PlaceHoldRequest {
            authority: String::new(),
            ..hold_request("a", "card", "")
        },
        hold_request("a", "", "name"),
        hold_request("a", "card", "nothing"),
        hold_request("a", "nothing", ""),
    ] {
        assert_eq!(why(w.hold_as(wrong).await), "INVALID_REQUEST");
    }
    // The field, and what would take it along; the rest goes on.
    assert_eq!(why(w.get(&one).await), "HELD");
    let some = pb::GetRecordRequest {
        mode: pb::ReadMode::WhatIMaySee.into(),
        ..get_request(&one)
    };
    let read = heard(w.records.clone().get_record(some).await).expect("read");
    let read = read.record.unwrap_or_default();
    assert!(read.fields.contains_key("email") && !read.fields.contains_key("name"));
    assert_eq!(
        (
            read.withheld[0].field.as_str(),
            read.withheld[0].reason.as_str()
        ),
        ("name", "HELD")
    );
    let email = pb::GetRecordRequest {
        fields: vec!["email".to_owned()],
        ..get_request(&one)
    };
    assert_eq!(why(w.get_as(email).await), "OK");
    assert_eq!(why(w.update_as(update_request(&one, "M")).await), "HELD");
    assert_eq!(why(w.put(&one, named("M")).await), "HELD");
    assert_eq!(why(w.delete_as(delete_request(&one)).await), "HELD");
    let email = pb::UpdateRecordRequest {
        fields: HashMap::from([("email".to_owned(), text("m@example.org"))]),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["email".to_owned()],
        }),
        ..update_request(&one, "")
    };
    assert_eq!(why(w.update_as(email).await), "OK");
    let shown = w.show("a").await.expect("shown");
    assert!(shown.held && !shown.restricted);

    // A whole type, a whole customer.
    let memos = w.hold("b", "memo", "").await.expect("held");
    assert_eq!(why(w.get(&other).await), "OK");
    let all = w.hold("b", "", "").await.expect("held");
    assert_eq!(why(w.get(&other).await), "HELD");
    assert_eq!(why(w.list("b").await), "HELD");
    assert_eq!(w.held("").await.len(), 3);
    let of_b: Vec<String> = w
        .held("b")
        .await
        .into_iter()
        .map(|hold| hold.name)
        .collect();
    assert_eq!(of_b, [memos.name.clone(), all.name.clone()]);
    let foreign = connect(&place, &server, "globex/w00").await;
    assert_eq!(why(foreign.release(&all).await), "HOLD_NOT_FOUND");
    assert!(foreign.held("").await.is_empty());
    for hold in [&hold, &memos, &all] {
        assert!(!w.release(hold).await.expect("released"), "nothing waited");
        assert_eq!(why(w.release(hold).await), "HOLD_NOT_FOUND");
    }
    assert_eq!(why(w.get(&one).await), "OK");
    assert_eq!(why(w.get(&other).await), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_under_hold_waits_says_so_and_is_carried_out_when_it_is_released() {
    let place = Place::quick();
    place.configure("four_eyes = false", "four_eyes = true");
    let mut server = Process::start(&place);
    let w = filled(&place, &server, &["a", "b"]).await;
    let hold = w.hold("a", "", "").await.expect("held");
    for turn in ["first", "again"] {
        assert_eq!(why(w.erase("a").await), "ERASURE_QUEUED", "{turn}");
    }
    let shown = w.show("a").await.expect("shown");
    assert_eq!(shown.state(), pb::CustomerState::Active);
    assert!(shown.restricted && shown.held);
    assert_eq!(shown.erasure_level(), pb::ErasureLevel::Restricted);
    // Lifting restrictions takes no erasure back.
    let lifted = w.lift("a", at(0)).await.expect("looked at");
    assert!(lifted.restricted);
    server.kill();
    server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(why(w.get(&record("a", "a")).await), "RESTRICTED");

    // The other by a request, which waits as it was approved.
    let second = connect(&place, &server, "acme/w01").await;
    let other = w.hold("b", "card", "name").await.expect("held");
    let asked = w
        .asks(asking("b", pb::RequestKind::Erasure))
        .await
        .expect("opened");
    assert!(asked.restricts);
    let approved = second.approves(&asked.name, None).await.expect("approved");
    let approved = approved.request.unwrap_or_default();
    assert_eq!(
        (approved.state(), approved.queued, approved.erased_in_part),
        (pb::RequestState::Executing, true, true)
    );

    assert_eq!(why(w.release(&hold).await), "SECOND_PERSON_NEEDED");
    assert!(second.release(&hold).await.expect("released"), "and erased");
    assert!(
        second.release(&other).await.expect("released"),
        "and erased"
    );
    for id in ["a", "b"] {
        assert_eq!(why(w.get(&record(id, "a")).await), "CUSTOMER_ERASED");
        until("it is purged", async || {
            let shown = w.show(id).await.expect("shown");
            shown.erasure_level() == pb::ErasureLevel::Purged
        })
        .await;
        let again = w.erase(id).await.expect("known");
        crate::certificate::held(&place, &again.certificate.expect("a certificate"));
    }
    let name = asked.name.clone();
    let request = pb::GetRequestRequest { name };
    let left = heard(w.rights.clone().get_request(request).await).expect("shown");
    assert_eq!(
        left.request.unwrap_or_default().state(),
        pb::RequestState::Fulfilled
    );
    server.stop();
    let rows: i64 = place
        .vault()
        .query_row("SELECT count(*) FROM restraints", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(rows, 0);
    let mut needles = Needles::default();
    needles.add_text("a claim about an order");
    needles.add_text("the court of Bonn");
    let (found, _) = needles.in_dir(&place.data());
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_kill_nor_a_restore_of_older_data_loses_a_hold_or_a_restriction() {
    let house = House::new(false);
    let place = &house.place;
    let mut server = Process::start(place);
    let w = filled(
        place,
        &server,
        &["held", "field", "restricted", "free", "asked"],
    )
    .await;
    let file = house.at("before.db");
    let file = file.to_str().expect("UTF-8");
    house.done(&["backup", "data", file]);
    w.hold("held", "", "").await.expect("held");
    w.hold("field", "card", "name").await.expect("held");
    w.restrict("restricted").await.expect("restricted");
    w.asks(asking("asked", pb::RequestKind::Erasure))
        .await
        .expect("opened");
    let hold = w.hold("free", "", "").await.expect("held");
    w.release(&hold).await.expect("released");
    server.kill();
    let stand = async |w: &Caller, when: &str| {
        for (id, expected) in [
            ("held", "HELD"),
            ("field", "HELD"),
            ("restricted", "RESTRICTED"),
            ("asked", "RESTRICTED"),
            ("free", "OK"),
        ] {
            assert_eq!(why(w.get(&record(id, "a")).await), expected, "{id} {when}");
        }
    };
    server = Process::start(place);
    stand(&connect(place, &server, "acme/w00").await, "after a kill").await;
    server.kill();
    for log in ["vault.db", "vault.db-wal", "vault.db-shm"] {
        let _ = std::fs::remove_file(place.data().join(log));
    }
    house.done(&["restore", "data", file]);
    server = Process::start(place);
    let w = connect(place, &server, "acme/w00").await;
    stand(&w, "after a restore").await;
    // What was asked for is gone with the data; the restriction says so.
    w.lift("asked", at(0)).await.expect("lifted");
    assert_eq!(why(w.get(&record("asked", "a")).await), "OK");
    let again = w.held("field").await;
    assert_eq!(
        (again[0].record_type.as_str(), again[0].placed_by.as_str()),
        ("1", "")
    );
    w.release(&again[0]).await.expect("released");
    assert_eq!(why(w.get(&record("field", "a")).await), "OK");
    // And once more, over the very ledger that now has all of it.
    server.kill();
    server = Process::start(place);
    let w = connect(place, &server, "acme/w00").await;
    assert_eq!(why(w.get(&record("field", "a")).await), "OK");
    assert_eq!(why(w.get(&record("held", "a")).await), "HELD");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restricted_and_held_by_whom_is_written_down_call_by_call() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server, &["a"]).await;
    let idle = connect(&place, &server, "acme/idle").await;
    let mut log = Log::of(&place);
    log.skip();
    let hold = w.hold("a", "card", "name").await.expect("held");
    assert_eq!(w.held("").await.len(), 1);
    assert_eq!(why(idle.hold("a", "", "").await), "POLICY_DENIED");
    assert_eq!(why(idle.release(&hold).await), "POLICY_DENIED");
    w.release(&hold).await.expect("released");
    w.restrict("a").await.expect("restricted");
    assert_eq!(why(idle.restrict("a").await), "POLICY_DENIED");
    assert_eq!(why(idle.lift("a", at(0)).await), "POLICY_DENIED");
    w.lift("a", at(0)).await.expect("lifted");
    assert_eq!(why(w.restrict("nobody").await), "CUSTOMER_NOT_FOUND");
    assert_eq!(why(w.hold("nobody", "", "").await), "CUSTOMER_NOT_FOUND");
    let leaves = log.new_leaves();
    let told: Vec<String> = leaves
        .iter()
        .map(|leaf| format!("{} {}", leaf.method, leaf.reason))
        .collect();
    let expected = [
        "PlaceHold ",
        // The call, and the customer whose hold was named in it.
        "ListHolds ",
        "ListHolds ",
        "PlaceHold POLICY_DENIED",
        "ReleaseHold POLICY_DENIED",
        "ReleaseHold ",
        "RestrictCustomer ",
        "RestrictCustomer POLICY_DENIED",
        "LiftRestriction POLICY_DENIED",
        "LiftRestriction ",
        "RestrictCustomer CUSTOMER_NOT_FOUND",
        "PlaceHold CUSTOMER_NOT_FOUND",
    ];
    assert_eq!(told, expected);
    let facts = [
        (0, "hold", "placed", "", 1, 1),
        (5, "hold", "released", "", 1, 1),
        (6, "restriction", "placed", "asked", 0, 0),
        (9, "restriction", "lifted", "asked", 0, 0),
    ];
    for (at, what, happened, why, of, number) in facts {
        match &leaves[at].fact {
            Some(Fact::Restraint {
                kind,
                event,
                cause,
                record_type,
                field,
                ..
            }) => assert_eq!(
                (
                    kind.as_str(),
                    event.as_str(),
                    cause.as_str(),
                    *record_type,
                    *field
                ),
                (what, happened, why, of, number)
            ),
            other => panic!("leaf {at}: {other:?}"),
        }
        assert!(!leaves[at].subject.is_empty());
    }
}
