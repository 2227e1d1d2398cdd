//! Calendar dates.

use crate::clock::Day;
use zeroize::Zeroize;

/// A calendar date without a time zone, 0001-01-01 to 9999-12-31 (proleptic
/// Gregorian). It may be a birth date, so it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i16,
    month: i8,
    day: i8,
}

impl Date {
    /// A date that exists, or nothing.
    pub fn new(year: i32, month: i32, day: i32) -> Option<Self> {
        let (year, month, day) = (
            i16::try_from(year)
                .ok()
                .filter(|y| (1..=9999).contains(y))?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        jiff::civil::Date::new(year, month, day).ok()?;
        Some(Self { year, month, day })
    }

    /// The date that a day has in UTC; days outside the years 1 to 9999 have
    /// none.
    pub fn of_day(day: Day) -> Option<Self> {
        let (year, month, day) = day.civil();
        Self::new(year, month, day)
    }

    /// The day, counted from 1970-01-01.
    pub fn to_day(self) -> Option<Day> {
        let date = jiff::civil::Date::new(self.year, self.month, self.day).ok()?;
        let since = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
        Some(Day(since.get_days()))
    }

    /// Year, month (1 to 12), day of the month (1 to 31).
    pub fn parts(self) -> (i32, i32, i32) {
        (
            i32::from(self.year),
            i32::from(self.month),
            i32::from(self.day),
        )
    }

    /// Whole years from this date to `today`; nothing when this date is later.
    /// Someone born on 29 February ages on 1 March in a common year, so that
    /// nobody is taken to be older than they are.
    pub fn age(self, today: Date) -> Option<i32> {
        if self > today {
            return None;
        }
        let years = i32::from(today.year) - i32::from(self.year);
        let birthday_to_come = (today.month, today.day) < (self.month, self.day);
        Some(years - i32::from(birthday_to_come))
    }
}

impl Zeroize for Date {
    fn zeroize(&mut self) {
        self.year.zeroize();
        self.month.zeroize();
        self.day.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: i32, day: i32) -> Date {
        Date::new(year, month, day).unwrap()
    }

    #[test]
    fn a_date_that_does_not_exist_is_none() {
        for (y, m, d) in [(0, 1, 1), (10_000, 1, 1), (2023, 2, 29), (2023, 13, 1)] {
            assert!(Date::new(y, m, d).is_none());
        }
        for (y, m, d) in [(2023, 0, 1), (2023, 4, 31), (2023, 4, 0), (1900, 2, 29)] {
            assert!(Date::new(y, m, d).is_none());
        }
        assert!(Date::new(2024, 2, 29).is_some());
    }

    #[test]
    fn a_year_is_complete_on_the_birthday_and_not_the_day_before() {
        let born = date(2000, 6, 15);
        assert_eq!(born.age(date(2018, 6, 14)), Some(17));
        assert_eq!(born.age(date(2018, 6, 15)), Some(18));
        assert_eq!(born.age(date(2000, 6, 15)), Some(0));
        assert_eq!(born.age(date(2000, 6, 14)), None);
    }

    #[test]
    fn who_is_born_on_29_february_ages_on_1_march_in_a_common_year() {
        let born = date(2004, 2, 29);
        assert_eq!(born.age(date(2022, 2, 28)), Some(17));
        assert_eq!(born.age(date(2022, 3, 1)), Some(18));
        assert_eq!(born.age(date(2024, 2, 29)), Some(20));
    }

    #[test]
    fn days_and_dates_are_the_same_thing() {
        assert!(Date::of_day(Day(20_780)) == Date::new(2026, 11, 23));
        assert_eq!(date(2026, 11, 23).to_day(), Some(Day(20_780)));
        assert_eq!(date(1970, 1, 1).to_day(), Some(Day(0)));
        assert_eq!(date(9999, 12, 31).to_day(), Some(Day(2_932_896)));
        assert_eq!(date(1, 1, 1).to_day(), Some(Day(-719_162)));
    }
}
