//! The reserve: on a full disk a customer can still be forgotten, and nothing
//! else be done.

use crate::house::House;
use crate::made::{
    INDEX_PAGE, TENANT, TODAY, delete, first_customer, index_page, intent, keys, leaf,
    new_customer, page, put, record, sealed,
};
use crate::on_each;
use oubliette::error::{Error, Result, Unavailable};
use oubliette::id::{CustomerNumber, TenantName, TenantNumber};
use oubliette::store::{DataFile, PageKind, Pending, RecordKey, SplitIndex, TenantRow, Tombstone};

fn refusal<T>(change: Pending<T>) -> Option<Error> {
    change.wait().err()
}

/// What each ordinary change is refused with.
fn ordinary_changes(house: &House, owner: CustomerNumber) -> Vec<(&'static str, Option<Error>)> {
    let row = house.read(move |rows| rows.page(PageKind::Customers, owner.page()));
    let tenant = TenantRow {
        tenant: TenantNumber(50),
        name: TenantName::parse("west").unwrap(),
        epoch: 1,
        wrapped: vec![1],
    };
    let split = SplitIndex {
        tenant: TENANT,
        old: INDEX_PAGE,
        changes: 1,
        new: Vec::new(),
    };
    let new = CustomerNumber(owner.0 + 1);
    vec![
        ("append", refusal(house.append(vec![leaf("read")]))),
        ("allocate_customer", refusal(house.allocate_customer())),
        ("add_page", refusal(house.add_page(page(70, 1)))),
        (
            "create_keys",
            refusal(house.create_keys(keys(new, row.unwrap()))),
        ),
        (
            "create_customer",
            refusal(house.create_customer(new_customer(new, INDEX_PAGE))),
        ),
        ("put_record", refusal(house.put_record(put(owner, 2, 0)))),
        (
            "note_deletion",
            refusal(house.note_deletion(RecordKey::new(owner, 1), TODAY)),
        ),
        (
            "delete_record",
            refusal(house.delete_record(delete(owner, 1, 1))),
        ),
        (
            "add_index_pages",
            refusal(house.add_index_pages(vec![index_page(71, 1)])),
        ),
        (
            "allocate_index_pages",
            refusal(house.allocate_index_pages(1)),
        ),
        ("split_index", refusal(house.split_index(split))),
        ("add_tenant", refusal(house.add_tenant(tenant))),
    ]
}

#[test]
fn while_the_reserve_is_spent_ordinary_changes_are_refused() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        assert!(house.spend_reserve());
        assert!(!house.spend_reserve(), "it is spent once");
        for (change, refused) in ordinary_changes(house, owner) {
            let full = matches!(refused, Some(Error::Unavailable(Unavailable::DiskFull)));
            assert!(full, "{change}: {refused:?}");
        }
        // Nothing was done, and who looks is still answered.
        assert_eq!(house.leaf_count(), 2);
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!(row.records, 1);
        assert!(house.backend.ledger().is_empty());
        let counts = house.read(|rows| rows.key_counts());
        assert_eq!((counts.customer_pages, counts.index_pages), (1, 1));
        assert!(!house.failed());
    });
}

#[test]
fn the_reserve_serves_an_erasure_to_its_end() {
    on_each(|house| {
        let owner = first_customer(house);
        record(&**house, owner, 1);
        let (abandoned, _) = house.allocate_customer().wait().unwrap();
        assert!(house.spend_reserve());
        let steps = || -> Result<()> {
            assert!(house.intend_erasure(intent(owner)).wait()?);
            house.shred(owner, INDEX_PAGE, TODAY).wait()?;
            assert!(house.truncate(DataFile::Keys).wait()?);
            house.record_shred(owner, leaf("shred")).wait()?;
            let tombstone = Tombstone {
                old: sealed("index row", owner),
                body: b"tombstone".to_vec(),
            };
            while !house.purge(owner, Some(tombstone.clone())).wait()? {}
            assert!(house.truncate(DataFile::Vault).wait()?);
            house.record_purge(owner, TODAY, leaf("purge")).wait()?;
            // What start-up needs in order to finish an erasure.
            house.abandon_customer(abandoned).wait()?;
            house.next_boot().wait()?;
            house.forget_requests(TODAY).wait()?;
            Ok(())
        };
        steps().unwrap();
        let erasure = house.read(move |rows| rows.erasure(owner)).unwrap();
        assert_eq!(erasure.level, 3);
        assert_eq!(house.leaf_count(), 2 + 3);
        assert_eq!(house.backend.ledger().len(), 1);
    });
}

#[test]
fn the_reserve_can_be_restored_and_spent_again() {
    on_each(|house| {
        let owner = first_customer(house);
        house.restore_reserve().unwrap();
        for number in 1..=3 {
            assert!(house.spend_reserve());
            assert!(house.put_record(put(owner, number, 0)).wait().is_err());
            house.restore_reserve().unwrap();
            record(&**house, owner, number);
        }
        assert!(house.spend_reserve());
        // A start sets it aside again where there is room.
        house.reopen();
        record(&**house, owner, 4);
    });
}
