//! Index pages that are split.

use crate::house::House;
use crate::made::{INDEX_PAGE, TENANT, TODAY, customer, first_customer, intent, leaf, wide};
use crate::on_each;
use oubliette::id::{CustomerNumber, TenantNumber};
use oubliette::store::{IndexRef, SplitIndex, SplitPart};

fn page(house: &House, prefix: u32) -> IndexRef {
    house
        .read(move |rows| rows.index_ref(TENANT, prefix))
        .unwrap()
}

/// The first of three index rows to page 8, the others to page 9.
fn split(house: &House, changes: u64) -> SplitIndex {
    let mut low = house.read(|rows| rows.index_rows(INDEX_PAGE));
    assert_eq!(low.len(), 3);
    let high = low.split_off(1);
    let part = |page, start, rows| SplitPart {
        page,
        start,
        depth: 1,
        rows,
    };
    SplitIndex {
        tenant: TENANT,
        old: INDEX_PAGE,
        changes,
        new: vec![part(8, 0, low), part(9, 1 << 31, high)],
    }
}

fn three_customers(house: &House) -> [CustomerNumber; 3] {
    [
        first_customer(house),
        customer(&**house),
        customer(&**house),
    ]
}

#[test]
fn a_split_page_gives_way_to_its_parts() {
    on_each(|house| {
        let all = three_customers(house);
        let changes = page(house, 0).changes;
        let before = house.read(|rows| rows.index_rows(INDEX_PAGE));
        assert!(house.split_index(split(house, changes)).wait().unwrap());
        house.reopen();
        let (low, high) = (page(house, (1 << 31) - 1), page(house, 1 << 31));
        assert_eq!((low.page, low.start, low.depth, low.rows), (8, 0, 1, 1));
        assert_eq!(
            (high.page, high.start, high.depth, high.rows),
            (9, 1 << 31, 1, 2)
        );
        assert_eq!(page(house, 0), low);
        assert_eq!(page(house, u32::MAX), high);
        assert!(house.read(|rows| rows.index_rows(INDEX_PAGE)).is_empty());
        let mut after = house.read(|rows| rows.index_rows(8));
        after.extend(house.read(|rows| rows.index_rows(9)));
        assert!(after == before);
        let row = house.read(move |rows| rows.index_row(9, &wide(all[2].0)));
        assert!(row.is_some());
        assert!(!house.split_index(split_of_nothing(changes)).wait().unwrap());
    });
}

fn split_of_nothing(changes: u64) -> SplitIndex {
    SplitIndex {
        tenant: TENANT,
        old: INDEX_PAGE,
        changes,
        new: Vec::new(),
    }
}

#[test]
fn a_page_that_changed_meanwhile_is_not_split() {
    on_each(|house| {
        three_customers(house);
        let page_before = page(house, 0);
        let mut wrong = split(house, page_before.changes - 1);
        assert!(!house.split_index(wrong).wait().unwrap());
        wrong = split(house, page_before.changes);
        wrong.tenant = TenantNumber(2);
        assert!(!house.split_index(wrong).wait().unwrap());
        let stale = split(house, page_before.changes);
        customer(&**house);
        assert!(!house.split_index(stale).wait().unwrap());
        assert_eq!(page(house, u32::MAX).page, INDEX_PAGE);
        assert_eq!(house.read(|rows| rows.index_rows(INDEX_PAGE)).len(), 4);
        assert!(house.read(|rows| rows.index_rows(8)).is_empty());
    });
}

#[test]
fn a_page_with_an_unfinished_erasure_is_not_split() {
    on_each(|house| {
        let [owner, ..] = three_customers(house);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        let changes = page(house, 0).changes;
        assert!(!house.split_index(split(house, changes)).wait().unwrap());
        house.record_shred(owner, leaf("shred")).wait().unwrap();
        assert!(!house.split_index(split(house, changes)).wait().unwrap());
        assert_eq!(page(house, 0).page, INDEX_PAGE);
        house
            .record_purge(owner, TODAY, leaf("purge"))
            .wait()
            .unwrap();
        assert!(house.split_index(split(house, changes)).wait().unwrap());
        assert_eq!(page(house, 0).page, 8);
    });
}

#[test]
fn a_tombstone_is_a_change_of_its_page() {
    on_each(|house| {
        let [owner, ..] = three_customers(house);
        assert!(house.intend_erasure(intent(owner)).wait().unwrap());
        // It was read before the tombstone came; with it the erased
        // customer's row would come back.
        let stale = split(house, page(house, 0).changes);
        let tombstone = oubliette::store::Tombstone {
            old: crate::made::sealed("index row", owner),
            body: b"tombstone".to_vec(),
        };
        while !house.purge(owner, Some(tombstone.clone())).wait().unwrap() {}
        house.record_shred(owner, leaf("shred")).wait().unwrap();
        house
            .record_purge(owner, TODAY, leaf("purge"))
            .wait()
            .unwrap();
        assert!(!house.split_index(stale).wait().unwrap());
    });
}
