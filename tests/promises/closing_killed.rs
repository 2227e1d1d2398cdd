//! P8 against kill -9: a closing goes on where it was, loses nobody and brings
//! nobody back, and readers are served meanwhile.

use crate::caller::{Caller, connect, name_on, record};
use crate::place::{Place, Server, is_long, until};
use crate::process::Process;
use crate::tampered::Dice;
use oubliette::id::TenantName;
use oubliette::keys::Providers;
use oubliette::keys::file::FileProvider;
use oubliette::pb;
use oubliette::store::sqlite::{Seed, Sqlite};
use oubliette::vault::{Seeding, Vault, seeded_id};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Customers `c00000001` and on of acme, each with a card `r` that holds their
/// id as its name.
fn seed(place: &Place, customers: u64) {
    let file = FileProvider::new(&place.path().join("keys")).expect("keys");
    let providers = Arc::new(Providers::new(vec![Box::new(file)]).expect("a provider"));
    let store = Arc::new(Sqlite::open(&place.data()).expect("a store"));
    let vault = Vault::unseal(store, providers, "1".to_owned()).expect("a vault");
    let tenant = TenantName::parse("acme").expect("a name");
    vault
        .ensure_tenants([&tenant].into_iter())
        .expect("tenants");
    let seeding = Seeding {
        tenant,
        customers,
        record: Some((1, 1, 1)),
    };
    let mut seed = Seed::open(&place.data()).expect("the files");
    vault
        .seed(&mut seed, &seeding, &mut |_| ())
        .expect("seeded");
}

/// All of some customers' cards are as they must be: erased ones are gone.
async fn check(w: &Caller, numbers: impl Iterator<Item = u64>, erased: &BTreeSet<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for numbers in numbers.chunks(100) {
        let names: Vec<String> = numbers
            .iter()
            .map(|n| record(&seeded_id(*n), "r"))
            .collect();
        for (number, card) in numbers.iter().zip(w.batch(&names).await.expect("read")) {
            let id = seeded_id(*number);
            match (erased.contains(number), card) {
                (false, Ok(card)) => assert_eq!(name_on(&card), Some(&*id)),
                (true, Err(reason)) => assert!(
                    reason == "CUSTOMER_ERASED" || reason == "CUSTOMER_NOT_FOUND",
                    "{id}: {reason}"
                ),
                (false, Err(reason)) => panic!("{id} is unreadable: {reason}"),
                (true, Ok(_)) => panic!("{id} came back"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_killed_at_any_point_goes_on_and_loses_and_brings_back_nobody() {
    let (customers, kills) = if is_long() {
        (100_000, 50)
    } else {
        (2_000, 10)
    };
    let place = Place::quick();
    tokio::task::block_in_place(|| seed(&place, customers));
    let (mut dice, mut erased) = (Dice::new(8), BTreeSet::new());
    let mut under_way = BTreeSet::new();
    let (mut killed, mut steps) = (0, BTreeSet::new());
    let mut server = Process::start(&place);
    while killed < kills {
        let w = connect(&place, &server, "acme/w00").await;
        let sample = (0..200).map(|_| 1 + dice.below(customers as usize) as u64);
        check(&w, sample.collect::<BTreeSet<_>>().into_iter(), &erased).await;
        check(&w, erased.iter().copied(), &erased).await;
        for _ in 0..20 {
            let number = 1 + dice.below(customers as usize) as u64;
            if erased.insert(number) {
                w.erase(&seeded_id(number)).await.expect("erased");
            }
        }
        let begun = w.close().await.expect("it begins or goes on");
        under_way.insert(begun.job);
        let slow = i32::try_from(customers / 100).expect("small");
        let paced = w.control(begun.job, pb::JobOrder::Pace, slow).await;
        // One that is done by now is not paced.
        let enough = match &paced {
            Ok(job) => job.done + 1 + dice.below(40) as i64,
            Err(_) => 0,
        };
        until("it has come so far", async || {
            let status = w.key_status().await.expect("counted");
            match status.jobs.iter().find(|job| job.job == begun.job) {
                None => true,
                Some(job) => {
                    let is_far = job.done >= enough || job.step != begun.step;
                    if is_far {
                        steps.insert(job.step.clone());
                    }
                    is_far
                }
            }
        })
        .await;
        server.kill();
        killed += 1;
        server = Process::start(&place);
    }
    let w = connect(&place, &server, "acme/w00").await;
    w.close_to_the_end().await;
    check(&w, 1..=customers, &erased).await;
    // Whoever was erased on a page that this closing had done with is final with
    // the next.
    w.close_to_the_end().await;
    check(&w, 1..=customers, &erased).await;
    for number in erased.iter().copied().collect::<Vec<_>>() {
        let gone = w.show(&seeded_id(number)).await.err().expect("gone");
        assert!(gone.is("CUSTOMER_NOT_FOUND"), "{}", gone.reason);
    }
    let status = w.key_status().await.expect("counted");
    let (newest, older) = status.epochs.split_last().expect("epochs");
    assert_eq!(newest.state(), pb::EpochState::Active);
    for epoch in older {
        assert_eq!(epoch.state(), pb::EpochState::Destroyed);
        assert_eq!(epoch.pages, 0);
    }
    server.stop();
    let keys = std::fs::read_dir(place.path().join("keys")).expect("keys");
    let left = keys.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("epoch-")
    });
    assert_eq!(left.count(), 1, "one provider key is left");
    println!(
        "{killed} times kill -9 over {customers} customers and {} closings (at {steps:?}): \
         0 unreadable, {} erased, 0 readable",
        under_way.len(),
        erased.len()
    );
}

/// Reads for as long as `on` says; answers how long each took.
async fn latencies(w: Caller, customers: u64, on: Arc<AtomicBool>) -> Vec<Duration> {
    let (mut dice, mut took) = (Dice::new(3), Vec::new());
    while on.load(Ordering::Relaxed) {
        let number = 1 + dice.below(customers as usize) as u64;
        let since = Instant::now();
        let card = w.get(&record(&seeded_id(number), "r")).await;
        took.push(since.elapsed());
        assert_eq!(name_on(&card.expect("read")), Some(&*seeded_id(number)));
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_writes_are_served_while_an_epoch_is_closed() {
    let customers = if is_long() { 100_000 } else { 3_000 };
    let place = Place::new();
    tokio::task::block_in_place(|| seed(&place, customers));
    Seed::open(&place.data())
        .expect("the files")
        .all_dirty()
        .expect("marked");
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let read = |on: &Arc<AtomicBool>| tokio::spawn(latencies(w.clone(), customers, Arc::clone(on)));
    let on = Arc::new(AtomicBool::new(true));
    let before = read(&on);
    for number in 0..50 {
        w.create(&format!("before-{number}"))
            .await
            .expect("created");
    }
    on.store(false, Ordering::Relaxed);
    let before = before.await.expect("no panic");
    on.store(true, Ordering::Relaxed);
    let during = read(&on);
    let (since, job) = (Instant::now(), w.close().await.expect("it begins"));
    let mut created = 0;
    loop {
        w.create(&format!("during-{created}"))
            .await
            .expect("created");
        created += 1;
        let status = w.key_status().await.expect("counted");
        if status.jobs.iter().all(|open| open.job != job.job) {
            break;
        }
    }
    let took = since.elapsed();
    on.store(false, Ordering::Relaxed);
    let during = during.await.expect("no panic");
    println!(
        "closing {customers} customers, every page dirty, took {took:?} and {created} were created \
         meanwhile; reads p99 before {:?} ({}), during {:?} ({})",
        p99(before.clone()),
        before.len(),
        p99(during.clone()),
        during.len()
    );
    for number in 0..created {
        w.show(&format!("during-{number}")).await.expect("there");
    }
    assert!(w.key_status().await.expect("counted").epochs[0].pages == 0);
}
