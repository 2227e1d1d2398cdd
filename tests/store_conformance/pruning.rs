//! Leaves that are pruned: in their turn, but for those that stay, and no hole
//! elsewhere.

use crate::house::House;
use crate::made::{leaf, wide};
use crate::on_each;
use oubliette::store::{BeginPrune, DataFile, HistoryRow, LeafRow, PruneStep, PrunedRow};

fn begin(entries: u64) -> BeginPrune {
    BeginPrune {
        leaf: leaf("pruned"),
        entries,
        until: 99,
    }
}

fn step(after: u64, to: u64, stay: &[u64]) -> PruneStep {
    PruneStep {
        after,
        to,
        stay: stay.to_vec(),
    }
}

fn numbers(house: &House, after: u64, most: usize) -> Vec<u64> {
    let entries = house.read(move |rows| rows.entries(after, most));
    entries.into_iter().map(|(number, _)| number).collect()
}

fn fill(house: &House) {
    let leaves = (1..=8).map(|number| leaf(format!("leaf number {number}")));
    assert_eq!(house.append(leaves.collect()).wait(), Ok(1));
}

#[test]
fn leaves_go_in_their_turn_and_those_that_stay_stay() {
    on_each(|house| {
        fill(house);
        assert_eq!(house.read(|rows| rows.pruned()), None);
        let nobody_said = house.prune_leaves(step(0, 4, &[])).wait();
        assert_eq!(nobody_said, Ok(false));
        assert_eq!(house.begin_prune(begin(6)).wait(), Ok(9));
        assert_eq!(
            house.begin_prune(begin(8)).wait(),
            Ok(0),
            "one is under way"
        );
        for wrong in [step(2, 4, &[]), step(0, 7, &[]), step(4, 4, &[])] {
            assert_eq!(house.prune_leaves(wrong).wait(), Ok(false));
        }
        assert_eq!(house.leaf_count(), 9);
        assert_eq!(house.prune_leaves(step(0, 4, &[1, 3])).wait(), Ok(true));
        assert_eq!(numbers(house, 0, 4), [1, 3, 5, 6]);
        house.reopen();
        let known = |removed| {
            Some(PrunedRow {
                entries: 6,
                removed,
                until: 99,
                leaf: 9,
            })
        };
        assert_eq!(house.read(|rows| rows.pruned()), known(4));
        assert_eq!(
            house.prune_leaves(step(0, 4, &[])).wait(),
            Ok(false),
            "once"
        );
        assert_eq!(house.prune_leaves(step(4, 6, &[6])).wait(), Ok(true));
        assert_eq!(house.read(|rows| rows.pruned()), known(6));
        assert_eq!(numbers(house, 0, 100), [1, 3, 6, 7, 8, 9]);
        assert_eq!(numbers(house, 2, 2), [3, 6]);
        assert!(house.read(|rows| rows.leaf(2)).is_none());
        let third = house.read(|rows| rows.leaf(3)).unwrap();
        assert_eq!(third.0, b"leaf number 3");
        // Later ones go on from there.
        assert_eq!(house.begin_prune(begin(6)).wait(), Ok(0));
        assert_eq!(house.begin_prune(begin(8)).wait(), Ok(10));
        assert_eq!(house.prune_leaves(step(6, 8, &[])).wait(), Ok(true));
        assert_eq!(numbers(house, 0, 100), [1, 3, 6, 9, 10]);
        assert!(house.truncate(DataFile::Vault).wait().unwrap());
        for (number, is_there) in [(1, true), (2, false), (4, false), (7, false)] {
            let text = format!("leaf number {number}");
            assert_eq!(
                house.backend.is_on_disk(text.as_bytes()),
                is_there,
                "{number}"
            );
        }
    });
}

#[test]
fn history_of_hours_before_goes_and_of_others_stays() {
    on_each(|house| {
        let about = |slot: i64, nonce: u64| LeafRow {
            history: Some(HistoryRow {
                slot,
                locator: wide(1),
                nonce: nonce.to_be_bytes(),
                mask: 0,
            }),
            ..leaf("about somebody")
        };
        // Alone, and in a batch.
        for slot in [3, 4, 5] {
            house.append(vec![about(slot, 0)]).wait().unwrap();
            let many = (1..40).map(|nonce| about(slot, nonce)).collect();
            house.append(many).wait().unwrap();
        }
        let found = |slot: i64| house.read(move |rows| rows.history(slot, &wide(1))).len();
        while !house.prune_history(5).wait().unwrap() {}
        assert_eq!((found(3), found(4), found(5)), (0, 0, 40));
    });
}
