//! What is refused before it is read: too many calls a second of one
//! principal, or too many under way. Such calls are counted, and each second
//! one leaf a principal and reason says how many there were.

use crate::access::Principal;
use crate::error::{Error, Exhausted, Result};
use crate::limits;
use crate::vault::Vault;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A principal's rate limiter, and the rate that it was made for.
type Limiter = (u32, Arc<DefaultDirectRateLimiter>);

/// Rates, and the counts of what was shed.
pub struct Shed {
    rates: RwLock<HashMap<Arc<str>, Limiter>>,
    strangers: DefaultDirectRateLimiter,
    counts: Mutex<HashMap<(Arc<str>, &'static str), u64>>,
}

impl Default for Shed {
    fn default() -> Self {
        Self {
            rates: RwLock::default(),
            strangers: limiter_of(limits::STRANGER_CALLS_PER_SECOND),
            counts: Mutex::default(),
        }
    }
}

fn limiter_of(rate: u32) -> DefaultDirectRateLimiter {
    let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(rate))
}

fn check(limiter: &DefaultDirectRateLimiter) -> Result<()> {
    limiter.check().map_err(|wait| {
        let wait = wait.wait_time_from(DefaultClock::default().now());
        Error::Exhausted(Exhausted::Rate, wait)
    })
}

impl Shed {
    /// Refuses a call over the principal's rate; a burst of one second's worth
    /// passes.
    pub fn rate(&self, principal: &Principal) -> Result<()> {
        check(&self.limiter(principal))
    }

    /// The same for callers whom the roles file does not know, all together.
    pub fn stranger(&self) -> Result<()> {
        check(&self.strangers)
    }

    fn limiter(&self, principal: &Principal) -> Arc<DefaultDirectRateLimiter> {
        let rate = principal.quotas().calls_per_second;
        let known = self.rates.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, limiter)) = known.get(principal.name())
            && *of == rate
        {
            return Arc::clone(limiter);
        }
        drop(known);
        let limiter = Arc::new(limiter_of(rate));
        let mut known = self.rates.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(Arc::clone(principal.name()), (rate, Arc::clone(&limiter)));
        limiter
    }

    /// Counts a call that was shed. Principals come from the roles file, so
    /// there are few; past the limit they are counted as one.
    pub fn count(&self, principal: &Arc<str>, reason: &'static str) {
        self.add(principal, reason, 1);
    }

    fn add(&self, principal: &Arc<str>, reason: &'static str, many: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if counts.len() < limits::SHED_PRINCIPALS {
            (Arc::clone(principal), reason)
        } else {
            (Arc::from("others"), reason)
        };
        *counts.entry(key).or_insert(0) += many;
    }

    /// Writes the counts down, each second, for as long as the server lives.
    pub async fn write_down(self: Arc<Self>, vault: Vault) {
        let mut tick = tokio::time::interval(limits::SHED_TOLD);
        loop {
            tick.tick().await;
            let counts =
                std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
            for ((principal, reason), count) in counts {
                let written = vault.record_shed(Arc::clone(&principal), reason, count);
                if let Err(error) = written.await {
                    let reason_of_failure = error.reason();
                    tracing::error!(reason_of_failure, count, "shed calls not written down yet");
                    self.add(&principal, reason, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_share_one_rate_and_what_is_shed_is_counted() {
        let shed = Shed::default();
        let calls = limits::STRANGER_CALLS_PER_SECOND * 4;
        let refused = (0..calls).filter(|_| shed.stranger().is_err()).count();
        assert!(refused > 0, "{calls} calls at once all passed");
        let nobody: Arc<str> = Arc::from("");
        shed.count(&nobody, "RATE_EXCEEDED");
        shed.add(&nobody, "RATE_EXCEEDED", 4);
        let counts = shed.counts.lock().unwrap();
        assert_eq!(counts.get(&(nobody, "RATE_EXCEEDED")), Some(&5));
    }
}
