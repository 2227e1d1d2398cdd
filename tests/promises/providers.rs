//! Key providers under a running vault: down, back again, several at once,
//! replaced while it serves.

use crate::caller::{connect, named, record};
use crate::log::Log;
use crate::place::{Place, Server, until};
use crate::process::metrics;
use crate::seal::status;
use crate::transit_stand_in::{Mood, StandIn, TOKEN};
use oubliette::cli::init::Layout;
use oubliette::pb;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("0600");
}

/// A Transit stand-in, and the table that configures it.
fn engine(dir: &TempDir) -> (StandIn, String) {
    let at = |name: &str| dir.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    write(&at("server.pem"), &made.cert.pem());
    write(&at("server.key"), &made.signing_key.serialize_pem());
    write(&at("token"), TOKEN);
    let engine = StandIn::start(&at("server.pem"), &at("server.key"));
    let table = format!(
        "kind = \"transit\"\naddress = \"{}\"\ntoken = \"{}\"\nca = \"{}\"\n",
        engine.address,
        at("token").display(),
        at("server.pem").display()
    );
    (engine, table)
}

const FILES: &str = "[[providers]]\nkind = \"file\"\ndirectory = \"keys\"\n";

fn configure(place: &Place, from: &str, to: &str) {
    let file = place.config_file("oubliette.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).expect("a configuration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_provider_a_vault_goes_on_for_a_while_then_seals_itself_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = engine(&dir);
    let providers = dir.path().join("providers.toml");
    write(&providers, &format!("[provider]\n{table}"));
    let (place, _) = Place::laid_out(Layout {
        providers: Some(providers),
        ..Layout::default()
    });
    configure(
        &place,
        "without_provider = \"24h\"",
        "without_provider = \"8s\"",
    );
    assert_eq!(engine.keys().len(), 1, "the epoch's key is in the engine");
    engine.becomes(Mood::Sealed);
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let waits = status(&w).await;
    assert_eq!(
        waits.reason(),
        pb::SealReason::Started,
        "it waits for the provider"
    );
    let mut log = Log::of(&place);
    log.skip();
    engine.becomes(Mood::Well);
    until("it comes up by itself", async || !status(&w).await.sealed).await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("A")).await.expect("written");

    engine.becomes(Mood::Nonsense);
    until("the provider is missed", async || {
        status(&w).await.providers.iter().any(|one| !one.answers)
    })
    .await;
    assert!(w.get(&name).await.is_ok(), "it goes on from memory");
    until("it seals itself", async || status(&w).await.sealed).await;
    let refused = w.get(&name).await.err().expect("sealed");
    assert!(refused.is("SEALED"), "{refused}");
    assert_eq!(status(&w).await.reason(), pb::SealReason::KeyProvider);
    until("readiness says so", async || {
        metrics(server.metrics).contains("oubliette_ready 0")
    })
    .await;
    engine.becomes(Mood::Well);
    until("it is back", async || w.get(&name).await.is_ok()).await;
    let leaves = log.new_leaves();
    let sealing: Vec<_> = leaves.iter().filter_map(|leaf| leaf.sealing()).collect();
    let by = "provider";
    assert_eq!(sealing, [(false, by), (true, by), (false, by)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_providers_an_epoch_opens_by_either() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = engine(&dir);
    let providers = dir.path().join("providers.toml");
    write(&providers, &format!("[[providers]]\n{table}{FILES}"));
    let (place, _) = Place::laid_out(Layout {
        providers: Some(providers),
        ..Layout::default()
    });
    engine.becomes(Mood::Sealed);
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("by the key file");
    let mut keys = w.keys.clone();
    let epochs = keys.get_key_status(pb::GetKeyStatusRequest {}).await;
    let epochs = epochs.expect("counted").into_inner().epochs;
    let provider = &epochs[0].provider;
    assert!(provider.contains("transit") && provider.contains("file"));
    assert_eq!(
        epochs[0].assurance(),
        pb::Assurance::BestEffort,
        "the least"
    );
    server.stop();
    engine.becomes(Mood::Well);
    let file = place.path().join("keys/epoch-00000001.key");
    let aside = dir.path().join("aside");
    fs::rename(&file, &aside).expect("moved");
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.show("a").await.expect("by the engine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_replaced_while_serving_but_none_that_an_open_epoch_needs() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_engine, table) = engine(&dir);
    let (place, _) = Place::laid_out(Layout::default());
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let mut log = Log::of(&place);
    log.skip();
    let only = "[provider]\nkind = \"file\"\ndirectory = \"keys\"\n";
    configure(&place, only, &format!("[provider]\n{table}"));
    until("it is refused", async || {
        let refused = "oubliette_reloads_total{what=\"providers\",outcome=\"refused\"} 1";
        metrics(server.metrics).contains(refused)
    })
    .await;
    let kinds = async || -> Vec<String> {
        let providers = status(&w).await.providers;
        providers.into_iter().map(|one| one.kind).collect()
    };
    assert_eq!(kinds().await, ["file"], "what the open epoch needs stays");
    let both = format!("{FILES}retiring = true\n[[providers]]\n{table}");
    configure(&place, &format!("[provider]\n{table}"), &both);
    until("there are two", async || {
        kinds().await == ["file", "transit"]
    })
    .await;
    w.show("a").await.expect("served throughout");
    let mut told = Vec::new();
    until("it is written down", async || {
        told.extend(log.new_leaves());
        told.iter().any(|leaf| leaf.providers().is_some())
    })
    .await;
    let (taking, retiring) = told.iter().find_map(|leaf| leaf.providers()).expect("told");
    assert_eq!(
        (taking, retiring),
        (&["transit".to_owned()][..], &["file".to_owned()][..])
    );
}
