//! Streams: resumed exactly, and never further than the rules and the
//! customers allow.

use crate::caller::{Caller, connect, fields, name_on, named, record};
use crate::log::{Leaf, Log};
use crate::place::{Place, Server, until};
use crate::process::metrics;
use crate::rules;
use oubliette::client::{channel, place::identity};
use oubliette::limits;
use oubliette::pb;
use rustix::process::{Signal, getpid, kill_process};
use std::collections::BTreeMap;
use std::fs;

/// Customers one after the other, each with one card of about `bytes` bytes.
async fn fill(caller: &Caller, count: usize, bytes: usize) {
    for number in 0..count {
        let id = format!("c{number:04}");
        caller.create(&id).await.expect("created");
        let mut card = named(format!("name of {id}"));
        if bytes > 0 {
            let kind = Some(pb::value::Kind::BytesValue(vec![7; bytes]));
            card.insert("photo".to_owned(), pb::Value { kind });
        }
        caller.put(&record(&id, "r"), card).await.expect("written");
    }
}

/// A reader who takes little at a time, so that what is on its way is little.
async fn slow(place: &Place, server: &Server, principal: &str) -> Caller {
    let identity = identity(&place.path(), Some(principal)).expect("an identity");
    let endpoint = channel(server.address, &place.path(), &identity).expect("certificates");
    let endpoint = endpoint.initial_stream_window_size(65_535);
    Caller::over(endpoint.connect().await.expect("a connection"))
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
    let mut server = Server::alone(&place);
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
        server = Server::alone(&place);
        restarts += 1;
    }
    println!("{COUNT} records in {restarts} streams, a restart after each chunk");
    assert_eq!(found.len(), COUNT);
    assert!(found.values().all(|times| *times == 1), "none twice");
    assert!(restarts >= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_stream_passes_an_erased_customer_over_within_one_chunk() {
    /// Five records of 200,000 bytes fill a chunk.
    const CHUNK: usize = 5;
    const COUNT: usize = 60;
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, COUNT, 200_000).await;
    let reader = slow(&place, &server, "acme/reader").await;
    let mut stream = reader.stream("").await.expect("open");
    let first = stream.message().await.expect("a chunk").expect("a chunk");
    assert_eq!(first.records.len(), CHUNK);
    let mut found = BTreeMap::new();
    keep(&mut found, first);
    let mut log = Log::of(&place);
    let mut opened = 0;
    let mut late = Vec::new();
    for number in (CHUNK..COUNT).rev() {
        w.erase(&format!("c{number:04}")).await.expect("erased");
        // One leaf a chunk and one a customer; the chunk of which the leaves
        // are just being written is the one within which it stops.
        let streamed = |leaf: &&Leaf| leaf.method == "StreamRecords" && leaf.count == 1;
        opened += log.new_leaves().iter().filter(streamed).count();
        if number >= opened + CHUNK {
            late.push(record(&format!("c{number:04}"), "r"));
        }
    }
    let mut skipped = 0;
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        skipped += chunk.skipped.iter().map(|skip| skip.count).sum::<i64>();
        keep(&mut found, chunk);
    }
    println!(
        "{} erased behind a stream's back: {skipped} passed over, {} had been opened",
        COUNT - CHUNK,
        found.len() - CHUNK
    );
    assert!(late.len() > COUNT / 2, "the stream was far ahead: {opened}");
    assert!(late.iter().all(|name| !found.contains_key(name)));
    let (after, _) = w.all().await.expect("streamed");
    assert_eq!(
        after.len(),
        CHUNK,
        "a stream that begins afterwards sees none"
    );
}

/// Has all servers of this process read their rules anew. A catalog that is
/// another has a higher version.
async fn reload(place: &Place, server: &Server, version: u32) {
    let catalog = format!("version = {version}\ntitle = \"Tests\"\n");
    fs::write(place.config_file("catalog/catalog.toml"), catalog).expect("written");
    let done = || {
        let text = metrics(server.metrics);
        let line = "oubliette_reloads_total{what=\"rules\",outcome=\"ok\"} ";
        let count = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.parse().ok());
        count.unwrap_or(0_u64)
    };
    let before = done();
    kill_process(getpid(), Signal::HUP).expect("sent");
    until("the rules are read anew", async || done() > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_that_is_taken_back_ends_an_open_stream() {
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let reader = slow(&place, &server, "acme/reader").await;
    fill(&w, 60, 200_000).await;
    let mut log = Log::of(&place);
    let mut version = 1;
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
        version += 1;
        reload(&place, &server, version).await;
        // The stream may have met the new rules already.
        let mut leaves = log.new_leaves();
        let before_now = leaves.len();
        let mut chunks = 0;
        let status = loop {
            match stream.message().await {
                Ok(Some(_)) => chunks += 1,
                Ok(None) => panic!("{what}: it came to its end"),
                Err(status) => break oubliette::client::Failure::from_status(&status),
            }
        };
        assert!(status.is(what), "{what}: {status}");
        println!("{what}: {chunks} chunks were under way");
        leaves.extend(log.new_leaves());
        let ended = leaves.iter().filter(|leaf| leaf.reason == what);
        assert_eq!(ended.count(), 1, "{what} is written down");
        // A chunk's own leaf counts its records.
        let after = leaves.iter().skip(before_now);
        let opened = after.filter(|leaf| leaf.count > 1).count();
        assert!(
            opened <= 1,
            "{what}: {opened} chunks were opened afterwards"
        );
        fs::write(&file, before).expect("written");
        version += 1;
        reload(&place, &server, version).await;
    }
}
