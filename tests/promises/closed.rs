//! P7 and P8: once the epoch of an erasure is closed, no backup brings the
//! customer back, nor tells that there was one; and all others are served as
//! before.

use crate::caller::{connect, name_on, named, record};
use crate::faulty::{self, Act, Director, Step};
use crate::log::{Fact, Log};
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use oubliette::crypto::{Deployment, IndexPageKey, MasterKey, PageKey, TenantKey, WrapContext};
use oubliette::keys::KeyProvider;
use oubliette::keys::file::FileProvider;
use oubliette::pb;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

fn id(number: usize) -> String {
    format!("somebody-{number:04}")
}

/// All values of a column.
fn column(db: &Connection, sql: &str) -> Vec<Vec<u8>> {
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// Copies of both files, as a backup takes them.
fn back_up(place: &Place, to: &Path) {
    for (db, name) in [(place.keys(), "keys.db"), (place.vault(), "vault.db")] {
        let path = to.join(name);
        let path = path.to_str().expect("a path");
        db.execute("VACUUM INTO ?1", [path]).expect("a backup");
    }
}

/// A context of an epoch's master key, or of a page's own key.
fn context(
    deployment: Deployment,
    tenant: u32,
    page: u64,
    generation: u32,
    epoch: u32,
) -> WrapContext {
    WrapContext {
        deployment,
        tenant,
        number: 0,
        generation: 0,
        page,
        page_generation: generation,
        epoch,
    }
}

/// Every master key that a backup's rows and the provider's present keys open.
fn masters(backup: &Connection, place: &Place) -> (Deployment, Vec<(u32, MasterKey)>) {
    let id: [u8; 16] = backup
        .query_row("SELECT id FROM deployment", [], |row| row.get(0))
        .expect("an id");
    let provider = FileProvider::new(&place.path().join("keys")).expect("keys");
    let mut statement = backup
        .prepare("SELECT epoch, name, wrapped FROM epoch_keys")
        .expect("a statement");
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("rows");
    let mut open = Vec::new();
    for row in rows {
        let (epoch, name, wrapped): (u32, String, Vec<u8>) = row.expect("a row");
        let place = context(Deployment(id), 0, 0, 0, epoch);
        if let Ok(master) = provider.unwrap(&name, &place, &wrapped) {
            open.push((epoch, master));
        }
    }
    (Deployment(id), open)
}

/// How many pages of a backup some master key opens.
fn openable(backup: &Connection, deployment: Deployment, masters: &[(u32, MasterKey)]) -> usize {
    let mut statement = backup
        .prepare("SELECT kind, page, coalesce(tenant, 0), generation, epoch, wrapped FROM pages")
        .expect("a statement");
    let mut rows = statement.query([]).expect("rows");
    let mut opened = 0;
    while let Some(row) = rows.next().expect("a row") {
        let get = |at| row.get::<_, i64>(at).expect("a number");
        let small = |at| u32::try_from(get(at)).expect("small");
        let place = context(
            deployment,
            small(2),
            get(1).cast_unsigned(),
            small(3),
            small(4),
        );
        let wrapped: Vec<u8> = row.get(5).expect("bytes");
        let opens = masters.iter().any(|(_, master)| match get(0) {
            1 => PageKey::unwrap_from(master, &place, &wrapped).is_ok(),
            _ => IndexPageKey::unwrap_from(master, &place, &wrapped).is_ok(),
        });
        opened += usize::from(opens);
    }
    opened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_close_an_erased_id_is_as_never_seen_and_no_backup_opens() {
    const COUNT: usize = 600;
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for number in 0..COUNT {
        w.create(&id(number)).await.expect("created");
        let written = w.put(&record(&id(number), "r"), named(id(number))).await;
        written.expect("written");
    }
    let erased: Vec<usize> = (0..COUNT).step_by(43).collect();
    let backups = tempfile::tempdir().expect("a directory");
    back_up(&place, backups.path());
    let backup = Connection::open(backups.path().join("keys.db")).expect("a backup");
    // The wrapped keys of the erased, of every page, and the master key.
    let mut needles = Needles::default();
    for number in &erased {
        let sql = format!(
            "SELECT wrapped FROM customer_keys WHERE customer = {}",
            number + 1
        );
        for wrapped in column(&backup, &sql) {
            needles.add(&wrapped, "a key of an erased customer");
        }
    }
    for wrapped in column(&backup, "SELECT wrapped FROM epoch_keys") {
        needles.add(&wrapped, "the master key");
    }
    for number in &erased {
        w.erase(&id(*number)).await.expect("erased");
    }
    let mut fingerprints: Vec<Vec<u8>> = column(&place.keys(), "SELECT fingerprint FROM fences");
    fingerprints.sort();
    for wrapped in column(&place.keys(), "SELECT wrapped FROM pages WHERE dirty = 1") {
        needles.add(&wrapped, "a dirty page's key");
    }
    let (deployment, before) = masters(&backup, &place);
    assert_eq!(
        openable(&backup, deployment, &before),
        page_count(&backup),
        "before the close"
    );

    let mut log = Log::of(&place);
    log.skip();
    let job = w.close_to_the_end().await;
    assert!(job.keys > 0, "dirty pages were renewed");

    let shown = |id: String| {
        let w = w.clone();
        async move { w.show(&id).await }
    };
    for number in 0..COUNT {
        if erased.contains(&number) {
            let gone = shown(id(number)).await.err().expect("gone");
            assert!(gone.is("CUSTOMER_NOT_FOUND"), "{}", gone.reason);
        } else {
            let card = w.get(&record(&id(number), "r")).await.expect("read");
            assert_eq!(name_on(&card), Some(&*id(number)));
        }
    }
    for number in &erased {
        w.create(&id(*number))
            .await
            .expect("created without the flag");
    }
    let status = w.key_status().await.expect("counted");
    let first = &status.epochs[0];
    assert_eq!(first.state(), pb::EpochState::Destroyed);
    assert_eq!((first.pages, status.epochs.len()), (0, 2));
    certified(&mut log, erased.len(), &fingerprints);

    let (_, after) = masters(&backup, &place);
    assert!(after.is_empty(), "a destroyed epoch's master key opens");
    let (_, now) = masters(&place.keys(), &place);
    assert_eq!(now.len(), 1, "the present one does");
    assert_eq!(openable(&backup, deployment, &now), 0);
    assert_eq!(tenants_openable(&backup, deployment, &now), 0);
    server.stop();
    let (found, _) = needles.in_dir(&place.data());
    println!(
        "{COUNT} customers, {} erased, {} keys wrapped anew; {} needles, {} found in any file",
        erased.len(),
        job.keys,
        needles.len(),
        found.len()
    );
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_split_while_its_epoch_is_closed_leaves_the_tombstones_behind() {
    const COUNT: usize = 250;
    let place = Place::quick();
    let director = Director::new();
    let server = Server::over(&place, faulty::open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    for number in 0..COUNT {
        w.create(&id(number)).await.expect("created");
    }
    let erased: Vec<usize> = (0..COUNT).step_by(31).collect();
    for number in &erased {
        w.erase(&id(*number)).await.expect("erased");
    }
    // The new epoch is noted and opened; then the closing comes no further until it may.
    let (gate, steps) = (Arc::new(Semaphore::new(0)), AtomicUsize::new(0));
    let waits = Arc::clone(&gate);
    director.say(move |step| match step {
        Step::Close if steps.fetch_add(1, Ordering::Relaxed) > 1 => Act::Wait(Arc::clone(&waits)),
        _ => Act::Go,
    });
    let job = w.close().await.expect("it begins");
    let pages = || {
        let sql = "SELECT count(*) FROM index_pages WHERE tenant = 1";
        let counted = place.vault().query_row(sql, [], |row| row.get(0));
        counted.expect("a count")
    };
    let mut more = COUNT;
    until("the page is split", async || {
        w.create(&id(more)).await.expect("created");
        more += 1;
        let pages: i64 = pages();
        pages > 1
    })
    .await;
    director.well();
    gate.add_permits(1_000);
    let seen = w.watch(job.job).await.expect("watched");
    let last = seen.last().expect("a job");
    assert_eq!(last.state(), pb::JobState::Done, "{}", last.reason);
    for number in 0..more {
        let shown = w.show(&id(number)).await;
        if erased.contains(&number) {
            let gone = shown.err().expect("gone");
            assert!(gone.is("CUSTOMER_NOT_FOUND"), "{number}: {}", gone.reason);
        } else {
            assert!(shown.is_ok(), "{number}");
        }
    }
    server.stop();
}

fn page_count(db: &Connection) -> usize {
    db.query_row("SELECT count(*) FROM pages", [], |row| row.get(0))
        .expect("a count")
}

fn tenants_openable(
    backup: &Connection,
    deployment: Deployment,
    masters: &[(u32, MasterKey)],
) -> usize {
    let name: [u8; 32] = Sha256::digest("acme").into();
    let half = |at: usize| {
        let bytes = name[at..at + 8].try_into().expect("eight");
        u64::from_be_bytes(bytes)
    };
    let wrapped = column(backup, "SELECT wrapped FROM tenants WHERE name = 'acme'");
    let place = WrapContext {
        number: half(0),
        ..context(deployment, 1, half(8), 0, 1)
    };
    let opens = |wrapped: &&Vec<u8>| {
        let mut masters = masters.iter();
        masters.any(|(_, master)| TenantKey::unwrap_from(master, &place, wrapped).is_ok())
    };
    wrapped.iter().filter(opens).count()
}

/// The epoch's certificate says what was erased, by a root that the
/// fingerprints of the erasures come to.
fn certified(log: &mut Log, erased: usize, fingerprints: &[Vec<u8>]) {
    let leaves = log.new_leaves();
    let facts: Vec<&Fact> = leaves
        .iter()
        .filter_map(|leaf| leaf.fact.as_ref())
        .collect();
    let opened = |fact: &&&Fact| {
        matches!(
            fact,
            Fact::EpochOpened {
                epoch: 2,
                closing: 1
            }
        )
    };
    assert_eq!(facts.iter().filter(opened).count(), 1);
    let closed: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::EpochClosed {
                epoch,
                receipts,
                assurance,
                erased,
                root,
                backup,
                ..
            } => Some((epoch, receipts, assurance, erased, root, backup)),
            _ => None,
        })
        .collect();
    let [(epoch, receipts, assurance, count, root, backup)] = closed[..] else {
        panic!("{} certificates", closed.len());
    };
    assert_eq!((*epoch, *count), (1, erased as u64));
    assert_eq!(
        (&**assurance, &**backup),
        ("best-effort", "none configured")
    );
    assert_eq!(
        (&*receipts[0].provider, &*receipts[0].state),
        ("file", "gone")
    );
    assert_eq!(
        *root,
        hex::encode(oubliette::audit::merkle::root(fingerprints))
    );
}

/// What keys.db never heard of may be a living vault's: an old copy of it, or a
/// clone, destroys nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_key_that_the_vault_does_not_know_is_never_destroyed() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let keys = FileProvider::new(&place.path().join("keys")).expect("keys");
    let strange = keys.create(Deployment([0; 16]), 7).expect("a key");
    let refused = w.close().await.err().expect("refused");
    assert!(refused.to_string().contains("later epoch"), "{refused}");
    assert!(place.path().join("keys").join(&strange).exists());
    std::fs::remove_file(place.path().join("keys").join(&strange)).expect("removed");
    // What it noted before it made it is its own.
    let noted = "INSERT INTO opening (one, epoch) VALUES (1, 2)";
    place.keys().execute(noted, []).expect("noted");
    keys.create(Deployment([0; 16]), 2).expect("a key");
    assert_eq!(w.close_to_the_end().await.state(), pb::JobState::Done);
}
