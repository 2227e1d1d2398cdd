//! `oubliette attack`: what an insider with everything could open. A drill, to
//! be run on one's own backups.

use super::out::Out;
use super::rules::config_file;
use super::stop::Done;
use crate::backup::attack::{Found, Opened};
use crate::config::Config;
use crate::serve;
use clap::Args;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Erased customers that are told one by one.
const TOLD: usize = 20;

/// Arguments of `attack`.
///
/// Takes every backup, the databases as they are now and every key that the
/// provider still holds, and opens what opens. It tells counts and numbers and
/// never a value. Exit code 0 whatever it opened.
#[derive(Args, Debug)]
pub struct Attack {
    /// Directories or files with backups: of data, of keys, copies of any kind
    #[arg(long, num_args = 1.., required = true, value_name = "DIR")]
    backups: Vec<PathBuf>,
    /// The vault's directory as it is now: databases, and the way to the
    /// provider's present keys
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "NOW")]
    keys: PathBuf,
    /// The age identity that opens the key backups
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl Attack {
    /// Attacks and tells what came of it.
    pub fn run(self) -> Done {
        let config = Config::load(&config_file(&self.keys))?;
        let found = serve::attack(&config, &self.backups, self.identity.as_deref())?;
        let mut out = Out::new(self.json);
        out.document(&document(&found));
        for copy in &found.closed_copies {
            out.line(&format!(
                "{copy} did not open: name the identity with --identity"
            ));
        }
        let epochs: Vec<String> = found.epochs.iter().map(u32::to_string).collect();
        out.line(&format!(
            "Taken: {} copies, and from the provider the master keys of epoch {}.",
            found.copies.len(),
            epochs.join(", ")
        ));
        out.line(&summary(&found));
        for (customer, opened) in found.erased_opened().take(TOLD) {
            out.line(&format!(
                "  erased customer {customer}: {}",
                how(&found, opened)
            ));
        }
        let left = found.erased_opened().count().saturating_sub(TOLD);
        if left > 0 {
            out.line(&format!(
                "  and {left} more erased customers (--json tells all)"
            ));
        }
        for (customer, opened) in found.in_part_opened().take(TOLD) {
            out.line(&format!(
                "  customer {customer}, erased in part: {}",
                part(opened)
            ));
        }
        let is_some = |(_, opened): (&u64, &Opened)| !opened.erased_fields.is_empty();
        if found.erased_opened().next().is_some() || found.in_part_opened().any(is_some) {
            out.line(
                "They die in every backup when their epoch is closed: oubliette key epoch close",
            );
        }
        Ok(())
    }
}

/// What the attack opened, in one line.
pub fn summary(found: &Found) -> String {
    format!(
        "The attack opened something of {} customers ({} records), {} of {} erased ones among them.",
        found.customers.len(),
        found.records(),
        found.erased_opened().count(),
        found.erased.len()
    )
}

/// What was opened of a customer, and from where.
fn how(found: &Found, opened: &Opened) -> String {
    let name = |copy: &usize| found.copies.get(*copy).cloned().unwrap_or_default();
    let mut said = Vec::new();
    if let Some(copy) = opened.keys.first() {
        said.push(format!("keys from {}", name(copy)));
    }
    if let Some(copy) = opened.ids.first() {
        said.push(format!("the id from {}", name(copy)));
    }
    if let Some((copy, records)) = opened.records.first_key_value() {
        said.push(format!("{records} records from {}", name(copy)));
    }
    if let Some(copy) = opened.index_rows.first() {
        said.push(format!("an index row from {}", name(copy)));
    }
    said.join(", ")
}

/// What was opened of a customer who is erased in part.
fn part(opened: &Opened) -> String {
    let erased: u64 = opened.erased_fields.values().sum();
    format!(
        "{} fields of what is held, {erased} of what is erased",
        opened.fields
    )
}

fn document(found: &Found) -> Json {
    let in_part = |(customer, opened): (&u64, &Opened)| {
        json!({
            "customer": customer,
            "fields": opened.fields,
            "erased_fields": opened.erased_fields.values().sum::<u64>(),
        })
    };
    let of = |(customer, opened): (&u64, &Opened)| {
        json!({
            "customer": customer,
            "erased": found.erased.contains(customer),
            "keys": !opened.keys.is_empty(),
            "id": !opened.ids.is_empty(),
            "index_row": !opened.index_rows.is_empty(),
            "records": opened.records.values().sum::<u64>(),
            "how": how(found, opened),
        })
    };
    json!({
        "copies": found.copies,
        "did_not_open": found.closed_copies,
        "epochs": found.epochs,
        "page_keys": found.pages.0,
        "index_page_keys": found.pages.1,
        "customers_opened": found.customers.len(),
        "records_opened": found.records(),
        "erased": found.erased.len(),
        "erased_opened": found.erased_opened().count(),
        "erased_in_part": found.in_part_opened().map(in_part).collect::<Vec<_>>(),
        "erased_customers": found.erased_opened().map(of).collect::<Vec<_>>(),
    })
}
