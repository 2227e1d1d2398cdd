//! Key providers under a running vault: down, back again, several at once,
//! replaced while it serves.

use crate::caller::{connect, named, record};
use crate::keepers::{self, FILES, write};
use crate::log::Log;
use crate::place::{Place, Server, until};
use crate::process::{Process, metrics};
use crate::seal::status;
use crate::token;
use crate::transit_stand_in::Mood;
use oubliette::cli::init::Layout;
use oubliette::pb;
use std::fs;
use std::path::Path;

/// What befalls a provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// It answers.
    Fair,
    /// It does not serve.
    Down,
    /// It answers nonsense, if it can.
    Nonsense,
}

/// A vault that may be without its provider for a short time.
fn founded(dir: &Path, table: &str) -> Place {
    let providers = dir.join("providers.toml");
    write(&providers, &format!("[provider]\n{table}"));
    let (place, _) = Place::laid_out(Layout {
        providers: Some(providers),
        ..Layout::default()
    });
    place.configure("without_provider = \"24h\"", "without_provider = \"8s\"");
    place
}

/// Starts without its provider, and waits for it.
async fn waits_for_it(place: &Place, becomes: impl Fn(Weather)) -> Server {
    becomes(Weather::Down);
    let server = Server::start(place);
    let w = connect(place, &server, "acme/w00").await;
    let waits = status(&w).await;
    assert_eq!(waits.reason(), pb::SealReason::Started);
    becomes(Weather::Fair);
    until("it comes up by itself", async || !status(&w).await.sealed).await;
    server
}

/// Loses its provider while it serves, and gets it back.
async fn goes_on_seals_itself_and_comes_back(
    place: &Place,
    server: &Server,
    becomes: impl Fn(Weather),
) {
    let w = connect(place, server, "acme/w00").await;
    let mut log = Log::of(place);
    log.skip();
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("A")).await.expect("written");

    becomes(Weather::Nonsense);
    until("the provider is missed", async || {
        status(&w).await.providers.iter().any(|one| !one.answers)
    })
    .await;
    assert!(w.get(&name).await.is_ok(), "it goes on from memory");
    assert!(w.close().await.is_err(), "no epoch is opened");
    let epochs = w.key_status().await.expect("counted").epochs;
    assert_eq!(epochs.len(), 1, "no half state");
    until("it seals itself", async || status(&w).await.sealed).await;
    let refused = w.get(&name).await.err().expect("sealed");
    assert!(refused.is("SEALED"), "{refused}");
    assert_eq!(status(&w).await.reason(), pb::SealReason::KeyProvider);
    until("readiness says so", async || {
        metrics(server.metrics).contains("oubliette_ready 0")
    })
    .await;
    becomes(Weather::Fair);
    until("it is back", async || w.get(&name).await.is_ok()).await;
    let leaves = log.new_leaves();
    let sealing: Vec<_> = leaves.iter().filter_map(|leaf| leaf.sealing()).collect();
    let by = "provider";
    assert_eq!(sealing, [(true, by), (false, by)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_transit_engine_a_vault_goes_on_for_a_while_then_seals_itself_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = keepers::engine(dir.path());
    let place = founded(dir.path(), &table);
    assert_eq!(engine.keys().len(), 1, "the epoch's key is in the engine");
    let becomes = |weather| {
        engine.becomes(match weather {
            Weather::Fair => Mood::Well,
            Weather::Down => Mood::Sealed,
            Weather::Nonsense => Mood::Nonsense,
        });
    };
    let server = waits_for_it(&place, becomes).await;
    goes_on_seals_itself_and_comes_back(&place, &server, becomes).await;
}

#[cfg(feature = "aws-kms")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_aws_kms_a_vault_goes_on_for_a_while_then_seals_itself_and_comes_back() {
    use crate::kms_stand_in::Mood;
    let dir = tempfile::tempdir().expect("a directory");
    let (service, table) = keepers::kms(dir.path());
    let place = founded(dir.path(), &table);
    let becomes = |weather| {
        service.becomes(match weather {
            Weather::Fair => Mood::Well,
            Weather::Down => Mood::Down,
            Weather::Nonsense => Mood::Nonsense,
        });
    };
    let server = waits_for_it(&place, becomes).await;
    goes_on_seals_itself_and_comes_back(&place, &server, becomes).await;
    assert_eq!(service.keys().len(), 1, "no key was left behind");
}

/// Its file system was unmounted, say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_key_files_a_vault_goes_on_for_a_while_then_seals_itself_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let table = "kind = \"file\"\ndirectory = \"keys\"\n";
    let place = founded(dir.path(), table);
    let (keys, aside) = (place.path().join("keys"), dir.path().join("aside"));
    let becomes = |weather| {
        let (from, to) = match weather {
            Weather::Fair => (&aside, &keys),
            Weather::Down | Weather::Nonsense => (&keys, &aside),
        };
        fs::rename(from, to).expect("moved");
    };
    let server = Server::start(&place);
    goes_on_seals_itself_and_comes_back(&place, &server, becomes).await;
}

/// Over a token, in a process of its own; and no time without it is allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_token_a_vault_that_may_not_go_on_seals_itself_at_the_next_look() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(conf) = token::make(dir.path()) else {
        return;
    };
    let providers = dir.path().join("providers.toml");
    let table = token::table(dir.path());
    write(&providers, &format!("[provider]\n{table}"));
    let more = [(token::CONF, conf.as_os_str())];
    let place = Place::by_program(&providers, &more);
    place.configure("without_provider = \"24h\"", "without_provider = \"0s\"");
    let server = Process::within(&place, &more);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let (tokens, aside) = (dir.path().join("tokens"), dir.path().join("aside"));
    fs::rename(&tokens, &aside).expect("taken out");
    until("it seals itself", async || status(&w).await.sealed).await;
    assert_eq!(status(&w).await.reason(), pb::SealReason::KeyProvider);
    fs::rename(&aside, &tokens).expect("put back");
    drop(server);
    let server = Process::within(&place, &more);
    let w = connect(&place, &server, "acme/w00").await;
    w.show("a").await.expect("the key is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_providers_an_epoch_opens_by_either() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, table) = keepers::engine(dir.path());
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
    let (_engine, table) = keepers::engine(dir.path());
    let (place, _) = Place::laid_out(Layout::default());
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let mut log = Log::of(&place);
    log.skip();
    let only = "[provider]\nkind = \"file\"\ndirectory = \"keys\"\n";
    place.configure(only, &format!("[provider]\n{table}"));
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
    place.configure(&format!("[provider]\n{table}"), &both);
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
    let told = told.iter().find_map(|leaf| leaf.providers());
    let (taking, retiring) = (["transit".to_owned()], ["file".to_owned()]);
    assert_eq!(told, Some((&taking[..], &retiring[..], "")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_takes_two_people_providers_are_replaced_once_somebody_approved() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_engine, table) = keepers::engine(dir.path());
    let (place, _) = Place::laid_out(Layout::default());
    place.configure(
        "# [approvals]\n",
        "[approvals]\ndemand = \"change-providers\"\n",
    );
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let mut log = Log::of(&place);
    log.skip();
    let only = "[provider]\nkind = \"file\"\ndirectory = \"keys\"\n";
    let both = format!("{FILES}retiring = true\n[[providers]]\n{table}");
    place.configure(only, &both);
    let asked = async || {
        let request = pb::ListApprovalsRequest {};
        let listed = w.keys.clone().list_approvals(request).await;
        listed.expect("listed").into_inner().approvals.pop()
    };
    until("somebody is asked", async || asked().await.is_some()).await;
    let asked = asked().await.expect("asked");
    assert_eq!(asked.action, "change-providers");
    let kinds = async || status(&w).await.providers.len();
    assert_eq!(kinds().await, 1, "nobody has approved");
    let request = pb::DecideApprovalRequest {
        approval: asked.approval,
        approve: true,
    };
    let decided = w.keys.clone().decide_approval(request).await;
    decided.expect("approved");
    server.hangs_up();
    until("there are two", async || kinds().await == 2).await;
    let mut told = Vec::new();
    until("it is written down", async || {
        told.extend(log.new_leaves());
        told.iter().any(|leaf| leaf.providers().is_some())
    })
    .await;
    let approver = told.iter().find_map(|leaf| leaf.providers());
    assert_eq!(approver.map(|(_, _, approver)| approver), Some("acme/w00"));
}
