//! Rows to test with, and short ways to use a store.

use oubliette::clock::Day;
use oubliette::error::Result;
use oubliette::id::{CustomerNumber, RecordNumber, TenantNumber};
use oubliette::store::{
    CreateCustomer, CreateKeys, CreateOutcome, DeleteRecord, EpochRow, EraseIntent, HistoryRow,
    LeafRow, NewPage, PageRow, PutOutcome, PutRecord, RecordKey, RequestClaim, RequestKey, Rows,
    Store,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// The day on which everything happens.
pub const TODAY: Day = Day(20_000);
/// The tenant of everybody, unless a test says otherwise.
pub const TENANT: TenantNumber = TenantNumber(1);
/// The index page of everybody, unless a test says otherwise.
pub const PAGE: u64 = 1;
/// The epoch that a store is founded with.
pub const EPOCH: Epoch = Epoch;

/// See [`EPOCH`].
pub struct Epoch;

impl Epoch {
    /// Its row.
    pub fn row(&self) -> EpochRow {
        EpochRow {
            epoch: 1,
            provider: "file".to_owned(),
            provider_key: "one".to_owned(),
            master: vec![9; 40],
            opened: TODAY,
            state: 1,
        }
    }
}

/// Reads on a reader thread.
pub fn read<T: Send + 'static>(
    store: &dyn Store,
    work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
) -> T {
    let (answer, done) = std::sync::mpsc::channel();
    let job = store.read(Box::new(move |rows| {
        answer.send(work(rows)).expect("somebody waits")
    }));
    job.expect("a reader");
    done.recv().expect("an answer").expect("a good one")
}

/// A number that was not given before.
pub fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sixteen bytes that say a number.
pub fn sixteen(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

/// A request that was not made before.
pub fn request() -> RequestClaim {
    RequestClaim {
        key: RequestKey(sixteen(fresh())),
        digest: [3; 32],
        today: TODAY,
    }
}

/// A leaf of its own.
pub fn leaf() -> LeafRow {
    let number = fresh();
    LeafRow {
        leaf: format!("leaf {number}").into_bytes(),
        detail: format!("detail {number}").into_bytes(),
        history: Some(HistoryRow {
            slot: 1,
            locator: sixteen(number),
            nonce: number.to_be_bytes(),
            mask: number,
        }),
    }
}

/// A page's first key.
pub fn page(number: u64, wrapped: u8, tenant: Option<TenantNumber>) -> NewPage {
    NewPage {
        row: PageRow {
            page: number,
            generation: 1,
            epoch: 1,
            wrapped: vec![wrapped; 40],
        },
        tenant,
        dirty: false,
    }
}

/// A number with keys, not yet a customer.
pub fn with_keys(store: &dyn Store) -> CustomerNumber {
    let (customer, found) = store.allocate_customer().wait().expect("a number");
    let page = match found {
        Some(page) => page,
        None => {
            let new = page(customer.page(), 1, None);
            store.add_page(new).wait().expect("a page")
        }
    };
    let keys = CreateKeys {
        customer,
        tenant: TENANT,
        page,
        identity: vec![1; 40],
        field: vec![2; 40],
        today: TODAY,
    };
    assert!(store.create_keys(keys).wait().expect("stored"));
    customer
}

/// A new customer's rows at `tag` of the index page.
pub fn new_customer(customer: CustomerNumber, tag: u64) -> CreateCustomer {
    CreateCustomer {
        customer,
        tenant: TENANT,
        state: vec![1; 13],
        state_mac: [4; 32],
        sealed_id: format!("id of {}", customer.0).into_bytes(),
        index_page: PAGE,
        index_tag: sixteen(tag),
        index_body: format!("body of {}", customer.0).into_bytes(),
        replaces: None,
        request: request(),
        leaf: leaf(),
        today: TODAY,
    }
}

/// A customer, with the tag of their number.
pub fn customer(store: &dyn Store) -> CustomerNumber {
    let number = with_keys(store);
    let created = store.create_customer(new_customer(number, number.0)).wait();
    assert!(matches!(created, Ok(CreateOutcome::Created(_))));
    store.settle_customer(number).wait().expect("settled");
    number
}

/// A record as it shall stand.
pub fn put(key: RecordKey, locator: u64, replaces: u64) -> PutRecord {
    PutRecord {
        key,
        tenant: TENANT,
        locator: sixteen(locator),
        record_type: 1,
        replaces,
        schema_version: 5,
        generation: 1,
        manifest: [6; 32],
        sealed_id: b"record's id".to_vec(),
        body: format!("body {}", replaces + 1).into_bytes(),
        request: request(),
        leaf: leaf(),
        today: TODAY,
    }
}

/// The `number`th record of a customer.
pub fn key(customer: CustomerNumber, number: u64) -> RecordKey {
    RecordKey {
        customer,
        record: RecordNumber(number),
    }
}

/// What a deletion says.
pub fn delete(key: RecordKey, revision: u64) -> DeleteRecord {
    DeleteRecord {
        key,
        revision,
        request: request(),
        leaf: leaf(),
    }
}

/// What an intent says.
pub fn intent(customer: CustomerNumber, tag: u64) -> EraseIntent {
    EraseIntent {
        customer,
        tenant: TENANT,
        index_page: PAGE,
        index_tag: sixteen(tag),
        leaf: leaf(),
        today: TODAY,
    }
}

/// That a write was done.
pub fn is_done(outcome: &Result<PutOutcome>) -> bool {
    matches!(outcome, Ok(PutOutcome::Done(..)))
}

/// That a write came too late.
pub fn is_lost(outcome: &Result<PutOutcome>) -> bool {
    matches!(outcome, Ok(PutOutcome::Lost))
}

/// How many leaves there are.
pub fn leaves(store: &dyn Store) -> u64 {
    read(store, |rows| rows.leaf_count())
}
