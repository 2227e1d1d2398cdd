//! What a bench plays on: a catalog of ten text fields, one principal, one
//! policy, and customers numbered from 0.

use crate::cli::stop::{Done, Stop};
use crate::pb;
use crate::pb::value::Kind;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The record type's name.
pub const RECORD_TYPE: &str = "bench";
/// The purpose's name.
pub const PURPOSE: &str = "bench";
/// A purpose that needs consent, and is the same otherwise.
pub const ASKED: &str = "asked";
/// Who makes the load.
pub const PRINCIPAL: &str = "bench/load";
/// Fields of a record.
pub const FIELDS: usize = 10;
/// Bytes of a field.
pub const FIELD_BYTES: usize = 32;

const CATALOG: &str = "version = 1\ntitle = \"Bench\"\n";

const PURPOSE_FILE: &str = r#"number = 1
title = "Measuring"
basis = "contract"
mechanism = "notice_only"
callers = ["bench"]

[grants.bench]
"#;

const ASKED_FILE: &str = r#"number = 2
title = "Measuring those who said yes"
basis = "consent"
mechanism = "opt_in"
callers = ["bench"]

[grants.bench]
"#;

const ASKED_NOTICE: &str = r#"[versions.1]
published = 2026-01-01

[versions.1.text]
en = "We measure with what you gave us."

[versions.1.tells]
basis = "consent"
mechanism = "opt_in"
callers = ["bench"]

[versions.1.tells.grants.bench]
"#;

const ROLES: &str = r#"[roles]
bench = "Makes load"

[principals."bench/load"]
roles = ["bench"]
calls_per_second = 10000000
customers_per_hour = 1000000000
"#;

const POLICY: &str = r#"@id("bench-does-all")
permit (principal in Role::"bench", action, resource);
"#;

/// Writes the bench's rules to a directory, for `init` to take them from.
pub fn write(rules: &Path) -> Done {
    let mut record_type =
        "number = 1\nversion = 1\ntitle = \"Ten fields of 32 bytes\"\n".to_owned();
    let (mut purpose, mut asked) = (PURPOSE_FILE.to_owned(), ASKED_FILE.to_owned());
    let mut notice = ASKED_NOTICE.to_owned();
    for number in 1..=FIELDS {
        let written = write!(
            record_type,
            "\n[fields.f{number:02}]\nnumber = {number}\nkind = \"string\"\n\
             classification = \"user.contact\"\nmax_bytes = {FIELD_BYTES}\n"
        );
        written
            .and_then(|()| writeln!(purpose, "f{number:02} = \"raw\""))
            .and_then(|()| writeln!(asked, "f{number:02} = \"raw\""))
            .and_then(|()| writeln!(notice, "f{number:02} = \"raw\""))
            .map_err(|_| Stop::Failed("the bench's catalog cannot be made".to_owned()))?;
    }
    let catalog = rules.join("catalog");
    let file = |path: &Path, text: &str| {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(path, text))
            .map_err(|error| Stop::file(path, "written", &error))
    };
    file(&catalog.join("catalog.toml"), CATALOG)?;
    file(&catalog.join("types").join("bench.toml"), &record_type)?;
    file(&catalog.join("purposes").join("bench.toml"), &purpose)?;
    file(&catalog.join("purposes").join("asked.toml"), &asked)?;
    file(&catalog.join("notices").join("asked.toml"), &notice)?;
    file(&rules.join("roles.toml"), ROLES)?;
    file(&rules.join("policy.cedar"), POLICY)
}

/// The id of a customer by number.
pub fn customer_id(customer: u64) -> String {
    format!("c{customer:07}")
}

/// The name of a customer's nth record.
pub fn record_name(customer: u64, record: u64) -> String {
    format!("customers/c{customer:07}/records/r{record}")
}

/// Ten fields of 32 bytes that follow from `seed`.
pub fn fields(seed: u64) -> HashMap<String, pb::Value> {
    let mut state = seed;
    (1..=FIELDS)
        .map(|number| {
            let text = format!("{:016x}{:016x}", next(&mut state), next(&mut state));
            let kind = Some(Kind::StringValue(text));
            (format!("f{number:02}"), pb::Value { kind })
        })
        .collect()
}

/// Whether a record holds ten fields of 32 bytes.
pub fn is_whole(record: Option<&pb::Record>) -> bool {
    let whole = |field: &pb::FieldValue| {
        let kind = field.value.as_ref().and_then(|value| value.kind.as_ref());
        matches!(kind, Some(Kind::StringValue(text)) if text.len() == FIELD_BYTES)
    };
    record.is_some_and(|r| r.fields.len() == FIELDS && r.fields.values().all(whole))
}

/// SplitMix64: numbers that look random, for data and for the order of reads.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Action, Sources};
    use crate::clock::Instant;
    use crate::id::RecordName;

    #[test]
    fn the_benchs_rules_are_good_and_let_its_principal_do_everything() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).ok().unwrap();
        let sources = Sources {
            catalog: dir.path().join("catalog"),
            roles: dir.path().join("roles.toml"),
            policy: dir.path().join("policy.cedar"),
        };
        let rules = Access::load(sources).unwrap().now();
        let catalog = rules.catalog();
        let record_type = catalog.record_type(RECORD_TYPE).unwrap();
        assert_eq!(record_type.fields().len(), FIELDS);
        let purpose = catalog.purpose(PURPOSE).unwrap();
        assert_eq!(purpose.scope.granted(record_type.number).count(), FIELDS);
        let principal = rules.roles().principals().next().unwrap();
        let today = Instant::now().day();
        for action in Action::ALL {
            let explained = rules.explain(principal.name(), action, RECORD_TYPE, PURPOSE, today);
            assert!(explained.is_ok(), "{action:?}");
        }
    }

    #[test]
    fn a_record_is_ten_fields_of_32_bytes_under_a_good_name() {
        assert!(RecordName::parse("name", &record_name(99_999, 3)).is_ok());
        let fields = fields(7).into_iter().map(|(name, value)| {
            let value = Some(value);
            (
                name,
                pb::FieldValue {
                    value,
                    ..Default::default()
                },
            )
        });
        let mut record = pb::Record {
            fields: fields.collect(),
            ..Default::default()
        };
        assert!(is_whole(Some(&record)));
        record.fields.remove("f01");
        assert!(!is_whole(Some(&record)) && !is_whole(None));
    }
}
