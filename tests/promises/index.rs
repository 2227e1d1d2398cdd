//! The index: every id is found while its pages split, tombstones move along,
//! and tenants with the same ids do not meet.

use crate::caller::{Caller, connect, name_on, named, record};
use crate::log::Log;
use crate::place::{Place, Server, is_long, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

fn id(number: usize) -> String {
    format!("customer-{number:05}")
}

/// Creates customers, many at a time; each `every`th is erased again.
async fn fill(caller: &Caller, count: usize, every: usize) {
    let room = Arc::new(Semaphore::new(48));
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..count {
        let place = Arc::clone(&room).acquire_owned().await.expect("open");
        let caller = caller.clone();
        under_way.spawn(async move {
            caller.create(&id(number)).await.expect("created");
            if number % every == 0 {
                caller.erase(&id(number)).await.expect("erased");
            }
            drop(place);
        });
    }
    under_way.join_all().await;
}

fn pages(place: &Place) -> i64 {
    let sql = "SELECT count(*) FROM index_pages";
    let counted = place.vault().query_row(sql, [], |row| row.get(0));
    counted.expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_id_is_found_while_pages_split_and_tombstones_move_along() {
    const EVERY: usize = 20;
    let count = if is_long() { 30_000 } else { 3_000 };
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let early: Vec<String> = (0..100).map(|number| format!("early-{number}")).collect();
    for early in &early {
        w.create(early).await.expect("created");
        w.put(&record(early, "r"), named(early))
            .await
            .expect("written");
    }
    // Reads go on all the while: those who were there before never go missing.
    let (done, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let reader = connect(&place, &server, "acme/reader").await;
        let (early, done, reads) = (early.clone(), Arc::clone(&done), Arc::clone(&reads));
        readers.spawn(async move {
            let names: Vec<String> = early.iter().map(|id| record(id, "r")).collect();
            while !done.load(Ordering::Relaxed) {
                let cards = reader.batch(&names).await.expect("read");
                for (card, id) in cards.iter().zip(&early) {
                    let card = card.as_ref().unwrap_or_else(|why| panic!("{id}: {why}"));
                    assert_eq!(name_on(card), Some(id.as_str()));
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    fill(&w, count, EVERY).await;
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
    // Splits run behind the replies; an erasure under way holds them off.
    until("pages are as small as they shall be", async || {
        let most = "SELECT max(rows) FROM index_pages";
        let most: i64 = place
            .vault()
            .query_row(most, [], |row| row.get(0))
            .expect("a row");
        if most > 256 {
            // The next creation on the page splits it.
            w.create(&format!("more-{}", Log::of(&place).count()))
                .await
                .expect("created");
        }
        most <= 256
    })
    .await;
    for number in 0..count {
        let shown = w
            .show(&id(number))
            .await
            .unwrap_or_else(|why| panic!("{number}: {why}"));
        let expected = if number % EVERY == 0 { 2 } else { 1 };
        assert_eq!(shown.state, expected, "{number}");
    }
    for number in (0..count).step_by(EVERY) {
        let again = w.create(&id(number)).await;
        assert!(
            again.is_err_and(|f| f.is("CUSTOMER_WAS_ERASED")),
            "{number}"
        );
    }
    w.recreate(&id(0)).await.expect("with the flag");
    assert_eq!(w.show(&id(0)).await.expect("there").state, 1);
    let pages = pages(&place);
    println!(
        "{count} customers on {pages} index pages, {} reads meanwhile",
        reads.load(Ordering::Relaxed)
    );
    assert!(pages > 8);
    // No key is left over of a split that was given up.
    let kept = "SELECT count(*) FROM pages WHERE kind = 2";
    let kept: i64 = place
        .keys()
        .query_row(kept, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(kept, pages);
    server.stop();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for number in (1..count).step_by(37).filter(|number| number % EVERY != 0) {
        assert!(
            w.show(&id(number)).await.is_ok(),
            "{number} after a restart"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_with_the_same_ids_do_not_meet() {
    let place = Place::quick();
    let server = Server::start(&place);
    let ours = connect(&place, &server, "acme/w00").await;
    let theirs = connect(&place, &server, "globex/w00").await;
    for number in 0..40 {
        let (id, name) = (id(number), record(&id(number), "r"));
        ours.create(&id).await.expect("created");
        assert!(
            theirs
                .show(&id)
                .await
                .is_err_and(|f| f.is("CUSTOMER_NOT_FOUND"))
        );
        theirs.create(&id).await.expect("created");
        ours.put(&name, named(format!("ours {number}")))
            .await
            .expect("written");
        let nothing = theirs.get(&name).await;
        assert!(nothing.is_err_and(|f| f.is("RECORD_NOT_FOUND")));
        theirs
            .put(&name, named(format!("theirs {number}")))
            .await
            .expect("written");
    }
    for number in 0..40 {
        let name = record(&id(number), "r");
        let (our_card, their_card) = (ours.get(&name).await, theirs.get(&name).await);
        let (our_card, their_card) = (our_card.expect("read"), their_card.expect("read"));
        assert_eq!(name_on(&our_card), Some(format!("ours {number}").as_str()));
        assert_eq!(
            name_on(&their_card),
            Some(format!("theirs {number}").as_str())
        );
    }
    let (all, _) = theirs.all().await.expect("streamed");
    assert_eq!(all.len(), 40);
    for card in all.values() {
        assert!(name_on(card).is_some_and(|name| name.starts_with("theirs")));
    }
    // A cursor is one tenant's.
    let mut stream = ours.stream("").await.expect("open");
    let chunk = stream.message().await.expect("a chunk").expect("a chunk");
    let stolen = theirs.stream(&chunk.cursor).await;
    assert!(stolen.is_err_and(|f| f.is("INVALID_REQUEST")));
    ours.erase(&id(0)).await.expect("erased");
    assert!(theirs.get(&record(&id(0), "r")).await.is_ok());
}
