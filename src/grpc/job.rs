//! WatchJob, and jobs as the wire knows them.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use super::value::date;
use crate::error::{Error, Result};
use crate::limits;
use crate::pb;
use crate::store::{JobKind, JobRow, JobState};
use crate::vault::Vault;
use std::sync::Arc;

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
pub type Watching = Outflow<pb::WatchJobResponse>;

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
    let guarded = Arc::clone(guarded);
    Ok(Outflow::of(place, move |outlet| async move {
        in_time(send(vault, guarded, first, &outlet)).await
    }))
}

async fn send(
    vault: Vault,
    mut guarded: Arc<Guarded>,
    first: JobRow,
    outlet: &Outlet<pb::WatchJobResponse>,
) -> Result<()> {
    let mut row = first;
    let mut look = tokio::time::interval(limits::WATCH_LOOK);
    loop {
        let Some(room) = outlet.room().await? else {
            return Ok(());
        };
        room.send(pb::WatchJobResponse {
            job: Some(job(&row)),
        });
        if row.state != JobState::Running {
            return Ok(());
        }
        let sent = row.clone();
        while row == sent {
            tokio::select! {
                () = outlet.gone() => return Ok(()),
                _ = look.tick() => {}
            }
            guarded = guarded.renewed()?;
            let grant = guarded.rules.watch_job(&guarded.principal, sent.job)?;
            row = vault.job_now(&grant).await?;
        }
    }
}
