//! P9: the log is checked offline, by our verifier and by one that is not ours,
//! and whatever is done to it is found.

use crate::caller::{connect, named, record};
use crate::exported::{self, Fit, checkpoint_of, key_of};
use crate::place::{Place, Server, is_long, until};
use crate::process::Process;
use crate::tampered::Dice;
use oubliette::audit::export::export;
use oubliette::audit::verify::{Known, Report, verify};
use oubliette::keys::signing::SigningKey;
use oubliette::store::sqlite::open_rows;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A vault's log, exported when it holds so many reads and then some.
async fn exported(place: &Place, reads: usize) -> PathBuf {
    let server = Server::start(place);
    let w = connect(place, &server, "acme/w00").await;
    w.create("somebody").await.expect("created");
    let name = record("somebody", "r");
    w.put(&name, named("a name")).await.expect("written");
    for _ in 0..reads {
        w.get(&name).await.expect("read");
    }
    w.create("erased").await.expect("created");
    w.erase("erased").await.expect("erased");
    server.stop();
    export_of(place)
}

/// Exports the log of a vault that is stopped.
pub fn export_of(place: &Place) -> PathBuf {
    let out = place.path().join("export");
    let mut rows = open_rows(&place.data()).expect("rows");
    // A purge may end after the last checkpoint: its entry is then not in it.
    export(&mut rows, &log_key(place), &out, |_, _| ()).expect("an export");
    out
}

pub fn log_key(place: &Place) -> PathBuf {
    place.path().join("keys/log.key")
}

/// Checks an export against checkpoints from outside.
pub fn against(dir: &Path, outside: Vec<String>) -> Report {
    let known = Known {
        outside,
        ..Known::default()
    };
    verify(dir, &known, |_, _| ()).expect("a report")
}

/// One thing done to a log; `other` are entries of another one.
fn tamper(dice: &mut Dice, entries: &mut Vec<Vec<u8>>, other: &[Vec<u8>]) -> &'static str {
    let many = entries.len();
    let at = dice.below(many);
    match dice.below(7) {
        0 => {
            let byte = dice.below(entries[at].len());
            entries[at][byte] ^= 1 << dice.below(8);
            "flip"
        }
        1 => {
            entries.remove(at);
            "drop"
        }
        2 => {
            let to = (at + 1 + dice.below(many - 1)) % many;
            entries.swap(at, to);
            "reorder"
        }
        3 => {
            let copy = entries[dice.below(many)].clone();
            entries.insert(at, copy);
            "insert"
        }
        4 => {
            entries.truncate(at);
            entries.extend_from_slice(&other[at.min(other.len() - 1)..]);
            "splice"
        }
        5 => {
            entries.truncate(at);
            "cut the tail"
        }
        _ => {
            let end = (at + 2 + dice.below(many / 4)).min(many);
            entries.drain(at..end);
            "remove a segment"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_log_is_found_from_outside_and_else_the_tail_is_unproven() {
    let count = if is_long() { 10_000 } else { 500 };
    let (place, elsewhere) = (Place::quick(), Place::quick());
    let dir = exported(&place, 300).await;
    let other = exported::read(&exported(&elsewhere, 200).await);
    let genuine = exported::read(&dir);
    // Kept outside when the last entry was sealed: no interval old.
    let outside = checkpoint_of(&dir);
    let key = SigningKey::load(&log_key(&place), key_of(&dir).name().to_owned()).expect("a key");

    let report = against(&dir, vec![outside.clone()]);
    assert_eq!(report.findings(), Vec::<String>::new());
    assert_eq!(
        (report.unproven(), report.head.size),
        (0, genuine.len() as u64)
    );
    assert_eq!(against(&dir, Vec::new()).unproven(), report.head.size);

    let mut dice = Dice::new(4);
    let (mut found, mut unproven) = (0, 0);
    for turn in 0..count {
        let mut entries = genuine.clone();
        let what = tamper(&mut dice, &mut entries, &other);
        if entries == genuine {
            continue;
        }
        let fit = *dice.pick(&[Fit::Entries, Fit::Tiles, Fit::Signature]);
        exported::write(&dir, &entries, fit, &key);
        let report = against(&dir, vec![outside.clone()]);
        assert!(
            !report.findings().is_empty(),
            "{turn}: {what}, {fit:?}, passed"
        );
        let alone = against(&dir, Vec::new());
        if alone.findings().is_empty() {
            // Only whoever holds the key gets so far, and is not told "ok".
            assert_eq!(fit, Fit::Signature, "{turn}: {what}");
            assert_eq!(alone.unproven(), alone.head.size, "{turn}: {what}");
            unproven += 1;
        }
        found += 1;
        exported::write(&dir, &genuine, Fit::Signature, &key);
    }
    assert!(
        against(&dir, vec![outside]).findings().is_empty(),
        "put back"
    );
    println!(
        "{found} mutations, all found against a checkpoint from outside; without one {unproven} \
         of them, re-signed with the log's own key, were told as \"tail unproven\", the others \
         found"
    );
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(arguments)
        .env_remove("OUBLIETTE_DIR")
        .output()
        .expect("a process")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_epoch_without_its_certificate_and_one_that_is_still_open_are_found() {
    let place = Place::new();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("erased").await.expect("created");
    w.erase("erased").await.expect("erased");
    w.close_to_the_end().await;
    server.stop();
    let tiles = export_of(&place);
    let vault = place.path();
    let (tiles, vault) = (tiles.to_str().unwrap(), vault.to_str().unwrap());
    let with_keys = ["audit", "verify", "--tiles", tiles, "--dir", vault];
    let told: serde_json::Value =
        serde_json::from_str(&says(0, &[&with_keys[..], &["--json"]].concat())).expect("JSON");
    assert_eq!(
        (&told["epochs_closed"], &told["keys_destroyed"]),
        (&1.into(), &1.into())
    );

    let set = |epoch: u32, state: u32| {
        let changed = place.keys().execute(
            "UPDATE epochs SET state = ?2 WHERE epoch = ?1",
            [epoch, state],
        );
        assert_eq!(changed, Ok(1));
    };
    // The open epoch made to look closed, the closed one to look open.
    set(2, 3);
    let said = says(1, &with_keys);
    assert!(
        said.contains("epoch 2 is closed and no entry says so"),
        "{said}"
    );
    set(2, 1);
    says(0, &with_keys);
    set(1, 2);
    let said = says(1, &with_keys);
    assert!(
        said.contains("says that epoch 1 is closed, and it is open"),
        "{said}"
    );
}

/// Runs a command that ends with `code`; what it said.
pub fn says(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_verifies_refuses_and_says_what_is_unproven() {
    let place = Place::new();
    let mut server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("somebody").await.expect("created");
    w.create("erased").await.expect("created");
    w.erase("erased").await.expect("erased");
    let (vault, out) = (place.path(), place.path().join("out"));
    let (vault, tiles) = (vault.to_str().unwrap(), out.to_str().unwrap());
    let checkpoint = out.join("checkpoint");
    let (seen, key) = (checkpoint.to_str().unwrap(), out.join("log.vkey"));
    let key = key.to_str().unwrap();

    // While it runs, once the calls are sealed.
    let exports = ["audit", "export", "--dir", vault, "--out", tiles, "--json"];
    until("all is sealed", async || {
        let output = run(&exports);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // Two creations, intent, shred, purge.
        output.status.success()
            && said.contains("\"entries\":5,")
            && said.contains("\"unsealed\":0")
    })
    .await;
    let said = says(0, &["audit", "verify", "--tiles", tiles]);
    assert!(said.contains("tail unproven"), "{said}");
    assert!(said.contains("The key is the export's own"), "{said}");
    let said = says(
        0,
        &[
            "audit", "verify", "--tiles", tiles, "--key", key, "--dir", vault,
        ],
    );
    assert!(!said.contains("export's own"), "{said}");
    let anchored = ["audit", "verify", "--tiles", tiles, "--require-anchor"];
    assert!(says(2, &anchored).contains("tail unproven"));
    let with_seen = [&anchored[..], &["--checkpoint", seen]].concat();
    assert!(says(0, &with_seen).contains("verified to the end"));

    // A proof of one entry, and of none.
    let proof = place.path().join("5.tlog-proof");
    let proof = proof.to_str().unwrap();
    says(0, &["audit", "proof", "5", "--dir", vault, "--out", proof]);
    let said = says(0, &["audit", "verify", "--proof", proof, "--key", key]);
    assert!(
        said.contains("entry 5 of 5") && said.contains("purged"),
        "{said}"
    );
    let refused = says(1, &["audit", "proof", "6", "--dir", vault]);
    assert!(refused.contains("no entry 6"), "{refused}");
    let bent = std::fs::read_to_string(proof)
        .unwrap()
        .replace("index 4", "index 3");
    std::fs::write(proof, bent).unwrap();
    says(1, &["audit", "verify", "--proof", proof, "--key", key]);

    // After a kill it is taken up where it stood, and is one log.
    server.kill();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("another").await.expect("created");
    server.stop();
    let old = place.path().join("old.checkpoint");
    std::fs::copy(&checkpoint, &old).unwrap();
    says(0, &exports[..6]);
    let old = old.to_str().unwrap();
    let said = says(
        0,
        &["audit", "verify", "--tiles", tiles, "--checkpoint", old],
    );
    assert!(said.contains("the last 1 of 6 entries"), "{said}");

    // A destroyed key without its entry, and an entry without its fence.
    let with_keys = ["audit", "verify", "--tiles", tiles, "--dir", vault];
    says(0, &with_keys);
    let keys = place.keys();
    keys.execute("UPDATE fences SET fingerprint = zeroblob(32)", [])
        .unwrap();
    let said = says(1, &with_keys);
    assert!(
        said.contains("are destroyed and no entry says so"),
        "{said}"
    );
    assert!(said.contains("no fence keeps them so"), "{said}");

    let bundle = out.join("tile/entries/000.p/6");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    std::fs::write(bundle, bytes).unwrap();
    let said = says(1, &["audit", "verify", "--tiles", tiles]);
    assert!(said.contains("refused: "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_that_is_not_ours_accepts_the_export_and_refuses_a_tampered_one() {
    let Some(python) = std::env::var_os("OUBLIETTE_TEST_PYTHON") else {
        eprintln!("did not run: OUBLIETTE_TEST_PYTHON names no Python with cryptography >= 50");
        return;
    };
    let place = Place::quick();
    let dir = exported(&place, 600).await;
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/verify_log.py");
    let theirs = |arguments: &[&Path]| {
        let output = Command::new(&python)
            .arg(&verifier)
            .args(arguments)
            .output();
        let output = output.expect("Python");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (key, seen) = (dir.join("log.vkey"), place.path().join("seen"));
    std::fs::copy(dir.join("checkpoint"), &seen).unwrap();
    let seen = [dir.as_path(), "--seen".as_ref(), &seen];
    let (code, said) = theirs(&seen);
    assert_eq!(code, Some(0), "{said}");

    let mut rows = open_rows(&place.data()).expect("rows");
    for number in [1, 256, 257, 604] {
        let proof = place.path().join("proof");
        let text = oubliette::audit::proof::prove(&mut rows, number).expect("a proof");
        std::fs::write(&proof, &text).unwrap();
        let check = ["--key".as_ref(), key.as_path(), "--proof".as_ref(), &proof];
        let (code, said) = theirs(&check);
        assert_eq!(code, Some(0), "{said}");
        let proven = oubliette::audit::proof::check(&text, &key_of(&dir)).expect("a proof");
        assert_eq!(proven.number, number);
    }

    let genuine = exported::read(&dir);
    let key = SigningKey::load(&log_key(&place), key_of(&dir).name().to_owned()).expect("a key");
    for (fit, arguments) in [
        (Fit::Entries, &seen[..1]),
        (Fit::Tiles, &seen[..1]),
        (Fit::Signature, &seen[..]),
    ] {
        let mut entries = genuine.clone();
        entries.remove(300);
        exported::write(&dir, &entries, fit, &key);
        let (code, said) = theirs(arguments);
        assert_eq!(code, Some(1), "{fit:?}: {said}");
        exported::write(&dir, &genuine, Fit::Signature, &key);
    }
}
