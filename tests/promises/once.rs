//! Request ids: a change that is asked for many times is made once and has one
//! answer.

use crate::caller::{
    Answer, Caller, connect, delete_request, name_on, named, put_request, record, update_request,
};
use crate::place::{Place, Server};
use oubliette::client::request_id;
use std::collections::BTreeSet;
use std::fmt::Debug;

const TIMES: usize = 16;

/// Makes the same call from many tasks at once; its one answer.
async fn at_once<T, F>(call: impl Fn(Caller) -> F, caller: &Caller) -> T
where
    T: Ord + Clone + Debug + Send + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..TIMES {
        under_way.spawn(call(caller.clone()));
    }
    let answers = under_way.join_all().await.into_iter();
    let answers: BTreeSet<T> = answers.map(|a| a.expect("each is answered")).collect();
    assert_eq!(answers.len(), 1, "one answer: {answers:?}");
    answers.into_iter().next().expect("one")
}

fn reused<T>(answer: Answer<T>) {
    let failure = answer.err().expect("refused");
    assert!(failure.is("REQUEST_ID_REUSED"), "{failure}");
    assert_eq!(failure.code, tonic::Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_asked_for_sixteen_times_at_once_is_made_once() {
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for round in 0..8 {
        let (id, name) = (format!("c{round}"), record(&format!("c{round}"), "r"));
        let ask = request_id();
        let create = |w: Caller| {
            let (id, ask) = (id.clone(), ask.clone());
            async move { w.create_as(&id, false, ask).await.map(|c| c.name) }
        };
        at_once(create, &w).await;

        let put = put_request(&name, named("first"));
        let write = |w: Caller| {
            let put = put.clone();
            async move { w.put_as(put).await }
        };
        assert_eq!(at_once(write, &w).await, 1);
        assert_eq!(w.show(&id).await.expect("there").record_count, 1);

        let update = update_request(&name, "second");
        let change = |w: Caller| {
            let update = update.clone();
            async move { w.update_as(update).await }
        };
        assert_eq!(at_once(change, &w).await, 2);
        assert_eq!(at_once(write, &w).await, 1, "the first answer, later too");
        assert_eq!(at_once(change, &w).await, 2);
        let card = w.get(&name).await.expect("read");
        assert_eq!(
            name_on(&card),
            Some("second"),
            "the old write is not made again"
        );

        let delete = delete_request(&name);
        let gone = |w: Caller| {
            let delete = delete.clone();
            async move { w.delete_as(delete).await }
        };
        at_once(gone, &w).await;
        w.put(&name, named("third")).await.expect("written");
        at_once(gone, &w).await;
        assert!(w.get(&name).await.is_ok(), "the new record is not deleted");

        let ask = request_id();
        let erase = |w: Caller| {
            let (id, ask) = (id.clone(), ask.clone());
            async move { w.erase_as(&id, ask).await.map(|reply| reply.epoch) }
        };
        assert_eq!(at_once(erase, &w).await, 1);
        assert!(w.get(&name).await.is_err_and(|f| f.is("CUSTOMER_ERASED")));
    }
    // Numbers are never used twice, and losers of a race leave nothing behind.
    let db = place.keys();
    let left: i64 = db
        .query_row(
            "SELECT (SELECT count(*) FROM customer_keys) + (SELECT count(*) FROM intents)",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(left, 0, "keys of nobody");
    let fences: i64 = db
        .query_row("SELECT count(*) FROM fences", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(fences, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_stands_for_one_content_of_one_principal() {
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let other = connect(&place, &server, "acme/w01").await;
    let (a, b) = (record("a", "r"), record("b", "r"));
    let ask = request_id();
    w.create_as("a", false, ask.clone()).await.expect("created");
    reused(w.create_as("a", true, ask.clone()).await);
    reused(w.create_as("b", false, ask.clone()).await);
    w.create("b").await.expect("created");

    let put = put_request(&a, named("A"));
    w.put_as(put.clone()).await.expect("written");
    let mut changed = put.clone();
    changed.fields = named("B");
    reused(w.put_as(changed).await);
    let mut moved = put.clone();
    moved.name = record("a", "s");
    reused(w.put_as(moved).await);
    let mut of_another = put.clone();
    of_another.name = b.clone();
    reused(w.put_as(of_another).await);
    let mut bound = put.clone();
    bound.expected_revision = Some(0);
    reused(w.put_as(bound).await);
    // Another method is another content too.
    let mut update = update_request(&a, "A");
    update.request_id = put.request_id.clone();
    reused(w.update_as(update).await);
    let mut delete = delete_request(&a);
    delete.request_id = put.request_id.clone();
    reused(w.delete_as(delete).await);
    reused(w.create_as("c", false, put.request_id.clone()).await);

    // The same id of another principal is another id.
    let mut theirs = put.clone();
    theirs.fields = named("C");
    assert_eq!(other.put_as(theirs).await.expect("written"), 2);
    assert_eq!(w.put_as(put).await.expect("as before"), 1);
    assert_eq!(name_on(&w.get(&a).await.expect("read")), Some("C"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_known_after_a_restart() {
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let (ask, name) = (request_id(), record("a", "r"));
    w.create_as("a", false, ask.clone()).await.expect("created");
    let put = put_request(&name, named("A"));
    w.put_as(put.clone()).await.expect("written");
    server.stop();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create_as("a", false, ask).await.expect("as before");
    assert_eq!(w.put_as(put.clone()).await.expect("as before"), 1);
    let mut changed = put;
    changed.fields = named("B");
    reused(w.put_as(changed).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_who_expect_the_same_revision_one_wins() {
    let place = Place::quick();
    let server = Server::alone(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    for revision in 0..10 {
        let mut under_way = tokio::task::JoinSet::new();
        for writer in 0..TIMES {
            let (w, mut put) = (w.clone(), put_request(&name, named(format!("{writer}"))));
            put.expected_revision = Some(revision);
            under_way.spawn(async move { w.put_as(put).await });
        }
        let answers = under_way.join_all().await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "at revision {revision}");
        for failure in answers.into_iter().filter_map(Result::err) {
            assert!(failure.is("REVISION_STALE"), "{failure}");
        }
    }
}
