//! Strings that the IAB Tech Lab's own library wrote and read
//! (`tests/node/tc_strings.mjs`), and what is no string.

use super::*;
use crate::access::import::until;
use crate::clock::Day;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

#[derive(Deserialize)]
struct Vector {
    string: String,
    created: i64,
    updated: i64,
    consents: u32,
    interests: u32,
    vendors: Vec<Own>,
}

#[derive(Deserialize)]
struct Own {
    vendor: u16,
    consents: u32,
    interests: u32,
}

const NOW: Instant = Instant::from_micros(1_800_000_000_000_000);

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tc_strings.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bits(says: impl Fn(u8) -> bool) -> u32 {
    let all = 1..=limits::TCF_PURPOSES;
    all.filter(|purpose| says(*purpose))
        .map(|purpose| 1 << (purpose - 1))
        .sum()
}

fn says_the_same(vector: &Vector) {
    let read = TcString::read(&vector.string, NOW).unwrap();
    let millis = |at: Instant| at.micros() / 1_000;
    assert_eq!(millis(read.created), vector.created, "{}", vector.string);
    assert_eq!(millis(read.updated), vector.updated, "{}", vector.string);
    let consents = bits(|purpose| read.consents(purpose, None));
    assert_eq!(consents, vector.consents, "{}", vector.string);
    let interests = bits(|purpose| read.lets(purpose, None));
    assert_eq!(interests, vector.interests, "{}", vector.string);
    for own in &vector.vendors {
        let consents = bits(|purpose| read.consents(purpose, Some(own.vendor)));
        assert_eq!(consents, own.consents, "{} {}", own.vendor, vector.string);
        let interests = bits(|purpose| read.lets(purpose, Some(own.vendor)));
        assert_eq!(interests, own.interests, "{} {}", own.vendor, vector.string);
    }
}

#[test]
fn a_string_says_what_the_frameworks_own_library_reads_in_it() {
    let vectors = vectors();
    assert!(vectors.len() >= 50);
    vectors.iter().for_each(says_the_same);
    let own = |vector: &Vector| vector.vendors.iter().any(|own| own.consents != 0);
    assert!(vectors.iter().filter(|vector| own(vector)).count() > 10);
}

#[test]
fn so_do_strings_that_it_writes_now() {
    let Some(node) = std::env::var_os("OUBLIETTE_TEST_NODE") else {
        eprintln!("did not run: OUBLIETTE_TEST_NODE names no Node");
        return;
    };
    let seed = u32::from_be_bytes(crate::crypto::random_bytes().unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(node)
        .arg(root.join("tests/node/tc_strings.mjs"))
        .args(["500", &seed.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {said}");
    let vectors: Vec<Vector> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(vectors.len(), 500, "seed {seed}");
    vectors.iter().for_each(says_the_same);
}

#[test]
fn what_is_cut_off_is_refused_unless_only_what_fills_up_is_gone() {
    let mut refused = 0;
    for vector in vectors() {
        let whole = TcString::read(&vector.string, NOW).unwrap();
        for end in 0..vector.string.len() {
            // Without its last segments a string is another string, and whole.
            let cut = vector.string.get(..end).unwrap();
            let segments = |text: &str| text.split('.').count();
            match TcString::read(cut, NOW) {
                Err(_) => refused += 1,
                Ok(read) if segments(cut) == segments(&vector.string) => assert!(read == whole),
                Ok(_) => {}
            }
        }
    }
    assert!(refused > 5_000, "{refused}");
}

/// A string with some of its bits set to something else.
fn with(at: usize, length: usize, value: u64) -> String {
    let mut bytes = bytes(&core()).unwrap();
    for bit in 0..length {
        let (at, is_set) = (at + bit, value >> (length - 1 - bit) & 1 == 1);
        let mask = 0x80 >> (at % 8);
        bytes[at / 8] = bytes[at / 8] & !mask | if is_set { mask } else { 0 };
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn core() -> String {
    let vectors = vectors();
    let first = vectors.iter().find(|v| !v.string.contains('.')).unwrap();
    first.string.clone()
}

#[test]
fn what_is_no_string_is_refused_by_the_rule_that_it_breaks() {
    let tenths = |at: Instant| u64::try_from(at.micros() / 100_000).unwrap();
    let (core, publisher) = (core(), "YAAAAAAAAAA");
    assert!(TcString::read(&format!("{core}.{publisher}"), NOW).is_ok());
    assert!(TcString::read(&with(6, 36, tenths(NOW) - 1), NOW).is_err());
    for (text, rule) in [
        (String::new(), "must be whole"),
        (
            "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA".to_owned(),
            "version 2",
        ),
        (with(0, 6, 3), "version 2"),
        (with(42, 36, tenths(NOW) + 1), "LastUpdated in the future"),
        (with(42, 36, 0), "not before its Created"),
        (with(108, 6, 26), "ConsentLanguage"),
        (with(201, 6, 63), "PublisherCC"),
        (format!("{core}="), "base64url"),
        (format!("{core} "), "base64url"),
        (format!("{core}+"), "base64url"),
        (format!("{core}."), "must be whole"),
        (format!("{core}.AAAA"), "segments of type"),
        (format!("{core}.{publisher}.{publisher}"), "twice"),
        (format!("{core}____"), "end with its last field"),
        (format!("{core}{}", "A".repeat(4_096)), "4,096 bytes"),
    ] {
        let refused = TcString::read(&text, NOW).unwrap_err();
        assert!(refused.contains(rule), "{rule}: {refused}: {text}");
    }
}

#[test]
fn a_string_is_relied_on_for_thirteen_months_of_thirty_days() {
    let updated = Instant::from_micros(86_400_000_000 * 20_000);
    assert_eq!(until(updated), Day(20_390));
    assert_eq!(limits::TC_STRING_BYTES, 4_096, "as the rule says");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[A-Za-z0-9_.-]{0,300}") {
        let _ = TcString::read(&format!("C{text}"), NOW);
        let _ = TcString::read(&text, NOW);
    }
}
