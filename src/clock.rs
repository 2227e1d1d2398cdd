//! Time as a value: read once at the edge of a call and handed on, so that a
//! decision, its audit entry and its test all speak of the same instant.

use std::time::{SystemTime, UNIX_EPOCH};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i64);

/// A whole day, counted from 1970-01-01, UTC. What stands in the clear beside
/// a customer number is never finer than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i32);

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Instant {
    /// The system's clock, now. Before 1970 it reads as 1970.
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The day that the instant is in, UTC.
    pub fn day(self) -> Day {
        Day(i32::try_from(self.seconds().div_euclid(SECONDS_PER_DAY)).unwrap_or(i32::MAX))
    }
}

impl Day {
    /// Year, month (1 to 12) and day of the month (1 to 31), UTC.
    pub fn civil(self) -> (i32, i32, i32) {
        let date = jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().days(self.0))
            .unwrap_or(jiff::civil::Date::MAX);
        (
            i32::from(date.year()),
            i32::from(date.month()),
            i32::from(date.day()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_utc() {
        assert_eq!(Instant::from_micros(86_399_999_999).day(), Day(0));
        assert_eq!(Instant::from_micros(86_400_000_000).day(), Day(1));
        assert_eq!(Instant::from_micros(-1).day(), Day(-1));
        assert_eq!(Day(20_780).civil(), (2026, 11, 23));
    }
}
