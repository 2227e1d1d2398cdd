//! What is past its time cannot be read from that day on, and is deleted soon
//! after, at a cost that follows what has come due.

use crate::caller::{Answer, Caller, Fields, connect, customer, fields, heard, record, text};
use crate::consent::with_card;
use crate::log::Log;
use crate::place::{Place, Server, until};
use oubliette::client::request_id;
use oubliette::pb;
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// A type whose fields are kept in every way there is.
const TRAIL: &str = r#"number = 3
version = 1
title = "A trail"
[fields.active]
number = 1
kind = "string"
classification = "user.content"
max_bytes = 100
retention_days = 30
[fields.collected]
number = 2
kind = "string"
classification = "user.content"
max_bytes = 100
retention = "since_collection"
retention_days = 30
[fields.needed]
number = 3
kind = "string"
classification = "user.content"
max_bytes = 100
retention = "until_purpose_ends"
[fields.past]
number = 4
kind = "string"
classification = "user.content"
max_bytes = 100
keep_until = 2020-01-01
[fields.coming]
number = 5
kind = "string"
classification = "user.content"
max_bytes = 100
keep_until = 2100-01-01
[fields.kept]
number = 6
kind = "string"
classification = "user.content"
max_bytes = 100
"#;

const TIPS: &str = r#"number = 9
title = "Tips"
basis = "consent"
mechanism = "opt_in"
callers = ["worker"]
[grants.trail]
needed = "raw"
"#;

const TIPS_NOTICE: &str = r#"[versions.1]
published = 2026-01-01
[versions.1.text]
en = "We send you tips."
[versions.1.tells]
basis = "consent"
mechanism = "opt_in"
callers = ["worker"]
[versions.1.tells.grants.trail]
needed = "raw"
"#;

/// Looks at everything and justifies nothing.
const LOOK: &str = r#"number = 8
title = "Looking"
basis = "contract"
mechanism = "notice_only"
collects = false
callers = ["worker"]
[grants.trail]
active = "raw"
collected = "raw"
needed = "raw"
past = "raw"
coming = "raw"
kept = "raw"
"#;

/// A vault with trails.
pub fn place() -> Place {
    let place = Place::quick();
    let file = |name: &str, text: &str| {
        let path = place.config_file("catalog").join(name);
        fs::write(path, text).expect("written");
    };
    file("types/trail.toml", TRAIL);
    file("purposes/tips.toml", TIPS);
    file("notices/tips.toml", TIPS_NOTICE);
    file("purposes/look.toml", LOOK);
    let care = place.config_file("catalog/purposes/care.toml");
    let grants = "[grants.trail]\nactive = \"raw\"\ncollected = \"raw\"\npast = \"raw\"\n\
                  coming = \"raw\"\nkept = \"raw\"\n";
    let text = fs::read_to_string(&care).expect("a purpose");
    fs::write(care, format!("{text}{grants}")).expect("written");
    place
}

fn ago(days: i64) -> Option<prost_types::Timestamp> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    let seconds = i64::try_from(now.as_secs()).expect("small") - days * DAY;
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

impl Caller {
    /// Writes fields of a trail, collected so many days ago.
    pub async fn leave(&self, id: &str, names: &[&str], collected: i64) -> Answer<i64> {
        let fields = names.iter().map(|name| ((*name).to_owned(), text("x")));
        self.put_as(pb::PutRecordRequest {
            name: record(id, "t"),
            record_type: "trail".to_owned(),
            fields: fields.collect::<HashMap<_, _>>(),
            request_id: request_id(),
            collect_time: ago(collected),
            source: "a form".to_owned(),
            ..Default::default()
        })
        .await
    }

    /// The fields of a trail that can be read.
    async fn trail(&self, id: &str) -> Answer<Vec<String>> {
        let request = pb::GetRecordRequest {
            name: record(id, "t"),
            record_type: "trail".to_owned(),
            purpose: "look".to_owned(),
            ..Default::default()
        };
        let read = heard(self.records.clone().get_record(request).await)?;
        let late = read.record.clone().unwrap_or_default().withheld;
        assert!(
            late.iter().all(|w| w.reason == "RETENTION_OVER"),
            "{late:?}"
        );
        let read: Fields = fields(read.record);
        Ok(read.into_keys().collect())
    }

    /// What is kept and swept.
    pub async fn keeping(&self) -> pb::GetRetentionStatusResponse {
        let mut retention =
            pb::retention_service_client::RetentionServiceClient::new(self.channel.clone());
        let request = pb::GetRetentionStatusRequest {};
        heard(retention.get_retention_status(request).await).expect("a status")
    }
}

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).expect("a count")
}

/// Lets records of a customer be so many days older.
pub fn age(db: &Connection, customers: &str, days: i64) {
    for sql in [
        format!(
            "UPDATE records SET created_day = created_day - {days},
                    updated_day = updated_day - {days}
             WHERE type = 3 AND place >> 24 IN ({customers})"
        ),
        format!("UPDATE writes SET day = day - {days} WHERE place >> 24 IN ({customers})"),
        "DELETE FROM swept".to_owned(),
    ] {
        db.execute(&sql, []).expect("older");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_keeping_ends_on_its_day_and_cannot_be_read_from_then_on() {
    let place = place();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        w.create(id).await.expect("created");
    }
    let refused = w.leave("a", &["needed"], 0).await.expect_err("no yes");
    assert_eq!(refused.reason, "NO_LIVE_PURPOSE");
    for id in ["a", "b"] {
        let yes = pb::RecordConsentRequest {
            purpose: "tips".to_owned(),
            ..crate::consent::yes(id)
        };
        w.answer(yes).await.expect("on record");
    }
    let past = w.leave("a", &["past"], 0).await.expect_err("refused");
    assert_eq!(past.reason, "RETENTION_OVER");
    let all = ["active", "collected", "needed", "coming", "kept"];
    w.leave("a", &all, 29).await.expect("written");
    w.leave("b", &all, 30).await.expect("written");
    assert_eq!(
        w.trail("a").await.expect("read"),
        ["active", "collected", "coming", "kept", "needed"]
    );
    assert_eq!(
        w.trail("b").await.expect("read"),
        ["active", "coming", "kept", "needed"],
        "collected thirty days ago"
    );
    w.withdraw("b", "tips").await.expect("taken back");
    let read = w.trail("b").await.expect("read");
    assert_eq!(read, ["active", "coming", "kept"], "at once");
    age(&place.vault(), "1", 30);
    let read = w.trail("a").await.expect("read");
    assert_eq!(read, ["collected", "coming", "kept", "needed"]);
    let future = w.leave("a", &["kept"], -2).await.expect_err("refused");
    assert_eq!(future.violations[0].field, "collect_time");

    // What was kept for a consent is swept when that is taken back.
    until("it is swept", async || {
        let ends = "SELECT count(*) FROM consent_ends";
        count(&place.vault(), ends) == 0
    })
    .await;
    let again = pb::RecordConsentRequest {
        purpose: "tips".to_owned(),
        ..crate::consent::yes("b")
    };
    w.answer(again).await.expect("on record");
    let read = w.trail("b").await.expect("read");
    assert!(!read.contains(&"needed".to_owned()), "it is gone: {read:?}");

    // A day in the catalog comes.
    server.stop();
    let file = place.config_file("catalog/types/trail.toml");
    let text = fs::read_to_string(&file).expect("a type");
    let text = text.replace("keep_until = 2100-01-01", "keep_until = 2026-01-02");
    fs::write(file, text).expect("written");
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    assert_eq!(w.trail("b").await.expect("read"), ["active", "kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_looks_at_what_has_come_due_and_at_nothing_else() {
    const STORED: usize = 200;
    const DUE: usize = 5;
    let place = place();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for number in 0..STORED {
        let id = format!("c{number}");
        w.create(&id).await.expect("created");
        let names: &[&str] = if number == 0 {
            &["active"]
        } else {
            &["active", "kept"]
        };
        w.leave(&id, names, 0).await.expect("written");
    }
    w.trail("c1").await.expect("read");
    server.stop();
    // Numbers of customers begin at 1.
    age(&place.vault(), "1, 2, 3, 4, 5", 40);
    let mut log = Log::of(&place);
    log.skip();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    until("it is swept", async || w.keeping().await.looked > 0).await;
    let status = w.keeping().await;
    println!(
        "{STORED} records stored, {DUE} due: {} looked at, {} fields deleted, {} days late",
        status.looked, status.fields, status.late_days
    );
    assert_eq!(status.looked, DUE as i64);
    assert_eq!(status.fields, DUE as i64);
    assert_eq!((status.late_days, status.waiting), (10, 0));
    let leaves = log.new_leaves().into_iter();
    let swept: Vec<_> = leaves.filter(|leaf| leaf.method == "Sweep").collect();
    assert_eq!(swept.len(), DUE, "one leaf a record");
    let gone = w.trail("c0").await.expect_err("nothing is left of it");
    assert_eq!(gone.reason, "RECORD_NOT_FOUND");
    assert_eq!(w.trail("c1").await.expect("read"), ["kept"]);
    let other = w.trail("c9").await.expect("read");
    assert_eq!(other, ["active", "kept"], "not due");
    let db = place.vault();
    let told = count(
        &db,
        "SELECT count(*) FROM events WHERE recipient = 'acme/w00'",
    );
    assert_eq!(told, 1, "whoever read it is told");
    let left = "SELECT count(*) FROM records WHERE type = 3";
    assert_eq!(count(&db, left), STORED as i64 - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_not_ended_keeps_its_evidence_from_the_sweep() {
    let place = place();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    w.leave("a", &["active", "kept"], 0).await.expect("written");
    let ask = pb::OpenRequestRequest {
        customer: customer("a"),
        kind: pb::RequestKind::Access.into(),
        regimes: Vec::new(),
        text: String::new(),
        request_id: request_id(),
        ..Default::default()
    };
    let opened = heard(w.rights.clone().open_request(ask).await).expect("open");
    server.stop();
    age(&place.vault(), "1", 40);
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    until("it waits", async || w.keeping().await.waiting == 1).await;
    let read = w.trail("a").await.expect("read");
    assert_eq!(read, ["kept"], "unreadable all the same");
    assert_eq!(w.keeping().await.fields, 0);
    let name = opened.request.unwrap_or_default().name;
    let revoke = pb::RevokeRequestRequest { name };
    heard(w.rights.clone().revoke_request(revoke).await).expect("taken back");
    until("it is swept", async || w.keeping().await.fields == 1).await;
    assert_eq!(w.keeping().await.waiting, 0);
}
