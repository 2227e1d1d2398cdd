//! Records: written, replaced, deleted, each with exactly one leaf.

use crate::house::{House, LedgerEntry};
use crate::made::{
    TENANT, TODAY, TYPE, claim, customer, delete, first_customer, leaf, put, record, wide,
};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::id::{CustomerNumber, TenantNumber};
use oubliette::store::{DeleteRecord, LedgerKind, PutOutcome, PutRecord, RecordKey, RecordRow};

fn written(house: &House, put: PutRecord) -> PutOutcome {
    house.put_record(put).wait().unwrap()
}

fn deleted(house: &House, delete: DeleteRecord) -> PutOutcome {
    house.delete_record(delete).wait().unwrap()
}

fn stored(house: &House, customer: CustomerNumber, number: u64) -> Option<RecordRow> {
    house
        .read(move |rows| rows.record(customer, &wide(number)))
        .1
}

fn last_leaf(house: &House) -> Vec<u8> {
    let count = house.leaf_count();
    house.read(move |rows| rows.leaves(count, 1))[0].0.clone()
}

#[test]
fn a_new_record_is_found_by_its_locator() {
    on_each(|house| {
        let owner = first_customer(house);
        let outcome = written(house, put(owner, 1, 0));
        assert!(outcome == PutOutcome::Done(TODAY, TODAY));
        assert_eq!(last_leaf(house), b"put 1 over 0");
        house.reopen();
        let (row, found) = house.read(move |rows| rows.record(owner, &wide(1)));
        let (row, found, put) = (row.unwrap(), found.unwrap(), put(owner, 1, 0));
        assert_eq!((row.records, row.next_record), (1, 2));
        assert_eq!(found.key, put.key);
        assert_eq!((found.record_type, found.revision), (TYPE, 1));
        assert_eq!((found.schema_version, found.generation), (2, 1));
        assert_eq!((found.created, found.updated), (TODAY, TODAY));
        assert!(found.manifest == put.manifest);
        assert!(found.sealed_id == put.sealed_id && found.body == put.body);
        assert!(stored(house, owner, 2).is_none());
        assert_eq!(house.leaf_count(), 2);
    });
}

#[test]
fn an_update_raises_the_revision_and_keeps_the_first_day() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        let mut update = put(owner, 1, 1);
        update.today = Day(TODAY.0 + 3);
        update.request.today = update.today;
        (update.schema_version, update.generation) = (5, 2);
        (update.body, update.manifest) = (b"newer".to_vec(), [1; 32]);
        let outcome = written(house, update);
        assert!(outcome == PutOutcome::Done(TODAY, Day(TODAY.0 + 3)));
        let row = stored(house, owner, 1).unwrap();
        assert_eq!(
            (row.revision, row.schema_version, row.generation),
            (2, 5, 2)
        );
        assert_eq!((row.created, row.updated), (TODAY, Day(TODAY.0 + 3)));
        assert_eq!((row.body, row.manifest), (b"newer".to_vec(), vec![1; 32]));
        let owner = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!((owner.records, owner.next_record), (1, 2));
        assert_eq!(last_leaf(house), b"put 1 over 1");
        assert_eq!(house.leaf_count(), 3);
    });
}

#[test]
fn a_write_that_lost_the_race_changes_nothing() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        assert!(written(house, put(owner, 1, 1)) != PutOutcome::Lost);
        let leaves = house.leaf_count();
        let mut same_locator = put(owner, 2, 0);
        same_locator.locator = wide(1);
        let mut same_number = put(owner, 1, 0);
        same_number.locator = wide(77);
        let too_far = put(owner, 9, 0);
        let (stale, early, absent) = (put(owner, 1, 1), put(owner, 1, 3), put(owner, 5, 1));
        for lost in [same_locator, same_number, too_far, stale, early, absent] {
            let (request, text) = (lost.request.key, lost.leaf.leaf.clone());
            let outcome = written(house, lost);
            let text = String::from_utf8(text).unwrap();
            assert!(outcome == PutOutcome::Lost, "{text}");
            let known = house.read(move |rows| rows.request(&request, TODAY));
            assert!(known.is_none(), "{text}: the request can be made again");
        }
        for revision in [1, 3] {
            assert!(deleted(house, delete(owner, 1, revision)) == PutOutcome::Lost);
        }
        assert!(deleted(house, delete(owner, 4, 1)) == PutOutcome::Lost);
        assert_eq!(stored(house, owner, 1).unwrap().revision, 2);
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!((row.records, row.next_record), (1, 2));
        assert_eq!(house.leaf_count(), leaves);
    });
}

#[test]
fn of_many_who_write_at_once_one_does() {
    on_each(|house| {
        let owner = first_customer(house);
        for replaces in 0..3 {
            let leaves = house.leaf_count();
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let store = house.share();
                    std::thread::spawn(move || {
                        store.put_record(put(owner, 1, replaces)).wait().unwrap()
                    })
                })
                .collect();
            let (mut done, mut lost) = (0, 0);
            for thread in threads {
                match thread.join().unwrap() {
                    PutOutcome::Done(..) => done += 1,
                    PutOutcome::Lost => lost += 1,
                    PutOutcome::Gone | PutOutcome::Repeated(_) => panic!("neither"),
                }
            }
            assert_eq!((done, lost), (1, 7));
            assert_eq!(stored(house, owner, 1).unwrap().revision, replaces + 1);
            assert_eq!(house.leaf_count(), leaves + 1);
        }
    });
}

#[test]
fn a_write_for_a_customer_who_is_gone_says_so() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        while !house.purge(owner, None).wait().unwrap() {}
        let leaves = house.leaf_count();
        let (new, update) = (put(owner, 2, 0), put(owner, 1, 1));
        let requests = [new.request.key, update.request.key];
        assert!(written(house, new) == PutOutcome::Gone);
        assert!(written(house, update) == PutOutcome::Gone);
        assert!(deleted(house, delete(owner, 1, 1)) == PutOutcome::Gone);
        for request in requests {
            assert!(
                house
                    .read(move |rows| rows.request(&request, TODAY))
                    .is_none()
            );
        }
        assert!(stored(house, owner, 1).is_none() && stored(house, owner, 2).is_none());
        assert_eq!(house.leaf_count(), leaves);
    });
}

#[test]
fn a_write_that_is_asked_for_again_is_told_what_became_of_it() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        let update = put(owner, 1, 1);
        let request = update.request.clone();
        assert!(matches!(written(house, update), PutOutcome::Done(..)));
        let leaves = house.leaf_count();
        // Whatever it asks for now: it was answered.
        for mut again in [put(owner, 1, 1), put(owner, 1, 2), put(owner, 2, 0)] {
            again.request = request.clone();
            let PutOutcome::Repeated(known) = written(house, again) else {
                panic!("a known request was carried out again");
            };
            assert_eq!(
                (known.customer, known.digest, known.outcome),
                (owner, request.digest, 2)
            );
        }
        let mut again = delete(owner, 1, 2);
        again.request = request;
        assert!(matches!(deleted(house, again), PutOutcome::Repeated(_)));
        assert_eq!(stored(house, owner, 1).unwrap().revision, 2);
        assert!(stored(house, owner, 2).is_none());
        assert_eq!(house.leaf_count(), leaves);
    });
}

#[test]
fn a_deleted_record_is_gone_and_its_number_is_not_used_again() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        record(&**house, owner, 2);
        let gone = delete(owner, 1, 1);
        let request = gone.request.clone();
        assert!(matches!(deleted(house, gone), PutOutcome::Done(TODAY, _)));
        assert_eq!(last_leaf(house), b"delete 1");
        assert_eq!(house.leaf_count(), 4);
        assert!(stored(house, owner, 1).is_none());
        assert!(stored(house, owner, 2).is_some());
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!((row.records, row.next_record), (1, 3));
        let known = house.read(move |rows| rows.request(&request.key, TODAY));
        assert_eq!(known.unwrap().outcome, 1, "it says which record it was");
        // The id may be given again, to a record with a number of its own.
        let mut again = put(owner, 3, 0);
        again.locator = wide(1);
        assert!(matches!(written(house, again), PutOutcome::Done(..)));
        let row = stored(house, owner, 1).unwrap();
        assert_eq!((row.key, row.revision), (RecordKey::new(owner, 3), 1));
        let mut old = put(owner, 1, 0);
        old.locator = wide(50);
        assert!(written(house, old) == PutOutcome::Lost);
    });
}

#[test]
fn a_deletion_that_is_asked_for_again_is_told_which_record_it_was() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        let gone = delete(owner, 1, 1);
        let request = gone.request.clone();
        assert!(matches!(deleted(house, gone), PutOutcome::Done(..)));
        let mut again = delete(owner, 1, 1);
        again.request = request;
        let PutOutcome::Repeated(known) = deleted(house, again) else {
            panic!("a known request was carried out again");
        };
        assert_eq!((known.customer, known.outcome), (owner, 1));
        assert_eq!(house.leaf_count(), 3);
    });
}

#[test]
fn a_deletion_stands_in_the_ledger_once_with_the_epoch_of_its_day() {
    on_each(|house| {
        let owner = first_customer(house);
        assert!(house.backend.ledger().is_empty());
        let (key, day) = (RecordKey::new(owner, 7), Day(TODAY.0 + 1));
        house.note_deletion(key, day).wait().unwrap();
        house.reopen();
        let noted = LedgerEntry {
            kind: LedgerKind::RecordDeletion,
            customer: owner,
            number: 7,
            epoch: 1,
            day,
        };
        assert_eq!(house.backend.ledger(), [noted]);
    });
}

#[test]
fn records_of_a_type_come_in_order_and_by_tenant() {
    on_each(|house| {
        let mine = [first_customer(house), customer(&**house)];
        let theirs = TenantNumber(2);
        for number in 1..=3 {
            for owner in mine {
                record(&**house, owner, number);
            }
        }
        let other = crate::made::with_keys(&**house);
        let mut new = crate::made::new_customer(other, 90);
        new.tenant = theirs;
        assert!(house.create_customer(new).wait().is_ok());
        let mut foreign = put(other, 1, 0);
        foreign.tenant = theirs;
        assert!(matches!(written(house, foreign), PutOutcome::Done(..)));
        let mut of_another_type = put(mine[0], 4, 0);
        of_another_type.record_type = TYPE + 1;
        assert!(matches!(
            written(house, of_another_type),
            PutOutcome::Done(..)
        ));

        let all = |tenant, after: Option<RecordKey>, most, bytes| {
            let found =
                house.read(move |rows| rows.records_of_type(tenant, TYPE, after, most, bytes));
            found.iter().map(|row| row.key).collect::<Vec<_>>()
        };
        let expected: Vec<_> = mine
            .iter()
            .flat_map(|owner| (1..=3).map(|number| RecordKey::new(*owner, number)))
            .collect();
        assert_eq!(all(TENANT, None, 100, 1 << 20), expected);
        assert_eq!(all(TENANT, None, 4, 1 << 20), expected[..4]);
        assert_eq!(all(TENANT, Some(expected[3]), 100, 1 << 20), expected[4..]);
        assert_eq!(all(TENANT, Some(expected[5]), 100, 1 << 20), []);
        assert_eq!(all(theirs, None, 100, 1 << 20), [RecordKey::new(other, 1)]);
        assert_eq!(all(TenantNumber(3), None, 100, 1 << 20), []);
        // Two bodies fit; where none does, one comes all the same.
        let weight = put(mine[0], 1, 0).body.len();
        assert_eq!(all(TENANT, None, 100, 2 * weight), expected[..2]);
        assert_eq!(all(TENANT, None, 100, 1), expected[..1]);
    });
}

#[test]
fn a_customers_records_are_listed_without_bodies_and_without_others() {
    on_each(|house| {
        let [one, other] = [first_customer(house), customer(&**house)];
        for number in 1..=4 {
            record(&**house, one, number);
            record(&**house, other, number);
        }
        assert!(matches!(
            deleted(house, delete(one, 2, 1)),
            PutOutcome::Done(..)
        ));
        let list = |owner, after, most| {
            let rows = house.read(move |rows| rows.records_of_customer(owner, TYPE, after, most));
            assert!(
                rows.iter()
                    .all(|row| row.key.customer == owner && row.body.is_empty())
            );
            rows.iter().map(|row| row.key.record.0).collect::<Vec<_>>()
        };
        assert_eq!(list(one, 0, 10), [1, 3, 4]);
        assert_eq!(list(one, 0, 2), [1, 3]);
        assert_eq!(list(one, 3, 10), [4]);
        assert_eq!(list(other, 0, 10), [1, 2, 3, 4]);
        assert_eq!(list(other, 4, 10), [0; 0]);
        let none = house.read(move |rows| rows.records_of_customer(one, TYPE + 1, 0, 10));
        assert!(none.is_empty());
    });
}

#[test]
fn one_locator_is_a_record_of_each_customer() {
    on_each(|house| {
        let [one, other] = [first_customer(house), customer(&**house)];
        record(&**house, one, 1);
        record(&**house, other, 1);
        let mut update = put(one, 1, 1);
        update.leaf = leaf("update");
        update.request = claim();
        assert!(matches!(written(house, update), PutOutcome::Done(..)));
        assert_eq!(stored(house, one, 1).unwrap().revision, 2);
        assert_eq!(stored(house, other, 1).unwrap().revision, 1);
    });
}
