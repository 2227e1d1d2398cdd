//! Requests until they are decided and beyond: what they restrict, the grace of
//! an erasure, and who hears of it.

use crate::caller::{
    Answer, Caller, connect, customer, get_request, heard, record, update_request,
};
use crate::later::days_ahead;
use crate::place::{Place, Server, until};
use crate::process::Process;
use crate::restraint::{at, filled, why};
use oubliette::client::request_id;
use oubliette::pb;

impl Caller {
    pub async fn asks(&self, asked: pb::OpenRequestRequest) -> Answer<pb::RightsRequest> {
        let opened = heard(self.rights.clone().open_request(asked).await)?;
        let opened = opened.request.unwrap_or_default();
        let request = pb::VerifyIdentityRequest {
            name: opened.name,
            check: pb::IdentityCheck::SignedIn.into(),
        };
        let sure = heard(self.rights.clone().verify_identity(request).await)?;
        Ok(sure.request.unwrap_or_default())
    }

    pub async fn approves(
        &self,
        name: &str,
        person_told_time: Option<prost_types::Timestamp>,
    ) -> Answer<pb::ApproveRequestResponse> {
        let name = name.to_owned();
        let request = pb::ApproveRequestRequest {
            name,
            person_told_time,
        };
        heard(self.rights.clone().approve_request(request).await)
    }

    pub async fn denies(
        &self,
        name: &str,
        person_told_time: Option<prost_types::Timestamp>,
    ) -> Answer<()> {
        let request = pb::DenyRequestRequest {
            name: name.to_owned(),
            code: "dpv:LegalObligation".to_owned(),
            text: "the law wants it kept".to_owned(),
            person_told_time,
        };
        heard(self.rights.clone().deny_request(request).await).map(|_| ())
    }

    pub async fn revokes(&self, name: &str) -> Answer<()> {
        let name = name.to_owned();
        let request = pb::RevokeRequestRequest { name };
        heard(self.rights.clone().revoke_request(request).await).map(|_| ())
    }
}

pub fn asking(id: &str, kind: pb::RequestKind) -> pb::OpenRequestRequest {
    pb::OpenRequestRequest {
        customer: customer(id),
        kind: kind.into(),
        request_id: request_id(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_restricts_until_it_is_decided() {
    let place = Place::quick();
    let server = Server::start(&place);
    let ids = [
        "erase", "wrong", "moved", "objects", "flyers", "keep", "back",
    ];
    let w = filled(&place, &server, &ids).await;
    let reads = async |id: &str| why(w.get(&record(id, "a")).await);

    // Erasure: at once, and no longer once it is denied or taken back.
    let denied = w
        .asks(asking("erase", pb::RequestKind::Erasure))
        .await
        .expect("opened");
    assert_eq!(reads("erase").await, "RESTRICTED");
    let shown = w.show("erase").await.expect("shown");
    assert_eq!(shown.erasure_level(), pb::ErasureLevel::Restricted);
    assert_eq!(why(w.denies(&denied.name, None).await), "INVALID_REQUEST");
    w.denies(&denied.name, at(0)).await.expect("denied");
    assert_eq!(reads("erase").await, "OK");
    let back = w
        .asks(asking("back", pb::RequestKind::Erasure))
        .await
        .expect("opened");
    assert_eq!(why(w.lift("back", at(0)).await), "OK");
    assert_eq!(reads("back").await, "RESTRICTED", "its request keeps it up");
    w.revokes(&back.name).await.expect("revoked");
    assert_eq!(reads("back").await, "OK");

    // Rectification: only where the data is contested; then a new revision.
    let moved = w
        .asks(asking("moved", pb::RequestKind::Rectification))
        .await
        .expect("opened");
    assert!(!moved.restricts);
    assert_eq!(reads("moved").await, "OK");
    let contested = pb::OpenRequestRequest {
        accuracy_contested: true,
        ..asking("wrong", pb::RequestKind::Rectification)
    };
    let wrong = w.asks(contested).await.expect("opened");
    assert_eq!(reads("wrong").await, "RESTRICTED");
    assert_eq!(why(w.approves(&wrong.name, None).await), "INVALID_REQUEST");
    w.approves(&wrong.name, at(0)).await.expect("approved");
    let corrected = w
        .update_as(update_request(&record("wrong", "a"), "Right"))
        .await;
    assert_eq!(corrected.expect("written"), 2);

    // Objection: marketing at once, the rest when it is decided.
    let objecting = |id: &str, purposes: &[&str]| pb::OpenRequestRequest {
        purposes: purposes.iter().map(|one| (*one).to_owned()).collect(),
        ..asking(id, pb::RequestKind::Objection)
    };
    let flyers = w
        .asks(objecting("flyers", &["flyers"]))
        .await
        .expect("opened");
    assert!(!flyers.restricts);
    assert_eq!(reads("flyers").await, "OK");
    assert_eq!(why(w.read_card_for("flyers", "flyers").await), "OBJECTED");
    let objects = w
        .asks(objecting("objects", &["brief", "flyers"]))
        .await
        .expect("opened");
    assert!(objects.restricts);
    assert_eq!(reads("objects").await, "RESTRICTED");
    assert_eq!(
        why(w.approves(&objects.name, None).await),
        "INVALID_REQUEST"
    );
    w.approves(&objects.name, at(0)).await.expect("approved");
    assert_eq!(reads("objects").await, "OK");
    for purpose in ["brief", "flyers"] {
        assert_eq!(
            why(w.read_card_for("objects", purpose).await),
            "OBJECTED",
            "{purpose}"
        );
    }
    let care = w.asks(objecting("objects", &["care"])).await;
    assert_eq!(why(care), "INVALID_REQUEST", "care cannot be objected to");

    // Restriction: once it is approved, until it is lifted by hand.
    let keep = w
        .asks(asking("keep", pb::RequestKind::Restriction))
        .await
        .expect("opened");
    assert_eq!(reads("keep").await, "OK");
    w.approves(&keep.name, None).await.expect("approved");
    assert_eq!(reads("keep").await, "RESTRICTED");
    w.lift("keep", at(0)).await.expect("lifted");
    assert_eq!(reads("keep").await, "OK");
}

impl Caller {
    async fn read_card_for(&self, id: &str, purpose: &str) -> Answer<()> {
        let request = pb::GetRecordRequest {
            purpose: purpose.to_owned(),
            ..get_request(&record(id, "a"))
        };
        self.get_as(request).await.map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_erasure_waits_out_its_grace_and_then_goes_on_only_where_it_may() {
    for by_itself in [false, true] {
        let place = Place::quick();
        place.configure("grace_days = 0", "grace_days = 7");
        // What is days ahead would close the epoch first.
        place.configure("close = \"daily\"\nhour = \"3\"", "close = \"on-demand\"");
        if by_itself {
            place.configure("\"when-approved-again\"\n", "\"by-itself\"\n");
        }
        let mut server = Process::start(&place);
        let w = filled(&place, &server, &["a", "b"]).await;
        let mut names = Vec::new();
        for id in ["a", "b"] {
            let asked = w
                .asks(asking(id, pb::RequestKind::Erasure))
                .await
                .expect("opened");
            for turn in ["first", "again"] {
                let approved = w.approves(&asked.name, None).await.expect(turn);
                assert!(approved.certificate.is_none());
                let request = approved.request.unwrap_or_default();
                assert_eq!(request.state(), pb::RequestState::Approved);
                assert!(request.grace_end_date.is_some());
            }
            let shown = w.show(id).await.expect("shown");
            assert_eq!(shown.erasure_level(), pb::ErasureLevel::Grace);
            assert_eq!(why(w.get(&record(id, "a")).await), "RESTRICTED");
            names.push(asked.name);
        }
        // Still to be called off.
        w.revokes(&names[1]).await.expect("revoked");
        assert_eq!(why(w.get(&record("b", "a")).await), "OK");
        server.kill();
        server = days_ahead(&place, 6);
        let w = connect(&place, &server, "acme/w00").await;
        assert_eq!(why(w.get(&record("a", "a")).await), "RESTRICTED", "not yet");
        server.kill();
        server = days_ahead(&place, 7);
        let w = connect(&place, &server, "acme/w00").await;
        if by_itself {
            until("it goes on by itself", async || {
                why(w.get(&record("a", "a")).await) == "CUSTOMER_ERASED"
            })
            .await;
        } else {
            assert_eq!(
                why(w.get(&record("a", "a")).await),
                "RESTRICTED",
                "nobody asked"
            );
            let done = w.approves(&names[0], None).await.expect("once more");
            assert_eq!(
                done.request.unwrap_or_default().state(),
                pb::RequestState::Fulfilled
            );
            assert_eq!(why(w.get(&record("a", "a")).await), "CUSTOMER_ERASED");
        }
        assert_eq!(why(w.get(&record("b", "a")).await), "OK");
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_hears_of_every_change_and_of_nobody() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server, &["a"]).await;
    let request = pb::WatchRequestsRequest {};
    let watcher = connect(&place, &server, "acme/w01").await;
    let mut watching =
        heard(watcher.rights.clone().watch_requests(request).await).expect("watched");
    let foreign = connect(&place, &server, "globex/w00").await;
    let mut beside = heard(foreign.rights.clone().watch_requests(request).await).expect("watched");
    let asked = w
        .asks(asking("a", pb::RequestKind::Access))
        .await
        .expect("opened");
    w.approves(&asked.name, None).await.expect("approved");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let message = watching
            .message()
            .await
            .expect("it goes on")
            .expect("a change");
        let request = message.request.unwrap_or_default();
        assert_eq!(request.name, asked.name);
        assert!(request.customer.is_empty() && request.text.is_empty() && request.steps.is_empty());
        seen.push(request.state());
    }
    assert_eq!(seen.last(), Some(&pb::RequestState::Approved));
    foreign.create("f").await.expect("created");
    let other = foreign
        .asks(asking("f", pb::RequestKind::Access))
        .await
        .expect("opened");
    let first = beside
        .message()
        .await
        .expect("it goes on")
        .expect("a change");
    assert_eq!(
        first.request.unwrap_or_default().name,
        other.name,
        "only one's own"
    );
    let idle = connect(&place, &server, "acme/idle").await;
    let refused = heard(idle.rights.clone().watch_requests(request).await);
    assert_eq!(why(refused), "POLICY_DENIED");
}
