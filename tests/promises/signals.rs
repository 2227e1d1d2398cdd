//! Something is wrong: whoever reads a planted customer or tries id after id is
//! told of, written down, and blocked where that is configured, until somebody
//! lifts it.

use crate::caller::{connect, named, record};
use crate::log::{Fact, Log};
use crate::place::{Place, until};
use crate::process::{Process, log_file, metrics};
use crate::provable::says;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

fn configure(place: &Place) {
    let file = place.config_file("oubliette.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    let table = "\n[signals]\nmissed_a_minute = 10\ndenials_a_minute = 5\nnew_fields = false\n\
                 block = [\"decoy\", \"sweep\"]\ndecoys = [\"acme/planted\"]\n";
    fs::write(&file, format!("{text}{table}")).expect("written");
}

fn start(place: &Place) -> (Process, std::net::SocketAddr) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let probes = port.local_addr().expect("an address");
    drop(port);
    (Process::with_metrics(place, &probes.to_string()), probes)
}

fn signals_in(log: &mut Log) -> Vec<(String, String, bool)> {
    let told = log
        .new_leaves()
        .into_iter()
        .filter_map(|leaf| match leaf.fact? {
            Fact::Signal { kind, blocks, .. } => Some((leaf.principal, kind, blocks)),
            Fact::BlockLifted { .. } => Some((leaf.principal, "lifted".to_owned(), false)),
            _ => None,
        });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_a_planted_customer_or_sweeps_ids_is_told_of_and_blocked_until_it_is_lifted()
{
    let place = Place::new();
    let (server, _) = start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["planted", "somebody"] {
        w.create(id).await.expect("created");
        w.put(&record(id, "r"), named("A")).await.expect("written");
    }
    server.stop();
    configure(&place);
    let (server, probes) = start(&place);
    let mut log = Log::of(&place);
    log.skip();
    let reader = connect(&place, &server, "acme/w01").await;
    let sweeper = connect(&place, &server, "acme/w02").await;
    let w = connect(&place, &server, "acme/w00").await;
    reader.get(&record("somebody", "r")).await.expect("read");
    // It is found once its number is looked up, and not told to a single read.
    let mut refused = None;
    until("the decoy is planted", async || {
        refused = reader.get(&record("planted", "r")).await.err();
        refused.is_some()
    })
    .await;
    let refused = refused.expect("a refusal");
    assert!(refused.is("PRINCIPAL_BLOCKED"), "{refused}");
    assert_eq!(refused.code, tonic::Code::PermissionDenied);
    assert!(
        refused.message.contains("oubliette signals lift"),
        "{refused}"
    );
    for number in 0..12 {
        assert!(
            sweeper
                .get(&record(&format!("guess-{number}"), "r"))
                .await
                .is_err()
        );
    }
    for caller in [&reader, &sweeper] {
        let refused = caller
            .get(&record("somebody", "r"))
            .await
            .err()
            .expect("blocked");
        assert!(refused.is("PRINCIPAL_BLOCKED"), "{refused}");
    }
    w.get(&record("somebody", "r"))
        .await
        .expect("nobody else is");

    let mut told = Vec::new();
    until("both are written down", async || {
        told.extend(signals_in(&mut log));
        told.len() >= 2
    })
    .await;
    told.dedup();
    let (reader_name, sweeper_name) = ("acme/w01".to_owned(), "acme/w02".to_owned());
    let decoy = (reader_name.clone(), "decoy".to_owned(), true);
    let sweep = (sweeper_name, "sweep".to_owned(), true);
    assert_eq!(told, [decoy, sweep]);
    let counted = metrics(probes);
    for kind in ["decoy", "sweep"] {
        let line = format!("oubliette_signals_total{{kind=\"{kind}\"}}");
        assert!(counted.contains(&line), "{counted}");
    }
    let said = fs::read_to_string(log_file(&place)).expect("a log");
    assert!(
        said.contains("acme/w01") && said.contains("decoy"),
        "{said}"
    );
    assert!(!said.contains("planted"), "no customer's id: {said}");

    // A restart forgets nothing of it; a command lifts one.
    server.stop();
    let (server, _) = start(&place);
    let reader = connect(&place, &server, "acme/w01").await;
    let sweeper = connect(&place, &server, "acme/w02").await;
    let refused = reader
        .get(&record("somebody", "r"))
        .await
        .err()
        .expect("blocked");
    assert!(refused.is("PRINCIPAL_BLOCKED"), "{refused}");
    let dir = place.path();
    let dir = dir.to_str().expect("a path");
    let listed = says(0, &["signals", "list", "--dir", dir]);
    assert!(
        listed.contains("acme/w01") && listed.contains("sweep"),
        "{listed}"
    );
    says(0, &["signals", "lift", &reader_name, "--dir", dir]);
    until("it is lifted", async || {
        reader.get(&record("somebody", "r")).await.is_ok()
    })
    .await;
    assert!(
        sweeper.get(&record("somebody", "r")).await.is_err(),
        "the other is not"
    );
    let mut told = Vec::new();
    until("it is written down", async || {
        told.extend(signals_in(&mut log));
        !told.is_empty()
    })
    .await;
    assert_eq!(told[0], (reader_name, "lifted".to_owned(), false));
    says(1, &["signals", "lift", "acme/w01", "--dir", dir]);
    says(2, &["signals", "lift", "../keys", "--dir", dir]);
    assert!(Path::new(dir).join("keys").exists());
}
