//! What is declared is held against what was done, and what is told of it comes
//! from there.

use crate::caller::{Caller, connect, heard};
use crate::consent::{OFFERS, with_card, yes};
use crate::fails_closed::not_run;
use crate::log::Log;
use crate::place::{Place, Server};
use oubliette::pb;
use pb::review_service_client::ReviewServiceClient;
use serde_json::Value as Json;
use std::process::{Command, Stdio};
use tonic::transport::Channel;

impl Caller {
    fn review(&self) -> ReviewServiceClient<Channel> {
        ReviewServiceClient::new(self.channel.clone())
    }
}

fn has(seen: &pb::GetReviewResponse, kind: pb::FindingKind, subject: &str) -> bool {
    let mut all = seen.findings.iter();
    all.any(|finding| finding.kind() == kind && finding.subject == subject)
}

async fn story(w: &Caller) {
    with_card(w, "a").await;
    w.answer(yes("a")).await.expect("on record");
    for _ in 0..3 {
        w.read_for("a", OFFERS).await.expect("read");
    }
    w.read_for("a", "care").await.expect("read");
    assert!(w.read_for("a", "ended").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_names_what_nobody_reads_and_what_to_do_about_it() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    story(&w).await;
    let mut log = Log::of(&place);
    log.skip();
    let request = pb::GetReviewRequest { days: 0 };
    let seen = heard(w.review().get_review(request).await).expect("a review");
    assert_eq!(log.new_leaves().len(), 1);
    use pb::FindingKind::*;
    assert!(has(&seen, FieldNeverRead, "memo.text"));
    assert!(!has(&seen, FieldNeverRead, "card.email"));
    assert!(has(&seen, PurposeWiderThanUse, "care: memo.text"));
    assert!(!has(&seen, PurposeWiderThanUse, "offers: card.email"));
    assert!(has(&seen, RawWhereLessMightDo, "offers: card.email"));
    assert!(!has(&seen, RawWhereLessMightDo, "care: card.email"));
    assert!(has(&seen, GrantNeverUsed, "acme/w01: offers"));
    assert!(!has(&seen, GrantNeverUsed, "acme/w00: offers"));
    assert!(!seen.findings.iter().any(|f| f.subject.contains("globex")));
    assert!(has(&seen, BasisGone, "ended"));
    assert!(seen.findings.iter().all(|f| !f.action.is_empty()));
    let offers = seen.purposes.iter().find(|p| p.name == OFFERS);
    assert_eq!(offers.map(|p| p.calls), Some(3), "a call counts once");

    let plan = |field: &str| pb::PlanFieldDropRequest {
        record_type: "card".to_owned(),
        field: field.to_owned(),
        days: 1,
    };
    let planned = heard(w.review().plan_field_drop(plan("email")).await).expect("a plan");
    assert_eq!((planned.reads, planned.opened), (4, 4));
    let by: Vec<_> = planned
        .purposes
        .iter()
        .map(|p| (&*p.name, p.calls))
        .collect();
    assert_eq!(by, [("care", 1), (OFFERS, 3)]);
    let planned = heard(w.review().plan_field_drop(plan("name")).await).expect("a plan");
    assert_eq!(planned.opened, 1, "offers never sees a name");
    let wrong = w.review().plan_field_drop(plan("shoe_size")).await;
    assert_eq!(heard(wrong).expect_err("no").violations[0].field, "field");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_processing_shows_what_is_declared_and_what_was_done() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    story(&w).await;
    let request = pb::GetProcessingRecordRequest { days: 7 };
    let reply = heard(w.review().get_processing_record(request).await).expect("a record");
    let record: Json = serde_json::from_str(&reply.document).expect("JSON");
    assert_eq!(record["tenant"], "acme");
    let activities = record["activities"].as_array().expect("activities");
    let activity = |name: &str| {
        let found = activities.iter().find(|one| one["purpose"] == name);
        found.expect("an activity").clone()
    };
    let offers = activity(OFFERS);
    assert_eq!(offers["declared"]["basis"], "consent");
    assert_eq!(offers["declared"]["categories"][0], "user.contact.email");
    assert_eq!(offers["observed"]["fields"]["card.email"], 3);
    assert_eq!(offers["observed"]["services"]["acme/w00"], 3);
    assert_eq!(
        offers["difference"]["fields_never_read"],
        serde_json::json!([])
    );
    let care = activity("care");
    let unread = care["difference"]["fields_never_read"].to_string();
    assert!(unread.contains("memo.text"), "{unread}");
    let idle = care["difference"]["services_that_never_read"].to_string();
    assert!(
        idle.contains("acme/reader") && !idle.contains("acme/w00"),
        "{idle}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_is_shown_in_each_language_and_every_version_of_it() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let ask = |version: i32, language: &str| pb::GetNoticeRequest {
        purpose: OFFERS.to_owned(),
        language: language.to_owned(),
        version,
    };
    let newest = heard(w.review().get_notice(ask(0, "de")).await).expect("a notice");
    assert_eq!((newest.version, newest.texts.len()), (1, 1));
    assert_eq!(newest.texts[0].text, "Wir mailen dir Angebote.");
    assert_eq!(newest.versions, [1, 2]);
    let given = yes("a");
    w.create("a").await.expect("created");
    w.answer(given).await.expect("on record");
    let draft = heard(w.review().get_notice(ask(2, "")).await).expect("a draft");
    assert!(draft.publish_date.is_none() && draft.material);
    let tells: Json = serde_json::from_str(&draft.tells).expect("JSON");
    assert_eq!(tells["fields"]["card.name"]["form"], "raw");
    for (request, why) in [
        (ask(0, "fr"), "INVALID_REQUEST"),
        (ask(9, ""), "NOTICE_NOT_FOUND"),
        (ask(-1, ""), "INVALID_REQUEST"),
    ] {
        let refused = heard(w.review().get_notice(request).await);
        assert_eq!(refused.err().expect("refused").reason, why);
    }
}

/// The page, drawn by Debian's headless Chromium.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_review_is_drawn_with_its_plots() {
    let version = Command::new("chromium").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        let why = "Debian's chromium is not installed: apt-get install chromium";
        return not_run("the review's page in Chromium", why);
    }
    let place = Place::quick();
    let server = crate::process::Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    story(&w).await;
    let page = place.path().with_extension("html");
    let made = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(["review", "--as", "acme/w00", "--html"])
        .arg(&page)
        .arg("--dir")
        .arg(place.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{said}");
    let shown = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(shown.contains("field that nobody reads"), "{shown}");
    let profile = tempfile::tempdir().expect("a directory");
    let drawn = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox"])
        .args(["--disable-gpu", "--no-first-run", "--dump-dom"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("it runs");
    let dom = String::from_utf8(drawn.stdout).expect("text");
    assert_eq!(dom.matches("<svg").count(), 3, "three plots");
    assert!(dom.matches("<rect").count() > 10 && dom.contains("memo.text"));
    let rows = dom.matches("<tr>").count();
    assert!(rows > 5 && dom.trim_end().ends_with("</html>"));
}
