//! Jobs: long work on the keys that goes on while the vault serves, and after
//! a crash. A job is one row of `keys.db`, changed in the same transaction as
//! the keys it is about.

use super::Pending;
use crate::clock::Day;
use crate::error::Result;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Closes an epoch: `target` is its number.
    CloseEpoch = 1,
    /// Re-encrypts one customer's records: `target` is their number.
    RotateCustomer = 2,
    /// Re-encrypts the records of one type: `target` is its number.
    RotateType = 3,
    /// Re-encrypts every record.
    RotateAll = 4,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It goes on by itself, also after a restart.
    Running = 1,
    /// Somebody paused it.
    Paused = 2,
    /// It cannot go on until somebody saw to the reason.
    Failed = 3,
    /// It is done.
    Done = 4,
    /// It waits: for a second person, or for a date.
    Waiting = 5,
}

/// A new job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub target: u64,
    /// Pages a second at most; 0: as fast as it goes.
    pub throttle: u32,
    /// Who asked for it; empty: the vault itself.
    pub requester: String,
    /// Today.
    pub today: Day,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its number, from 1.
    pub job: u64,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub target: u64,
    /// Where it stands.
    pub state: JobState,
    /// Which of its steps it is at.
    pub step: u8,
    /// How far it is within the step.
    pub cursor: u64,
    /// Pages or records that are done.
    pub done: u64,
    /// How many there were when it began.
    pub total: u64,
    /// Keys that were wrapped anew.
    pub keys: u64,
    /// Pages a second at most; 0: as fast as it goes.
    pub throttle: u32,
    /// Who asked for it; empty: the vault itself.
    pub requester: String,
    /// Why it waits or failed: a stable reason; else empty.
    pub reason: String,
    /// The day it was started.
    pub started: Day,
}

/// Why a job waits: a provider destroys its key on a date, which is the job's
/// cursor.
pub const SCHEDULED: &str = "SCHEDULED";

impl JobRow {
    /// What its step is called.
    pub fn step_name(&self) -> &'static str {
        match (self.kind, self.step) {
            (_, 0) => "opened",
            (JobKind::CloseEpoch, 1) => "pages",
            (JobKind::CloseEpoch, 2) => "gate",
            (JobKind::CloseEpoch, _) => "destroy",
            _ => "records",
        }
    }

    /// The day that the job waits for, if it does.
    pub fn due(&self) -> Option<Day> {
        let waits = self.state == JobState::Waiting && self.reason == SCHEDULED;
        let day = || Day(i32::try_from(self.cursor).unwrap_or(i32::MAX));
        waits.then(day)
    }
}

/// How far a job has come since it was last noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Which job.
    pub job: u64,
    /// How far it is within its step now.
    pub cursor: u64,
}

/// What a running job must know of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOrders {
    /// Where it stands: paused, it stops.
    pub state: JobState,
    /// Pages a second at most.
    pub throttle: u32,
}

/// Changes to jobs, in `keys.db`.
pub trait JobStore {
    /// Starts a job; `None` where one of its kind and target is not done.
    fn start_job(&self, job: NewJob) -> Pending<Option<u64>>;
    /// A step begins; the job is about `total` pages or records, or as many as
    /// it was about before.
    fn begin_step(&self, job: u64, step: u8, total: u64) -> Pending<()>;
    /// So many more pages or records are done, so many keys with them.
    fn advance_job(&self, progress: Progress, pages: u64, keys: u64) -> Pending<JobOrders>;
    /// It stands so now, for this reason. A job that is done stays done.
    fn set_job(&self, job: u64, state: JobState, reason: &'static str) -> Pending<bool>;
    /// Pages a second at most from here on; 0: as fast as it goes.
    fn throttle_job(&self, job: u64, throttle: u32) -> Pending<bool>;
}

/// Looks at jobs.
pub trait JobRows {
    /// `keys.db`: one job.
    fn job(&mut self, job: u64) -> Result<Option<JobRow>>;
    /// `keys.db`: the jobs that are not done, oldest first.
    fn open_jobs(&mut self) -> Result<Vec<JobRow>>;
    /// `keys.db`: the newest jobs, newest first.
    fn newest_jobs(&mut self, most: usize) -> Result<Vec<JobRow>>;
}
