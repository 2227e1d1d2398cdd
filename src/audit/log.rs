//! The log: leaves are appended to `vault.db` by its one writer, all that wait
//! together in one commit.

use super::sealer::aside;
use super::signals::Signals;
use super::unwritten::Unwritten;
use super::{Call, Leaf, Subject};
use crate::clock::Instant;
use crate::error::{Error, Result, Unavailable};
use crate::store::{LeafRow, Rows, Store};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Something whose audit entry is durable. Only [`Log`] makes one, and only
/// what is in one may leave the vault.
pub struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// Lets it out.
    pub fn release(self) -> T {
        self.0
    }

    /// Changes what is inside, which stays recorded.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Recorded<U> {
        Recorded(change(self.0))
    }
}

/// The log of one node.
pub struct Log {
    store: Arc<dyn Store>,
    node: String,
    boot: u64,
    calls: AtomicU64,
    unwritten: Arc<Unwritten>,
    signals: OnceLock<Arc<Signals>>,
}

impl Log {
    /// The log of `node`, at its `boot`th start.
    pub fn new(store: Arc<dyn Store>, node: String, boot: u64) -> Self {
        Self {
            store,
            node,
            boot,
            calls: AtomicU64::new(0),
            unwritten: Arc::default(),
            signals: OnceLock::new(),
        }
    }

    /// From here on these look at every leaf. Once, at start.
    pub fn watch_with(&self, signals: Arc<Signals>) {
        let _known = self.signals.set(signals);
    }

    /// A call begins.
    pub fn begin(&self, method: &'static str, principal: Option<Arc<str>>, now: Instant) -> Call {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        Call::new(now, number, principal, method, Arc::clone(&self.unwritten))
    }

    /// Reads beside the calls that change or open something: for questions to
    /// the log, which may look at many entries.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        aside(&self.store, work).await
    }

    /// Numbers of calls that ended without a durable entry, as ranges.
    pub fn take_unwritten(&self) -> Vec<(u64, u64)> {
        self.unwritten.take()
    }

    /// Puts back what could not be written down yet.
    pub fn keep_unwritten(&self, calls: Vec<(u64, u64)>) {
        for range in calls {
            self.unwritten.add(range);
        }
    }

    /// The row of a leaf, for a change that carries it in its own transaction.
    pub fn row(&self, call: &Call, leaf: &Leaf, subject: Subject) -> LeafRow {
        if let (Some(signals), Some(principal)) = (self.signals.get(), &call.principal) {
            signals.written(principal, leaf, call.time);
        }
        LeafRow {
            leaf: leaf.bytes(&self.node, self.boot, call, &subject),
            detail: subject.detail,
            history: subject.history,
            reader: None,
        }
    }

    /// Makes leaves durable; then, and only then, `opened` may leave.
    pub async fn record<T>(
        &self,
        call: &Call,
        leaves: Vec<LeafRow>,
        opened: T,
    ) -> Result<Recorded<T>> {
        if leaves.is_empty() {
            return Err(NOTHING);
        }
        let appended = self.store.append(leaves).in_time().await;
        recorded(call, appended, opened)
    }

    /// The same for whoever does not wait: `answer` is called once the leaves
    /// are durable, from whichever thread knows.
    pub fn record_then<T: Send + 'static>(
        &self,
        call: Arc<Call>,
        leaves: Vec<LeafRow>,
        opened: T,
        answer: impl FnOnce(Result<Recorded<T>>) + Send + 'static,
    ) {
        if leaves.is_empty() {
            return answer(Err(NOTHING));
        }
        let tell = move |appended| answer(recorded(&call, appended, opened));
        self.store.append_then(leaves, Box::new(tell));
    }
}

const NOTHING: Error = Error::Internal("nothing to write down");

fn recorded<T>(call: &Call, appended: Result<u64>, opened: T) -> Result<Recorded<T>> {
    match appended {
        // Whom it is about has changed meanwhile, and nothing was written.
        Ok(0) => Err(Error::Contended),
        Ok(_) => {
            call.mark_recorded();
            Ok(Recorded(opened))
        }
        Err(why @ (Error::Unavailable(Unavailable::DiskFull) | Error::TooMuch(_))) => Err(why),
        Err(_) => Err(Error::Unavailable(Unavailable::AuditWrite)),
    }
}
