//! Who may do what in `examples/crm`, as a table that people read:
//! `tests/golden/access_matrix.txt`. Run with `UPDATE_GOLDEN=1` to write it
//! anew, then read what changed.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use oubliette::access::{Access, Action, Explained, Snapshot, Sources};
use oubliette::clock::Day;
use oubliette::error::Error;
use oubliette::pb;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 2026-11-23: fixed, so that no expiry changes the table by itself.
const TODAY: Day = Day(20_780);
const NOT_GRANTED: &str = "PURPOSE_NOT_GRANTED";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn rules() -> Arc<Snapshot> {
    let access = Access::load(Sources {
        catalog: path("examples/crm/catalog"),
        roles: path("examples/crm/roles.toml"),
        policy: path("examples/crm/policy.cedar"),
    });
    access.unwrap_or_else(|error| panic!("{error}")).now()
}

/// Every RPC of the proto, as (service, method).
fn rpcs() -> Vec<(String, String)> {
    let set = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let services = set.file.into_iter().flat_map(|file| file.service);
    let methods = services.flat_map(|service| {
        let name = service.name().to_owned();
        let methods = service.method.into_iter();
        methods.map(move |method| (name.clone(), method.name().to_owned()))
    });
    methods.collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn action_of(method: &str) -> Option<Action> {
    let name = snake_case(method);
    Action::ALL.into_iter().find(|action| action.name() == name)
}

fn schema() -> cedar_policy::Schema {
    let text = std::fs::read_to_string(path("src/access/schema.cedarschema")).unwrap();
    cedar_policy::Schema::from_cedarschema_str(&text).unwrap().0
}

#[test]
fn every_rpc_has_an_action_and_a_rule() {
    let schema = schema();
    let groups: BTreeSet<_> = schema.action_groups().map(ToString::to_string).collect();
    let actions = schema.actions().map(ToString::to_string);
    let in_schema: BTreeSet<_> = actions.filter(|action| !groups.contains(action)).collect();
    let known: BTreeSet<_> = Action::ALL
        .iter()
        .map(|a| format!("Action::\"{}\"", a.name()))
        .collect();
    assert_eq!(in_schema, known, "schema.cedarschema and Action::ALL");

    let rules = rules();
    let rpcs = rpcs();
    assert!(rpcs.len() >= 11);
    for (service, method) in &rpcs {
        let action = action_of(method)
            .unwrap_or_else(|| panic!("{service}.{method} has no action in access::Action"));
        let open = |line: &Line| line.outcome.is_ok();
        let some_rule = lines(&rules, action).iter().any(open);
        assert!(
            some_rule,
            "{service}.{method}: nobody may call it: it has no rule"
        );
    }
    let of_rpcs: BTreeSet<_> = rpcs
        .iter()
        .filter_map(|(_, m)| action_of(m))
        .map(Action::name)
        .collect();
    let special: Vec<_> = Action::ALL
        .iter()
        .map(|a| a.name())
        .filter(|a| !of_rpcs.contains(a))
        .collect();
    assert_eq!(special, ["recreate_customer", "know_erased"]);
}

#[test]
fn every_role_has_a_principal_with_nothing_else() {
    let rules = rules();
    for (role, _) in rules.roles().roles() {
        let alone = |roles: &[_]| roles == std::slice::from_ref(role);
        let found = rules.roles().names().any(|(_, roles)| alone(roles));
        assert!(found, "the matrix would miss role {role}");
    }
}

#[test]
fn the_recommender_never_gets_a_birth_date_and_support_no_whole_phone_number() {
    let rules = rules();
    let seen = |who: &str, purpose: &str| -> BTreeMap<String, String> {
        let explained = rules.explain(who, Action::GetRecord, "contact", purpose, TODAY);
        let shown = explained.unwrap().shown.into_iter();
        shown
            .map(|(field, form)| (field.to_string(), form_text(form)))
            .collect()
    };
    let wanted = [
        ("birth_date", "derived:age_band"),
        ("city", "derived:city"),
        ("language", "raw"),
    ];
    let wanted = wanted.map(|(field, form)| (field.to_owned(), form.to_owned()));
    assert_eq!(
        seen("acme/recommender", "personalization"),
        BTreeMap::from(wanted)
    );
    let support = seen("acme/support-desk", "support");
    assert_eq!(
        support.get("phone").map(String::as_str),
        Some("masked:last4")
    );
    assert_eq!(
        support.get("email").map(String::as_str),
        Some("masked:email")
    );
    assert_eq!(support.get("family_name").map(String::as_str), Some("raw"));
    assert!(!support.contains_key("birth_date"));
}

#[test]
fn the_access_matrix_is_the_golden_one() {
    let made = matrix(&rules());
    let golden = path("tests/golden/access_matrix.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs = made
        .lines()
        .zip(kept.lines())
        .find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "who may do what has changed: {differs:?}\nUPDATE_GOLDEN=1 cargo test --release \
         --test access_matrix writes {}; then read the difference",
        golden.display()
    );
}

/// One line of the table.
struct Line {
    principal: String,
    record_type: String,
    purpose: String,
    outcome: Result<Explained, Error>,
}

/// Every role, record type and purpose for one action, as far as they matter
/// to it.
fn lines(rules: &Snapshot, action: Action) -> Vec<Line> {
    let names = |wanted: bool, all: Vec<String>| if wanted { all } else { vec![String::new()] };
    let types = rules
        .catalog()
        .record_types()
        .map(|t| t.name.to_string())
        .collect();
    let types = names(action.is_about_records(), types);
    let purposes = rules
        .catalog()
        .purposes()
        .map(|p| p.name.to_string())
        .collect();
    let has_purpose = action.needs_purpose() || action.is_said_of_a_purpose();
    let purposes = names(has_purpose, purposes);
    let mut lines = Vec::new();
    for (principal, roles) in rules.roles().names() {
        for record_type in &types {
            for purpose in &purposes {
                lines.push(Line {
                    principal: format!("{} ({principal})", roles[0]),
                    record_type: record_type.clone(),
                    purpose: purpose.clone(),
                    outcome: rules.explain(principal, action, record_type, purpose, TODAY),
                });
            }
        }
    }
    lines
}

/// As a catalog writes it.
fn form_text(form: oubliette::catalog::Form) -> String {
    [form.kind(), form.transform()]
        .join(":")
        .trim_end_matches(':')
        .to_owned()
}

fn decided_by(reason: &str, policies: &[String]) -> String {
    match (reason, policies) {
        ("POLICY_DENIED", []) => "no policy permits".to_owned(),
        _ => policies.join(" "),
    }
}

/// Verdict, and what decided it.
fn verdict(line: &Line) -> (String, String) {
    match &line.outcome {
        Ok(explained) => {
            let mut by = explained.policies.join(" ");
            let mut refused: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (field, reason, policies) in &explained.withheld {
                refused
                    .entry(decided_by(reason, policies))
                    .or_default()
                    .push(field.as_str());
            }
            for (why, fields) in refused {
                write!(by, "; not {}: {why}", fields.join(", ")).unwrap();
            }
            ("allow".to_owned(), by)
        }
        Err(Error::Denied(denial)) => {
            let reason = denial.rule.reason();
            (reason.to_owned(), decided_by(reason, &denial.policies))
        }
        Err(error) => panic!("{error}"),
    }
}

fn matrix(rules: &Snapshot) -> String {
    let mut out = String::from(
        "Who may do what in examples/crm: every RPC, role and purpose, and the two\n\
         actions behind a flag or an answer. A reason in capitals is a denial and\n\
         stands in the error; in brackets the policies that decided. A read asks\n\
         for every field that the purpose may see (below), a write for every field\n\
         that some purpose needs; a field after \"not\" is refused.\n",
    );
    for (service, method) in rpcs() {
        let title = format!("{service}.{method}");
        section(&mut out, &title, &lines(rules, action_of(&method).unwrap()));
    }
    for action in [Action::RecreateCustomer, Action::KnowErased] {
        section(&mut out, action.name(), &lines(rules, action));
    }
    ceilings(&mut out, rules);
    out
}

/// One block a principal; what has the same outcome is folded into one line.
fn section(out: &mut String, title: &str, lines: &[Line]) {
    writeln!(out, "\n{title}").unwrap();
    for block in lines.chunk_by(|a, b| a.principal == b.principal) {
        writeln!(out, "  {}", block[0].principal).unwrap();
        let mut folded: Vec<((String, String), Vec<&Line>)> = Vec::new();
        for line in block {
            let outcome = verdict(line);
            match folded.iter_mut().find(|(o, _)| *o == outcome) {
                Some((_, lines)) => lines.push(line),
                None => folded.push((outcome, vec![line])),
            }
        }
        // What is allowed first, what the purpose is not for last.
        folded.sort_by_key(|((said, _), _)| match said.as_str() {
            "allow" => 0,
            NOT_GRANTED => 2,
            _ => 1,
        });
        let only = folded.len() == 1;
        for ((said, by), lines) in folded {
            let what = match said.as_str() {
                NOT_GRANTED if only => "for every purpose".to_owned(),
                NOT_GRANTED => "for every other purpose".to_owned(),
                _ => what(&lines),
            };
            let by = if by.is_empty() { by } else { format!("({by})") };
            let text = [what, by].join(" ");
            writeln!(out, "    {said:<20} {}", text.trim()).unwrap();
        }
    }
}

/// The types and purposes of some lines: "contact, ticket for support".
fn what(lines: &[&Line]) -> String {
    let mut purposes_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        purposes_of
            .entry(&line.record_type)
            .or_default()
            .push(&line.purpose);
    }
    let mut types_with: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for (record_type, purposes) in purposes_of {
        match types_with.iter_mut().find(|(_, p)| *p == purposes) {
            Some((types, _)) => types.push(record_type),
            None => types_with.push((vec![record_type], purposes)),
        }
    }
    let parts = types_with.into_iter().map(|(types, purposes)| {
        let purposes = purposes.join(", ");
        let to = if purposes.is_empty() { "" } else { " for " };
        format!("{}{to}{purposes}", types.join(", "))
    });
    parts.collect::<Vec<_>>().join("; ").trim().to_owned()
}

/// What each purpose sees of each field.
fn ceilings(out: &mut String, rules: &Snapshot) {
    writeln!(
        out,
        "\nWhat each purpose sees of each field (GDPR art. 6(1) basis, the customer's say)"
    )
    .unwrap();
    for purpose in rules.catalog().purposes() {
        let basis = (purpose.scope.basis.name(), purpose.scope.mechanism.name());
        writeln!(out, "  {} ({}, {})", purpose.name, basis.0, basis.1).unwrap();
        for record_type in rules.catalog().record_types() {
            let shown = record_type.fields().iter().filter_map(|field| {
                let form = purpose.scope.ceiling(record_type.number, field.number)?;
                Some(format!("{} {}", field.name, form_text(form)))
            });
            let shown: Vec<_> = shown.collect();
            if !shown.is_empty() {
                writeln!(out, "    {:<8} {}", record_type.name, shown.join(", ")).unwrap();
            }
        }
    }
}
