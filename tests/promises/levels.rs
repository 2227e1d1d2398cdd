//! Erasures by the list and by the thousand: each acknowledged in the same time
//! however much there was, each untouched or finished whatever cut it off.

use crate::caller::{Caller, connect, customer, heard, named, record};
use crate::certificate::held;
use crate::needles::Needles;
use crate::place::{Place, Server, is_long, until};
use crate::process::Process;
use crate::tampered::Dice;
use oubliette::pb;
use oubliette::pb::erase_customers_response::Outcome;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

async fn erase_all(caller: &Caller, ids: &[&str]) -> BTreeMap<String, Outcome> {
    let names = ids.iter().map(|id| customer(id)).collect();
    let request = pb::EraseCustomersRequest { names };
    let begun = caller.customers.clone().erase_customers(request).await;
    let mut answers = heard(begun).expect("begun");
    let mut all = BTreeMap::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        all.insert(answer.name, answer.outcome.expect("an outcome"));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_answered_customer_by_customer() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b", "c"] {
        w.create(id).await.expect("created");
        w.put(&record(id, "r"), named("N")).await.expect("written");
    }
    let all = erase_all(&w, &["a", "nobody", "b", "a", "..", "c"]).await;
    let failed = |id: &str| match &all[&customer(id)] {
        Outcome::Failure(failure) => failure.reason.clone(),
        Outcome::Erased(_) => String::new(),
    };
    assert_eq!(failed("nobody"), "CUSTOMER_NOT_FOUND");
    assert_eq!(failed(".."), "INVALID_REQUEST");
    for id in ["a", "b", "c"] {
        let Outcome::Erased(reply) = &all[&customer(id)] else {
            panic!("{id}: {}", failed(id));
        };
        let signed = held(&place, reply.certificate.as_ref().expect("a certificate"));
        assert_eq!(signed.opening.expect("whom").customer, id);
        let gone = w.get(&record(id, "r")).await;
        assert!(gone.is_err_and(|f| f.is("CUSTOMER_ERASED")));
    }
    let reader = connect(&place, &server, "acme/reader").await;
    let names = vec![customer("a")];
    let request = pb::EraseCustomersRequest { names };
    let refused = heard(reader.customers.clone().erase_customers(request).await);
    assert!(refused.is_err_and(|f| f.is("POLICY_DENIED")));
    let request = pb::EraseCustomersRequest::default();
    let nobody = heard(w.customers.clone().erase_customers(request).await);
    assert!(nobody.is_err_and(|f| f.is("INVALID_REQUEST")));
}

/// Gives a customer many records: copies of their first, as far as storage
/// sees, so that they are there quickly. No copy opens; each is purged.
fn multiply(db: &Connection, customer: i64, count: i64) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
         INSERT INTO records (place, tenant, type, locator, revision, schema_version, generation,
             created_day, updated_day, manifest, sealed_id, body)
         SELECT (?1 << 24) + i, tenant, type, randomblob(16), revision, schema_version, generation,
             created_day, updated_day, manifest, sealed_id, body
         FROM n, records WHERE place = (?1 << 24) + 1";
    db.execute(sql, params![customer, count]).expect("records");
    let sql = "INSERT OR IGNORE INTO locators (customer, locator, place)
         SELECT place >> 24, locator, place FROM records WHERE place >> 24 = ?1";
    db.execute(sql, [customer]).expect("locators");
    let sql = "UPDATE customers SET records = ?2, next_record = ?2 + 1 WHERE customer = ?1";
    db.execute(sql, params![customer, count]).expect("counts");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_acknowledged_as_fast_however_much_there_is() {
    const TURNS: usize = 3;
    let sizes: [i64; 3] = if is_long() {
        [1, 1_000, 1_000_000]
    } else {
        [1, 1_000, 100_000]
    };
    let place = Place::new();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    // The sizes take turns, so that whatever the disk still does for one of
    // them slows all alike.
    let turns = if is_long() { TURNS } else { 1 };
    let mut ids = Vec::new();
    let mut number = 0;
    for turn in 0..turns {
        for (at, size) in sizes.iter().enumerate() {
            let many = if at == 2 { 1 } else { TURNS };
            for one in 0..many {
                let id = format!("size-{size}-{turn}-{one}");
                w.create(&id).await.expect("created");
                w.put(&record(&id, "r"), named("N")).await.expect("written");
                number += 1;
                if *size > 1 {
                    multiply(&place.vault(), number, *size);
                }
                ids.push((at, id));
            }
        }
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for (at, id) in &ids {
        let synced = Command::new("sync").status();
        assert!(synced.expect("it runs").success());
        let begun = Instant::now();
        let reply = w.erase(id).await.expect("erased");
        times[*at].push(begun.elapsed());
        assert!(reply.certificate.is_some());
        // Its purge is over before the next one is timed.
        until("it is purged", async || {
            let shown = w.show(id).await.expect("shown");
            assert!(shown.purge_done <= shown.purge_total);
            shown.erasure_level() == pb::ErasureLevel::Purged
        })
        .await;
        let shown = w.show(id).await.expect("shown");
        assert_eq!(
            (shown.purge_total, shown.purge_done),
            (sizes[*at], sizes[*at])
        );
    }
    let medians = times.map(median);
    for (size, median) in sizes.iter().zip(&medians) {
        println!(
            "{size} records: acknowledged in {} us (median)",
            median.as_micros()
        );
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    println!(
        "largest median {:.2} times the smallest",
        most.as_secs_f64() / least.as_secs_f64()
    );
    if is_long() {
        assert!(*most <= *least * 3 / 2, "{medians:?}");
    }
}

/// What of a customer is in a table of `vault.db`.
fn left(db: &Connection, customer: i64) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM records WHERE place >> 24 = ?1)
         + (SELECT count(*) FROM locators WHERE customer = ?1)
         + (SELECT count(*) FROM requests WHERE customer = ?1)
         + (SELECT count(*) FROM rights WHERE customer = ?1)
         + (SELECT count(*) FROM customers WHERE customer = ?1)";
    db.query_row(sql, [customer], |row| row.get(0))
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_that_are_cut_off_are_untouched_or_finished() {
    let count = if is_long() { 1_000 } else { 50 };
    let place = Place::new();
    let mut server = Process::start(&place);
    let mut w = connect(&place, &server, "acme/w00").await;
    let mut dice = Dice::new(17);
    let value = |number: usize| format!("value of cut-off {number:04}");
    for number in 0..count {
        let id = format!("cut-off-{number:04}");
        w.create(&id).await.expect("created");
        w.put(&record(&id, "r"), named(value(number)))
            .await
            .expect("written");
    }
    let mut next = 0;
    let mut kills = 0;
    while next < count {
        // A handful at once; some are given up by their callers, then the
        // process is killed somewhere among them.
        let batch: Vec<usize> = (next..count.min(next + 10)).collect();
        next += batch.len();
        let done = Arc::new(AtomicUsize::new(0));
        let mut under_way = tokio::task::JoinSet::new();
        let wait = dice.below(batch.len() + 1);
        for number in batch {
            let (w, done, give_up) = (w.clone(), Arc::clone(&done), dice.below(3) == 0);
            under_way.spawn(async move {
                let id = format!("cut-off-{number:04}");
                let erase = w.erase(&id);
                if give_up {
                    // Dropped after it was sent.
                    let _gone = tokio::time::timeout(Duration::from_millis(1), erase).await;
                } else {
                    let _cut = erase.await;
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        until("some are answered", async || {
            done.load(Ordering::SeqCst) >= wait
        })
        .await;
        server.kill();
        kills += 1;
        under_way.join_all().await;
        server = Process::start(&place);
        w = connect(&place, &server, "acme/w00").await;
    }
    let (mut untouched, mut finished) = (0, Vec::new());
    for number in 0..count {
        let id = format!("cut-off-{number:04}");
        let read = w.get(&record(&id, "r")).await;
        let shown = w.show(&id).await.expect("shown");
        match read {
            Ok(_) => {
                assert_eq!(shown.state(), pb::CustomerState::Active, "{id}");
                untouched += 1;
            }
            Err(failure) => {
                assert!(failure.is("CUSTOMER_ERASED"), "{id}: {failure}");
                // What was cut off was finished before the first call.
                assert_eq!(shown.erasure_level(), pb::ErasureLevel::Purged, "{id}");
                let reply = w.erase(&id).await.expect("again");
                held(&place, &reply.certificate.expect("a certificate"));
                finished.push(number);
            }
        }
    }
    server.stop();
    let mut needles = Needles::default();
    for number in &finished {
        let customer = i64::try_from(number + 1).expect("small");
        assert_eq!(left(&place.vault(), customer), 0, "customer {customer}");
        needles.add_text(&value(*number));
        needles.add_text(&format!("cut-off-{number:04}"));
    }
    let (found, _) = needles.in_dir(&place.data());
    assert!(found.is_empty(), "{found:?}");
    println!(
        "{count} erasures, {kills} times kill -9: {} finished, {untouched} untouched, 0 between",
        finished.len()
    );
    assert!(!finished.is_empty());
}
