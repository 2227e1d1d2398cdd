//! Dangers of a configuration: each is refused with what, why and what next,
//! and only the flag that names it lets it pass. `UPDATE_KEYS_EXAMPLE=1` makes
//! the worthless keys of `keys-example/` anew; the test then says which hashes
//! belong in `src/config/check.rs`.

// Tests may fail loudly, their helpers too.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use oubliette::cli::init::{CONFIG, Layout, init};
use oubliette::cli::pki::Authority;
use oubliette::config::Config;
use oubliette::config::check::{Allowances, EXAMPLE_ORGANISATION, is_example_key};
use oubliette::id::{ServiceName, TenantName};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Once;
use tempfile::TempDir;

struct Vault {
    dir: TempDir,
}

impl Vault {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let vault = Self { dir };
        init(&vault.path(""), &Layout::default()).expect("laid out");
        vault.put("keys/epoch-00000001.key", "a key", 0o600);
        vault
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("vault").join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
    }

    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(CONFIG)).expect("read");
        assert!(text.contains(from), "{from}");
        self.put(CONFIG, text.replacen(from, to, 1), 0o600);
    }

    fn without_tls(&self) {
        let text = fs::read_to_string(self.path(CONFIG)).expect("read");
        let (before, rest) = text.split_once("[tls]").expect("TLS");
        let (_, after) = rest.split_once("[log]").expect("a log");
        let named = "plaintext_principal = \"acme/checkout\"\n";
        self.put(CONFIG, format!("{named}{before}[log]{after}"), 0o600);
    }

    fn check(&self, allowed: Allowances) -> Result<Vec<String>, String> {
        let config = Config::load(&self.path(CONFIG)).map_err(|e| e.to_string())?;
        config.check(&allowed).map_err(|e| e.to_string())
    }

    /// It is refused with these words and its flag, every other flag leaves it
    /// refused, and its own lets it pass.
    fn refused(&self, words: &[&str], flag: &str) {
        let message = self.check(Allowances::default()).expect_err("a danger");
        assert!(message.contains(&format!("give {flag}")), "{message}");
        for word in words {
            assert!(message.contains(word), "{word} is not in: {message}");
        }
        let all = [
            (
                "--allow-example-keys",
                Allowances {
                    allow_example_keys: true,
                    ..none()
                },
            ),
            (
                "--allow-readable-keys",
                Allowances {
                    allow_readable_keys: true,
                    ..none()
                },
            ),
            (
                "--allow-keys-beside-data",
                Allowances {
                    allow_keys_beside_data: true,
                    ..none()
                },
            ),
            (
                "--allow-plaintext",
                Allowances {
                    allow_plaintext: true,
                    ..none()
                },
            ),
            (
                "--allow-plaintext-off-loopback",
                Allowances {
                    allow_plaintext_off_loopback: true,
                    ..none()
                },
            ),
        ];
        for (name, allowed) in all {
            // Who allows it on a network allows it on this machine.
            let covers = name == flag || name.starts_with(&format!("{flag}-"));
            let checked = self.check(allowed);
            assert_eq!(checked.is_ok(), covers, "{name}: {message}");
            let said = checked.unwrap_or_default();
            let is_said = said.iter().any(|warning| warning.contains(flag));
            assert_eq!(is_said, covers, "{name}: {said:?}");
        }
    }
}

fn none() -> Allowances {
    Allowances::default()
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    for mode in [0o640, 0o604, 0o620, 0o660] {
        let vault = Vault::new();
        vault.put("keys/epoch-00000001.key", "a key", mode);
        vault.refused(
            &["chmod 600", "epoch-00000001.key"],
            "--allow-readable-keys",
        );
    }
    let vault = Vault::new();
    let key = fs::read(vault.path("pki/server.key")).expect("a key");
    vault.put("pki/server.key", key, 0o640);
    vault.refused(&["chmod 600", "server.key"], "--allow-readable-keys");
}

#[test]
fn a_key_directory_that_others_can_enter_is_refused() {
    let vault = Vault::new();
    let open = fs::Permissions::from_mode(0o750);
    fs::set_permissions(vault.path("keys"), open).expect("changed");
    vault.refused(&["chmod 700"], "--allow-readable-keys");
}

#[test]
fn keys_inside_the_data_directory_are_refused_however_they_got_there() {
    let vault = Vault::new();
    fs::rename(vault.path("keys"), vault.path("data/keys")).expect("moved");
    vault.change("directory = \"keys\"", "directory = \"data/keys\"");
    vault.change("log = \"keys", "log = \"data/keys");
    vault.change("vault = \"keys", "vault = \"data/keys");
    vault.refused(
        &["lies in the data directory", "move it"],
        "--allow-keys-beside-data",
    );

    let vault = Vault::new();
    fs::rename(vault.path("keys"), vault.path("data/keys")).expect("moved");
    symlink(vault.path("data/keys"), vault.path("keys")).expect("a link");
    vault.refused(&["lies in the data directory"], "--allow-keys-beside-data");

    let vault = Vault::new();
    vault.change("directory = \"keys\"", "directory = \"config/../data\"");
    vault.refused(&["lies in the data directory"], "--allow-keys-beside-data");

    let vault = Vault::new();
    fs::rename(vault.path("keys/log.key"), vault.path("data/log.key")).expect("moved");
    vault.change("log = \"keys", "log = \"data");
    vault.refused(&["log.key lies in the data"], "--allow-keys-beside-data");

    let vault = Vault::new();
    fs::rename(vault.path("pki"), vault.path("data/pki")).expect("moved");
    vault.change("key = \"pki", "key = \"data/pki");
    vault.change("certificate = \"pki", "certificate = \"data/pki");
    vault.change("client_ca = \"pki", "client_ca = \"data/pki");
    vault.refused(&["server.key lies in the data"], "--allow-keys-beside-data");
}

#[test]
fn plain_text_is_refused_on_loopback_and_more_so_off_it() {
    let vault = Vault::new();
    vault.without_tls();
    vault.refused(
        &["every user of this machine", "add [tls]"],
        "--allow-plaintext",
    );
    for address in ["0.0.0.0:7443", "[::]:7443", "192.0.2.1:7443"] {
        let vault = Vault::new();
        vault.without_tls();
        vault.change("127.0.0.1:7443", address);
        vault.refused(&["reads along", address], "--allow-plaintext-off-loopback");
    }
}

#[test]
fn listening_off_loopback_with_tls_is_no_danger() {
    let vault = Vault::new();
    vault.change("127.0.0.1:7443", "0.0.0.0:7443");
    vault.check(none()).expect("TLS");
}

#[test]
fn all_dangers_are_told_at_once() {
    let vault = Vault::new();
    vault.without_tls();
    vault.put("keys/epoch-00000001.key", "a key", 0o644);
    let message = vault.check(none()).expect_err("two dangers");
    assert_eq!(message.lines().count(), 2, "{message}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let vault = Vault::new();
    fs::remove_file(vault.path("pki/server.key")).expect("removed");
    let message = vault.check(none()).expect_err("a key is missing");
    assert!(message.contains("server.key cannot be read"), "{message}");
    let vault = Vault::new();
    fs::remove_dir_all(vault.path("keys")).expect("removed");
    let message = vault.check(none()).expect_err("the keys are missing");
    assert!(message.contains("keys cannot be listed"), "{message}");
}

// keys-example/

const SECRETS: &[&str] = &[
    "pki/ca.key",
    "pki/server.key",
    "pki/clients/acme.checkout.key",
    "keys/epoch-00000001.key",
];

fn examples() -> PathBuf {
    static MADE: Once = Once::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys-example");
    MADE.call_once(|| {
        if std::env::var_os("UPDATE_KEYS_EXAMPLE").is_some() {
            make_examples(&examples);
        }
    });
    examples
}

fn make_examples(examples: &Path) {
    for folder in ["pki", "keys"] {
        let folder = examples.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("removed");
        }
    }
    let pki = examples.join("pki");
    let authority = Authority::create(&pki, EXAMPLE_ORGANISATION).expect("an authority");
    authority.issue_server(&pki, &[]).expect("a server");
    let (tenant, service) = (TenantName::parse("acme"), ServiceName::parse("checkout"));
    authority
        .issue_client(
            &pki,
            "oubliette.internal",
            &tenant.expect("one"),
            &service.expect("one"),
        )
        .expect("a client");
    fs::create_dir(examples.join("keys")).expect("made");
    // Worthless on purpose: hexadecimal digits that say so.
    let digits = hex::encode(b"worthless! worthless! worthless!");
    let key = format!("oubliette provider key, version 1\n{digits}\n");
    fs::write(examples.join("keys/epoch-00000001.key"), key).expect("written");
}

#[test]
fn every_example_key_is_known_and_a_key_of_ones_own_is_not() {
    let examples = examples();
    let unknown: Vec<String> = SECRETS
        .iter()
        .filter(|name| !is_example_key(&examples.join(name)).expect("readable"))
        .map(|name| {
            let file = examples.join(name);
            format!(
                "{name}: {}",
                oubliette::config::check::fingerprint(&file).expect("a hash")
            )
        })
        .collect();
    assert!(unknown.is_empty(), "add to EXAMPLE_KEYS: {unknown:#?}");
    let vault = Vault::new();
    for own in ["pki/ca.key", "pki/server.key", "keys/epoch-00000001.key"] {
        assert!(
            !is_example_key(&vault.path(own)).expect("readable"),
            "{own}"
        );
    }
}

#[test]
fn example_keys_are_refused_each_by_itself() {
    let example = |name: &str| fs::read_to_string(examples().join(name)).expect(name);
    let flag = "--allow-example-keys";
    let vault = Vault::new();
    vault.put(
        "keys/epoch-00000001.key",
        example("keys/epoch-00000001.key"),
        0o600,
    );
    vault.refused(
        &["epoch-00000001.key is an example", "oubliette init"],
        flag,
    );

    let vault = Vault::new();
    let key = example("pki/server.key");
    vault.put(
        "pki/server.key",
        format!("# mine\r\n{}", key.replace('\n', "\r\n")),
        0o600,
    );
    vault.refused(&["server.key is an example"], flag);

    for certificate in ["pki/server.pem", "pki/ca.pem"] {
        let vault = Vault::new();
        vault.put(certificate, example(certificate), 0o644);
        vault.refused(&["is an example that everybody has"], flag);
    }

    // Beside an authority of one's own the example's would still let everybody in.
    let vault = Vault::new();
    let own = fs::read_to_string(vault.path("pki/ca.pem")).expect("ca.pem");
    vault.put(
        "pki/ca.pem",
        format!("{own}{}", example("pki/ca.pem")),
        0o644,
    );
    vault.refused(&["ca.pem is an example"], flag);
}
