//! What is declared is held against what was done, and what is told of it comes
//! from there.

use crate::caller::{Answer, Caller, connect, customer, heard};
use crate::consent::{OFFERS, with_card, yes};
use crate::fails_closed::not_run;
use crate::log::Log;
use crate::place::{Place, Server, until};
use crate::retention;
use oubliette::client::request_id;
use oubliette::pb;
use pb::review_service_client::ReviewServiceClient;
use serde_json::Value as Json;
use std::io::Write;
use std::process::{Command, Stdio};
use tonic::transport::Channel;

impl Caller {
    /// ReviewService.
    pub fn review(&self) -> ReviewServiceClient<Channel> {
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
    let may = |purpose: &str, field: &str| {
        let mut uses = seen.uses.iter();
        let one = uses.find(|one| one.purpose == purpose && one.field == field);
        one.map(|one| (one.form.as_str(), one.calls))
    };
    assert_eq!(may(OFFERS, "card.email"), Some(("raw", 3)));
    assert_eq!(may("care", "memo.text"), Some(("raw", 0)));
    assert_eq!(may("brief", "card.born"), Some(("derived:age_band", 0)));
    assert_eq!(may(OFFERS, "card.name"), None);
    let said = seen
        .consents
        .iter()
        .map(|day| (&*day.purpose, day.given, day.ended));
    assert_eq!(said.collect::<Vec<_>>(), [(OFFERS, 1, 0)]);
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

/// A consent to offers that runs out in so many days.
fn for_days(id: &str, days: i64) -> pb::RecordConsentRequest {
    let now = oubliette::clock::Instant::now().micros();
    let day = oubliette::clock::Instant::from_micros(now + days * 86_400_000_000).day();
    let (year, month, day) = day.civil();
    pb::RecordConsentRequest {
        expire_date: Some(pb::Date { year, month, day }),
        ..yes(id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_customers_late_records_and_consents_that_run_out_are_counted() {
    use pb::FindingKind::{ConsentsAboutToExpire, CustomersIdle, RetentionOverdue};
    let place = retention::place();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    // Customers 1, 2 and 3.
    for id in ["a", "b", "c"] {
        with_card(&w, id).await;
    }
    let other = connect(&place, &server, "globex/w00").await;
    with_card(&other, "a").await;
    other.answer(for_days("a", 5)).await.expect("on record");
    w.leave("a", &["active", "kept"], 0).await.expect("written");
    w.answer(for_days("b", 10)).await.expect("on record");
    w.answer(for_days("c", 40)).await.expect("on record");
    let ask = pb::OpenRequestRequest {
        customer: customer("a"),
        kind: pb::RequestKind::Access.into(),
        request_id: request_id(),
        ..Default::default()
    };
    heard(w.rights.clone().open_request(ask).await).expect("open");
    let counted = async |w: &Caller, days: i32| {
        let request = pb::GetReviewRequest { days };
        let seen = heard(w.review().get_review(request).await).expect("a review");
        let kinds = [CustomersIdle, RetentionOverdue, ConsentsAboutToExpire];
        kinds.map(|kind| {
            let mut all = seen.findings.iter();
            let found = all.find(|finding| finding.kind() == kind);
            assert!(found.is_none_or(|finding| !finding.action.is_empty()));
            found.map(|finding| (finding.count, finding.subject.clone()))
        })
    };
    let soon = Some((1, "customers".to_owned()));
    assert_eq!(counted(&w, 90).await, [None, None, soon.clone()]);
    server.stop();
    let db = place.vault();
    let older = "UPDATE customers SET created_day = created_day - 100";
    db.execute(older, []).expect("older");
    let idle = "UPDATE writes SET day = day - 100 WHERE place >> 24 = 3";
    db.execute(idle, []).expect("older");
    // What is kept of the first is over, and kept as evidence of the request.
    retention::age(&db, "1", 40);
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    until("it waits", async || w.keeping().await.waiting == 1).await;
    let idle = |count: i64| Some((count, "of 3 customers".to_owned()));
    let late = Some((1, "records".to_owned()));
    let at = [idle(1), late.clone(), soon.clone()];
    assert_eq!(counted(&w, 90).await, at);
    assert_eq!(counted(&w, 30).await, [idle(2), late, soon]);
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
        tilt: false,
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

/// What the language's own binding reads of the notices; `None` where there is
/// no Python for it.
fn read_by_python(documents: &[Json]) -> Option<String> {
    let Some(python) = std::env::var_os("OUBLIETTE_TEST_PYTHON") else {
        not_run(
            "TILT in Python",
            "OUBLIETTE_TEST_PYTHON names no Python with tilt",
        );
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tilt_notice.py");
    let mut run = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut into = run.stdin.take().expect("its input");
    let all = Json::from(documents.to_vec()).to_string();
    into.write_all(all.as_bytes()).expect("written");
    drop(into);
    let output = run.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const CONTROLLER: &str = r#"[controllers.acme]
name = "Acme Ltd"
address = "1 Example Street, 10115 Berlin"
country = "DE"
representative = "Ada Example"
email = "privacy@acme.example"
url = "https://acme.example/privacy"
officer = "Bo Example"
officer_email = "officer@acme.example"
authority = "Commissioner for Data Protection"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_is_told_to_programs_as_the_version_of_it_tells_it() {
    let place = Place::quick();
    let file = place.config_file("catalog/catalog.toml");
    let catalog = std::fs::read_to_string(&file).expect("a catalog");
    std::fs::write(&file, catalog + CONTROLLER).expect("written");
    let newer = place.config_file("catalog/notices/offers.toml");
    let text = std::fs::read_to_string(&newer).expect("a notice");
    let text = text.replace("material = true", "published = 2026-02-01");
    std::fs::write(&newer, text).expect("written");
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let other = connect(&place, &server, "globex/w00").await;
    let ask = |purpose: &str, version: i32| pb::GetNoticeRequest {
        purpose: purpose.to_owned(),
        language: String::new(),
        version,
        tilt: true,
    };
    let documents = async |w: &Caller, purpose: &str, version: i32| {
        let reply = heard(w.review().get_notice(ask(purpose, version)).await)?;
        let texts = reply.texts.iter();
        let parsed = |text: &pb::NoticeText| serde_json::from_str(&text.tilt).expect("JSON");
        Answer::Ok(texts.map(parsed).collect::<Vec<Json>>())
    };
    let old = documents(&w, OFFERS, 1).await.expect("told");
    assert_eq!(old.len(), 2, "in both languages");
    assert_eq!(old[0]["meta"]["language"], "de");
    assert_eq!(old[0]["meta"]["status"], "inactive", "there is a newer one");
    assert_eq!(old[0]["meta"]["created"], "2026-01-01");
    let item = &old[0]["dataDisclosed"][0];
    assert_eq!(item["_id"], "card.email (raw)");
    assert_eq!(
        item["purposes"][0]["description"],
        "Wir mailen dir Angebote."
    );
    assert_eq!(item["legalBases"][0]["reference"], "GDPR-6-1-a");
    assert_eq!(old[0]["rightToWithdrawConsent"]["available"], true);
    assert_eq!(old[1]["dataDisclosed"].as_array().map(Vec::len), Some(1));
    let new = documents(&w, OFFERS, 0).await.expect("told");
    assert_eq!(new[0]["meta"]["status"], "active");
    assert_eq!(new[0]["dataDisclosed"].as_array().map(Vec::len), Some(2));
    let help = documents(&w, "help", 1).await.expect("told");
    let health = help[0]["dataDisclosed"].as_array().expect("items");
    let health = health
        .iter()
        .find(|item| item["_id"] == "memo.health (raw)");
    let health = health.expect("health");
    assert_eq!(health["legalBases"][1]["reference"], "GDPR-9-2-a");
    let all = [old, new, help].concat();
    if let Some(said) = read_by_python(&all) {
        assert_eq!(said.trim(), "4 documents read");
    }
    let nobody = documents(&other, OFFERS, 1).await.expect_err("refused");
    assert_eq!(
        nobody.violations[0].field, "tilt",
        "who answers is not said"
    );
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
    assert_eq!(dom.matches("<svg").count(), 5, "five plots");
    assert!(
        dom.contains("care may see memo.text (raw): 0 reads"),
        "an empty box"
    );
    assert!(dom.contains("1 yes to offers"));
    assert!(dom.matches("<rect").count() > 10 && dom.contains("memo.text"));
    let rows = dom.matches("<tr>").count();
    assert!(rows > 5 && dom.trim_end().ends_with("</html>"));
}
