//! Audit leaves: numbered in order, without holes.

use crate::made::{first_customer, leaf, put};
use crate::on_each;
use oubliette::store::{LeafRow, PutOutcome};
use std::collections::BTreeMap;

#[test]
fn leaves_are_numbered_from_one_in_the_order_given() {
    on_each(|house| {
        assert_eq!(house.leaf_count(), 0);
        assert_eq!(house.append(vec![leaf("a"), leaf("b")]).wait().unwrap(), 1);
        let with_empty_detail = LeafRow {
            detail: Vec::new(),
            ..leaf("c")
        };
        assert_eq!(house.append(vec![with_empty_detail]).wait().unwrap(), 3);
        house.reopen();
        assert_eq!(house.append(vec![leaf("d")]).wait().unwrap(), 4);
        let detail = || b"detail".to_vec();
        let all = [
            (b"a".to_vec(), detail()),
            (b"b".to_vec(), detail()),
            (b"c".to_vec(), Vec::new()),
            (b"d".to_vec(), detail()),
        ];
        assert_eq!(house.read(|rows| rows.leaves(1, 10)), all);
        assert_eq!(house.read(|rows| rows.leaves(2, 2)), all[1..3]);
        assert!(house.read(|rows| rows.leaves(5, 10)).is_empty());
        assert_eq!(house.leaf_count(), 4);
    });
}

#[test]
fn sixteen_callers_at_once_leave_no_hole() {
    on_each(|house| {
        let owner = first_customer(house);
        let threads: Vec<_> = (0..16_u64)
            .map(|caller| {
                let store = house.share();
                std::thread::spawn(move || {
                    let mut mine = BTreeMap::new();
                    for turn in 0..20_u64 {
                        let texts: Vec<String> = (0..=turn % 3)
                            .map(|of| format!("{caller} {turn} {of}"))
                            .collect();
                        let leaves = texts.iter().map(|text| leaf(text.as_str())).collect();
                        let first = store.append(leaves).wait().unwrap();
                        mine.extend((first..).zip(texts));
                        // Writes take leaves too, those that lose none.
                        let write = put(owner, 1 + turn, 0);
                        let _ = store.put_record(write).wait().unwrap();
                    }
                    mine
                })
            })
            .collect();
        let mut told = BTreeMap::new();
        let mut calls = 0;
        for thread in threads {
            let mine = thread.join().unwrap();
            calls += mine.len();
            told.extend(mine);
        }
        assert_eq!(told.len(), calls, "a number was given twice");
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        let expected = 1 + u64::try_from(calls).unwrap() + row.records;
        assert_eq!(house.leaf_count(), expected);
        let all = house.read(|rows| rows.leaves(1, 10_000));
        assert_eq!(u64::try_from(all.len()).unwrap(), expected, "a hole");
        for (number, text) in told {
            let at = usize::try_from(number - 1).unwrap();
            assert_eq!(all[at].0, text.as_bytes());
        }
    });
}

#[test]
fn a_leaf_and_its_write_come_together() {
    on_each(|house| {
        let owner = first_customer(house);
        let writes: Vec<_> = (1..=50)
            .map(|number| house.put_record(put(owner, number, 0)))
            .collect();
        // Whoever looks meanwhile sees as many leaves as records.
        for _ in 0..20 {
            let (records, leaves) = house.read(move |rows| {
                let row = rows.customer(owner)?.unwrap();
                Ok((row.records, rows.leaf_count()?))
            });
            assert_eq!(leaves, records + 1);
        }
        for write in writes {
            assert!(matches!(write.wait().unwrap(), PutOutcome::Done(..)));
        }
        assert_eq!(house.leaf_count(), 51);
    });
}

/// C2SP tlog-tiles has two bytes for a leaf's length.
#[test]
fn a_leaf_that_no_export_could_carry_is_refused_and_spoils_no_other() {
    on_each(|house| {
        let long = |bytes| leaf("x".repeat(bytes).as_str());
        let most = oubliette::limits::LEAF_BYTES;
        let fits = house.append(vec![leaf("a"), long(most)]);
        let too_long = house.append(vec![leaf("b"), long(most + 1)]);
        let after = house.append(vec![leaf("c")]);
        assert_eq!(fits.wait(), Ok(1));
        let refused = too_long.wait().unwrap_err();
        assert_eq!(refused.reason(), "LIMIT_REACHED");
        assert_eq!(after.wait(), Ok(3));
        assert!(!house.failed());
        assert_eq!(house.leaf_count(), 3);
    });
}
