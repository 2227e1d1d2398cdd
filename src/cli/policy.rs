//! `oubliette policy`: who may do what, as the server would decide it.

use super::out::{Out, table};
use super::rules::{self, Place};
use super::stop::{Done, Stop};
use crate::access::{Action, Principal, Snapshot};
use crate::catalog::Form;
use crate::clock::{Day, Instant};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// What can be done with the policy.
#[derive(Subcommand, Debug)]
pub enum Policy {
    /// Check policy, roles and catalog, and show who may do what
    Check(Check),
}

/// Arguments of `policy check`.
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    /// Show only what this principal may do: tenant/service
    #[arg(long = "as", value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// One thing that a principal may do.
struct Allowed {
    action: &'static str,
    about: String,
    sees: Vec<String>,
    policies: Vec<String>,
}

impl Policy {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        let Self::Check(check) = self;
        check.json
    }

    /// Loads the rules and shows what they allow.
    pub fn run(self) -> Done {
        let Self::Check(check) = self;
        let snapshot = rules::load(&check.place.load()?)?.now();
        let wanted = |principal: &&Arc<Principal>| {
            let name = check.principal.as_ref();
            name.is_none_or(|name| *name == principal.to_string())
        };
        let principals: Vec<_> = snapshot.roles().principals().filter(wanted).collect();
        if principals.is_empty() {
            return Err(Stop::Failed(
                "the roles file lists no such principal; write it as tenant/service".to_owned(),
            ));
        }
        let mut out = Out::new(check.json);
        let mut documents = Vec::new();
        let today = Instant::now().day();
        for principal in principals {
            let allowed = allowed(&snapshot, principal, today);
            tell(&mut out, principal, &allowed);
            documents.push(document(principal, &allowed));
        }
        out.document(&json!({ "principals": documents }));
        out.line("The policy is good. What is not listed is denied.");
        Ok(())
    }
}

/// Everything that a principal may do today.
fn allowed(snapshot: &Snapshot, principal: &Arc<Principal>, today: Day) -> Vec<Allowed> {
    let mut found = Vec::new();
    let types: Vec<_> = snapshot.catalog().record_types().collect();
    let purposes = snapshot.purposes_of(principal, today);
    let mut ask = |action: Action, record_type: &str, purpose: &str| {
        let Ok(explained) = snapshot.explain(principal.name(), action, record_type, purpose, today)
        else {
            return;
        };
        let is_read = action.needs_purpose() && action != Action::ListRecords;
        if is_read && explained.shown.is_empty() {
            return;
        }
        let about = [record_type, purpose].join(" for ");
        found.push(Allowed {
            action: action.name(),
            about: about.trim_end_matches(" for ").to_owned(),
            sees: explained
                .shown
                .iter()
                .map(|(field, form)| seen(field.as_str(), *form))
                .collect(),
            policies: explained.policies,
        });
    };
    for action in Action::ALL {
        if action.needs_purpose() {
            for purpose in &purposes {
                let concerned = types
                    .iter()
                    .filter(|t| purpose.scope.granted(t.number).count() > 0);
                concerned.for_each(|t| ask(action, t.name.as_str(), purpose.name.as_str()));
            }
        } else if action.is_about_records() {
            types.iter().for_each(|t| ask(action, t.name.as_str(), ""));
        } else {
            ask(action, "", "");
        }
    }
    found
}

fn seen(field: &str, form: Form) -> String {
    match form {
        Form::Raw => field.to_owned(),
        Form::Exists => format!("{field} (exists)"),
        _ => format!("{field} ({})", form.transform()),
    }
}

fn tell(out: &mut Out, principal: &Principal, allowed: &[Allowed]) {
    let roles: Vec<&str> = principal.roles().iter().map(|role| role.as_str()).collect();
    out.line(&format!("{principal}: {}", roles.join(", ")));
    let rows: Vec<Vec<String>> = allowed
        .iter()
        .map(|one| {
            vec![
                one.action.to_owned(),
                one.about.clone(),
                one.sees.join(", "),
                one.policies.join(", "),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.line("  may do nothing today\n");
        return;
    }
    out.line(&table(&["may", "of", "sees", "by policy"], &rows));
    out.line("");
}

fn document(principal: &Principal, allowed: &[Allowed]) -> Json {
    let allowed: Vec<Json> = allowed
        .iter()
        .map(|one| {
            json!({
                "action": one.action,
                "of": one.about,
                "sees": one.sees,
                "policies": one.policies,
            })
        })
        .collect();
    let roles: Vec<&str> = principal.roles().iter().map(|role| role.as_str()).collect();
    json!({ "principal": principal.to_string(), "roles": roles, "allowed": allowed })
}
