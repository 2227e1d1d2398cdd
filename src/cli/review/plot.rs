//! Plots of a review, as SVG that is drawn into the page: no script, nothing
//! loaded, colours from the page's own style so that they are right by day and
//! by night.

use crate::clock::Day;
use crate::markup::text;
use crate::pb;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How wide a plot is.
pub const WIDTH: usize = 900;
/// Where bars begin: names stand before it.
pub const LEFT: usize = 250;
/// Height of one bar with its gap.
const STEP: usize = 24;
/// Bars of one plot, and fields of the grid.
const ROWS: usize = 60;
/// Purposes of the grid.
const COLUMNS: usize = 24;
/// Bins of a plot over time.
const BINS: i64 = 90;
/// Half the height of a purpose's plot over time.
const HALF: usize = 26;

/// A number that fits into a small place: 12, 3.4k, 56M.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..10_000 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        10_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// A drawing, begun and not ended.
struct Svg<'a>(&'a mut String);

impl<'a> Svg<'a> {
    fn begin(page: &'a mut String, label: &str, height: usize) -> Self {
        // Writing to a String does not fail.
        let _ = write!(
            page,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\""
        );
        text(page, label);
        page.push_str("\">\n");
        Self(page)
    }

    /// A text; `how` are its attributes.
    fn say(&mut self, (x, y): (usize, usize), how: &str, what: &str) {
        let _ = write!(self.0, "<text x=\"{x}\" y=\"{y}\" {how}>");
        text(self.0, what);
        self.0.push_str("</text>\n");
    }

    /// A rectangle that says what it is to whoever points at it.
    fn cell(&mut self, class: &str, (x, y): (usize, usize), size: (usize, usize), what: &str) {
        let (width, height) = size;
        let _ = write!(
            self.0,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             rx=\"2\"><title>"
        );
        text(self.0, what);
        self.0.push_str("</title></rect>\n");
    }

    fn end(self) {
        self.0.push_str("</svg>\n");
    }
}

fn more(page: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(page, "<p class=\"sub\">and {} more</p>", all - shown);
    }
}

/// Bars, one under the other, each with its number. What is 0 stays to be seen.
pub fn bars(page: &mut String, label: &str, bars: &[(String, u64)]) {
    let shown = bars.len().min(ROWS);
    let most = bars.iter().map(|(_, count)| *count).max();
    let most = most.unwrap_or(1).max(1);
    let mut svg = Svg::begin(page, label, shown * STEP + 6);
    for (at, (name, count)) in bars.iter().take(shown).enumerate() {
        let (y, room) = (at * STEP + 3, (WIDTH - LEFT - 70) as u64);
        let long = u128::from(*count) * u128::from(room) / u128::from(most);
        let long = usize::try_from(long).unwrap_or(0).max(2);
        let class = if *count == 0 { "none" } else { "bar" };
        svg.say((LEFT - 8, y + 14), "text-anchor=\"end\"", name);
        svg.cell(class, (LEFT, y), (long, 18), &format!("{name}: {count}"));
        svg.say((LEFT + long + 6, y + 14), "", &count.to_string());
    }
    svg.end();
    more(page, bars.len(), shown);
}

/// Which fields each purpose may see, and how often it looked: what it may and
/// never did is an empty box.
pub fn grid(page: &mut String, uses: &[pb::PurposeField]) {
    let mut purposes: BTreeMap<&str, i64> = BTreeMap::new();
    let mut fields = BTreeSet::new();
    for one in uses {
        *purposes.entry(&one.purpose).or_default() += one.calls;
        fields.insert(one.field.as_str());
    }
    let mut columns: Vec<_> = purposes.into_iter().collect();
    columns.sort_by_key(|(name, calls)| (std::cmp::Reverse(*calls), *name));
    let rows: Vec<&str> = fields.iter().copied().take(ROWS).collect();
    let shown = columns.len().min(COLUMNS);
    let wide = ((WIDTH - LEFT - 60) / shown.max(1)).min(56);
    let top = 110;
    let mut svg = Svg::begin(page, "Purposes and fields", top + rows.len() * STEP + 6);
    for (at, (name, _)) in columns.iter().take(shown).enumerate() {
        let (x, y) = (LEFT + at * wide + wide / 2, top - 8);
        svg.say((x, y), &format!("transform=\"rotate(-40 {x} {y})\""), name);
    }
    let most = uses.iter().map(|one| one.calls.unsigned_abs()).max();
    let most = most.unwrap_or(0).max(1);
    for (row, field) in rows.iter().enumerate() {
        let y = top + row * STEP;
        svg.say((LEFT - 8, y + 14), "text-anchor=\"end\"", field);
        for (column, (purpose, _)) in columns.iter().take(shown).enumerate() {
            let is_it = |one: &&pb::PurposeField| one.purpose == *purpose && one.field == *field;
            let Some(one) = uses.iter().find(is_it) else {
                continue;
            };
            let (place, size) = ((LEFT + column * wide, y), (wide - 4, 20));
            let what = format!(
                "{purpose} may see {field} ({}): {} reads",
                one.form, one.calls
            );
            let count = one.calls.unsigned_abs();
            svg.cell(shade(count, most), place, size, &what);
            if count > 0 {
                let at = (place.0 + (wide - 4) / 2, y + 14);
                let how = "text-anchor=\"middle\" class=\"in\"";
                svg.say(at, how, &short(count));
            }
        }
    }
    svg.end();
    more(page, fields.len(), rows.len());
}

/// Four shades, by how many digits a number has of the largest.
fn shade(count: u64, most: u64) -> &'static str {
    let digits = |number: u64| number.checked_ilog2().unwrap_or(0) + 1;
    match (count, digits(count) * 4 / digits(most).max(1)) {
        (0, _) => "empty",
        (_, 0 | 1) => "s1",
        (_, 2) => "s2",
        (_, 3) => "s3",
        _ => "s4",
    }
}

/// What customers said of each purpose over time: yes above the line, no below.
pub fn said(page: &mut String, days: &[pb::ConsentDay], from: Day, today: Day) {
    let span = i64::from(today.0) - i64::from(from.0) + 1;
    let bin = (span.max(1) + BINS - 1) / BINS;
    let bins = (span.max(1) + bin - 1) / bin;
    let mut purposes: BTreeMap<&str, BTreeMap<i64, (u64, u64)>> = BTreeMap::new();
    for day in days {
        let at = day.day_time.as_ref().map_or(0, |at| at.seconds) / 86_400;
        let at = ((at - i64::from(from.0)) / bin).clamp(0, bins - 1);
        let sums = purposes.entry(&day.purpose).or_default();
        let (yes, no) = sums.entry(at).or_default();
        *yes += day.given.unsigned_abs();
        *no += day.ended.unsigned_abs();
    }
    let sums = purposes.values().flat_map(BTreeMap::values);
    let most = sums.map(|(yes, no)| *yes.max(no)).max().unwrap_or(0).max(1);
    let room = WIDTH - LEFT - 70;
    let bins = usize::try_from(bins).unwrap_or(1).max(1);
    let wide = (room / bins).clamp(2, 40);
    let tall = HALF * 2 + 18;
    let mut svg = Svg::begin(page, "Said over time", purposes.len() * tall + 24);
    let end = LEFT + bins * wide;
    for (row, (purpose, sums)) in purposes.iter().enumerate() {
        let line = row * tall + HALF + 6;
        let (all_yes, all_no) = sums.values().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        svg.say((LEFT - 8, line + 5), "text-anchor=\"end\"", purpose);
        let _ = writeln!(
            svg.0,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{line}\" x2=\"{end}\" y2=\"{line}\"/>"
        );
        for (at, (yes, no)) in sums {
            let x = LEFT + usize::try_from(*at).unwrap_or(0) * wide;
            let day = from.0.saturating_add(i32::try_from(at * bin).unwrap_or(0));
            let when = super::day_text(Day(day));
            for (class, count, word, above) in
                [("yes", *yes, "yes", true), ("no", *no, "no", false)]
            {
                if count == 0 {
                    continue;
                }
                let high = u128::from(count) * HALF as u128 / u128::from(most);
                let high = usize::try_from(high).unwrap_or(HALF).clamp(2, HALF);
                let y = if above { line - high } else { line + 1 };
                let size = (wide.saturating_sub(1).max(2), high);
                svg.cell(
                    class,
                    (x, y),
                    size,
                    &format!("{when}: {count} {word} to {purpose}"),
                );
            }
        }
        svg.say(
            (end + 8, line - 4),
            "class=\"yes\"",
            &format!("{all_yes} yes"),
        );
        svg.say(
            (end + 8, line + 14),
            "class=\"no\"",
            &format!("{all_no} no"),
        );
    }
    let under = purposes.len() * tall + 16;
    svg.say((LEFT, under), "", &super::day_text(from));
    if bins > 12 {
        svg.say((end, under), "text-anchor=\"end\"", &super::day_text(today));
    }
    svg.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of an attribute, of every rectangle.
    fn of_rects(svg: &str, attribute: &str) -> Vec<usize> {
        let rects = svg.split("<rect ").skip(1).map(|rect| {
            let value = rect.split(&format!(" {attribute}=\"")).nth(1);
            value.and_then(|v| v.split('"').next()?.parse().ok())
        });
        rects.map(Option::unwrap).collect()
    }

    #[test]
    fn no_bar_is_wider_than_its_plot_and_what_is_nothing_is_seen() {
        let mut page = String::new();
        bars(
            &mut page,
            "x",
            &[("a".to_owned(), u64::MAX), ("b".to_owned(), 0)],
        );
        assert!(page.contains("class=\"none\""));
        assert!(of_rects(&page, "width").into_iter().max().unwrap() <= WIDTH - LEFT);
    }

    #[test]
    fn a_grid_has_a_box_for_all_that_a_purpose_may_see_and_none_outside_it() {
        let one = |purpose: usize, field: usize| pb::PurposeField {
            purpose: format!("p{purpose}"),
            field: format!("t.f{field}"),
            form: "raw".to_owned(),
            calls: i64::try_from(purpose * field).unwrap(),
        };
        let uses: Vec<_> = (0..COLUMNS)
            .flat_map(|p| (0..ROWS).map(move |f| one(p, f)))
            .collect();
        let mut page = String::new();
        grid(&mut page, &uses);
        assert_eq!(of_rects(&page, "x").len(), COLUMNS * ROWS);
        let ends = of_rects(&page, "x")
            .into_iter()
            .zip(of_rects(&page, "width"));
        assert!(ends.map(|(x, width)| x + width).max().unwrap() <= WIDTH);
        assert!(page.contains("class=\"empty\"") && page.contains("class=\"s4\""));
    }

    #[test]
    fn what_was_said_stays_within_its_plot_also_over_years() {
        for span in [1, 30, 400, 36_525] {
            let day = |at: i64, given: i64, ended: i64| pb::ConsentDay {
                purpose: "offers".to_owned(),
                day_time: Some(prost_types::Timestamp {
                    seconds: at * 86_400,
                    nanos: 0,
                }),
                given,
                ended,
            };
            let days = [day(100, 7, 1), day(99 + span, 0, 3), day(99 + span, 2, 0)];
            let mut page = String::new();
            let last = i32::try_from(99 + span).unwrap();
            said(&mut page, &days, Day(100), Day(last));
            let ends = of_rects(&page, "x")
                .into_iter()
                .zip(of_rects(&page, "width"));
            assert!(
                ends.map(|(x, width)| x + width).max().unwrap() <= WIDTH - 60,
                "{span}"
            );
            assert!(page.contains("9 yes") && page.contains("4 no"), "{span}");
        }
    }

    #[test]
    fn a_number_is_as_short_as_it_can_be() {
        for (count, shown) in [
            (999, "999"),
            (1_250, "1.2k"),
            (56_000, "56k"),
            (7_000_000, "7M"),
        ] {
            assert_eq!(short(count), shown);
        }
    }
}
