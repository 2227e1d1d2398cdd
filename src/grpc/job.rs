//! WatchJob, and jobs as the wire knows them.

use super::call::Guarded;
use super::status::status;
use super::stream::Place;
use super::value::date;
use crate::error::{Error, Result};
use crate::limits;
use crate::pb;
use crate::store::{JobKind, JobRow, JobState};
use crate::vault::Vault;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// A job's number on the wire.
pub fn number(job: i64) -> Result<u64> {
    u64::try_from(job).map_err(|_| Error::NotFound(crate::error::Missing::Job))
}

/// Pages a second on the wire.
pub fn pace(pages: i32) -> Result<u32> {
    u32::try_from(pages).map_err(|_| {
        Error::invalid(crate::error::Violation::new(
            "pages_per_second",
            "must not be negative",
        ))
    })
}

/// A job on the wire. A customer's number stays inside.
pub fn job(row: &JobRow) -> pb::Job {
    let target = match row.kind {
        JobKind::CloseEpoch | JobKind::RotateType => row.target.cast_signed(),
        JobKind::RotateCustomer | JobKind::RotateAll => 0,
    };
    pb::Job {
        job: row.job.cast_signed(),
        kind: match row.kind {
            JobKind::CloseEpoch => pb::JobKind::CloseEpoch,
            JobKind::RotateCustomer => pb::JobKind::RotateCustomer,
            JobKind::RotateType => pb::JobKind::RotateType,
            JobKind::RotateAll => pb::JobKind::RotateAll,
        }
        .into(),
        target,
        state: match row.state {
            JobState::Running => pb::JobState::Running,
            JobState::Paused => pb::JobState::Paused,
            JobState::Failed => pb::JobState::Failed,
            JobState::Done => pb::JobState::Done,
            JobState::Waiting => pb::JobState::Waiting,
        }
        .into(),
        step: row.step_name().to_owned(),
        done: row.done.cast_signed(),
        total: row.total.cast_signed(),
        keys: row.keys.cast_signed(),
        pages_per_second: row.throttle.cast_signed(),
        reason: row.reason.clone(),
        requester: row.requester.clone(),
        start_date: Some(date(row.started)),
        due_date: row.due().map(date),
    }
}

/// What a watcher is sent.
pub struct Watching {
    ready: mpsc::Receiver<std::result::Result<pb::WatchJobResponse, Status>>,
    _place: Place,
}

impl Stream for Watching {
    type Item = std::result::Result<pb::WatchJobResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx)
    }
}

/// Begins to send a job as it stands; the first is written down, and what
/// follows it as long as the caller may watch.
pub async fn watch(
    vault: Vault,
    guarded: &Arc<Guarded>,
    job: u64,
    place: Place,
) -> Result<Watching> {
    let grant = guarded.rules.watch_job(&guarded.principal, job)?;
    let first = vault.watch_job(&guarded.call, &grant).await?;
    let (sender, ready) = mpsc::channel(1);
    let guarded = Arc::clone(guarded);
    tokio::spawn(async move {
        let all = send(vault, guarded, first, &sender);
        let ended = tokio::time::timeout(limits::STREAM_TIME, all).await;
        if let Err(error) = ended.unwrap_or(Err(Error::DeadlineExceeded)) {
            // The watcher may be gone.
            let _ = sender.send(Err(status(&error))).await;
        }
    });
    Ok(Watching {
        ready,
        _place: place,
    })
}

async fn send(
    vault: Vault,
    mut guarded: Arc<Guarded>,
    first: JobRow,
    sender: &mpsc::Sender<std::result::Result<pb::WatchJobResponse, Status>>,
) -> Result<()> {
    let mut row = first;
    let mut look = tokio::time::interval(limits::WATCH_LOOK);
    loop {
        let response = pb::WatchJobResponse {
            job: Some(job(&row)),
        };
        if sender.send(Ok(response)).await.is_err() || row.state != JobState::Running {
            return Ok(());
        }
        let sent = row.clone();
        while row == sent {
            look.tick().await;
            if sender.is_closed() {
                return Ok(());
            }
            guarded = guarded.renewed()?;
            let grant = guarded.rules.watch_job(&guarded.principal, sent.job)?;
            row = vault.job_now(&grant).await?;
        }
    }
}
