//! What must hold of every decision, on a small catalog.

mod notices;
mod policies;
mod reads;
mod reloads;
mod writes;

use super::*;
use crate::catalog::Value;
use crate::clock::Day;
use crate::crypto::IdentityKey;
use crate::error::{Denial, Lost, Rule, Unauthenticated};
use crate::id::{CustomerId, CustomerNumber, RecordName, ServiceName, TenantName};
use std::fs;
use std::path::Path;

/// 2026-11-23.
const TODAY: Day = Day(20_780);

const PERSON: &str = r#"
number = 1
version = 1
title = "A person"
[fields.name]
number = 1
kind = "string"
classification = "user.name.first"
max_bytes = 10
[fields.phone]
number = 2
kind = "string"
classification = "user.contact.phone_number"
max_bytes = 100
[fields.born]
number = 3
kind = "date"
classification = "user.demographic.date_of_birth"
[fields.health]
number = 4
kind = "string"
classification = "user.health_and_medical"
special = true
max_bytes = 100
[fields.stale]
number = 5
kind = "string"
classification = "user.content"
max_bytes = 100
[fields.data]
number = 6
kind = "json"
classification = "user.content"
max_bytes = 100000
"#;

const CARE: &str = r#"
number = 1
title = "Care"
basis = "contract"
mechanism = "notice_only"
special_basis = "health_care"
callers = ["nurse"]
[grants.person]
name = "raw"
phone = "masked:last4"
health = "raw"
data = "raw"
"#;

const OLD: &str = r#"
number = 2
title = "Old"
basis = "contract"
mechanism = "notice_only"
callers = ["nurse"]
expires = 2026-11-23
[grants.person]
stale = "raw"
"#;

const ADS: &str = r#"
number = 3
title = "Ads"
basis = "consent"
mechanism = "opt_in"
callers = ["nurse", "clerk"]
[grants.person]
name = "raw"
"#;

const ROLES: &str = r#"
[roles]
nurse = "Cares"
clerk = "Writes"
[principals."a/nurse"]
roles = ["nurse"]
[principals."a/clerk"]
roles = ["clerk"]
"#;

const POLICY: &str = r#"
@id("nurse-reads")
permit (principal in Role::"nurse", action in Action::"read", resource);
@id("nurse-lists")
permit (principal in Role::"nurse", action == Action::"list_records", resource);
@id("clerk-writes")
permit (principal in Role::"clerk", action in Action::"write", resource)
unless { context.fields.contains("health") };
@id("clerk-may-ask-for-ads")
permit (principal in Role::"clerk", action, resource) when { context.purpose == "ads" };
@id("no-health")
forbid (principal, action, resource) when { context.special };
"#;

/// A directory with rules in it, removed when dropped.
struct Rules {
    dir: tempfile::TempDir,
    access: Access,
}

fn write_file(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn try_rules(policy: &str) -> Result<Rules> {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("catalog/catalog.toml", "version = 1\ntitle = \"Test\"\n"),
        ("catalog/types/person.toml", PERSON),
        ("catalog/purposes/care.toml", CARE),
        ("catalog/purposes/old.toml", OLD),
        ("catalog/purposes/ads.toml", ADS),
        ("roles.toml", ROLES),
        ("policy.cedar", policy),
    ];
    for (file, text) in files {
        write_file(dir.path(), file, text);
    }
    let access = Access::load(Sources {
        catalog: dir.path().join("catalog"),
        roles: dir.path().join("roles.toml"),
        policy: dir.path().join("policy.cedar"),
    })?;
    Ok(Rules { dir, access })
}

fn rules(policy: &str) -> Rules {
    try_rules(policy).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(policy: &str) -> String {
    match try_rules(policy) {
        Err(Error::Setup(what)) => what,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the policy was accepted"),
    }
}

fn principal(snapshot: &Snapshot, service: &str) -> Arc<Principal> {
    let (tenant, service) = (TenantName::parse("a"), ServiceName::parse(service));
    snapshot
        .principal(&tenant.unwrap(), &service.unwrap())
        .unwrap()
        .clone()
}

fn record() -> RecordName {
    RecordName::parse("name", "customers/c/records/r").unwrap()
}

fn names(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

fn read_as(
    snapshot: &Snapshot,
    principal: &Arc<Principal>,
    purpose: &str,
    fields: &[&str],
    mode: ReadMode,
) -> Result<Grant<Read>> {
    let ask = ReadAsk {
        target: ReadTarget::One(record()),
        record_type: "person",
        purpose,
        fields: &names(fields),
        mode,
        with_handle: false,
        today: TODAY,
    };
    snapshot.read(principal, ask)
}

fn read(
    snapshot: &Snapshot,
    purpose: &str,
    fields: &[&str],
    mode: ReadMode,
) -> Result<Grant<Read>> {
    read_as(
        snapshot,
        &principal(snapshot, "nurse"),
        purpose,
        fields,
        mode,
    )
}

fn denial<A>(result: Result<Grant<A>>) -> Denial {
    match result {
        Err(Error::Denied(denial)) => denial,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was allowed"),
    }
}

fn invalid<A>(result: Result<Grant<A>>) -> Vec<(String, String)> {
    match result {
        Err(Error::Invalid(all)) => all.into_iter().map(|v| (v.field, v.rule)).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was allowed"),
    }
}

fn shown(grant: &Grant<Read>) -> Vec<(&str, &str)> {
    let fields = grant.target().fields.iter();
    fields
        .map(|granted| (granted.field.name.as_str(), granted.form.kind()))
        .collect()
}

fn withheld(grant: &Grant<Read>) -> Vec<(u16, Rule)> {
    let withheld = grant.target().withheld.iter();
    withheld.map(|w| (w.field.0, w.denial.rule)).collect()
}

const ALL: ReadMode = ReadMode::AllOrNothing;
const MAY: ReadMode = ReadMode::WhatIMaySee;

fn put(snapshot: &Snapshot, service: &str, values: Vec<(&str, Value)>) -> Result<Grant<Write>> {
    write(snapshot, service, values, None)
}

fn write(
    snapshot: &Snapshot,
    service: &str,
    values: Vec<(&str, Value)>,
    mask: Option<&[&str]>,
) -> Result<Grant<Write>> {
    let mask = mask.map(names);
    let ask = WriteAsk {
        target: record(),
        record_type: "person",
        values: values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        mask: mask.as_deref(),
        source: "",
        collected: None,
        today: TODAY,
    };
    snapshot.write(&principal(snapshot, service), ask)
}
