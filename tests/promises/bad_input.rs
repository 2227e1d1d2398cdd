//! Bad input, as a table: each case gets its code, a stable reason, the field
//! that is wrong, one entry in the log; nothing is done, and what was sent is
//! not repeated.

use crate::caller::{
    Caller, connect, customer, delete_request, get_request, named, put_request, record, text,
    update_request,
};
use crate::log::Log;
use crate::place::{Place, Server};
use crate::raw;
use oubliette::cli::init::TRUST_DOMAIN;
use oubliette::cli::pki::{Authority, ORGANISATION};
use oubliette::client::{place::identity, request_id};
use oubliette::id::{ServiceName, TenantName};
use oubliette::limits;
use oubliette::pb;
use oubliette::pb::value::Kind;
use prost::Message;
use std::collections::HashMap;
use tonic::{Code, Request};
use tonic_types::StatusExt;

/// Stands in every bad value; no answer may repeat it.
const MARK: &str = "Zanzibar";
const INVALID: (Code, &str) = (Code::InvalidArgument, "INVALID_REQUEST");

/// One case.
struct Case {
    what: String,
    method: &'static str,
    bytes: Vec<u8>,
    /// Code and reason.
    answer: (Code, &'static str),
    /// The field that is violated; empty where none is named.
    field: String,
}

#[derive(Default)]
struct Table(Vec<Case>);

impl Table {
    fn add(
        &mut self,
        what: &str,
        method: &'static str,
        request: &impl Message,
        field: &str,
    ) -> &mut Case {
        self.bytes(what, method, request.encode_to_vec(), field)
    }

    fn bytes(
        &mut self,
        what: &str,
        method: &'static str,
        bytes: Vec<u8>,
        field: &str,
    ) -> &mut Case {
        self.0.push(Case {
            what: format!("{method}: {what}"),
            method,
            bytes,
            answer: INVALID,
            field: field.to_owned(),
        });
        self.0.last_mut().expect("just added")
    }
}

/// Ids that are none.
fn bad_ids() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("a space", format!("{MARK} b")),
        ("NUL", format!("{MARK}\0")),
        ("a control character", format!("{MARK}\u{1b}[2J")),
        ("a line break", format!("{MARK}\n")),
        ("a slash", format!("{MARK}/x")),
        ("percent", format!("{MARK}%2e")),
        ("not ASCII", format!("{MARK}é")),
        ("right to left", format!("{MARK}\u{202e}")),
        ("129 bytes", format!("{MARK:x<129}")),
        ("4 KiB", format!("{MARK:x<4096}")),
    ]
}

fn names(table: &mut Table) {
    for (what, id) in bad_ids() {
        let slash = id.contains('/');
        let get = get_request(&record(&id, "r"));
        table.add(what, "GetRecord", &get, "name");
        let get = get_request(&record("a", &id));
        table.add(&format!("record id: {what}"), "GetRecord", &get, "name");
        let put = put_request(&record(&id, "r"), named(MARK));
        table.add(what, "PutRecord", &put, "name");
        let update = update_request(&record("a", &id), MARK);
        table.add(what, "UpdateRecord", &update, "name");
        let delete = delete_request(&record(&id, "r"));
        table.add(what, "DeleteRecord", &delete, "name");
        let batch = pb::BatchGetRecordsRequest {
            names: vec![record("a", "r"), record(&id, "r")],
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            ..Default::default()
        };
        table.add(what, "BatchGetRecords", &batch, "names");
        let list = pb::ListRecordsRequest {
            parent: customer(&id),
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            ..Default::default()
        };
        table.add(what, "ListRecords", &list, "parent");
        let name = customer(&id);
        let show = pb::GetCustomerRequest { name: name.clone() };
        table.add(what, "GetCustomer", &show, "name");
        let erase = pb::EraseCustomerRequest {
            name,
            request_id: request_id(),
        };
        table.add(what, "EraseCustomer", &erase, "name");
        let create = pb::CreateCustomerRequest {
            customer_id: id,
            request_id: request_id(),
            recreate_erased: false,
        };
        table.add(what, "CreateCustomer", &create, "customer_id");
        assert!(!slash || what == "a slash");
    }
    for name in [
        "",
        "a",
        "customers",
        "customers/a",
        "Customers/a/records/r",
        "records/r",
    ] {
        let what = format!("name {name:?}");
        table.add(&what, "GetRecord", &get_request(name), "name");
    }
}

fn reads(table: &mut Table) {
    let good = get_request(&record("a", "r"));
    for record_type in ["", "nothing", "Card", "card ", &"x".repeat(4096)] {
        let mut get = good.clone();
        record_type.clone_into(&mut get.record_type);
        table.add("record type", "GetRecord", &get, "record_type");
    }
    let mut get = good.clone();
    get.fields = vec!["name".to_owned(), format!("{MARK} nothing")];
    table.add("an unknown field", "GetRecord", &get, "fields[1]");
    get.fields = vec!["name".to_owned(), "name".to_owned()];
    table.add("a field twice", "GetRecord", &get, "fields[1]");
    get.fields = vec!["name".to_owned(); 5_000];
    table.add("5,000 fields", "GetRecord", &get, "fields");
    let mut get = good.clone();
    get.mode = 77;
    table.add("an unknown mode", "GetRecord", &get, "mode");
    get.mode = -1;
    table.add("a negative mode", "GetRecord", &get, "mode");
    let mut get = good;
    get.purpose = format!("{MARK} purpose");
    table
        .add("an unknown purpose", "GetRecord", &get, "")
        .answer = (Code::PermissionDenied, "PURPOSE_UNKNOWN");

    let batch = |names: Vec<String>| pb::BatchGetRecordsRequest {
        names,
        record_type: "card".to_owned(),
        purpose: "care".to_owned(),
        ..Default::default()
    };
    table.add("no name", "BatchGetRecords", &batch(Vec::new()), "names");
    let many = (0..=limits::BATCH_NAMES).map(|n| record(&format!("c{n}"), "r"));
    table.add(
        "101 names",
        "BatchGetRecords",
        &batch(many.collect()),
        "names",
    );
    let huge = (0..100_000).map(|n| record(&format!("c{n}"), "r"));
    table.add(
        "100,000 names",
        "BatchGetRecords",
        &batch(huge.collect()),
        "names",
    );
    let twice = vec![record("a", "r"); 2];
    table.add("a name twice", "BatchGetRecords", &batch(twice), "names");

    for (what, cursor) in [
        ("a made up cursor", format!("{MARK}AAAA")),
        ("no base64", format!("{MARK} !")),
        ("a long cursor", MARK.repeat(600)),
    ] {
        let stream = pb::StreamRecordsRequest {
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            cursor: cursor.clone(),
            ..Default::default()
        };
        table.add(what, "StreamRecords", &stream, "cursor");
        let list = pb::ListRecordsRequest {
            parent: customer("a"),
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            page_size: 0,
            page_token: cursor,
        };
        table.add(what, "ListRecords", &list, "page_token");
    }
    let list = pb::ListRecordsRequest {
        parent: customer("a"),
        record_type: "card".to_owned(),
        purpose: "care".to_owned(),
        page_size: -1,
        page_token: String::new(),
    };
    table.add("a negative page", "ListRecords", &list, "page_size");
}

fn value(kind: Kind) -> pb::Value {
    pb::Value { kind: Some(kind) }
}

fn values(table: &mut Table) {
    let name = record("a", "r");
    let date = |year, month, day| value(Kind::DateValue(pb::Date { year, month, day }));
    let at = |seconds, nanos| {
        let at = prost_types::Timestamp { seconds, nanos };
        value(Kind::TimestampValue(at))
    };
    let json = |text: String| value(Kind::JsonValue(text));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for (what, field, value) in [
        ("no kind", "name", pb::Value { kind: None }),
        ("a number for a text", "name", value(Kind::Int64Value(1))),
        ("a text for a number", "visits", text(MARK)),
        (
            "bytes for a text",
            "name",
            value(Kind::BytesValue(MARK.into())),
        ),
        ("201 bytes", "name", text(format!("{MARK:x<201}"))),
        ("201 bytes of 67 letters", "name", text("€".repeat(67))),
        ("NUL", "name", text(format!("{MARK}\0"))),
        ("NaN", "score", value(Kind::DoubleValue(f64::NAN))),
        (
            "infinity",
            "score",
            value(Kind::DoubleValue(f64::NEG_INFINITY)),
        ),
        ("no such day", "born", date(2023, 2, 29)),
        ("month 13", "born", date(2023, 13, 1)),
        ("year 0", "born", date(0, 1, 1)),
        ("year 10000", "born", date(10_000, 1, 1)),
        ("day -1", "born", date(2023, 1, i32::MIN)),
        ("too late", "seen", at(i64::MAX, 0)),
        ("too early", "seen", at(i64::MIN, 0)),
        ("too many nanos", "seen", at(0, 1_000_000_000)),
        ("negative nanos", "seen", at(0, -1)),
        ("no JSON", "extra", json(format!("{{{MARK}"))),
        ("two JSON texts", "extra", json("1 2".to_owned())),
        ("JSON 33 deep", "extra", json(deep(33))),
        ("a JSON bomb", "extra", json(deep(30_000))),
        ("a JSON bomb of objects", "extra", json(objects(10_000))),
        (
            "a bomb that is not closed",
            "extra",
            json("[".repeat(60_000)),
        ),
        (
            "a long JSON",
            "extra",
            json(format!("\"{}\"", MARK.repeat(9_000))),
        ),
        (
            "1 MiB and a byte",
            "photo",
            value(Kind::BytesValue(vec![7; (1 << 20) + 1])),
        ),
    ] {
        let put = put_request(&name, HashMap::from([(field.to_owned(), value.clone())]));
        table.add(what, "PutRecord", &put, &format!("fields.{field}"));
        let mut update = update_request(&name, "");
        update.fields = HashMap::from([(field.to_owned(), value)]);
        update.update_mask.get_or_insert_default().paths = vec![field.to_owned()];
        table.add(what, "UpdateRecord", &update, &format!("fields.{field}"));
    }
    let unknown = |field: &str| put_request(&name, HashMap::from([(field.to_owned(), text(MARK))]));
    table.add(
        "an unknown field",
        "PutRecord",
        &unknown("nothing"),
        "fields.nothing",
    );
    let odd = unknown(&format!("{MARK} & sons"));
    table.add("a value for a name", "PutRecord", &odd, "fields");
    let many = (0..200).map(|n| (format!("f{n}"), text("x"))).collect();
    table.add(
        "200 fields",
        "PutRecord",
        &put_request(&name, many),
        "fields",
    );
}

fn writes(table: &mut Table) {
    let name = record("a", "r");
    for (what, id) in [
        ("no request id", String::new()),
        ("nil", "00000000-0000-0000-0000-000000000000".to_owned()),
        ("no UUID", format!("{MARK:x<36}")),
        ("a long one", MARK.repeat(1_000)),
    ] {
        let mut put = put_request(&name, named("x"));
        put.request_id.clone_from(&id);
        table.add(what, "PutRecord", &put, "request_id");
        let mut update = update_request(&name, "x");
        update.request_id.clone_from(&id);
        table.add(what, "UpdateRecord", &update, "request_id");
        let mut delete = delete_request(&name);
        delete.request_id.clone_from(&id);
        table.add(what, "DeleteRecord", &delete, "request_id");
        let create = pb::CreateCustomerRequest {
            customer_id: "fresh".to_owned(),
            request_id: id.clone(),
            recreate_erased: false,
        };
        table.add(what, "CreateCustomer", &create, "request_id");
        let erase = pb::EraseCustomerRequest {
            name: customer("a"),
            request_id: id,
        };
        // Erasing is idempotent with or without one.
        if !erase.request_id.is_empty() {
            table.add(what, "EraseCustomer", &erase, "request_id");
        }
    }
    let stale = (Code::Aborted, "REVISION_STALE");
    for (revision, field, answer) in [
        (-1, "expected_revision", INVALID),
        (i64::MIN, "expected_revision", INVALID),
        (0, "", stale),
        (7, "", stale),
        (i64::MAX, "", stale),
    ] {
        let what = format!("revision {revision}");
        let mut put = put_request(&name, named("x"));
        put.expected_revision = Some(revision);
        table.add(&what, "PutRecord", &put, field).answer = answer;
        let mut update = update_request(&name, "x");
        update.expected_revision = Some(revision);
        table.add(&what, "UpdateRecord", &update, field).answer = answer;
        let mut delete = delete_request(&name);
        delete.expected_revision = Some(revision);
        table.add(&what, "DeleteRecord", &delete, field).answer = answer;
    }
    let mut update = update_request(&name, "x");
    update.update_mask = None;
    table.add("no mask", "UpdateRecord", &update, "update_mask");
    update.update_mask = Some(prost_types::FieldMask {
        paths: vec!["email".to_owned()],
    });
    table.add(
        "a value beside the mask",
        "UpdateRecord",
        &update,
        "fields.name",
    );
    update.update_mask = Some(prost_types::FieldMask {
        paths: vec!["name".to_owned(), format!("{MARK}.*")],
    });
    table.add(
        "an unknown path",
        "UpdateRecord",
        &update,
        "update_mask.paths[1]",
    );
    let nobody = record("nobody", "r");
    let missing = (Code::NotFound, "CUSTOMER_NOT_FOUND");
    table
        .add("nobody", "PutRecord", &put_request(&nobody, named("x")), "")
        .answer = missing;
    let nothing = record("a", "nothing");
    let missing = (Code::NotFound, "RECORD_NOT_FOUND");
    table
        .add(
            "nothing",
            "UpdateRecord",
            &update_request(&nothing, "x"),
            "",
        )
        .answer = missing;
    table
        .add("nothing", "DeleteRecord", &delete_request(&nothing), "")
        .answer = missing;
}

/// Messages that are none.
fn bytes(table: &mut Table) {
    let mut latin1 = vec![0x0a, 0x09];
    latin1.extend(b"customer\xff");
    let huge = vec![0x0a; limits::REQUEST_BYTES + 1];
    let nested = |depth: usize| {
        // A map's entry in an entry, over and over.
        let mut bytes = Vec::new();
        for _ in 0..depth {
            let mut outer = vec![0x1a];
            prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
            outer.extend(&bytes);
            bytes = outer;
        }
        bytes
    };
    for method in ["GetRecord", "PutRecord", "StreamRecords", "BatchGetRecords"] {
        table.bytes("invalid UTF-8", method, latin1.clone(), "message");
        table.bytes("garbage", method, vec![0xff; 64], "message");
        table.bytes(
            "a cut length",
            method,
            vec![0x0a, 0xff, 0xff, 0xff, 0x0f],
            "message",
        );
        table.bytes("another wire type", method, vec![0x08, 0x01], "message");
        table.bytes("an endless group", method, vec![0x0b; 4_096], "message");
        table.bytes("a byte too many", method, huge.clone(), "message");
    }
    // What is no field is skipped without going into it.
    table.bytes("a deep message", "PutRecord", nested(400), "request_id");
}

fn path(method: &str) -> String {
    let service = match method {
        "CreateCustomer" | "GetCustomer" | "EraseCustomer" => "CustomerService",
        _ => "RecordService",
    };
    format!("/oubliette.v1.{service}/{method}")
}

async fn is_answered(caller: &Caller, case: &Case) {
    let request = Request::new(case.bytes.clone());
    let (came, status) = raw::call(&caller.channel, &path(case.method), request).await;
    let what = &case.what;
    assert!(came.is_empty(), "{what}: it was answered");
    let (code, reason) = case.answer;
    assert_eq!(status.code(), code, "{what}: {status}");
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("{what}: no ErrorInfo: {status}"));
    assert_eq!(info.reason, reason, "{what}: {status}");
    assert_eq!(info.domain, "oubliette.v1", "{what}");
    let violations = status.get_details_bad_request();
    let violations = violations
        .map(|bad| bad.field_violations)
        .unwrap_or_default();
    let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    if case.field.is_empty() {
        assert!(fields.is_empty(), "{what}: {fields:?}");
    } else {
        assert!(
            fields.contains(&case.field.as_str()),
            "{what}: {fields:?}: {status}"
        );
        assert!(
            violations.iter().all(|v| !v.description.is_empty()),
            "{what}"
        );
    }
    let shown = format!("{status:?} {violations:?} {info:?}");
    assert!(
        !shown.contains(MARK),
        "{what}: it repeats what was sent: {shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_input_has_its_answer_and_one_entry_and_nothing_is_done() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("Ada")).await.expect("written");
    let mut table = Table::default();
    names(&mut table);
    reads(&mut table);
    values(&mut table);
    writes(&mut table);
    bytes(&mut table);
    let mut log = Log::of(&place);
    log.skip();
    for case in &table.0 {
        is_answered(&w, case).await;
        let leaves = log.new_leaves();
        let entries = leaves.iter().filter(|leaf| leaf.reason == case.answer.1);
        assert_eq!(entries.count(), leaves.len(), "{}", case.what);
        // A refused batch is tagged to each customer that it names.
        let most = if case.method == "BatchGetRecords" {
            101
        } else {
            1
        };
        assert!(
            (1..=most).contains(&leaves.len()),
            "{}: {} entries",
            case.what,
            leaves.len()
        );
        assert!(
            leaves.iter().all(|leaf| leaf.call == leaves[0].call),
            "{}",
            case.what
        );
        assert_eq!(leaves[0].method, case.method);
    }
    println!("{} kinds of bad input", table.0.len());
    let card = w.get(&name).await.expect("the server lives");
    assert_eq!(
        crate::caller::name_on(&card),
        Some("Ada"),
        "and nothing was done"
    );
    assert_eq!(w.show("a").await.expect("shown").record_count, 1);
    assert!(
        w.show("fresh")
            .await
            .is_err_and(|f| f.is("CUSTOMER_NOT_FOUND"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_a_later_version_are_passed_over() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let name = record("a", "r");
    w.put(&name, named("Ada")).await.expect("written");
    let mut request = get_request(&name).encode_to_vec();
    // Field 1,000, a varint; and field 1,001, text.
    request.extend([0xc0, 0x3e, 0x01, 0xca, 0x3e, 0x02, b'h', b'i']);
    let path = path("GetRecord");
    let (came, status) = raw::call(&w.channel, &path, Request::new(request)).await;
    assert_eq!(status.code(), Code::Ok, "{status}");
    let read = pb::GetRecordResponse::decode(&came[..]).expect("a reply");
    let card = crate::caller::fields(read.record);
    assert_eq!(crate::caller::name_on(&card), Some("Ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_gets_no_call_through() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    // The same name, signed by somebody else.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let pki = elsewhere.path().join("pki");
    let authority = Authority::create(&pki, ORGANISATION).expect("an authority");
    let names = (TenantName::parse("acme"), ServiceName::parse("w00"));
    let (tenant, service) = (names.0.expect("a name"), names.1.expect("a name"));
    authority
        .issue_client(&pki, TRUST_DOMAIN, &tenant, &service)
        .expect("issued");
    let mut forged = identity(&place.path(), Some("acme/w00")).expect("an identity");
    forged.certificate = pki.join("clients/acme.w00.pem");
    forged.key = pki.join("clients/acme.w00.key");
    let endpoint = oubliette::client::channel(server.address, &place.path(), &forged);
    let channel = endpoint.expect("certificates").connect_lazy();
    let mut log = Log::of(&place);
    log.skip();
    let answer = Caller::over(channel).create("forged").await;
    let failure = answer.err().expect("refused");
    assert!(failure.reason.is_empty(), "it came through: {failure}");
    assert!(
        w.show("forged")
            .await
            .is_err_and(|f| f.is("CUSTOMER_NOT_FOUND"))
    );
    assert_eq!(log.new_leaves().len(), 1, "only the look");
}
