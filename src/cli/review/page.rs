//! The review as a page: one file, nothing loaded, no script; plots are drawn
//! into it.

use super::plot::{bars, grid, said};
use super::{since, subject, words};
use crate::clock::{Day, Instant};
use crate::markup::text;
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
:root { color-scheme: light dark; --bar: #2f6f8f; --none: #c2410c; --yes: #15803d; --no: #c2410c;
  --s1: #d5e6ee; --s2: #a5c9d9; --s3: #67a0b9; --s4: #2f6f8f; --in: #10222b; --deep: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --bar: #5fa8c9; --none: #fb923c; --yes: #4ade80;
  --no: #fb923c; --s1: #1d3540; --s2: #27556a; --s3: #377e9c; --s4: #5fa8c9; --in: #e6f2f7;
  --deep: #0b1a21; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 0.25rem; } h3 span { opacity: 0.6; font-weight: 400; }
p.sub { margin-top: 0.2rem; opacity: 0.75; }
table { border-collapse: collapse; width: 100%; }
td { border-bottom: 1px solid color-mix(in srgb, gray 35%, transparent); padding: 0.35rem 0.6rem;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { width: 38%; }
.facts { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 1.5rem 0; }
.facts div { border: 1px solid color-mix(in srgb, gray 40%, transparent); border-radius: 6px;
  padding: 0.5rem 0.8rem; min-width: 5rem; }
.facts b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
.bar { fill: var(--bar); } .none { fill: var(--none); } .axis { stroke: gray; stroke-width: 1; }
.empty { fill: none; stroke: var(--none); stroke-dasharray: 3 2; }
.s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); } .s4 { fill: var(--s4); }
svg .in { fill: var(--in); font-size: 11px; } svg .s4 + .in { fill: var(--deep); }
svg .yes { fill: var(--yes); } svg .no { fill: var(--no); }
@media print { body { margin: 0; } h2, h3 { break-after: avoid; } svg, tr { break-inside: avoid; } }
</style>
</head>
<body>
"#;

/// The page of a review that was made on a day.
pub fn page(seen: &pb::GetReviewResponse, today: Day) -> String {
    let mut page = String::from(HEAD);
    page.push_str("<h1>What could be less</h1>\n<p class=\"sub\">");
    let sub = format!(
        "by {} entries of the audit log since {}",
        seen.entries,
        since(seen.from_time.as_ref())
    );
    text(&mut page, &sub);
    page.push_str("</p>\n");
    facts(&mut page, seen);
    let kinds: Vec<_> = by_kind(seen)
        .into_iter()
        .map(|(kind, findings)| (words(kind).to_owned(), findings.len() as u64))
        .collect();
    plot(&mut page, "Findings", "", &kinds);
    if !seen.uses.is_empty() {
        heading(
            &mut page,
            "What each purpose may see, and what it looked at",
            "Reads of a field for a purpose; the stronger the colour the more. An empty box is a \
             field that the purpose may see and never read: it could be taken away.",
        );
        grid(&mut page, &seen.uses);
    }
    plot(&mut page, "Reads by purpose", "", &counts(&seen.purposes));
    let unread = "Fields that nobody reads need not be collected.";
    plot(&mut page, "Reads by field", unread, &counts(&seen.fields));
    if !seen.consents.is_empty() {
        heading(
            &mut page,
            "What customers said",
            "Each day: yes above the line (given, renewed), no below it (refused, withdrawn, \
             objected).",
        );
        let from = seen.from_time.as_ref().map_or(0, |at| at.seconds);
        let from = Instant::from_micros(from.saturating_mul(1_000_000)).day();
        said(&mut page, &seen.consents, from, today);
    }
    to_do(&mut page, seen);
    page.push_str("</body>\n</html>\n");
    page
}

fn heading(page: &mut String, title: &str, what: &str) {
    page.push_str("<h2>");
    text(page, title);
    page.push_str("</h2>\n");
    if !what.is_empty() {
        page.push_str("<p class=\"sub\">");
        text(page, what);
        page.push_str("</p>\n");
    }
}

fn plot(page: &mut String, title: &str, what: &str, of: &[(String, u64)]) {
    heading(page, title, what);
    match of.is_empty() {
        true => page.push_str("<p>None.</p>\n"),
        false => bars(page, title, of),
    }
}

/// The numbers that count, large.
fn facts(page: &mut String, seen: &pb::GetReviewResponse) {
    let reads = seen.purposes.iter().map(|one| one.calls).sum::<i64>();
    let unread = seen.fields.iter().filter(|one| one.calls == 0).count();
    let unused = seen.uses.iter().filter(|one| one.calls == 0).count();
    page.push_str("<div class=\"facts\">\n");
    for (what, many) in [
        ("findings", seen.findings.len().to_string()),
        ("reads", reads.to_string()),
        ("fields", seen.fields.len().to_string()),
        ("of them nobody reads", unread.to_string()),
        ("permissions to see a field", seen.uses.len().to_string()),
        ("of them never used", unused.to_string()),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(page, "<div><b>{many}</b>{what}</div>");
    }
    page.push_str("</div>\n");
}

/// Findings of one kind together, in the order in which kinds come up.
fn by_kind(seen: &pb::GetReviewResponse) -> Vec<(pb::FindingKind, Vec<&pb::Finding>)> {
    let mut kinds: Vec<(pb::FindingKind, Vec<&pb::Finding>)> = Vec::new();
    for finding in &seen.findings {
        let kind = finding.kind();
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, findings)) => findings.push(finding),
            None => kinds.push((kind, vec![finding])),
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

/// What to do, kind by kind.
fn to_do(page: &mut String, seen: &pb::GetReviewResponse) {
    heading(page, "What to do", "");
    if seen.findings.is_empty() {
        page.push_str("<p>Nothing.</p>\n");
    }
    for (kind, findings) in by_kind(seen) {
        page.push_str("<h3>");
        text(page, words(kind));
        let _ = writeln!(page, " <span>{}</span></h3>\n<table>", findings.len());
        for finding in findings {
            page.push_str("<tr><td>");
            text(page, &subject(finding));
            page.push_str("</td><td>");
            text(page, &finding.action);
            page.push_str("</td></tr>\n");
        }
        page.push_str("</table>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_every_finding_and_every_plot_and_loads_nothing() {
        let use_count = |name: &str, calls| pb::UseCount {
            name: name.to_owned(),
            calls,
        };
        let finding = |kind: pb::FindingKind, subject: &str| pb::Finding {
            kind: kind.into(),
            subject: subject.to_owned(),
            count: 0,
            action: "stop".to_owned(),
        };
        let seen = pb::GetReviewResponse {
            findings: vec![
                finding(pb::FindingKind::FieldNeverRead, "contact.<b>"),
                finding(pb::FindingKind::BasisGone, "old"),
                finding(pb::FindingKind::FieldNeverRead, "contact.c"),
            ],
            fields: vec![use_count("a", i64::MAX), use_count("b", 0)],
            uses: vec![pb::PurposeField {
                purpose: "offers".to_owned(),
                field: "contact.a".to_owned(),
                form: "raw".to_owned(),
                calls: 0,
            }],
            consents: vec![pb::ConsentDay {
                purpose: "offers".to_owned(),
                given: 1,
                ..Default::default()
            }],
            ..Default::default()
        };
        let page = page(&seen, Day(0));
        assert!(page.contains("contact.&lt;b&gt;") && !page.contains("contact.<b>"));
        assert_eq!(page.matches("<tr>").count(), 3, "every finding");
        assert_eq!(page.matches("<h3>").count(), 2, "by kind");
        assert_eq!(page.matches("<svg ").count(), 4);
        assert!(!page.contains("http:") && !page.contains("src=") && !page.contains("<script"));
    }
}
