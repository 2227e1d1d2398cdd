//! How long a value is kept (GDPR art. 5(1)(e)). Days are whole, UTC: a value
//! whose time is over cannot be read from that day's first instant on.

use super::file::{Entry, Section};
use super::scope::read_day;
use crate::clock::Day;
use crate::error::Result;
use crate::limits;

/// How long a field's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// As long as the record.
    Always,
    /// So many days after the record was last written.
    SinceActivity(u32),
    /// So many days after the value was collected.
    SinceCollection(u32),
    /// As long as a purpose that is live for the customer collects it.
    UntilPurposeEnds,
    /// Until a day: the first on which it is no longer kept.
    Until(Day),
}

/// What a value's age is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    /// The day on which the value was collected.
    pub collected: Day,
    /// The day of the record's last write.
    pub updated: Day,
}

impl Retention {
    /// The first day on which a value of that age is no longer kept; `None`
    /// where no day is known.
    pub fn ends(self, aged: Aged) -> Option<Day> {
        let after = |day: Day, days: u32| {
            let days = i32::try_from(days).unwrap_or(i32::MAX);
            Some(Day(day.0.saturating_add(days)))
        };
        match self {
            Self::Always | Self::UntilPurposeEnds => None,
            Self::SinceActivity(days) => after(aged.updated, days),
            Self::SinceCollection(days) => after(aged.collected, days),
            Self::Until(day) => Some(day),
        }
    }

    /// Whether a value of that age is past its time.
    pub fn is_over(self, aged: Aged, today: Day) -> bool {
        self.ends(aged).is_some_and(|end| today >= end)
    }

    /// Values that were collected and last written on this day or before are
    /// past their time, and no others are, since none is written past a fixed
    /// day; `None`: no day alone says so.
    pub fn over_up_to(self, today: Day) -> Option<Day> {
        let before = |days: u32| {
            let days = i32::try_from(days).unwrap_or(i32::MAX);
            Some(Day(today.0.saturating_sub(days)))
        };
        match self {
            Self::Always | Self::UntilPurposeEnds => None,
            Self::SinceActivity(days) | Self::SinceCollection(days) => before(days),
            Self::Until(day) => (today >= day).then_some(Day(day.0.saturating_sub(1))),
        }
    }

    /// Whether a value that is written today is past its time already.
    pub fn has_ended(self, today: Day) -> bool {
        matches!(self, Self::Until(day) if today >= day)
    }

    /// How it reads in a notice or a report.
    pub fn in_words(self) -> String {
        match self {
            Self::Always => "as long as the record".to_owned(),
            Self::SinceActivity(days) => format!("{days} days after the last change"),
            Self::SinceCollection(days) => format!("{days} days after it was collected"),
            Self::UntilPurposeEnds => "as long as a purpose needs it".to_owned(),
            Self::Until(day) => {
                let (year, month, day) = day.civil();
                format!("until {year:04}-{month:02}-{day:02}")
            }
        }
    }

    /// Reads `retention`, `retention_days` and `keep_until` of a field.
    pub(super) fn read(table: &mut Section<'_>) -> Result<Self> {
        let days = table.take("retention_days");
        let days = days
            .map(|entry| entry.number(1, limits::RETENTION_DAYS.into()))
            .transpose()?
            .and_then(|days| u32::try_from(days).ok());
        let until = table.take("keep_until");
        let fixed = until.as_ref().map(read_day).transpose()?;
        let mode = table.take("retention");
        let rule = "must be since_activity or since_collection (with retention_days), or \
                    until_purpose_ends (alone)";
        let named = mode.as_ref().map(|entry| entry.parsed(rule, mode_of));
        match (named.transpose()?, days, fixed) {
            (None, None, None) => Ok(Self::Always),
            (None | Some(Mode::SinceActivity), Some(days), None) => Ok(Self::SinceActivity(days)),
            (Some(Mode::SinceCollection), Some(days), None) => Ok(Self::SinceCollection(days)),
            (Some(Mode::UntilPurposeEnds), None, None) => Ok(Self::UntilPurposeEnds),
            (None, None, Some(day)) => Ok(Self::Until(day)),
            (Some(Mode::SinceActivity | Mode::SinceCollection), None, None) => Err(wrong(
                mode.as_ref(),
                table,
                "needs retention_days beside it",
            )),
            _ => {
                let what = "can have one retention: retention_days, until_purpose_ends or \
                            keep_until";
                Err(wrong(until.as_ref().or(mode.as_ref()), table, what))
            }
        }
    }
}

/// The words of `retention`.
#[derive(Clone, Copy)]
enum Mode {
    SinceActivity,
    SinceCollection,
    UntilPurposeEnds,
}

fn mode_of(name: &str) -> Option<Mode> {
    match name {
        "since_activity" => Some(Mode::SinceActivity),
        "since_collection" => Some(Mode::SinceCollection),
        "until_purpose_ends" => Some(Mode::UntilPurposeEnds),
        _ => None,
    }
}

fn wrong(entry: Option<&Entry<'_>>, table: &Section<'_>, what: &str) -> crate::error::Error {
    entry.map_or_else(|| table.wrong(what), |entry| entry.wrong(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGED: Aged = Aged {
        collected: Day(100),
        updated: Day(150),
    };

    #[test]
    fn a_value_is_over_on_its_day_and_not_the_day_before() {
        for (retention, end) in [
            (Retention::SinceActivity(10), 160),
            (Retention::SinceCollection(10), 110),
            (Retention::Until(Day(155)), 155),
        ] {
            assert!(!retention.is_over(AGED, Day(end - 1)), "{retention:?}");
            assert!(retention.is_over(AGED, Day(end)), "{retention:?}");
        }
        for retention in [Retention::Always, Retention::UntilPurposeEnds] {
            assert!(!retention.is_over(AGED, Day(i32::MAX)));
        }
    }

    #[test]
    fn what_a_sweep_looks_for_is_what_is_over() {
        for retention in [
            Retention::SinceActivity(10),
            Retention::SinceCollection(10),
            Retention::Until(Day(155)),
        ] {
            for today in 90..200 {
                let up_to = retention.over_up_to(Day(today));
                for day in (90..=today).filter(|day| !retention.has_ended(Day(*day))) {
                    let aged = Aged {
                        collected: Day(day),
                        updated: Day(day),
                    };
                    let is_looked_for = up_to.is_some_and(|up_to| Day(day) <= up_to);
                    assert_eq!(retention.is_over(aged, Day(today)), is_looked_for);
                }
            }
        }
    }
}
