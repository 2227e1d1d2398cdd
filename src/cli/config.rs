//! `oubliette config`: everything that the server would refuse at start,
//! found without starting it.

use super::out::{Out, note};
use super::rules::{self, Place};
use super::stop::Done;
use crate::config::check::Allowances;
use clap::{Args, Subcommand};
use serde_json::json;

/// What can be done with the configuration.
#[derive(Subcommand, Debug)]
pub enum Config {
    /// Check the configuration and everything that it names
    Check(Check),
}

/// Arguments of `config check`.
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    allowed: Allowances,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Config {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        let Self::Check(check) = self;
        check.json
    }

    /// Loads everything and shows what it comes to.
    pub fn run(self) -> Done {
        let Self::Check(check) = self;
        let config = check.place.load()?;
        let warnings = config.check(&check.allowed)?;
        let snapshot = rules::load(&config)?.now();
        let catalog = snapshot.catalog();
        let counted = [
            ("record types", catalog.record_types().count()),
            ("purposes", catalog.purposes().count()),
            ("roles", snapshot.roles().roles().count()),
            ("principals", snapshot.roles().principals().count()),
        ];
        let mut out = Out::new(check.json);
        out.document(&json!({
            "file": config.file,
            "listen": config.listen.to_string(),
            "metrics": config.metrics.to_string(),
            "data": config.data,
            "catalog_version": catalog.version(),
            "warnings": warnings,
            "counts": counted.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        }));
        let shown = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            shown("configuration", config.file.display().to_string()),
            shown("listens on", config.listen.to_string()),
            shown("metrics on", config.metrics.to_string()),
            shown("data", config.data.display().to_string()),
            shown(
                "catalog",
                format!("{}, version {}", catalog.title(), catalog.version()),
            ),
        ];
        rows.extend(
            counted
                .iter()
                .map(|(name, count)| shown(name, count.to_string())),
        );
        out.table(&["", ""], &rows);
        for warning in &warnings {
            note(&format!("warning: {warning}"));
        }
        out.line("The configuration is good.");
        Ok(())
    }
}
