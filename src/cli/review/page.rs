//! The review as a page: one file, nothing loaded, no script; plots are drawn
//! into it.

use super::{since, subject, words};
use crate::pb;
use std::fmt::Write;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What could be less</title>
<style>
:root { color-scheme: light dark; --bar: #2f6f8f; --none: #b5482f; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p.sub { margin-top: 0.2rem; opacity: 0.75; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid color-mix(in srgb, gray 35%, transparent); padding: 0.35rem 0.6rem;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } td:first-child { white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
.bar { fill: var(--bar); } .none { fill: var(--none); }
</style>
</head>
<body>
"#;

/// Height of one bar with its gap, and where bars begin and end.
const STEP: usize = 24;
const LEFT: usize = 300;
const WIDTH: usize = 900;
/// Bars of one plot.
const BARS: usize = 60;

/// The page of a review.
pub fn page(seen: &pb::GetReviewResponse) -> String {
    let mut page = String::from(HEAD);
    page.push_str("<h1>What could be less</h1>\n<p class=\"sub\">");
    let sub = format!(
        "{} findings, by {} entries of the audit log since {}",
        seen.findings.len(),
        seen.entries,
        since(seen.from_time.as_ref())
    );
    text(&mut page, &sub);
    page.push_str("</p>\n");
    plot(&mut page, "Findings", &by_kind(seen));
    plot(&mut page, "Reads by purpose", &counts(&seen.purposes));
    plot(&mut page, "Reads by field", &counts(&seen.fields));
    page.push_str("<h2>What to do</h2>\n<table id=\"findings\">\n");
    page.push_str("<tr><th>what</th><th>which</th><th>what to do</th></tr>\n");
    for finding in &seen.findings {
        page.push_str("<tr>");
        for cell in [words(finding.kind()), &subject(finding), &finding.action] {
            page.push_str("<td>");
            text(&mut page, cell);
            page.push_str("</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

fn by_kind(seen: &pb::GetReviewResponse) -> Vec<(String, u64)> {
    let mut kinds: Vec<(String, u64)> = Vec::new();
    for finding in &seen.findings {
        let word = words(finding.kind());
        match kinds.iter_mut().find(|(known, _)| known == word) {
            Some((_, count)) => *count += 1,
            None => kinds.push((word.to_owned(), 1)),
        }
    }
    kinds
}

/// The most used first; those that nobody used stay to be seen.
fn counts(of: &[pb::UseCount]) -> Vec<(String, u64)> {
    let count = |one: &pb::UseCount| (one.name.clone(), one.calls.unsigned_abs());
    let mut counts: Vec<_> = of.iter().map(count).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// Bars, one under the other, each with its number.
fn plot(page: &mut String, title: &str, bars: &[(String, u64)]) {
    page.push_str("<h2>");
    text(page, title);
    page.push_str("</h2>\n");
    if bars.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    let shown = bars.len().min(BARS);
    let most = bars
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(1)
        .max(1);
    let height = shown * STEP + 6;
    // Writing to a String does not fail.
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">"
    );
    for (at, (name, count)) in bars.iter().take(shown).enumerate() {
        let (y, room) = (at * STEP + 3, (WIDTH - LEFT - 70) as u64);
        let long = (count.saturating_mul(room) / most).max(2);
        let class = if *count == 0 { "none" } else { "bar" };
        let _ = write!(
            page,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">",
            LEFT - 8,
            y + 14
        );
        text(page, name);
        let _ = writeln!(
            page,
            "</text><rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{long}\" height=\"18\" \
             rx=\"2\"/><text x=\"{}\" y=\"{}\">{count}</text>",
            LEFT as u64 + long + 6,
            y + 14
        );
    }
    page.push_str("</svg>\n");
    if bars.len() > shown {
        let _ = writeln!(page, "<p class=\"sub\">and {} more</p>", bars.len() - shown);
    }
}

fn text(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_every_finding_and_no_bar_is_wider_than_its_plot() {
        let use_count = |name: &str, calls| pb::UseCount {
            name: name.to_owned(),
            calls,
        };
        let seen = pb::GetReviewResponse {
            findings: vec![pb::Finding {
                kind: pb::FindingKind::FieldNeverRead.into(),
                subject: "contact.<b>".to_owned(),
                count: 0,
                action: "stop".to_owned(),
            }],
            fields: vec![use_count("a", i64::MAX), use_count("b", 0)],
            ..Default::default()
        };
        let page = page(&seen);
        assert!(page.contains("contact.&lt;b&gt;") && !page.contains("<b>"));
        assert!(page.contains("class=\"none\""), "what nobody reads is seen");
        let widths = page.split("<rect ").skip(1).map(|rect| {
            let width = rect
                .split("width=\"")
                .nth(1)
                .and_then(|w| w.split('"').next());
            width.and_then(|w| w.parse::<u64>().ok()).unwrap()
        });
        assert!(widths.max().unwrap() <= (WIDTH - LEFT) as u64);
        assert!(!page.contains("http:") && !page.contains("src="));
    }
}
