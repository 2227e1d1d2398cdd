//! What is taken out of a log without a word is found, also beside what was
//! pruned; and where an export must have entries first, none goes before.

use crate::caller::connect;
use crate::later;
use crate::place::{Place, is_long};
use crate::process::Process;
use crate::provable::{against, export_of, log_key, run, says};
use crate::pruned::{aging, entries, filled, prune_approved, signed, whole};
use crate::tampered::Dice;
use oubliette::audit::export::export;
use oubliette::store::sqlite::open_rows;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A vault whose first entries are pruned, stopped, and its export.
async fn pruned() -> (Place, PathBuf) {
    let place = aging(Place::quick());
    let server = Process::start(&place);
    filled(&place, &server, 700).await;
    server.stop();
    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let done = prune_approved(&first, &second).await.done;
    assert!(done >= 512, "{done}");
    filled(&place, &server, 600).await;
    server.stop();
    let dir = export_of(&place);
    (place, dir)
}

fn accepts(dir: &Path) -> bool {
    let report = against(dir, Vec::new());
    report.findings().is_empty()
}

fn python_accepts(dir: &Path) -> Option<bool> {
    let python = std::env::var_os("OUBLIETTE_TEST_PYTHON")?;
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/verify_log.py");
    let output = Command::new(&python).arg(&verifier).arg(dir).output();
    Some(output.expect("Python").status.success())
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_out_of_a_pruned_log_without_a_word_is_found() {
    let count = if is_long() { 2_000 } else { 120 };
    let (place, dir) = pruned().await;
    assert!(accepts(&dir));
    assert_ne!(python_accepts(&dir), Some(false));
    let all = files(&dir);
    // What says whose log it is, and a proof's convenience, are not of the log.
    let all: Vec<_> = all
        .iter()
        .filter(|path| !path.ends_with("log.vkey"))
        .collect();
    let mut dice = Dice::new(8);
    let (mut found, mut removed, mut python) = (0, 0, 0);
    for turn in 0..count {
        let path = *dice.pick(&all);
        let was = fs::read(path).expect("a file");
        let is_removed = dice.below(3) == 0;
        if is_removed {
            fs::remove_file(path).expect("removed");
            removed += 1;
        } else {
            let mut bytes = was.clone();
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            fs::write(path, bytes).expect("written");
        }
        // Without its checkpoint it is no export at all.
        let known = oubliette::audit::verify::Known::default();
        let verified = oubliette::audit::verify::verify(&dir, &known, |_, _| ());
        let passes = verified.is_ok_and(|report| report.findings().is_empty());
        assert!(
            !passes,
            "{turn}: {} passed, removed: {is_removed}",
            path.display()
        );
        found += 1;
        if turn % 20 == 0 {
            assert_ne!(
                python_accepts(&dir),
                Some(true),
                "{turn}: {}",
                path.display()
            );
            python += 1;
        }
        fs::write(path, was).expect("put back");
    }
    assert!(accepts(&dir), "put back");
    println!(
        "{found} changes of a pruned export, {removed} of them removals: all found, {python} of {python} by Python too"
    );
    drop(place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_removed_behind_the_vaults_back_are_found() {
    let (place, dir) = pruned().await;
    let vault = place.vault();
    let (entries, leaf): (u64, u64) = vault
        .query_row("SELECT entries, leaf FROM pruned", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a row");
    let anew = || {
        let _gone = fs::remove_dir_all(&dir);
        let mut rows = open_rows(&place.data()).expect("rows");
        export(&mut rows, &log_key(&place), &dir, |_, _| ())
    };
    // A bundle more than was said: the rows have a hole.
    vault
        .execute_batch(&format!(
            "CREATE TEMP TABLE taken AS SELECT * FROM leaves WHERE number > {entries}
               AND number <= {entries} + 256;
             DELETE FROM leaves WHERE number > {entries} AND number <= {entries} + 256;"
        ))
        .expect("removed");
    assert!(anew().is_err(), "a hole");
    // And the row made to say so, which the log does not.
    let said = format!("UPDATE pruned SET entries = {entries} + 256, removed = {entries} + 256");
    vault.execute_batch(&said).expect("written");
    anew().expect("an export");
    let tiles = dir.to_str().expect("a path");
    let refused = says(1, &["audit", "verify", "--tiles", tiles]);
    assert!(
        refused.contains("no entry says that they were pruned"),
        "{refused}"
    );
    assert_ne!(python_accepts(&dir), Some(true));
    let back = format!(
        "INSERT INTO leaves SELECT * FROM taken;
         UPDATE pruned SET entries = {entries}, removed = {entries};"
    );
    vault.execute_batch(&back).expect("put back");
    anew().expect("an export");
    assert!(accepts(&dir));

    // What had to stay.
    let kept = "SELECT number FROM leaves ORDER BY number LIMIT 1";
    let kept: u64 = vault
        .query_row(kept, [], |row| row.get(0))
        .expect("a shred");
    assert!(kept <= entries);
    vault
        .execute_batch(&format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM leaves WHERE number = {kept};
             DELETE FROM leaves WHERE number = {kept};"
        ))
        .expect("removed");
    anew().expect("an export");
    let refused = says(1, &["audit", "verify", "--tiles", tiles]);
    assert!(refused.contains("had to stay"), "{refused}");
    assert_ne!(python_accepts(&dir), Some(true));
    vault
        .execute_batch("INSERT INTO leaves SELECT * FROM kept")
        .expect("put back");

    // The entry that says it, and with it all that follows.
    vault
        .execute_batch(&format!("DELETE FROM leaves WHERE number = {leaf}"))
        .expect("removed");
    assert!(anew().is_err(), "a hole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_must_be_exported_first_nothing_goes_before() {
    let place = aging(Place::new());
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let export = place.path().join("kept-elsewhere");
    let out = export.to_str().expect("a path").to_owned();
    let vault = place.path();
    let vault = vault.to_str().expect("a path").to_owned();
    let exports = ["audit", "export", "--dir", &vault, "--out", &out];
    says(0, &exports);
    let exported = whole(entries(&place));
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let all = whole(entries(&place));
    let file = place.config_file("oubliette.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(
        &file,
        format!("{text}\n[pruning]\nexported = \"kept-elsewhere\"\n"),
    )
    .expect("written");

    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.done, done.held_by.as_str()),
        (signed(exported), "export")
    );
    // Brought up to date beside the running vault; a bent bundle does not count.
    says(0, &exports);
    let bundle = export.join(format!("tile/entries/{:03}", exported / 256));
    let genuine = fs::read(&bundle).expect("a bundle");
    let mut bent = genuine.clone();
    bent[300] ^= 1;
    fs::write(&bundle, bent).expect("written");
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.done, done.held_by.as_str()),
        (signed(exported), "export")
    );
    fs::write(&bundle, genuine).expect("written");
    let done = prune_approved(&first, &second).await;
    assert_eq!((done.done, done.held_by.as_str()), (signed(all), ""));
    server.stop();
    let output = run(&["audit", "verify", "--tiles", &out, "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["verified"], true, "{told}");
}
