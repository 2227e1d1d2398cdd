//! What an auditor may ask of the log, and what a tenant may see of it.

use crate::caller::{Caller, connect, named, record};
use crate::log::Log;
use crate::place::{Place, Server, until};
use oubliette::audit::proof;
use oubliette::client::Failure;
use oubliette::keys::signing::SigningKey;
use oubliette::limits;
use oubliette::pb;
use oubliette::pb::audit_service_client::AuditServiceClient;
use prost_types::Timestamp;
use std::time::{Duration, SystemTime};
use tonic::transport::Channel;

pub fn audit(caller: &Caller) -> AuditServiceClient<Channel> {
    AuditServiceClient::new(caller.channel.clone())
}

async fn list(caller: &Caller, filter: pb::EntryFilter) -> Vec<serde_json::Value> {
    let request = pb::ListEntriesRequest {
        filter: Some(filter),
        ..Default::default()
    };
    let reply = audit(caller).list_entries(request).await.expect("listed");
    let reply = reply.into_inner();
    assert_eq!(reply.next_page_token, "");
    let entries = reply.entries.iter();
    entries
        .map(|of| serde_json::from_str(&of.leaf).expect("a leaf"))
        .collect()
}

fn ago(time: Duration) -> Option<Timestamp> {
    Some(Timestamp::from(SystemTime::now() - time))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_found_by_what_they_say_within_a_tenant() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let (idle, other) = (
        connect(&place, &server, "acme/idle").await,
        connect(&place, &server, "globex/w00").await,
    );
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("A")).await.expect("written");
    for _ in 0..5 {
        w.get(&name).await.expect("read");
    }
    assert!(idle.get(&name).await.is_err());
    other.create("a").await.expect("created");

    let by = |change: fn(&mut pb::EntryFilter)| {
        let mut filter = pb::EntryFilter::default();
        change(&mut filter);
        filter
    };
    let reads = list(&w, by(|f| f.method = "GetRecord".to_owned())).await;
    assert_eq!(reads.len(), 6);
    let denied = list(&w, by(|f| f.verdict = "denied".to_owned())).await;
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["principal"], "acme/idle");
    let for_care = list(&w, by(|f| f.purpose = "care".to_owned())).await;
    assert_eq!(for_care.len(), 6, "also the one that was denied");
    let written = list(
        &w,
        by(|f| {
            f.record_type = "card".to_owned();
            f.method = "PutRecord".to_owned();
        }),
    )
    .await;
    assert_eq!(written.len(), 1);
    let of_idle = list(&w, by(|f| f.principal = "acme/idle".to_owned())).await;
    assert_eq!(of_idle.len(), 1);
    // Nothing of another tenant's, however it is asked for.
    assert!(
        list(&w, by(|f| f.principal = "globex/w00".to_owned()))
            .await
            .is_empty()
    );
    let all = list(&w, pb::EntryFilter::default()).await;
    assert!(
        all.iter()
            .all(|leaf| !leaf["principal"].as_str().unwrap().starts_with("globex"))
    );
    // By time.
    let hour = Duration::from_secs(3_600);
    let filter = pb::EntryFilter {
        from_time: ago(hour),
        ..Default::default()
    };
    assert!(list(&w, filter).await.len() > all.len());
    let filter = pb::EntryFilter {
        to_time: ago(hour),
        ..Default::default()
    };
    assert!(list(&w, filter).await.is_empty());

    // Page by page it is the same.
    let (mut paged, mut token) = (0, String::new());
    loop {
        let request = pb::ListEntriesRequest {
            filter: Some(by(|f| f.method = "GetRecord".to_owned())),
            page_size: 2,
            page_token: token,
        };
        let reply = audit(&w)
            .list_entries(request)
            .await
            .expect("a page")
            .into_inner();
        assert!(reply.entries.len() <= 2);
        paged += reply.entries.len();
        token = reply.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, 6);
    let too_many = pb::ListEntriesRequest {
        page_size: i32::try_from(limits::LIST_PAGE_MAX).unwrap() + 1,
        ..Default::default()
    };
    let refused = audit(&w)
        .list_entries(too_many)
        .await
        .expect_err("too many");
    assert!(Failure::from_status(&refused).is("INVALID_REQUEST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_customers_history_is_found_with_their_key_and_a_forgotten_ones_is_not() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let reader = connect(&place, &server, "acme/reader").await;
    for id in ["a", "b"] {
        w.create(id).await.expect("created");
        w.put(&record(id, "r"), named("A")).await.expect("written");
        w.get(&record(id, "r")).await.expect("read");
    }
    let ask = |id: &str, from: Duration| pb::ListCustomerEntriesRequest {
        name: format!("customers/{id}"),
        from_time: ago(from),
        to_time: None,
    };
    let hour = Duration::from_secs(3_600);
    let mut log = Log::of(&place);
    log.skip();
    let reply = audit(&w).list_customer_entries(ask("a", hour)).await;
    let reply = reply.expect("listed").into_inner();
    let leaves = log.new_leaves();
    assert_eq!(leaves.len(), 1);
    assert_eq!(
        (leaves[0].count, leaves[0].method.as_str()),
        (3, "ListCustomerEntries")
    );
    let methods: Vec<String> = reply
        .entries
        .iter()
        .map(|of| {
            let leaf = &of.entry.as_ref().unwrap().leaf;
            let leaf: serde_json::Value = serde_json::from_str(leaf).unwrap();
            leaf["method"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(methods, ["CreateCustomer", "PutRecord", "GetRecord"]);
    let touched = &reply.entries[2].records;
    assert_eq!((touched[0].record, touched[0].revision), (1, 1));
    // Asking is itself in the history.
    let again = audit(&w).list_customer_entries(ask("a", hour)).await;
    assert_eq!(again.expect("listed").into_inner().entries.len(), 4);

    let denied = audit(&reader).list_customer_entries(ask("a", hour)).await;
    assert!(Failure::from_status(&denied.unwrap_err()).is("POLICY_DENIED"));
    let long = limits::HISTORY_SPAN + hour;
    let refused = audit(&w).list_customer_entries(ask("a", long)).await;
    assert!(Failure::from_status(&refused.unwrap_err()).is("INVALID_REQUEST"));
    w.erase("a").await.expect("erased");
    let gone = audit(&w).list_customer_entries(ask("a", hour)).await;
    assert!(Failure::from_status(&gone.unwrap_err()).is("CUSTOMER_ERASED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_what_comes_and_a_proof_of_it_holds() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("before").await.expect("created");
    let mut log = Log::of(&place);
    log.skip();
    let request = pb::WatchEntriesRequest {
        filter: Some(pb::EntryFilter {
            method: "CreateCustomer".to_owned(),
            ..Default::default()
        }),
        after: 0,
    };
    let watched = audit(&w).watch_entries(request).await.expect("watched");
    let mut watched = watched.into_inner();
    w.create("after").await.expect("created");
    let message = watched.message().await.expect("a message").expect("open");
    assert_eq!(message.entries.len(), 1, "only what came since");
    let entry = &message.entries[0];
    let leaves = log.new_leaves();
    let told: Vec<&str> = leaves.iter().map(|leaf| leaf.method.as_str()).collect();
    assert_eq!(told, ["WatchEntries", "CreateCustomer"], "one entry a call");

    let ask = pb::GetEntryProofRequest {
        number: entry.number,
    };
    let mut found = None;
    until("it is sealed", async || {
        found = audit(&w).get_entry_proof(ask).await.ok();
        found.is_some()
    })
    .await;
    let text = found.unwrap().into_inner().proof;
    let newest = audit(&w).get_checkpoint(pb::GetCheckpointRequest {}).await;
    let newest = newest.expect("a checkpoint").into_inner();
    assert!(newest.size >= entry.number && newest.sign_time.is_some());
    let origin = newest.note.lines().next().unwrap().to_owned();
    let key = SigningKey::load(&place.path().join("keys/log.key"), origin).expect("a key");
    let proven = proof::check(&text, key.public()).expect("a proof");
    assert_eq!(proven.entry, entry.leaf.as_bytes());

    // An entry of another tenant, and one that is not there.
    let other = connect(&place, &server, "globex/w00").await;
    for (caller, number) in [(&other, entry.number), (&w, 1_000_000), (&w, 0)] {
        let ask = pb::GetEntryProofRequest { number };
        let refused = audit(caller).get_entry_proof(ask).await.expect_err("none");
        assert!(
            Failure::from_status(&refused).is("ENTRY_NOT_FOUND"),
            "{number}"
        );
    }
}
