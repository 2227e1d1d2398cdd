//! Jobs: rows of `keys.db`, changed with the keys that they are about.

use super::Sqlite;
use super::reader::Reader;
use crate::clock::Day;
use crate::error::{Error, Lost, Result};
use crate::store::{
    JobKind, JobOrders, JobRow, JobRows, JobState, JobStore, NewJob, Pending, Progress,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Starts a job; `None` where one of its kind and target is not done.
pub fn start(db: &Connection, job: &NewJob) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached(
        "INSERT INTO jobs (kind, target, state, step, cursor, done, total, keys, throttle,
                           requester, reason, started_day)
         SELECT ?1, ?2, ?3, 0, 0, 0, 0, 0, ?4, ?5, '', ?6
         WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE kind = ?1 AND target = ?2 AND state <> 4)
         RETURNING job",
    )?
    .query_row(
        params![
            job.kind as u8,
            job.target,
            JobState::Running as u8,
            job.throttle,
            job.requester,
            job.today.0
        ],
        |row| row.get(0),
    )
    .optional()
}

/// Notes how far a job is; answers what its row says.
pub fn advance(
    db: &Connection,
    progress: &Progress,
    pages: u64,
    keys: u64,
) -> rusqlite::Result<JobOrders> {
    db.prepare_cached(
        "UPDATE jobs SET cursor = max(cursor, ?2), done = done + ?3, keys = keys + ?4
         WHERE job = ?1 RETURNING state, throttle",
    )?
    .query_row(params![progress.job, progress.cursor, pages, keys], |row| {
        Ok(JobOrders {
            state: state_of(row.get(0)?).unwrap_or(JobState::Failed),
            throttle: row.get(1)?,
        })
    })
}

fn begin_step(db: &Connection, job: u64, step: u8, total: u64) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE jobs SET step = ?2, cursor = 0, total = max(total, ?3) WHERE job = ?1",
        params![job, step, total],
    )?;
    Ok(())
}

fn set_state(
    db: &Connection,
    job: u64,
    state: JobState,
    reason: &'static str,
) -> rusqlite::Result<bool> {
    let set = db.execute(
        "UPDATE jobs SET state = ?2, reason = ?3 WHERE job = ?1 AND state <> ?4",
        params![job, state as u8, reason, JobState::Done as u8],
    )?;
    Ok(set == 1)
}

impl JobStore for Sqlite {
    fn start_job(&self, job: NewJob) -> Pending<Option<u64>> {
        self.ordinary(&self.keys, move |db| start(db, &job))
    }

    fn begin_step(&self, job: u64, step: u8, total: u64) -> Pending<()> {
        self.keys.change(move |db| begin_step(db, job, step, total))
    }

    fn advance_job(&self, progress: Progress, pages: u64, keys: u64) -> Pending<JobOrders> {
        self.keys
            .change(move |db| advance(db, &progress, pages, keys))
    }

    fn set_job(&self, job: u64, state: JobState, reason: &'static str) -> Pending<bool> {
        self.keys
            .change(move |db| set_state(db, job, state, reason))
    }

    fn throttle_job(&self, job: u64, throttle: u32) -> Pending<bool> {
        self.keys.change(move |db| {
            let set = db.execute(
                "UPDATE jobs SET throttle = ?2 WHERE job = ?1 AND state <> 4",
                params![job, throttle],
            )?;
            Ok(set == 1)
        })
    }
}

fn state_of(stored: u8) -> Option<JobState> {
    Some(match stored {
        1 => JobState::Running,
        2 => JobState::Paused,
        3 => JobState::Failed,
        4 => JobState::Done,
        5 => JobState::Waiting,
        _ => return None,
    })
}

fn kind_of(stored: u8) -> Option<JobKind> {
    Some(match stored {
        1 => JobKind::CloseEpoch,
        2 => JobKind::RotateCustomer,
        3 => JobKind::RotateType,
        4 => JobKind::RotateAll,
        _ => return None,
    })
}

const JOB: &str = "SELECT job, kind, target, state, step, cursor, done, total, keys, throttle,
                          requester, reason, started_day FROM jobs ";

fn job_of(row: &Row<'_>) -> rusqlite::Result<Option<JobRow>> {
    let (Some(kind), Some(state)) = (kind_of(row.get(1)?), state_of(row.get(3)?)) else {
        return Ok(None);
    };
    Ok(Some(JobRow {
        job: row.get(0)?,
        kind,
        target: row.get(2)?,
        state,
        step: row.get(4)?,
        cursor: row.get(5)?,
        done: row.get(6)?,
        total: row.get(7)?,
        keys: row.get(8)?,
        throttle: row.get(9)?,
        requester: row.get(10)?,
        reason: row.get(11)?,
        started: Day(row.get(12)?),
    }))
}

impl Reader {
    fn jobs(&mut self, which: &str, value: u64) -> Result<Vec<JobRow>> {
        let mut statement = self.keys()?.prepare_cached(&format!("{JOB} {which}"))?;
        let rows = statement.query_map([value], job_of)?;
        let rows: Vec<Option<JobRow>> = rows.collect::<rusqlite::Result<_>>()?;
        let rows = rows.into_iter();
        rows.map(|row| row.ok_or(Error::DataLoss(Lost::Row)))
            .collect()
    }
}

impl JobRows for Reader {
    fn job(&mut self, job: u64) -> Result<Option<JobRow>> {
        Ok(self.jobs("WHERE job = ?1", job)?.pop())
    }

    fn open_jobs(&mut self) -> Result<Vec<JobRow>> {
        self.jobs("WHERE state <> ?1 ORDER BY job", JobState::Done as u64)
    }

    fn newest_jobs(&mut self, most: usize) -> Result<Vec<JobRow>> {
        self.jobs("ORDER BY job DESC LIMIT ?1", most as u64)
    }
}
