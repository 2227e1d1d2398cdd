//! Whoever read a customer's data hears what happens to that customer, and
//! nobody else does; until they acknowledge it.

use crate::caller::{Answer, Caller, connect, get_request, heard, record};
use crate::certificate::{held, settled};
use crate::consent::{OFFERS, with_card, yes};
use crate::faulty::{Act, Director, Step, open};
use crate::log::Log;
use crate::place::{LONG, Place, Server, until};
use oubliette::pb;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

impl Caller {
    /// The next events of the caller's own; none where there are none now.
    async fn hears(&self, after: i64, wanted: usize) -> Vec<pb::LifecycleEvent> {
        let request = pb::WatchEventsRequest { after };
        let mut stream = heard(self.events.clone().watch_events(request).await).expect("a watch");
        let mut events = Vec::new();
        while events.len() < wanted {
            let next = tokio::time::timeout(LONG, stream.message()).await;
            let message = next.expect("in time").expect("a message");
            events.extend(message.expect("no end").events);
        }
        events
    }

    async fn acknowledges(&self, numbers: &[i64]) -> i64 {
        let numbers = numbers.to_vec();
        let request = pb::AcknowledgeEventsRequest { numbers };
        let done = heard(self.events.clone().acknowledge_events(request).await);
        done.expect("acknowledged").acknowledged
    }

    /// Number, recipient, kind of every event that is not acknowledged.
    async fn unheard(&self, recipient: &str) -> Vec<(i64, String, pb::EventKind)> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListUnacknowledgedEventsRequest {
                recipient: recipient.to_owned(),
                page_size: 1,
                page_token,
            };
            let mut events = self.events.clone();
            let page = heard(events.list_unacknowledged_events(request).await).expect("a page");
            let rows = page.events.into_iter();
            all.extend(rows.map(|e| (e.number, e.recipient.clone(), e.kind())));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// Reads a card; answers what the purpose calls the customer.
    async fn handle(&self, id: &str, purpose: &str) -> Answer<String> {
        let mut request = get_request(&record(id, "r"));
        purpose.clone_into(&mut request.purpose);
        request.with_handle = true;
        let read = heard(self.records.clone().get_record(request).await)?;
        Ok(read.record.unwrap_or_default().handle)
    }
}

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).expect("a count")
}

const READERS: &str = "SELECT count(*) FROM readers";
const EVENTS: &str = "SELECT count(*) FROM events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_told_to_whoever_read_for_that_purpose_and_to_nobody_else() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let mailer = connect(&place, &server, "acme/w01").await;
    let carer = connect(&place, &server, "acme/w02").await;
    let denied = connect(&place, &server, "acme/w03").await;
    for id in ["a", "b"] {
        with_card(&w, id).await;
    }
    assert!(denied.read_for("a", OFFERS).await.is_err(), "nobody agreed");
    w.answer(yes("a")).await.expect("on record");
    w.answer(yes("b")).await.expect("on record");
    let handle = mailer.handle("a", OFFERS).await.expect("read");
    assert_eq!(handle.len(), 32);
    mailer.read_for("a", "care").await.expect("read");
    carer.read_for("a", "care").await.expect("read");
    carer.read_for("b", OFFERS).await.expect("read");
    let db = place.vault();
    assert_eq!(count(&db, READERS), 4, "one for each purpose and service");

    w.withdraw("a", OFFERS).await.expect("taken back");
    assert_eq!(count(&db, EVENTS), 1);
    let events = mailer.hears(0, 1).await;
    assert_eq!(events[0].kind(), pb::EventKind::ConsentWithdrawn);
    assert_eq!(
        (events[0].purpose.as_str(), &events[0].handle),
        (OFFERS, &handle)
    );
    let waiting = w.unheard("").await;
    assert_eq!(
        waiting,
        [(
            events[0].number,
            "acme/w01".to_owned(),
            pb::EventKind::ConsentWithdrawn
        )]
    );
    assert!(w.unheard("acme/w02").await.is_empty());

    let number = events[0].number;
    assert_eq!(carer.acknowledges(&[number]).await, 0, "not its own");
    assert_eq!(mailer.acknowledges(&[number, 999]).await, 1);
    assert_eq!(mailer.acknowledges(&[number]).await, 0, "once");
    assert!(w.unheard("").await.is_empty());
    let gone = "SELECT count(*) FROM events WHERE length(sealed) = 0";
    assert_eq!(count(&db, gone), 1, "what it said is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_writes_one_row_once_and_nothing_afterwards() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    let db = place.vault();
    let row = || -> (Vec<u8>, Vec<u8>) {
        db.query_row("SELECT reader, sealed FROM readers", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("one row")
    };
    w.read_for("a", "care").await.expect("read");
    let first = row();
    for _ in 0..5 {
        w.read_for("a", "care").await.expect("read");
    }
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.read_for("a", "care").await.expect("read");
    assert_eq!(count(&db, READERS), 1);
    assert!(row() == first, "also after a restart it is the first");
    let mut log = Log::of(&place);
    log.skip();
    w.read_for("a", "brief").await.expect("read");
    assert_eq!(log.new_leaves().len(), 1, "no entry of its own");
    assert_eq!(count(&db, READERS), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_told_and_its_certificate_names_who_has_not_answered() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let (one, two) = (
        connect(&place, &server, "acme/w01").await,
        connect(&place, &server, "acme/w02").await,
    );
    with_card(&w, "somebody").await;
    let care = one.handle("somebody", "care").await.expect("read");
    let brief = one.handle("somebody", "brief").await.expect("read");
    assert_ne!(care, brief, "unlike any other purpose's");
    two.read_for("somebody", "care").await.expect("read");
    let certificate = settled(&place, &w, "somebody").await;
    let recipients = |certificate: &pb::Certificate| -> Vec<(String, bool)> {
        let told = held(&place, certificate).certificate.recipients;
        told.into_iter()
            .map(|one| (one.service, one.acknowledged))
            .collect()
    };
    let named = |one: bool, two: bool| [("acme/w01".to_owned(), one), ("acme/w02".to_owned(), two)];
    assert_eq!(recipients(&certificate), named(false, false));
    let db = place.vault();
    assert_eq!(count(&db, READERS), 0, "forgotten with the customer");

    let mut events = one.hears(0, 2).await;
    events.sort_by(|a, b| a.purpose.cmp(&b.purpose));
    let told: Vec<_> = events
        .iter()
        .map(|e| (e.kind(), e.purpose.as_str(), e.handle.as_str()))
        .collect();
    let erased = pb::EventKind::Erased;
    assert_eq!(told, [(erased, "brief", &*brief), (erased, "care", &*care)]);
    assert_eq!(one.acknowledges(&[events[0].number]).await, 1);
    let again = w.certificate(&certificate.name, "").await.expect("found");
    assert_eq!(recipients(&again), named(false, false), "one is left");
    assert_eq!(one.acknowledges(&[events[1].number]).await, 1);
    let again = w.certificate(&certificate.name, "").await.expect("found");
    assert_eq!(recipients(&again), named(true, false));
    let left = w.unheard("").await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1, "acme/w02");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_where_it_was_also_after_a_restart_and_a_closed_epoch() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b", "c"] {
        with_card(&w, id).await;
        w.answer(yes(id)).await.expect("on record");
        w.read_for(id, OFFERS).await.expect("read");
        w.withdraw(id, OFFERS).await.expect("taken back");
    }
    let events = w.hears(0, 3).await;
    let numbers: Vec<i64> = events.iter().map(|event| event.number).collect();
    assert_eq!(w.acknowledges(&[numbers[1]]).await, 1);
    let request = pb::CloseEpochRequest::default();
    heard(w.keys.clone().close_epoch(request).await).expect("begun");
    until("the epoch is closed", async || {
        count(&place.vault(), "SELECT count(*) FROM closed_epochs") == 1
    })
    .await;
    let old = "SELECT count(*) FROM events WHERE epoch < 2 AND length(sealed) > 0";
    assert_eq!(count(&place.vault(), old), 0, "sealed under the new epoch");
    server.stop();

    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let again = w.hears(0, 2).await;
    let left: Vec<i64> = again.iter().map(|event| event.number).collect();
    assert_eq!(left, [numbers[0], numbers[2]]);
    assert!(again[0] == events[0], "the same words");
    assert_eq!(w.hears(numbers[0], 1).await[0].number, numbers[2]);
    let beyond = w.hears(i64::MAX, 2).await;
    assert_eq!(
        beyond.len(),
        2,
        "a number from before a restore begins anew"
    );
}

/// A first read is on its way to the log when consent is taken back. It must
/// not leave unknown to whoever tells of the withdrawal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_read_that_a_change_overtakes_is_decided_anew() {
    let place = Place::quick();
    let director = Director::new();
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    for (id, erases) in [("a", false), ("b", true)] {
        let late = connect(&place, &server, "acme/w01").await;
        with_card(&w, id).await;
        w.answer(yes(id)).await.expect("on record");
        let (gate, waits) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held_back, seen) = (Arc::clone(&gate), Arc::clone(&waits));
        director.say(move |step| match step {
            Step::Append if seen.fetch_add(1, Ordering::SeqCst) == 0 => {
                Act::Wait(Arc::clone(&held_back))
            }
            _ => Act::Go,
        });
        let reading = tokio::spawn(async move { late.read_for(id, OFFERS).await });
        until("the read waits for its entry", async || {
            waits.load(Ordering::SeqCst) > 0
        })
        .await;
        if erases {
            w.erase(id).await.expect("erased");
        } else {
            w.withdraw(id, OFFERS).await.expect("taken back");
        }
        gate.add_permits(1);
        let read = reading.await.expect("no panic").expect_err("refused");
        let wanted = if erases {
            "CUSTOMER_ERASED"
        } else {
            "CONSENT_WITHDRAWN"
        };
        assert_eq!(read.reason, wanted);
        director.well();
    }
    assert_eq!(count(&place.vault(), EVENTS), 0, "nobody had read anything");
    assert_eq!(count(&place.vault(), READERS), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_acknowledged_is_gone_after_its_time_and_wrong_calls_are_refused() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    w.answer(yes("a")).await.expect("on record");
    w.read_for("a", OFFERS).await.expect("read");
    w.withdraw("a", OFFERS).await.expect("taken back");
    w.erase("a").await.expect("erased");
    let db = place.vault();
    assert_eq!(count(&db, EVENTS), 2);
    db.execute("UPDATE events SET raised_day = raised_day - 31", [])
        .expect("older");
    until("the old events are gone", async || {
        count(&db, "SELECT count(*) FROM events WHERE length(sealed) > 0") == 0
    })
    .await;
    let left = w.unheard("").await;
    assert_eq!(left.len(), 1, "that an erasure was not heard stays known");
    assert_eq!(left[0].2, pb::EventKind::Unspecified);

    let mut log = Log::of(&place);
    log.skip();
    let reader = connect(&place, &server, "acme/reader").await;
    let mut events = reader.events.clone();
    let watch = pb::WatchEventsRequest { after: 0 };
    let refused = heard(events.watch_events(watch).await).expect_err("no");
    assert_eq!(refused.reason, "POLICY_DENIED", "{refused}");
    let mut events = w.events.clone();
    let none = pb::AcknowledgeEventsRequest::default();
    let refused = heard(events.acknowledge_events(none).await).expect_err("no");
    assert_eq!(refused.violations[0].field, "numbers", "{refused}");
    let watch = pb::WatchEventsRequest { after: -1 };
    let refused = heard(events.watch_events(watch).await).expect_err("no");
    assert_eq!(refused.violations[0].field, "after", "{refused}");
    let methods: Vec<_> = log.new_leaves().into_iter().map(|l| l.method).collect();
    assert_eq!(methods, ["WatchEvents", "AcknowledgeEvents", "WatchEvents"]);
}
