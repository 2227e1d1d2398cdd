//! `oubliette customer erase-list`: a list, one after the other, with an answer
//! for each and a list of those to try again.

use super::caller::Caller;
use super::certificate::write_file;
use super::customer::full_name;
use super::out::{note, printable};
use super::progress::Progress;
use super::stop::{Done, Stop};
use crate::client::ErasureStream;
use crate::limits;
use crate::pb;
use clap::Args;
use pb::erase_customers_response::Outcome;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Arguments of `customer erase-list`.
///
/// The list has one id a line; empty lines are passed over. Interrupted, the
/// same command goes on: a customer who is erased already is not erased again.
#[derive(Args, Debug)]
pub struct EraseList {
    /// The list
    file: PathBuf,
    /// Erasing cannot be undone: say that you mean it
    #[arg(long)]
    yes: bool,
    /// Where to write the ids that were not erased; the file must be new
    #[arg(long, value_name = "FILE")]
    retry: Option<PathBuf>,
    /// A directory, which is made, for the certificates
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// What became of the list.
#[derive(Default)]
struct Report {
    erased: u64,
    /// Of these, customers of whom something is held.
    in_part: u64,
    failed: Vec<(String, String)>,
}

impl EraseList {
    /// Erases the list and reports.
    pub async fn run(self) -> Done {
        if !self.yes {
            return Err(Stop::Usage(
                "erasing cannot be undone; nothing was done; repeat the command with --yes"
                    .to_owned(),
            ));
        }
        let text = fs::read_to_string(&self.file);
        let text = text.map_err(|error| Stop::file(&self.file, "read", &error))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = lines.map(full_name).collect();
        if let Some(dir) = &self.certificates {
            super::pki::make_private_dir(dir)?;
        }
        let client = self.caller.connect().await?;
        let mut progress = Progress::start("erasing", names.len() as u64);
        let mut report = Report::default();
        for part in names.chunks(limits::BULK_NAMES) {
            let mut open: BTreeSet<&String> = part.iter().collect();
            let names = part.to_vec();
            let request = pb::EraseCustomersRequest { names };
            let answers = client.erase_customers(request).await?;
            let ended = self
                .take(answers, &mut open, &mut report, &mut progress)
                .await;
            if let Err(stop) = ended {
                note(&format!("the list was cut off: {stop}"));
            }
            for name in open {
                report.failed.push((name.clone(), "UNANSWERED".to_owned()));
            }
        }
        drop(progress);
        self.tell(&report)
    }

    async fn take(
        &self,
        mut answers: ErasureStream,
        open: &mut BTreeSet<&String>,
        report: &mut Report,
        progress: &mut Progress,
    ) -> Done {
        while let Some(answer) = answers.next().await? {
            open.remove(&answer.name);
            match answer.outcome {
                Some(Outcome::Erased(reply)) => {
                    report.erased += 1;
                    report.in_part += u64::from(reply.in_part);
                    self.keep(reply.certificate.as_ref(), report.erased)?;
                }
                Some(Outcome::Failure(failure)) => {
                    report.failed.push((answer.name, failure.reason));
                }
                None => report.failed.push((answer.name, "UNANSWERED".to_owned())),
            }
            let failed = report.failed.len();
            let done = report.erased + failed as u64;
            progress.set(done, &format!("{} erased, {failed} not", report.erased));
        }
        Ok(())
    }

    /// Certificates are numbered in the order of the answers: an id may be no
    /// name for a file.
    fn keep(&self, certificate: Option<&pb::Certificate>, number: u64) -> Done {
        match (&self.certificates, certificate) {
            (Some(dir), Some(certificate)) => {
                let path = dir.join(format!("{number:06}.json"));
                write_file(&path, &certificate.document)
            }
            _ => Ok(()),
        }
    }

    fn tell(&self, report: &Report) -> Done {
        let mut out = self.caller.out();
        let failed: Vec<Json> = report
            .failed
            .iter()
            .map(|(name, reason)| json!({ "name": name, "reason": reason }))
            .collect();
        out.document(&json!({
            "erased": report.erased,
            "in_part": report.in_part,
            "failed": failed,
        }));
        out.line(&format!("{} erased.", report.erased));
        if report.in_part > 0 {
            out.line(&format!(
                "{} of them in part: something of theirs is held, and erased when it is released.",
                report.in_part
            ));
        }
        if report.failed.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = report
            .failed
            .iter()
            .map(|(name, reason)| vec![printable(name), reason.clone()])
            .collect();
        out.table(&["not erased", "why"], &rows);
        if let Some(path) = &self.retry {
            let again = report.failed.iter().map(|(name, _)| format!("{name}\n"));
            write_file(path, &again.collect::<String>())?;
            out.line(&format!("They are listed in {}.", path.display()));
        }
        Err(Stop::Told)
    }
}
