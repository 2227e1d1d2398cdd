//! P1: after a day's work no value and no id is in any file, in the log or in
//! the metrics.

use crate::caller::{Caller, connect, record, text};
use crate::needles::Needles;
use crate::place::Place;
use crate::process::{Process, log_file, metrics};
use crate::raw;
use oubliette::cli::init::CONFIG;
use oubliette::client::request_id;
use oubliette::pb;
use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use tonic::Request;

const CSV: &str = "examples/crm/customers.csv";

type Row = HashMap<String, String>;

fn customers() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CSV);
    let mut reader = csv::Reader::from_path(path).expect("the example");
    let rows: Result<Vec<Row>, _> = reader.deserialize().collect();
    rows.expect("rows")
}

fn import(place: &Place) {
    let journal = tempfile::NamedTempFile::new().expect("a file");
    let imported = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .arg("import")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(CSV))
        .args(["--type", "contact", "--id-column", "customer_id"])
        .args(["--as", "acme/importer", "--dir"])
        .arg(place.path())
        .arg("--journal")
        .arg(journal.path())
        .stdin(Stdio::null())
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{said}");
}

/// Reads that are allowed, reads that are denied, and requests in which what
/// somebody said stands where it does not belong.
async fn ask(place: &Place, server: &Process, rows: &[Row]) {
    let as_whom = async |service: &str| connect(place, server, &format!("acme/{service}")).await;
    let (desk, office) = (
        as_whom("support-desk").await,
        as_whom("privacy-office").await,
    );
    let (recommender, checkout) = (as_whom("recommender").await, as_whom("checkout").await);
    let get = |row: &Row, purpose: &str, fields: &[&str]| pb::GetRecordRequest {
        name: record(&row["customer_id"], "main"),
        record_type: "contact".to_owned(),
        purpose: purpose.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..Default::default()
    };
    for row in rows.iter().take(60) {
        assert!(desk.get_as(get(row, "support", &[])).await.is_ok());
        assert!(
            office
                .get_as(get(row, "privacy_requests", &[]))
                .await
                .is_ok()
        );
        let denied = recommender
            .get_as(get(row, "personalization", &["phone"]))
            .await;
        assert!(denied.is_err());
        for misplaced in [&row["email"], &row["notes"], &row["family_name"]] {
            misplace(&checkout, row, misplaced).await;
        }
    }
}

/// Puts `said` wherever a request takes text.
async fn misplace(caller: &Caller, row: &Row, said: &str) {
    let mut records = caller.records.clone();
    let said = said.to_owned();
    let name = record(&row["customer_id"], "main");
    let get = pb::GetRecordRequest {
        name: record(&said, &said),
        record_type: said.clone(),
        purpose: said.clone(),
        fields: vec![said.clone()],
        mode: 0,
        ..Default::default()
    };
    assert!(records.get_record(get.clone()).await.is_err());
    let good_name = pb::GetRecordRequest {
        name: name.clone(),
        ..get.clone()
    };
    assert!(records.get_record(good_name).await.is_err());
    let good_type = pb::GetRecordRequest {
        name: name.clone(),
        record_type: "contact".to_owned(),
        ..get
    };
    assert!(records.get_record(good_type).await.is_err());
    for (record_type, fields) in [
        (
            said.as_str(),
            HashMap::from([("notes".to_owned(), text(&said))]),
        ),
        ("contact", HashMap::from([(said.clone(), text(&said))])),
        (
            "contact",
            HashMap::from([("birth_date".to_owned(), text(&said))]),
        ),
    ] {
        let put = pb::PutRecordRequest {
            name: name.clone(),
            record_type: record_type.to_owned(),
            fields,
            request_id: request_id(),
            expected_revision: None,
            ..Default::default()
        };
        assert!(records.put_record(put).await.is_err());
    }
    let stream = pb::StreamRecordsRequest {
        record_type: "contact".to_owned(),
        purpose: said.clone(),
        cursor: said.clone(),
        ..Default::default()
    };
    assert!(records.stream_records(stream).await.is_err());
    let create = pb::CreateCustomerRequest {
        customer_id: format!("{said} "),
        request_id: said.clone(),
        recreate_erased: false,
    };
    assert!(
        caller
            .customers
            .clone()
            .create_customer(create)
            .await
            .is_err()
    );
    let letters = said.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.take(200).collect();
    let path = format!("/oubliette.v1.RecordService/{letters}");
    let mut request = Request::new(said.into_bytes());
    if let Ok(value) = letters.parse() {
        request.metadata_mut().insert("x-said", value);
    }
    let (_, status) = raw::call(&caller.channel, &path, request).await;
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_and_no_id_is_in_any_file_log_or_metric() {
    let place = Place::crm();
    let config = place.path().join(CONFIG);
    let said = fs::read_to_string(&config).expect("a configuration");
    let loud = said.replace("level = \"info\"", "level = \"debug\"");
    assert_ne!(loud, said);
    fs::write(&config, loud).expect("written");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = port.local_addr().expect("an address");
    drop(port);
    let rows = customers();
    let mut needles = Needles::default();
    for row in &rows {
        row.values().for_each(|value| needles.add_text(value));
    }

    let mut server = Process::with_metrics(&place, &endpoint.to_string());
    import(&place);
    ask(&place, &server, &rows).await;
    let office = connect(&place, &server, "acme/privacy-office").await;
    for row in rows.iter().skip(100).take(40) {
        office.erase(&row["customer_id"]).await.expect("erased");
    }
    let search = |when: &str| {
        let (found, bytes) = needles.in_dir(&place.path());
        assert!(found.is_empty(), "{when}: {found:?}");
        println!("{when}: 0 of {} patterns in {bytes} bytes", needles.len());
    };
    search("while it runs");
    let text = metrics(endpoint);
    assert!(
        text.contains("oubliette_calls_total{method=\"GetRecord\""),
        "{text}"
    );
    assert_eq!(needles.in_bytes(text.as_bytes()).len(), 0, "metrics");
    server.kill();
    search("after kill -9");
    let server = Process::start(&place);
    ask(&place, &server, &rows[..5]).await;
    server.stop();
    search("after a restart and an orderly end");
    let log = fs::read_to_string(log_file(&place)).expect("a log");
    assert!(
        log.contains("state=\"ready\"") && !log.contains("panicked"),
        "{log}"
    );
    // That the search would find something is shown on the file it came from.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crm");
    assert!(needles.in_dir(&file).0.len() > 5_000);
}
