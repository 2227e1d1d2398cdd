//! Restores: data may be old, keys must be current. Whoever was erased since
//! the backup stays dead, everybody else is there, and nothing old can be
//! served by itself.

use crate::caller::{Caller, connect, name_on, named, record};
use crate::needles::Needles;
use crate::place::{Place, until};
use crate::process::Process;
use age::secrecy::ExposeSecret;
use oubliette::crypto::{Deployment, KeyKind, WrapContext, message};
use oubliette::pb;
use oubliette::secret::Key32;
use serde_json::Value as Json;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Customers of the story; enough that the index is split after the backup.
const EARLY: usize = 240;
const ERASED: usize = 100;
const LATE: usize = 40;
const DELETED: usize = 10;

/// A vault that keeps backups and a ledger elsewhere.
pub struct House {
    pub place: Place,
    pub elsewhere: tempfile::TempDir,
    /// What the program finds in its environment.
    pub more: Vec<(&'static str, OsString)>,
}

impl House {
    pub fn new(is_strict: bool) -> Self {
        Self::over(Place::quick(), is_strict)
    }

    /// Over a vault that is laid out already.
    pub fn over(place: Place, is_strict: bool) -> Self {
        let beside = place.path();
        let beside = beside.parent().expect("a directory");
        // On the same file system, so that the tests can move files.
        let elsewhere = tempfile::tempdir_in(beside).expect("a directory");
        let house = Self {
            place,
            elsewhere,
            more: Vec::new(),
        };
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        fs::write(
            house.identity(),
            format!("# drill\n{}\n", secret.expose_secret()),
        )
        .expect("written");
        let at = house.elsewhere.path().display();
        let file = house.place.config_file("oubliette.toml");
        let mut text = fs::read_to_string(&file).expect("a configuration");
        text.push_str(&format!(
            "\n[backup]\nkeys_to = \"{at}/keys\"\nrecipient = \"{}\"\nledger_to = \"{at}/ledger\"\n\
             strict = {is_strict}\n",
            identity.to_public()
        ));
        fs::write(file, text).expect("written");
        house
    }

    /// What the program finds in its environment.
    pub fn more(&self) -> Vec<(&'static str, &OsStr)> {
        let more = self.more.iter();
        more.map(|(name, value)| (*name, value.as_os_str()))
            .collect()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.elsewhere.path().join(name)
    }

    pub fn identity(&self) -> PathBuf {
        self.at("identity.txt")
    }

    pub fn ledger(&self) -> PathBuf {
        self.at("ledger/oubliette.ledger")
    }

    /// Runs `oubliette` on this vault.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_oubliette"))
            .args(arguments)
            .arg("--dir")
            .arg(self.place.path())
            .envs(self.more())
            .output()
            .expect("oubliette runs")
    }

    /// Runs it with `--json`; it must succeed.
    pub fn done(&self, arguments: &[&str]) -> Json {
        let output = self.run(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Runs it; it must be refused and say so.
    pub fn refused(&self, arguments: &[&str], why: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(why),
            "{arguments:?}: {said}"
        );
    }

    fn restore_keys(&self, more: &[&str]) -> Vec<String> {
        let words = ["restore", "keys"].map(str::to_owned);
        let mut words = words.to_vec();
        words.push(self.at("keys").display().to_string());
        words.extend([
            "--identity".to_owned(),
            self.identity().display().to_string(),
        ]);
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }
}

pub fn id(number: usize) -> String {
    format!("somebody-{number:04}")
}

fn card(number: usize) -> String {
    format!("card of {number:04}")
}

pub async fn create(w: &Caller, numbers: std::ops::Range<usize>) {
    let mut all = tokio::task::JoinSet::new();
    for number in numbers {
        let w = w.clone();
        all.spawn(async move {
            w.create(&id(number)).await.expect("created");
            for of in ["first", "second"] {
                let written = w.put(&record(&id(number), of), named(card(number))).await;
                written.expect("written");
            }
        });
    }
    all.join_all().await;
}

pub async fn erase(w: &Caller, numbers: std::ops::Range<usize>) {
    for number in numbers {
        w.erase(&id(number)).await.expect("erased");
    }
}

/// Nobody of `numbers` can be read in any way.
pub async fn all_dead(w: &Caller, numbers: std::ops::Range<usize>) {
    let (streamed, _) = w.all().await.expect("streamed");
    for number in numbers {
        for of in ["first", "second"] {
            let name = record(&id(number), of);
            let reason = w.get(&name).await.err().expect("nothing is read").reason;
            let dead = ["CUSTOMER_ERASED", "CUSTOMER_NOT_FOUND"];
            assert!(dead.contains(&reason.as_str()), "{name}: {reason}");
            assert!(!streamed.contains_key(&name), "{name} in a stream");
        }
    }
}

pub async fn all_there(w: &Caller, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let read = w.get(&record(&id(number), "second")).await.expect("read");
        assert_eq!(name_on(&read), Some(card(number).as_str()));
    }
}

pub async fn purged(w: &Caller, numbers: std::ops::Range<usize>) {
    for number in numbers {
        until("it is purged", async || {
            let shown = w.show(&id(number)).await.expect("shown");
            shown.erasure_level() == pb::ErasureLevel::Purged
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_weeks_data_under_todays_keys_brings_nobody_back() {
    let house = House::new(true);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..EARLY).await;
    let file = house.at("last-week.db");
    let file = file.to_str().expect("UTF-8");
    house.done(&["backup", "data", file]);
    erase(&w, 0..ERASED).await;
    for number in ERASED..ERASED + DELETED {
        let request = crate::caller::delete_request(&record(&id(number), "first"));
        w.delete_as(request).await.expect("deleted");
    }
    create(&w, EARLY..EARLY + LATE).await;
    house.refused(&["restore", "data", file], "another process");
    server.kill();

    // A copy that somebody puts there by hand is not served.
    let data = house.place.data();
    fs::rename(data.join("vault.db"), house.at("present.db")).expect("moved");
    for log in ["vault.db-wal", "vault.db-shm"] {
        let _ = fs::rename(data.join(log), house.at(log));
    }
    fs::copy(file, data.join("vault.db")).expect("copied");
    let refused = Process::refused(&house.place);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("oubliette restore data"), "{said}");

    let report = house.done(&["restore", "data", file]);
    let count = |name: &str| report[name].as_u64().expect("a count") as usize;
    assert_eq!(count("kept_dead"), ERASED);
    assert_eq!(count("deletions_replayed"), DELETED);
    assert_eq!(count("lost"), LATE);
    assert_eq!(count("customers"), EARLY - ERASED);
    assert_eq!(report["ledger_complete"], true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    all_dead(&w, 0..ERASED).await;
    all_there(&w, ERASED..EARLY).await;
    for number in ERASED..ERASED + DELETED {
        let read = w.get(&record(&id(number), "first")).await;
        assert!(read.is_err_and(|failure| failure.is("RECORD_NOT_FOUND")));
    }
    // Who begins anew begins with nothing of the old.
    w.create_as(&id(0), true, oubliette::client::request_id())
        .await
        .expect("created anew");
    let read = w.get(&record(&id(0), "first")).await;
    assert!(read.is_err_and(|failure| failure.is("RECORD_NOT_FOUND")));
    w.create(&id(EARLY))
        .await
        .expect("a lost customer begins anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterdays_keys_come_back_with_the_ledger_and_not_without() {
    let house = House::new(true);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..EARLY).await;
    house.done(&["backup", "keys"]);
    let tiles = house.at("tiles").display().to_string();
    house.place.has_checkpoint().await;
    house.done(&["audit", "export", "--out", &tiles]);
    let checkpoint = house.at("tiles/checkpoint").display().to_string();
    let again = house.done(&["backup", "keys"]);
    assert!(again["parts_kept"].as_u64() > Some(0), "{again}");
    assert!(
        again["parts_written"].as_u64() <= Some(1),
        "only what changed: {again}"
    );
    erase(&w, 0..ERASED).await;
    create(&w, EARLY..EARLY + LATE).await;
    purged(&w, 0..ERASED).await;
    server.kill();
    let data = house.place.data();
    let words = house.restore_keys(&[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ledger = house.ledger().display().to_string();
    let with_ledger = [&words[..], &["--ledger", &ledger]].concat();
    house.refused(&with_ledger, "it may be newer than any backup");
    for file in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    house.refused(&words, "no copy of the ledger was given");
    // Without the log nothing shows that the ledger is the newest.
    let (vault, aside) = (data.join("vault.db"), data.join("aside.db"));
    fs::rename(&vault, &aside).expect("moved");
    house.refused(
        &with_ledger,
        "nothing shows that this copy of the ledger is the newest",
    );
    fs::rename(&aside, &vault).expect("moved back");
    let one = [
        &words[..],
        &["--unproven", "flood", "--approved-by", "acme/a"],
    ]
    .concat();
    house.refused(&one, "two different principals");
    assert!(!data.join("keys.db").exists());
    // A checkpoint from outside counts only as the log signed it.
    let forged = house.at("forged");
    let signed = fs::read_to_string(&checkpoint).expect("a checkpoint");
    let mut lines: Vec<&str> = signed.lines().collect();
    lines[1] = "1";
    fs::write(&forged, lines.join("\n") + "\n").expect("written");
    let forged = forged.display().to_string();
    let with_forged = [&with_ledger[..], &["--checkpoint", &forged]].concat();
    house.refused(&with_forged, "a signature that is not the log's");
    let with_ledger = [&with_ledger[..], &["--checkpoint", &checkpoint]].concat();

    let report = house.done(&with_ledger);
    let count = |name: &str| report[name].as_u64().expect("a count") as usize;
    assert_eq!(count("keys_removed"), ERASED);
    assert_eq!(count("customers"), EARLY - ERASED);
    assert_eq!(count("without_keys"), LATE, "they came after the backup");
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    all_dead(&w, 0..ERASED).await;
    all_there(&w, ERASED..EARLY).await;
    // Numbers begin beyond all that were given out.
    create(&w, 900..901).await;
    let newest = "SELECT max(customer) FROM customer_keys";
    let newest: i64 = house
        .place
        .keys()
        .query_row(newest, [], |row| row.get(0))
        .expect("a row");
    assert!(newest > 1 << 20, "{newest}");
    let dirty = "SELECT count(*) FROM pages WHERE kind = 1 AND dirty = 0 AND page < 4000";
    let clean: i64 = house
        .place
        .keys()
        .query_row(dirty, [], |row| row.get(0))
        .expect("a row");
    assert_eq!(clean, 0, "the next close replaces every page key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_ledger_two_people_take_it_on_and_it_is_written_down() {
    let house = House::new(false);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..4).await;
    house.done(&["backup", "keys"]);
    erase(&w, 0..1).await;
    purged(&w, 0..1).await;
    server.kill();
    for file in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(house.place.data().join(file));
    }
    fs::remove_file(house.ledger()).expect("the ledger is lost too");
    let both = [
        "--unproven",
        "flood",
        "--approved-by",
        "acme/a",
        "--approved-by",
        "acme/b",
    ];
    let words = house.restore_keys(&both);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let report = house.done(&words);
    assert_eq!(report["erased_but_not_in_ledger"], 1, "vault.db knew of it");
    assert_eq!(report["ledger_complete"], false);
    assert_eq!(report["not_proved"].as_array().map(Vec::len), Some(1));
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    all_dead(&w, 0..1).await;
    all_there(&w, 1..4).await;
    let unproven: i64 = house
        .place
        .vault()
        .query_row("SELECT time FROM unproven", [], |row| row.get(0))
        .expect("older consent reads as unknown");
    assert!(unproven > 0);
    let leaf: Vec<u8> = house
        .place
        .vault()
        .query_row(
            "SELECT leaf FROM leaves WHERE leaf LIKE '%\"restored\"%'",
            [],
            |row| row.get(0),
        )
        .expect("a leaf");
    let leaf: Json = serde_json::from_slice(&leaf).expect("JSON");
    let fact = &leaf["fact"]["restored"];
    assert_eq!(fact["approved_by"], serde_json::json!(["acme/a", "acme/b"]));
    assert_eq!(fact["reason"], "flood");
}

/// Neither the key table nor the records of before know that the key was
/// compromised since: the ledger does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_compromised_since_comes_back_as_compromised() {
    let house = House::new(true);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..4).await;
    house.done(&["backup", "keys"]);
    let file = house.at("before.db");
    let file = file.to_str().expect("UTF-8");
    house.done(&["backup", "data", file]);
    let request = pb::CompromiseKeysRequest {
        customer: crate::caller::customer(&id(0)),
        reason: "a laptop was lost".to_owned(),
    };
    let begun = w.keys.clone().compromise_keys(request).await;
    let job = begun.expect("it begins").into_inner().job.expect("a job");
    let seen = w.watch(job.job).await.expect("watched");
    assert_eq!(seen.last().map(pb::Job::state), Some(pb::JobState::Done));
    server.kill();
    for file in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(house.place.data().join(file));
    }
    let ledger = house.ledger().display().to_string();
    let words = house.restore_keys(&["--ledger", &ledger]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    house.done(&words);
    house.done(&["restore", "data", file]);
    let flagged: i64 = house
        .place
        .keys()
        .query_row("SELECT count(*) FROM compromised", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(flagged, 1);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    all_there(&w, 1..4).await;
    let read = w.get(&record(&id(0), "second")).await;
    assert!(read.is_err_and(|failure| failure.is("KEY_COMPROMISED")));
    let request = pb::RotateKeysRequest {
        customer: crate::caller::customer(&id(0)),
        ..Default::default()
    };
    let begun = w.keys.clone().rotate_keys(request).await;
    let job = begun.expect("it begins").into_inner().job.expect("a job");
    let seen = w.watch(job.job).await.expect("watched");
    assert_eq!(seen.last().map(pb::Job::state), Some(pb::JobState::Done));
    all_there(&w, 0..4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_key_table_is_not_served() {
    let house = House::new(true);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..3).await;
    server.kill();
    // A copy of the whole disk, as a snapshot makes it.
    let (data, snapshot) = (house.place.data(), house.at("snapshot"));
    let files = [
        "keys.db",
        "keys.db-wal",
        "keys.db-shm",
        "vault.db",
        "vault.db-wal",
        "vault.db-shm",
    ];
    let copy = |from: &PathBuf, to: &PathBuf, names: &[&str]| {
        fs::create_dir_all(to).expect("made");
        for name in names {
            let _ = fs::remove_file(to.join(name));
            let _ = fs::copy(from.join(name), to.join(name));
        }
    };
    copy(&data, &snapshot, &files);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    erase(&w, 0..1).await;
    purged(&w, 0..1).await;
    server.kill();
    let present = house.at("present");
    copy(&data, &present, &files);
    copy(&snapshot, &data, &files[..3]);
    let refused = Process::refused(&house.place);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("keys.db is older than vault.db"), "{said}");
    // Both files old: only what is kept elsewhere tells.
    copy(&snapshot, &data, &files);
    let refused = Process::refused(&house.place);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("older than the copy of the ledger"), "{said}");
    assert!(said.contains("oubliette restore keys --ledger"), "{said}");
    copy(&present, &data, &files);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    all_dead(&w, 0..1).await;
    all_there(&w, 1..3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_waits_for_its_ledger_where_it_is_asked_to() {
    let house = House::new(true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..2).await;
    let (ledger, moved) = (house.at("ledger"), house.at("unmounted"));
    fs::rename(&ledger, &moved).expect("moved");
    let pending = w.erase(&id(0)).await.err().expect("not confirmed");
    assert!(pending.is("LEDGER_PENDING"), "{pending}");
    assert!(pending.message.contains("ledger_to"), "{pending}");
    let read = w.get(&record(&id(0), "first")).await;
    assert!(
        read.is_err_and(|failure| failure.is("CUSTOMER_ERASED")),
        "dead all the same"
    );
    fs::rename(&moved, &ledger).expect("moved back");
    w.erase(&id(0)).await.expect("the retry finishes it");
    let text = fs::read_to_string(house.ledger()).expect("a ledger");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("e ")).count(),
        1
    );
}

/// The raw keys above the databases: provider keys and master keys.
fn top_keys(house: &House) -> Needles {
    let mut needles = Needles::default();
    let db = house.place.keys();
    let deployment: [u8; 16] = db
        .query_row("SELECT id FROM deployment", [], |row| row.get(0))
        .expect("a row");
    let mut rows = db
        .prepare("SELECT epoch, name, wrapped FROM epoch_keys")
        .expect("SQL");
    let rows = rows.query_map([], |row| {
        Ok((
            row.get::<_, u32>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, Vec<u8>>(2)?,
        ))
    });
    for row in rows.expect("rows") {
        let (epoch, name, wrapped) = row.expect("a row");
        let text = fs::read_to_string(house.place.path().join("keys").join(name)).expect("a key");
        let digits = text.lines().nth(1).expect("digits");
        let mut key: [u8; 32] = hex::decode(digits).expect("hex").try_into().expect("32");
        needles.add(&key, "a provider key");
        needles.add_text(digits);
        let place = WrapContext {
            deployment: Deployment(deployment),
            tenant: 0,
            number: 0,
            generation: 0,
            page: 0,
            page_generation: 0,
            epoch,
        };
        let key = Key32::take(&mut key);
        let master = message::open(&key, &place.bytes(KeyKind::Master), &wrapped).expect("opens");
        needles.add(master.expose(), "a master key");
        needles.add_text(&hex::encode(master.expose()));
    }
    needles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_backup_holds_a_provider_or_master_key_that_opens() {
    let house = House::new(true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..3).await;
    house.done(&["backup", "keys"]);
    let file = house.at("data.db");
    house.done(&["backup", "data", file.to_str().expect("UTF-8")]);
    erase(&w, 0..1).await;
    let needles = top_keys(&house);
    assert_eq!(needles.in_dir(house.elsewhere.path()).0.len(), 0);
    // And not behind the encryption either.
    let identity = oubliette::backup::Identity::load(&house.identity()).expect("an identity");
    let mut packs = 0;
    for entry in fs::read_dir(house.at("keys"))
        .expect("a directory")
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "age")
        {
            let content = identity.read(&entry.path()).expect("opens");
            assert!(content.starts_with(b"SQLite format 3"));
            assert!(needles.in_bytes(&content).is_empty());
            packs += 1;
        }
    }
    assert!(packs > 0 && needles.len() >= 4);
    // The search finds what it looks for.
    let keys = house.place.path().join("keys");
    assert!(!needles.in_dir(&keys).0.is_empty());
}
