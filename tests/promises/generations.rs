//! P8 for customers' keys: a generation is rotated while everybody reads and
//! writes, nothing is lost, the old key is gone, and a crash only delays it.

use crate::caller::{
    Caller, connect, customer, get_request, heard, name_on, named, record, update_request,
};
use crate::faulty::{self, Act, Director, Step};
use crate::log::{Fact, Log};
use crate::needles::Needles;
use crate::place::{Place, Server, is_long, until};
use crate::process::Process;
use oubliette::id::{CustomerNumber, TenantName};
use oubliette::keys::Providers;
use oubliette::keys::file::FileProvider;
use oubliette::pb;
use oubliette::store::sqlite::Sqlite;
use oubliette::vault::Vault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

fn id(number: usize) -> String {
    format!("rotated-{number:04}")
}

fn number(place: &Place, sql: &str) -> i64 {
    let counted = place.keys().query_row(sql, [], |row| row.get(0));
    counted.expect("a number")
}

async fn rotate(w: &Caller, request: pb::RotateKeysRequest) -> pb::Job {
    let begun = heard(w.keys.clone().rotate_keys(request).await).expect("it begins");
    begun.job.expect("a job")
}

async fn rotate_one(w: &Caller, id: &str) -> pb::Job {
    let request = pb::RotateKeysRequest {
        customer: customer(id),
        ..Default::default()
    };
    rotate(w, request).await
}

async fn rotate_all(w: &Caller) -> pb::Job {
    let all = true;
    let request = pb::RotateKeysRequest {
        all,
        ..Default::default()
    };
    rotate(w, request).await
}

async fn compromise(w: &Caller, id: &str) -> Result<pb::Job, oubliette::client::Failure> {
    let request = pb::CompromiseKeysRequest {
        customer: customer(id),
        reason: "a laptop was lost".to_owned(),
    };
    let begun = heard(w.keys.clone().compromise_keys(request).await)?;
    Ok(begun.job.expect("a job"))
}

async fn done(w: &Caller, job: i64) -> pb::Job {
    let seen = w.watch(job).await.expect("watched");
    let last = seen.into_iter().last().expect("a job");
    assert_eq!(last.state(), pb::JobState::Done, "{}", last.reason);
    last
}

async fn fill(w: &Caller, count: usize) {
    for number in 0..count {
        w.create(&id(number)).await.expect("created");
        let name = record(&id(number), "r");
        w.put(&name, named(id(number))).await.expect("written");
    }
}

/// The wrapped field keys that there are.
fn wrapped(place: &Place) -> Needles {
    let mut needles = Needles::default();
    let db = place.keys();
    let sql = "SELECT wrapped FROM customer_keys WHERE kind = 2";
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    for row in rows.expect("rows") {
        needles.add(&row.expect("a key"), "a wrapped field key");
    }
    needles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_a_new_key_while_everybody_reads_and_writes_and_nothing_is_lost() {
    let count = if is_long() { 2_000 } else { 60 };
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, count).await;
    let old = wrapped(&place);
    let (on, reads) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut busy = tokio::task::JoinSet::new();
    // Each customer has one writer, who knows what was acknowledged last.
    for part in 0..4 {
        let (w, on, reads) = (w.clone(), Arc::clone(&on), Arc::clone(&reads));
        busy.spawn(async move {
            let mut round = 0;
            while on.load(Ordering::Relaxed) {
                for at in (part..count).step_by(4) {
                    let name = record(&id(at), "r");
                    let value = format!("{}-{round}", id(at));
                    let request = update_request(&name, &value);
                    w.update_as(request).await.expect("updated");
                    let card = w.get(&name).await.expect("read");
                    assert_eq!(name_on(&card), Some(&*value));
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                round += 1;
            }
        });
    }
    let streamer = {
        let (w, on) = (w.clone(), Arc::clone(&on));
        tokio::spawn(async move {
            while on.load(Ordering::Relaxed) {
                let (all, skipped) = w.all().await.expect("streamed");
                assert_eq!((all.len(), skipped.len()), (count, 0), "{skipped:?}");
            }
        })
    };
    until("somebody writes", async || {
        reads.load(Ordering::Relaxed) > count
    })
    .await;
    let mut log = Log::of(&place);
    log.skip();
    let job = rotate_all(&w).await;
    let last = done(&w, job.job).await;
    on.store(false, Ordering::Relaxed);
    busy.join_all().await;
    streamer.await.expect("no panic");
    assert_eq!(last.keys, count as i64, "a key destroyed for each");
    let one_each = "SELECT count(*) FROM customer_keys WHERE kind = 2 AND generation = 2";
    assert_eq!(number(&place, one_each), count as i64);
    let others = "SELECT count(*) FROM customer_keys WHERE kind = 2 AND generation <> 2";
    assert_eq!(number(&place, others), 0);
    for at in 0..count {
        assert!(w.get(&record(&id(at), "r")).await.is_ok(), "{at}");
    }
    let facts: Vec<Fact> = log
        .new_leaves()
        .into_iter()
        .filter_map(|l| l.fact)
        .collect();
    assert!(
        facts
            .iter()
            .any(|fact| matches!(fact, Fact::RotationBegun { .. }))
    );
    assert!(facts.iter().any(
        |fact| matches!(fact, Fact::KeysDestroyed { keys, state, .. }
            if *keys == count as u64 && state == "destroyed")
    ));
    let status = w.key_status().await.expect("counted");
    let of = |g: usize| &status.generations[g];
    assert_eq!((of(0).active_keys, of(0).destroyed_keys), (0, count as i64));
    assert_eq!(
        (of(1).active_keys, of(1).deactivated_keys),
        (count as i64, 0)
    );
    assert!(of(1).last_use_date.is_some() && status.epochs[0].last_use_date.is_some());
    assert_eq!(status.epochs[0].life(), pb::KeyLife::Active);
    server.stop();
    let (found, bytes) = old.in_dir(&place.data());
    println!(
        "{count} keys rotated beside {} writes and reads; {} of {} old wrapped keys in {bytes} bytes",
        reads.load(Ordering::Relaxed),
        found.len(),
        old.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_changes_no_revision_and_only_whom_it_names() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 2).await;
    let name = record(&id(0), "r");
    w.update_as(update_request(&name, "second"))
        .await
        .expect("updated");
    let job = rotate_one(&w, &id(0)).await;
    done(&w, job.job).await;
    let mut request = update_request(&name, "third");
    request.expected_revision = Some(2);
    assert_eq!(w.update_as(request).await.expect("at that revision"), 3);
    let generations = "SELECT group_concat(generation) FROM
        (SELECT generation FROM customer_keys WHERE kind = 2 ORDER BY customer)";
    let db = place.keys();
    let found: String = db
        .query_row(generations, [], |row| row.get(0))
        .expect("text");
    assert_eq!(found, "2,1");
    // By record type: nobody has a memo, everybody has a card.
    let of_type = |record_type: &str| pb::RotateKeysRequest {
        record_type: record_type.to_owned(),
        ..Default::default()
    };
    for (record_type, expected) in [("memo", "2,1"), ("card", "3,2")] {
        let job = rotate(&w, of_type(record_type)).await;
        done(&w, job.job).await;
        let found: String = db
            .query_row(generations, [], |row| row.get(0))
            .expect("text");
        assert_eq!(found, expected, "{record_type}");
    }
    assert_eq!(name_on(&w.get(&name).await.expect("read")), Some("third"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_killed_at_any_point_goes_on_and_loses_nothing() {
    let (count, kills) = if is_long() { (2_000, 40) } else { (200, 6) };
    let place = Place::quick();
    let mut server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, count).await;
    let begun = rotate_all(&w).await;
    let slow = i32::try_from(count / 4).expect("small");
    let _paced = w.control(begun.job, pb::JobOrder::Pace, slow).await;
    let mut killed = 0;
    while killed < kills {
        let w = connect(&place, &server, "acme/w00").await;
        let job = rotate_all(&w).await;
        let _paced = w.control(job.job, pb::JobOrder::Pace, slow).await;
        let start = job.done;
        until("it has come further", async || {
            let status = w.key_status().await.expect("counted");
            let mut jobs = status.jobs.iter().filter(|of| of.job == job.job);
            jobs.next().is_none_or(|of| of.done > start)
        })
        .await;
        server.kill();
        killed += 1;
        server = Process::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        for at in (killed..count).step_by(7) {
            let card = w.get(&record(&id(at), "r")).await;
            let card = card.unwrap_or_else(|why| panic!("{at} is unreadable: {}", why.reason));
            assert_eq!(name_on(&card), Some(&*id(at)));
        }
    }
    let w = connect(&place, &server, "acme/w00").await;
    let job = rotate_all(&w).await;
    w.control(job.job, pb::JobOrder::Pace, 0).await.ok();
    done(&w, job.job).await;
    for at in 0..count {
        let card = w.get(&record(&id(at), "r")).await.expect("read");
        assert_eq!(name_on(&card), Some(&*id(at)));
    }
    server.stop();
    let several = "SELECT count(*) FROM (SELECT 1 FROM customer_keys WHERE kind = 2
        GROUP BY customer HAVING count(*) > 1)";
    assert_eq!(number(&place, several), 0);
    println!("{killed} times kill -9 over {count} customers: 0 unreadable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_a_compromised_key_is_not_read_until_it_is_encrypted_anew() {
    let place = Place::quick();
    let director = Director::new();
    let server = Server::over(&place, faulty::open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 2).await;
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    director.say(move |step| match step {
        Step::Reencrypt => Act::Wait(Arc::clone(&waits)),
        _ => Act::Go,
    });
    let job = compromise(&w, &id(0)).await.expect("begun");
    let refused = w.get(&record(&id(0), "r")).await.err().expect("refused");
    assert!(refused.is("KEY_COMPROMISED"), "{}", refused.reason);
    let names = [record(&id(0), "r"), record(&id(1), "r")];
    let both = w.batch(&names).await.expect("answered");
    assert_eq!(
        both[0].as_ref().err().map(String::as_str),
        Some("KEY_COMPROMISED")
    );
    assert!(both[1].is_ok(), "nobody else is blocked");
    // What is new is under the new key at once.
    let fresh = record(&id(0), "fresh");
    w.put(&fresh, named("fresh")).await.expect("written");
    assert_eq!(name_on(&w.get(&fresh).await.expect("read")), Some("fresh"));
    let status = w.key_status().await.expect("counted");
    assert_eq!(status.generations[0].compromised_keys, 1);
    gate.add_permits(100);
    done(&w, job.job).await;
    let card = w.get(&record(&id(0), "r")).await.expect("read");
    assert_eq!(name_on(&card), Some(&*id(0)));
    let status = w.key_status().await.expect("counted");
    let first = &status.generations[0];
    assert_eq!(
        (
            first.compromised_keys,
            first.destroyed_compromised_keys,
            first.active_keys
        ),
        (0, 1, 1)
    );
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_in_the_midst_of_a_rotation_stands() {
    let place = Place::quick();
    let director = Director::new();
    let server = Server::over(&place, faulty::open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 4).await;
    for (at, stop) in [Step::Rotate, Step::Reencrypt, Step::DestroyGenerations]
        .into_iter()
        .enumerate()
    {
        let (gate, reached) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (waits, tells) = (Arc::clone(&gate), Arc::clone(&reached));
        director.say(move |step| {
            if step != stop {
                return Act::Go;
            }
            tells.store(true, Ordering::Relaxed);
            Act::Wait(Arc::clone(&waits))
        });
        let rotating = {
            let w = w.clone();
            let request = pb::RotateKeysRequest {
                customer: customer(&id(at)),
                ..Default::default()
            };
            tokio::spawn(async move { heard(w.keys.clone().rotate_keys(request).await) })
        };
        until("it has come so far", async || {
            reached.load(Ordering::Relaxed)
        })
        .await;
        w.erase(&id(at)).await.expect("erased");
        gate.add_permits(100);
        let _whatever = rotating.await.expect("no panic");
        director.well();
        until("the job has ended", async || {
            let status = w.key_status().await.expect("counted");
            status.jobs.is_empty()
        })
        .await;
        let left = format!(
            "SELECT count(*) FROM customer_keys WHERE customer = {}",
            at + 1
        );
        assert_eq!(number(&place, &left), 0, "{stop:?}");
        let gone = w.get(&record(&id(at), "r")).await.err().expect("gone");
        assert!(gone.is("CUSTOMER_ERASED"), "{stop:?}: {}", gone.reason);
    }
    assert!(w.get(&record(&id(3), "r")).await.is_ok());
    server.stop();
}

/// The vault of a place, served by nobody.
fn unserved(place: &Place) -> Vault {
    let file = FileProvider::new(&place.path().join("keys")).expect("keys");
    let providers = Arc::new(Providers::new(vec![Box::new(file)]).expect("a provider"));
    let store = Arc::new(Sqlite::open(&place.data()).expect("a store"));
    let vault = Vault::unseal(store, providers, "1".to_owned()).expect("a vault");
    let tenant = TenantName::parse("acme").expect("a name");
    vault
        .ensure_tenants([&tenant].into_iter())
        .expect("tenants");
    vault
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shred_in_part_keeps_what_is_named_and_destroys_the_key_of_the_rest() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 2).await;
    let name = record(&id(0), "r");
    let mut request = update_request(&name, "kept");
    let email = crate::caller::text("gone@example.com");
    request.fields.insert("email".to_owned(), email.clone());
    let mask = request.update_mask.as_mut().expect("a mask");
    mask.paths.push("email".to_owned());
    w.update_as(request).await.expect("updated");
    let only_gone = record(&id(0), "only-gone");
    let fields = std::collections::HashMap::from([("email".to_owned(), email)]);
    w.put(&only_gone, fields).await.expect("written");
    server.stop();

    let old = wrapped(&place);
    let vault = tokio::task::block_in_place(|| unserved(&place));
    // Of cards the name (field 1) is kept; a repeat changes nothing more.
    let keep = Arc::new(|record_type: u16, field: oubliette::id::FieldNumber| {
        (record_type, field.0) == (1, 1)
    });
    let one = CustomerNumber(1);
    let to = vault.begin_shred_in_part(one).await.expect("begun");
    assert_eq!(vault.begin_shred_in_part(one).await, Ok(to), "once");
    let first = vault.shred_all_but(one, to, keep.clone()).await;
    let first = first.expect("shredded in part");
    assert_eq!((first.generation, first.keys, first.epoch), (1, 1, 1));
    let again = vault.shred_all_but(one, to, keep).await;
    assert_eq!(again, Ok(first), "a repeat");
    drop(vault);
    let noted = "SELECT count(*) FROM ledger WHERE kind = 11 AND customer = 1";
    assert_eq!(number(&place, noted), 1);
    let dirty = "SELECT dirty FROM pages WHERE kind = 1 AND page = 0";
    assert_eq!(number(&place, dirty), 1);

    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let card = w.get(&name).await.expect("read");
    assert_eq!((name_on(&card), card.len()), (Some("kept"), 1));
    let gone = w.get_as(get_request(&only_gone)).await.err().expect("gone");
    assert!(gone.is("RECORD_NOT_FOUND"), "{}", gone.reason);
    let other = w.get(&record(&id(1), "r")).await.expect("read");
    assert_eq!(name_on(&other), Some(&*id(1)));
    server.stop();
    let kept = Needles::default();
    assert_eq!((kept.len(), old.len()), (0, 2));
}
