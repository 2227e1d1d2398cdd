//! Many at once.

use crate::Backend;
use crate::scene::{
    customer, is_done, is_lost, key, leaves, new_customer, put, read, request, sixteen, with_keys,
};
use oubliette::store::{CreateOutcome, PutOutcome, Store};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

const MANY: usize = 16;

/// Does the same on many threads that start together.
fn at_once<T: Send>(
    store: &Arc<dyn Store>,
    what: impl Fn(&dyn Store, usize) -> T + Sync,
) -> Vec<T> {
    let start = Barrier::new(MANY);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|number| {
                let (start, what) = (&start, &what);
                scope.spawn(move || {
                    start.wait();
                    what(&**store, number)
                })
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|done| done.expect("no panic")).collect()
    })
}

pub fn of_many_writers_at_one_revision_one_wins(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    for revision in 0..20 {
        let before = leaves(&*store);
        let outcomes = at_once(&store, |store, _| {
            store.put_record(put(key(number, 1), 1, revision)).wait()
        });
        assert_eq!(outcomes.iter().filter(|one| is_done(one)).count(), 1);
        assert_eq!(outcomes.iter().filter(|one| is_lost(one)).count(), MANY - 1);
        assert_eq!(leaves(&*store), before + 1);
    }
}

pub fn of_many_changes_with_one_request_id_one_is_made(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    for revision in 0..20 {
        let ask = request();
        let outcomes = at_once(&store, |store, _| {
            let mut one = put(key(number, 1), 1, revision);
            one.request = ask.clone();
            store.put_record(one).wait()
        });
        let done = outcomes.iter().filter(|one| is_done(one)).count();
        let repeated = outcomes.iter().filter(|one| match one {
            Ok(PutOutcome::Repeated(row)) => row.outcome == revision + 1,
            _ => false,
        });
        assert_eq!((done, repeated.count()), (1, MANY - 1));
    }
}

pub fn of_many_customers_at_one_place_one_is_created(backend: &impl Backend) {
    let store = backend.open();
    for tag in 0..10 {
        let outcomes = at_once(&store, |store, _| {
            let number = with_keys(store);
            (
                number,
                store.create_customer(new_customer(number, tag)).wait(),
            )
        });
        let created = outcomes
            .iter()
            .filter(|(_, one)| matches!(one, Ok(CreateOutcome::Created(_))));
        let created: Vec<_> = created.map(|(number, _)| *number).collect();
        assert_eq!(created.len(), 1);
        let taken = outcomes
            .iter()
            .filter(|(_, one)| matches!(one, Ok(CreateOutcome::Taken)));
        assert_eq!(taken.count(), MANY - 1);
        let body = read(&*store, move |rows| {
            Ok(rows
                .index_ref(crate::scene::TENANT, 0)?
                .map(|page| page.page))
        });
        let page = body.expect("a page");
        let body = read(&*store, move |rows| rows.index_row(page, &sixteen(tag)));
        assert_eq!(body, Some(format!("body of {}", created[0].0).into_bytes()));
    }
    let page = read(&*store, |rows| rows.index_ref(crate::scene::TENANT, 0));
    assert_eq!(page.expect("a page").rows, 10);
}

pub fn numbers_are_given_once_to_many(backend: &impl Backend) {
    let store = backend.open();
    let numbers = at_once(&store, |store, _| {
        let numbers = (0..50).map(|_| store.allocate_customer().wait().expect("a number").0.0);
        numbers.collect::<Vec<u64>>()
    });
    let all: BTreeSet<u64> = numbers.iter().flatten().copied().collect();
    assert_eq!(all, (1..=50 * MANY as u64).collect());
    let pages = at_once(&store, |store, _| {
        store.allocate_index_pages(3).wait().expect("three")
    });
    let firsts: BTreeSet<u64> = pages.iter().copied().collect();
    assert_eq!(firsts.len(), MANY);
    assert!(firsts.iter().all(|first| (first - 1) % 3 == 0));
}

pub fn readers_see_whole_changes(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !done.load(Ordering::Relaxed) {
                        let (owner, row) =
                            read(&*store, move |rows| rows.record(number, &sixteen(1)));
                        let records = owner.expect("there").records;
                        assert_eq!(records == 1, row.is_some(), "half a change");
                        if let Some(row) = row {
                            let body = format!("body {}", row.revision).into_bytes();
                            assert_eq!(row.body, body, "half a change");
                        }
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        for record in 1..=150 {
            for revision in 0..2 {
                let written = store
                    .put_record(put(key(number, record), 1, revision))
                    .wait();
                assert!(is_done(&written));
            }
            let gone = crate::scene::delete(key(number, record), 2);
            assert!(is_done(&store.delete_record(gone).wait()));
        }
        done.store(true, Ordering::Relaxed);
        let seen: usize = readers
            .into_iter()
            .map(|one| one.join().expect("no panic"))
            .sum();
        assert!(seen > 0);
    });
}
