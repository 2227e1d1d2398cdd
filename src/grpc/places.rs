//! Room for streams, which is taken before one begins.

use crate::access::Principal;
use crate::error::{Error, Exhausted, Result};
use crate::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for streams: so many in all, and of one principal not all of them.
/// Principals come from the roles file, so there are few.
pub struct Places {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// One stream's room; given back when dropped.
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_principal: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits::STREAMS_IN_FLIGHT)),
            each: Mutex::default(),
        }
    }
}

impl Places {
    /// Room for one more stream of a principal.
    pub fn take(&self, principal: &Principal) -> Result<Place> {
        self.one_of(principal.name())
    }

    /// The same, by the principal's name.
    pub(super) fn one_of(&self, principal: &Arc<str>) -> Result<Place> {
        let own = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            let own = each.entry(Arc::clone(principal));
            let none = || Arc::new(Semaphore::new(limits::STREAMS_PER_PRINCIPAL));
            Arc::clone(own.or_insert_with(none))
        };
        let full = |_| Error::Exhausted(Exhausted::Shed, limits::SHED_RETRY);
        Ok(Place {
            _of_principal: own.try_acquire_owned().map_err(full)?,
            _of_all: Arc::clone(&self.all).try_acquire_owned().map_err(full)?,
        })
    }
}
