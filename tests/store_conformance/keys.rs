//! Numbers, pages and keys.

use crate::made::{TENANT, TODAY, index_page, keys, page, sealed, with_keys};
use crate::on_each;
use oubliette::error::{Error, Unavailable};
use oubliette::id::{CustomerNumber, TenantName, TenantNumber};
use oubliette::store::{EpochState, PageKind, TenantRow};
use std::collections::HashSet;

#[test]
fn a_number_is_handed_out_once_also_to_many_at_once() {
    on_each(|house| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let store = house.share();
                std::thread::spawn(move || {
                    let customers = (0..40).map(|_| store.allocate_customer().wait().unwrap().0);
                    let customers: Vec<_> = customers.collect();
                    let pages = (1..20).map(|count| {
                        let first = store.allocate_index_pages(count).wait().unwrap();
                        first..first + u64::from(count)
                    });
                    (customers, pages.flatten().collect::<Vec<_>>())
                })
            })
            .collect();
        let (mut customers, mut pages, mut pages_taken) = (HashSet::new(), HashSet::new(), 0);
        for thread in threads {
            let (some, of_index) = thread.join().unwrap();
            customers.extend(some);
            pages_taken += of_index.len();
            pages.extend(of_index);
        }
        assert_eq!(customers.len(), 8 * 40);
        assert_eq!(pages.len(), pages_taken);
        assert!(
            !customers.contains(&CustomerNumber(0)),
            "numbers begin at 1"
        );
    });
}

#[test]
fn allocation_never_goes_back() {
    on_each(|house| {
        let (mut customer, mut page) = (0, 0);
        for _ in 0..3 {
            for _ in 0..3 {
                let (next, _) = house.allocate_customer().wait().unwrap();
                assert!(next.0 > customer, "{} after {customer}", next.0);
                house.abandon_customer(next).wait().unwrap();
                let first = house.allocate_index_pages(2).wait().unwrap();
                assert!(first > page, "{first} after {page}");
                (customer, page) = (next.0, first + 1);
            }
            house.reopen();
        }
    });
}

#[test]
fn an_allocated_customer_is_under_way_until_settled_or_abandoned() {
    on_each(|house| {
        let [one, other, third] = [(); 3].map(|()| house.allocate_customer().wait().unwrap().0);
        house.reopen();
        assert_eq!(house.read(|rows| rows.creations()), [one, other, third]);
        house.settle_customer(one).wait().unwrap();
        house.abandon_customer(third).wait().unwrap();
        assert_eq!(house.read(|rows| rows.creations()), [other]);
    });
}

#[test]
fn a_page_keeps_the_first_key_that_was_added() {
    on_each(|house| {
        let (first, late) = (page(0, 1), page(0, 1));
        let kept = first.row.clone();
        assert!(house.add_page(first).wait().unwrap() == kept);
        assert!(house.add_page(late).wait().unwrap() == kept);
        let (_, found) = house.allocate_customer().wait().unwrap();
        assert!(found == Some(kept));
    });
}

#[test]
fn pages_of_both_kinds_have_numbers_of_their_own() {
    on_each(|house| {
        let (of_customers, of_index) = (page(4, 1), index_page(4, 1));
        let expected = (of_customers.row.clone(), of_index.row.clone());
        house.add_page(of_customers).wait().unwrap();
        house.add_index_pages(vec![of_index]).wait().unwrap();
        let customers = house.read(|rows| rows.page(PageKind::Customers, 4));
        let index = house.read(|rows| rows.page(PageKind::Index, 4));
        assert!((customers.unwrap(), index.unwrap()) == expected);
        house.drop_index_page(4).wait().unwrap();
        assert!(house.read(|rows| rows.page(PageKind::Index, 4)).is_none());
        assert!(
            house
                .read(|rows| rows.page(PageKind::Customers, 4))
                .is_some()
        );
    });
}

#[test]
fn keys_are_stored_only_under_the_page_as_it_stands() {
    on_each(|house| {
        let (customer, none) = house.allocate_customer().wait().unwrap();
        assert!(none.is_none());
        let number = customer.page();
        let stored = |row| house.create_keys(keys(customer, row)).wait().unwrap();
        assert!(!stored(page(number, 1).row), "there is no page");
        let row = house.add_page(page(number, 1)).wait().unwrap();
        let mut newer = row.clone();
        newer.generation += 1;
        assert!(!stored(newer));
        let mut later = row.clone();
        later.epoch += 1;
        assert!(!stored(later));
        let mut other = row.clone();
        other.wrapped.push(0);
        assert!(!stored(other));
        let found = house.read(move |rows| rows.customer_keys(customer));
        assert!(found.identity.is_none() && found.fields.is_empty() && found.tenant.is_none());
        assert!(stored(row.clone()));
        let found = house.read(move |rows| rows.customer_keys(customer));
        assert_eq!(found.tenant, Some(TENANT));
        let identity = found.identity.unwrap();
        assert_eq!(identity.generation, 0);
        assert!(identity.wrapped == sealed("identity key", customer));
        assert_eq!(found.fields.len(), 1);
        assert_eq!(found.fields[0].generation, 1);
        assert!(found.fields[0].wrapped == sealed("field key", customer));
        assert!(found.page == Some(row));
        assert!(found.fence.is_none());
    });
}

#[test]
fn a_customer_has_one_set_of_keys() {
    on_each(|house| {
        let customer = with_keys(&**house);
        let row = house.read(move |rows| rows.page(PageKind::Customers, customer.page()));
        let mut again = keys(customer, row.unwrap());
        again.identity = b"another".to_vec();
        assert!(house.create_keys(again).wait().is_err());
        let found = house.read(move |rows| rows.customer_keys(customer));
        assert!(found.identity.unwrap().wrapped == sealed("identity key", customer));
    });
}

#[test]
fn a_fence_keeps_the_keys_from_coming_back() {
    on_each(|house| {
        let customer = with_keys(&**house);
        house.shred(customer, 1, TODAY).wait().unwrap();
        let row = house.read(move |rows| rows.page(PageKind::Customers, customer.page()));
        let again = house.create_keys(keys(customer, row.unwrap())).wait();
        assert!(again.is_err(), "a shredded customer got keys");
        let found = house.read(move |rows| rows.customer_keys(customer));
        assert!(found.identity.is_none() && found.fields.is_empty() && found.fence.is_some());
    });
}

#[test]
fn an_abandoned_creation_leaves_no_keys_and_a_dirty_page() {
    on_each(|house| {
        let (kept, gone) = (with_keys(&**house), with_keys(&**house));
        assert_eq!(house.read(|rows| rows.key_counts()).epochs, [(1, 1, 0, 0)]);
        house.abandon_customer(gone).wait().unwrap();
        let found = house.read(move |rows| rows.customer_keys(gone));
        assert!(found.tenant.is_none() && found.identity.is_none() && found.fields.is_empty());
        assert!(found.fence.is_none(), "who never was is not erased");
        let counts = house.read(|rows| rows.key_counts());
        assert_eq!(counts.epochs, [(1, 1, 1, 0)]);
        assert_eq!(counts.customers, 1);
        assert_eq!(house.read(|rows| rows.creations()), [kept]);
        assert!(
            house
                .truncate(oubliette::store::DataFile::Keys)
                .wait()
                .unwrap()
        );
        assert!(!house.backend.is_on_disk(&sealed("identity key", gone)));
        assert!(house.backend.is_on_disk(&sealed("identity key", kept)));
    });
}

#[test]
fn what_there_is_is_counted() {
    on_each(|house| {
        for _ in 0..3 {
            with_keys(&**house);
        }
        let mut dirty = index_page(8, 1);
        dirty.dirty = true;
        let pages = vec![index_page(7, 1), dirty];
        house.add_index_pages(pages).wait().unwrap();
        let counts = house.read(|rows| rows.key_counts());
        assert_eq!(counts.epochs, [(1, 3, 1, 0)]);
        assert_eq!((counts.customer_pages, counts.index_pages), (1, 2));
        assert_eq!(counts.customers, 3);
        assert_eq!(counts.generations.len(), 1);
        assert_eq!(
            (counts.generations[0].generation, counts.generations[0].keys),
            (1, 3)
        );
    });
}

#[test]
fn a_tenant_has_a_number_and_a_name_of_its_own() {
    on_each(|house| {
        let add = |number, name: &str| {
            let row = TenantRow {
                tenant: TenantNumber(number),
                name: TenantName::parse(name).unwrap(),
                epoch: 1,
                wrapped: vec![1, 2, 3],
            };
            house.add_tenant(row).wait()
        };
        add(2, "north").unwrap();
        add(1, "south").unwrap();
        assert!(add(2, "east").is_err());
        assert!(add(3, "north").is_err());
        let tenants = house.read(|rows| rows.tenants());
        let names: Vec<_> = tenants
            .iter()
            .map(|row| (row.tenant.0, row.name.as_str()))
            .collect();
        assert_eq!(names, [(1, "south"), (2, "north")]);
        assert!(!house.failed(), "a refusal is no failure of storage");
    });
}

#[test]
fn the_founding_is_there_after_each_start() {
    on_each(|house| {
        for boot in 1..4 {
            let deployment = house.read(|rows| rows.deployment());
            assert_eq!(deployment, Some(crate::house::DEPLOYMENT));
            let epochs = house.read(|rows| rows.epochs());
            assert_eq!(epochs.len(), 1);
            assert_eq!((epochs[0].epoch, epochs[0].state), (1, EpochState::Active));
            assert_eq!(
                epochs[0].keys[0].wrapped,
                crate::house::first_epoch().keys[0].wrapped
            );
            assert_eq!(house.next_boot().wait().unwrap(), boot);
            house.reopen();
        }
    });
}

#[test]
fn the_answer_of_a_store_that_is_gone_is_unknown() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<oubliette::error::Result<u64>>();
    drop(sender);
    assert!(matches!(
        oubliette::store::Pending::new(receiver).wait(),
        Err(Error::Unavailable(Unavailable::OutcomeUnknown))
    ));
}
