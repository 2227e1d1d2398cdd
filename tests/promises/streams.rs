//! Streams: resumed exactly, and never further than the rules and the
//! customers allow.

use crate::caller::{Caller, connect, fields, name_on, named, record};
use crate::log::Log;
use crate::place::{Place, Server, until};
use crate::rules;
use oubliette::limits;
use oubliette::pb;
use rustix::process::{Signal, getpid, kill_process};
use std::collections::BTreeMap;
use std::fs;

/// Customers, each with one card of about `bytes` bytes.
async fn fill(caller: &Caller, count: usize, bytes: usize) {
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..count {
        let caller = caller.clone();
        under_way.spawn(async move {
            let id = format!("c{number:04}");
            caller.create(&id).await.expect("created");
            let mut card = named(format!("name of {id}"));
            if bytes > 0 {
                let kind = Some(pb::value::Kind::BytesValue(vec![7; bytes]));
                card.insert("photo".to_owned(), pb::Value { kind });
            }
            caller.put(&record(&id, "r"), card).await.expect("written");
        });
    }
    under_way.join_all().await;
}

fn keep(found: &mut BTreeMap<String, usize>, chunk: pb::StreamRecordsResponse) {
    for record in chunk.records {
        let name = record.metadata.clone().unwrap_or_default().name;
        let id = name.split('/').nth(1).expect("an id").to_owned();
        let card = fields(Some(record));
        assert_eq!(name_on(&card), Some(format!("name of {id}").as_str()));
        *found.entry(name).or_insert(0) += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_goes_on_exactly_where_it_was_also_after_a_restart() {
    const COUNT: usize = 300;
    let place = Place::quick();
    let mut server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, COUNT, 0).await;
    let (mut found, mut cursor, mut restarts) = (BTreeMap::new(), String::new(), 0);
    loop {
        let reader = connect(&place, &server, "acme/reader").await;
        let mut stream = reader.stream(&cursor).await.expect("open");
        let Some(chunk) = stream.message().await.expect("a chunk") else {
            break;
        };
        assert!(chunk.records.len() <= limits::STREAM_CHUNK_RECORDS);
        cursor = chunk.cursor.clone();
        keep(&mut found, chunk);
        drop(stream);
        server.stop();
        server = Server::start(&place);
        restarts += 1;
    }
    println!("{COUNT} records in {restarts} streams, a restart after each chunk");
    assert_eq!(found.len(), COUNT);
    assert!(found.values().all(|times| *times == 1), "none twice");
    assert!(restarts >= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_stream_passes_an_erased_customer_over() {
    // Heavy records and a slow reader: what is under way is little.
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 120, 200_000).await;
    let mut stream = w.stream("").await.expect("open");
    let first = stream.message().await.expect("a chunk").expect("a chunk");
    let mut found = BTreeMap::new();
    keep(&mut found, first);
    for number in 100..120 {
        w.erase(&format!("c{number:04}")).await.expect("erased");
    }
    let mut skipped = 0;
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        skipped += chunk.skipped.iter().map(|skip| skip.count).sum::<i64>();
        keep(&mut found, chunk);
    }
    let came = |number: &i32| found.contains_key(&record(&format!("c{number:04}"), "r"));
    // Numbers are given in the order of arrival, so that some of those erased
    // may lie near the front; none beyond a chunk ahead of the reader came.
    let late = (100..120).filter(came).count();
    println!("20 erased behind an open stream's back: {late} came, {skipped} passed over");
    assert!(
        (0..100).all(|number| came(&number)),
        "nobody else is missed"
    );
    let (after, _) = w.all().await.expect("streamed");
    assert_eq!(
        after.len(),
        100,
        "a stream that begins afterwards sees none"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_that_is_taken_back_ends_an_open_stream() {
    let place = Place::quick();
    let server = Server::start(&place);
    let (w, reader) = (
        connect(&place, &server, "acme/w00").await,
        connect(&place, &server, "acme/reader").await,
    );
    fill(&w, 120, 200_000).await;
    let mut log = Log::of(&place);
    for (what, file, text) in [
        (
            "PURPOSE_NOT_GRANTED",
            "catalog/purposes/care.toml",
            rules::CARE.replace(", \"reader\"", ""),
        ),
        (
            "POLICY_DENIED",
            "policy.cedar",
            rules::POLICY.replace("    Action::\"stream_records\",\n", ""),
        ),
        (
            "UNKNOWN_PRINCIPAL",
            "roles.toml",
            fs::read_to_string(place.config_file("roles.toml"))
                .expect("roles")
                .replace("[principals.\"acme/reader\"]\nroles = [\"reader\"]\n", ""),
        ),
    ] {
        let file = place.config_file(file);
        let before = fs::read(&file).expect("a file");
        let mut stream = reader.stream("").await.expect("open");
        let first = stream.message().await.expect("a chunk").expect("a chunk");
        assert!(!first.records.is_empty());
        log.skip();
        fs::write(&file, text).expect("written");
        kill_process(getpid(), Signal::HUP).expect("sent");
        until("the rules are in force", async || {
            reader.stream("").await.is_err()
        })
        .await;
        let mut chunks = 0;
        let status = loop {
            match stream.message().await {
                Ok(Some(_)) => chunks += 1,
                Ok(None) => panic!("{what}: it came to its end"),
                Err(status) => break oubliette::client::Failure::from_status(&status),
            }
        };
        assert!(status.is(what), "{what}: {status}");
        // Two had been made before: one in the channel, one in the reader's
        // window.
        println!("{what}: {chunks} chunks were under way");
        assert!(chunks <= 4, "{what}: {chunks}");
        let leaves = log.new_leaves();
        let ended = leaves.iter().filter(|leaf| leaf.reason == what);
        assert!(ended.count() >= 1, "{what} is written down");
        fs::write(&file, before).expect("written");
        kill_process(getpid(), Signal::HUP).expect("sent");
        until("the rules are as before", async || {
            let open = reader.stream("").await;
            open.is_ok()
        })
        .await;
    }
}
