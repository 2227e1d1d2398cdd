//! The command line against a running server: what a person would type on the
//! first day.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value as Json;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_oubliette");

/// A vault of the example's rules, with its server.
struct Vault {
    dir: tempfile::TempDir,
    server: Child,
}

impl Vault {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(PROGRAM)
            .arg("init")
            .arg(dir.path().join("v"))
            .output();
        assert!(made.unwrap().status.success());
        let mut server = Command::new(PROGRAM)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--metrics",
                "127.0.0.1:0",
            ])
            .arg("--until-stdin-closes")
            .arg("--dir")
            .arg(dir.path().join("v"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = server.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("listening on 127.0.0.1:"), "{ready}");
        Self { dir, server }
    }

    /// Runs a client command, given in words.
    fn run(&self, principal: &str, words: &str) -> Output {
        Command::new(PROGRAM)
            .args(words.split(' '))
            .arg("--dir")
            .arg(self.dir.path().join("v"))
            .args(["--as", principal])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The same for programs: exit code and the one document.
    fn json(&self, principal: &str, words: &str) -> (Option<i32>, Json) {
        let output = self.run(principal, &format!("{words} --json"));
        let text = String::from_utf8(output.stdout).unwrap();
        let document = serde_json::from_str(&text);
        let document = document.unwrap_or_else(|_| panic!("{words}: not one document: {text}"));
        (output.status.code(), document)
    }

    fn ok(&self, principal: &str, words: &str) -> Json {
        let (code, document) = self.json(principal, words);
        assert_eq!(code, Some(0), "{words}: {document}");
        document
    }

    fn refused(&self, principal: &str, words: &str, reason: &str) {
        let (code, document) = self.json(principal, words);
        assert_eq!(code, Some(1), "{words}: {document}");
        assert_eq!(document["error"]["reason"], reason, "{words}: {document}");
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_record_is_written_read_changed_listed_and_deleted() {
    let vault = Vault::start();
    let (office, name) = ("privacy-office", "c-1/main --type contact");
    vault.ok("importer", "customer create c-1");
    let put = format!("record put {name} given_name=Zoë birth_date=1987-02-28 lifetime_value=12.5");
    let written = vault.ok("importer", &put);
    assert_eq!(written["record"]["revision"], 1);
    let get = format!("record get {name} --purpose privacy_requests");
    let read = vault.ok(office, &get);
    assert_eq!(read["fields"]["given_name"]["value"], "Zoë");
    assert_eq!(read["fields"]["lifetime_value"]["value"], 12.5);

    let update = format!("record update {name} given_name=Ada --remove birth_date");
    let stale = format!("{update} --expected-revision 7");
    vault.refused(office, &stale, "REVISION_STALE");
    assert_eq!(vault.ok(office, &update)["record"]["revision"], 2);
    let read = vault.ok(office, &get);
    assert_eq!(read["fields"]["given_name"]["value"], "Ada");
    assert!(read["fields"].get("birth_date").is_none());

    let list = "record list c-1 --type contact --purpose privacy_requests";
    assert_eq!(
        vault.ok(office, list)["records"].as_array().unwrap().len(),
        1
    );
    vault.ok(office, &format!("record delete {name}"));
    vault.refused(office, &get, "RECORD_NOT_FOUND");
    assert_eq!(
        vault.ok(office, list)["records"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn a_denial_says_why_on_stderr_and_in_the_document() {
    let vault = Vault::start();
    vault.ok("importer", "customer create c-1");
    vault.ok(
        "importer",
        "record put c-1/main --type contact city=Lyon phone=+33199006888",
    );
    let get = "record get c-1/main --type contact --purpose personalization --fields city,phone";
    vault.refused("recommender", get, "FIELD_NOT_IN_PURPOSE");
    let told = String::from_utf8(vault.run("recommender", get).stderr).unwrap();
    assert!(
        told.contains("phone") && told.contains("PERMISSION_DENIED"),
        "{told}"
    );
    let seen = vault.ok("recommender", &format!("{get} --what-i-may-see"));
    assert_eq!(seen["fields"]["city"]["value"], "Lyon");
    assert_eq!(seen["withheld"][0]["field"], "phone");
}

#[test]
fn an_erased_customer_is_shown_as_such_to_those_who_may_know() {
    let vault = Vault::start();
    vault.ok("importer", "customer create c-1");
    let erased = vault.ok("privacy-office", "customer erase c-1 --yes");
    assert_eq!(erased["customer"]["state"], "ERASED");
    let shown = vault.ok("privacy-office", "customer show c-1");
    assert_eq!(shown["customer"]["state"], "ERASED");
    vault.refused("importer", "customer show c-1", "CUSTOMER_NOT_FOUND");
    vault.refused(
        "privacy-office",
        "customer create c-1",
        "CUSTOMER_WAS_ERASED",
    );
    vault.ok("privacy-office", "customer create c-1 --recreate-erased");
    assert_eq!(vault.ok("security", "key status")["customers"], 1);
}

#[test]
fn an_import_tells_bad_rows_by_line_and_a_rerun_repeats_nothing() {
    let vault = Vault::start();
    let file = vault.dir.path().join("customers.csv");
    let mut csv = "customer_id,given_name,birth_date\n".to_owned();
    for n in 1..=50 {
        csv += &format!("c-{n},Given {n},1987-02-28\n");
    }
    csv += "c-51,Secretive,yesterday\nbad id,Secretive,\nc-53,Ada,\n";
    std::fs::write(&file, csv).unwrap();
    let import = format!(
        "import {} --type contact --id-column customer_id",
        file.display()
    );
    let (code, report) = vault.json("importer", &import);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&report["imported"], &report["failed"]),
        (&51.into(), &2.into())
    );
    let lines: Vec<&Json> = report["failures"].as_array().unwrap().iter().collect();
    let mut told: Vec<u64> = lines.iter().map(|f| f["line"].as_u64().unwrap()).collect();
    told.sort();
    assert_eq!(told, [52, 53]);
    assert!(!report.to_string().contains("Secretive"));

    let (_, again) = vault.json("importer", &import);
    assert_eq!(
        (&again["imported"], &again["done_before"]),
        (&0.into(), &51.into())
    );
    // Without its journal every row is sent again, with the same request ids.
    let journal = format!("{}.journal", file.display());
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("Given"));
    std::fs::remove_file(journal).unwrap();
    vault.json("importer", &import);
    let list = "record list c-1 --type contact --purpose privacy_requests";
    assert_eq!(
        vault.ok("privacy-office", list)["records"][0]["revision"],
        1
    );
}

#[test]
fn a_stream_is_one_document_and_goes_on_from_its_cursor() {
    let vault = Vault::start();
    for n in 1..=70 {
        vault.ok("importer", &format!("customer create c-{n}"));
        vault.ok(
            "importer",
            &format!("record put c-{n}/main --type contact country=FR"),
        );
    }
    let stream = "record stream --type contact --purpose analytics";
    let all = vault.ok("analytics", stream);
    assert_eq!(all["records"].as_array().unwrap().len(), 70);
    let first = vault.ok("analytics", &format!("{stream} --limit 64"));
    assert_eq!(first["records"].as_array().unwrap().len(), 64);
    let cursor = first["cursor"].as_str().unwrap();
    let rest = vault.ok("analytics", &format!("{stream} --cursor={cursor}"));
    assert_eq!(rest["records"].as_array().unwrap().len(), 6);
}

#[test]
fn the_quickstart_holds_and_leaves_no_value_behind() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("crm");
    let told = Command::new(PROGRAM)
        .args(["quickstart", "--dir"])
        .arg(&vault)
        .output()
        .unwrap();
    let story = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{story}");
    assert!(
        story.contains("checks held") && !story.contains('✗'),
        "{story}"
    );
    assert!(vault.join("data/vault.db").exists());
}

#[test]
fn an_auditor_lists_entries_and_sees_them_come() {
    let vault = Vault::start();
    vault.ok("importer", "customer create c-1");
    let denied = "record get c-1/main --type contact --purpose privacy_requests";
    vault.refused("importer", denied, "PURPOSE_NOT_GRANTED");
    let list = |which: &str| {
        let listed = vault.ok("auditor", &format!("audit list {which}"));
        let entries = listed["entries"].as_array().unwrap().clone();
        (entries, listed["is_end"] == true)
    };
    let (entries, is_end) = list("--verdict denied --from 1h");
    assert!(is_end && entries.len() == 1, "{entries:?}");
    assert_eq!(entries[0]["leaf"]["method"], "GetRecord");
    assert_eq!(entries[0]["leaf"]["reason"], "PURPOSE_NOT_GRANTED");
    let first = entries[0]["number"].as_u64().unwrap() - 1;
    assert!(list("--to 1h").0.is_empty());
    let (entries, is_end) = list("--most 1");
    assert_eq!((entries.len(), is_end), (1, false));

    let shown = vault.run("auditor", "audit list --method CreateCustomer");
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in ["how it ended", "CreateCustomer", "acme/importer", "allowed"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains("c-1"), "no customer's id\n{shown}");

    // From the denial on, and then what comes while it watches.
    let mut tail = Command::new(PROGRAM)
        .args(["audit", "tail", "--most", "2", "--json", "--after"])
        .arg(first.to_string())
        .args(["--principal", "acme/importer", "--as", "auditor", "--dir"])
        .arg(vault.dir.path().join("v"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> Json { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["leaf"]["verdict"], "denied");
    vault.ok("importer", "customer create c-2");
    assert_eq!(next()["leaf"]["method"], "CreateCustomer");
    assert!(tail.wait().unwrap().success(), "it ends after --most");
    vault.refused("importer", "audit list", "POLICY_DENIED");
}
