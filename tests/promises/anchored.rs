//! A checkpoint outside the vault's reach shows what was rolled back.

use crate::caller::connect;
use crate::place::{Place, until};
use crate::process::Process;
use std::fs;
use std::path::Path;

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in ["keys.db", "vault.db", "reserve"] {
        let from = from.join(file);
        if from.is_file() {
            fs::copy(from, to.join(file)).expect("copied");
        }
    }
}

fn configure(place: &Place, mode: &str) {
    let file = place.config_file("oubliette.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    let (text, _) = text.split_once("\n[audit]").unwrap_or((&text, ""));
    let audit = format!("\n[audit]\nanchor = \"anchor\"\nmode = \"{mode}\"\n");
    fs::write(&file, format!("{text}{audit}")).expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_that_were_rolled_back_are_not_served_where_an_anchor_is() {
    let place = Place::new();
    configure(&place, "strict");
    let anchor = place.path().join("anchor");
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("first").await.expect("created");
    server.stop();
    let size = || {
        let note = fs::read_to_string(&anchor).unwrap_or_default();
        note.lines().nth(1).map(str::to_owned)
    };
    assert_eq!(size().as_deref(), Some("1"), "a last one at the end");
    let backup = place.path().join("backup");
    copy(&place.data(), &backup);

    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("second").await.expect("created");
    until("it is anchored", async || size().as_deref() == Some("2")).await;
    server.stop();

    copy(&backup, &place.data());
    let refused = Process::refused(&place);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for part in [
        "2 entries, and the log has 1",
        "rolled back",
        "restore the newest",
    ] {
        assert!(said.contains(part), "{said}");
    }

    // Reported, it is served; what was anchored stays as evidence.
    configure(&place, "report");
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("another").await.expect("created");
    server.stop();
    assert_eq!(size().as_deref(), Some("2"));
    let log = fs::read_to_string(crate::process::log_file(&place)).expect("a log");
    assert!(log.contains("the log's anchor does not hold"), "{log}");

    // By now the log is as long as what is anchored, and another.
    configure(&place, "strict");
    let refused = Process::refused(&place);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the log was written anew"), "{said}");
}
