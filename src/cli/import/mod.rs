//! `oubliette import`: customers from a CSV file.

mod ids;
mod journal;
mod rows;
mod send;

pub(super) use ids::ImportIds;
pub(super) use journal::Journal;
pub(super) use rows::{Layout, Rows};
pub(super) use send::{Report, Sending};

use super::caller::Caller;
use super::progress::Progress;
use super::schema::Schema;
use super::stop::{Done, Stop};
use crate::client::{Client, place};
use clap::Args;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `import`.
///
/// Each row creates its customer, where there is none, and writes one record.
/// Cells become values by the catalog's kinds (bytes: base64; dates:
/// YYYY-MM-DD; instants: RFC 3339); an empty cell is no value. A bad row is
/// reported and the rest imported. Interrupted, the same command goes on.
#[derive(Args, Debug)]
pub struct Import {
    /// The file: CSV with a header, UTF-8
    file: PathBuf,
    /// The record type to write
    #[arg(long = "type", value_name = "TYPE")]
    record_type: String,
    /// The column that holds the customer's id
    #[arg(long, value_name = "COLUMN")]
    id_column: String,
    /// The id of the record that each row writes
    #[arg(long, value_name = "ID", default_value = "main")]
    record: String,
    /// The column that holds the record's id, where a customer has several
    #[arg(long, value_name = "COLUMN", conflicts_with = "record")]
    record_column: Option<String>,
    /// A column whose field has another name
    #[arg(long, value_name = "COLUMN=FIELD")]
    column: Vec<String>,
    /// A column to leave out
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Where to note the rows that are done [default: FILE.journal]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    pub(super) caller: Caller,
}

impl Import {
    /// Imports the file and reports.
    pub async fn run(self) -> Done {
        let schema = Schema::load(&self.caller.dir, &self.record_type)?;
        let renamed = self.renamed()?;
        let layout = Layout {
            schema: &schema,
            id_column: &self.id_column,
            record: &self.record,
            record_column: self.record_column.as_deref(),
            renamed: &renamed,
            ignored: &self.ignore,
        };
        let file = &self.file;
        let input = File::open(file).map_err(|error| Stop::file(file, "read", &error))?;
        let bytes = input.metadata().map_or(0, |metadata| metadata.len());
        let rows = Rows::open(input, &layout)?;

        let identity = place::identity(&self.caller.dir, self.caller.principal.as_deref())?;
        let mut parts = vec![
            self.record_type.as_str(),
            &self.id_column,
            &self.record,
            self.record_column.as_deref().unwrap_or_default(),
        ];
        parts.extend(self.column.iter().chain(&self.ignore).map(String::as_str));
        let ids = ImportIds::of_file(&identity.key, file, &parts)?;
        let journal = Journal::open(&self.journal_path(), &ids.name()?)?;
        let address = place::address(&self.caller.dir)?;
        let sending = Sending {
            client: Client::connect_to(address, &self.caller.dir, &identity).await?,
            ids: Arc::new(ids),
            record_type: self.record_type.as_str().into(),
            journal,
            progress: Progress::start("import", bytes),
        };
        let report = sending.run(rows).await?;
        self.tell(&report)
    }

    fn renamed(&self) -> Done<BTreeMap<String, String>> {
        let pairs = self.column.iter().map(|given| match given.split_once('=') {
            Some((column, field)) => Ok((column.to_owned(), field.to_owned())),
            None => Err(Stop::Usage("--column is written COLUMN=FIELD".to_owned())),
        });
        pairs.collect()
    }

    fn journal_path(&self) -> PathBuf {
        self.journal.clone().unwrap_or_else(|| {
            let mut path = OsString::from(&self.file);
            path.push(".journal");
            path.into()
        })
    }

    fn tell(&self, report: &Report) -> Done {
        let mut out = self.caller.out();
        let told: Vec<Json> = report
            .told
            .iter()
            .map(|bad| json!({"line": bad.line, "reason": bad.reason}))
            .collect();
        out.document(&json!({
            "imported": report.imported,
            "done_before": report.done_before,
            "failed": report.failed,
            "failures": told,
        }));
        out.line(&format!(
            "{} rows imported, {} were done before, {} failed",
            report.imported, report.done_before, report.failed
        ));
        match report.failed {
            0 => Ok(()),
            _ => Err(Stop::Told),
        }
    }
}
