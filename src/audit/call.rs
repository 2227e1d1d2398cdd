//! One call on its way through the house.

use super::unwritten::Unwritten;
use crate::clock::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One call: when it came, who made it, what it is. Made by [`super::Log`].
pub struct Call {
    /// When it came.
    pub time: Instant,
    /// Its number since the server started: no number is left out.
    pub number: u64,
    /// The principal, `tenant/service`; `None` where nobody known is calling.
    pub principal: Option<Arc<str>>,
    /// The RPC's name.
    pub method: &'static str,
    /// Whether a leaf of this call is durable.
    recorded: AtomicBool,
    unwritten: Arc<Unwritten>,
}

impl Call {
    pub(super) fn new(
        time: Instant,
        number: u64,
        principal: Option<Arc<str>>,
        method: &'static str,
        unwritten: Arc<Unwritten>,
    ) -> Self {
        Self {
            time,
            number,
            principal,
            method,
            recorded: AtomicBool::new(false),
            unwritten,
        }
    }

    /// Notes that a leaf of this call is durable.
    pub fn mark_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    /// Whether a leaf of this call is durable.
    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_recorded() {
            self.unwritten.add((self.number, self.number));
        }
    }
}
