//! PKCS#11, over a SoftHSM2 token in a directory of the test. SoftHSM2 takes
//! its directory from the environment, so that the tests run in processes of
//! their own: each `#[ignore]`d test here is started by the one above it.

use crate::suite::{OURS, conforms, place};
use oubliette::crypto::MasterKey;
use oubliette::error::{Error, Unavailable};
use oubliette::keys::KeyProvider;
use oubliette::keys::pkcs11::{Pkcs11Provider, Place};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const HOME: &str = "OUBLIETTE_TEST_TOKEN";

fn module() -> Option<PathBuf> {
    MODULES
        .map(PathBuf::from)
        .into_iter()
        .find(|at| at.exists())
}

/// Runs the ignored test of that name with a new token.
fn inside(test: &str) {
    let Some(module) = module() else {
        assert!(std::env::var_os("CI").is_none(), "SoftHSM2 is missing");
        return eprintln!("not run: install softhsm2");
    };
    let dir = tempfile::tempdir().expect("a directory");
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).expect("a directory");
    let conf = dir.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&conf, text).expect("a configuration");
    private(&dir.path().join("pin"), "123456\n");
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "oubliette",
            "--so-pin",
            "654321",
            "--pin",
            "123456",
        ])
        .arg("--module")
        .arg(module)
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("softhsm2-util");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let ran = Command::new(std::env::current_exe().expect("this test"))
        .args([
            &format!("pkcs11::{test}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("SOFTHSM2_CONF", &conf)
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

fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("0600");
}

fn token(label: &str) -> (Place, PathBuf) {
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
    let (place, _) = token("oubliette");
    conforms(|| Box::new(provider(&place)), true);
}

#[test]
fn a_token_that_is_not_there_or_refuses_is_said() {
    inside("refuses_inside");
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn refuses_inside() {
    let (there, home) = token("oubliette");
    let (absent, _) = token("another");
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
    let (there, home) = token("oubliette");
    let providers = home.join("providers.toml");
    let table = format!(
        "[provider]\nkind = \"pkcs11\"\nmodule = \"{}\"\ntoken = \"oubliette\"\npin = \"{}\"\n",
        there.module.display(),
        there.pin.display()
    );
    private(&providers, &table);
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
