//! The legal clocks of a request. Each law that applies gives a date; the
//! earliest wins. Days are whole and UTC.

use crate::clock::Day;
use jiff::civil::{Date, date};
use jiff::{Span, ToSpan};

/// A law with a clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Regime {
    /// GDPR art. 12(3): one month; two more where the person is told why
    /// within the first.
    Gdpr = 1,
    /// CCPA, Cal. Civ. Code 1798.130(a)(2): 45 days; 45 more with notice.
    Ccpa = 2,
    /// LGPD art. 19, II: 15 days.
    Lgpd = 3,
    /// PIPL art. 50: "timely"; GB/T 35273-2020, 8.7 says 30 days.
    Pipl = 4,
}

impl Regime {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Gdpr, Self::Ccpa, Self::Lgpd, Self::Pipl];

    /// Its name in stored requests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gdpr => "gdpr",
            Self::Ccpa => "ccpa",
            Self::Lgpd => "lgpd",
            Self::Pipl => "pipl",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The time from receipt; with `extended` all of it. A law that knows no
    /// extension gives the same.
    fn span(self, extended: bool) -> Span {
        match (self, extended) {
            (Self::Gdpr, false) => 1.month(),
            (Self::Gdpr, true) => 3.months(),
            (Self::Ccpa, false) => 45.days(),
            (Self::Ccpa, true) => 90.days(),
            (Self::Lgpd, _) => 15.days(),
            (Self::Pipl, _) => 30.days(),
        }
    }

    /// Whether its clock can be extended.
    pub fn extends(self) -> bool {
        matches!(self, Self::Gdpr | Self::Ccpa)
    }
}

/// How much of a clock has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Less than half.
    None = 0,
    /// Half of it.
    Half = 1,
    /// Four fifths.
    Soon = 2,
    /// All of it.
    Over = 3,
}

fn epoch() -> Date {
    date(1970, 1, 1)
}

fn day_of(date: Date) -> Day {
    let days = epoch().until(date).map_or(i32::MAX, |span| span.get_days());
    Day(days)
}

/// The last day on which a request that was received on `received` can be
/// answered in time. `None` where no law is named.
pub fn due(received: Day, regimes: &[Regime], extended: bool) -> Option<Day> {
    let whole = Span::new().try_days(received.0);
    let start = whole.and_then(|span| epoch().checked_add(span));
    let start = start.unwrap_or(Date::MAX);
    let dates = regimes.iter();
    // A month that has no such day ends on its last one (Reg. 1182/71, art. 3).
    let dates = dates.map(|regime| start.checked_add(regime.span(extended)));
    dates
        .map(|date| date.unwrap_or(Date::MAX))
        .min()
        .map(day_of)
}

/// How much of the time from `received` to `due` has run on `today`.
pub fn warning(received: Day, due: Day, today: Day) -> Warning {
    let whole = i64::from(due.0.saturating_sub(received.0)).max(1);
    let run = i64::from(today.0.saturating_sub(received.0));
    match run * 100 / whole {
        ..50 => Warning::None,
        50..80 => Warning::Half,
        80..100 => Warning::Soon,
        _ => Warning::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(year: i16, month: i8, day: i8) -> Day {
        day_of(date(year, month, day))
    }

    #[test]
    fn a_month_ends_on_the_same_date_or_on_the_last_day_there_is() {
        for (received, expected) in [
            (on(2026, 11, 25), on(2026, 12, 25)),
            (on(2027, 1, 31), on(2027, 2, 28)),
            (on(2028, 1, 30), on(2028, 2, 29)),
            (on(2026, 12, 31), on(2027, 1, 31)),
        ] {
            assert_eq!(due(received, &[Regime::Gdpr], false), Some(expected));
        }
        let extended = due(on(2026, 11, 30), &[Regime::Gdpr], true);
        assert_eq!(extended, Some(on(2027, 2, 28)));
    }

    #[test]
    fn the_earliest_clock_wins_also_when_others_are_extended() {
        let received = on(2026, 11, 25);
        let days = |regimes: &[Regime], extended| {
            due(received, regimes, extended).map(|due| due.0 - received.0)
        };
        assert_eq!(days(&[Regime::Ccpa], false), Some(45));
        assert_eq!(days(&[Regime::Ccpa], true), Some(90));
        assert_eq!(days(&[Regime::Gdpr, Regime::Ccpa], false), Some(30));
        assert_eq!(days(&Regime::ALL, false), Some(15));
        assert_eq!(days(&Regime::ALL, true), Some(15));
        assert_eq!(days(&[Regime::Gdpr, Regime::Pipl], true), Some(30));
        assert_eq!(days(&[], false), None);
        assert_eq!(
            due(Day(i32::MAX), &[Regime::Gdpr], false),
            Some(day_of(Date::MAX))
        );
    }

    #[test]
    fn a_warning_comes_at_50_80_and_100_percent() {
        let at = |day| warning(Day(100), Day(130), Day(day));
        assert_eq!((at(100), at(114)), (Warning::None, Warning::None));
        assert_eq!((at(115), at(123)), (Warning::Half, Warning::Half));
        assert_eq!((at(124), at(129)), (Warning::Soon, Warning::Soon));
        assert_eq!((at(130), at(500)), (Warning::Over, Warning::Over));
        assert_eq!(at(90), Warning::None, "a clock that was set back");
        assert_eq!(warning(Day(5), Day(5), Day(5)), Warning::None);
    }
}
