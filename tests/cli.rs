//! The command line as people and scripts meet it: arguments, exit codes, what
//! is on stdout and what is on stderr. No server runs here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn oubliette() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oubliette"));
    command
        .env_remove("OUBLIETTE_DIR")
        .env_remove("OUBLIETTE_AS");
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = oubliette().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn vault() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("vault").display().to_string();
    let (code, _, stderr) = run(&["init", &vault]);
    assert_eq!(code, Some(0), "{stderr}");
    (dir, vault)
}

#[test]
fn help_goes_to_stdout_and_wrong_usage_to_stderr_with_exit_code_2() {
    let (code, stdout, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for noun in [
        "quickstart",
        "serve",
        "import",
        "record",
        "customer",
        "key",
        "bench",
    ] {
        assert!(stdout.contains(noun), "{noun}");
    }
    for wrong in [
        &[][..],
        &["recrod"],
        &["record", "get", "c/main", "--dir", "d", "--type", "contact"],
        &["serve"],
        &["serve", "--dir", "a", "--config", "b"],
        &["bench", "read", "--in-flight", "0"],
        &["import", "f.csv", "--dir", "d", "--type", "contact"],
    ] {
        let (code, stdout, stderr) = run(wrong);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(stderr.contains("--help"), "{wrong:?}: {stderr}");
    }
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "quickstart",
        "init",
        "serve",
        "import",
        "record put",
        "record get",
        "record list",
        "record update",
        "record stream",
        "record delete",
        "customer create",
        "customer show",
        "customer erase",
        "key status",
        "config check",
        "catalog check",
        "policy check",
        "pki issue",
        "bench read",
        "bench write",
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let (code, stdout, _) = run(&arguments);
        assert!(code == Some(0) && stdout.contains("Usage:"), "{command}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (_dir, vault) = vault();
    for arguments in [&["policy", "check", "--dir", &vault][..], &["--help"]] {
        let mut child = oubliette()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
        assert!(ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_new_vault_passes_every_check_and_json_is_one_document() {
    let (_dir, vault) = vault();
    for check in ["config", "catalog", "policy"] {
        let (code, stdout, stderr) = run(&[check, "check", "--dir", &vault]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{check}");
        assert!(stdout.contains("good"), "{check}: {stdout}");
        let (_, stdout, _) = run(&[check, "check", "--dir", &vault, "--json"]);
        let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert!(
            document.is_object() && stdout.lines().count() == 1,
            "{check}"
        );
    }
}

#[test]
fn what_is_in_the_way_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "precious").unwrap();
    let path = dir.path().display().to_string();
    for arguments in [
        &["init", path.as_str()][..],
        &["quickstart", "--dir", &path],
    ] {
        let (code, _, stderr) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(stderr.contains("is not empty"), "{arguments:?}: {stderr}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn without_a_terminal_nobody_is_erased_by_mistake() {
    let (_dir, vault) = vault();
    let (code, _, stderr) = run(&["customer", "erase", "c-1", "--dir", &vault]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("nothing was done") && stderr.contains("--yes"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_does_not_run_is_named_with_the_command_that_starts_it() {
    let (_dir, vault) = vault();
    let data = Path::new(&vault).join("data").join("server.address");
    // Nothing listens on the discard port.
    std::fs::write(data, "127.0.0.1:9").unwrap();
    let arguments = [
        "key", "status", "--dir", &vault, "--as", "security", "--json",
    ];
    let (code, stdout, stderr) = run(&arguments);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("oubliette serve --dir"), "{stderr}");
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["error"]["reason"], "CLIENT_SETUP");
    let (_, _, stderr) = run(&["key", "status", "--dir", &vault, "--as", "checkout"]);
    assert!(stderr.contains("acme/checkout") && stderr.contains("globex/checkout"));
    let (_, _, stderr) = run(&["key", "status", "--dir", &vault]);
    assert!(stderr.contains("--as"), "{stderr}");
}

#[test]
fn a_value_that_does_not_fit_is_refused_before_any_call_and_never_repeated() {
    let (_dir, vault) = vault();
    let put = |field: &str| {
        run(&[
            "record", "put", "c-1/main", field, "--type", "contact", "--dir", &vault, "--as",
            "importer",
        ])
    };
    for field in ["birth_date=Secretive", "birthdate=Secretive", "Secretive"] {
        let (code, stdout, stderr) = put(field);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{field}: {stderr}");
        assert!(!stderr.contains("Secretive"), "{field}: {stderr}");
    }
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_its_first_row() {
    let (dir, vault) = vault();
    let import = |csv: &str| {
        let file = dir.path().join("customers.csv");
        std::fs::write(&file, csv).unwrap();
        let file = file.display().to_string();
        run(&[
            "import",
            &file,
            "--type",
            "contact",
            "--id-column",
            "customer_id",
            "--dir",
            &vault,
            "--as",
            "importer",
        ])
    };
    let (code, _, stderr) = import("customer_id,shoe_size\nc-1,Secretive\n");
    assert!(code == Some(2) && stderr.contains("shoe_size") && stderr.contains("--ignore"));
    assert!(!stderr.contains("Secretive"));
    let (code, _, stderr) = import("id,given_name\nc-1,Ada\n");
    assert!(
        code == Some(2) && stderr.contains("the columns id;"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&[
        "import",
        "none.csv",
        "--type",
        "contact",
        "--id-column",
        "customer_id",
        "--dir",
        &vault,
        "--as",
        "importer",
    ]);
    assert!(
        code == Some(1) && stderr.contains("none.csv cannot be read"),
        "{stderr}"
    );
}
