//! P6: once an erasure is acknowledged nobody reads the customer again, and
//! nothing that could open them is left on this disk.

use crate::caller::{Caller, connect, name_on, named, record};
use crate::log::Log;
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use oubliette::pb;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

fn id(number: usize) -> String {
    format!("forgettable-{number:03}")
}

fn canary(number: usize) -> String {
    format!("canary {number:03} sings of somebody")
}

async fn fill(caller: &Caller, count: usize) {
    for number in 0..count {
        caller.create(&id(number)).await.expect("created");
        for card in ["first", "second"] {
            let name = record(&id(number), card);
            caller
                .put(&name, named(canary(number)))
                .await
                .expect("written");
        }
    }
}

/// All values of some columns as needles.
fn add(needles: &mut Needles, db: &Connection, sql: &str) {
    let mut statement = db.prepare(sql).expect("a statement");
    let columns = statement.column_count();
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        for column in 0..columns {
            let bytes: Vec<u8> = row.get(column).expect("bytes");
            needles.add(&bytes, sql);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_erasure_neither_keys_nor_ciphertext_are_in_any_file() {
    const COUNT: usize = 100;
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, COUNT).await;
    let mut shredded = 0;
    for number in 0..COUNT {
        // Numbers are given in order, from 1.
        let customer = number + 1;
        let (mut keys, mut rows) = (Needles::default(), Needles::default());
        let of = format!("FROM customer_keys WHERE customer = {customer}");
        add(&mut keys, &place.keys(), &format!("SELECT wrapped {of}"));
        assert_eq!(keys.len(), 2);
        keys.add_text(&canary(number));
        keys.add_text(&id(number));
        let of = format!("FROM records WHERE place >> 24 = {customer}");
        add(
            &mut rows,
            &place.vault(),
            &format!("SELECT body, sealed_id, manifest {of}"),
        );
        let of = format!("FROM customers WHERE customer = {customer}");
        add(
            &mut rows,
            &place.vault(),
            &format!("SELECT sealed_id, state_mac {of}"),
        );
        let of = format!("FROM requests WHERE customer = {customer}");
        add(&mut rows, &place.vault(), &format!("SELECT digest {of}"));
        let of = format!("FROM locators WHERE customer = {customer}");
        add(&mut rows, &place.vault(), &format!("SELECT locator {of}"));
        let bodies = "SELECT body FROM index_rows";
        let before = bodies_of(&place.vault(), bodies);
        assert!(
            rows.in_dir(&place.data()).0.len() >= 4,
            "they are found before"
        );

        let reply = w.erase(&id(number)).await.expect("erased");
        let level = reply.customer.unwrap_or_default().erasure_level();
        assert!(level >= pb::ErasureLevel::Shredded);
        let (found, _) = keys.in_dir(&place.data());
        assert!(found.is_empty(), "customer {customer} at L2: {found:?}");

        until("it is purged", async || {
            let shown = w.show(&id(number)).await.expect("shown");
            shown.erasure_level() == pb::ErasureLevel::Purged
        })
        .await;
        // The index row is now a tombstone; the old body is gone.
        let after = bodies_of(&place.vault(), bodies);
        let gone = before.iter().filter(|body| !after.contains(body));
        for body in gone {
            rows.add(body, bodies);
        }
        let (found, _) = rows.in_dir(&place.data());
        assert!(found.is_empty(), "customer {customer} at L3: {found:?}");
        shredded += 1;
    }
    println!("{shredded} of {COUNT} customers: no key at L2, no ciphertext at L3, in any file");
}

fn bodies_of(db: &Connection, sql: &str) -> Vec<Vec<u8>> {
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// A clock that only counts: who looks later sees more.
#[derive(Clone, Default)]
struct Order(Arc<AtomicU64>);

impl Order {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Reads everybody in one of three ways; which numbers came.
async fn read(caller: &Caller, way: usize, count: usize, turn: usize) -> Vec<usize> {
    let number_of = |card: &crate::caller::Fields| -> Option<usize> {
        let digits = name_on(card)?.strip_prefix("canary ")?.get(..3)?;
        digits.parse().ok()
    };
    match way % 3 {
        0 => {
            let number = turn % count;
            let card = caller.get(&record(&id(number), "first")).await;
            card.ok().iter().filter_map(number_of).collect()
        }
        1 => {
            let names: Vec<String> = (0..count).map(|n| record(&id(n), "second")).collect();
            let cards = caller.batch(&names).await.expect("read");
            cards.iter().flatten().filter_map(number_of).collect()
        }
        _ => {
            let (all, _) = caller.all().await.expect("streamed");
            all.values().filter_map(number_of).collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_starts_after_the_reply_gets_a_plaintext() {
    const COUNT: usize = 40;
    const READERS: usize = 64;
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, COUNT).await;
    let (order, done) = (Order::default(), Arc::new(AtomicBool::new(false)));
    // When each erasure's reply was there; u64::MAX: not yet.
    let replied: Arc<Vec<AtomicU64>> =
        Arc::new((0..COUNT).map(|_| AtomicU64::new(u64::MAX)).collect());
    let (reads, plaintexts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut readers = tokio::task::JoinSet::new();
    for way in 0..READERS {
        let reader = connect(&place, &server, "acme/reader").await;
        let (order, done, replied) = (order.clone(), Arc::clone(&done), Arc::clone(&replied));
        let (reads, plaintexts) = (Arc::clone(&reads), Arc::clone(&plaintexts));
        readers.spawn(async move {
            let (mut late, mut turn) = (0, way);
            while !done.load(Ordering::SeqCst) {
                let started = order.next();
                let came = read(&reader, way, COUNT, turn).await;
                turn += 1;
                reads.fetch_add(1, Ordering::Relaxed);
                plaintexts.fetch_add(came.len(), Ordering::Relaxed);
                let after = |number: &&usize| replied[**number].load(Ordering::SeqCst) < started;
                late += came.iter().filter(after).count();
            }
            late
        });
    }
    for number in 0..COUNT {
        until("readers were at it", async || {
            reads.load(Ordering::Relaxed) > number * 4
        })
        .await;
        w.erase(&id(number)).await.expect("erased");
        replied[number].store(order.next(), Ordering::SeqCst);
    }
    let before = reads.load(Ordering::Relaxed);
    until("all looked once more", async || {
        reads.load(Ordering::Relaxed) > before + READERS
    })
    .await;
    done.store(true, Ordering::SeqCst);
    let late: usize = readers.join_all().await.into_iter().sum();
    println!(
        "{READERS} readers made {} reads and got {} plaintexts, {late} of them late",
        reads.load(Ordering::Relaxed),
        plaintexts.load(Ordering::Relaxed)
    );
    assert_eq!(late, 0, "plaintext after the reply");
    assert!(plaintexts.load(Ordering::Relaxed) > 0);
}

/// Rows of a table as SQL that puts them back.
fn dump(db: &Connection, table: &str, of: &str) -> Vec<(String, Vec<Value>)> {
    let mut statement = db
        .prepare(&format!("SELECT * FROM {table} WHERE {of}"))
        .expect("a statement");
    let columns = statement.column_count();
    let places = vec!["?"; columns].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    let rows = statement.query_map([], |row| {
        let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|at| row.get(at)).collect();
        Ok((sql.clone(), values?))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn restore(db: &Connection, rows: &[(String, Vec<Value>)]) {
    for (sql, values) in rows {
        let params = rusqlite::params_from_iter(values);
        db.execute(sql, params).expect("put back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_is_somebody_else_and_old_ciphertext_stays_dead() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let reader = connect(&place, &server, "acme/reader").await;
    fill(&w, 2).await;
    let name = record(&id(0), "first");
    // Everything of the first customer in vault.db, as a backup has it.
    let mut old = Vec::new();
    for (table, of) in [
        ("records", "place >> 24 = 1"),
        ("locators", "customer = 1"),
        ("customers", "customer = 1"),
    ] {
        old.extend(dump(&place.vault(), table, of));
    }
    let index = dump(&place.vault(), "index_rows", "1");
    w.erase(&id(0)).await.expect("erased");
    until("it is purged", async || {
        let shown = w.show(&id(0)).await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let gone = |failure: oubliette::client::Failure| failure.is("CUSTOMER_ERASED");
    assert!(w.get(&name).await.is_err_and(gone), "after a restart");
    let again = w.create(&id(0)).await;
    assert!(
        again.is_err_and(|f| f.is("CUSTOMER_WAS_ERASED")),
        "not by accident"
    );
    assert!(
        w.put(&name, named("x")).await.is_err_and(gone),
        "not by a write"
    );
    drop(reader);
    let reader = connect(&place, &server, "acme/reader").await;
    let hidden = reader.get(&name).await;
    assert!(
        hidden.is_err_and(|f| f.is("CUSTOMER_NOT_FOUND")),
        "not everybody may know"
    );

    // The old rows, put back behind the vault's back, open nothing.
    restore(&place.vault(), &old);
    restore(&place.vault(), &index);
    assert!(w.get(&name).await.is_err_and(gone), "with its old rows");
    let (all, skipped) = w.all().await.expect("streamed");
    assert_eq!(all.len(), 2, "only the other customer's");
    assert_eq!(skipped.get("CUSTOMER_ERASED"), Some(&2));
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert!(w.get(&name).await.is_err_and(gone), "after another restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_customer_of_an_old_id_shares_nothing_with_the_old() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    fill(&w, 1).await;
    let name = record(&id(0), "first");
    let old = "SELECT body, manifest, sealed_id FROM records WHERE place = (1 << 24) + 1";
    let old: (Vec<u8>, Vec<u8>, Vec<u8>) = place
        .vault()
        .query_row(old, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("a row");
    w.erase(&id(0)).await.expect("erased");
    until("it is created anew", async || {
        w.recreate(&id(0)).await.is_ok()
    })
    .await;
    let number = "SELECT max(customer) FROM customer_keys";
    let number: i64 = place
        .keys()
        .query_row(number, [], |row| row.get(0))
        .expect("a row");
    assert!(number > 1, "a new number");
    assert!(w.get(&name).await.is_err_and(|f| f.is("RECORD_NOT_FOUND")));
    w.put(&name, named("somebody new")).await.expect("written");
    let card = w.get(&name).await.expect("read");
    assert_eq!(name_on(&card), Some("somebody new"));
    // The old ciphertext in the new one's place.
    let sql = "UPDATE records SET body = ?2, manifest = ?3, sealed_id = ?4 WHERE place = ?1";
    let at = (number << 24) + 1;
    let put = place
        .vault()
        .execute(sql, rusqlite::params![at, old.0, old.1, old.2]);
    assert_eq!(put, Ok(1));
    assert!(w.get(&name).await.is_err_and(|f| f.is("DATA_LOSS")));
    // The history of the old customer is not the new one's: tags differ.
    let mut log = Log::of(&place);
    let leaves = log.new_leaves();
    let subjects: std::collections::BTreeSet<_> = leaves.iter().map(|leaf| &leaf.subject).collect();
    assert_eq!(subjects.len(), leaves.len(), "no two leaves share a tag");
}
