//! What is kept in one place: words that may stand in some rooms only.

use crate::none;
use crate::source::{has_word, sources};

/// The rooms that speak to the network; every other is free of its types.
const NETWORK: &[&str] = &["grpc", "serve", "client", "cli"];
/// Rooms that are pure and synchronous.
const PURE: &[&str] = &[
    "id", "secret", "error", "clock", "limits", "crypto", "catalog", "access",
];

/// Words and the rooms that may use them.
struct Rule {
    words: &'static [&'static str],
    allowed: fn(room: &str) -> bool,
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["tonic", "tonic_types", "tonic_health", "tonic_reflection"],
        allowed: |room| NETWORK.contains(&room),
        why: "the vault does not know what carries it",
    },
    Rule {
        words: &["prost", "prost_types", "tonic_prost"],
        allowed: |room| NETWORK.contains(&room),
        why: "the vault does not know what carries it",
    },
    Rule {
        words: &["tokio", "tokio_stream", "tokio_rustls"],
        allowed: |room| !PURE.contains(&room),
        why: "what decides and what seals is synchronous",
    },
    Rule {
        words: &["rusqlite"],
        allowed: |room| room == "store",
        why: "one room knows the database",
    },
    Rule {
        words: &["aes_gcm", "hmac"],
        allowed: |room| room == "crypto",
        why: "one room seals",
    },
    Rule {
        words: &["sha2"],
        allowed: |room| ["crypto", "audit"].contains(&room),
        why: "nothing that a customer said is hashed without a key",
    },
    Rule {
        words: &["rand", "getrandom", "SysRng", "OsRng", "SystemRandom"],
        allowed: |room| room == "crypto",
        why: "keys and salts are drawn in one room",
    },
    Rule {
        words: &["cedar_policy"],
        allowed: |room| room == "access",
        why: "one room decides",
    },
];

/// Uses that are meant: (file, word, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "src/catalog/load.rs",
        "sha2",
        "a catalog is known by the digest of its files",
    ),
    (
        "src/catalog/notice.rs",
        "sha2",
        "a notice is known by the digest of its published text",
    ),
    (
        "src/vault/review/tilt.rs",
        "sha2",
        "a notice for programs names the digest of itself; it is there to be published",
    ),
    (
        "src/vault/consent/event.rs",
        "sha2",
        "a chain of events hangs on digests of their sealed forms",
    ),
    (
        "src/vault/certificate/document.rs",
        "sha2",
        "a signed document is known by its digest; whom it is about is a MAC in it",
    ),
    (
        "src/store/sqlite/keys_file.rs",
        "sha2",
        "a destroyed key's fingerprint is a digest of its wrapped form, which is random",
    ),
    (
        "src/store/sqlite/generations.rs",
        "sha2",
        "a destroyed key's fingerprint is a digest of its wrapped form, which is random",
    ),
    (
        "src/store/sqlite/pack.rs",
        "sha2",
        "parts of keys.db are told apart by digests of wrapped keys, which are random",
    ),
    (
        "src/backup/ledger.rs",
        "sha2",
        "the ledger is chained; it holds numbers and fingerprints only",
    ),
    (
        "src/backup/manifest.rs",
        "sha2",
        "files of a key backup are known by their digests; they are encrypted",
    ),
    (
        "src/vault/request.rs",
        "sha2",
        "a request id's scope is the caller and a UUID, neither a customer's word",
    ),
    (
        "src/vault/keyring.rs",
        "sha2",
        "a tenant's name is the operator's word; its digest binds the tenant's key to it",
    ),
    (
        "src/keys/signing.rs",
        "sha2",
        "a public key's id is a digest of it (C2SP signed-note)",
    ),
    (
        "src/serve/reload.rs",
        "sha2",
        "files of the configuration are read again when their digest changes",
    ),
    (
        "src/config/check.rs",
        "sha2",
        "the public example keys are known by their digests",
    ),
    (
        "src/cli/import/ids.rs",
        "hmac",
        "request ids of an import, under the caller's own key and not the vault's",
    ),
    (
        "src/cli/import/ids.rs",
        "sha2",
        "the digest inside that HMAC",
    ),
];

/// Files outside `grpc/` that meet a status, none of them on the vault's wire.
const MEETS_STATUS: &[(&str, &str)] = &[
    ("src/client.rs", "the client is answered with a status"),
    (
        "src/client/failure.rs",
        "it reads what the client was answered",
    ),
    (
        "src/cli/bench/echo.rs",
        "a bare echo server to measure against",
    ),
    ("src/cli/bench/load.rs", "the load generator is a client"),
    ("src/cli/bench/mod.rs", "the load generator is a client"),
];

/// What only SQL says. Upper case, as SQL is written here.
const SQL: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "REPLACE INTO ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "PRAGMA ",
    "VACUUM",
    "BEGIN IMMEDIATE",
];

#[test]
fn each_word_stays_in_its_rooms() {
    let mut findings = Vec::new();
    for source in sources() {
        if ["lib", "main"].contains(&source.room()) {
            continue;
        }
        for rule in RULES.iter().filter(|rule| !(rule.allowed)(source.room())) {
            for word in rule.words {
                let meant = EXCEPTIONS
                    .iter()
                    .any(|(path, exempt, _)| (*path, exempt) == (source.path.as_str(), word));
                for line in source.lines_with(word) {
                    if !meant {
                        findings.push(format!("{}:{line}: {word}: {}", source.path, rule.why));
                    }
                }
            }
        }
    }
    none(&findings, "some words stay in their rooms");
}

/// `grpc::status` alone turns an error into a status.
#[test]
fn tonic_status_is_made_in_grpc_only() {
    let mut findings = Vec::new();
    for source in sources() {
        let meant = MEETS_STATUS.iter().any(|(path, _)| *path == source.path);
        if source.room() == "grpc" || meant {
            continue;
        }
        let imports = source.code.split(';').any(|statement| {
            has_word(statement, "use")
                && has_word(statement, "tonic")
                && has_word(statement, "Status")
        });
        if imports || source.code.contains("tonic::Status") {
            findings.push(source.path);
        }
    }
    none(&findings, "tonic::Status stays in grpc/");
}

#[test]
fn every_exception_is_needed() {
    let all = sources();
    let holds = |path: &str, word: &str| {
        all.iter()
            .any(|source| source.path == path && !source.lines_with(word).is_empty())
    };
    let words = EXCEPTIONS.iter().map(|(path, word, _)| (*path, *word));
    let statuses = MEETS_STATUS.iter().map(|(path, _)| (*path, "Status"));
    let findings: Vec<String> = words
        .chain(statuses)
        .filter(|(path, word)| !holds(path, word))
        .map(|(path, word)| format!("{path}: {word}"))
        .collect();
    none(&findings, "an exception that nothing needs is taken back");
}

#[test]
fn sql_stands_under_store_only() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.room() != "store") {
        for (line, literal) in &source.literals {
            if SQL.iter().any(|word| literal.contains(word)) {
                findings.push(format!("{}:{line}: {literal}", source.path));
            }
        }
    }
    none(&findings, "SQL stays in store/");
}

#[test]
fn no_module_is_named_after_nothing() {
    let findings: Vec<String> = sources()
        .into_iter()
        .filter(|source| {
            source.path.split(['/', '.']).any(|part| {
                [
                    "util", "utils", "common", "helper", "helpers", "types", "misc",
                ]
                .contains(&part)
            })
        })
        .map(|source| source.path)
        .collect();
    none(&findings, "a module is named after what it does");
}

/// A limit that nothing holds is a promise that nothing keeps.
#[test]
fn every_limit_is_used() {
    let all = sources();
    let limits = all
        .iter()
        .find(|s| s.path == "src/limits.rs")
        .expect("limits");
    let names: Vec<&str> = limits
        .code
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split(':').next())
        .collect();
    assert!(names.len() > 40, "the limits were found");
    let findings: Vec<String> = names
        .into_iter()
        .filter(|name| {
            !all.iter()
                .any(|s| s.path != "src/limits.rs" && !s.lines_with(name).is_empty())
        })
        .map(str::to_owned)
        .collect();
    none(&findings, "every limit of src/limits.rs is used in src/");
}
