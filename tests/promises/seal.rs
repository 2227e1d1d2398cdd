//! Sealing and unsealing.

use crate::caller::{Answer, Caller, connect, named, record};
use crate::log::Log;
use crate::place::{Place, Server, until};
use crate::process::{Process, metrics};
use oubliette::cli::init::Layout;
use oubliette::cli::lock::Locked;
use oubliette::client::Failure;
use oubliette::pb;
use std::process::{Command, Output};
use tonic::Code;

/// Gives a piece of what the lock needs.
pub async fn unseal(caller: &Caller, piece: &str) -> Answer<pb::SealStatus> {
    let piece = piece.to_owned();
    let asked = caller
        .keys
        .clone()
        .unseal(pb::UnsealRequest { piece })
        .await;
    let reply = asked.map_err(|status| Failure::from_status(&status))?;
    Ok(reply.into_inner().status.unwrap_or_default())
}

/// Whether it is sealed, and what it waits for.
pub async fn status(caller: &Caller) -> pb::SealStatus {
    let asked = pb::GetSealStatusRequest {};
    let reply = caller.keys.clone().get_seal_status(asked).await;
    reply.expect("told").into_inner().status.unwrap_or_default()
}

async fn seal(caller: &Caller) {
    let reply = caller.keys.clone().seal(pb::SealRequest {}).await;
    let status = reply.expect("sealed").into_inner().status;
    assert!(status.unwrap_or_default().sealed);
}

fn is_sealed<T>(answer: Answer<T>) {
    let failure = answer.err().expect("nothing is served");
    assert_eq!(failure.code, Code::Unavailable, "{failure}");
    assert!(failure.is("SEALED"), "{failure}");
}

async fn nothing_is_served(w: &Caller, id: &str) {
    let name = record(id, "r");
    is_sealed(w.get(&name).await);
    is_sealed(w.put(&name, named("B")).await);
    is_sealed(w.list(id).await);
    is_sealed(w.batch(std::slice::from_ref(&name)).await.and_then(|all| {
        let reason = all.into_iter().next().expect("one").err();
        assert_eq!(reason.as_deref(), Some("SEALED"));
        w_sealed()
    }));
    is_sealed(w.all().await);
    is_sealed(w.show(id).await);
    is_sealed(w.create("another").await);
    is_sealed(w.erase(id).await);
}

/// A batch that was answered says it of each record.
fn w_sealed() -> Answer<()> {
    let sealed = oubliette::error::Error::Unavailable(oubliette::error::Unavailable::Sealed);
    Err(Failure::from_status(&oubliette::grpc::status(&sealed)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_vault_serves_nothing_says_so_and_comes_back_whole() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("A")).await.expect("written");
    let mut log = Log::of(&place);
    log.skip();
    for _ in 0..2 {
        seal(&w).await;
    }
    nothing_is_served(&w, "a").await;
    let reason = status(&w).await.reason();
    assert_eq!(reason, pb::SealReason::ByHand);
    until("readiness says sealed", async || {
        metrics(server.metrics).contains("oubliette_ready 0")
    })
    .await;
    let mut keys = w.keys.clone();
    let counted = keys.get_key_status(pb::GetKeyStatusRequest {}).await;
    assert!(counted.is_ok(), "what needs no key is answered");

    let unsealed = unseal(&w, "").await.expect("unsealed");
    assert!(!unsealed.sealed, "{unsealed:?}");
    assert!(w.get(&name).await.is_ok());
    w.put(&name, named("B")).await.expect("written");
    until("readiness says ready", async || {
        metrics(server.metrics).contains("oubliette_ready 1")
    })
    .await;
    let leaves = log.new_leaves();
    let sealing: Vec<_> = leaves.iter().filter_map(|leaf| leaf.sealing()).collect();
    assert_eq!(sealing, [(true, "hand"), (true, "hand"), (false, "hand")]);
    let refused = leaves.iter().filter(|leaf| leaf.reason == "SEALED");
    assert!(refused.count() >= 6, "what was refused is written down");
}

/// An unsealing that a seal overtakes, many times over, ends in one of the two
/// states and serves accordingly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seals_and_unseals_at_once_leave_no_half_state() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("A")).await.expect("written");
    for _ in 0..20 {
        let (one, two) = (w.clone(), w.clone());
        let sealing = tokio::spawn(async move { seal(&one).await });
        let unsealing = tokio::spawn(async move { unseal(&two, "").await });
        sealing.await.expect("no panic");
        if let Err(failure) = unsealing.await.expect("no panic") {
            assert!(failure.is("SEALED"), "{failure}");
        }
        let read = w.get(&name).await;
        assert_eq!(read.is_err(), status(&w).await.sealed);
    }
    unseal(&w, "").await.expect("unsealed");
    assert!(w.get(&name).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_locked_by_shares_waits_for_enough_of_them_after_every_start() {
    let (place, shares) = Place::laid_out(Layout {
        lock: Some(Locked::Shares),
        shares: 3,
        threshold: 2,
        ..Layout::default()
    });
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let waits = status(&w).await;
    assert_eq!(
        (waits.sealed, waits.waits_for(), waits.given, waits.needed),
        (true, pb::LockHolder::Shares, 0, 2)
    );
    is_sealed(w.create("a").await);
    let mut log = Log::of(&place);
    log.skip();
    assert!(
        unseal(&w, "").await.expect("asked").sealed,
        "nothing was given"
    );
    let typo = shares[0].replace("share-", "shore-");
    assert!(unseal(&w, &typo).await.is_err_and(|f| f.is("NOT_A_SHARE")));
    assert_eq!(unseal(&w, &shares[0]).await.expect("taken").given, 1);
    assert_eq!(
        unseal(&w, &shares[0]).await.expect("taken").given,
        1,
        "the same"
    );
    let open = unseal(&w, &shares[2]).await.expect("unsealed");
    assert!(!open.sealed, "{open:?}");
    assert_eq!(log.new_leaves().len(), 5, "each attempt is a leaf");
    w.create("a").await.expect("created");
    w.put(&record("a", "r"), named("A")).await.expect("written");
    seal(&w).await;
    assert_eq!(
        status(&w).await.waits_for(),
        pb::LockHolder::Shares,
        "people again"
    );
    server.stop();

    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    is_sealed(w.get(&record("a", "r")).await);
    for share in &shares[1..] {
        unseal(&w, share).await.expect("taken");
    }
    assert!(w.get(&record("a", "r")).await.is_ok());
}

fn oubliette(place: &Place, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(arguments)
        .args(["--as", "acme/w00", "--dir"])
        .arg(place.path())
        .output()
        .expect("it runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_locked_by_a_passphrase_is_opened_from_the_command_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    std::fs::write(&right, "correct horse battery\n").expect("a file");
    std::fs::write(&wrong, "incorrect horse battery\n").expect("a file");
    let (place, shares) = Place::laid_out(Layout {
        lock: Some(Locked::Passphrase),
        passphrase_file: Some(right.clone()),
        ..Layout::default()
    });
    assert!(shares.is_empty());
    let server = Process::start(&place);
    let file = |path: &std::path::Path| path.display().to_string();
    let refused = oubliette(&place, &["unseal", "--file", &file(&wrong)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("does not open"),
        "{said}"
    );
    // What power that failed in a destruction leaves keeps nobody out.
    let zeros = place.path().join("keys/epoch-00000000.key");
    std::fs::write(&zeros, [0; 200]).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&zeros, mode).expect("a mode");
    let opened = oubliette(&place, &["unseal", "--file", &file(&right)]);
    let said = String::from_utf8_lossy(&opened.stdout).into_owned();
    assert!(
        opened.status.success() && said.contains("is unsealed"),
        "{said}"
    );
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let sealed = oubliette(&place, &["seal"]);
    assert!(sealed.status.success());
    let told = oubliette(&place, &["seal-status", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(
        (&told["sealed"], &told["reason"], &told["waits_for"]),
        (&true.into(), &"by-hand".into(), &"passphrase".into())
    );
    is_sealed(w.show("a").await);
}

/// Runs `oubliette lock`; with `fails` it must say so.
fn lock(place: &Place, arguments: &[&str], fails: Option<&str>) -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .arg("lock")
        .args(arguments)
        .args(["--json", "--dir"])
        .arg(place.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match fails {
        None => assert!(output.status.success(), "{arguments:?}: {said}"),
        Some(why) => assert!(
            !output.status.success() && said.contains(why),
            "{arguments:?}: {said}"
        ),
    }
    let documents = serde_json::Deserializer::from_slice(&output.stdout);
    documents.into_iter().map(|of| of.expect("JSON")).collect()
}

/// The key files, as their first line tells.
fn are_locked(place: &Place) -> bool {
    let keys = place.path().join("keys").read_dir().expect("keys");
    let epochs = keys
        .flatten()
        .filter(|of| of.file_name().to_string_lossy().starts_with("epoch-"));
    let mut texts = epochs.map(|of| std::fs::read_to_string(of.path()).expect("a key file"));
    texts.all(|text| text.starts_with("oubliette locked"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_put_on_given_to_others_and_taken_off_and_the_data_is_read_throughout() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let place = Place::quick();
    let name = record("a", "r");
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    w.put(&name, named("A")).await.expect("written");
    let first = file("first", "correct horse battery\n");
    let add = ["add", "passphrase", "--passphrase-file", &first];
    lock(&place, &add, Some("another process"));
    server.stop();
    let short = file("short", "short\n");
    let too_short = ["add", "passphrase", "--passphrase-file", &short];
    lock(&place, &too_short, Some("at least"));
    lock(&place, &["change", "shares"], Some("oubliette lock add"));
    lock(&place, &["remove"], Some("oubliette lock add"));
    assert!(!are_locked(&place));
    let plain = std::fs::read(place.path().join("keys/epoch-00000001.key")).expect("a key");

    let told = lock(&place, &add, None);
    assert_eq!(told[0]["sealed"], 1);
    assert!(are_locked(&place));
    lock(&place, &add, Some("oubliette lock change"));
    // As a crash leaves it that came before this file's turn.
    std::fs::write(place.path().join("keys/epoch-00000001.key"), plain).expect("written");
    assert_eq!(lock(&place, &add, None)[0]["sealed"], 1);
    assert!(are_locked(&place));
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    is_sealed(w.get(&name).await);
    unseal(&w, "correct horse battery").await.expect("unsealed");
    w.close_to_the_end().await;
    server.stop();

    let split = ["--shares", "3", "--threshold", "2"];
    let change = [&["change", "shares", "--file"][..], &[&short], &split].concat();
    lock(&place, &change, Some("does not open"));
    let change = [&["change", "shares", "--file"][..], &[&first], &split].concat();
    let told = lock(&place, &change, None);
    let shares = told[0]["shares"].as_array().expect("shares").clone();
    let share = |at: usize| shares[at].as_str().expect("a share").to_owned();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert!(unseal(&w, "correct horse battery").await.is_err());
    for at in [2, 0] {
        unseal(&w, &share(at)).await.expect("taken");
    }
    assert!(w.get(&name).await.is_ok());
    server.stop();

    let few = file("few", &format!("{}\n", share(1)));
    lock(&place, &["remove", "--file", &few], Some("too few"));
    assert!(are_locked(&place));
    let enough = file("enough", &format!("{}\n{}\n", share(1), share(2)));
    let told = lock(&place, &["remove", "--file", &enough], None);
    assert_eq!(told[0]["opened"], 1);
    assert!(!are_locked(&place) && !place.path().join("keys/lock").exists());
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert!(w.get(&name).await.is_ok(), "it starts by itself");
}
