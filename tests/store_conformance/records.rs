//! Customers, records, requests and leaves.

use crate::Backend;
use crate::scene::{
    PAGE, TENANT, TODAY, customer, delete, is_done, is_lost, key, leaf, leaves, new_customer, put,
    read, request, sixteen, with_keys,
};
use oubliette::clock::Day;
use oubliette::id::{CustomerNumber, TenantNumber};
use oubliette::store::{CreateOutcome, PutOutcome, RecordKey, Replacement};

pub fn leaves_are_numbered_without_a_hole(backend: &impl Backend) {
    let store = backend.open();
    let (first, second) = (vec![leaf(), leaf(), leaf()], vec![leaf()]);
    let written: Vec<_> = first.iter().chain(&second).cloned().collect();
    assert_eq!(store.append(first).wait(), Ok(1));
    assert_eq!(store.append(second).wait(), Ok(4));
    let found = read(&*store, |rows| rows.leaves(1, 100));
    let expected: Vec<_> = written
        .into_iter()
        .map(|row| (row.leaf, row.detail))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(read(&*store, |rows| rows.leaves(3, 1)), expected[2..3]);
    assert_eq!(leaves(&*store), 4);
}

pub fn a_customer_is_created_once(backend: &impl Backend) {
    let store = backend.open();
    let (first, second) = (with_keys(&*store), with_keys(&*store));
    let new = new_customer(first, 1);
    let ask = new.request.clone();
    let created = store.create_customer(new).wait();
    assert!(matches!(created, Ok(CreateOutcome::Created(1))));
    let row = read(&*store, move |rows| rows.customer(first)).expect("there");
    assert_eq!((row.tenant, row.created, row.records), (TENANT, TODAY, 0));
    assert_eq!((row.state, row.state_mac), (vec![1; 13], vec![4; 32]));
    assert_eq!(row.sealed_id, format!("id of {}", first.0).into_bytes());

    let taken = store.create_customer(new_customer(second, 1)).wait();
    assert!(matches!(taken, Ok(CreateOutcome::Taken)));
    let mut elsewhere = new_customer(second, 2);
    elsewhere.index_page = PAGE + 7;
    let moved = store.create_customer(elsewhere).wait();
    assert!(matches!(moved, Ok(CreateOutcome::Moved)));
    let mut again = new_customer(second, 2);
    again.request = ask.clone();
    match store.create_customer(again).wait() {
        Ok(CreateOutcome::Repeated(row)) => {
            assert_eq!((row.customer, row.digest), (first, ask.digest));
        }
        _ => panic!("a known request"),
    }
    // None of the three left anything behind.
    assert!(read(&*store, move |rows| rows.customer(second)).is_none());
    let page = read(&*store, |rows| rows.index_ref(TENANT, 0)).expect("there");
    assert_eq!((page.rows, leaves(&*store)), (1, 1));

    // A tombstone is replaced only as it was read.
    let mut late = new_customer(second, 1);
    late.replaces = Some(Replacement {
        old: b"another body".to_vec(),
    });
    let taken = store.create_customer(late).wait();
    assert!(matches!(taken, Ok(CreateOutcome::Taken)));
    let mut anew = new_customer(second, 1);
    anew.replaces = Some(Replacement {
        old: format!("body of {}", first.0).into_bytes(),
    });
    let created = store.create_customer(anew).wait();
    assert!(matches!(created, Ok(CreateOutcome::Created(1))));
    let body = read(&*store, |rows| rows.index_row(PAGE, &sixteen(1)));
    assert_eq!(body, Some(format!("body of {}", second.0).into_bytes()));
}

pub fn a_record_is_written_at_its_revision_and_no_other(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    let nobody = CustomerNumber(number.0 + 100);
    let gone = store.put_record(put(key(nobody, 1), 1, 0)).wait();
    assert!(matches!(gone, Ok(PutOutcome::Gone)));
    assert!(
        is_lost(&store.put_record(put(key(number, 2), 1, 0)).wait()),
        "not the next number"
    );
    let before = leaves(&*store);
    let first = put(key(number, 1), 1, 0);
    let ask = first.request.clone();
    let done = store.put_record(first).wait();
    assert!(matches!(done, Ok(PutOutcome::Done(TODAY, TODAY))));
    assert!(
        is_lost(&store.put_record(put(key(number, 2), 1, 0)).wait()),
        "the locator is taken"
    );
    assert!(
        is_lost(&store.put_record(put(key(number, 1), 1, 2)).wait()),
        "not that revision"
    );
    let mut again = put(key(number, 1), 1, 1);
    again.request = ask.clone();
    match store.put_record(again).wait() {
        Ok(PutOutcome::Repeated(row)) => assert_eq!((row.customer, row.outcome), (number, 1)),
        _ => panic!("a known request"),
    }
    assert_eq!(leaves(&*store), before + 1, "one leaf for one change");
    let mut second = put(key(number, 1), 1, 1);
    second.today = Day(TODAY.0 + 1);
    let done = store.put_record(second).wait();
    assert!(matches!(done, Ok(PutOutcome::Done(TODAY, Day(20_001)))));
    let (owner, row) = read(&*store, move |rows| rows.record(number, &sixteen(1)));
    let (owner, row) = (owner.expect("there"), row.expect("there"));
    assert_eq!((owner.records, owner.next_record), (1, 2));
    assert_eq!(
        (row.key, row.revision, row.record_type),
        (key(number, 1), 2, 1)
    );
    assert_eq!((row.schema_version, row.generation), (5, 1));
    assert_eq!((row.body, row.manifest), (b"body 2".to_vec(), vec![6; 32]));
    assert_eq!(row.sealed_id, b"record's id", "it is kept");
}

pub fn a_record_is_deleted_with_its_way_to_it(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    store
        .put_record(put(key(number, 1), 1, 0))
        .wait()
        .expect("written");
    store
        .note_deletion(key(number, 1), TODAY)
        .wait()
        .expect("noted");
    assert!(is_lost(
        &store.delete_record(delete(key(number, 1), 2)).wait()
    ));
    let gone = delete(key(number, 1), 1);
    let ask = gone.request.clone();
    assert!(is_done(&store.delete_record(gone).wait()));
    let mut again = delete(key(number, 1), 1);
    again.request = ask;
    let repeated = store.delete_record(again).wait();
    assert!(matches!(repeated, Ok(PutOutcome::Repeated(_))));
    assert!(is_lost(
        &store.delete_record(delete(key(number, 1), 1)).wait()
    ));
    let nobody = key(CustomerNumber(number.0 + 100), 1);
    let gone = store.delete_record(delete(nobody, 1)).wait();
    assert!(matches!(gone, Ok(PutOutcome::Gone)));
    let (owner, row) = read(&*store, move |rows| rows.record(number, &sixteen(1)));
    assert!(row.is_none());
    let owner = owner.expect("there");
    assert_eq!(
        (owner.records, owner.next_record),
        (0, 2),
        "the number is not given again"
    );
    assert!(
        is_done(&store.put_record(put(key(number, 2), 1, 0)).wait()),
        "the locator is free"
    );
}

pub fn records_are_found_by_type_in_order(backend: &impl Backend) {
    let store = backend.open();
    let everybody = [customer(&*store), customer(&*store), customer(&*store)];
    for number in everybody {
        for record in 1..=3 {
            let mut one = put(key(number, record), record, 0);
            one.record_type = if record == 2 { 2 } else { 1 };
            one.body = vec![7; 100];
            assert!(is_done(&store.put_record(one).wait()));
        }
    }
    let [a, b, c] = everybody;
    let find = |tenant, of_type, after, most, bytes| -> Vec<RecordKey> {
        let found = read(&*store, move |rows| {
            rows.records_of_type(tenant, of_type, after, most, bytes)
        });
        found.into_iter().map(|row| row.key).collect()
    };
    let all = [
        key(a, 1),
        key(a, 3),
        key(b, 1),
        key(b, 3),
        key(c, 1),
        key(c, 3),
    ];
    assert_eq!(find(TENANT, 1, None, 100, 1 << 20), all);
    assert_eq!(
        find(TENANT, 2, None, 100, 1 << 20),
        everybody.map(|of| key(of, 2))
    );
    assert_eq!(find(TENANT, 1, Some(key(a, 3)), 2, 1 << 20), all[2..4]);
    assert_eq!(
        find(TENANT, 1, None, 100, 250),
        all[..2],
        "as many as the bytes allow"
    );
    assert_eq!(find(TENANT, 1, None, 100, 1), all[..1], "but one at least");
    assert!(find(TenantNumber(2), 1, None, 100, 1 << 20).is_empty());
    let of_b = read(&*store, move |rows| rows.records_of_customer(b, 1, 0, 100));
    assert_eq!(
        of_b.iter().map(|row| row.key).collect::<Vec<_>>(),
        [key(b, 1), key(b, 3)]
    );
    assert!(
        of_b.iter()
            .all(|row| row.body.is_empty() && !row.sealed_id.is_empty())
    );
    let rest = read(&*store, move |rows| rows.records_of_customer(b, 1, 1, 1));
    assert_eq!(
        rest.iter().map(|row| row.key).collect::<Vec<_>>(),
        [key(b, 3)]
    );
}

pub fn a_request_is_known_for_its_days(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    let mut asked = Vec::new();
    for (record, day) in [(1, 10), (2, 11), (3, 12)] {
        let mut one = put(key(number, record), record, 0);
        one.request.today = Day(day);
        asked.push(one.request.key);
        assert!(is_done(&store.put_record(one).wait()));
    }
    let known = |key| read(&*store, move |rows| rows.request(&key)).is_some();
    assert!(asked.iter().all(|key| known(*key)) && !known(request().key));
    assert_eq!(store.forget_requests(Day(12)).wait(), Ok(2));
    assert_eq!(
        asked.iter().map(|key| known(*key)).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(store.forget_requests(Day(12)).wait(), Ok(0));
}

pub fn a_change_that_fails_half_way_leaves_nothing(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    let before = leaves(&*store);
    // The index row comes first and is new; the number is taken.
    let twice = new_customer(number, 77);
    let ask = twice.request.key;
    assert!(store.create_customer(twice).wait().is_err());
    assert!(read(&*store, |rows| rows.index_row(PAGE, &sixteen(77))).is_none());
    let page = read(&*store, |rows| rows.index_ref(TENANT, 0)).expect("there");
    assert_eq!((page.rows, leaves(&*store)), (1, before));
    assert!(read(&*store, move |rows| rows.request(&ask)).is_none());
    assert!(!store.failed(), "a refusal is no failure");
}

pub fn a_change_that_fails_spoils_none_beside_it(backend: &impl Backend) {
    let store = backend.open();
    let number = customer(&*store);
    let before = leaves(&*store);
    // Made without waiting, so that they share commits.
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for round in 0..200 {
        good.push(store.append(vec![leaf()]));
        if round % 7 == 0 {
            bad.push(store.create_customer(new_customer(number, 1_000 + round)));
        }
    }
    let numbers: Vec<u64> = good
        .into_iter()
        .map(|one| one.wait().expect("written"))
        .collect();
    assert_eq!(numbers, (before + 1..=before + 200).collect::<Vec<_>>());
    assert!(bad.into_iter().all(|one| one.wait().is_err()));
    assert_eq!(leaves(&*store), before + 200);
}
