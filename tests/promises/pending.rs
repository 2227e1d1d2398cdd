//! Erasures that something comes between: a reader that holds the file, a
//! caller that goes away, a crash, somebody who comes back at once.

use crate::caller::{Caller, connect, customer, named, record};
use crate::faulty::{Act, Director, Step, open};
use crate::log::Log;
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use oubliette::client::request_id;
use oubliette::pb;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

async fn somebody(caller: &Caller, id: &str) -> String {
    caller.create(id).await.expect("created");
    let name = record(id, "r");
    let card = named(format!("canary of {id}"));
    caller.put(&name, card).await.expect("written");
    name
}

fn wrapped_keys(place: &Place) -> Needles {
    let (db, mut needles) = (place.keys(), Needles::default());
    let mut statement = db
        .prepare("SELECT wrapped FROM customer_keys")
        .expect("a statement");
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let bytes: Vec<u8> = row.get(0).expect("bytes");
        needles.add(&bytes, "a wrapped key");
    }
    needles
}

async fn purged(caller: &Caller, id: &str) {
    until("it is purged", async || {
        let shown = caller.show(id).await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_reader_holds_remnants_an_erasure_is_pending_and_a_repeat_finishes_it() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let name = somebody(&w, "a").await;
    let other = somebody(&w, "b").await;
    let keys = place.keys();
    keys.execute_batch("BEGIN").expect("begun");
    let held: i64 = keys
        .query_row("SELECT count(*) FROM customer_keys", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(held, 4);
    let ask = request_id();
    for _ in 0..2 {
        let pending = w.erase_as("a", ask.clone()).await.err().expect("not yet");
        assert!(pending.is("ERASURE_PENDING"), "{pending}");
        assert_eq!(pending.code, tonic::Code::Unavailable);
        assert!(pending.retry_after.is_some());
        let read = w.get(&name).await;
        assert!(
            read.is_err_and(|f| f.is("CUSTOMER_ERASED")),
            "no key, no read"
        );
    }
    assert!(w.get(&other).await.is_ok(), "others are served");
    w.create("c").await.expect("and created meanwhile");
    keys.execute_batch("COMMIT").expect("ended");
    drop(keys);
    let reply = w.erase_as("a", ask).await.expect("now");
    assert!(reply.customer.unwrap_or_default().erasure_level() >= pb::ErasureLevel::Shredded);
    purged(&w, "a").await;
    let mut log = Log::of(&place);
    let leaves = log.new_leaves();
    let of = |verdict: &str| leaves.iter().filter(|leaf| leaf.verdict == verdict).count();
    assert_eq!((of("shredded"), of("purged")), (1, 1), "once each");
}

/// Where a caller may go away or the machine may stop.
const STEPS: [Step; 6] = [
    Step::IntendErasure,
    Step::Shred,
    Step::TruncateKeys,
    Step::RecordShred,
    Step::Purge,
    Step::RecordPurge,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_whose_caller_goes_away_is_whole_or_not_at_all() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    for step in STEPS {
        let id = format!("{step:?}");
        let name = somebody(&w, &id).await;
        let (gate, here) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (at_gate, reached) = (Arc::clone(&gate), Arc::clone(&here));
        director.say(move |now| {
            if now == step {
                reached.store(true, Ordering::SeqCst);
                return Act::Wait(Arc::clone(&at_gate));
            }
            Act::Go
        });
        let (caller, of) = (w.clone(), id.clone());
        let call = tokio::spawn(async move { caller.erase(&of).await });
        until("it got there", async || here.load(Ordering::SeqCst)).await;
        call.abort();
        director.well();
        gate.add_permits(64);
        // Begun is begun: it goes on to the end by itself.
        purged(&w, &id).await;
        let read = w.get(&name).await;
        assert!(read.is_err_and(|f| f.is("CUSTOMER_ERASED")), "{step:?}");
    }
    assert_eq!(wrapped_keys(&place).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_crash_cuts_off_is_finished_at_the_next_start() {
    let place = Place::quick();
    for step in STEPS {
        let director = Director::new();
        let server = Server::over(&place, open(&director));
        let w = connect(&place, &server, "acme/w00").await;
        let id = format!("{step:?}");
        let name = somebody(&w, &id).await;
        let needles = wrapped_keys(&place);
        assert_eq!(needles.len(), 2);
        let here = Arc::new(AtomicBool::new(false));
        let reached = Arc::clone(&here);
        director.say(move |now| {
            if now == step || reached.load(Ordering::SeqCst) {
                reached.store(true, Ordering::SeqCst);
                return Act::Hang;
            }
            Act::Go
        });
        let (caller, of) = (w.clone(), id.clone());
        let call = tokio::spawn(async move { caller.erase(&of).await });
        until("it got there", async || here.load(Ordering::SeqCst)).await;
        call.abort();
        drop(w);
        drop(server);
        let server = Server::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        if step == Step::IntendErasure {
            assert!(w.get(&name).await.is_ok(), "untouched");
            w.erase(&id).await.expect("and then erased");
            purged(&w, &id).await;
        }
        // Start-up finished it before the first call.
        let shown = w.show(&id).await.expect("shown");
        assert_eq!(shown.erasure_level(), pb::ErasureLevel::Purged, "{step:?}");
        let read = w.get(&name).await;
        assert!(read.is_err_and(|f| f.is("CUSTOMER_ERASED")), "{step:?}");
        assert!(needles.in_dir(&place.data()).0.is_empty(), "{step:?}");
        drop(w);
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_created_anew_is_not_hit_by_the_purge_of_the_one_before() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    let name = somebody(&w, "a").await;
    // The rows are purged, but a reader keeps the purge from its end, so that
    // it comes again.
    let (purges, busy) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (seen, held) = (Arc::clone(&purges), Arc::clone(&busy));
    director.say(move |step| {
        if step == Step::Purge {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        if step == Step::TruncateVault && held.load(Ordering::SeqCst) {
            return Act::Busy;
        }
        Act::Go
    });
    w.erase("a").await.expect("erased");
    until("it is created anew", async || match w.recreate("a").await {
        Ok(_) => true,
        Err(failure) => {
            assert!(failure.is("ERASURE_PENDING"), "{failure}");
            false
        }
    })
    .await;
    w.put(&name, named("somebody new")).await.expect("written");
    let before = purges.load(Ordering::SeqCst);
    let again = w.clone();
    let sweeping = tokio::spawn(async move { again.show("a").await });
    until("the purge comes again", async || {
        purges.load(Ordering::SeqCst) > before
    })
    .await;
    busy.store(false, Ordering::SeqCst);
    assert!(sweeping.await.expect("no panic").is_ok());
    let mut log = Log::of(&place);
    until("the purge ends", async || {
        log.new_leaves().iter().any(|leaf| leaf.verdict == "purged")
    })
    .await;
    let card = w.get(&name).await.expect("who is new is there");
    assert_eq!(crate::caller::name_on(&card), Some("somebody new"));
    assert_eq!(w.show("a").await.expect("shown").name, customer("a"));
}
