//! The vault below the wire: what must hold whoever comes first, goes away or
//! asks once too often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use oubliette::access::{Access, Principal, Snapshot, Sources, WriteAsk};
use oubliette::audit::Call;
use oubliette::authn::{Authn, Caller};
use oubliette::catalog::Value;
use oubliette::clock::Instant;
use oubliette::error::{Error, Exhausted, Lost, Missing, Result, Rule};
use oubliette::id::{CustomerId, RecordId, RecordName, RequestId, ServiceName, TenantName};
use oubliette::keys::Providers;
use oubliette::keys::file::FileProvider;
use oubliette::store::sqlite::Sqlite;
use oubliette::vault::{self, CustomerView, RecordView, Vault};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A vault in a directory of its own, under the example's rules. The support
/// desk may look at three customers an hour.
struct House {
    dir: TempDir,
    vault: Vault,
    rules: Arc<Snapshot>,
}

fn providers(dir: &Path) -> Result<Providers> {
    let file = FileProvider::new(&dir.join("keys"))?;
    Providers::new(vec![Box::new(file)])
}

fn open_vault(dir: &Path) -> Result<Vault> {
    let providers = providers(dir)?;
    let store = Arc::new(Sqlite::open(&dir.join("data"))?);
    let vault = Vault::unseal(store, Arc::new(providers), "1".to_owned())?;
    let names = ["acme", "globex"].map(|name| TenantName::parse(name).unwrap());
    vault.ensure_tenants(names.iter())?;
    Ok(vault)
}

impl House {
    fn found() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        vault::found(&dir.path().join("data"), &providers(dir.path()).unwrap()).unwrap();
        let crm = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crm");
        let roles = std::fs::read_to_string(crm.join("roles.toml")).unwrap();
        let few = roles.replace("customers_per_hour = 2000", "customers_per_hour = 3");
        std::fs::write(dir.path().join("roles.toml"), few).unwrap();
        let sources = Sources {
            catalog: crm.join("catalog"),
            roles: dir.path().join("roles.toml"),
            policy: crm.join("policy.cedar"),
        };
        let rules = Access::load(sources).unwrap().now();
        let vault = open_vault(dir.path()).unwrap();
        Self { dir, vault, rules }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    /// One number that a statement finds in a file of the vault.
    fn number(&self, file: &str, sql: &str) -> i64 {
        let db = Connection::open(self.file(file)).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn principal(&self, service: &str) -> Arc<Principal> {
        let tenant = TenantName::parse("acme").unwrap();
        let caller = Caller::assumed(tenant, ServiceName::parse(service).unwrap());
        let identity = caller.identity().unwrap();
        let authn = Authn::new("crm.example");
        authn
            .principal(identity, &self.rules, Instant::now())
            .unwrap()
    }

    fn call(&self, principal: &Principal) -> Arc<Call> {
        let name = Some(Arc::clone(principal.name()));
        Arc::new(self.vault.log().begin("Test", name, Instant::now()))
    }

    async fn create_as(
        &self,
        service: &str,
        id: &str,
        anew: bool,
        request: RequestId,
    ) -> Result<()> {
        let who = self.principal(service);
        let grant = self.rules.create(&who, customer(id), anew)?;
        let call = self.call(&who);
        let view = self.vault.create_customer(&call, grant, request);
        view.await.map(|_| ())
    }

    async fn create(&self, id: &str) -> Result<()> {
        self.create_as("importer", id, false, any_request()).await
    }

    async fn put(&self, service: &str, id: &str, fields: &[(&str, &str)]) -> Result<RecordView> {
        let who = self.principal(service);
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::text(*value));
        let ask = WriteAsk {
            target: record(id),
            record_type: "contact",
            values: fields.iter().map(text).collect(),
            mask: None,
            source: "",
            collected: None,
            today: Instant::now().day(),
        };
        let grant = self.rules.write(&who, ask)?;
        let call = self.call(&who);
        self.vault.write(&call, grant, None, any_request()).await
    }

    async fn delete(&self, id: &str, expected: Option<u64>, request: RequestId) -> Result<()> {
        let who = self.principal("privacy-office");
        let grant = self.rules.delete(&who, record(id), "contact")?;
        let call = self.call(&who);
        let deleted = self.vault.delete_record(&call, grant, expected, request);
        deleted.await
    }

    async fn show(&self, service: &str, id: &str) -> Result<CustomerView> {
        let who = self.principal(service);
        let grant = self.rules.show(&who, customer(id))?;
        self.vault.show_customer(&self.call(&who), grant).await
    }

    async fn list(&self, service: &str, id: &str) -> Result<usize> {
        let who = self.principal(service);
        let today = Instant::now().day();
        let about = customer(id);
        let grant = self.rules.list(&who, about, "contact", "support", today)?;
        let listed = self.vault.list(&self.call(&who), grant, "", 10).await?;
        Ok(listed.release().records.len())
    }

    async fn erase(&self, id: &str) -> Result<CustomerView> {
        let who = self.principal("privacy-office");
        let grant = self.rules.erase(&who, customer(id))?;
        let erased = self.vault.erase_customer(&self.call(&who), grant).await;
        erased.map(|(view, _)| view)
    }

    /// Until no purge is under way.
    async fn purged(&self) {
        let left = "SELECT count(*) FROM erasures WHERE level < 3";
        while self.number("vault.db", left) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn customer(id: &str) -> CustomerId {
    CustomerId::parse("id", id).unwrap()
}

/// The one contact of a customer.
fn record(id: &str) -> RecordName {
    RecordName {
        customer: customer(id),
        record: RecordId::parse("id", "main").unwrap(),
    }
}

fn any_request() -> RequestId {
    RequestId(uuid::Uuid::new_v4().into_bytes())
}

/// Opening a vault blocks, so it is done before the runtime begins.
fn run<F: Future>(work: impl FnOnce(Arc<House>) -> F) -> F::Output {
    let house = Arc::new(House::found());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(house))
}

#[test]
fn index_pages_are_split_while_customers_keep_coming() {
    run(async |house| {
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..32 {
            let house = Arc::clone(&house);
            tasks.spawn(async move {
                for n in 0..40 {
                    house.create(&format!("c-{worker}-{n}")).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let most = house.number("vault.db", "SELECT max(rows) FROM index_pages");
        assert!((1..=300).contains(&most), "{most} rows in one page");
        let rows = house.number("vault.db", "SELECT sum(rows) FROM index_pages");
        assert_eq!(rows, 32 * 40);
    });
}

#[test]
fn a_replacement_takes_away_only_fields_that_its_caller_may_write() {
    run(async |house| {
        house.create("ada").await.unwrap();
        let all = [("given_name", "Ada"), ("notes", "asked for silence")];
        house.put("importer", "ada", &all).await.unwrap();
        let refused = house.put("checkout", "ada", &[("given_name", "A.")]).await;
        let Err(Error::Denied(denial)) = refused else {
            panic!("checkout took the notes away");
        };
        assert_eq!(denial.rule, Rule::Policy);
        assert_eq!(denial.field.unwrap().as_str(), "notes");
        // Whoever may write the field may leave it out; then nothing is taken.
        let kept = [("given_name", "Ada")];
        assert_eq!(
            house.put("importer", "ada", &kept).await.unwrap().revision,
            2
        );
        let fine = house.put("checkout", "ada", &[("family_name", "L")]).await;
        assert_eq!(fine.unwrap().revision, 3);
    });
}

#[test]
fn a_deletion_that_was_refused_is_not_in_the_ledger_and_a_done_one_is() {
    run(async |house| {
        let noted = || house.number("keys.db", "SELECT count(*) FROM ledger WHERE kind = 2");
        house.create("ada").await.unwrap();
        house
            .put("importer", "ada", &[("given_name", "Ada")])
            .await
            .unwrap();
        let stale = house.delete("ada", Some(7), any_request()).await;
        assert_eq!(stale, Err(Error::RevisionStale));
        assert_eq!(noted(), 0);
        let request = any_request();
        house.delete("ada", Some(1), request).await.unwrap();
        let record = "SELECT number FROM ledger WHERE kind = 2 ORDER BY entry DESC";
        assert_eq!((noted(), house.number("keys.db", record)), (1, 1));
        // A retry may come because the note was cut off: it notes again.
        house.delete("ada", Some(1), request).await.unwrap();
        assert_eq!((noted(), house.number("keys.db", record)), (2, 1));
    });
}

#[test]
fn a_request_id_that_was_used_creates_nobody_anew_and_burns_no_number() {
    run(async |house| {
        let (office, used) = ("privacy-office", any_request());
        house.create_as(office, "bob", false, used).await.unwrap();
        house.create("ada").await.unwrap();
        house.erase("ada").await.unwrap();
        house.purged().await;
        let next = "SELECT next FROM allocator WHERE name = 'customer'";
        let before = house.number("keys.db", next);
        let refused = house.create_as(office, "ada", true, used).await;
        assert_eq!(refused, Err(Error::RequestIdReused));
        assert_eq!(house.number("keys.db", next), before);
        house
            .create_as(office, "ada", true, any_request())
            .await
            .unwrap();
    });
}

#[test]
fn whoever_has_no_customer_left_learns_of_no_id_whether_it_is_one() {
    run(async |house| {
        for id in ["a", "b", "c", "d"] {
            house.create(id).await.unwrap();
        }
        let (desk, nobody) = ("support-desk", Err(Error::NotFound(Missing::Customer)));
        assert_eq!(house.list(desk, "nobody").await, nobody);
        for id in ["a", "b", "c"] {
            assert_eq!(house.list(desk, id).await, Ok(0));
        }
        let spent = |heard: Option<Error>| {
            let full = Exhausted::DistinctCustomers;
            matches!(heard, Some(Error::Exhausted(what, _)) if what == full)
        };
        assert!(spent(house.list(desk, "d").await.err()));
        assert!(spent(house.list(desk, "nobody").await.err()));
        assert_eq!(house.list(desk, "a").await, Ok(0), "known already");
        // A look at the state counts as well, and so does a refused change.
        let office = "privacy-office";
        for id in ["a", "b"] {
            assert!(house.show(office, id).await.is_ok());
        }
        let missing = Err(Error::NotFound(Missing::Record));
        assert_eq!(house.delete("c", None, any_request()).await, missing);
        assert!(spent(house.delete("d", None, any_request()).await.err()));
        assert!(spent(
            house.delete("nobody", None, any_request()).await.err()
        ));
        assert!(house.show(office, "d").await.is_err());
        // What was asked of us by the customer is never refused so.
        assert!(house.erase("d").await.is_ok());
    });
}

#[test]
fn a_long_reader_delays_an_erasure_and_keeps_the_vault_neither_shut_nor_busy() {
    run(async |house| {
        house.create("ada").await.unwrap();
        let mut backup = Connection::open(house.file("keys.db")).unwrap();
        let held = backup.transaction().unwrap();
        let count = "SELECT count(*) FROM customer_keys";
        held.query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap();
        assert_eq!(house.erase("ada").await, Err(Error::ErasurePending));
        assert!(matches!(
            house.show("privacy-office", "ada").await,
            Ok(CustomerView::Erased { .. })
        ));
        house.vault.recover().await.unwrap();
        drop(held);
        house.purged().await;
        let entries = "SELECT count(*) FROM leaves WHERE leaf LIKE '%\"verdict\":\"purged\"%'";
        assert_eq!(house.number("vault.db", entries), 1);
    });
}

#[test]
fn tenants_whose_names_were_changed_on_disk_are_refused() {
    let house = House::found();
    let House { dir, vault, .. } = house;
    drop(vault);
    let db = Connection::open(dir.path().join("data/keys.db")).unwrap();
    let swap = "UPDATE tenants SET name = 'x' WHERE name = 'acme';
                UPDATE tenants SET name = 'acme' WHERE name = 'globex';
                UPDATE tenants SET name = 'globex' WHERE name = 'x';";
    db.execute_batch(swap).unwrap();
    let refused = open_vault(dir.path()).err();
    assert_eq!(refused, Some(Error::DataLoss(Lost::Key)));
}

#[test]
fn nothing_leaves_on_no_entry_at_all() {
    run(async |house| {
        let call = house.call(&house.principal("importer"));
        let recorded = house.vault.log().record(&call, Vec::new(), "secret").await;
        assert!(recorded.is_err() && !call.is_recorded());
    });
}
