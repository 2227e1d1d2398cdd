//! From an intent to the purge.

use crate::Backend;
use crate::scene::{
    PAGE, TENANT, TODAY, customer, delete, intent, is_done, key, leaf, leaves, page, put, read,
    sixteen,
};
use oubliette::id::CustomerNumber;
use oubliette::store::{PutOutcome, Store, Tombstone};
use sha2::{Digest, Sha256};

/// Two customers on an index page with a key; the first has three records.
fn two(store: &dyn Store) -> (CustomerNumber, CustomerNumber) {
    let index = page(PAGE, 8, Some(TENANT));
    store.add_index_pages(vec![index]).wait().expect("added");
    let (one, other) = (customer(store), customer(store));
    for number in [one, other] {
        for record in 1..=3 {
            let written = store.put_record(put(key(number, record), record, 0)).wait();
            assert!(is_done(&written));
        }
    }
    (one, other)
}

pub fn a_shred_leaves_a_fence_and_no_key(backend: &impl Backend) {
    let store = backend.open();
    let (one, other) = two(&*store);
    let fence = store.shred(one, PAGE, TODAY).wait().expect("shredded");
    let fingerprint: [u8; 32] = Sha256::new()
        .chain_update([1; 40])
        .chain_update([2; 40])
        .finalize()
        .into();
    assert_eq!(
        (fence.epoch, fence.day, fence.fingerprint),
        (1, TODAY, fingerprint)
    );
    let keys = read(&*store, move |rows| rows.customer_keys(one));
    assert!(keys.identity.is_none() && keys.fields.is_empty());
    assert_eq!(keys.fence, Some(fence));
    assert_eq!(read(&*store, move |rows| rows.fence(one)), Some(fence));
    let again = store
        .shred(one, PAGE, oubliette::clock::Day(TODAY.0 + 9))
        .wait();
    assert_eq!(again, Ok(fence), "twice is once");
    let counts = read(&*store, |rows| rows.key_counts());
    assert_eq!(
        counts.epochs,
        [(1, 2, 2, 1)],
        "both pages are dirty, one erasure"
    );
    assert_eq!((counts.customers, counts.generations.len()), (1, 1));
    assert!(
        read(&*store, move |rows| rows.customer_keys(other))
            .identity
            .is_some()
    );
    assert_eq!(
        store.truncate(oubliette::store::DataFile::Keys).wait(),
        Ok(true)
    );
    drop(store);
    let store = backend.open();
    assert_eq!(read(&*store, move |rows| rows.fence(one)), Some(fence));
}

pub fn levels_only_rise_and_each_has_one_leaf(backend: &impl Backend) {
    let store = backend.open();
    let (one, _) = two(&*store);
    assert_eq!(
        store.intend_erasure(intent(one, 999)).wait(),
        Ok(false),
        "no such row"
    );
    let before = leaves(&*store);
    assert_eq!(store.intend_erasure(intent(one, one.0)).wait(), Ok(true));
    let level = || read(&*store, move |rows| rows.erasure(one)).map(|row| row.level);
    assert_eq!((level(), leaves(&*store)), (Some(1), before + 1));
    let unfinished = read(&*store, |rows| rows.erasures());
    assert_eq!(unfinished.len(), 1);
    assert_eq!(
        (unfinished[0].customer, unfinished[0].index_page),
        (one, PAGE)
    );
    assert_eq!(unfinished[0].index_tag, sixteen(one.0));
    for _ in 0..3 {
        store.record_shred(one, leaf()).wait().expect("noted");
    }
    assert_eq!((level(), leaves(&*store)), (Some(2), before + 2));
    for _ in 0..3 {
        store.record_purge(one, leaf()).wait().expect("noted");
    }
    store.record_shred(one, leaf()).wait().expect("too late");
    assert_eq!((level(), leaves(&*store)), (Some(3), before + 3));
    assert!(read(&*store, |rows| rows.erasures()).is_empty());
}

pub fn a_purge_takes_all_of_one_customer_and_nothing_else(backend: &impl Backend) {
    let store = backend.open();
    let (one, other) = two(&*store);
    let known = delete(key(one, 3), 1);
    let ask = known.request.key;
    assert!(is_done(&store.delete_record(known).wait()));
    assert_eq!(store.intend_erasure(intent(one, one.0)).wait(), Ok(true));
    store.shred(one, PAGE, TODAY).wait().expect("shredded");
    let mut rounds = 0;
    while !store.purge(one, None).wait().expect("purged") {
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(store.purge(one, None).wait(), Ok(true), "twice is once");
    for record in 1..=3 {
        let (owner, row) = read(&*store, move |rows| rows.record(one, &sixteen(record)));
        assert!(owner.is_none() && row.is_none());
        let (owner, row) = read(&*store, move |rows| rows.record(other, &sixteen(record)));
        assert!(owner.is_some() && row.is_some());
    }
    assert!(read(&*store, move |rows| rows.request(&ask)).is_none());
    let late = store.put_record(put(key(one, 4), 4, 0)).wait();
    assert!(
        matches!(late, Ok(PutOutcome::Gone)),
        "nothing is written to them any more"
    );
    let left = read(&*store, |rows| {
        rows.records_of_type(TENANT, 1, None, 100, 1 << 20)
    });
    assert!(left.len() == 3 && left.iter().all(|row| row.key.customer == other));
}

pub fn a_tombstone_replaces_only_the_row_that_was_read(backend: &impl Backend) {
    let store = backend.open();
    let (one, _) = two(&*store);
    assert_eq!(store.intend_erasure(intent(one, one.0)).wait(), Ok(true));
    store.shred(one, PAGE, TODAY).wait().expect("shredded");
    let row = || read(&*store, move |rows| rows.index_row(PAGE, &sixteen(one.0)));
    let body = row().expect("there");
    let finish = |old: Vec<u8>| {
        let tombstone = Tombstone {
            old,
            body: b"tombstone".to_vec(),
        };
        while !store
            .purge(one, Some(tombstone.clone()))
            .wait()
            .expect("purged")
        {}
    };
    finish(b"somebody else by now".to_vec());
    assert_eq!(row(), Some(body.clone()), "the row of somebody new stays");
    let changes = || {
        read(&*store, |rows| rows.index_ref(TENANT, 0))
            .expect("there")
            .changes
    };
    let before = changes();
    finish(body);
    assert_eq!(row(), Some(b"tombstone".to_vec()));
    assert!(
        changes() > before,
        "a split that read the old row is refused"
    );
}
