//! History rows: found by their locator, however they are kept by now.

use crate::house::House;
use crate::made::{first_customer, leaf, put, wide};
use crate::on_each;
use oubliette::limits;
use oubliette::store::{HistoryRow, LeafRow, PutOutcome};
use std::collections::BTreeMap;

/// A leaf about customer `about`, in an hour.
fn leaf_about(about: u64, slot: i64, nonce: u64) -> LeafRow {
    LeafRow {
        history: Some(HistoryRow {
            slot,
            locator: wide(about),
            nonce: nonce.to_be_bytes(),
            mask: nonce << 32,
        }),
        ..leaf(format!("about {about}"))
    }
}

/// The leaf numbers that a customer's rows of an hour say.
fn found(house: &House, about: u64, slot: i64) -> Vec<u64> {
    let rows = house.read(move |rows| rows.history(slot, &wide(about)));
    let unmask = |(nonce, masked)| u64::from_be_bytes(nonce) << 32 ^ masked;
    let mut leaves: Vec<u64> = rows.into_iter().map(unmask).collect();
    leaves.sort_unstable();
    leaves
}

#[test]
fn a_row_is_found_alone_in_a_batch_and_in_a_run() {
    on_each(|house| {
        let mut expected: BTreeMap<(u64, i64), Vec<u64>> = BTreeMap::new();
        let mut nonce = 0;
        let mut append = |house: &House, slot: i64, many: u64| {
            let about: Vec<u64> = (0..many).map(|n| (nonce + n) * 7 % 11).collect();
            let leaves = about.iter().zip(nonce..);
            let leaves = leaves.map(|(about, nonce)| leaf_about(*about, slot, nonce));
            let first = house.append(leaves.collect()).wait().unwrap();
            for (about, number) in about.into_iter().zip(first..) {
                expected.entry((about, slot)).or_default().push(number);
            }
            nonce += many;
        };
        for _ in 0..3 {
            append(house, 7, 1);
        }
        for _ in 0..limits::HISTORY_BATCHES + 3 {
            append(house, 7, limits::HISTORY_BATCH as u64 + 3);
        }
        append(house, 7, 2);
        append(house, 8, 40);
        append(house, 8, 1);
        for _ in 0..2 {
            for ((about, slot), leaves) in &expected {
                assert_eq!(found(house, *about, *slot), *leaves, "{about} in {slot}");
            }
            assert!(found(house, 12, 7).is_empty());
            assert!(found(house, 1, 9).is_empty());
            house.reopen();
        }
    });
}

#[test]
fn a_change_that_is_refused_leaves_no_row() {
    on_each(|house| {
        let owner = first_customer(house);
        let write = |number, replaces, nonce| oubliette::store::PutRecord {
            leaf: leaf_about(5, 7, nonce),
            ..put(owner, number, replaces)
        };
        let all: Vec<_> = (1..=20_u64)
            .map(|n| house.put_record(write(n.div_ceil(2), 0, n)))
            .collect();
        let mut done = 0;
        for write in all {
            done += usize::from(matches!(write.wait(), Ok(PutOutcome::Done(..))));
        }
        assert_eq!(done, 10, "each number is given once");
        assert_eq!(found(house, 5, 7).len(), done);
    });
}
