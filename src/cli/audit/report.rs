//! `audit report`: what an auditor is sent for a period.

use super::super::out::Out;
use super::super::progress::Progress;
use super::super::stop::{Done, Stop};
use super::ask::instant;
use super::config_of;
use crate::audit::report::{count, page};
use crate::clock::Instant;
use crate::serve::{customers_seen, open_rows};
use clap::Args;
use prost_types::Timestamp;
use std::path::PathBuf;

/// Arguments of `audit report`.
#[derive(Args, Debug)]
pub struct Report {
    /// The vault's directory; it may be running
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Begin of the period: an instant (2026-11-01T00:00:00Z) or so long ago
    /// (30days)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Timestamp,
    /// Its end, as --from; now where it is left out
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Where to write the page: one file, which loads nothing
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    out: Option<PathBuf>,
    /// Also count distinct customers, which takes the vault's keys and, for
    /// each customer, a look into each hour
    #[arg(long)]
    count_customers: bool,
    /// Answer with one JSON document that has all of the page's numbers
    #[arg(long)]
    pub(super) json: bool,
}

fn at(time: Timestamp) -> Instant {
    let micros = time.seconds.saturating_mul(1_000_000);
    Instant::from_micros(micros.saturating_add(i64::from(time.nanos / 1_000)))
}

impl Report {
    /// Counts, and writes the page.
    pub fn run(self) -> Done {
        let config = config_of(&self.dir)?;
        let span = (at(self.from), self.to.map_or_else(Instant::now, at));
        let mut rows = open_rows(&config)?;
        let mut shown: Option<Progress> = None;
        let mut report = count(&mut rows, span, |done, of| {
            let shown = shown.get_or_insert_with(|| Progress::start("report", of));
            shown.set(done, &format!("{done} of {of} entries"));
        })?;
        drop(shown);
        if self.count_customers {
            let mut shown: Option<Progress> = None;
            let progress = |done: u64, of: u64| {
                let shown = shown.get_or_insert_with(|| Progress::start("customers", of));
                shown.set(done, &format!("{done} of {of} customer numbers"));
            };
            let seen = customers_seen(&config, &mut rows, span, &report.read_calls, progress)?;
            report.customers = Some(seen);
        }
        if let Some(path) = &self.out {
            let page = page(&report)?;
            std::fs::write(path, page).map_err(|why| Stop::file(path, "written", &why))?;
        }
        let mut out = Out::new(self.json);
        let document = serde_json::to_value(&report);
        out.document(&document.map_err(|_| Stop::Failed("the report is no JSON".to_owned()))?);
        if let Some(path) = &self.out {
            out.line(&format!(
                "{} entries of {} are counted in {}",
                report.entries,
                report.origin,
                path.display()
            ));
        }
        Ok(())
    }
}
