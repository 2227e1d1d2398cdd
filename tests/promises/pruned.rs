//! Old entries of the log are pruned: by two people, written down first, never
//! beyond what others confirmed, and to the end, whatever comes in between.
//! What is left proves as much as before.

use crate::anchored::copy;
use crate::approvals::{decide, listed};
use crate::caller::{Answer, Caller, connect, customer, named, record};
use crate::certificate::{held, settled};
use crate::later;
use crate::place::{Place, is_long, until};
use crate::process::Process;
use crate::provable::{export_of, run, says};
use crate::questions::audit;
use crate::witnessed::{configure, with_witnesses};
use oubliette::client::Failure;
use oubliette::pb;
use std::path::Path;
use std::process::Command;

/// A vault that closes no epoch because a clock is ahead.
pub fn aging(place: Place) -> Place {
    place.configure("close = \"daily\"\nhour = \"3\"", "close = \"on-demand\"");
    place
}

/// How many entries are pruned, and how many of those are gone.
fn pruned(place: &Place) -> Option<(u64, u64)> {
    let sql = "SELECT entries, removed FROM pruned";
    let row = place
        .vault()
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    row.ok()
}

pub fn entries(place: &Place) -> u64 {
    let sql = "SELECT max(number) FROM leaves";
    place
        .vault()
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

/// Entries in whole bundles.
pub fn whole(entries: u64) -> u64 {
    entries / 256 * 256
}

pub fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("small")
}

/// Asks for a prune of what is older than so many days, to its end.
pub async fn prune(caller: &Caller, days: u32, dry_run: bool) -> Answer<pb::PruneEntriesResponse> {
    let request = pb::PruneEntriesRequest {
        before_time: Some(later::ago(days)),
        dry_run,
        reason: "it is old".to_owned(),
    };
    let failed = |status| Failure::from_status(&status);
    let mut views = audit(caller)
        .prune_entries(request)
        .await
        .map_err(failed)?
        .into_inner();
    let mut last = pb::PruneEntriesResponse::default();
    while let Some(view) = views.message().await.map_err(failed)? {
        last = view;
    }
    Ok(last)
}

/// Asks for it, lets the second approve, and asks again.
pub async fn prune_approved(first: &Caller, second: &Caller) -> pb::PruneEntriesResponse {
    let refused = prune(first, 90, false).await.expect_err("two people");
    assert!(refused.is("APPROVAL_NEEDED"), "{refused}");
    let asked = listed(second).await[0].approval;
    decide(second, asked, true).await.expect("approved");
    prune(first, 90, false).await.expect("pruned")
}

/// A log with an erasure and many reads in it.
pub async fn filled(place: &Place, server: &Process, reads: usize) {
    let w = connect(place, server, "acme/w00").await;
    let name = record("somebody", "r");
    if w.get(&name).await.is_err() {
        w.create("somebody").await.expect("created");
        w.put(&name, named("a name")).await.expect("written");
        w.create("erased").await.expect("created");
        settled(place, &w, "erased").await;
    }
    for _ in 0..reads {
        w.get(&name).await.expect("read");
    }
}

/// Whether some bytes are in a file of the databases.
fn is_on_disk(place: &Place, bytes: &[u8]) -> bool {
    ["vault.db", "vault.db-wal", "keys.db", "keys.db-wal"]
        .iter()
        .any(|name| {
            let file = std::fs::read(place.data().join(name)).unwrap_or_default();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
}

/// What only leaf `number` has: its nonce.
fn nonce(place: &Place, number: u64) -> Option<Vec<u8>> {
    let sql = "SELECT leaf FROM leaves WHERE number = ?1";
    let leaf: Vec<u8> = place
        .vault()
        .query_row(sql, [number], |row| row.get(0))
        .ok()?;
    let leaf: serde_json::Value = serde_json::from_slice(&leaf).expect("JSON");
    Some(leaf["nonce"].as_str().expect("a nonce").as_bytes().to_vec())
}

fn python_agrees(arguments: &[&Path], code: i32) {
    let Some(python) = std::env::var_os("OUBLIETTE_TEST_PYTHON") else {
        return crate::fails_closed::not_run(
            "a pruned log in Python",
            "OUBLIETTE_TEST_PYTHON names no Python with cryptography >= 50",
        );
    };
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/verify_log.py");
    let output = Command::new(&python)
        .arg(&verifier)
        .args(arguments)
        .output();
    let output = output.expect("Python");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pruned_log_proves_what_it_proved_before_and_says_what_is_gone() {
    let place = aging(Place::new());
    let server = Process::start(&place);
    filled(&place, &server, 700).await;
    server.stop();
    let archive = place.path().join("archive");
    std::fs::rename(export_of(&place), &archive).expect("moved");
    let seen = archive.join("checkpoint");
    let old = place.path().join("old.checkpoint");
    std::fs::copy(&seen, &old).expect("copied");
    let last = whole(entries(&place));
    let (gone, stays) = (nonce(&place, 100).expect("a leaf"), nonce(&place, last + 1));
    assert!(is_on_disk(&place, &gone));
    let shred: u64 = place
        .vault()
        .query_row("SELECT leaf FROM erasures", [], |row| row.get(0))
        .expect("a leaf");
    assert!(shred < last);

    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.stage(), done.done, done.before),
        (pb::PruneStage::Done, signed(last), 0)
    );
    assert_eq!((done.kept, done.held_by.as_str()), (1, ""));
    assert_eq!(pruned(&place), Some((last, last)));
    assert!(nonce(&place, 100).is_none() && nonce(&place, shred).is_some());
    assert!(
        !is_on_disk(&place, &gone),
        "what is pruned is gone from the file"
    );
    assert!(is_on_disk(&place, &stays.expect("a leaf")));

    // Nothing more to do takes nobody's approval.
    let again = prune(&first, 90, false).await.expect("nothing to do");
    assert_eq!(
        (again.done, again.before, again.kept),
        (signed(last), signed(last), 1)
    );

    // What is left of a living customer's history, and from when it is whole.
    let request = pb::ListCustomerEntriesRequest {
        name: customer("somebody"),
        from_time: Some(later::ago(125)),
        to_time: Some(later::ago(115)),
    };
    let history = audit(&first)
        .list_customer_entries(request)
        .await
        .expect("listed");
    let history = history.into_inner();
    let numbers = history
        .entries
        .iter()
        .map(|of| of.entry.as_ref().expect("one").number);
    let numbers: Vec<i64> = numbers.collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|number| *number > signed(last)));
    assert!(history.complete_from_time.is_some());
    let report = first.report(&place, "somebody").await.report;
    assert_eq!(report.reads.len(), numbers.len());
    assert!(report.complete_from.is_some(), "the report says so too");
    // The certificate of the erasure still has its proof.
    let certificate = settled(&place, &first, "erased").await;
    assert!(held(&place, &certificate).certificate.log.is_some());
    // Questions go over the hole.
    let all = audit(&first)
        .list_entries(pb::ListEntriesRequest::default())
        .await;
    let all = all.expect("listed").into_inner();
    assert_eq!(all.entries[0].number, signed(shred));
    assert!(all.entries[1].number > signed(last));
    server.stop();

    let vault = place.path();
    let vault = vault.to_str().expect("a path");
    let fresh = export_of(&place);
    let check = |dir: &Path| {
        let dir = dir.to_str().expect("a path");
        let old = old.to_str().expect("a path");
        let verify = [
            "audit",
            "verify",
            "--tiles",
            dir,
            "--dir",
            vault,
            "--checkpoint",
            old,
        ];
        says(0, &verify)
    };
    let said = check(&fresh);
    assert!(
        said.contains(&format!("The first {last} entries were pruned")),
        "{said}"
    );
    assert!(
        said.contains(&format!("{} of them are not in this export", last - 1)),
        "{said}"
    );
    python_agrees(&[&fresh, "--seen".as_ref(), &old], 0);
    // An older export, brought up to date, has all of it.
    let archived = archive.to_str().expect("a path");
    says(0, &["audit", "export", "--dir", vault, "--out", archived]);
    assert!(check(&archive).contains("0 of them are not in this export"));
    python_agrees(&[&archive, "--seen".as_ref(), &old], 0);

    let proof = place.path().join("proof");
    let proof = proof.to_str().expect("a path");
    let key = fresh.join("log.vkey");
    let key = key.to_str().expect("a path");
    for number in [shred, last + 1] {
        let number = number.to_string();
        says(
            0,
            &["audit", "proof", &number, "--dir", vault, "--out", proof],
        );
        says(0, &["audit", "verify", "--proof", proof, "--key", key]);
        python_agrees(
            &[
                "--key".as_ref(),
                key.as_ref(),
                "--proof".as_ref(),
                proof.as_ref(),
            ],
            0,
        );
    }
    let refused = says(1, &["audit", "proof", "100", "--dir", vault]);
    assert!(refused.contains("entry 100 was pruned"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_prunes_alone_or_too_soon_and_a_dry_run_removes_nothing() {
    let place = aging(Place::new());
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let before = entries(&place);
    let soon = prune(&first, 89, false).await.expect_err("too soon");
    assert!(soon.is("INVALID_REQUEST"), "{soon}");
    assert!(soon.to_string().contains("at least 90 days ago"), "{soon}");
    assert_eq!(entries(&place), before + 1, "one leaf");
    let dry = prune(&first, 90, true).await.expect("only looked at");
    assert_eq!(
        (dry.done, dry.kept, dry.stage()),
        (signed(whole(before)), 1, pb::PruneStage::Done)
    );
    assert_eq!(entries(&place), before + 2, "one leaf");
    assert!(listed(&second).await.is_empty(), "a dry run asks nobody");

    let refused = prune(&first, 90, false).await.expect_err("two people");
    assert!(refused.is("APPROVAL_NEEDED"), "{refused}");
    let asked = listed(&second).await[0].clone();
    assert_eq!(
        (asked.action.as_str(), asked.requester.as_str()),
        ("prune-log", "acme/w00")
    );
    assert!(asked.reason.contains("it is old"), "{}", asked.reason);
    let own = decide(&first, asked.approval, true)
        .await
        .expect_err("not their own");
    assert!(own.is("SECOND_PERSON_NEEDED"), "{own}");
    assert!(
        prune(&first, 90, false)
            .await
            .is_err_and(|f| f.is("APPROVAL_NEEDED"))
    );
    decide(&second, asked.approval, false)
        .await
        .expect("rejected");
    let refused = prune(&first, 90, false).await.expect_err("rejected");
    assert!(refused.is("APPROVAL_REJECTED"), "{refused}");
    // Somebody else's request is another one.
    assert!(
        prune(&second, 90, false)
            .await
            .is_err_and(|f| f.is("APPROVAL_NEEDED"))
    );
    assert_eq!(pruned(&place), None);
    assert!(nonce(&place, 1).is_some());

    // By the command line, as people do it.
    let dir = place.path();
    let dir = dir.to_str().expect("a path");
    let prune = |who: &'static str, more: &[&str]| {
        let command = ["audit", "prune", "--keep", "30", "--dir", dir, "--as", who];
        run(&[&command[..], more].concat())
    };
    let told = |output: std::process::Output| {
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
    };
    // The command's own clock is not ahead: 30 days before now is 150 before then.
    let dry = told(prune("acme/w02", &["--dry-run"]));
    assert!(dry.contains("entries that would go"), "{dry}");
    let nothing = told(prune("acme/w02", &["--json"]));
    let nothing: serde_json::Value = serde_json::from_str(&nothing).expect("JSON");
    assert_eq!(nothing["pruned"], 0);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_later_day_holds_a_prune_back_where_a_clock_was_set_back() {
    let place = aging(Place::quick());
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let before = whole(entries(&place));
    let server = later::server(&place);
    filled(&place, &server, 1).await;
    server.stop();
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.done, done.held_by.as_str()),
        (signed(before), "clock")
    );
    assert!(before > 0 && nonce(&place, before + 1).is_some());
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_that_is_killed_is_untouched_or_goes_on_to_its_end() {
    let rounds = if is_long() { 60 } else { 6 };
    let place = aging(Place::quick());
    let server = Process::start(&place);
    filled(&place, &server, 2_700).await;
    server.stop();
    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    assert!(prune(&first, 90, false).await.is_err());
    let asked = listed(&second).await[0].approval;
    decide(&second, asked, true).await.expect("approved");
    server.stop();
    let backup = place.path().join("backup");
    copy(&place.data(), &backup);
    let (mut untouched, mut cut, mut done) = (0, 0, 0);
    for round in 0..rounds {
        for name in ["vault.db-wal", "vault.db-shm", "keys.db-wal", "keys.db-shm"] {
            let _gone = std::fs::remove_file(place.data().join(name));
        }
        copy(&backup, &place.data());
        let mut server = later::server(&place);
        let first = connect(&place, &server, "acme/w00").await;
        let pruning = tokio::spawn(async move { prune(&first, 90, false).await });
        // From before it is written down to after the last step.
        match round % 3 {
            0 => {
                for _ in 0..round {
                    drop(connect(&place, &server, "acme/w01").await);
                }
            }
            1 => until("it is written down", async || pruned(&place).is_some()).await,
            _ => {
                let begun = || pruned(&place).is_some_and(|(_, removed)| removed > 0);
                until("some are gone", async || begun()).await;
            }
        }
        server.kill();
        let _cut_off = pruning.await.expect("no panic");
        match pruned(&place) {
            None => untouched += 1,
            Some((entries, removed)) if removed < entries => cut += 1,
            Some(_) => done += 1,
        }
        let was = pruned(&place);
        let server = later::server(&place);
        let to_the_end = || pruned(&place).is_none_or(|(entries, removed)| removed == entries);
        until("it went on to its end", async || to_the_end()).await;
        assert_eq!(
            was.is_some(),
            pruned(&place).is_some(),
            "it begins no second time"
        );
        server.stop();
        let dir = export_of(&place);
        let dir = dir.to_str().expect("a path");
        let vault = place.path();
        let verify = [
            "audit",
            "verify",
            "--tiles",
            dir,
            "--dir",
            vault.to_str().expect("a path"),
        ];
        says(0, &verify);
        std::fs::remove_dir_all(dir).expect("removed");
    }
    println!(
        "{rounds} kills: {untouched} before it was written down, {cut} in the middle, {done} \
         after; every log verified afterwards"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_that_no_witness_has_cosigned_and_witnesses_follow_a_pruned_log() {
    let (place, [mut witness]) = with_witnesses().await;
    let place = aging(place);
    configure(&place, "report", 1, &[witness.entry()]);
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let first_part = whole(witness.seen().expect("it cosigned"));
    witness.stop();
    let server = Process::start(&place);
    filled(&place, &server, 300).await;
    server.stop();
    let all_of_it = whole(entries(&place));

    let server = later::server(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.done, done.held_by.as_str()),
        (signed(first_part), "anchor")
    );
    assert!(first_part > 0 && first_part < all_of_it);

    // It is shown that this log continues what it knows, though that is pruned.
    witness.start();
    let all = || Some(entries(&place));
    until("it cosigns again", async || witness.seen() == all()).await;
    let kept = || -> u64 {
        let sql = "SELECT size FROM cosigned";
        place
            .vault()
            .query_row(sql, [], |row| row.get(0))
            .expect("a size")
    };
    until("that is kept", async || kept() >= all_of_it).await;
    let done = prune_approved(&first, &second).await;
    assert_eq!(
        (done.before, done.done, done.held_by.as_str()),
        (signed(first_part), signed(all_of_it), "")
    );
    server.stop();
    assert_eq!(witness.seen(), all(), "and again at the end");
    let dir = export_of(&place);
    let tiles = dir.to_str().expect("a path");
    let verify = ["audit", "verify", "--tiles", tiles, "--require-anchor"];
    let said = says(0, &[&verify[..], &["--witness", &witness.key]].concat());
    assert!(
        said.contains(&format!("The first {all_of_it} entries were pruned")),
        "{said}"
    );
    assert!(said.contains("verified to the end"), "{said}");
}
