//! Rows made for the tests. Whatever must be unique is counted on.

use crate::house::House;
use oubliette::clock::Day;
use oubliette::id::{CustomerNumber, TenantNumber};
use oubliette::store::{
    CreateCustomer, CreateKeys, CreateOutcome, DeleteRecord, EraseIntent, LeafRow, NewPage,
    PageRow, PutOutcome, PutRecord, RecordKey, RequestClaim, RequestKey, Store,
};
use std::sync::atomic::{AtomicU64, Ordering};

pub const TODAY: Day = Day(20_000);
pub const TENANT: TenantNumber = TenantNumber(1);
pub const TYPE: u16 = 3;

/// A number that no other call has had.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// 16 bytes of which the last say `number`.
pub fn wide(number: u64) -> [u8; 16] {
    (0xabcd_0000_u128 << 64 | u128::from(number)).to_be_bytes()
}

pub fn leaf(text: impl Into<Vec<u8>>) -> LeafRow {
    LeafRow {
        leaf: text.into(),
        detail: b"detail".to_vec(),
        history: None,
        reader: None,
    }
}

/// A request that was not made before.
pub fn claim() -> RequestClaim {
    let number = unique();
    RequestClaim {
        key: RequestKey {
            scope: -5,
            id: wide(number),
        },
        digest: [u8::try_from(number % 251).unwrap(); 32],
        today: TODAY,
    }
}

/// A page's key: each has other bytes.
pub fn page(page: u64, epoch: u32) -> NewPage {
    NewPage {
        row: PageRow {
            page,
            generation: 1,
            epoch,
            wrapped: [&b"page key "[..], &wide(unique())].concat(),
        },
        tenant: None,
        dirty: false,
    }
}

pub fn index_page(number: u64, epoch: u32) -> NewPage {
    NewPage {
        tenant: Some(TENANT),
        ..page(number, epoch)
    }
}

/// Sealed bytes that are long enough to be found again on a disk.
pub fn sealed(what: &str, customer: CustomerNumber) -> Vec<u8> {
    let mut bytes = vec![0xc5];
    for turn in 0..4_u8 {
        bytes.extend_from_slice(format!("{what} {turn} of {:08}|", customer.0).as_bytes());
    }
    bytes
}

pub fn keys(customer: CustomerNumber, page: PageRow) -> CreateKeys {
    CreateKeys {
        customer,
        tenant: TENANT,
        page,
        identity: sealed("identity key", customer),
        field: sealed("field key", customer),
        today: TODAY,
    }
}

/// A customer of [`TENANT`] on an index page.
pub fn new_customer(customer: CustomerNumber, index_page: u64) -> CreateCustomer {
    CreateCustomer {
        customer,
        tenant: TENANT,
        state: b"active".to_vec(),
        state_mac: [7; 32],
        sealed_id: sealed("customer id", customer),
        index_page,
        index_tag: wide(customer.0),
        index_body: sealed("index row", customer),
        replaces: None,
        request: claim(),
        leaf: leaf("create"),
        today: TODAY,
    }
}

/// Stores a new customer's keys under the page of their number, which is made
/// in epoch 1 where there is none.
pub fn with_keys(store: &dyn Store) -> CustomerNumber {
    let (customer, found) = store.allocate_customer().wait().unwrap();
    let row = found.unwrap_or_else(|| store.add_page(page(customer.page(), 1)).wait().unwrap());
    assert!(store.create_keys(keys(customer, row)).wait().unwrap());
    customer
}

/// The index page that [`customer`] uses.
pub const INDEX_PAGE: u64 = 1;

/// A customer with keys, row and index row, on [`INDEX_PAGE`].
pub fn customer(store: &dyn Store) -> CustomerNumber {
    let customer = with_keys(store);
    let new = new_customer(customer, INDEX_PAGE);
    assert!(matches!(
        store.create_customer(new).wait().unwrap(),
        CreateOutcome::Created(_)
    ));
    store.settle_customer(customer).wait().unwrap();
    customer
}

/// The same with the key of their index page there.
pub fn first_customer(house: &House) -> CustomerNumber {
    let number = house.allocate_index_pages(1).wait().unwrap();
    assert_eq!(number, INDEX_PAGE);
    let pages = vec![index_page(INDEX_PAGE, 1)];
    house.add_index_pages(pages).wait().unwrap();
    customer(&**house)
}

/// A record's write; `replaces` 0 makes it a new one. Its locator is
/// [`wide`] of its number.
pub fn put(customer: CustomerNumber, record: u64, replaces: u64) -> PutRecord {
    PutRecord {
        key: RecordKey::new(customer, record),
        tenant: TENANT,
        locator: wide(record),
        record_type: TYPE,
        replaces,
        replaces_manifest: if replaces == 0 {
            Vec::new()
        } else {
            vec![9; 32]
        },
        schema_version: 2,
        generation: 1,
        manifest: [9; 32],
        sealed_id: sealed("record id", customer),
        origin: b"origin".to_vec(),
        collected: TODAY,
        body: sealed("record body", customer),
        request: claim(),
        leaf: leaf(format!("put {record} over {replaces}")),
        today: TODAY,
    }
}

pub fn delete(customer: CustomerNumber, record: u64, revision: u64) -> DeleteRecord {
    DeleteRecord {
        key: RecordKey::new(customer, record),
        revision,
        request: claim(),
        leaf: leaf(format!("delete {record}")),
    }
}

/// Stores a new record.
pub fn record(store: &dyn Store, customer: CustomerNumber, number: u64) {
    let outcome = store.put_record(put(customer, number, 0)).wait().unwrap();
    assert!(matches!(outcome, PutOutcome::Done(..)));
}

pub fn intent(customer: CustomerNumber) -> EraseIntent {
    EraseIntent {
        customer,
        tenant: TENANT,
        index_page: INDEX_PAGE,
        index_tag: wide(customer.0),
        state: b"active".to_vec(),
        leaf: leaf("intent"),
        certificate: None,
        told: None,
        today: TODAY,
    }
}
