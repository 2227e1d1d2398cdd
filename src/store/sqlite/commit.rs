//! One commit of many changes, of which one that fails spoils no other.

use super::error::{is_damage, is_fatal, refused};
use super::history;
use super::writer::{Care, Counts};
use crate::error::{Error, Result, Unavailable};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};

/// Part of a shared transaction.
pub struct Change {
    work: Box<dyn Work>,
    /// It only appends to the log.
    is_log: bool,
}

impl Change {
    /// A change, and who is told what it came to.
    pub fn new<T: Send + 'static>(
        is_log: bool,
        change: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Self {
        let done = Err(UNKNOWN);
        let work = Box::new(Asked {
            change,
            answer,
            done,
        });
        Self { work, is_log }
    }
}

trait Work: Send {
    /// Makes it, again where it was undone before. False where it failed.
    fn make(&mut self, db: &Connection, failed: &AtomicBool) -> bool;
    /// Answers, once it is known how the commit went.
    fn settle(self: Box<Self>, commit: Result<()>);
}

/// A change, its answer and what is known of that by now.
struct Asked<T, C, A> {
    change: C,
    answer: A,
    done: Result<T>,
}

const UNKNOWN: Error = Error::Unavailable(Unavailable::OutcomeUnknown);

impl<T, C, A> Work for Asked<T, C, A>
where
    T: Send,
    C: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    A: FnOnce(Result<T>) + Send,
{
    fn make(&mut self, db: &Connection, failed: &AtomicBool) -> bool {
        self.done = (self.change)(db).map_err(|error| {
            // A damaged page is its rows' loss alone: others are served.
            if is_fatal(&error) && !is_damage(&error) {
                failed.store(true, Ordering::Release);
            }
            refused(error)
        });
        self.done.is_ok()
    }

    fn settle(self: Box<Self>, commit: Result<()>) {
        (self.answer)(commit.and(self.done));
    }
}

/// Makes changes in one commit, and tells each what it came to.
pub fn commit(
    db: &Connection,
    mut changes: Vec<Change>,
    failed: &AtomicBool,
    counts: &Counts,
    care: &mut Care,
) {
    let done = together(db, &mut changes, failed, care);
    if done.is_ok() {
        let many = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        counts.count(many, changes.iter().all(|change| change.is_log));
    }
    for change in changes {
        change.work.settle(done.clone());
    }
}

/// Commits all changes but those that fail by themselves. Few do, and a
/// savepoint costs a copy of each page that is touched in it: so all are made
/// without at first.
fn together(
    db: &Connection,
    changes: &mut [Change],
    failed: &AtomicBool,
    care: &mut Care,
) -> Result<()> {
    let is_done = attempt(db, changes, failed, care, false)?;
    if !is_done {
        attempt(db, changes, failed, care, true)?;
    }
    Ok(())
}

/// One transaction. False where a change failed that is not kept apart, so that
/// nothing was done.
fn attempt(
    db: &Connection,
    changes: &mut [Change],
    failed: &AtomicBool,
    care: &mut Care,
    is_apart: bool,
) -> Result<bool> {
    if failed.load(Ordering::Acquire) {
        return Err(UNKNOWN);
    }
    history::forget(0);
    db.execute_batch("BEGIN IMMEDIATE").map_err(refused)?;
    let done = match make_all(db, changes, failed, is_apart) {
        Ok(true) => close(db, failed, care).map(|()| true),
        other => other,
    };
    // A failed commit may have rolled back already.
    if !db.is_autocommit() && db.execute_batch("ROLLBACK").is_err() {
        failed.store(true, Ordering::Release);
    }
    done
}

fn make_all(
    db: &Connection,
    changes: &mut [Change],
    failed: &AtomicBool,
    is_apart: bool,
) -> Result<bool> {
    for change in changes {
        let is_made = if is_apart {
            in_savepoint(db, || change.work.make(db, failed)).map_err(refused)?
        } else {
            change.work.make(db, failed)
        };
        // A full disk or a failed read ends the whole transaction.
        if db.is_autocommit() {
            let is_unknown = failed.load(Ordering::Acquire);
            let full = Error::Unavailable(Unavailable::DiskFull);
            return Err(if is_unknown { UNKNOWN } else { full });
        }
        if !is_made && !is_apart {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Undoes what fails, alone.
fn in_savepoint(db: &Connection, make: impl FnOnce() -> bool) -> rusqlite::Result<bool> {
    db.prepare_cached("SAVEPOINT change")?.execute([])?;
    let noted = history::noted();
    let is_made = make();
    if is_made {
        db.prepare_cached("RELEASE change")?.execute([])?;
    } else if !db.is_autocommit() {
        history::forget(noted);
        db.execute_batch("ROLLBACK TO change; RELEASE change")?;
    }
    Ok(is_made)
}

fn close(db: &Connection, failed: &AtomicBool, care: &mut Care) -> Result<()> {
    let folds = care.folds.as_mut();
    let kept = folds.map_or(Ok(()), |folds| folds.before_commit(db));
    kept.and_then(|()| db.execute_batch("COMMIT"))
        .map_err(|error| {
            if is_fatal(&error) {
                failed.store(true, Ordering::Release);
                return UNKNOWN;
            }
            refused(error)
        })
}
