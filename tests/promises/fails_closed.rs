//! P11: whatever is not as it must be is refused clearly, with nothing half
//! done and nothing lost.

use crate::caller::{connect, name_on, named, record};
use crate::place::{Place, Server, until};
use crate::process::Process;
use oubliette::cli::init::CONFIG;
use oubliette::error::{Error, Unavailable};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KEY: &str = "keys/epoch-00000001.key";

/// A vault with one customer in it, not being served.
async fn kept() -> Place {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    w.put(&record("a", "r"), named("Ada"))
        .await
        .expect("written");
    server.stop();
    place
}

/// Databases and keys, byte by byte.
fn content(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["data/keys.db", "data/vault.db", KEY];
    let paths = files.iter().map(|name| place.path().join(name));
    let read = paths.filter_map(|path| Some((path.clone(), fs::read(&path).ok()?)));
    read.collect()
}

/// The server does not start, says these words, and changes nothing.
#[track_caller]
fn is_refused(place: &Place, what: &str, words: &[&str]) {
    let before = content(place);
    let ended = Process::refused(place);
    let said = String::from_utf8_lossy(&ended.stderr).to_string();
    assert!(
        ended.status.code().is_some_and(|code| code != 0),
        "{what}: {}: {said}",
        ended.status
    );
    for word in words {
        assert!(said.contains(word), "{what}: {word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(before == content(place), "{what}: something was changed");
}

async fn is_served(place: &Place) {
    let server = Server::start(place);
    let w = connect(place, &server, "acme/w00").await;
    let card = w.get(&record("a", "r")).await.expect("as before");
    assert_eq!(name_on(&card), Some("Ada"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_data_is_refused() {
    let place = kept().await;
    let mut first = Process::start(&place);
    let pid = first.id().to_string();
    is_refused(
        &place,
        "a second process",
        &["another process", &pid, "stop that one"],
    );
    assert!(first.lives());
    let w = connect(&place, &first, "acme/w00").await;
    assert!(w.get(&record("a", "r")).await.is_ok());
    first.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_newer_version_are_refused() {
    let place = kept().await;
    for file in [place.keys(), place.vault()] {
        let version = |number: i64| file.pragma_update(None, "user_version", number);
        let newest = file.query_row("PRAGMA user_version", [], |row| row.get(0));
        let newest = newest.expect("a version");
        let own = file.pragma_query_value(None, "user_version", |row| row.get(0));
        let own: i64 = own.expect("a version");
        version(99).expect("set");
        file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .expect("written");
        is_refused(&place, "a newer file", &["newer version"]);
        version(newest).expect("set back");
        version(own).expect("set back");
    }
    is_served(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_missing_open_to_others_or_another_is_refused() {
    let place = kept().await;
    let key = place.path().join(KEY);
    let away = place.path().join("away");
    fs::rename(&key, &away).expect("moved");
    is_refused(&place, "no key", &["epoch-00000001.key"]);
    assert!(!key.exists(), "no other key is made in its place");
    fs::rename(&away, &key).expect("moved back");

    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode));
    mode(0o640).expect("changed");
    is_refused(
        &place,
        "a readable key",
        &["chmod 600", "--allow-readable-keys"],
    );
    mode(0o600).expect("changed back");

    let good = fs::read(&key).expect("a key");
    let mut bad = good.clone();
    let last = bad.len() - 2;
    bad[last] = if bad[last] == b'0' { b'1' } else { b'0' };
    fs::write(&key, &bad).expect("written");
    is_refused(&place, "another key", &[]);
    fs::write(&key, &good[..good.len() / 2]).expect("written");
    is_refused(&place, "half a key", &["epoch-00000001.key"]);
    fs::write(&key, good).expect("written back");
    is_served(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_of_the_configuration_is_refused() {
    let place = kept().await;
    let path = place.path().join(CONFIG);
    let good = fs::read_to_string(&path).expect("a configuration");
    for (key, rule) in [
        ("auditing", "is not a key that belongs"),
        ("audit", "must be a table"),
    ] {
        fs::write(&path, format!("{key} = \"off\"\n{good}")).expect("written");
        is_refused(&place, "a log that is switched off", &[key, rule]);
    }
    fs::write(&path, &good).expect("written back");
    let roles = place.config_file("roles.toml");
    let good = fs::read_to_string(&roles).expect("roles");
    let unknown = good.replace("roles = [\"idle\"]", "roles = [\"nobody\"]");
    fs::write(&roles, unknown).expect("written");
    is_refused(&place, "an unknown role", &["roles.toml"]);
    fs::write(&roles, &good).expect("written back");
    let policy = place.config_file("policy.cedar");
    let good = fs::read_to_string(&policy).expect("a policy");
    fs::write(&policy, good.replace("resource);", "resource")).expect("written");
    is_refused(&place, "a broken policy", &["policy.cedar"]);
    fs::write(&policy, good).expect("written back");
    is_served(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_is_refused_at_the_start_or_at_the_read_and_never_read_wrong() {
    let place = kept().await;
    let path = place.data().join("keys.db");
    let good = fs::read(&path).expect("a database");
    let page: i64 = place
        .keys()
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .expect("a size");
    let page = usize::try_from(page).expect("small");
    let (mut at_start, mut at_read, mut unhurt) = (0, 0, 0);
    for damaged in 0..good.len() / page {
        let mut bad = good.clone();
        bad[damaged * page..(damaged + 1) * page].fill(0xa5);
        fs::write(&path, &bad).expect("written");
        for beside in ["keys.db-wal", "keys.db-shm"] {
            let _none = fs::remove_file(place.data().join(beside));
        }
        if damaged == 0 {
            is_refused(&place, "the first page", &[]);
            at_start += 1;
            continue;
        }
        let Ok(server) = std::panic::catch_unwind(|| Server::start(&place)) else {
            at_start += 1;
            continue;
        };
        let w = connect(&place, &server, "acme/w00").await;
        match w.get(&record("a", "r")).await {
            Ok(card) => {
                assert_eq!(name_on(&card), Some("Ada"), "page {damaged}");
                unhurt += 1;
            }
            Err(failure) => {
                assert!(failure.is("DATA_LOSS"), "page {damaged}: {failure}");
                at_read += 1;
            }
        }
        drop(w);
        drop(server);
    }
    println!(
        "{} pages damaged in turn: {at_start} refused at the start, {at_read} at the read, \
         {unhurt} not needed for it",
        good.len() / page
    );
    assert!(at_start > 2 && at_read > 0);
    for beside in ["keys.db-wal", "keys.db-shm"] {
        let _none = fs::remove_file(place.data().join(beside));
    }
    fs::write(&path, good).expect("written back");
    is_served(&place).await;
}

/// A file system of `size` over a directory, gone when this is dropped.
struct Small(PathBuf);

impl Small {
    fn over(directory: &Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=0700"),
                "tmpfs",
            ])
            .arg(directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        is_mounted.then(|| Self(directory.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Says that a test could not run, where the one who runs all tests looks.
/// Notes a test that cannot run here, for `tests/run`.
pub fn not_run(name: &str, why: &str) {
    println!("not run: {name}: {why}");
    if let Some(path) = std::env::var_os("OUBLIETTE_TEST_NOT_RUN") {
        let file = fs::File::options().create(true).append(true).open(path);
        writeln!(file.expect("a file"), "{name}: {why}").expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_is_answered_nothing_is_lost_and_the_process_lives() {
    let place = kept().await;
    let files: Vec<(PathBuf, Vec<u8>)> = content(&place)
        .into_iter()
        .filter(|(path, _)| path.starts_with(place.data()))
        .collect();
    let Some(_small) = Small::over(&place.data(), "28m") else {
        return not_run(
            "a full disk",
            "a small tmpfs cannot be mounted here; run as root",
        );
    };
    for (path, bytes) in files {
        fs::write(path, bytes).expect("copied");
    }
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("gone").await.expect("created");
    let mut written = 0;
    let filler = place.data().join("filler");
    fs::write(&filler, vec![0; 9 << 20]).expect("room");
    let failure = loop {
        let name = record("a", &format!("n{written}"));
        match w.put(&name, named(format!("number {written}"))).await {
            Ok(_) => written += 1,
            Err(failure) => break failure,
        }
    };
    assert!(failure.is("DISK_FULL"), "{failure}");
    assert_eq!(failure.code, tonic::Code::Unavailable);
    // What is left holds no record, but perhaps still the entry of a read.
    while w.get(&record("a", "n0")).await.is_ok() {}
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..50 {
        let name = record("a", &format!("n{}", number % written));
        let answer = w
            .get(&name)
            .await
            .err()
            .map_or("read".to_owned(), |f| f.reason);
        *answers.entry(answer).or_insert(0) += 1;
    }
    println!("{written} records filled the disk; then reads were answered {answers:?}");
    // An entry may still fit where a record did not: then the read was answered.
    let fitting = ["DISK_FULL", "AUDIT_WRITE_FAILED", "read"];
    let is_fitting = |reason: &String| fitting.contains(&reason.as_str());
    assert!(answers.keys().all(is_fitting) && answers.contains_key("DISK_FULL"));
    // What is set aside serves erasures.
    let erased = w.erase("gone").await;
    assert!(erased.is_ok(), "{}", erased.err().expect("an error"));
    let read = w.get(&record("a", "r")).await;
    assert!(read.is_err_and(|f| f.is("DISK_FULL")), "nothing else is");
    fs::remove_file(filler).expect("removed");
    until("it goes on by itself", async || w.show("a").await.is_ok()).await;
    for number in 0..written {
        let name = record("a", &format!("n{number}"));
        let card = w.get(&name).await.expect("kept");
        assert_eq!(name_on(&card), Some(format!("number {number}").as_str()));
    }
    assert_eq!(w.show("gone").await.expect("shown").state, 2);
    w.create("b").await.expect("created");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_is_not_waited_for_for_ever() {
    use crate::faulty::{Act, Director, Step, open};
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    w.put(&record("a", "r"), named("Ada"))
        .await
        .expect("written");
    director.say(|step| match step {
        Step::PutRecord | Step::CreateKeys => Act::Hang,
        _ => Act::Go,
    });
    let put = w.put(&record("a", "r"), named("Bea")).await.err();
    let create = w.create("b").await.err();
    for failure in [put, create] {
        let failure = failure.expect("refused");
        assert!(failure.is("STORE_SLOW"), "{failure}");
        assert!(failure.retry_after.is_some());
    }
    director.say(|step| match step {
        Step::Read => Act::Refuse(Error::Unavailable(Unavailable::StoreSlow)),
        _ => Act::Go,
    });
    assert!(
        w.get(&record("a", "r"))
            .await
            .is_err_and(|f| f.code == tonic::Code::Unavailable)
    );
    director.well();
    let card = w.get(&record("a", "r")).await.expect("it goes on");
    assert_eq!(name_on(&card), Some("Ada"));
}
