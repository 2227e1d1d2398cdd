//! A person's request, from the first word to the certificate: who may decide,
//! by when, and what is left of it once they are forgotten.

use crate::caller::{Answer, Caller, connect, customer, heard, named, record};
use crate::log::Log;
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use oubliette::client::request_id;
use oubliette::pb;

fn asking(id: &str, kind: pb::RequestKind) -> pb::OpenRequestRequest {
    pb::OpenRequestRequest {
        customer: customer(id),
        kind: kind.into(),
        regimes: Vec::new(),
        text: "please, as I said on the telephone".to_owned(),
        request_id: request_id(),
        accuracy_contested: false,
        purposes: Vec::new(),
    }
}

impl Caller {
    async fn ask(&self, asked: pb::OpenRequestRequest) -> Answer<pb::RightsRequest> {
        let opened = heard(self.rights.clone().open_request(asked).await)?;
        Ok(opened.request.unwrap_or_default())
    }

    async fn verify(&self, name: &str, check: pb::IdentityCheck) -> Answer<pb::RightsRequest> {
        let request = pb::VerifyIdentityRequest {
            name: name.to_owned(),
            check: check.into(),
        };
        let verified = heard(self.rights.clone().verify_identity(request).await)?;
        Ok(verified.request.unwrap_or_default())
    }

    async fn approve(&self, name: &str) -> Answer<pb::ApproveRequestResponse> {
        let name = name.to_owned();
        let request = pb::ApproveRequestRequest {
            name,
            person_told_time: None,
        };
        heard(self.rights.clone().approve_request(request).await)
    }

    async fn deny(&self, name: &str, code: &str) -> Answer<pb::RightsRequest> {
        let request = pb::DenyRequestRequest {
            name: name.to_owned(),
            code: code.to_owned(),
            text: "the tax law wants it kept".to_owned(),
            person_told_time: None,
        };
        let denied = heard(self.rights.clone().deny_request(request).await)?;
        Ok(denied.request.unwrap_or_default())
    }

    async fn look(&self, name: &str) -> Answer<pb::RightsRequest> {
        let name = name.to_owned();
        let request = pb::GetRequestRequest { name };
        let shown = heard(self.rights.clone().get_request(request).await)?;
        Ok(shown.request.unwrap_or_default())
    }

    async fn requests(&self, show_ended: bool, page_size: i32) -> Vec<pb::RightsRequest> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListRequestsRequest {
                page_size,
                page_token,
                show_ended,
            };
            let page = heard(self.rights.clone().list_requests(request).await).expect("listed");
            all.extend(page.requests);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }
}

/// Days from the receipt of a request to the day it is due.
fn days(request: &pb::RightsRequest) -> i64 {
    let day = |date: &Option<pb::Date>| {
        let date = date.unwrap_or_default();
        let (year, month) = (date.year as i16, date.month as i8);
        let date = jiff::civil::date(year, month, date.day as i8);
        i64::from(
            date.since(jiff::civil::date(1970, 1, 1))
                .expect("a span")
                .get_days(),
        )
    };
    day(&request.due_date) - day(&request.receive_date)
}

async fn filled(place: &Place, server: &Server) -> Caller {
    let w = connect(place, server, "acme/w00").await;
    for id in ["somebody-1", "somebody-2"] {
        w.create(id).await.expect("created");
        w.put(&record(id, "a"), named("N")).await.expect("written");
    }
    w
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_asked_for_approved_by_another_and_certified() {
    let place = Place::quick();
    place.configure("four_eyes = false", "four_eyes = true");
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let second = connect(&place, &server, "acme/w01").await;
    let opened = w.ask(asking("somebody-1", pb::RequestKind::Erasure)).await;
    let opened = opened.expect("opened");
    assert_eq!(opened.state(), pb::RequestState::Open);
    assert!((28..=31).contains(&days(&opened)), "a month");
    let name = opened.name.as_str();

    // Not before it is known who asks, and not by who opened it.
    let early = second.approve(name).await.err().expect("refused");
    assert!(early.is("REQUEST_STATE"), "{early}");
    let unsure = w.verify(name, pb::IdentityCheck::MoreNeeded).await;
    assert_eq!(
        unsure.expect("noted").state(),
        pb::RequestState::NeedsVerification
    );
    let sure = w.verify(name, pb::IdentityCheck::KnownContact).await;
    assert_eq!(sure.expect("noted").state(), pb::RequestState::InProgress);
    let same = w.approve(name).await.err().expect("refused");
    assert!(same.is("SECOND_PERSON_NEEDED"), "{same}");
    let read = w.get(&record("somebody-1", "a")).await;
    assert!(
        read.is_err_and(|f| f.is("RESTRICTED")),
        "and no more was done"
    );

    let mut log = Log::of(&place);
    log.skip();
    let approved = second.approve(name).await.expect("approved");
    let request = approved.request.expect("the request");
    assert_eq!(request.state(), pb::RequestState::Fulfilled);
    let certificate = approved.certificate.expect("a certificate");
    crate::certificate::held(&place, &certificate);
    let gone = w.get(&record("somebody-1", "a")).await;
    assert!(gone.is_err_and(|f| f.is("CUSTOMER_ERASED")));
    let told: Vec<String> = log
        .at_least(5)
        .await
        .iter()
        .map(|l| l.verdict.clone())
        .collect();
    let of_call = ["allowed", "allowed", "intended", "shredded", "allowed"];
    assert!(
        of_call
            .iter()
            .all(|verdict| told.iter().any(|t| t == verdict)),
        "{told:?}"
    );

    // What is left says what was asked and what became of it, and of nobody.
    until("it is purged", async || {
        let shown = w.show("somebody-1").await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
    let left = w.look(name).await.expect("shown");
    assert_eq!(
        (left.kind(), left.state()),
        (pb::RequestKind::Erasure, pb::RequestState::Fulfilled)
    );
    assert!(left.customer.is_empty() && left.text.is_empty() && left.steps.is_empty());
    let again = second.approve(name).await.err().expect("refused");
    assert!(again.is("REQUEST_STATE"), "{again}");
    server.stop();
    let mut needles = Needles::default();
    needles.add_text("please, as I said on the telephone");
    needles.add_text("somebody-1");
    let (found, _) = needles.in_dir(&place.data());
    assert!(found.is_empty(), "{found:?}");
    let whose = "SELECT sum(customer) FROM rights";
    let whose: i64 = place
        .vault()
        .query_row(whose, [], |row| row.get(0))
        .expect("a sum");
    assert_eq!(whose, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_listed_by_the_day_they_are_due_and_only_to_their_tenant() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let other = connect(&place, &server, "globex/w00").await;
    let open = async |regimes: &[pb::Regime]| {
        let asked = pb::OpenRequestRequest {
            regimes: regimes.iter().map(|one| i32::from(*one)).collect(),
            ..asking("somebody-2", pb::RequestKind::Access)
        };
        w.ask(asked).await.expect("opened")
    };
    let ccpa = open(&[pb::Regime::Ccpa]).await;
    let all = open(&[pb::Regime::Gdpr, pb::Regime::Lgpd, pb::Regime::Pipl]).await;
    let gdpr = open(&[]).await;
    assert_eq!((days(&ccpa), days(&all)), (45, 15));
    assert_eq!(all.regimes.len(), 3);
    let names = |requests: &[pb::RightsRequest]| -> Vec<String> {
        requests
            .iter()
            .map(|request| request.name.clone())
            .collect()
    };
    let expected = [&all, &gdpr, &ccpa].map(|request| request.name.clone());
    for size in [0, 1, 2] {
        assert_eq!(
            names(&w.requests(false, size).await),
            expected,
            "pages of {size}"
        );
    }
    assert_eq!(other.requests(true, 0).await.len(), 0);
    let foreign = other.look(&all.name).await;
    assert!(foreign.is_err_and(|f| f.is("REQUEST_NOT_FOUND")));

    let nameless = w.deny(&all.name, "because").await;
    assert!(nameless.is_err_and(|f| f.is("INVALID_REQUEST")));
    let denied = w.deny(&all.name, "eu-gdpr:A17-3-b").await.expect("denied");
    assert_eq!(denied.state(), pb::RequestState::Denied);
    assert_eq!(denied.denial_code, "eu-gdpr:A17-3-b");
    assert_eq!(names(&w.requests(false, 0).await), expected[1..]);
    assert_eq!(w.requests(true, 0).await.len(), 3);

    let longer = pb::ExtendRequestRequest {
        name: ccpa.name.clone(),
        text: "there are many requests".to_owned(),
    };
    let extended = heard(w.rights.clone().extend_request(longer.clone()).await);
    let extended = extended.expect("extended").request.unwrap_or_default();
    assert_eq!((days(&extended), extended.extended), (90, true));
    let twice = heard(w.rights.clone().extend_request(longer).await);
    assert!(twice.is_err_and(|f| f.is("REQUEST_STATE")));
    let name = gdpr.name.clone();
    let revoked = pb::RevokeRequestRequest { name };
    let revoked = heard(w.rights.clone().revoke_request(revoked).await).expect("revoked");
    assert_eq!(
        revoked.request.unwrap_or_default().state(),
        pb::RequestState::Revoked
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_twice_is_one_and_each_step_is_written_down() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let idle = connect(&place, &server, "acme/idle").await;
    let mut log = Log::of(&place);
    log.skip();
    let asked = asking("somebody-1", pb::RequestKind::Rectification);
    let opened = w.ask(asked.clone()).await.expect("opened");
    let again = w.ask(asked.clone()).await.expect("the same");
    assert_eq!(
        (&again.name, again.customer.as_str()),
        (&opened.name, "customers/somebody-1")
    );
    let other = pb::OpenRequestRequest {
        text: "something else".to_owned(),
        ..asked
    };
    assert!(w.ask(other).await.is_err_and(|f| f.is("REQUEST_ID_REUSED")));
    let nobody = w.ask(asking("nobody-there", pb::RequestKind::Access)).await;
    assert!(nobody.is_err_and(|f| f.is("CUSTOMER_NOT_FOUND")));
    let vague = w
        .ask(asking("somebody-1", pb::RequestKind::Unspecified))
        .await;
    assert!(vague.is_err_and(|f| f.is("INVALID_REQUEST")));
    let refused = idle
        .ask(asking("somebody-1", pb::RequestKind::Access))
        .await;
    assert!(refused.is_err_and(|f| f.is("POLICY_DENIED")));
    let sure = w
        .verify(&opened.name, pb::IdentityCheck::SignedIn)
        .await
        .expect("sure");
    let steps: Vec<(&str, &str)> = sure
        .steps
        .iter()
        .map(|step| (step.what.as_str(), step.text.as_str()))
        .collect();
    assert_eq!(steps, [("open", ""), ("verify", "signed in")]);
    w.approve(&opened.name).await.expect("approved");
    let name = opened.name.clone();
    let fulfil = pb::FulfilRequestRequest { name };
    let done = heard(w.rights.clone().fulfil_request(fulfil).await).expect("done");
    assert_eq!(
        done.request.unwrap_or_default().state(),
        pb::RequestState::Fulfilled
    );
    assert_eq!(w.look(&opened.name).await.expect("shown").steps.len(), 4);
    let told: Vec<(String, String)> = log
        .new_leaves()
        .iter()
        .map(|leaf| {
            (
                leaf.method.clone(),
                format!("{}{}", leaf.verdict, leaf.reason),
            )
        })
        .collect();
    let expected = [
        ("OpenRequest", "allowed"),
        ("OpenRequest", "allowed"),
        ("OpenRequest", "failedREQUEST_ID_REUSED"),
        ("OpenRequest", "failedCUSTOMER_NOT_FOUND"),
        ("OpenRequest", "failedINVALID_REQUEST"),
        ("OpenRequest", "deniedPOLICY_DENIED"),
        ("VerifyIdentity", "allowed"),
        ("ApproveRequest", "allowed"),
        ("FulfilRequest", "allowed"),
        ("GetRequest", "allowed"),
    ];
    let expected = expected.map(|(method, how)| (method.to_owned(), how.to_owned()));
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_row_was_changed_is_not_believed() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let opened = w.ask(asking("somebody-1", pb::RequestKind::Access)).await;
    let opened = opened.expect("opened");
    let other = w.ask(asking("somebody-2", pb::RequestKind::Access)).await;
    other.expect("opened");
    for change in [
        "state = 4",
        "due_day = due_day + 300",
        "kind = 6",
        "revision = 7",
        "customer = 2",
        "sealed = (SELECT sealed FROM rights WHERE customer = 2)",
    ] {
        let before: Vec<u8> = serial(&place);
        let sql = format!("UPDATE rights SET {change} WHERE customer = 1");
        assert_eq!(place.vault().execute(&sql, []), Ok(1), "{change}");
        let shown = w.look(&opened.name).await;
        assert!(shown.is_err_and(|f| f.is("DATA_LOSS")), "{change}");
        put_back(&place, &opened.name, &before);
        assert!(w.look(&opened.name).await.is_ok());
    }
}

const ROW: &str = "kind, state, due_day, revision, hex(sealed)";

fn serial(place: &Place) -> Vec<u8> {
    let sql = format!("SELECT concat_ws(',', {ROW}) FROM rights WHERE customer = 1");
    let text: String = place
        .vault()
        .query_row(&sql, [], |row| row.get(0))
        .expect("a row");
    text.into_bytes()
}

fn put_back(place: &Place, name: &str, row: &[u8]) {
    let text = String::from_utf8(row.to_vec()).expect("text");
    let parts: Vec<&str> = text.split(',').collect();
    let digits = name.strip_prefix("requests/").expect("a name");
    let number = i64::from_str_radix(digits, 16).expect("a number");
    let sql = "UPDATE rights SET customer = 1, kind = ?2, state = ?3, due_day = ?4, revision = ?5,
               sealed = unhex(?6) WHERE number = ?1";
    let whole = |at: usize| parts[at].parse::<i64>().expect("a number");
    let params = rusqlite::params![number, whole(0), whole(1), whole(2), whole(3), parts[4]];
    assert_eq!(place.vault().execute(sql, params), Ok(1));
}
