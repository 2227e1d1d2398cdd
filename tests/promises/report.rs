//! P9: what a person is told of their data is all of it, and proves itself.

use crate::caller::{Answer, Caller, connect, customer, heard, named, put_request, record, text};
use crate::certificate::{bits, public_key};
use crate::log::{Fact, Log};
use crate::place::{Place, Server, is_long};
use oubliette::client::Failure;
use oubliette::pb;
use oubliette::vault::rights::report::document::{SignedReport, verify};
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

type Files = BTreeMap<String, Vec<u8>>;

impl Caller {
    async fn export(&self, id: &str, kind: pb::ExportKind) -> Answer<Files> {
        let request = pb::ExportCustomerRequest {
            name: customer(id),
            purpose: "care".to_owned(),
            kind: kind.into(),
        };
        let mut parts = heard(self.rights.clone().export_customer(request).await)?;
        let mut files = Files::new();
        loop {
            match parts.message().await {
                Ok(Some(part)) => files.entry(part.file).or_default().extend(part.content),
                Ok(None) => return Ok(files),
                Err(status) => return Err(Failure::from_status(&status)),
            }
        }
    }

    pub async fn report(&self, place: &Place, id: &str) -> SignedReport {
        let files = self
            .export(id, pb::ExportKind::Report)
            .await
            .expect("exported");
        verify(&files["report.json"], &public_key(place)).expect("it holds")
    }
}

async fn filled(place: &Place, server: &Server) -> Caller {
    let w = connect(place, server, "acme/w00").await;
    for id in ["somebody-1", "somebody-2"] {
        w.create(id).await.expect("created");
        for card in ["a", "b"] {
            let name = record(id, card);
            let fields = named(format!("<b>{id}</b> & co"));
            w.put(&name, fields).await.expect("written");
        }
    }
    w
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_and_every_denial_is_in_the_report_and_nobody_elses() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let (reader, idle) = (
        connect(&place, &server, "acme/reader").await,
        connect(&place, &server, "acme/idle").await,
    );
    // Two by name, one batch of both records, one stream over everybody.
    reader.get(&record("somebody-1", "a")).await.expect("read");
    w.get(&record("somebody-1", "b")).await.expect("read");
    let both = [record("somebody-1", "a"), record("somebody-1", "b")];
    reader.batch(&both).await.expect("read");
    w.all().await.expect("streamed");
    reader.get(&record("somebody-2", "a")).await.expect("read");
    assert!(idle.get(&record("somebody-1", "a")).await.is_err());
    w.list("somebody-1").await.expect("listed");

    let signed = w.report(&place, "somebody-1").await;
    let report = &signed.report;
    assert_eq!(
        (report.customer.as_str(), report.tenant.as_str()),
        ("somebody-1", "acme")
    );
    let reads: Vec<(&str, &str, u64)> = report
        .reads
        .iter()
        .map(|one| (one.service.as_str(), one.method.as_str(), one.records))
        .collect();
    assert_eq!(
        reads,
        [
            ("acme/reader", "GetRecord", 1),
            ("acme/w00", "GetRecord", 1),
            ("acme/reader", "BatchGetRecords", 2),
            ("acme/w00", "StreamRecords", 2),
        ]
    );
    let first = &report.reads[0];
    assert_eq!(
        (first.purpose.as_str(), first.record_type.as_str()),
        ("care", "card")
    );
    assert!(
        first.fields.contains(&"name".to_owned()),
        "{:?}",
        first.fields
    );
    assert_eq!(report.denials.len(), 1);
    assert_eq!(report.denials[0].service, "acme/idle");
    assert_eq!(report.denials[0].outcome, "denied: PURPOSE_NOT_GRANTED");
    let others: Vec<&str> = report
        .others
        .iter()
        .map(|one| one.method.as_str())
        .collect();
    assert_eq!(
        others,
        ["CreateCustomer", "PutRecord", "PutRecord", "ListRecords"]
    );
    let counts = report.counts;
    assert_eq!(
        (counts.records, counts.reads, counts.records_read),
        (2, 4, 6)
    );
    let field = &report.records[0].fields[0];
    assert_eq!(
        (field.field.as_str(), field.shown.as_str()),
        ("name", "raw")
    );
    assert_eq!(field.value, "<b>somebody-1</b> & co");
    assert_eq!(
        field.rights,
        [
            "access",
            "rectification",
            "restriction",
            "portability",
            "objection",
            "erasure"
        ]
    );
    assert!(report.purposes.iter().any(|one| one.basis == "consent"));

    // The report is a read itself; the next one says so.
    let next = w.report(&place, "somebody-1").await.report;
    let last = next.reads.last().expect("a read");
    assert_eq!((last.method.as_str(), last.records), ("ExportCustomer", 2));
    assert_eq!(last.record_type, "card", "what left is named");
    // Of every type that leaves, in the entry too.
    let mut log = Log::of(&place);
    log.skip();
    let memo = pb::PutRecordRequest {
        record_type: "memo".to_owned(),
        ..put_request(
            &record("somebody-1", "m"),
            HashMap::from([("text".to_owned(), text("M"))]),
        )
    };
    w.put_as(memo).await.expect("written");
    w.report(&place, "somebody-1").await;
    let facts = log.new_leaves().into_iter().filter_map(|leaf| leaf.fact);
    let left = facts.filter_map(|fact| match fact {
        Fact::Exported { types } => Some(types),
        _ => None,
    });
    let left: Vec<Vec<String>> = left.collect();
    assert_eq!(left, [["card".to_owned(), "memo".to_owned()]]);
    let nobody = w.export("nobody-there", pb::ExportKind::Report).await;
    assert!(nobody.is_err_and(|f| f.is("CUSTOMER_NOT_FOUND")));
    let refused = reader.export("somebody-1", pb::ExportKind::Report).await;
    assert!(refused.is_err_and(|f| f.is("POLICY_DENIED")));
    w.erase("somebody-1").await.expect("erased");
    let gone = w.export("somebody-1", pb::ExportKind::Report).await;
    assert!(gone.is_err_and(|f| f.is("CUSTOMER_ERASED")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_changed_does_not_hold_and_its_page_loads_nothing() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let files = w
        .export("somebody-1", pb::ExportKind::Report)
        .await
        .expect("exported");
    let key = public_key(&place);
    let mut file = files["report.json"].clone();
    let signed = verify(&file, &key).expect("it holds");
    let flips = bits(file.len(), if is_long() { 10_000 } else { 2_000 });
    for bit in &flips {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&file, &key).is_none(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    let page = String::from_utf8(files["report.html"].clone()).expect("text");
    let sum = oubliette::vault::certificate::document::sha256_text(page.as_bytes());
    assert_eq!(signed.report.html_sha256, sum);
    assert!(page.contains("&lt;b&gt;somebody-1&lt;/b&gt; &amp; co") && !page.contains("<b>"));
    for call in ["<script", "src=", "href=", "url(", "http:", "https:"] {
        assert!(!page.contains(call), "{call}");
    }
    // What may be taken along is what was provided, in both forms.
    let files = w
        .export("somebody-1", pb::ExportKind::Portable)
        .await
        .expect("exported");
    let person: serde_json::Value = serde_json::from_slice(&files["portable.json"]).expect("JSON");
    assert_eq!(person["person"]["@type"], "Person");
    assert_eq!(person["person"]["name"], "<b>somebody-1</b> & co");
    assert_eq!(person["records"].as_array().map(Vec::len), Some(2));
    let table = String::from_utf8(files["portable.csv"].clone()).expect("text");
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reads_in_a_report_are_as_many_as_were_made() {
    let count = if is_long() { 10_000 } else { 500 };
    let place = Place::quick();
    let server = Server::start(&place);
    let w = filled(&place, &server).await;
    let mut reading = tokio::task::JoinSet::new();
    for worker in 0..10 {
        let w = w.clone();
        reading.spawn(async move {
            for turn in 0..count / 10 {
                let card = if (worker + turn) % 2 == 0 { "a" } else { "b" };
                w.get(&record("somebody-1", card)).await.expect("read");
            }
        });
    }
    reading.join_all().await;
    let begun = Instant::now();
    let report = w.report(&place, "somebody-1").await.report;
    let took = begun.elapsed();
    assert_eq!(report.counts.reads, count);
    assert_eq!(report.reads.len() as u64, count);
    println!("a report with {count} reads took {} ms", took.as_millis());
}
