//! Jobs as people and programs read them, and a bar for one that runs.

use crate::cli::out::Out;
use crate::cli::progress::Progress;
use crate::cli::stop::{Done, Stop};
use crate::cli::value::date_text;
use crate::client::Client;
use crate::pb;
use serde_json::{Value as Json, json};
use std::time::Instant;

/// The columns of [`row`].
pub const HEADER: [&str; 8] = [
    "job", "does", "to", "state", "step", "done", "keys", "started",
];

fn kind(job: &pb::Job) -> &'static str {
    match job.kind() {
        pb::JobKind::Unspecified => "",
        pb::JobKind::CloseEpoch => "close epoch",
        pb::JobKind::RotateCustomer => "rotate customer",
        pb::JobKind::RotateType => "rotate record type",
        pb::JobKind::RotateAll => "rotate all",
    }
}

/// Where a job stands, in a word.
pub fn state(job: &pb::Job) -> &'static str {
    match job.state() {
        pb::JobState::Unspecified => "",
        pb::JobState::Running => "running",
        pb::JobState::Paused => "paused",
        pb::JobState::Failed => "failed",
        pb::JobState::Done => "done",
        pb::JobState::Waiting => "waiting",
    }
}

/// A job as a row of a table.
pub fn row(job: &pb::Job) -> Vec<String> {
    let target = match job.kind() {
        pb::JobKind::CloseEpoch | pb::JobKind::RotateType => job.target.to_string(),
        _ => String::new(),
    };
    let why = match job.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    vec![
        job.job.to_string(),
        kind(job).to_owned(),
        target,
        format!("{}{why}", state(job)),
        job.step.clone(),
        format!("{} of {}", job.done, job.total),
        job.keys.to_string(),
        date_text(job.start_date.as_ref()),
    ]
}

/// A job as a document.
pub fn document(job: &pb::Job) -> Json {
    json!({
        "job": job.job,
        "kind": kind(job),
        "target": job.target,
        "state": state(job),
        "step": job.step,
        "done": job.done,
        "total": job.total,
        "keys": job.keys,
        "pages_per_second": job.pages_per_second,
        "reason": job.reason,
        "requester": job.requester,
        "start_date": date_text(job.start_date.as_ref()),
        "due_date": date_text(job.due_date.as_ref()),
    })
}

/// Shows a job's way until it runs no more; answers how it ended.
pub async fn watched(client: &Client, job: pb::Job) -> Result<pb::Job, Stop> {
    let mut watching = client
        .watch_job(pb::WatchJobRequest { job: job.job })
        .await?;
    let (mut last, begun) = (job, Instant::now());
    let mut bar: Option<(String, Progress)> = None;
    while let Some(job) = watching.next().await? {
        let total = u64::try_from(job.total).unwrap_or(0);
        if bar.as_ref().is_none_or(|(step, _)| *step != job.step) && total > 0 {
            bar = Some((job.step.clone(), Progress::start("pages", total)));
        }
        if let Some((_, bar)) = &mut bar {
            let seconds = begun.elapsed().as_secs().max(1);
            let keys = u64::try_from(job.keys).unwrap_or(0);
            let rate = keys / seconds;
            let done = u64::try_from(job.done).unwrap_or(0);
            let step = &job.step;
            bar.set(done, &format!("{step}: {keys} keys, {rate} a second"));
        }
        last = job;
    }
    Ok(last)
}

/// Says how a job ended; one that failed is a failed command.
pub fn ended(out: &mut Out, job: &pb::Job) -> Done {
    out.document(&document(job));
    out.table(&HEADER, &[row(job)]);
    match job.state() {
        pb::JobState::Failed => Err(Stop::Failed(format!(
            "the job {} cannot go on: {}; the server's log says more. When it is mended, \
             the same command goes on from there",
            job.job, job.reason
        ))),
        pb::JobState::Paused => {
            out.line(match job.kind() {
                pb::JobKind::CloseEpoch => {
                    "It is paused. `oubliette key epoch close --resume` goes on from there."
                }
                _ => "It is paused. The same `oubliette key rotate` goes on from there.",
            });
            Ok(())
        }
        pb::JobState::Waiting => {
            let due = date_text(job.due_date.as_ref());
            let why = match due.as_str() {
                "" => "It waits for a second person: `oubliette key approval \
                     list` says for what."
                    .to_owned(),
                due => format!(
                    "The provider destroys the key on {due} and not before; until then the \
                     epoch is not closed."
                ),
            };
            out.line(&why);
            Ok(())
        }
        _ => Ok(()),
    }
}
