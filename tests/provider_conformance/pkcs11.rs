//! PKCS#11, over a SoftHSM2 token in a directory of the test. SoftHSM2 takes
//! its directory from the environment, so that the tests run in processes of
//! their own: each `#[ignore]`d test here is started by the one above it.

use crate::suite::{OURS, conforms, place};
use crate::token::{self, module, private};
use oubliette::crypto::MasterKey;
use oubliette::error::{Error, Unavailable};
use oubliette::keys::KeyProvider;
use oubliette::keys::pkcs11::{Pkcs11Provider, Place};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

const HOME: &str = "OUBLIETTE_TEST_TOKEN";

/// Runs the ignored test of that name with a new token.
fn inside(test: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(conf) = token::make(dir.path()) else {
        return;
    };
    let ran = Command::new(std::env::current_exe().expect("this test"))
        .args([
            &format!("pkcs11::{test}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(token::CONF, &conf)
        .env(HOME, dir.path())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&ran.stdout);
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{why}"
    );
}

fn labelled(label: &str) -> (Place, PathBuf) {
    let home = PathBuf::from(std::env::var_os(HOME).expect("started by another test"));
    let place = Place {
        module: module().expect("SoftHSM2"),
        token: label.to_owned(),
        pin: home.join("pin"),
    };
    (place, home)
}

fn provider(place: &Place) -> Pkcs11Provider {
    Pkcs11Provider::new(place.clone()).expect("a provider")
}

#[test]
fn a_token_conforms() {
    inside("conforms_inside");
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn conforms_inside() {
    let (place, _) = labelled("oubliette");
    conforms(|| Arc::new(provider(&place)), true);
}

#[test]
fn a_token_that_is_not_there_or_refuses_is_said() {
    inside("refuses_inside");
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn refuses_inside() {
    let (there, home) = labelled("oubliette");
    let (absent, _) = labelled("another");
    let down = Error::Unavailable(Unavailable::KeyProvider);
    assert_eq!(provider(&absent).state("x"), Err(down));
    let no_library = Place {
        module: home.join("nothing.so"),
        ..there.clone()
    };
    let refused = provider(&no_library).state("x").expect_err("no library");
    assert!(
        refused.to_string().contains("cannot be loaded"),
        "{refused}"
    );

    private(&there.pin, "000000\n");
    let wrong = provider(&there);
    for _ in 0..20 {
        let refused = wrong.state("x").expect_err("a wrong PIN").to_string();
        assert!(refused.contains("refuses the PIN") && !refused.contains("000000"));
    }
    private(&there.pin, "123456\n");
    let name = wrong
        .create(OURS, 1)
        .expect("the token is not locked, the new PIN is read");
    let (here, master) = (place(OURS, 1), MasterKey::generate().expect("a key"));
    assert!(wrong.wrap(&name, &here, &master).is_ok());
    fs::set_permissions(&there.pin, fs::Permissions::from_mode(0o644)).expect("0644");
    let refused = provider(&there).state("x").expect_err("a readable PIN");
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

/// A whole vault over the token: founded, served, sealed and unsealed, started
/// again.
#[test]
fn a_vault_keeps_its_keys_in_a_token() {
    inside("vault_inside");
}

fn oubliette(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(arguments)
        .output();
    let ran = ran.expect("it runs");
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {why}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn vault_inside() {
    let (_, home) = labelled("oubliette");
    let providers = home.join("providers.toml");
    private(&providers, &format!("[provider]\n{}", token::table(&home)));
    let (vault, providers) = (home.join("vault"), providers.display().to_string());
    let dir = vault.display().to_string();
    oubliette(&["init", "--providers", &providers, &dir]);
    oubliette(&["config", "check", "--dir", &dir]);
    let as_security = ["--as", "acme/security", "--dir", &dir];
    for _ in 0..2 {
        let mut server = Command::new(env!("CARGO_BIN_EXE_oubliette"))
            .args(["serve", "--until-stdin-closes", "--listen", "127.0.0.1:0"])
            .args(["--metrics", "127.0.0.1:0", "--dir", &dir])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let stdout = server.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert!(line.starts_with("listening on "), "{line}");
        let told = oubliette(&[&["seal-status"], &as_security[..]].concat());
        assert!(told.contains("is unsealed"), "{told}");
        let told = oubliette(&[&["key", "status"], &as_security[..]].concat());
        assert!(told.contains("pkcs11") && told.contains("hsm"), "{told}");
        oubliette(&[&["seal"], &as_security[..]].concat());
        oubliette(&[&["unseal"], &as_security[..]].concat());
        drop(server.stdin.take());
        let ended = server.wait().expect("it ends");
        assert!(ended.success(), "{ended}");
    }
}
