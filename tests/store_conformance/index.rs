//! The pages of the index.

use crate::Backend;
use crate::scene::{PAGE, TENANT, TODAY, customer, intent, leaf, read, sixteen};
use oubliette::id::TenantNumber;
use oubliette::store::{SplitIndex, SplitPart, Store};

const HALF: u32 = 1 << 31;

/// A split of the first page: tags up to `low` to one, the rest to the other.
fn split(store: &dyn Store, low: u64) -> SplitIndex {
    let page = read(store, |rows| rows.index_ref(TENANT, 0)).expect("a page");
    let rows = read(store, move |rows| rows.index_rows(page.page));
    let part = |page, start, take: &dyn Fn(&[u8; 16]) -> bool| SplitPart {
        page,
        start,
        depth: 1,
        rows: rows.iter().filter(|(tag, _)| take(tag)).cloned().collect(),
    };
    SplitIndex {
        tenant: TENANT,
        old: page.page,
        changes: page.changes,
        new: vec![
            part(PAGE + 1, 0, &|tag| *tag <= sixteen(low)),
            part(PAGE + 2, HALF, &|tag| *tag > sixteen(low)),
        ],
    }
}

pub fn a_prefix_belongs_to_one_page(backend: &impl Backend) {
    let store = backend.open();
    for _ in 0..4 {
        customer(&*store);
    }
    let page = |prefix| read(&*store, move |rows| rows.index_ref(TENANT, prefix));
    let whole = page(u32::MAX).expect("there");
    assert_eq!(
        (whole.page, whole.start, whole.depth, whole.rows),
        (PAGE, 0, 0, 4)
    );
    assert_eq!(store.split_index(split(&*store, 2)).wait(), Ok(true));
    for (prefix, expected) in [(0, 2), (HALF - 1, 2), (HALF, 3), (u32::MAX, 3)] {
        assert_eq!(
            page(prefix).map(|page| page.page),
            Some(expected),
            "{prefix:#x}"
        );
    }
    let other = read(&*store, |rows| rows.index_ref(TenantNumber(2), 0));
    assert!(other.is_none(), "a tenant has its own pages");
}

pub fn a_split_moves_every_row_or_none(backend: &impl Backend) {
    let store = backend.open();
    for _ in 0..10 {
        customer(&*store);
    }
    let late = split(&*store, 5);
    customer(&*store);
    assert_eq!(
        store.split_index(late).wait(),
        Ok(false),
        "the page changed meanwhile"
    );
    assert_eq!(read(&*store, |rows| rows.index_rows(PAGE)).len(), 11);
    assert!(read(&*store, |rows| rows.index_rows(PAGE + 1)).is_empty());
    let before = read(&*store, |rows| rows.index_rows(PAGE));
    assert_eq!(store.split_index(split(&*store, 5)).wait(), Ok(true));
    assert!(read(&*store, |rows| rows.index_rows(PAGE)).is_empty());
    let mut after = read(&*store, |rows| rows.index_rows(PAGE + 1));
    assert_eq!(after.len(), 5);
    after.extend(read(&*store, |rows| rows.index_rows(PAGE + 2)));
    assert_eq!(after, before);
    let counted = read(&*store, |rows| rows.index_ref(TENANT, HALF)).expect("there");
    assert_eq!((counted.rows, counted.depth, counted.start), (6, 1, HALF));
}

pub fn a_page_with_an_erasure_under_way_is_not_split(backend: &impl Backend) {
    let store = backend.open();
    let one = customer(&*store);
    customer(&*store);
    assert_eq!(store.intend_erasure(intent(one, one.0)).wait(), Ok(true));
    assert_eq!(store.split_index(split(&*store, 1)).wait(), Ok(false));
    store.shred(one, PAGE, TODAY).wait().expect("shredded");
    store.record_shred(one, leaf()).wait().expect("noted");
    assert_eq!(
        store.split_index(split(&*store, 1)).wait(),
        Ok(false),
        "the purge is to come"
    );
    while !store.purge(one, None).wait().expect("purged") {}
    store.record_purge(one, leaf()).wait().expect("noted");
    assert_eq!(store.split_index(split(&*store, 1)).wait(), Ok(true));
}
