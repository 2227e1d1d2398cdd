//! The schedule of tests/key_model on real bytes, with every key provider:
//! create, back up, erase, crash, close, move to another provider. The attack
//! opens who is erased until their epoch is closed, and nobody of them after.

use crate::attack::attack;
use crate::caller::{Caller, connect};
use crate::keepers::{self, FILES, write};
use crate::place::{Place, until};
use crate::process::Process;
use crate::restore::{House, all_there, create, erase, purged};
use crate::seal::status;
use crate::token;
use crate::transit_stand_in::Mood;
use oubliette::pb;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ALL: usize = 12;
const ERASED: usize = 3;

/// A vault that keeps its keys as the tables say.
fn house(dir: &Path, tables: &str, more: Vec<(&'static str, OsString)>) -> House {
    let providers = dir.join("providers.toml");
    write(&providers, tables);
    let seen: Vec<_> = more.iter().map(|(n, v)| (*n, v.as_os_str())).collect();
    let mut house = House::over(Place::by_program(&providers, &seen), true);
    house.more = more;
    house
}

async fn started(house: &House) -> (Process, Caller) {
    let server = Process::within(&house.place, &house.more());
    let w = connect(&house.place, &server, "acme/w00").await;
    (server, w)
}

/// How many erased customers the attack opens something of.
fn erased_opened(house: &House) -> u64 {
    let all = house.elsewhere.path().display().to_string();
    let found = attack(house, &[&all], true);
    found["erased_opened"].as_u64().expect("a number")
}

/// Until the close: with backups of both files, and a kill -9.
async fn before_the_close(house: &House) -> (Process, Caller) {
    let (server, w) = started(house).await;
    create(&w, 0..ALL).await;
    house.done(&["backup", "keys"]);
    let data = house.at("data.db");
    house.done(&["backup", "data", data.to_str().expect("UTF-8")]);
    erase(&w, 0..ERASED).await;
    purged(&w, 0..ERASED).await;
    drop(server);
    let (server, w) = started(house).await;
    assert_eq!(erased_opened(house), ERASED as u64, "the attack has teeth");
    (server, w)
}

/// Runs a job as far as it goes.
async fn run(w: &Caller, job: i64) -> pb::Job {
    let seen = w.watch(job).await.expect("watched");
    seen.into_iter().last().expect("a job")
}

async fn closing(w: &Caller) -> pb::Job {
    let job = w.close().await.expect("it begins");
    run(w, job.job).await
}

fn is_over(house: &House) {
    let all = house.elsewhere.path().display().to_string();
    let found = attack(house, &[&all], true);
    assert_eq!(found["erased_opened"], 0, "{found}");
    assert_eq!(found["customers_opened"], ALL - ERASED, "{found}");
}

/// Moves to key files while somebody reads without a pause.
async fn moved_to_files(house: &House, w: &Caller, table: &str) -> pb::Job {
    let moving = Arc::new(AtomicBool::new(true));
    let (goes_on, reader) = (Arc::clone(&moving), w.clone());
    let reading = tokio::spawn(async move {
        let mut rounds = 0;
        while goes_on.load(Ordering::Relaxed) {
            all_there(&reader, ERASED..ALL).await;
            rounds += 1;
        }
        rounds
    });
    let both = format!("{table}retiring = true\n{FILES}");
    house.place.configure(table, &both);
    until("both are there", async || {
        status(w).await.providers.len() == 2
    })
    .await;
    let last = closing(w).await;
    moving.store(false, Ordering::Relaxed);
    let rounds = reading.await.expect("every read was served");
    assert!(rounds > 0);
    last
}

/// The old provider is out of the configuration, and its like is not needed.
async fn lives_on_files_alone(house: &House, w: &Caller, table: &str) {
    let both = format!("[[providers]]\n{table}retiring = true\n{FILES}");
    house.place.configure(&both, FILES);
    until("files are all there is", async || {
        let kinds = status(w).await.providers;
        kinds.len() == 1 && kinds[0].kind == "file"
    })
    .await;
    all_there(w, ERASED..ALL).await;
    is_over(house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_transit_engine() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = keepers::engine(dir.path());
    let house = house(dir.path(), &format!("[[providers]]\n{table}"), Vec::new());
    let (_server, w) = before_the_close(&house).await;
    assert_eq!(closing(&w).await.state(), pb::JobState::Done);
    is_over(&house);
    let moved = moved_to_files(&house, &w, &table).await;
    assert_eq!(moved.state(), pb::JobState::Done);
    assert!(engine.keys().is_empty(), "a key stays in the old provider");
    lives_on_files_alone(&house, &w, &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_softhsm2_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(conf) = token::make(dir.path()) else {
        return;
    };
    let table = token::table(dir.path());
    let more = vec![(token::CONF, conf.into_os_string())];
    let house = house(dir.path(), &format!("[[providers]]\n{table}"), more);
    let (_server, w) = before_the_close(&house).await;
    assert_eq!(closing(&w).await.state(), pb::JobState::Done);
    is_over(&house);
    let moved = moved_to_files(&house, &w, &table).await;
    assert_eq!(moved.state(), pb::JobState::Done);
    lives_on_files_alone(&house, &w, &table).await;
}

/// A scheduled destruction is not one: whoever has rights over the service can
/// call it off, and the epoch is closed only when the key is gone.
#[cfg(feature = "aws-kms")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_aws_kms() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, table) = keepers::kms(dir.path());
    let house = house(dir.path(), &format!("[[providers]]\n{table}"), Vec::new());
    let (_server, w) = before_the_close(&house).await;
    let resumed = async |job| {
        let resume = pb::JobOrder::Resume;
        w.control(job, resume, 0).await.expect("resumed");
        run(&w, job).await
    };
    let last = closing(&w).await;
    assert_eq!(last.state(), pb::JobState::Waiting, "{}", last.reason);
    assert!(last.due_date.is_some(), "it says until when");
    is_over(&house);

    service.deletions_are_called_off(true);
    assert_eq!(erased_opened(&house), ERASED as u64, "which is why");
    let waits = resumed(last.job).await;
    assert_eq!(waits.state(), pb::JobState::Waiting, "scheduled anew");
    is_over(&house);

    service.time_passes(7);
    let done = resumed(last.job).await;
    assert_eq!(done.state(), pb::JobState::Done, "{}", done.reason);
    service.deletions_are_called_off(true);
    is_over(&house);

    let moving = moved_to_files(&house, &w, &table).await;
    assert_eq!(moving.state(), pb::JobState::Waiting);
    service.time_passes(7);
    let moved = resumed(moving.job).await;
    assert_eq!(moved.state(), pb::JobState::Done, "{}", moved.reason);
    assert!(service.keys().is_empty(), "a key stays in the old provider");
    lives_on_files_alone(&house, &w, &table).await;
}

/// Each of two providers opens an epoch by itself, so that it is closed only
/// when both have destroyed their key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_providers_both_must_be_destroyed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = keepers::engine(dir.path());
    let tables = format!("{FILES}[[providers]]\n{table}");
    let house = house(dir.path(), &tables, Vec::new());
    let (_server, w) = before_the_close(&house).await;
    engine.becomes(Mood::KeepsKeys);
    let job = w.close().await.expect("it begins").job;
    let files = house.place.path().join("keys/epoch-00000001.key");
    let stuck = "KEY_PROVIDER_UNAVAILABLE";
    until("the engine keeps its key", async || {
        let jobs = w.key_status().await.expect("counted").jobs;
        jobs.iter().any(|one| one.job == job && one.reason == stuck)
    })
    .await;
    assert!(!files.exists(), "the key file is destroyed");
    assert_eq!(erased_opened(&house), ERASED as u64, "by the engine's key");
    engine.becomes(Mood::Well);
    assert_eq!(run(&w, job).await.state(), pb::JobState::Done);
    assert_eq!(engine.keys().len(), 1, "the new epoch's");
    is_over(&house);
}
