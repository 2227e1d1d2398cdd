//! One writer thread a file. Changes that wait together share one commit; one
//! that fails spoils no other; nobody is answered before the commit is durable.

use super::checkpoint::Checkpoints;
use super::commit::{Change, commit};
use super::error::{is_fatal, refused};
use super::history::Folds;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::Pending;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

enum Job {
    /// Part of a shared transaction.
    Change(Change),
    /// Between transactions: a checkpoint.
    Between(Box<dyn FnOnce(&Connection) + Send>),
}

/// A file's writer.
pub struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// What a file needs beside the changes that callers make.
pub struct Care {
    /// Keeps its log short.
    pub checkpoints: Checkpoints,
    /// Keeps its history sorted, where it has one.
    pub folds: Option<Folds>,
}

/// What was committed so far.
#[derive(Default)]
pub struct Counts {
    commits: AtomicU64,
    changes: AtomicU64,
    beside_log: AtomicU64,
}

/// How many commits there were, as a reader compares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Of every kind.
    pub commits: u64,
    /// Of these, those that did more than append to the log.
    pub beside_log: u64,
}

impl Counts {
    /// Commits and the changes in them.
    pub fn told(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.commits), read(&self.changes))
    }

    /// What a state that is taken from here on holds at the least.
    pub fn committed(&self) -> Committed {
        Committed {
            commits: self.commits.load(Ordering::Acquire),
            beside_log: self.beside_log.load(Ordering::Acquire),
        }
    }

    /// Before anybody hears of the commit, so that who has heard sees it.
    pub(super) fn count(&self, changes: u64, is_log: bool) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
        self.beside_log
            .fetch_add(u64::from(!is_log), Ordering::Release);
        self.commits.fetch_add(1, Ordering::Release);
    }
}

impl Writer {
    /// Starts the thread that owns `db`.
    pub fn start(name: &str, db: Connection, care: Care) -> Result<Self> {
        let (queue, jobs) = sync_channel(limits::WRITE_QUEUE);
        let failed = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let (failing, counting) = (Arc::clone(&failed), Arc::clone(&counts));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&db, &jobs, &failing, &counting, care))
            .map_err(|_| Error::Internal("thread"))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            failed,
            counts,
        })
    }

    /// Queues a change; the answer comes once it is durable. Should it fail, it
    /// alone is undone. It may be made anew, when another one failed.
    pub fn change<T: Send + 'static>(
        &self,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = answer();
        self.queue_change(false, change, answer);
        pending
    }

    /// The same for a change that touches nothing but the log.
    pub fn append<T: Send + 'static>(
        &self,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = answer();
        self.append_then(change, answer);
        pending
    }

    /// The same, answered by a call on the writer's thread.
    pub fn append_then<T: Send + 'static>(
        &self,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.queue_change(true, change, answer);
    }

    fn queue_change<T: Send + 'static>(
        &self,
        is_log: bool,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.submit(Job::Change(Change::new(is_log, change, answer)));
    }

    /// Queues work that runs between transactions.
    pub fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = answer();
        self.submit(Job::Between(Box::new(move |db| {
            answer(work(db).map_err(refused));
        })));
        pending
    }

    /// True once a commit failed in a way that leaves the outcome unknown, or
    /// the thread ended.
    pub fn failed(&self) -> bool {
        let is_over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        is_over || self.failed.load(Ordering::Acquire)
    }

    /// What was committed so far.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    fn submit(&self, job: Job) {
        let Some(queue) = &self.queue else { return };
        // A job that is not taken is dropped, and with it the sender of its
        // answer: the caller then reads OUTCOME_UNKNOWN, which is safe to say.
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = queue.try_send(job)
        {
            refuse(job);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer and where it is waited for.
fn answer<T>() -> (impl FnOnce(Result<T>), Pending<T>) {
    let (answer, pending) = oneshot::channel();
    let tell = move |done| {
        // The caller may be gone; the change stands all the same.
        let _ = answer.send(done);
    };
    (tell, Pending::new(pending))
}

fn refuse(job: Job) {
    tracing::warn!("the write queue is full");
    drop(job);
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        refused(error)
    }
}

fn run(
    db: &Connection,
    jobs: &Receiver<Job>,
    failed: &AtomicBool,
    counts: &Counts,
    mut care: Care,
) {
    let mut next = jobs.recv().ok();
    let mut last = 0_u32;
    while let Some(job) = next.take() {
        let mut between = None;
        match job {
            Job::Between(work) => between = Some(work),
            Job::Change(first) => {
                let mut changes = vec![first];
                // Many are on their way: a moment's wait lets them share this
                // commit. Who comes alone does not wait.
                if last > 1 {
                    let pace = limits::COMMIT_PACE.saturating_mul(last);
                    std::thread::sleep(pace.min(limits::COMMIT_PACE_MAX));
                }
                while changes.len() < limits::CHANGES_PER_COMMIT {
                    match jobs.try_recv() {
                        Ok(Job::Change(change)) => changes.push(change),
                        Ok(Job::Between(work)) => {
                            between = Some(work);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                last = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                commit(db, changes, failed, counts, &mut care);
                tend(db, failed, &mut care);
            }
        }
        // A file that failed is not touched again: its log may hold what the
        // next start must find.
        if let Some(work) = between.filter(|_| !failed.load(Ordering::Acquire)) {
            work(db);
        }
        next = jobs.recv().ok();
    }
}

/// What can wait until everybody is answered. Should it fail, storage did,
/// unless it is only for want of room: then it is tried again.
fn tend(db: &Connection, failed: &AtomicBool, care: &mut Care) {
    if failed.load(Ordering::Acquire) {
        return;
    }
    let folded = care.folds.as_mut().map_or(Ok(()), |f| f.after_commit(db));
    if let Err(error) = folded.and_then(|()| care.checkpoints.after_commit(db)) {
        tracing::error!(code = ?error.sqlite_error_code(), "a file was not tended");
        if is_fatal(&error) {
            failed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Unavailable;

    fn writer() -> Writer {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
            .unwrap();
        let care = Care {
            checkpoints: Checkpoints::new(Arc::default()),
            folds: None,
        };
        Writer::start("test", db, care).unwrap()
    }

    #[test]
    fn a_change_that_is_refused_spoils_no_other() {
        let writer = writer();
        let insert = |n: i64| move |db: &Connection| db.execute("INSERT INTO t VALUES (?1)", [n]);
        let twice = |db: &Connection| {
            db.execute("INSERT INTO t VALUES (2)", [])?;
            db.execute("INSERT INTO t VALUES (1)", [])
        };
        let all = [
            writer.change(insert(1)),
            writer.change(twice),
            writer.change(insert(3)),
        ];
        let done = all.map(|pending| pending.wait().is_ok());
        assert_eq!(done, [true, false, true]);
        let count = |db: &Connection| db.query_row("SELECT sum(n) FROM t", [], |row| row.get(0));
        assert_eq!(writer.change(count).wait(), Ok(4_i64));
        assert!(!writer.failed());
    }

    #[test]
    fn a_thread_that_ends_by_a_bug_is_a_failure() {
        let writer = writer();
        let unknown = Err(Error::Unavailable(Unavailable::OutcomeUnknown));
        let bug =
            writer.change(|_| -> rusqlite::Result<()> { std::panic::resume_unwind(Box::new(())) });
        assert_eq!(bug.wait(), unknown);
        while !writer.failed() {
            std::thread::yield_now();
        }
    }
}
