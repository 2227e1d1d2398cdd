//! What is told of an erasure in part: by the request that asked for it, by the
//! certificate, and of whoever demands what is held.

use crate::caller::{Answer, Caller, connect, customer, heard, name_on, record};
use crate::certificate::held;
use crate::deciding::asking;
use crate::faulty::{Act, Director, Step, open};
use crate::in_part::{NINE, sides, ten, told};
use crate::place::{Place, Server, until};
use crate::restraint::why;
use oubliette::client::request_id;
use oubliette::error::{Error, Unavailable};
use oubliette::pb;
use oubliette::vault::certificate::document::Reached;

async fn request_now(w: &Caller, name: &str) -> Answer<pb::GetRequestResponse> {
    let name = name.to_owned();
    heard(
        w.rights
            .clone()
            .get_request(pb::GetRequestRequest { name })
            .await,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_says_what_is_erased_and_leads_to_its_certificate() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    ten(&w, "a").await;
    let hold = w.hold("a", "card", "name").await.expect("held");
    let asked = w.asks(asking("a", pb::RequestKind::Erasure)).await;
    let asked = asked.expect("opened").name;
    let approved = w.approves(&asked, None).await.expect("approved");
    let request = approved.request.unwrap_or_default();
    assert_eq!(request.state(), pb::RequestState::Executing);
    assert!(request.queued && request.erased_in_part);
    let first = approved.certificate.expect("a certificate");
    assert_eq!(sides(&held(&place, &first).certificate).0, NINE);
    let found = request_now(&w, &asked).await.expect("shown");
    assert_eq!(found.certificate.expect("a certificate").name, first.name);
    let revoke = pb::RevokeRequestRequest {
        name: asked.clone(),
    };
    let revoked = heard(w.rights.clone().revoke_request(revoke).await);
    assert_eq!(why(revoked), "REQUEST_STATE", "it has begun");

    assert!(w.release(&hold).await.expect("released"), "and erased");
    until("it is fulfilled", async || {
        let found = request_now(&w, &asked).await.expect("shown");
        found.request.unwrap_or_default().state() == pb::RequestState::Fulfilled
    })
    .await;
    let found = request_now(&w, &asked).await.expect("shown");
    let found = found.certificate.expect("a certificate");
    assert_eq!(found.name, first.name);
    let told = held(&place, &found);
    assert!(told.opening.is_none(), "it names nobody");
    assert!(told.certificate.level >= Reached::Shredded);
    // Nobody who may not get certificates gets one here.
    w.close_to_the_end().await;
    let after = request_now(&w, &asked).await.expect("shown");
    assert!(after.certificate.is_none(), "by its own name only");
    assert!(w.certificate(&first.name, "").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_nobody_waited_for_has_a_certificate() {
    let unwritten = || Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown));
    for step in [Step::Shred, Step::RecordShred, Step::Certificate] {
        let (place, director) = (Place::quick(), Director::new());
        let server = Server::over(&place, open(&director));
        let w = connect(&place, &server, "acme/w00").await;
        ten(&w, "a").await;
        let asked = w.asks(asking("a", pb::RequestKind::Erasure)).await;
        let asked = asked.expect("opened").name;
        director.say(move |at| if at == step { unwritten() } else { Act::Go });
        let cut = w.approves(&asked, None).await;
        let certified = cut.is_ok_and(|reply| reply.certificate.is_some());
        assert!(!certified, "{step:?}");
        drop(w);
        server.stop();
        let server = Server::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        // Found by the request, although nobody knows the customer any more.
        let found = request_now(&w, &asked).await.expect("shown");
        let request = found.request.unwrap_or_default();
        assert!(request.customer.is_empty());
        let by_request = found.certificate.expect("a certificate");
        let certificate = held(&place, &by_request).certificate;
        assert!(
            certificate.issue >= 1 && certificate.records.purged == 2,
            "{step:?}"
        );
        // And by the customer's id.
        let by_id = w.erase("a").await.expect("again");
        assert_eq!(by_id.certificate.expect("one").name, by_request.name);
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_names_the_law_that_it_is_placed_by() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    ten(&w, "a").await;
    let asked = |code: &str| pb::PlaceHoldRequest {
        customer: customer("a"),
        record_type: "card".to_owned(),
        authority: "the tax office".to_owned(),
        reason: "ten years".to_owned(),
        reviewers: vec!["legal".to_owned()],
        review_date: Some(pb::Date {
            year: 2090,
            month: 1,
            day: 1,
        }),
        request_id: request_id(),
        code: code.to_owned(),
        ..Default::default()
    };
    let wrong = heard(w.holds.clone().place_hold(asked("because")).await);
    assert_eq!(why(wrong), "INVALID_REQUEST");
    let placed = heard(w.holds.clone().place_hold(asked("eu-gdpr:A17-3-b")).await);
    let placed = placed.expect("held").hold.unwrap_or_default();
    assert_eq!(placed.code, "eu-gdpr:A17-3-b");
    let reply = w.erase("a").await.expect("erased in part");
    let certified = told(&place, &reply);
    assert_eq!(
        sides(&certified),
        (vec!["memo".to_owned()], vec!["card".to_owned()])
    );
    let one = &certified.exceptions[0];
    assert_eq!(one.code, "eu-gdpr:A17-3-b");
    assert_eq!(one.authority.as_deref(), Some("the tax office"));
    assert!(
        !certified
            .exceptions
            .iter()
            .any(|one| one.what.contains("ten years"))
    );
    let shown = w.get(&record("a", "a")).await;
    assert!(shown.as_ref().map(|card| name_on(card)).is_err());
}
