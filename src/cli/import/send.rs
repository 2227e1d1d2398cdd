//! Sends rows, many at a time, and counts what became of them.

use super::ids::{Change, ImportIds};
use super::journal::Journal;
use super::rows::{Line, Row, Rows};
use crate::cli::progress::Progress;
use crate::cli::stop::{Done, Stop};
use crate::client::{Client, Failure};
use crate::limits;
use crate::pb;
use std::io::Read;
use std::sync::Arc;
use tokio::task::JoinSet;
use tonic::Code;

/// A row that was not imported.
pub struct BadRow {
    /// Where it begins in the file.
    pub line: u64,
    /// Why, without its values.
    pub reason: String,
}

/// What became of a file.
#[derive(Default)]
pub struct Report {
    /// Rows written by this run.
    pub imported: u64,
    /// Rows that an earlier run had written.
    pub done_before: u64,
    /// Rows that were not imported.
    pub failed: u64,
    /// The first of these.
    pub told: Vec<BadRow>,
}

/// An import under way.
pub struct Sending {
    /// Whom to send to.
    pub client: Client,
    /// Where the request ids come from.
    pub ids: Arc<ImportIds>,
    /// The record type's name.
    pub record_type: Arc<str>,
    /// Which rows are done.
    pub journal: Journal,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// What became of one row.
struct Sent {
    number: u64,
    line: u64,
    outcome: Result<(), Failure>,
}

impl Sending {
    /// Sends every row that is not done yet. A row that is refused is counted
    /// and the rest go on; when nobody answers any more, it stops.
    pub async fn run<R: Read>(mut self, mut rows: Rows<R>) -> Done<Report> {
        let mut report = Report::default();
        let mut under_way: JoinSet<Done<Sent>> = JoinSet::new();
        while let Some(line) = rows.next()? {
            if self.journal.has(line.number) {
                report.done_before += 1;
                continue;
            }
            let message = format!("{} rows", report.imported + report.done_before);
            self.progress.set(line.byte, &message);
            let Line {
                number, line, row, ..
            } = line;
            match row {
                Err(reason) => self.bad(&mut report, line, reason),
                Ok(row) => {
                    let (client, ids) = (self.client.clone(), Arc::clone(&self.ids));
                    let record_type = Arc::clone(&self.record_type);
                    under_way.spawn(async move {
                        let outcome = send(&client, &ids, &record_type, number, row).await?;
                        Ok(Sent {
                            number,
                            line,
                            outcome,
                        })
                    });
                }
            }
            if under_way.len() >= limits::IMPORT_IN_FLIGHT {
                self.settle(&mut under_way, &mut report).await?;
            }
        }
        while !under_way.is_empty() {
            self.settle(&mut under_way, &mut report).await?;
        }
        Ok(report)
    }

    /// Waits for one row under way.
    async fn settle(&mut self, under_way: &mut JoinSet<Done<Sent>>, report: &mut Report) -> Done {
        let Some(joined) = under_way.join_next().await else {
            return Ok(());
        };
        let sent = joined.map_err(|_| Stop::Failed("a row's task was lost".to_owned()))??;
        match sent.outcome {
            Ok(()) => {
                self.journal.add(sent.number)?;
                report.imported += 1;
            }
            Err(failure) if concerns_every_row(&failure) => {
                self.progress.note(&format!(
                    "stopped at line {} after {} rows; the same command goes on from here",
                    sent.line, report.imported
                ));
                return Err(Stop::Call(failure));
            }
            Err(failure) => {
                let reason = match failure.violations.first() {
                    Some(v) => format!("{}: {} {}", failure.reason, v.field, v.rule),
                    None => format!("{}: {}", failure.reason, failure.message),
                };
                self.bad(report, sent.line, reason);
            }
        }
        Ok(())
    }

    fn bad(&self, report: &mut Report, line: u64, reason: String) {
        report.failed += 1;
        if report.told.len() < limits::IMPORT_TOLD {
            self.progress.note(&format!("line {line}: {reason}"));
            report.told.push(BadRow { line, reason });
        }
    }
}

/// Whether the next row would fare no better.
fn concerns_every_row(failure: &Failure) -> bool {
    failure.reason.is_empty()
        || failure.is("POLICY_DENIED")
        || failure.is("POLICY_ERROR")
        || matches!(
            failure.code,
            Code::Unauthenticated | Code::Unavailable | Code::Unimplemented
        )
}

/// Creates the customer where there is none, then writes the record.
async fn send(
    client: &Client,
    ids: &ImportIds,
    record_type: &str,
    number: u64,
    row: Row,
) -> Done<Result<(), Failure>> {
    let create = pb::CreateCustomerRequest {
        customer_id: row.customer.clone(),
        request_id: ids.request(number, Change::Create)?,
        recreate_erased: false,
    };
    match client.create_customer(create).await {
        Err(failure) if !failure.is("CUSTOMER_EXISTS") => return Ok(Err(failure)),
        Ok(_) | Err(_) => {}
    }
    let put = pb::PutRecordRequest {
        name: format!("customers/{}/records/{}", row.customer, row.record),
        record_type: record_type.to_owned(),
        fields: row.fields,
        request_id: ids.request(number, Change::Put)?,
        expected_revision: None,
        source: "import".to_owned(),
        collect_time: None,
    };
    Ok(client.put_record(put).await.map(|_| ()))
}
