//! How many different customers a principal may touch in an hour: the measure
//! that an id sweep runs into.

use crate::access::Principal;
use crate::clock::Instant;
use crate::error::{Error, Exhausted, Result};
use crate::id::CustomerNumber;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const HOUR: i64 = 3_600;

/// The customers that each principal has touched in the hour under way.
#[derive(Default)]
pub struct CustomerQuota(Mutex<HashMap<String, Window>>);

struct Window {
    hour: i64,
    seen: HashSet<CustomerNumber>,
}

impl CustomerQuota {
    /// Counts a customer; refuses one too many.
    pub fn touch(&self, who: &Principal, customer: CustomerNumber, now: Instant) -> Result<()> {
        let hour = now.seconds().div_euclid(HOUR);
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match windows.get_mut(&**who.name()) {
            Some(window) => window,
            None => windows.entry(who.name().to_string()).or_insert(Window {
                hour,
                seen: HashSet::new(),
            }),
        };
        if window.hour != hour {
            window.hour = hour;
            window.seen = HashSet::new();
        }
        if window.seen.contains(&customer) {
            return Ok(());
        }
        if window.seen.len() as u64 >= who.quotas().customers_per_hour {
            let left = HOUR - now.seconds().rem_euclid(HOUR);
            let wait = Duration::from_secs(left.unsigned_abs());
            return Err(Error::Exhausted(Exhausted::DistinctCustomers, wait));
        }
        window.seen.insert(customer);
        Ok(())
    }
}
