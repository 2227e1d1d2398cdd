//! Reads that wait for a reader thread, and room for a checkpoint: under load
//! the readers' states follow one another without a gap, so whoever empties a
//! write-ahead log asks them to let go and to wait.

use super::reader::Reader;
use crate::error::{Error, Result, Unavailable};
use crate::limits;
use crate::store::ReadJob;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How new a state of the files a read needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// With everything that was durable when it came.
    Everything,
    /// The same, but for entries that were only appended to the log.
    AllButTheLog,
}

/// The queue between callers and reader threads.
#[derive(Default)]
pub struct Reads {
    inner: Mutex<Inner>,
    /// Work came, a checkpoint wants room or is done, or it is over.
    news: Condvar,
    /// A reader thread let go of its state.
    let_go: Condvar,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<(ReadJob, Needs)>,
    /// Threads that wait for news.
    idle: usize,
    /// Threads that hold a state of the files.
    holding: usize,
    /// Checkpoints that want to be alone.
    wanted: usize,
    is_over: bool,
}

/// What a reader thread does next.
enum Next {
    /// Jobs were taken; whether one of them needs everything.
    Work(Needs),
    /// Let go of the state.
    LetGo,
    /// Let go of what is old.
    Wait,
    /// End.
    Over,
}

impl Reads {
    /// Queues a job; refuses when too many wait.
    pub fn push(&self, job: ReadJob, needs: Needs) -> Result<()> {
        let mut inner = self.lock();
        if inner.is_over {
            return Err(Error::Unavailable(Unavailable::Draining));
        }
        if inner.waiting.len() >= limits::READ_QUEUE {
            return Err(Error::Unavailable(Unavailable::StoreSlow));
        }
        inner.waiting.push_back((job, needs));
        let is_heard = inner.idle > 0;
        drop(inner);
        if is_heard {
            self.news.notify_one();
        }
        Ok(())
    }

    /// No more jobs are taken; those that wait are done.
    pub fn close(&self) {
        self.lock().is_over = true;
        self.news.notify_all();
    }

    /// A reader thread. Jobs that wait together share one state of the files,
    /// taken after the last of them came or, where none of them would see a
    /// difference, before. A state is kept for the jobs that follow, for a
    /// while, because with it go the pages that were read.
    pub fn serve(&self, reader: &mut Reader) {
        let mut together = Vec::with_capacity(limits::READS_PER_STATE);
        let mut is_holding = false;
        loop {
            match self.next(&mut together, is_holding) {
                Next::Work(needs) => {
                    is_holding = true;
                    reader.catch_up(needs);
                    self.work(reader, &mut together);
                }
                Next::Wait => {
                    reader.let_go_of_old(Instant::now());
                    if !reader.is_holding() {
                        self.has_let_go();
                        is_holding = false;
                    }
                }
                Next::LetGo => {
                    reader.let_go();
                    self.has_let_go();
                    is_holding = false;
                }
                Next::Over => return,
            }
        }
    }

    fn work(&self, reader: &mut Reader, together: &mut Vec<ReadJob>) {
        let mut since = Instant::now();
        for job in together.drain(..) {
            job(reader);
            let now = Instant::now();
            reader.let_go_of_old(now);
            // Jobs that take long hold up no checkpoint.
            if now.duration_since(since) > limits::READ_STATE_TIME && self.lock().wanted > 0 {
                reader.let_go();
                self.has_let_go();
                self.hold_again();
                since = Instant::now();
            }
        }
    }

    fn next(&self, together: &mut Vec<ReadJob>, is_holding: bool) -> Next {
        let mut inner = self.lock();
        loop {
            if inner.wanted > 0 {
                if is_holding {
                    return Next::LetGo;
                }
            } else if !inner.waiting.is_empty() {
                inner.holding += usize::from(!is_holding);
                return Next::Work(inner.take(together));
            } else if inner.is_over {
                return Next::Over;
            }
            inner.idle += 1;
            let is_late;
            (inner, is_late) = if is_holding {
                let wait = self.news.wait_timeout(inner, limits::READ_STATE_TIME);
                let (inner, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
                (inner, timeout.timed_out())
            } else {
                let wait = self.news.wait(inner);
                (wait.unwrap_or_else(PoisonError::into_inner), false)
            };
            inner.idle -= 1;
            if is_late && inner.waiting.is_empty() {
                return Next::Wait;
            }
        }
    }

    /// For a reader beside the threads: it holds a state until this is dropped.
    pub fn hold(&self) -> Held<'_> {
        self.hold_again();
        Held(self)
    }

    fn has_let_go(&self) {
        self.lock().holding -= 1;
        self.let_go.notify_all();
    }

    fn hold_again(&self) {
        let inner = self.lock();
        let free = self.news.wait_while(inner, |inner| inner.wanted > 0);
        free.unwrap_or_else(PoisonError::into_inner).holding += 1;
    }

    /// Does `work` while no thread holds a state, or after a while all the
    /// same: it then finds a reader in its way, and says so.
    pub fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut inner = self.lock();
        inner.wanted += 1;
        self.news.notify_all();
        let alone = self
            .let_go
            .wait_timeout_while(inner, limits::QUIET_TIME, |inner| inner.holding > 0);
        drop(alone);
        let done = work();
        self.lock().wanted -= 1;
        self.news.notify_all();
        done
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state that is held beside the reader threads.
pub struct Held<'a>(&'a Reads);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.has_let_go();
    }
}

impl Inner {
    fn take(&mut self, together: &mut Vec<ReadJob>) -> Needs {
        let many = self.waiting.len().min(limits::READS_PER_STATE);
        let mut all = Needs::AllButTheLog;
        for (job, needs) in self.waiting.drain(..many) {
            if needs == Needs::Everything {
                all = needs;
            }
            together.push(job);
        }
        all
    }
}
