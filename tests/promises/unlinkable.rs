//! P6 and P7 in the log: whoever was forgotten is gone from it, and it still
//! verifies. An insider with every file and every live key tries.

use crate::caller::{Caller, connect, named, record};
use crate::place::{Place, Server, is_long, until};
use crate::rules::WORKERS;
use oubliette::audit::export::export;
use oubliette::audit::verify::{Known, verify};
use oubliette::crypto::mac::mac;
use oubliette::crypto::{
    Deployment, IdentityKey, IdentityKeys, Label, MasterKey, MessageContext, PageKey, WrapContext,
    message,
};
use oubliette::keys::KeyProvider;
use oubliette::keys::file::FileProvider;
use oubliette::store::Rows;
use oubliette::store::sqlite::open_rows;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is on the disk, and every key that opens something.
struct Insider {
    deployment: Deployment,
    customers: BTreeMap<u64, IdentityKeys>,
    leaves: BTreeMap<u64, (Value, Vec<u8>)>,
    history: Vec<(i64, Vec<u8>, Vec<u8>, i64)>,
}

fn hex_of(leaf: &Value, key: &str) -> Vec<u8> {
    hex::decode(leaf[key].as_str().expect("text")).expect("hex")
}

impl Insider {
    /// Reads it all.
    fn at(place: &Place) -> Self {
        let mut rows = open_rows(&place.data()).expect("rows");
        let deployment = Deployment(rows.deployment().expect("a row").expect("an id"));
        let mut insider = Self {
            deployment,
            customers: BTreeMap::new(),
            leaves: BTreeMap::new(),
            history: Vec::new(),
        };
        insider.unwrap_all(place, &mut rows);
        let db = place.vault();
        let mut statement = db
            .prepare("SELECT number, leaf, detail FROM leaves")
            .unwrap();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let bytes: Vec<u8> = row.get(1).unwrap();
            let leaf = serde_json::from_slice(&bytes).unwrap();
            let detail = row.get(2).unwrap();
            insider.leaves.insert(row.get(0).unwrap(), (leaf, detail));
        }
        let sql = "SELECT slot, locator, nonce, masked FROM history";
        let mut statement = db.prepare(sql).unwrap();
        let of = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let history = statement.query_map([], of).unwrap();
        insider.history = history.map(Result::unwrap).collect();
        insider
    }

    fn unwrap_all(&mut self, place: &Place, rows: &mut impl Rows) {
        let provider = FileProvider::new(&place.path().join("keys")).expect("a provider");
        let at = |epoch| WrapContext {
            deployment: self.deployment,
            tenant: 0,
            number: 0,
            generation: 0,
            page: 0,
            page_generation: 0,
            epoch,
        };
        let epochs = rows.epochs().expect("epochs");
        let masters: BTreeMap<u32, MasterKey> = epochs
            .iter()
            .filter_map(|epoch| {
                let key = epoch.keys.first()?;
                let master = provider.unwrap(&key.name, &at(epoch.epoch), &key.wrapped);
                Some((epoch.epoch, master.expect("a master key")))
            })
            .collect();
        let sql = "SELECT DISTINCT customer FROM customer_keys";
        let db = place.keys();
        let mut statement = db.prepare(sql).unwrap();
        let customers = statement.query_map([], |row| row.get(0)).unwrap();
        for customer in customers.map(Result::unwrap) {
            let number = oubliette::id::CustomerNumber(customer);
            let keys = rows.customer_keys(number).expect("keys");
            let (page, identity) = (keys.page.unwrap(), keys.identity.unwrap());
            let place = WrapContext {
                page: page.page,
                page_generation: page.generation,
                ..at(page.epoch)
            };
            let page = PageKey::unwrap_from(&masters[&page.epoch], &place, &page.wrapped);
            let place = WrapContext {
                tenant: keys.tenant.unwrap().0,
                number: customer,
                epoch: 0,
                ..place
            };
            let identity = IdentityKey::unwrap_from(&page.unwrap(), &place, &identity.wrapped);
            self.customers.insert(customer, identity.unwrap().subkeys());
        }
    }

    /// Whose tag a leaf carries.
    fn by_tag(&self, leaf: &Value) -> Option<u64> {
        let (nonce, tag) = (hex_of(leaf, "nonce"), hex_of(leaf, "subject"));
        let mut all = self.customers.iter();
        let whose = all.find(|(_, keys)| mac(&keys.audit_tag, &[&nonce])[..] == tag);
        whose.map(|(customer, _)| *customer)
    }

    /// Whose key opens a leaf's detail.
    fn by_detail(&self, leaf: &Value, detail: &[u8]) -> Option<u64> {
        let nonce = u128::from_be_bytes(hex_of(leaf, "nonce").try_into().unwrap());
        let mut all = self.customers.iter();
        let whose = all.find(|(customer, keys)| {
            let context = MessageContext {
                deployment: self.deployment,
                label: Label::AuditDetail,
                tenant: 1,
                customer: **customer,
                number: (nonce >> 64) as u64,
                extra: nonce as u64,
            };
            message::open(&keys.audit_detail, &context.bytes(), detail).is_ok()
        });
        whose.map(|(customer, _)| *customer)
    }

    /// The leaves that history rows lead to, by customer.
    fn by_history(&self) -> BTreeMap<u64, BTreeSet<u64>> {
        let slots: BTreeSet<i64> = self.history.iter().map(|row| row.0).collect();
        let mut owners = BTreeMap::new();
        for (customer, keys) in &self.customers {
            for slot in &slots {
                let locator = mac(&keys.history_locator, &[&slot.to_be_bytes()]);
                owners.insert((*slot, locator[..16].to_vec()), *customer);
            }
        }
        let mut found: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (slot, locator, nonce, masked) in &self.history {
            let Some(customer) = owners.get(&(*slot, locator.clone())) else {
                continue;
            };
            let keys = &self.customers[customer];
            let mask = mac(&keys.history_mask, &[&slot.to_be_bytes(), nonce]);
            let mask = u64::from_be_bytes(mask[..8].try_into().unwrap());
            let leaf = masked.cast_unsigned() ^ mask;
            found.entry(*customer).or_default().insert(leaf);
        }
        found
    }
}

fn id(number: usize) -> String {
    format!("linkable-{number:05}")
}

/// Every customer is created, written, and read.
async fn fill(callers: &[Caller], count: usize) {
    let mut under_way = tokio::task::JoinSet::new();
    for (worker, caller) in callers.iter().cloned().enumerate() {
        let mine = (worker..count).step_by(callers.len());
        under_way.spawn(async move {
            for number in mine {
                caller.create(&id(number)).await.expect("created");
                let name = record(&id(number), "r");
                caller.put(&name, named("a name")).await.expect("written");
                caller.get(&name).await.expect("read");
            }
        });
    }
    under_way.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_leaf_is_linked_to_a_forgotten_customer_and_the_log_verifies() {
    let (count, erased) = if is_long() {
        (10_000, 1_000)
    } else {
        (500, 50)
    };
    let place = Place::quick();
    let server = Server::start(&place);
    let mut callers = Vec::new();
    for worker in 0..WORKERS {
        callers.push(connect(&place, &server, &format!("acme/w{worker:02}")).await);
    }
    fill(&callers, count).await;

    // While everybody lives, their keys tell whose leaf is whose.
    let before = Insider::at(&place);
    let truth = before.by_history();
    assert_eq!(truth.len(), count);
    assert!(
        truth.values().all(|leaves| leaves.len() == 3),
        "created, written, read"
    );
    let (some, leaves) = truth.first_key_value().unwrap();
    for leaf in leaves {
        let (leaf, detail) = &before.leaves[leaf];
        assert_eq!(before.by_tag(leaf), Some(*some));
        assert_eq!(before.by_detail(leaf, detail), Some(*some));
    }

    for number in 0..erased {
        callers[number % WORKERS]
            .erase(&id(number))
            .await
            .expect("erased");
    }
    let purged = "SELECT count(*) FROM erasures WHERE level = 3";
    until("all are purged", async || {
        let many: i64 = place
            .vault()
            .query_row(purged, [], |row| row.get(0))
            .unwrap();
        many == erased as i64
    })
    .await;
    server.stop();

    let out = place.path().join("export");
    let mut rows = open_rows(&place.data()).expect("rows");
    let key = place.path().join("keys/log.key");
    export(&mut rows, &key, &out, |_, _| ()).expect("an export");
    let mut report = verify(&out, &Known::default(), |_, _| ()).expect("a report");
    report.hold_against_vault(&mut rows).expect("rows");
    assert_eq!(report.findings(), Vec::<String>::new());
    assert_eq!(report.shredded.len(), erased);

    let after = Insider::at(&place);
    assert_eq!(after.customers.len(), count - erased);
    let gone = truth
        .keys()
        .filter(|customer| !after.customers.contains_key(customer));
    let gone: BTreeSet<u64> = gone.copied().collect();
    assert_eq!(gone.len(), erased);
    let mut linked = 0;
    let history = after.by_history();
    let theirs: BTreeSet<u64> = gone.iter().flat_map(|of| &truth[of]).copied().collect();
    assert_eq!(theirs.len(), 3 * erased);
    for leaf in &theirs {
        let (leaf, detail) = &after.leaves[leaf];
        linked += usize::from(after.by_tag(leaf).is_some());
        linked += usize::from(after.by_detail(leaf, detail).is_some());
    }
    linked += history
        .values()
        .flatten()
        .filter(|leaf| theirs.contains(leaf))
        .count();
    assert_eq!(linked, 0);
    // The living are found as before.
    for (customer, leaves) in &history {
        assert_eq!(leaves, &truth[customer], "{customer}");
    }
    println!(
        "{erased} of {count} customers erased: {} leaves verify, {} of them were about the erased, \
         {linked} are linked to any of them by tag, detail or history",
        report.head.size,
        theirs.len()
    );
}
