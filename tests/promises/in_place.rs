//! P4: what is stored opens only where it was put. Whatever is moved, exchanged,
//! cut or flipped behind the vault's back is refused as lost; nobody else is
//! hurt, and nobody ever reads a wrong value.

use crate::caller::{Caller, Fields, connect, named, record, text, update_request};
use crate::place::{Place, Server, is_long};
use crate::tampered::{Dice, Edit, File, RowAt, Tamper};
use rusqlite::types::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Customers of each tenant, each with two cards.
const CUSTOMERS: usize = 48;
/// What an answer may be to a read of what was changed.
const REFUSED: [&str; 3] = ["DATA_LOSS", "RECORD_NOT_FOUND", "CUSTOMER_NOT_FOUND"];

/// A customer: whose, which number, which index row.
#[derive(Clone)]
struct Who {
    tenant: usize,
    number: i64,
    id: String,
    index: RowAt,
    /// How each of the two cards is found, by locator.
    locators: Vec<RowAt>,
}

struct Scene {
    _server: Server,
    tamper: Tamper,
    callers: [Caller; 2],
    everybody: Vec<Who>,
    /// What each tenant must read, by record name.
    expected: [BTreeMap<String, Fields>; 2],
    /// Bodies and manifests of revision 1.
    stale: BTreeMap<i64, (Value, Value)>,
}

fn card(who: &Who, number: i64) -> RowAt {
    let key = format!("place = {}", (who.number << 24) | number);
    RowAt {
        file: File::Vault,
        table: "records",
        key,
    }
}

fn customer_row(who: &Who) -> RowAt {
    RowAt {
        file: File::Vault,
        table: "customers",
        key: format!("customer = {}", who.number),
    }
}

/// `kind`: 1 the identity key, 2 the field key.
fn key_row(who: &Who, kind: u8) -> RowAt {
    RowAt {
        file: File::Keys,
        table: "customer_keys",
        key: format!("customer = {} AND kind = {kind}", who.number),
    }
}

fn names(who: &Who) -> [String; 2] {
    [record(&who.id, "r1"), record(&who.id, "r2")]
}

impl Scene {
    async fn set(place: &Place) -> Self {
        let server = Server::start(place);
        let callers = [
            connect(place, &server, "acme/w00").await,
            connect(place, &server, "globex/w00").await,
        ];
        let tamper = Tamper::at(place);
        let (mut everybody, mut stale, mut seen) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for number in 0..2 * CUSTOMERS {
            let (tenant, id) = (number % 2, format!("c{:03}", number / 2));
            let caller = &callers[tenant];
            caller.create(&id).await.expect("created");
            // Its index row is the one that was not there before.
            let rows = tamper.rows(File::Vault, "index_rows", &["page", "tag"]);
            let index = rows.into_iter().find(|row| seen.insert(row.key.clone()));
            let mut who = Who {
                tenant,
                number: i64::try_from(number).expect("small") + 1,
                id,
                index: index.expect("a new row"),
                locators: Vec::new(),
            };
            for (at, name) in names(&who).iter().enumerate() {
                let mut card = named(format!("name {tenant} {} {at}", who.id));
                card.insert(
                    "email".to_owned(),
                    text(format!("mail{number:03}{at}@x.example")),
                );
                caller.put(name, card).await.expect("written");
                let row = self::card(&who, at as i64 + 1);
                let old = (tamper.value(&row, "body"), tamper.value(&row, "manifest"));
                let rows = tamper.rows(File::Vault, "locators", &["customer", "locator"]);
                let new = rows.into_iter().find(|row| seen.insert(row.key.clone()));
                who.locators.push(new.expect("a new row"));
                stale.insert((who.number << 24) | (at as i64 + 1), old);
                let update = update_request(name, &format!("name {tenant} {} {at} new", who.id));
                caller.update_as(update).await.expect("changed");
            }
            everybody.push(who);
        }
        let mut scene = Self {
            _server: server,
            tamper,
            callers,
            everybody,
            expected: Default::default(),
            stale,
        };
        for tenant in 0..2 {
            let read = scene.read(tenant).await.into_iter();
            let good = read.map(|(name, card)| (name, card.expect("read")));
            scene.expected[tenant] = good.collect();
            assert_eq!(scene.expected[tenant].len(), 2 * CUSTOMERS);
        }
        scene
    }

    fn all_names(&self, tenant: usize) -> Vec<String> {
        let of_tenant = self.everybody.iter().filter(|who| who.tenant == tenant);
        of_tenant.flat_map(names).collect()
    }

    /// What a tenant reads now, by record name.
    async fn read(&self, tenant: usize) -> BTreeMap<String, Result<Fields, String>> {
        let names = self.all_names(tenant);
        let cards = self.callers[tenant].batch(&names).await.expect("a batch");
        names.into_iter().zip(cards).collect()
    }

    /// Reads everything: those of `hit` are refused (or, where `may_hold`, as
    /// they were), all others are as they were. Answers how many were refused.
    async fn check(&self, what: &str, hit: &BTreeSet<(usize, String)>, may_hold: bool) -> usize {
        let mut refused = 0;
        for tenant in 0..2 {
            for (name, card) in self.read(tenant).await {
                let is_hit = hit.contains(&(tenant, name.clone()));
                match card {
                    Ok(card) => {
                        assert!(
                            card == self.expected[tenant][&name],
                            "{what}: wrong plaintext"
                        );
                        assert!(!is_hit || may_hold, "{what}: {name} was not refused");
                    }
                    Err(reason) => {
                        assert!(
                            is_hit,
                            "{what}: {name} of tenant {tenant} is hurt: {reason}"
                        );
                        assert!(REFUSED.contains(&reason.as_str()), "{what}: {reason}");
                        refused += 1;
                    }
                }
            }
        }
        refused
    }

    /// Streams everything: nothing wrong, nobody missing who is not hit.
    async fn check_streams(&self, what: &str, hit: &BTreeSet<(usize, String)>) {
        for tenant in 0..2 {
            let (all, skipped) = self.callers[tenant].all().await.expect(what);
            for (name, card) in &all {
                let right = self.expected[tenant].get(name);
                assert!(Some(card) == right, "{what}: a stream gave a wrong record");
            }
            for name in self.expected[tenant].keys() {
                let is_hit = hit.contains(&(tenant, name.clone()));
                assert!(is_hit || all.contains_key(name), "{what}: {name} is missed");
            }
            for reason in skipped.keys() {
                assert_eq!(reason, "DATA_LOSS", "{what}");
            }
        }
    }
}

/// What was exchanged, and whose reads must be refused for it.
struct Swapped {
    what: &'static str,
    edits: Vec<Edit>,
    hit: BTreeSet<(usize, String)>,
}

const SWAPS: usize = 12;

/// One exchange between `a` and `b` (who may be of different tenants), or
/// within `a`.
fn exchange(scene: &Scene, dice: &mut Dice, kind: usize, a: &Who, b: &Who) -> Swapped {
    let tamper = &scene.tamper;
    let at = 1 + dice.below(2) as i64;
    let (of_a, of_b) = (card(a, at), card(b, at));
    let one = |who: &Who, at: i64| (who.tenant, names(who)[at as usize - 1].clone());
    let both = |at: i64| BTreeSet::from([one(a, at), one(b, at)]);
    let all = BTreeSet::from([one(a, 1), one(a, 2), one(b, 1), one(b, 2)]);
    let within = BTreeSet::from([one(a, 1), one(a, 2)]);
    let row: &[&str] = &[
        "body",
        "manifest",
        "sealed_id",
        "revision",
        "schema_version",
        "generation",
        "tenant",
        "type",
    ];
    let (what, edits, hit) = match kind {
        0 => ("bodies", tamper.swap(&of_a, &of_b, &["body"]), both(at)),
        1 => (
            "manifests",
            tamper.swap(&of_a, &of_b, &["manifest"]),
            both(at),
        ),
        2 => {
            let edits = tamper.swap(&of_a, &of_b, &["body", "manifest"]);
            ("bodies with manifests", edits, both(at))
        }
        3 => ("whole rows", tamper.swap(&of_a, &of_b, row), both(at)),
        4 => {
            let edits = tamper.swap(&card(a, 1), &card(a, 2), row);
            ("whole rows of one customer", edits, within)
        }
        5 => {
            let edits = tamper.swap(&of_a, &of_b, &["sealed_id"]);
            ("sealed ids of records", edits, both(at))
        }
        6 => {
            let edits = tamper.swap(&a.locators[0], &a.locators[1], &["place"]);
            ("locators of one customer", edits, within)
        }
        7 => {
            let edits = tamper.swap(
                &customer_row(a),
                &customer_row(b),
                &["state", "state_mac", "tenant"],
            );
            ("states", edits, all)
        }
        8 => {
            let edits = tamper.swap(&a.index, &b.index, &["body"]);
            ("index rows", edits, all)
        }
        9 => {
            let (x, y) = (dice.below(2) as u8 + 1, dice.below(2) as u8 + 1);
            let edits = tamper.swap(&key_row(a, x), &key_row(b, y), &["wrapped"]);
            ("wrapped keys", edits, all)
        }
        10 => {
            let mut edits = tamper.swap(&key_row(a, 1), &key_row(b, 1), &["wrapped", "tenant"]);
            edits.extend(tamper.swap(&key_row(a, 2), &key_row(b, 2), &["wrapped", "tenant"]));
            ("both wrapped keys", edits, all)
        }
        _ => {
            let (body, manifest) = scene.stale[&((a.number << 24) | at)].clone();
            let mut edits = vec![tamper.set(&of_a, "body", body)];
            if dice.below(2) == 0 {
                edits.push(tamper.set(&of_a, "manifest", manifest));
            }
            ("an old revision", edits, BTreeSet::from([one(a, at)]))
        }
    };
    Swapped { what, edits, hit }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exchanged_is_refused_and_nobody_else_is_hurt() {
    const PAIRS: usize = 12;
    let wanted = if is_long() { 100_000 } else { 10_000 };
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let mut dice = Dice::new(4);
    let (mut swaps, mut refused) = (0, 0);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut round = 0;
    while swaps < wanted {
        round += 1;
        let mut order: Vec<usize> = (0..scene.everybody.len()).collect();
        dice.shuffle(&mut order);
        let (mut edits, mut hit, mut whats) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for pair in order.chunks_exact(2).take(PAIRS) {
            let (a, b) = (&scene.everybody[pair[0]], &scene.everybody[pair[1]]);
            let kind = dice.below(SWAPS);
            let swapped = exchange(&scene, &mut dice, kind, a, b);
            assert!(!swapped.edits.is_empty(), "{}", swapped.what);
            *kinds.entry(swapped.what).or_insert(0) += 1;
            edits.extend(swapped.edits);
            hit.extend(swapped.hit);
            whats.insert(swapped.what);
            swaps += 1;
        }
        scene.tamper.make(&edits);
        let what = format!("round {round}: {whats:?}");
        refused += scene.check(&what, &hit, false).await;
        if round % 20 == 0 {
            scene.check_streams(&what, &hit).await;
        }
        scene.tamper.unmake(&edits);
    }
    assert_eq!(scene.check("at last", &BTreeSet::new(), false).await, 0);
    println!("{swaps} exchanges, {refused} reads refused, 0 wrong, 0 others hurt: {kinds:?}");
    assert_eq!(kinds.len(), SWAPS);
}

/// A row in which something is flipped or cut, and whose reads may be refused
/// for it.
fn spoil(scene: &Scene, dice: &mut Dice, who: &Who) -> (&'static str, Edit) {
    let at = 1 + dice.below(2) as i64;
    let blobs: [(RowAt, &'static str); 7] = [
        (card(who, at), "body"),
        (card(who, at), "manifest"),
        (card(who, at), "sealed_id"),
        (customer_row(who), "state"),
        (customer_row(who), "state_mac"),
        (who.index.clone(), "body"),
        (key_row(who, 1 + dice.below(2) as u8), "wrapped"),
    ];
    let numbers: [(RowAt, &'static str); 7] = [
        (card(who, at), "tenant"),
        (card(who, at), "type"),
        (card(who, at), "revision"),
        (card(who, at), "schema_version"),
        (card(who, at), "generation"),
        (customer_row(who), "tenant"),
        (key_row(who, 1 + dice.below(2) as u8), "tenant"),
    ];
    let tamper = &scene.tamper;
    if dice.below(4) == 0 {
        let (row, column) = dice.pick(&numbers).clone();
        let Value::Integer(old) = tamper.value(&row, column) else {
            panic!("{column} is a number");
        };
        let new = Value::Integer(old ^ (1 << dice.below(64)));
        return ("a number", tamper.set(&row, column, new));
    }
    let (row, column) = dice.pick(&blobs).clone();
    let Value::Blob(mut bytes) = tamper.value(&row, column) else {
        panic!("{column} is a blob");
    };
    if dice.below(4) == 0 {
        bytes.truncate(dice.below(bytes.len()));
        return ("cut", tamper.set(&row, column, Value::Blob(bytes)));
    }
    let bit = dice.below(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    ("a bit", tamper.set(&row, column, Value::Blob(bytes)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_or_a_cut_row_never_yields_a_wrong_value() {
    const HIT: usize = 24;
    let rounds = if is_long() { 5_000 } else { 250 };
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let mut dice = Dice::new(7);
    let (mut spoilt, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..scene.everybody.len()).collect();
        dice.shuffle(&mut order);
        let (mut edits, mut hit) = (Vec::new(), BTreeSet::new());
        for at in order.into_iter().take(HIT) {
            let who = &scene.everybody[at];
            edits.push(spoil(&scene, &mut dice, who).1);
            hit.extend(names(who).map(|name| (who.tenant, name)));
        }
        scene.tamper.make(&edits);
        let what = format!("round {round}: {edits:?}");
        refused += scene.check(&what, &hit, true).await;
        if round % 5 == 0 {
            scene.check_streams(&what, &hit).await;
        }
        scene.tamper.unmake(&edits);
        spoilt += edits.len();
    }
    assert_eq!(scene.check("at last", &BTreeSet::new(), false).await, 0);
    println!("{spoilt} rows spoilt, {refused} reads refused, 0 wrong, 0 others hurt");
    assert!(refused > spoilt / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locator_that_leads_elsewhere_reads_writes_and_deletes_nothing() {
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let w = &scene.callers[0];
    let (a, b) = (&scene.everybody[0], &scene.everybody[2]);
    let [first, second] = names(a);
    for (what, one, other) in [
        ("within a customer", &a.locators[0], &a.locators[1]),
        ("of another customer", &a.locators[0], &b.locators[0]),
    ] {
        let edits = scene.tamper.swap(one, other, &["place"]);
        scene.tamper.make(&edits);
        let lost = |failure: oubliette::client::Failure| failure.is("DATA_LOSS");
        assert!(w.get(&first).await.is_err_and(lost), "{what}");
        assert!(w.put(&first, named("x")).await.is_err_and(lost), "{what}");
        let update = update_request(&first, "x");
        assert!(w.update_as(update).await.is_err_and(lost), "{what}");
        let delete = crate::caller::delete_request(&first);
        assert!(w.delete_as(delete).await.is_err_and(lost), "{what}");
        scene.tamper.unmake(&edits);
        assert!(w.get(&second).await.is_ok(), "{what}: nothing was done");
    }
    assert_eq!(scene.check("at last", &BTreeSet::new(), false).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_put_among_those_of_another_tenant_is_not_streamed_to_them() {
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let (ours, theirs) = (&scene.everybody[0], &scene.everybody[1]);
    let edits = scene
        .tamper
        .swap(&card(ours, 1), &card(theirs, 1), &["tenant"]);
    assert_eq!(edits.len(), 2);
    scene.tamper.make(&edits);
    let hit = [ours, theirs].map(|who| (who.tenant, names(who)[0].clone()));
    scene.check_streams("tenants of records", &hit.into()).await;
    for caller in &scene.callers {
        let (all, skipped) = caller.all().await.expect("streamed");
        assert_eq!(
            all.len(),
            2 * CUSTOMERS - 1,
            "neither the lost one nor the other's"
        );
        assert_eq!(skipped.get("DATA_LOSS"), Some(&1));
    }
    scene.tamper.unmake(&edits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_were_exchanged_are_not_told_either() {
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let w = &scene.callers[0];
    let (a, b) = (&scene.everybody[0], &scene.everybody[2]);
    let edits = scene
        .tamper
        .swap(&customer_row(a), &customer_row(b), &["sealed_id"]);
    scene.tamper.make(&edits);
    for who in [a, b] {
        assert!(w.list(&who.id).await.is_err_and(|f| f.is("DATA_LOSS")));
    }
    let hit = [a, b]
        .into_iter()
        .flat_map(|who| names(who).map(|name| (who.tenant, name)));
    scene
        .check_streams("sealed ids of customers", &hit.collect())
        .await;
    scene.tamper.unmake(&edits);
    let edits = scene.tamper.swap(&card(a, 1), &card(a, 2), &["sealed_id"]);
    scene.tamper.make(&edits);
    assert!(w.list(&a.id).await.is_err_and(|f| f.is("DATA_LOSS")));
    scene.tamper.unmake(&edits);
    assert_eq!(w.list(&a.id).await.expect("listed").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_keys_that_were_exchanged_open_nothing() {
    let place = Place::quick();
    let scene = Scene::set(&place).await;
    let pages = scene.tamper.rows(File::Keys, "pages", &["kind", "page"]);
    assert_eq!(pages.len(), 3, "one of customers, one index page a tenant");
    let all = |tenant: usize| -> BTreeSet<(usize, String)> {
        let names = scene.all_names(tenant).into_iter();
        names.map(|name| (tenant, name)).collect()
    };
    for a in 0..pages.len() {
        for b in a + 1..pages.len() {
            let edits = scene.tamper.swap(&pages[a], &pages[b], &["wrapped"]);
            scene.tamper.make(&edits);
            let mut hit = all(0);
            hit.extend(all(1));
            let customers = pages[a].key.starts_with("kind = 1");
            let refused = scene.check("page keys", &hit, !customers).await;
            assert!(refused >= 2 * CUSTOMERS);
            scene.tamper.unmake(&edits);
        }
    }
    assert_eq!(scene.check("at last", &BTreeSet::new(), false).await, 0);
}
