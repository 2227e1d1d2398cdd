//! What a verifier must say no to, also where the vault's own key signed it.

use super::document::{
    Certificate, EpochOf, Event, Exception, KeyGone, LogProof, Opening, Part, Reached, Records,
    Signed, canonical, sha256_text, signed_bytes,
};
use super::facts::blank;
use super::verify::{Doubt, verify};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::{Hash, Nodes, inclusion, leaf_hash, node_hash, root};
use crate::crypto::certificate::subject;
use crate::error::Result;
use crate::keys::signing::SigningKey;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The vault's key and two logs' keys.
struct Keys {
    vault: SigningKey,
    log: SigningKey,
    other: SigningKey,
}

fn keys() -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let path = dir.path().join(name);
        SigningKey::create(&path).unwrap();
        SigningKey::load(&path, format!("crm.example/{name}")).unwrap()
    };
    Keys {
        vault: make("vault"),
        log: make("log"),
        other: make("other"),
    }
}

fn shred_leaf(fingerprint: &str) -> String {
    format!(
        r#"{{"v":1,"verdict":"shredded","fact":{{"shredded":{{"keys":"{fingerprint}","epoch":7}}}}}}"#
    )
}

struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        if level == 0 {
            return Ok(self.0[usize::try_from(index).unwrap()]);
        }
        let (left, right) = (
            self.node(level - 1, index * 2)?,
            self.node(level - 1, index * 2 + 1)?,
        );
        Ok(node_hash(&left, &right))
    }
}

/// A log of `size` entries with a shred leaf as entry `index`.
fn logged(key: &SigningKey, fingerprint: &str, index: usize, size: usize) -> LogProof {
    logged_leaf(key, shred_leaf(fingerprint), index, size)
}

fn logged_leaf(key: &SigningKey, leaf: String, index: usize, size: usize) -> LogProof {
    let mut entries: Vec<String> = (0..size).map(|n| format!("entry {n}")).collect();
    entries[index] = leaf;
    let hashes = entries.iter().map(|entry| leaf_hash(entry.as_bytes()));
    let path = inclusion(&mut Leaves(hashes.collect()), index as u64, size as u64).unwrap();
    let checkpoint = Checkpoint {
        origin: key.public().name().to_owned(),
        size: size as u64,
        root: root(&entries),
    };
    let entry = BASE64_STANDARD.encode(&entries[index]);
    let path: String = path
        .iter()
        .map(|node| BASE64_STANDARD.encode(node) + "\n")
        .collect();
    let note = checkpoint.sign(key);
    LogProof {
        key: key.public().to_string(),
        proof: format!("c2sp.org/tlog-proof@v1\nextra {entry}\nindex {index}\n{path}\n{note}"),
    }
}

/// A proof with another checkpoint under it.
fn onto(proof: &LogProof, other: &LogProof) -> String {
    let (above, _) = proof.proof.split_once("\n\n").unwrap();
    let (_, note) = other.proof.split_once("\n\n").unwrap();
    format!("{above}\n\n{note}")
}

/// A proof without line `at` of its path, or with another in its place.
fn with_line(proof: &LogProof, at: usize, line: &str) -> String {
    let mut lines: Vec<&str> = proof.proof.split('\n').collect();
    match line {
        "" => drop(lines.remove(at)),
        line => lines[at] = line,
    }
    lines.join("\n")
}

fn certificate(keys: &Keys) -> Certificate {
    let fingerprint = sha256_text(b"keys");
    let event = |level, day: &str| Event {
        level,
        day: day.to_owned(),
    };
    Certificate {
        vault: "00".repeat(16),
        tenant: "acme".to_owned(),
        subject: hex::encode(subject(&[7; 32], "acme", "c-1")),
        name_sha256: sha256_text(b"certificates/x"),
        issue: 3,
        issued: "2026-11-25".to_owned(),
        level: Reached::Closed,
        events: vec![
            event(Reached::Shredded, "2026-11-23"),
            event(Reached::Purged, "2026-11-24"),
            event(Reached::Closed, "2026-11-25"),
        ],
        keys: vec![KeyGone {
            key: "identity/7".to_owned(),
            sha256: sha256_text(b"one"),
        }],
        log: Some(logged(&keys.log, &fingerprint, 20, 37)),
        fingerprint,
        epoch: EpochOf {
            number: 7,
            assurance: "hsm".to_owned(),
            destroyed: true,
            final_by: Some("2026-11-25".to_owned()),
        },
        records: Records {
            there_were: 12,
            purged: 12,
        },
        ..blank()
    }
}

/// Of a customer of whom something is held.
fn in_part(keys: &Keys) -> Certificate {
    let fingerprint = sha256_text(b"generation 2");
    let leaf = format!(
        r#"{{"v":1,"verdict":"allowed","fact":{{"shredded_in_part":{{"keys":"{fingerprint}","epoch":6,"generation":2}}}}}}"#
    );
    let part = Part {
        what: vec!["card.email".to_owned(), "memo".to_owned()],
        level: Reached::Closed,
        day: "2026-11-20".to_owned(),
        generation: 2,
        keys: 1,
        fingerprint,
        epoch: EpochOf {
            number: 6,
            assurance: "hsm".to_owned(),
            destroyed: true,
            final_by: Some("2026-11-21".to_owned()),
        },
        log: Some(logged_leaf(&keys.log, leaf, 9, 37)),
    };
    let whole = certificate(keys);
    Certificate {
        level: Reached::Restricted,
        events: vec![Event {
            level: Reached::Restricted,
            day: "2026-11-20".to_owned(),
        }],
        keys: Vec::new(),
        fingerprint: String::new(),
        epoch: blank().epoch,
        records: blank().records,
        exceptions: vec![Exception {
            what: "card.name".to_owned(),
            code: "eu-gdpr:A17-3-e".to_owned(),
            authority: Some("a court".to_owned()),
        }],
        parts: vec![part],
        log: None,
        ..whole
    }
}

#[test]
fn one_in_part_says_of_each_side_what_it_is_and_nothing_of_the_end() {
    type Change = fn(&mut Certificate, &Keys);
    let changes: [(&str, Change, Doubt); 11] = [
        ("nothing erased", |c, _| c.parts.clear(), Doubt::Events),
        ("no event", |c, _| c.events.clear(), Doubt::Events),
        (
            "called shredded",
            |c, _| c.level = Reached::Shredded,
            Doubt::Events,
        ),
        (
            "a key of the end",
            |c, keys| c.keys = certificate(keys).keys,
            Doubt::Events,
        ),
        (
            "a proof of the end",
            |c, keys| c.log = certificate(keys).log,
            Doubt::Events,
        ),
        (
            "a part that is not deleted",
            |c, _| c.parts[0].level = Reached::Shredded,
            Doubt::Events,
        ),
        (
            "a part that is closed too early",
            |c, _| c.parts[0].epoch.destroyed = false,
            Doubt::Events,
        ),
        (
            "a part without keys",
            |c, _| c.parts[0].keys = 0,
            Doubt::Events,
        ),
        (
            "a part of other keys",
            |c, _| c.parts[0].fingerprint = sha256_text(b"x"),
            Doubt::Log,
        ),
        (
            "a part of another generation",
            |c, _| c.parts[0].generation = 3,
            Doubt::Log,
        ),
        (
            "a part without a proof",
            |c, _| c.parts[0].log = None,
            Doubt::Log,
        ),
    ];
    let keys = keys();
    assert_eq!(doubt(&signed(in_part(&keys), &keys), &keys), None);
    for (what, change, expected) in changes {
        let mut certificate = in_part(&keys);
        change(&mut certificate, &keys);
        let found = doubt(&signed(certificate, &keys), &keys);
        assert_eq!(found, Some(expected), "{what}");
    }
    // The end of the rest says what was before it, all of it final too.
    let mut whole = certificate(&keys);
    whole.parts = in_part(&keys).parts;
    assert_eq!(doubt(&signed(whole.clone(), &keys), &keys), None);
    (whole.parts[0].level, whole.parts[0].epoch.destroyed) = (Reached::Purged, false);
    let found = doubt(&signed(whole, &keys), &keys);
    assert_eq!(found, Some(Doubt::Events));
}

fn signed(certificate: Certificate, keys: &Keys) -> Signed {
    let mut signed = certificate.sign(&keys.vault).unwrap();
    signed.opening = Some(Opening {
        certificate: "certificates/x".to_owned(),
        customer: "c-1".to_owned(),
        salt: hex::encode([7; 32]),
    });
    signed
}

fn doubt(signed: &Signed, keys: &Keys) -> Option<Doubt> {
    verify(&canonical(signed).unwrap(), keys.vault.public()).err()
}

#[test]
fn an_untouched_certificate_holds_and_no_flipped_bit_does() {
    let keys = keys();
    let file = canonical(&signed(certificate(&keys), &keys)).unwrap();
    let holds = |file: &[u8]| verify(file, keys.vault.public()).is_ok();
    assert!(holds(&file) && holds(&[&file[..], b"\n"].concat()));
    for byte in 0..file.len() {
        let mut flipped = file.clone();
        flipped[byte] ^= 1 << (byte % 8);
        assert!(!holds(&flipped), "byte {byte}");
    }
    for end in [0, 1, file.len() / 2, file.len() - 1] {
        assert!(!holds(&file[..end]), "cut at {end}");
    }
    for more in [" ", "\n\n", "\r\n", "x"] {
        assert!(!holds(&[&file[..], more.as_bytes()].concat()), "{more:?}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused_though_the_vault_signed_it() {
    type Change = fn(&mut Certificate, &Keys);
    let changes: [(&str, Change, Doubt); 11] = [
        (
            "an event dropped",
            |c, _| drop(c.events.remove(1)),
            Doubt::Events,
        ),
        (
            "the last event dropped",
            |c, _| drop(c.events.pop()),
            Doubt::Events,
        ),
        ("events swapped", |c, _| c.events.swap(0, 1), Doubt::Events),
        (
            "closed too early",
            |c, _| c.epoch.destroyed = false,
            Doubt::Events,
        ),
        ("no key", |c, _| c.keys.clear(), Doubt::Events),
        ("purged in part", |c, _| c.records.purged = 1, Doubt::Events),
        (
            "another form",
            |c, _| c.form.push('x'),
            Doubt::NotACertificate,
        ),
        (
            "other keys",
            |c, _| c.fingerprint = sha256_text(b"x"),
            Doubt::Log,
        ),
        ("another epoch", |c, _| c.epoch.number = 8, Doubt::Log),
        ("another tenant", |c, _| c.tenant.push('x'), Doubt::Opening),
        (
            "another name",
            |c, _| c.name_sha256 = sha256_text(b"y"),
            Doubt::Opening,
        ),
    ];
    let keys = keys();
    assert_eq!(doubt(&signed(certificate(&keys), &keys), &keys), None);
    for (what, change, expected) in changes {
        let mut certificate = certificate(&keys);
        change(&mut certificate, &keys);
        let found = doubt(&signed(certificate, &keys), &keys);
        assert_eq!(found, Some(expected), "{what}");
    }
}

#[test]
fn a_proof_of_another_log_or_a_cut_one_is_refused_though_the_vault_signed_it() {
    let keys = keys();
    let print = sha256_text(b"keys");
    let other = logged(&keys.other, &print, 20, 37);
    type Change = fn(&mut LogProof, &LogProof);
    let changes: [(&str, Change); 7] = [
        ("another log's checkpoint", |p, o| p.proof = onto(p, o)),
        ("another log's key", |p, o| p.key.clone_from(&o.key)),
        ("another log's proof", |p, o| p.proof.clone_from(&o.proof)),
        ("a cut path", |p, _| p.proof = with_line(p, 3, "")),
        ("another node", |p, _| {
            p.proof = with_line(p, 3, &BASE64_STANDARD.encode([0; 32]));
        }),
        ("another place", |p, _| {
            p.proof = with_line(p, 2, "index 21")
        }),
        ("another entry", |p, _| {
            p.proof = with_line(
                p,
                1,
                &format!("extra {}", BASE64_STANDARD.encode("entry 20")),
            );
        }),
    ];
    for (what, change) in changes {
        let mut certificate = certificate(&keys);
        let mut proof = certificate.log.take().unwrap();
        change(&mut proof, &other);
        certificate.log = Some(proof);
        let found = doubt(&signed(certificate, &keys), &keys);
        assert_eq!(found, Some(Doubt::Log), "{what}");
    }
    // The checkpoint of the same log when it was smaller; no proof at all.
    let (now, before) = (
        logged(&keys.log, &print, 20, 37),
        logged(&keys.log, &print, 20, 36),
    );
    let smaller = LogProof {
        proof: onto(&now, &before),
        ..now
    };
    for log in [Some(smaller), None] {
        let certificate = Certificate {
            log,
            ..certificate(&keys)
        };
        assert_eq!(doubt(&signed(certificate, &keys), &keys), Some(Doubt::Log));
    }
}

#[test]
fn a_certificate_is_checked_with_the_key_that_was_given() {
    let keys = keys();
    let mut signed = signed(certificate(&keys), &keys);
    let file = canonical(&signed).unwrap();
    let found = verify(&file, keys.other.public()).err();
    assert_eq!(found, Some(Doubt::OtherKey));
    // It names the key, and another signed.
    signed.signature = hex::encode(keys.other.sign(&signed_bytes(&signed.certificate).unwrap()));
    assert_eq!(doubt(&signed, &keys), Some(Doubt::Signature));
    // Without its opening it holds and names nobody.
    let mut nameless = certificate(&keys).sign(&keys.vault).unwrap();
    assert_eq!(doubt(&nameless, &keys), None);
    nameless.signature = nameless.signature.to_uppercase();
    assert_eq!(doubt(&nameless, &keys), Some(Doubt::Signature));
}
