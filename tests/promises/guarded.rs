//! P2: nothing without a permit. Denied by default, a purpose on every read,
//! and no word about what a caller may not see.

use crate::caller::{
    Answer, Caller, connect, delete_request, get_request, named, put_request, record,
    update_request,
};
use crate::log::Log;
use crate::place::{Place, Server, until};
use oubliette::access::{Access, Sources};
use oubliette::authn::{Authn, Caller as Connected};
use oubliette::cli::init::TRUST_DOMAIN;
use oubliette::cli::pki::{Authority, ORGANISATION};
use oubliette::client::{Failure, request_id};
use oubliette::grpc::{Guard, Parts, Shed};
use oubliette::id::{ServiceName, TenantName};
use oubliette::keys::Providers;
use oubliette::keys::file::FileProvider;
use oubliette::metrics::Metrics;
use oubliette::pb;
use oubliette::pb::audit_service_client::AuditServiceClient;
use oubliette::store::sqlite::Sqlite;
use oubliette::vault::Vault;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Code;
use tonic::service::Routes;
use tower::Service;

fn batch_request(names: &[&str], purpose: &str) -> pb::BatchGetRecordsRequest {
    pb::BatchGetRecordsRequest {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        record_type: "card".to_owned(),
        purpose: purpose.to_owned(),
        ..Default::default()
    }
}

fn stream_request(purpose: &str) -> pb::StreamRecordsRequest {
    pb::StreamRecordsRequest {
        record_type: "card".to_owned(),
        purpose: purpose.to_owned(),
        ..Default::default()
    }
}

fn list_request(parent: &str, purpose: &str) -> pb::ListRecordsRequest {
    pb::ListRecordsRequest {
        parent: parent.to_owned(),
        record_type: "card".to_owned(),
        purpose: purpose.to_owned(),
        ..Default::default()
    }
}

fn failure<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Option<Failure> {
    answer.err().map(|status| Failure::from_status(&status))
}

/// Every RPC, about a customer and for a purpose where it takes one; how each
/// was refused.
async fn every_rpc(w: &Caller, id: &str, purpose: &str) -> Vec<(&'static str, Option<Failure>)> {
    let (name, parent) = (record(id, "r"), format!("customers/{id}"));
    let (mut records, mut customers, mut keys) =
        (w.records.clone(), w.customers.clone(), w.keys.clone());
    let mut get = get_request(&name);
    get.purpose = purpose.to_owned();
    let create = pb::CreateCustomerRequest {
        customer_id: id.to_owned(),
        request_id: request_id(),
        recreate_erased: false,
    };
    let erase = pb::EraseCustomerRequest {
        name: parent.clone(),
        request_id: request_id(),
    };
    let show = pb::GetCustomerRequest {
        name: parent.clone(),
    };
    let status = pb::GetKeyStatusRequest {};
    vec![
        ("GetRecord", failure(records.get_record(get).await)),
        (
            "BatchGetRecords",
            failure(
                records
                    .batch_get_records(batch_request(&[&name], purpose))
                    .await,
            ),
        ),
        (
            "StreamRecords",
            failure(records.stream_records(stream_request(purpose)).await),
        ),
        (
            "ListRecords",
            failure(records.list_records(list_request(&parent, purpose)).await),
        ),
        (
            "PutRecord",
            failure(records.put_record(put_request(&name, named("x"))).await),
        ),
        (
            "UpdateRecord",
            failure(records.update_record(update_request(&name, "x")).await),
        ),
        (
            "DeleteRecord",
            failure(records.delete_record(delete_request(&name)).await),
        ),
        (
            "CreateCustomer",
            failure(customers.create_customer(create).await),
        ),
        ("GetCustomer", failure(customers.get_customer(show).await)),
        (
            "EraseCustomer",
            failure(customers.erase_customer(erase).await),
        ),
        ("GetKeyStatus", failure(keys.get_key_status(status).await)),
        (
            "PlanEpochClose",
            failure(
                keys.plan_epoch_close(pb::PlanEpochCloseRequest::default())
                    .await,
            ),
        ),
        (
            "CloseEpoch",
            failure(keys.close_epoch(pb::CloseEpochRequest::default()).await),
        ),
        (
            "ControlJob",
            failure(keys.control_job(pb::ControlJobRequest::default()).await),
        ),
        (
            "WatchJob",
            failure(keys.watch_job(pb::WatchJobRequest::default()).await),
        ),
        (
            "RotateKeys",
            failure(
                keys.rotate_keys(pb::RotateKeysRequest {
                    all: true,
                    ..Default::default()
                })
                .await,
            ),
        ),
        (
            "CompromiseKeys",
            failure(
                keys.compromise_keys(pb::CompromiseKeysRequest {
                    customer: parent.clone(),
                    ..Default::default()
                })
                .await,
            ),
        ),
        (
            "ListApprovals",
            failure(keys.list_approvals(pb::ListApprovalsRequest {}).await),
        ),
        (
            "DecideApproval",
            failure(
                keys.decide_approval(pb::DecideApprovalRequest::default())
                    .await,
            ),
        ),
        ("Seal", failure(keys.seal(pb::SealRequest {}).await)),
        (
            "Unseal",
            failure(keys.unseal(pb::UnsealRequest::default()).await),
        ),
        (
            "GetSealStatus",
            failure(keys.get_seal_status(pb::GetSealStatusRequest {}).await),
        ),
        (
            "PruneEntries",
            failure(
                AuditServiceClient::new(w.channel.clone())
                    .prune_entries(pb::PruneEntriesRequest {
                        before_time: Some(prost_types::Timestamp::default()),
                        ..Default::default()
                    })
                    .await,
            ),
        ),
    ]
}

const READS: [&str; 4] = [
    "GetRecord",
    "BatchGetRecords",
    "StreamRecords",
    "ListRecords",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_rule_is_denied_every_rpc_and_learns_nothing_of_who_exists() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    w.put(&record("a", "r"), named("A")).await.expect("written");
    w.create("e").await.expect("created");
    w.erase("e").await.expect("erased");
    // Its last entry is written behind the reply.
    let purged = i32::from(pb::ErasureLevel::Purged);
    until("purged", async || {
        w.show("e").await.is_ok_and(|c| c.erasure_level == purged)
    })
    .await;
    let idle = connect(&place, &server, "acme/idle").await;
    let mut log = Log::of(&place);
    log.skip();
    let here = every_rpc(&idle, "a", "care").await;
    assert_eq!(here.len(), 23, "every RPC");
    let leaves = log.new_leaves();
    assert_eq!(leaves.len(), here.len(), "one leaf each");
    for ((method, failure), leaf) in here.iter().zip(&leaves) {
        let failure = failure
            .as_ref()
            .unwrap_or_else(|| panic!("{method} was allowed"));
        assert_eq!(failure.code, Code::PermissionDenied, "{method}: {failure}");
        assert_eq!(
            (leaf.method.as_str(), leaf.verdict.as_str()),
            (*method, "denied")
        );
        assert_eq!(leaf.reason, failure.reason);
    }
    // The same words for somebody who exists, who never did, and who is gone.
    let told = |all: &[(&str, Option<Failure>)]| -> Vec<String> {
        all.iter()
            .map(|(method, failure)| format!("{method}: {failure:?}"))
            .collect()
    };
    let (nobody, gone) = (
        every_rpc(&idle, "never", "care").await,
        every_rpc(&idle, "e", "care").await,
    );
    assert_eq!(told(&here), told(&nobody));
    assert_eq!(told(&here), told(&gone));
    assert!(w.get(&record("a", "r")).await.is_ok(), "nothing was done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_needs_a_purpose_that_is_declared_live_and_granted() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    w.put(&record("a", "r"), named("A")).await.expect("written");
    for (purpose, reason) in [
        ("", "PURPOSE_MISSING"),
        ("curiosity", "PURPOSE_UNKNOWN"),
        ("Care", "PURPOSE_UNKNOWN"),
        ("ended", "PURPOSE_EXPIRED"),
        ("others", "PURPOSE_NOT_GRANTED"),
    ] {
        let all = every_rpc(&w, "a", purpose).await;
        let reads = all.iter().filter(|(method, _)| READS.contains(method));
        for (method, failure) in reads {
            let failure = failure
                .as_ref()
                .unwrap_or_else(|| panic!("{method} for {purpose:?}"));
            assert!(failure.is(reason), "{method} for {purpose:?}: {failure}");
            assert_eq!(failure.code, Code::PermissionDenied);
        }
        // It was erased by the round; it comes back for the next.
        crate::place::until("it is back", async || w.recreate("a").await.is_ok()).await;
        w.put(&record("a", "r"), named("A")).await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_beyond_the_purpose_denies_all_or_is_withheld_with_its_reason() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    let mut card = named("Ada Lovelace");
    card.insert(
        "email".to_owned(),
        crate::caller::text("ada@analytical.example"),
    );
    w.put(&name, card).await.expect("written");
    let mut request = get_request(&name);
    request.purpose = "brief".to_owned();
    request.fields = vec!["email".to_owned(), "name".to_owned()];
    let denied = w.get_as(request.clone()).await.err().expect("denied");
    assert!(denied.is("FIELD_NOT_IN_PURPOSE"), "{denied}");
    assert_eq!(
        denied.details.get("field").map(String::as_str),
        Some("name")
    );
    request.mode = pb::ReadMode::WhatIMaySee.into();
    let reply = w.records.clone().get_record(request).await.expect("read");
    let read = reply.into_inner().record.unwrap_or_default();
    assert_eq!(read.withheld[0].field, "name");
    assert_eq!(read.withheld[0].reason, "FIELD_NOT_IN_PURPOSE");
    let masked = crate::caller::fields(Some(read));
    assert_eq!(masked.keys().collect::<Vec<_>>(), ["email"]);
    let raw = crate::caller::text("ada@analytical.example").kind;
    assert!(masked.get("email") != raw.as_ref(), "masked");
    // P10: what no purpose needs is not even stored.
    let mut card = named("A");
    card.insert("unneeded".to_owned(), crate::caller::text("x"));
    let refused = w.put(&name, card).await.expect_err("refused");
    assert!(refused.is("FIELD_NOT_NEEDED"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_certificate_of_somebody_unlisted_is_nobody() {
    let place = Place::quick();
    let pki = place.path().join("pki");
    let authority = Authority::open(&pki, ORGANISATION).expect("an authority");
    let names = (TenantName::parse("acme"), ServiceName::parse("stranger"));
    let (tenant, service) = (names.0.expect("a name"), names.1.expect("a name"));
    authority
        .issue_client(&pki, TRUST_DOMAIN, &tenant, &service)
        .expect("issued");
    let server = Server::start(&place);
    let stranger = connect(&place, &server, "acme/stranger").await;
    let mut log = Log::of(&place);
    let all = every_rpc(&stranger, "a", "care").await;
    let leaves = log.new_leaves();
    assert_eq!(leaves.len(), all.len());
    for ((method, failure), leaf) in all.iter().zip(&leaves) {
        let failure = failure.as_ref().expect("refused");
        assert_eq!(failure.code, Code::Unauthenticated, "{method}");
        assert!(failure.is("UNKNOWN_PRINCIPAL"), "{method}: {failure}");
        assert_eq!(leaf.told(), ("", *method, "denied", "UNKNOWN_PRINCIPAL"));
    }
}

/// A service that answers everything and writes nothing down.
struct Careless;

macro_rules! careless {
    ($($method:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl pb::record_service_server::RecordService for Careless {
            type StreamRecordsStream =
                tokio_stream::Empty<Result<pb::StreamRecordsResponse, tonic::Status>>;
            async fn stream_records(
                &self,
                _: tonic::Request<pb::StreamRecordsRequest>,
            ) -> Result<tonic::Response<Self::StreamRecordsStream>, tonic::Status> {
                Ok(tonic::Response::new(tokio_stream::empty()))
            }
            $(async fn $method(
                &self,
                _: tonic::Request<pb::$request>,
            ) -> Result<tonic::Response<pb::$response>, tonic::Status> {
                Ok(tonic::Response::new(pb::$response::default()))
            })*
        }
    };
}

careless! {
    put_record(PutRecordRequest) -> PutRecordResponse;
    get_record(GetRecordRequest) -> GetRecordResponse;
    batch_get_records(BatchGetRecordsRequest) -> BatchGetRecordsResponse;
    update_record(UpdateRecordRequest) -> UpdateRecordResponse;
    delete_record(DeleteRecordRequest) -> DeleteRecordResponse;
    list_records(ListRecordsRequest) -> ListRecordsResponse;
}

/// A guard over a service of ours, and whoever calls it.
fn guard(place: &Place) -> (Guard, Connected) {
    let file = FileProvider::new(&place.path().join("keys")).expect("keys");
    let providers = Providers::new(vec![Box::new(file)]).expect("a provider");
    let store = Arc::new(Sqlite::open(&place.data()).expect("a store"));
    let vault = Vault::unseal(store, Arc::new(providers), "1".to_owned()).expect("a vault");
    let access = Access::load(Sources {
        catalog: place.config_file("catalog"),
        roles: place.config_file("roles.toml"),
        policy: place.config_file("policy.cedar"),
    });
    let access = Arc::new(access.expect("rules"));
    let tenants = TenantName::parse("acme");
    vault.ensure_tenants(tenants.iter()).expect("tenants");
    let parts = Parts {
        vault,
        access,
        authn: Arc::new(Authn::new(TRUST_DOMAIN)),
        shed: Arc::new(Shed::default()),
        metrics: Arc::new(Metrics::new()),
        signals: None,
    };
    let service = pb::record_service_server::RecordServiceServer::new(Careless);
    let names = (TenantName::parse("acme"), ServiceName::parse("w00"));
    let caller = Connected::assumed(names.0.expect("a name"), names.1.expect("a name"));
    (
        Guard::new(parts, Routes::new(service), Routes::default()),
        caller,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_writes_nothing_down_answers_nothing() {
    let place = Place::quick();
    let of = tokio::task::spawn_blocking(move || {
        let made = guard(&place);
        (place, made)
    });
    let (place, (mut guard, caller)) = of.await.expect("no panic");
    let mut seen = BTreeSet::new();
    for method in [
        "PutRecord",
        "GetRecord",
        "BatchGetRecords",
        "StreamRecords",
        "UpdateRecord",
        "DeleteRecord",
        "ListRecords",
    ] {
        let request = http::Request::post(format!("/oubliette.v1.RecordService/{method}"))
            .header("content-type", "application/grpc")
            .extension(caller.clone())
            // An empty message: five bytes of length and nothing more.
            .body(tonic::body::Body::new(http_body_util::Full::new(
                prost::bytes::Bytes::from_static(&[0; 5]),
            )))
            .expect("a request");
        let response = guard.call(request).await.expect("an answer");
        let status = tonic::Status::from_header_map(response.headers()).expect("in the head");
        assert_eq!(status.code(), Code::Internal, "{method}: {status}");
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.expect("a body").to_bytes().is_empty(), "{method}");
        seen.insert(method.to_owned());
    }
    let leaves = Log::of(&place).new_leaves();
    let written: BTreeSet<String> = leaves.iter().map(|leaf| leaf.method.clone()).collect();
    assert_eq!(written, seen);
    assert!(leaves.iter().all(|leaf| leaf.reason == "INTERNAL"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_not_told_of_an_erasure() {
    let place = Place::quick();
    let server = Server::start(&place);
    let (w, reader) = (
        connect(&place, &server, "acme/w00").await,
        connect(&place, &server, "acme/reader").await,
    );
    w.create("gone").await.expect("created");
    w.put(&record("gone", "r"), named("A"))
        .await
        .expect("written");
    w.erase("gone").await.expect("erased");
    let same = |gone: Answer<()>, never: Answer<()>| {
        let (gone, never) = (gone.expect_err("refused"), never.expect_err("refused"));
        assert_eq!(format!("{gone:?}"), format!("{never:?}"));
    };
    let of = |id: &'static str| {
        let reader = reader.clone();
        async move {
            let name = record(id, "r");
            [
                reader.get(&name).await.map(|_| ()),
                reader.list(id).await.map(|_| ()),
                reader.show(id).await.map(|_| ()),
            ]
        }
    };
    for (gone, never) in of("gone").await.into_iter().zip(of("never").await) {
        same(gone, never);
    }
    let names = [record("gone", "r"), record("never", "r")];
    let both = reader.batch(&names).await.expect("read");
    assert!(both[0] == both[1], "the same to a reader");
    assert!(
        w.get(&names[0])
            .await
            .is_err_and(|f| f.is("CUSTOMER_ERASED"))
    );
}
