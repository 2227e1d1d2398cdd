//! Forgetting a customer, step by step, each of which may be repeated.

use crate::house::House;
use crate::made::{
    INDEX_PAGE, TENANT, TODAY, customer, first_customer, index_page, intent, leaf, new_customer,
    page, put, record, sealed, wide, with_keys,
};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::id::CustomerNumber;
use oubliette::limits;
use oubliette::store::{CreateOutcome, DataFile, LedgerKind, PutOutcome, Tombstone};
use sha2::{Digest, Sha256};

fn tombstone(customer: CustomerNumber) -> Tombstone {
    Tombstone {
        old: sealed("index row", customer),
        body: b"tombstone".to_vec(),
    }
}

fn level(house: &House, customer: CustomerNumber) -> Option<u8> {
    house
        .read(move |rows| rows.erasure(customer))
        .map(|row| row.level)
}

/// All the steps in their order.
fn erase(house: &House, customer: CustomerNumber) {
    assert!(house.intend_erasure(intent(customer)).wait().unwrap());
    house.shred(customer, INDEX_PAGE, TODAY).wait().unwrap();
    assert!(house.truncate(DataFile::Keys).wait().unwrap());
    house.record_shred(customer, leaf("shred")).wait().unwrap();
    while !house
        .purge(customer, Some(tombstone(customer)))
        .wait()
        .unwrap()
    {}
    assert!(house.truncate(DataFile::Vault).wait().unwrap());
    house
        .record_purge(customer, TODAY, leaf("purge"))
        .wait()
        .unwrap();
}

#[test]
fn an_erasure_is_intended_only_where_the_index_row_is() {
    on_each(|house| {
        let owner = first_customer(house);
        let mut elsewhere = intent(owner);
        elsewhere.index_page += 1;
        let mut another = intent(owner);
        another.index_tag = wide(1 << 40);
        for wrong in [elsewhere, another] {
            assert!(!house.intend_erasure(wrong).wait().unwrap());
        }
        assert_eq!(level(house, owner), None);
        assert_eq!(house.leaf_count(), 1);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        let row = house.read(move |rows| rows.erasure(owner)).unwrap();
        assert_eq!((row.customer, row.tenant, row.level), (owner, TENANT, 1));
        assert_eq!((row.index_page, row.index_tag), (INDEX_PAGE, wide(owner.0)));
        assert_eq!(house.leaf_count(), 2);
        assert_eq!(house.read(|rows| rows.leaves(2, 1))[0].0, b"intent");
    });
}

#[test]
fn an_intent_that_comes_again_takes_nothing_back() {
    on_each(|house| {
        let owner = first_customer(house);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        house.record_shred(owner, leaf("shred")).wait().unwrap();
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        assert_eq!(level(house, owner), Some(2));
        assert_eq!(house.read(|rows| rows.erasures()).len(), 1);
    });
}

#[test]
fn a_shred_leaves_a_fence_in_place_of_the_keys() {
    on_each(|house| {
        let (owner, other) = (first_customer(house), customer(&**house));
        let day = Day(TODAY.0 + 2);
        let fence = house.shred(owner, INDEX_PAGE, day).wait().unwrap();
        let mut destroyed = Sha256::new();
        destroyed.update(sealed("identity key", owner));
        destroyed.update(sealed("field key", owner));
        let fingerprint: [u8; 32] = destroyed.finalize().into();
        assert_eq!((fence.epoch, fence.day), (1, day));
        assert_eq!(fence.fingerprint, fingerprint);
        house.reopen();
        assert_eq!(house.read(move |rows| rows.fence(owner)), Some(fence));
        let keys = house.read(move |rows| rows.customer_keys(owner));
        assert!(keys.tenant.is_none() && keys.identity.is_none() && keys.fields.is_empty());
        assert_eq!(keys.fence, Some(fence));
        let counts = house.read(|rows| rows.key_counts());
        assert_eq!(
            counts.epochs,
            [(1, 2, 2, 1)],
            "two pages, both dirty, one fence"
        );
        assert_eq!(counts.customers, 1);
        let keys = house.read(move |rows| rows.customer_keys(other));
        assert!(keys.identity.is_some() && keys.fence.is_none());
        assert_eq!(house.read(move |rows| rows.fence(other)), None);
    });
}

#[test]
fn shredding_twice_changes_nothing() {
    on_each(|house| {
        let owner = first_customer(house);
        let fence = house.shred(owner, INDEX_PAGE, TODAY).wait().unwrap();
        let later = Day(TODAY.0 + 1);
        assert_eq!(house.shred(owner, INDEX_PAGE, later).wait().unwrap(), fence);
        assert_eq!(house.shred(owner, 99, later).wait().unwrap(), fence);
        let ledger = house.backend.ledger();
        assert_eq!(ledger.len(), 1);
        assert_eq!(
            (ledger[0].kind, ledger[0].customer),
            (LedgerKind::Erasure, owner)
        );
        assert_eq!((ledger[0].epoch, ledger[0].day), (1, TODAY));
        assert_eq!(house.read(move |rows| rows.fence(owner)), Some(fence));
    });
}

#[test]
fn of_many_who_shred_at_once_all_see_one_fence() {
    on_each(|house| {
        let owner = first_customer(house);
        let threads: Vec<_> = (0..8)
            .map(|late| {
                let (store, day) = (house.share(), Day(TODAY.0 + late));
                std::thread::spawn(move || store.shred(owner, INDEX_PAGE, day).wait().unwrap())
            })
            .collect();
        let fences: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert!(fences.iter().all(|fence| *fence == fences[0]));
        assert_eq!(house.backend.ledger().len(), 1);
    });
}

#[test]
fn the_fence_bears_the_later_epoch_of_both_pages() {
    for (of_customers, of_index, expected) in [(2, 3, 3), (5, 4, 5), (6, 6, 6)] {
        on_each(|house| {
            let (owner, _) = house.allocate_customer().wait().unwrap();
            let row = house
                .add_page(page(owner.page(), of_customers))
                .wait()
                .unwrap();
            let keys = crate::made::keys(owner, row);
            assert!(house.create_keys(keys).wait().unwrap());
            // Neither the index page of the one number counts, nor the
            // customer page of the other.
            let pages = vec![index_page(40, of_index), index_page(owner.page(), 90)];
            house.add_index_pages(pages).wait().unwrap();
            house.add_page(page(40, 91)).wait().unwrap();
            let fence = house.shred(owner, 40, TODAY).wait().unwrap();
            assert_eq!(fence.epoch, expected);
            assert_eq!(house.backend.ledger()[0].epoch, expected);
        });
    }
}

#[test]
fn nothing_of_shredded_keys_stays_on_disk() {
    on_each(|house| {
        let first = first_customer(house);
        let mut all = vec![first];
        all.extend((0..299).map(|_| with_keys(&**house)));
        let (gone, kept): (Vec<CustomerNumber>, Vec<_>) =
            all.into_iter().partition(|customer| customer.0 % 3 == 0);
        for customer in &gone {
            assert!(house.backend.is_on_disk(&sealed("field key", *customer)));
            house.shred(*customer, INDEX_PAGE, TODAY).wait().unwrap();
        }
        assert!(house.truncate(DataFile::Keys).wait().unwrap());
        for what in ["identity key", "field key"] {
            for customer in &gone {
                let bytes = sealed(what, *customer);
                assert!(
                    !house.backend.is_on_disk(&bytes),
                    "{what} of {}",
                    customer.0
                );
            }
            for customer in &kept {
                assert!(house.backend.is_on_disk(&sealed(what, *customer)));
            }
        }
    });
}

#[test]
fn each_level_of_an_erasure_is_reached_once_with_one_leaf() {
    on_each(|house| {
        let owner = first_customer(house);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        let leaves = house.leaf_count();
        for _ in 0..3 {
            house.record_shred(owner, leaf("shred")).wait().unwrap();
            assert_eq!(level(house, owner), Some(2));
            assert_eq!(house.read(|rows| rows.erasures()).len(), 1);
        }
        assert_eq!(house.leaf_count(), leaves + 1);
        for _ in 0..3 {
            house
                .record_purge(owner, TODAY, leaf("purge"))
                .wait()
                .unwrap();
            house.record_shred(owner, leaf("shred")).wait().unwrap();
            assert_eq!(level(house, owner), Some(3));
            assert!(house.read(|rows| rows.erasures()).is_empty());
        }
        assert_eq!(house.leaf_count(), leaves + 2);
        let last = house.read(move |rows| rows.leaves(leaves + 1, 9));
        let texts: Vec<_> = last.iter().map(|(leaf, _)| leaf.as_slice()).collect();
        assert_eq!(texts, [b"shred", b"purge"]);
    });
}

#[test]
fn what_was_not_intended_has_no_levels() {
    on_each(|house| {
        let owner = first_customer(house);
        house.record_shred(owner, leaf("shred")).wait().unwrap();
        house
            .record_purge(owner, TODAY, leaf("purge"))
            .wait()
            .unwrap();
        assert_eq!(level(house, owner), None);
        assert_eq!(house.leaf_count(), 1);
    });
}

#[test]
fn a_purge_goes_in_steps_until_nothing_is_left() {
    on_each(|house| {
        let (owner, other) = (first_customer(house), customer(&**house));
        let many = u64::try_from(limits::PURGE_ROWS).unwrap() + 7;
        let puts: Vec<_> = (1..=many)
            .map(|number| house.put_record(put(owner, number, 0)))
            .collect();
        for put in puts {
            assert!(matches!(put.wait().unwrap(), PutOutcome::Done(..)));
        }
        record(&**house, other, 1);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        house.shred(owner, INDEX_PAGE, TODAY).wait().unwrap();
        let purge = || house.purge(owner, Some(tombstone(owner))).wait().unwrap();
        assert!(!purge(), "a step takes no more than its share");
        let left = house.read(move |rows| rows.records_of_type(TENANT, 3, None, 99, 1 << 20));
        assert_eq!(
            left.iter().filter(|row| row.key.customer == owner).count(),
            7
        );
        let body = house.read(move |rows| rows.index_row(INDEX_PAGE, &wide(owner.0)));
        assert!(
            body.unwrap() == tombstone(owner).old,
            "the tombstone comes last"
        );
        let mut steps = 1;
        while !purge() {
            steps += 1;
            assert!(steps < 10, "each step takes something");
        }
        let body = house.read(move |rows| rows.index_row(INDEX_PAGE, &wide(owner.0)));
        assert_eq!(body.unwrap(), b"tombstone");
        assert!(purge(), "once more changes nothing");
        let of_other = house.read(move |rows| rows.record(other, &wide(1)));
        assert!(of_other.0.is_some() && of_other.1.is_some());
    });
}

#[test]
fn an_erasure_leaves_only_what_must_stay() {
    on_each(|house| {
        let (owner, other) = (first_customer(house), customer(&**house));
        for number in 1..=40 {
            record(&**house, owner, number);
            record(&**house, other, number);
        }
        let gone = house.delete_record(crate::made::delete(owner, 2, 1));
        assert!(gone.wait().is_ok());
        let whose = format!(" of {:08}|", owner.0).into_bytes();
        let before = house.backend.tables_about(owner, &whose);
        assert!(before.len() > 5, "{before:?}");
        erase(house, owner);
        // The fence, the ledger and what the certificate says of the keys by
        // number only; leaves and tombstone hold nothing that the test put
        // there about the customer.
        let mut left = house.backend.tables_about(owner, &whose);
        left.sort_unstable();
        assert_eq!(left, ["destroyed_keys", "erasures", "fences", "ledger"]);
        assert!(!house.backend.is_on_disk(&whose), "remnants on disk");
        let whose = format!(" of {:08}|", other.0).into_bytes();
        assert!(house.backend.is_on_disk(&whose));
        assert_eq!(level(house, owner), Some(3));
        let (row, found) = house.read(move |rows| rows.record(owner, &wide(1)));
        assert!(row.is_none() && found.is_none());
        let records = house.read(move |rows| rows.records_of_customer(other, 3, 0, 99));
        assert_eq!(records.len(), 40);
    });
}

#[test]
fn the_steps_of_an_erasure_may_be_cut_off_anywhere() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        house.reopen();
        assert_eq!(house.read(|rows| rows.erasures())[0].level, 1);
        let fence = house.shred(owner, INDEX_PAGE, TODAY).wait().unwrap();
        house.reopen();
        assert_eq!(house.read(|rows| rows.erasures())[0].level, 1);
        assert_eq!(house.shred(owner, INDEX_PAGE, TODAY).wait().unwrap(), fence);
        house.record_shred(owner, leaf("shred")).wait().unwrap();
        house.reopen();
        assert_eq!(house.read(|rows| rows.erasures())[0].level, 2);
        assert!(!house.purge(owner, Some(tombstone(owner))).wait().unwrap());
        house.reopen();
        while !house.purge(owner, Some(tombstone(owner))).wait().unwrap() {}
        house
            .record_purge(owner, TODAY, leaf("purge"))
            .wait()
            .unwrap();
        house.reopen();
        assert!(house.read(|rows| rows.erasures()).is_empty());
        assert_eq!(level(house, owner), Some(3));
    });
}

#[test]
fn a_purge_leaves_an_index_row_that_is_another_by_now() {
    on_each(|house| {
        let owner = first_customer(house);
        erase(house, owner);
        let heir = with_keys(&**house);
        let mut new = new_customer(heir, INDEX_PAGE);
        new.index_tag = wide(owner.0);
        new.replaces = Some(oubliette::store::Replacement {
            old: b"tombstone".to_vec(),
        });
        let created = house.create_customer(new).wait().unwrap();
        assert!(matches!(created, CreateOutcome::Created(1)));
        assert!(house.purge(owner, Some(tombstone(owner))).wait().unwrap());
        let body = house.read(move |rows| rows.index_row(INDEX_PAGE, &wide(owner.0)));
        assert!(body.unwrap() == sealed("index row", heir));
        assert!(house.read(move |rows| rows.customer(heir)).is_some());
    });
}

#[test]
fn a_record_that_comes_in_during_the_purge_goes_with_it() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        house.shred(owner, INDEX_PAGE, TODAY).wait().unwrap();
        assert!(!house.purge(owner, None).wait().unwrap());
        // Its keys were read before the shred.
        record(&**house, owner, 2);
        assert!(!house.purge(owner, None).wait().unwrap());
        while !house.purge(owner, None).wait().unwrap() {}
        let late = house.put_record(put(owner, 3, 0)).wait().unwrap();
        assert!(late == PutOutcome::Gone);
        let (row, found) = house.read(move |rows| rows.record(owner, &wide(2)));
        assert!(row.is_none() && found.is_none());
    });
}
