//! How many different customers a principal may touch in an hour: the measure
//! that an id sweep runs into.

use super::keyring::CustomerKeyring;
use crate::access::Principal;
use crate::audit::signals::Signals;
use crate::clock::Instant;
use crate::error::{Error, Exhausted, Result};
use crate::id::CustomerNumber;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

const HOUR: i64 = 3_600;

/// The customers that each principal has touched in the hour under way.
#[derive(Default)]
pub struct CustomerQuota {
    window: Mutex<Window>,
    signals: OnceLock<Arc<Signals>>,
}

#[derive(Default)]
struct Window {
    hour: i64,
    seen: HashMap<String, HashSet<CustomerNumber>>,
}

impl CustomerQuota {
    /// From here on these hear of every customer. Once, at start.
    pub fn watch_with(&self, signals: Arc<Signals>) {
        let _known = self.signals.set(signals);
    }

    /// What a look-up by id found, if the principal may learn it: whoever has
    /// no customer left for this hour hears the same of an id that is nobody's
    /// as of one that is somebody's.
    pub fn admit(
        &self,
        who: &Principal,
        now: Instant,
        found: Result<CustomerKeyring>,
    ) -> Result<CustomerKeyring> {
        match &found {
            Ok(keys) => self.touch(who, keys.customer, now)?,
            Err(error) => self.missed(who, now, error)?,
        }
        found
    }

    /// Counts a customer; refuses one too many.
    pub fn touch(&self, who: &Principal, customer: CustomerNumber, now: Instant) -> Result<()> {
        let mut window = self.window(now);
        let seen = match window.seen.get_mut(&**who.name()) {
            Some(seen) => seen,
            None => window.seen.entry(who.name().to_string()).or_default(),
        };
        if !seen.contains(&customer) {
            if is_spent(who, seen.len()) {
                return Err(exhausted(now));
            }
            seen.insert(customer);
        }
        let distinct = seen.len() as u64;
        drop(window);
        let signals = self.signals.get();
        signals.map_or(Ok(()), |of| of.touched(who.name(), customer, distinct, now))
    }

    /// Refuses where `error` would say that an id is nobody's to a principal
    /// that has no customer left.
    pub fn missed(&self, who: &Principal, now: Instant, error: &Error) -> Result<()> {
        if !matches!(error, Error::NotFound(_) | Error::CustomerErased) {
            return Ok(());
        }
        let window = self.window(now);
        let seen = window.seen.get(&**who.name()).map_or(0, HashSet::len);
        if is_spent(who, seen) {
            return Err(exhausted(now));
        }
        Ok(())
    }

    /// The hour under way. A call that began in the hour before counts in it.
    fn window(&self, now: Instant) -> MutexGuard<'_, Window> {
        let hour = now.seconds().div_euclid(HOUR);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.hour < hour {
            *window = Window {
                hour,
                seen: HashMap::new(),
            };
        }
        window
    }
}

fn is_spent(who: &Principal, seen: usize) -> bool {
    seen as u64 >= who.quotas().customers_per_hour
}

fn exhausted(now: Instant) -> Error {
    let left = HOUR - now.seconds().rem_euclid(HOUR);
    let wait = Duration::from_secs(left.unsigned_abs());
    Error::Exhausted(Exhausted::DistinctCustomers, wait)
}
