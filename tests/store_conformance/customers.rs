//! Creating customers: one row, one index row, one request, one leaf.

use crate::house::House;
use crate::made::{
    INDEX_PAGE, TENANT, TODAY, customer, first_customer, new_customer, sealed, wide, with_keys,
};
use crate::on_each;
use oubliette::id::TenantNumber;
use oubliette::store::{CreateCustomer, CreateOutcome, IndexRef, Replacement};

fn create(house: &House, new: CreateCustomer) -> CreateOutcome {
    house.create_customer(new).wait().unwrap()
}

fn page_of(house: &House, tenant: TenantNumber, prefix: u32) -> Option<IndexRef> {
    house.read(move |rows| rows.index_ref(tenant, prefix))
}

#[test]
fn a_created_customer_is_found_by_number_and_by_index_row() {
    on_each(|house| {
        let number = with_keys(&**house);
        let new = new_customer(number, 5);
        let request = new.request.clone();
        assert!(matches!(create(house, new), CreateOutcome::Created(1)));
        house.reopen();
        let row = house.read(move |rows| rows.customer(number)).unwrap();
        assert_eq!((row.tenant, row.created), (TENANT, TODAY));
        assert_eq!((row.records, row.next_record), (0, 1));
        assert_eq!(
            (row.state, row.state_mac),
            (b"active".to_vec(), vec![7; 32])
        );
        assert!(row.sealed_id == sealed("customer id", number));
        let body = house.read(move |rows| rows.index_row(5, &wide(number.0)));
        assert!(body.unwrap() == sealed("index row", number));
        let known = house.read(move |rows| rows.request(&request.key, TODAY));
        let known = known.unwrap();
        assert_eq!(
            (known.customer, known.digest, known.outcome),
            (number, request.digest, 0)
        );
        assert_eq!(house.leaf_count(), 1);
    });
}

#[test]
fn the_first_index_page_holds_every_prefix_and_is_made_once() {
    on_each(|house| {
        assert!(page_of(house, TENANT, 0).is_none());
        let (one, other) = (with_keys(&**house), with_keys(&**house));
        assert!(matches!(
            create(house, new_customer(one, 5)),
            CreateOutcome::Created(1)
        ));
        // Another who also found none has made a page that comes too late.
        assert!(matches!(
            create(house, new_customer(other, 6)),
            CreateOutcome::Moved
        ));
        for prefix in [0, 1 << 31, u32::MAX] {
            let page = page_of(house, TENANT, prefix).unwrap();
            assert_eq!((page.page, page.start, page.depth, page.rows), (5, 0, 0, 1));
        }
        assert!(house.read(|rows| rows.index_rows(6)).is_empty());
        assert!(house.read(move |rows| rows.customer(other)).is_none());
        assert_eq!(house.leaf_count(), 1);
        assert!(matches!(
            create(house, new_customer(other, 5)),
            CreateOutcome::Created(2)
        ));
        // Each tenant has a first page.
        let third = with_keys(&**house);
        let mut new = new_customer(third, 7);
        new.tenant = TenantNumber(2);
        assert!(matches!(create(house, new), CreateOutcome::Created(1)));
        assert_eq!(page_of(house, TenantNumber(2), 9).unwrap().page, 7);
        assert_eq!(page_of(house, TENANT, 9).unwrap().page, 5);
    });
}

#[test]
fn a_taken_id_stays_with_whom_it_belongs_to() {
    on_each(|house| {
        let first = first_customer(house);
        let late = with_keys(&**house);
        let mut new = new_customer(late, INDEX_PAGE);
        new.index_tag = wide(first.0);
        let request = new.request.key;
        assert!(matches!(create(house, new), CreateOutcome::Taken));
        let body = house.read(move |rows| rows.index_row(INDEX_PAGE, &wide(first.0)));
        assert!(body.unwrap() == sealed("index row", first));
        assert!(house.read(move |rows| rows.customer(late)).is_none());
        assert!(
            house
                .read(move |rows| rows.request(&request, TODAY))
                .is_none()
        );
        assert_eq!(page_of(house, TENANT, 0).unwrap().rows, 1);
        assert_eq!(house.leaf_count(), 1);
    });
}

#[test]
fn of_many_who_create_one_id_at_once_one_does() {
    on_each(|house| {
        first_customer(house);
        let numbers: Vec<_> = (0..8).map(|_| with_keys(&**house)).collect();
        let threads: Vec<_> = numbers
            .into_iter()
            .map(|number| {
                let store = house.share();
                std::thread::spawn(move || {
                    let mut new = new_customer(number, INDEX_PAGE);
                    new.index_tag = wide(u64::MAX);
                    store.create_customer(new).wait().unwrap()
                })
            })
            .collect();
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let count = |wanted: fn(&CreateOutcome) -> bool| {
            outcomes.iter().filter(|outcome| wanted(outcome)).count()
        };
        assert_eq!(
            count(|outcome| matches!(outcome, CreateOutcome::Created(2))),
            1
        );
        assert_eq!(count(|outcome| matches!(outcome, CreateOutcome::Taken)), 7);
        assert_eq!(house.leaf_count(), 2);
    });
}

#[test]
fn a_creation_that_is_asked_for_again_is_told_what_became_of_it() {
    on_each(|house| {
        let first = first_customer(house);
        let number = with_keys(&**house);
        let new = new_customer(number, INDEX_PAGE);
        let request = new.request.clone();
        assert!(matches!(create(house, new), CreateOutcome::Created(2)));
        let mut again = new_customer(with_keys(&**house), INDEX_PAGE);
        again.request = request.clone();
        let CreateOutcome::Repeated(known) = create(house, again) else {
            panic!("a known request was carried out again");
        };
        assert_eq!(
            (known.customer, known.digest, known.outcome),
            (number, request.digest, 0)
        );
        assert_ne!(known.customer, first);
        assert_eq!(page_of(house, TENANT, 0).unwrap().rows, 2);
        assert_eq!(house.leaf_count(), 2);
    });
}

#[test]
fn a_tombstone_is_replaced_only_as_it_was_read() {
    on_each(|house| {
        let first = first_customer(house);
        let heir = with_keys(&**house);
        let over = |old: Vec<u8>| {
            let mut new = new_customer(heir, INDEX_PAGE);
            new.index_tag = wide(first.0);
            new.replaces = Some(Replacement { old });
            new
        };
        assert!(matches!(
            create(house, over(b"as it was".to_vec())),
            CreateOutcome::Taken
        ));
        assert!(house.read(move |rows| rows.customer(heir)).is_none());
        assert_eq!(house.leaf_count(), 1);
        let old = sealed("index row", first);
        assert!(matches!(
            create(house, over(old)),
            CreateOutcome::Created(1)
        ));
        let rows = house.read(|rows| rows.index_rows(INDEX_PAGE));
        assert_eq!(rows.len(), 1, "replaced, not added");
        assert!(rows[0] == (wide(first.0), sealed("index row", heir)));
        assert_eq!(page_of(house, TENANT, 0).unwrap().rows, 1);
        assert_eq!(house.leaf_count(), 2);
    });
}

#[test]
fn each_change_of_an_index_page_is_counted() {
    on_each(|house| {
        first_customer(house);
        let mut before = page_of(house, TENANT, 0).unwrap();
        for _ in 0..3 {
            customer(&**house);
            let page = page_of(house, TENANT, 0).unwrap();
            assert_eq!(page.rows, before.rows + 1);
            assert!(page.changes > before.changes);
            before = page;
        }
    });
}
