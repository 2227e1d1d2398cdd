//! Room for a checkpoint: under load the readers' states follow one another
//! without a gap, so whoever empties a write-ahead log asks them to wait.

use crate::limits;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::Instant;

/// Reads on one side, a checkpoint on the other.
#[derive(Default)]
pub struct Quiet {
    is_wanted: AtomicBool,
    reading: RwLock<()>,
}

impl Quiet {
    /// For as long as some reads share a state. A checkpoint goes first.
    pub fn read(&self) -> RwLockReadGuard<'_, ()> {
        while self.is_wanted.load(Ordering::Acquire) {
            sleep(limits::QUIET_LOOK);
        }
        self.reading.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` while nobody reads, or after a while all the same: it then
    /// finds a reader in its way, and says so.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_wanted.store(true, Ordering::Release);
        let alone = self.wait();
        let done = work();
        drop(alone);
        self.is_wanted.store(false, Ordering::Release);
        done
    }

    fn wait(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let since = Instant::now();
        while since.elapsed() < limits::QUIET_TIME {
            if let Ok(alone) = self.reading.try_write() {
                return Some(alone);
            }
            sleep(limits::QUIET_LOOK);
        }
        None
    }
}
