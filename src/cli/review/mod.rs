//! `oubliette review`: what could be less, and what to do about it; and what
//! the vault tells customers and regulators.

mod page;
mod plot;
mod told;

pub use told::{Notice, Processing};

use super::caller::Caller;
use super::stop::{Done, Stop};
use crate::clock::{Day, Instant};
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Arguments of `review`.
#[derive(Args, Debug)]
pub struct Review {
    #[command(subcommand)]
    question: Option<Question>,
    #[command(flatten)]
    look: Look,
}

/// What else can be asked.
#[derive(Subcommand, Debug)]
enum Question {
    /// Say which reads of the last days opened a field that might go
    WhatIf(WhatIf),
}

/// Arguments of a review. The directory is needed only where nothing else is
/// asked.
#[derive(Args, Debug)]
struct Look {
    /// How many days of the audit log are looked at
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: i32,
    /// Write a page for people as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A directory made by `oubliette init`: address, authority, identities
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The principal to call as: tenant/service, or a service alone
    #[arg(long = "as", env = "OUBLIETTE_AS", value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `review what-if`.
#[derive(Args, Debug)]
struct WhatIf {
    /// The field that might go: TYPE.FIELD
    #[arg(long = "drop", value_name = "TYPE.FIELD")]
    field: String,
    /// How many days of the audit log are replayed
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: i32,
    #[command(flatten)]
    caller: Caller,
}

impl Review {
    /// Whether errors too are told as JSON.
    pub fn json(&self) -> bool {
        match &self.question {
            Some(Question::WhatIf(what_if)) => what_if.caller.json,
            None => self.look.json,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self.question {
            Some(Question::WhatIf(what_if)) => what_if.run().await,
            None => self.look.run().await,
        }
    }
}

/// A finding's kind in words.
fn words(kind: pb::FindingKind) -> &'static str {
    match kind {
        pb::FindingKind::Unspecified => "something newer than this program",
        pb::FindingKind::FieldNeverRead => "field that nobody reads",
        pb::FindingKind::PurposeWiderThanUse => "purpose wider than its use",
        pb::FindingKind::RawWhereLessMightDo => "whole value where less might do",
        pb::FindingKind::GrantNeverUsed => "grant that nobody uses",
        pb::FindingKind::BasisGone => "basis gone",
        pb::FindingKind::CustomersIdle => "customers idle",
        pb::FindingKind::RetentionOverdue => "retention overdue",
        pb::FindingKind::ConsentsAboutToExpire => "consents about to expire",
    }
}

fn subject(finding: &pb::Finding) -> String {
    match finding.count {
        0 => finding.subject.clone(),
        count => format!("{count} {}", finding.subject),
    }
}

fn count_json(counts: &[pb::UseCount]) -> Json {
    let all = counts.iter();
    let one = |count: &pb::UseCount| json!({ "name": count.name, "calls": count.calls });
    all.map(one).collect()
}

fn use_json(of: &pb::PurposeField) -> Json {
    json!({
        "purpose": of.purpose,
        "field": of.field,
        "form": of.form,
        "calls": of.calls,
    })
}

fn said_json(of: &pb::ConsentDay) -> Json {
    json!({
        "purpose": of.purpose,
        "day_time": since(of.day_time.as_ref()),
        "given": of.given,
        "ended": of.ended,
    })
}

/// A day, as ISO 8601 writes it.
fn day_text(day: Day) -> String {
    let (year, month, day) = day.civil();
    format!("{year:04}-{month:02}-{day:02}")
}

fn since(from: Option<&prost_types::Timestamp>) -> String {
    let at = from.and_then(|at| jiff::Timestamp::from_second(at.seconds).ok());
    at.map_or_else(String::new, |at| at.to_string())
}

impl Look {
    async fn run(self) -> Done {
        let Some(dir) = self.dir else {
            let rule = "say which vault: oubliette review --dir DIR";
            return Err(Stop::Usage(rule.to_owned()));
        };
        let caller = Caller {
            dir,
            principal: self.principal,
            json: self.json,
        };
        let client = caller.connect().await?;
        let request = pb::GetReviewRequest { days: self.days };
        let seen = client.get_review(request).await?;
        if let Some(path) = &self.html {
            let today = Instant::now().day();
            std::fs::write(path, page::page(&seen, today))
                .map_err(|error| Stop::file(path, "written", &error))?;
        }
        let findings = seen.findings.iter().map(|finding| {
            json!({
                "kind": finding.kind().as_str_name().trim_start_matches("FINDING_KIND_").to_lowercase(),
                "subject": finding.subject,
                "count": finding.count,
                "action": finding.action,
            })
        });
        let mut out = caller.out();
        out.document(&json!({
            "from_time": since(seen.from_time.as_ref()),
            "entries": seen.entries,
            "findings": findings.collect::<Vec<_>>(),
            "purposes": count_json(&seen.purposes),
            "fields": count_json(&seen.fields),
            "uses": seen.uses.iter().map(use_json).collect::<Vec<_>>(),
            "consents": seen.consents.iter().map(said_json).collect::<Vec<_>>(),
        }));
        let rows: Vec<Vec<String>> = seen
            .findings
            .iter()
            .map(|finding| {
                vec![
                    words(finding.kind()).to_owned(),
                    subject(finding),
                    finding.action.clone(),
                ]
            })
            .collect();
        out.table(&["what", "which", "what to do"], &rows);
        out.line(&format!(
            "{} findings, by {} entries of the log since {}.",
            seen.findings.len(),
            seen.entries,
            since(seen.from_time.as_ref())
        ));
        if let Some(path) = &self.html {
            out.line(&format!("The page is in {}.", path.display()));
        }
        Ok(())
    }
}

impl WhatIf {
    async fn run(self) -> Done {
        let Some((record_type, field)) = self.field.split_once('.') else {
            return Err(Stop::Usage("--drop must be TYPE.FIELD".to_owned()));
        };
        let request = pb::PlanFieldDropRequest {
            record_type: record_type.to_owned(),
            field: field.to_owned(),
            days: self.days,
        };
        let client = self.caller.connect().await?;
        let plan = client.plan_field_drop(request).await?;
        let mut out = self.caller.out();
        out.document(&json!({
            "from_time": since(plan.from_time.as_ref()),
            "reads": plan.reads,
            "opened": plan.opened,
            "purposes": count_json(&plan.purposes),
            "services": count_json(&plan.services),
        }));
        let rows = |of: &str, counts: &[pb::UseCount]| -> Vec<Vec<String>> {
            let counts = counts.iter();
            let row = |c: &pb::UseCount| vec![of.to_owned(), c.name.clone(), c.calls.to_string()];
            counts.map(row).collect()
        };
        let mut all = rows("purpose", &plan.purposes);
        all.extend(rows("service", &plan.services));
        out.table(&["", "who would miss it", "reads"], &all);
        out.line(&format!(
            "Of {} reads since {}, {} opened {}: they would fail where they name it, and come \
             back without it where they do not.",
            plan.reads,
            since(plan.from_time.as_ref()),
            plan.opened,
            self.field
        ));
        Ok(())
    }
}
