//! One writer thread a file. Changes that wait together share one commit, each
//! in a savepoint of its own so that a refused one spoils no other; nobody is
//! answered before the commit is durable.

use super::error::{is_damage, is_fatal, refused};
use crate::error::{Error, Result, Unavailable};
use crate::limits;
use crate::store::Pending;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Told how the commit went.
type Settle = Box<dyn FnOnce(std::result::Result<(), Error>) + Send>;

/// Made inside the shared transaction; answers how to settle it.
type Change = Box<dyn FnOnce(&Connection) -> Settle + Send>;

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

/// How many commits there were and how many changes they carried.
#[derive(Default)]
pub struct Counts {
    /// Durable commits.
    pub commits: AtomicU64,
    /// Changes in them.
    pub changes: AtomicU64,
}

impl Writer {
    /// Starts the thread that owns `db`.
    pub fn start(name: &str, db: Connection) -> Result<Self> {
        let (queue, jobs) = sync_channel(limits::WRITE_QUEUE);
        let failed = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let (failing, counting) = (Arc::clone(&failed), Arc::clone(&counts));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&db, &jobs, &failing, &counting))
            .map_err(|_| Error::Internal("thread"))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            failed,
            counts,
        })
    }

    /// Queues a change; the answer comes once it is durable. Should it fail, it
    /// alone is undone.
    pub fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.queue_change(move |db| in_savepoint(db, change))
    }

    /// The same for a change that fails only as storage does: it needs no
    /// savepoint, and should it fail, its whole commit does.
    pub fn append<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.queue_change(move |db| {
            let done = change(db);
            if done.is_err() && !db.is_autocommit() {
                db.execute_batch("ROLLBACK")?;
            }
            done
        })
    }

    fn queue_change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = oneshot::channel();
        let failed = Arc::clone(&self.failed);
        self.submit(Job::Change(Box::new(move |db| {
            let done = change(db).map_err(|error| {
                // A damaged page is its rows' loss alone: others are served.
                if is_fatal(&error) && !is_damage(&error) {
                    failed.store(true, Ordering::Release);
                }
                refused(error)
            });
            Box::new(move |commit| {
                // The caller may be gone; the change stands all the same.
                let _ = answer.send(commit.and(done));
            })
        })));
        Pending::new(pending)
    }

    /// Queues work that runs between transactions.
    pub fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = oneshot::channel();
        self.submit(Job::Between(Box::new(move |db| {
            let _ = answer.send(work(db).map_err(refused));
        })));
        Pending::new(pending)
    }

    /// True once a commit failed in a way that leaves the outcome unknown, or
    /// the thread ended.
    pub fn failed(&self) -> bool {
        let is_over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        is_over || self.failed.load(Ordering::Acquire)
    }

    /// Commits and the changes in them, so far.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.counts.commits.load(Ordering::Relaxed),
            self.counts.changes.load(Ordering::Relaxed),
        )
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

fn refuse(job: Job) {
    tracing::warn!("the write queue is full");
    drop(job);
}

fn in_savepoint<T>(
    db: &Connection,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.prepare_cached("SAVEPOINT change")?.execute([])?;
    let done = change(db);
    if done.is_ok() {
        db.prepare_cached("RELEASE change")?.execute([])?;
    } else if !db.is_autocommit()
        && let Err(error) = db.execute_batch("ROLLBACK TO change; RELEASE change")
    {
        // What cannot be taken back alone is not committed with the others.
        let _ = db.execute_batch("ROLLBACK");
        return Err(error);
    }
    done
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        refused(error)
    }
}

fn run(db: &Connection, jobs: &Receiver<Job>, failed: &AtomicBool, counts: &Counts) {
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
                commit(db, changes, failed, counts);
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

fn commit(db: &Connection, changes: Vec<Change>, failed: &AtomicBool, counts: &Counts) {
    let many = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    let outcome = (|| {
        if failed.load(Ordering::Acquire) {
            return Err((Vec::new(), Error::Unavailable(Unavailable::OutcomeUnknown)));
        }
        db.execute_batch("BEGIN IMMEDIATE")
            .map_err(|e| (Vec::new(), refused(e)))?;
        let mut settles: Vec<Settle> = Vec::with_capacity(changes.len());
        for change in changes {
            settles.push(change(db));
            // A full disk or a failed read ends the whole transaction.
            if db.is_autocommit() {
                let why = if failed.load(Ordering::Acquire) {
                    Unavailable::OutcomeUnknown
                } else {
                    Unavailable::DiskFull
                };
                return Err((settles, Error::Unavailable(why)));
            }
        }
        match db.execute_batch("COMMIT") {
            Ok(()) => Ok(settles),
            Err(error) => {
                // The failed commit may have rolled back already.
                let _ = db.execute_batch("ROLLBACK");
                if is_fatal(&error) {
                    failed.store(true, Ordering::Release);
                    Err((settles, Error::Unavailable(Unavailable::OutcomeUnknown)))
                } else {
                    Err((settles, refused(error)))
                }
            }
        }
    })();
    match outcome {
        Ok(settles) => {
            counts.commits.fetch_add(1, Ordering::Relaxed);
            counts.changes.fetch_add(many, Ordering::Relaxed);
            for settle in settles {
                settle(Ok(()));
            }
        }
        Err((settles, error)) => {
            for settle in settles {
                settle(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
            .unwrap();
        Writer::start("test", db).unwrap()
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
