//! P3: the entry is durable before the plaintext leaves; if it cannot be
//! written, nothing leaves; and every call makes its entry.

use crate::caller::{Caller, connect, delete_request, get_request, named, record, update_request};
use crate::faulty::{Act, Director, Step, open};
use crate::log::{Leaf, Log};
use crate::place::{Place, Server, until};
use crate::raw;
use oubliette::client::request_id;
use oubliette::error::{Error, Unavailable};
use oubliette::limits;
use oubliette::pb;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

const RECORDS: &str = "/oubliette.v1.RecordService";
const CUSTOMERS: usize = 12;

async fn fill(caller: &Caller) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..CUSTOMERS {
        let id = format!("c{number}");
        caller.create(&id).await.expect("created");
        let name = record(&id, "r");
        let card = named(format!("canary {number} of the log"));
        caller.put(&name, card).await.expect("written");
        names.push(name);
    }
    names
}

/// One of the three reads, as bytes on the wire.
fn read(number: usize, names: &[String]) -> (String, Vec<u8>) {
    let (card, care) = ("card".to_owned(), "care".to_owned());
    let (method, bytes) = match number % 3 {
        0 => {
            let request = get_request(&names[number % names.len()]);
            ("GetRecord", request.encode_to_vec())
        }
        1 => {
            let request = pb::BatchGetRecordsRequest {
                names: names.to_vec(),
                record_type: card,
                purpose: care,
                ..Default::default()
            };
            ("BatchGetRecords", request.encode_to_vec())
        }
        _ => {
            let request = pb::StreamRecordsRequest {
                record_type: card,
                purpose: care,
                ..Default::default()
            };
            ("StreamRecords", request.encode_to_vec())
        }
    };
    (format!("{RECORDS}/{method}"), bytes)
}

/// How the `number`th append fails.
fn failure(number: usize) -> Act {
    match number % 50 {
        0 => Act::Hang,
        n if n % 2 == 1 => Act::Refuse(Error::Unavailable(Unavailable::DiskFull)),
        _ => Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown)),
    }
}

/// Makes `count` reads, many at a time; answers bytes and reason of each.
async fn reads(caller: &Caller, names: &[String], count: usize) -> Vec<(Vec<u8>, String)> {
    let room = Arc::new(Semaphore::new(64));
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..count {
        let place = Arc::clone(&room).acquire_owned().await.expect("open");
        let (channel, (path, request)) = (caller.channel.clone(), read(number, names));
        under_way.spawn(async move {
            let (bytes, status) = raw::call(&channel, &path, Request::new(request)).await;
            drop(place);
            let reason = status.get_details_error_info().map(|info| info.reason);
            if status.code() != tonic::Code::Ok {
                assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
                assert!(!format!("{status:?}").contains("canary"), "{status}");
            }
            (bytes, reason.unwrap_or_default())
        });
    }
    under_way.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_a_byte_leaves_when_the_entry_cannot_be_written() {
    const READS: usize = 1_000;
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let caller = connect(&place, &server, "acme/w00").await;
    let names = fill(&caller).await;

    let injected = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&injected);
    director.say(move |step| match step {
        Step::Append => failure(count.fetch_add(1, Ordering::Relaxed)),
        _ => Act::Go,
    });
    let mut log = Log::of(&place);
    log.skip();
    let answers = reads(&caller, &names, READS).await;
    let bytes: usize = answers.iter().map(|(bytes, _)| bytes.len()).sum();
    let injected = injected.load(Ordering::Relaxed);
    println!("{injected} audit writes failed in {READS} reads: {bytes} bytes sent");
    assert_eq!(bytes, 0, "plaintext left without its entry");
    assert!(injected >= READS);
    for (_, reason) in &answers {
        assert!(["AUDIT_WRITE_FAILED", "DISK_FULL"].contains(&reason.as_str()));
    }
    assert_eq!(log.new_leaves().len(), 0);

    // Now and then: what came and what is written down is the same.
    let turn = AtomicUsize::new(0);
    director.say(move |step| match step {
        Step::Append if turn.fetch_add(1, Ordering::Relaxed) % 3 == 1 => {
            Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown))
        }
        _ => Act::Go,
    });
    let answers = reads(&caller, &names, 600).await;
    let came = answers
        .iter()
        .filter(|(bytes, _)| !bytes.is_empty())
        .count();
    director.well();
    let leaves = log.new_leaves();
    let calls: std::collections::BTreeSet<u64> = leaves
        .iter()
        .filter(|leaf| leaf.verdict == "allowed")
        .map(|leaf| leaf.call)
        .collect();
    println!("{came} of 600 reads answered, {} written down", calls.len());
    assert!(came > 0 && came < 600);
    assert_eq!(came, calls.len(), "answered and written down");
    assert!(caller.get(&names[0]).await.is_ok(), "and it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_cannot_be_written_down_is_not_made() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let caller = connect(&place, &server, "acme/w00").await;
    let names = fill(&caller).await;
    // The entry of a change is in its own transaction: they fail together.
    director.say(|step| match step {
        Step::PutRecord | Step::DeleteRecord | Step::CreateCustomer | Step::IntendErasure => {
            Act::Refuse(Error::Unavailable(Unavailable::DiskFull))
        }
        _ => Act::Go,
    });
    let failed = caller.put(&names[0], named("another")).await;
    assert!(failed.is_err_and(|f| f.is("DISK_FULL")));
    let failed = caller.delete_as(delete_request(&names[0])).await;
    assert!(failed.is_err_and(|f| f.is("DISK_FULL")));
    let failed = caller.erase("c0").await;
    assert!(failed.is_err_and(|f| f.is("DISK_FULL")));
    let failed = caller.create("new").await;
    assert!(failed.is_err_and(|f| f.is("DISK_FULL")));
    director.well();
    // The erasure took the disk that is set aside; it is given back.
    until("changes are taken again", async || {
        caller.create("new").await.is_ok()
    })
    .await;
    let card = caller.get(&names[0]).await.expect("as it was");
    assert_eq!(crate::caller::name_on(&card), Some("canary 0 of the log"));
}

/// One leaf as text.
fn told(leaf: &Leaf) -> String {
    format!(
        "{} {} {} {}",
        leaf.principal, leaf.method, leaf.verdict, leaf.reason
    )
}

/// Checks that what was just called has these leaves and no other.
#[track_caller]
fn leaves_are(log: &mut Log, what: &str, expected: &[&str]) {
    let leaves = log.new_leaves();
    let told: Vec<String> = leaves.iter().map(told).collect();
    assert_eq!(told, expected, "{what}");
    for leaf in &leaves {
        assert_eq!(leaf.call, leaves[0].call, "{what}: one call");
        assert_eq!(leaf.nonce.len(), 32);
        assert_eq!((leaf.subject.len(), leaf.detail.len()), (64, 64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_makes_its_entry_and_only_its_own() {
    let place = Place::quick();
    let server = Server::start(&place);
    let (w, idle) = (
        connect(&place, &server, "acme/w00").await,
        connect(&place, &server, "acme/idle").await,
    );
    let mut log = Log::of(&place);
    let (name, update) = (record("a", "r"), update_request(&record("a", "r"), "B"));
    w.create("a").await.expect("created");
    leaves_are(&mut log, "create", &["acme/w00 CreateCustomer allowed "]);
    assert!(w.create("a").await.is_err());
    let exists = ["acme/w00 CreateCustomer failed CUSTOMER_EXISTS"];
    leaves_are(&mut log, "create again", &exists);
    w.put(&name, named("A")).await.expect("written");
    leaves_are(&mut log, "put", &["acme/w00 PutRecord allowed "]);
    w.update_as(update.clone()).await.expect("changed");
    leaves_are(&mut log, "update", &["acme/w00 UpdateRecord allowed "]);
    w.update_as(update).await.expect("as before");
    leaves_are(&mut log, "repeat", &["acme/w00 UpdateRecord allowed "]);
    w.get(&name).await.expect("read");
    leaves_are(&mut log, "get", &["acme/w00 GetRecord allowed "]);
    w.list("a").await.expect("listed");
    leaves_are(&mut log, "list", &["acme/w00 ListRecords allowed "]);
    w.show("a").await.expect("shown");
    leaves_are(&mut log, "show", &["acme/w00 GetCustomer allowed "]);
    let mut keys = w.keys.clone();
    let status = keys.get_key_status(pb::GetKeyStatusRequest {}).await;
    status.expect("counted");
    leaves_are(&mut log, "status", &["acme/w00 GetKeyStatus allowed "]);
    let plan = keys.plan_epoch_close(pb::PlanEpochCloseRequest {}).await;
    plan.expect("planned");
    leaves_are(&mut log, "plan", &["acme/w00 PlanEpochClose allowed "]);
    let job = w.close_to_the_end().await.job;
    let closed = [
        "acme/w00 CloseEpoch allowed ",
        "acme/w00 WatchJob allowed ",
        " CloseEpoch allowed ",
    ];
    let mut leaves: Vec<_> = log.at_least(3).await.iter().map(told).collect();
    leaves.sort();
    let mut expected = closed.map(str::to_owned);
    expected.sort();
    assert_eq!(
        leaves, expected,
        "a closing, its watcher and its certificate"
    );
    let done = w.control(job, pb::JobOrder::Pause, 0).await;
    assert!(done.is_err_and(|failure| failure.is("JOB_NOT_FOUND")));
    let missing = ["acme/w00 ControlJob failed JOB_NOT_FOUND"];
    leaves_are(&mut log, "no such job", &missing);
    let told = keys.get_seal_status(pb::GetSealStatusRequest {}).await;
    told.expect("told");
    leaves_are(
        &mut log,
        "seal status",
        &["acme/w00 GetSealStatus allowed "],
    );
    keys.seal(pb::SealRequest {}).await.expect("sealed");
    leaves_are(&mut log, "seal", &["acme/w00 Seal allowed "]);
    let unsealed = keys.unseal(pb::UnsealRequest::default()).await;
    unsealed.expect("unsealed");
    leaves_are(&mut log, "unseal", &["acme/w00 Unseal allowed "]);

    assert!(idle.get(&name).await.is_err());
    let denied = ["acme/idle GetRecord denied PURPOSE_NOT_GRANTED"];
    leaves_are(&mut log, "a denial", &denied);
    assert!(w.get(&record("b", "r")).await.is_err());
    let missing = ["acme/w00 GetRecord failed CUSTOMER_NOT_FOUND"];
    leaves_are(&mut log, "nobody", &missing);
    assert!(w.get("customers/..").await.is_err());
    let malformed = ["acme/w00 GetRecord failed INVALID_REQUEST"];
    leaves_are(&mut log, "malformed", &malformed);
    for (path, leaf) in [
        ("/oubliette.v1.RecordService/Nothing", "METHOD_NOT_FOUND"),
        ("/oubliette.v9.RecordService/GetRecord", "METHOD_NOT_FOUND"),
        ("/somebody.Else/GetRecord", "METHOD_NOT_FOUND"),
    ] {
        let (_, status) = raw::call(&w.channel, path, Request::new(Vec::new())).await;
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{path}");
        leaves_are(
            &mut log,
            path,
            &[&format!("acme/w00 Unknown failed {leaf}")],
        );
    }
    let path = format!("{RECORDS}/GetRecord");
    let huge = vec![0; limits::REQUEST_BYTES + 1];
    for (what, bytes) in [("no message", vec![0xff; 9]), ("too large", huge)] {
        let (_, status) = raw::call(&w.channel, &path, Request::new(bytes)).await;
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{what}");
        leaves_are(&mut log, what, &malformed);
    }
    let mut health = HealthClient::new(w.channel.clone());
    for _ in 0..3 {
        let healthy = health.check(HealthCheckRequest::default()).await;
        assert!(healthy.is_ok());
    }
    leaves_are(&mut log, "health", &[]);
    w.delete_as(delete_request(&name)).await.expect("deleted");
    leaves_are(&mut log, "delete", &["acme/w00 DeleteRecord allowed "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_a_stream_and_an_erasure_write_as_many_entries_as_they_say() {
    let place = Place::quick();
    let server = Server::start(&place);
    let caller = connect(&place, &server, "acme/w00").await;
    let names = fill(&caller).await;
    let mut log = Log::of(&place);
    log.skip();
    // One for the call, one for each customer whose data was opened.
    caller.batch(&names[..3]).await.expect("read");
    let batch = "acme/w00 BatchGetRecords allowed ";
    leaves_are(&mut log, "batch", &[batch; 4]);
    // The same, chunk by chunk.
    caller.all().await.expect("streamed");
    let stream = "acme/w00 StreamRecords allowed ";
    leaves_are(&mut log, "stream", &[stream; CUSTOMERS + 1]);
    let request = pb::StreamRecordsRequest {
        record_type: "memo".to_owned(),
        purpose: "care".to_owned(),
        ..Default::default()
    };
    let mut empty = caller.records.clone();
    let mut empty = empty.stream_records(request).await.expect("open");
    assert!(empty.get_mut().message().await.expect("its end").is_none());
    leaves_are(&mut log, "a stream of nothing", &[stream]);
    // Intended, shredded, and behind the reply purged.
    caller.erase("c0").await.expect("erased");
    let leaves = log.at_least(3).await;
    let told: Vec<String> = leaves.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "acme/w00 EraseCustomer intended ",
            "acme/w00 EraseCustomer shredded ",
            " Purge purged ",
        ]
    );
    assert_eq!(leaves[0].call, leaves[1].call);
    let shredded = leaves[1].shredded().expect("which keys");
    assert_eq!((shredded.0.len(), shredded.1), (64, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_its_caller_gives_up_is_written_down() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let caller = connect(&place, &server, "acme/w00").await;
    let names = fill(&caller).await;
    let mut log = Log::of(&place);
    log.skip();

    let (gate, waiting) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_gate, seen) = (Arc::clone(&gate), Arc::clone(&waiting));
    director.say(move |step| match step {
        Step::Read => {
            seen.fetch_add(1, Ordering::SeqCst);
            Act::Wait(Arc::clone(&at_gate))
        }
        _ => Act::Go,
    });
    let (asking, name) = (caller.clone(), names[0].clone());
    let call = tokio::spawn(async move { asking.get(&name).await });
    until("it waits", async || waiting.load(Ordering::SeqCst) == 1).await;
    call.abort();
    // The second look is for the entry itself.
    until("it is noted", async || waiting.load(Ordering::SeqCst) == 2).await;
    gate.add_permits(2);
    let leaves = log.at_least(1).await;
    let cancelled = ("acme/w00", "GetRecord", "failed", "CANCELLED");
    assert_eq!(leaves.len(), 1);
    assert_eq!(leaves[0].told(), cancelled);
    assert_ne!(leaves[0].subject, "0".repeat(64));

    let mut request = Request::new(get_request(&names[0]));
    request.set_timeout(Duration::from_millis(50));
    let answer = caller.records.clone().get_record(request).await;
    // Client and server watch the same clock; either may be the first.
    let code = answer.err().map(|status| status.code());
    let ends = [tonic::Code::DeadlineExceeded, tonic::Code::Cancelled];
    assert!(code.is_some_and(|code| ends.contains(&code)), "{code:?}");
    until("it is noted", async || waiting.load(Ordering::SeqCst) == 4).await;
    gate.add_permits(2);
    let leaves = log.at_least(1).await;
    assert_eq!(leaves.len(), 1);
    assert!(["DEADLINE_EXCEEDED", "CANCELLED"].contains(&leaves[0].reason.as_str()));
    director.well();
    assert!(caller.get(&names[0]).await.is_ok());
    leaves_are(&mut log, "after it", &["acme/w00 GetRecord allowed "]);
    let text = crate::process::metrics(server.metrics);
    assert!(text.contains("oubliette_calls_in_flight 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shed_calls_are_counted_not_listed() {
    let place = Place::quick();
    let server = Server::start(&place);
    let slow = connect(&place, &server, "acme/slow").await;
    let mut log = Log::of(&place);
    let mut refused = 0;
    for _ in 0..200 {
        let answer = slow.create_as("x", false, request_id()).await;
        match answer {
            Err(failure) if failure.is("RATE_EXCEEDED") => {
                assert!(failure.retry_after.is_some());
                refused += 1;
            }
            _ => {}
        }
    }
    let mut counted: BTreeMap<i64, u64> = BTreeMap::new();
    let mut others = 0;
    until("all are counted", async || {
        for leaf in log.new_leaves() {
            if leaf.verdict == "shed" {
                assert_eq!(leaf.told(), ("acme/slow", "Shed", "shed", "RATE_EXCEEDED"));
                let second = leaf.time / 1_000_000;
                let before = counted.insert(second, leaf.count);
                assert_eq!(before, None, "one leaf a second");
            } else {
                others += 1;
            }
        }
        counted.values().sum::<u64>() == refused
    })
    .await;
    println!("{refused} of 200 calls shed, in {} leaves", counted.len());
    assert!(refused > 100);
    assert_eq!(others + refused, 200, "each call once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_over_customers_runs_into_its_quota() {
    let place = Place::quick();
    let server = Server::start(&place);
    let (w, narrow) = (
        connect(&place, &server, "acme/w00").await,
        connect(&place, &server, "acme/narrow").await,
    );
    let names = fill(&w).await;
    let mut came = 0;
    for name in &names {
        match narrow.get(name).await {
            Ok(_) => came += 1,
            Err(failure) => {
                assert!(failure.is("DISTINCT_CUSTOMERS_EXCEEDED"), "{failure}");
                assert!(failure.retry_after.is_some());
            }
        }
    }
    assert_eq!(came, 3);
    assert!(narrow.get(&names[0]).await.is_ok(), "those seen before");
    assert!(narrow.put(&names[0], named("x")).await.is_ok());
}
