//! A thread of its own for a provider that cannot promise to answer in time,
//! or that answers one caller at a time: whoever asks waits a bounded time,
//! and one that hangs hangs nobody else.

use crate::error::{Error, Result, Unavailable};
use crate::limits;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const UNAVAILABLE: Error = Error::Unavailable(Unavailable::KeyProvider);

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// The thread, with a state that never leaves it. It ends when this is dropped,
/// which waits for it as long as a caller would: a vendor's library must not
/// be at work while the process ends and takes the library's memory down.
pub(super) struct Worker<S> {
    jobs: Option<SyncSender<Job<S>>>,
    /// Disconnected once the thread's state is gone.
    ended: Mutex<Receiver<Never>>,
    limit: Duration,
}

/// What is never sent.
enum Never {}

impl<S: 'static> Worker<S> {
    /// Starts the thread; `make` makes the state on it. `limit` is how long a
    /// caller waits.
    pub(super) fn start(
        name: &str,
        limit: Duration,
        make: impl FnOnce() -> S + Send + 'static,
    ) -> Result<Self> {
        let (jobs, waiting) = sync_channel::<Job<S>>(limits::PROVIDER_QUEUE);
        let (alive, ended) = sync_channel(0);
        let run = move || {
            let _alive = alive;
            let mut state = make();
            for job in waiting {
                job(&mut state);
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|_| Error::Internal("a thread cannot be started"))?;
        Ok(Self {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            limit,
        })
    }

    /// Does `work` on the thread. What nobody waits for any more is not begun.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, done) = sync_channel(1);
        let given_up = Arc::new(AtomicBool::new(false));
        let not_wanted = Arc::clone(&given_up);
        let job = move |state: &mut S| {
            if !not_wanted.load(Ordering::Acquire) {
                // Whoever asked may have given up meanwhile.
                let _ = answer.send(work(state));
            }
        };
        let jobs = self.jobs.as_ref().ok_or(UNAVAILABLE)?;
        jobs.try_send(Box::new(job)).map_err(|_| UNAVAILABLE)?;
        done.recv_timeout(self.limit).unwrap_or_else(|_| {
            given_up.store(true, Ordering::Release);
            Err(UNAVAILABLE)
        })
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Disconnected, or it hangs and nothing can be done about it.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_is_given_up_and_what_waited_behind_it_is_never_begun() {
        let short = Duration::from_millis(20);
        let mut worker = Worker::start("test", short, || 0).unwrap();
        assert_eq!(worker.ask(|n| Ok(*n)), Ok(0));
        let (wake, hang) = sync_channel::<()>(1);
        let hung = worker.ask(move |n| {
            let _ = hang.recv();
            *n += 1;
            Ok(())
        });
        assert_eq!(hung, Err(UNAVAILABLE));
        for _ in 0..limits::PROVIDER_QUEUE + 2 {
            let queued = worker.ask(|n| {
                *n += 100;
                Ok(())
            });
            assert_eq!(queued, Err(UNAVAILABLE));
        }
        drop(wake);
        worker.limit = Duration::from_secs(60);
        let counted = loop {
            if let Ok(n) = worker.ask(|n| Ok(*n)) {
                break n;
            }
        };
        assert_eq!(
            counted, 1,
            "the hung job ended, the abandoned ones did not run"
        );
    }

    #[test]
    fn whoever_drops_it_waits_until_its_state_is_gone() {
        struct Slow(Arc<AtomicBool>);
        impl Drop for Slow {
            fn drop(&mut self) {
                std::thread::sleep(Duration::from_millis(50));
                self.0.store(true, Ordering::Release);
            }
        }
        let gone = Arc::new(AtomicBool::new(false));
        let state = Slow(Arc::clone(&gone));
        let worker = Worker::start("test", Duration::from_secs(60), || state).unwrap();
        drop(worker);
        assert!(gone.load(Ordering::Acquire));
    }
}
