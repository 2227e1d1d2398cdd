//! The keys' file: numbers, pages, keys, tenants.

use crate::Backend;
use crate::scene::{EPOCH, TENANT, TODAY, customer, page, put, read, with_keys};
use oubliette::id::{CustomerNumber, TenantName, TenantNumber};
use oubliette::store::{CreateKeys, PageKind, TenantRow};

pub fn a_new_store_is_what_was_founded(backend: &impl Backend) {
    let store = backend.open();
    assert_eq!(read(&*store, |rows| rows.deployment()), Some([7; 16]));
    let epochs = read(&*store, |rows| rows.epochs());
    assert_eq!(epochs.len(), 1);
    assert_eq!((epochs[0].epoch, epochs[0].state), (1, 1));
    assert_eq!(epochs[0].master, EPOCH.row().master);
    assert_eq!(epochs[0].opened, TODAY);
    let counts = read(&*store, |rows| rows.key_counts());
    assert_eq!(
        (counts.customers, counts.customer_pages, counts.index_pages),
        (0, 0, 0)
    );
    assert_eq!(counts.epochs, [(1, 0, 0, 0)]);
    assert_eq!(read(&*store, |rows| rows.leaf_count()), 0);
    assert!(read(&*store, |rows| rows.tenants()).is_empty());
    assert!(read(&*store, |rows| rows.index_ref(TENANT, 0)).is_none());
    assert!(!store.failed());
}

pub fn numbers_are_given_once(backend: &impl Backend) {
    let store = backend.open();
    for expected in 1..=5 {
        let (number, page) = store.allocate_customer().wait().expect("a number");
        assert_eq!((number, page.is_none()), (CustomerNumber(expected), true));
        // Also one that is given back is not given again.
        store.abandon_customer(number).wait().expect("given back");
    }
    let first = store.allocate_index_pages(3).wait().expect("numbers");
    assert_eq!(store.allocate_index_pages(1).wait(), Ok(first + 3));
}

pub fn the_first_key_of_a_page_stays(backend: &impl Backend) {
    let store = backend.open();
    let first = store.add_page(page(0, 1, None)).wait().expect("added");
    let second = store.add_page(page(0, 2, None)).wait().expect("answered");
    assert!(first == second && second.wrapped == vec![1; 40]);
    let (_, found) = store.allocate_customer().wait().expect("a number");
    assert!(found == Some(first), "a number comes with its page");
    let index = page(0, 3, Some(TENANT));
    store.add_index_pages(vec![index]).wait().expect("added");
    let kinds = read(&*store, |rows| {
        Ok((
            rows.page(PageKind::Customers, 0)?,
            rows.page(PageKind::Index, 0)?,
        ))
    });
    let wrapped = |page: Option<oubliette::store::PageRow>| page.expect("there").wrapped;
    assert_eq!(
        (wrapped(kinds.0), wrapped(kinds.1)),
        (vec![1; 40], vec![3; 40])
    );
    store.drop_index_page(0).wait().expect("dropped");
    let counts = read(&*store, |rows| rows.key_counts());
    assert_eq!((counts.customer_pages, counts.index_pages), (1, 0));
}

pub fn keys_are_stored_only_under_the_page_as_it_is(backend: &impl Backend) {
    let store = backend.open();
    let (customer, _) = store.allocate_customer().wait().expect("a number");
    let row = store.add_page(page(0, 1, None)).wait().expect("a page");
    let keys = |page| CreateKeys {
        customer,
        tenant: TENANT,
        page,
        identity: vec![1; 40],
        field: vec![2; 40],
        today: TODAY,
    };
    let mut other = row.clone();
    other.generation = 2;
    assert_eq!(store.create_keys(keys(other)).wait(), Ok(false));
    let none = read(&*store, move |rows| rows.customer_keys(customer));
    assert!(none.identity.is_none() && none.fields.is_empty() && none.tenant.is_none());
    assert_eq!(store.create_keys(keys(row.clone())).wait(), Ok(true));
    let found = read(&*store, move |rows| rows.customer_keys(customer));
    assert_eq!(found.tenant, Some(TENANT));
    assert_eq!(found.identity.expect("there").wrapped, vec![1; 40]);
    assert_eq!(found.fields.len(), 1);
    assert_eq!(
        (found.fields[0].generation, &found.fields[0].wrapped),
        (1, &vec![2; 40])
    );
    assert!(found.page == Some(row) && found.fence.is_none());
}

pub fn a_creation_is_known_until_it_settles(backend: &impl Backend) {
    let store = backend.open();
    let (kept, given_back) = (with_keys(&*store), with_keys(&*store));
    assert_eq!(read(&*store, |rows| rows.creations()), [kept, given_back]);
    store.settle_customer(kept).wait().expect("settled");
    assert_eq!(read(&*store, |rows| rows.creations()), [given_back]);
    let dirty = |store: &dyn oubliette::store::Store| read(store, |rows| rows.key_counts()).epochs;
    assert_eq!(dirty(&*store), [(1, 1, 0, 0)]);
    store
        .abandon_customer(given_back)
        .wait()
        .expect("given back");
    store
        .abandon_customer(given_back)
        .wait()
        .expect("twice is once");
    assert!(read(&*store, |rows| rows.creations()).is_empty());
    assert_eq!(dirty(&*store), [(1, 1, 1, 0)], "the page lost a key");
    let gone = read(&*store, move |rows| rows.customer_keys(given_back));
    assert!(gone.identity.is_none() && gone.fence.is_none());
    let there = read(&*store, move |rows| rows.customer_keys(kept));
    assert!(there.identity.is_some());
}

pub fn a_tenant_is_added_once(backend: &impl Backend) {
    let store = backend.open();
    let row = |number, name: &str| TenantRow {
        tenant: TenantNumber(number),
        name: TenantName::parse(name).expect("a name"),
        epoch: 1,
        wrapped: vec![5; 40],
    };
    store.add_tenant(row(1, "acme")).wait().expect("added");
    assert!(
        store.add_tenant(row(1, "globex")).wait().is_err(),
        "the number is taken"
    );
    assert!(
        store.add_tenant(row(2, "acme")).wait().is_err(),
        "the name is taken"
    );
    store.add_tenant(row(2, "globex")).wait().expect("added");
    let names = read(&*store, |rows| rows.tenants());
    let names: Vec<_> = names
        .iter()
        .map(|row| (row.tenant.0, row.name.as_str()))
        .collect();
    assert_eq!(names, [(1, "acme"), (2, "globex")]);
}

pub fn everything_is_there_after_a_restart(backend: &impl Backend) {
    let store = backend.open();
    assert_eq!(store.next_boot().wait(), Ok(1));
    let number = customer(&*store);
    let record = put(crate::scene::key(number, 1), 1, 0);
    store.put_record(record).wait().expect("written");
    let leaves = read(&*store, |rows| rows.leaves(1, 100));
    drop(store);
    let store = backend.open();
    assert_eq!(store.next_boot().wait(), Ok(2));
    assert_eq!(read(&*store, |rows| rows.leaves(1, 100)), leaves);
    let (owner, record) = read(&*store, move |rows| {
        rows.record(number, &crate::scene::sixteen(1))
    });
    assert_eq!(owner.expect("there").records, 1);
    assert_eq!(record.expect("there").body, b"body 1");
    let (next, _) = store.allocate_customer().wait().expect("a number");
    assert_eq!(next.0, number.0 + 1);
}
