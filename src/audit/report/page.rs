//! The report as a page: one file, nothing loaded, no script.

use super::plot::{Layer, bars, layers};
use super::{Counts, Report, Series};
use crate::error::Result;
use crate::markup::escaped;
use std::fmt::Write;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Audit report</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid color-mix(in srgb, gray 40%, transparent); padding: 0.3rem 0.5rem;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-family: system-ui, sans-serif; }
.key { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.5em; border-radius: 2px; }
.facts { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0; }
.facts div { border: 1px solid color-mix(in srgb, gray 40%, transparent); border-radius: 6px;
  padding: 0.5rem 1rem; min-width: 7rem; }
.facts b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.note { color: color-mix(in srgb, currentColor 70%, transparent); }
pre { overflow-x: auto; font-size: 0.85rem; }
@media print { body { margin: 0; } h2 { break-after: avoid; } svg, table { break-inside: avoid; } }
</style>
</head>
<body>
"#;

/// The page of a report.
///
/// # Errors
/// A plot cannot be drawn.
pub fn page(report: &Report) -> Result<String> {
    let mut page = Page(String::from(HEAD));
    let (from, to) = (time(report.from), time(report.to));
    page.line("h1", "Audit report");
    page.line("p", &format!("{}, {from} to {to} (UTC)", report.origin));
    if let Some(since) = report.complete_from {
        let note = "Older entries of the log were pruned: this is complete from";
        let since = jiff::Timestamp::from_microsecond(since);
        let since = since.map_or_else(|_| String::new(), |at| at.to_string());
        page.line("p", &format!("{note} {since} on."));
    }
    summary(&mut page, report);
    let label = |at: usize| bin_label(report, at);
    let reads = "Records whose fields were opened for a purpose.";
    page.plot("Reads by purpose", reads, &report.reads_by_purpose, &label)?;
    page.plot("Reads by service", reads, &report.reads_by_service, &label)?;
    let denials = "Calls that a rule denied. Nothing left the vault for them.";
    page.plot("Denials by reason", denials, &report.denials, &label)?;
    page.counts(
        "Denials by service",
        ["service", "denied calls"],
        &report.denied_services,
    );
    customers(&mut page, report);
    let erasures = "Customers whose keys were destroyed.";
    page.plot("Erasures", erasures, &report.erasures, &label)?;
    turns(&mut page, report);
    page.counts("How calls ended", ["verdict", "entries"], &report.verdicts);
    provenance(&mut page, report);
    page.0.push_str("</body>\n</html>\n");
    Ok(page.0)
}

struct Page(String);

impl Page {
    fn raw(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = self.0.write_fmt(text);
    }

    fn line(&mut self, tag: &str, text: &str) {
        self.raw(format_args!("<{tag}>{}</{tag}>\n", escaped(text)));
    }

    fn plot(
        &mut self,
        title: &str,
        what: &str,
        series: &Series,
        label: &impl Fn(usize) -> String,
    ) -> Result<()> {
        self.line("h2", title);
        let layers = layers(series);
        if layers.iter().all(|layer| layer.sum() == 0) {
            self.line("p", "None in this period.");
            return Ok(());
        }
        self.raw(format_args!("<p class=\"note\">{}</p>\n", escaped(what)));
        let svg = bars(&layers, label)?;
        let title = escaped(title);
        // A name for whoever does not see it; the table below has the numbers.
        let named = format!("<svg role=\"img\" aria-label=\"{title}\" ");
        self.0.push_str(&svg.replacen("<svg ", &named, 1));
        self.legend(&layers);
        Ok(())
    }

    fn legend(&mut self, layers: &[Layer]) {
        self.0.push_str("\n<table>\n");
        for layer in layers {
            self.raw(format_args!(
                "<tr><td><span class=\"key\" style=\"background:{}\"></span>{}</td>\
                 <td class=\"n\">{}</td></tr>\n",
                layer.css(),
                escaped(&layer.name),
                layer.sum()
            ));
        }
        self.0.push_str("</table>\n");
    }

    fn counts(&mut self, title: &str, header: [&str; 2], counts: &Counts) {
        self.line("h2", title);
        if counts.is_empty() {
            return self.line("p", "None in this period.");
        }
        let mut sorted: Vec<_> = counts.iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let rows = sorted
            .into_iter()
            .map(|(name, count)| [name.clone(), count.to_string()]);
        self.table(header, rows);
    }

    /// A table whose last column, where it has more than one, is of numbers.
    fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) {
        self.0.push_str("<table>\n");
        self.cells("th", header.map(str::to_owned));
        for row in rows {
            self.cells("td", row);
        }
        self.0.push_str("</table>\n");
    }

    fn cells<const N: usize>(&mut self, tag: &str, cells: [String; N]) {
        self.0.push_str("<tr>");
        for (at, cell) in cells.iter().enumerate() {
            let class = if at == 0 { "" } else { " class=\"n\"" };
            self.raw(format_args!("<{tag}{class}>{}</{tag}>", escaped(cell)));
        }
        self.0.push_str("</tr>\n");
    }
}

fn summary(page: &mut Page, report: &Report) {
    let sum = |series: &Series| series.values().flatten().sum::<u64>();
    let closed = report
        .turns
        .iter()
        .filter(|turn| turn.what == "epoch_closed");
    page.0.push_str("<div class=\"facts\">\n");
    for (what, many) in [
        ("entries", report.entries),
        ("records read", sum(&report.reads_by_purpose)),
        ("calls denied", sum(&report.denials)),
        ("customers erased", sum(&report.erasures)),
        ("epochs closed", closed.count() as u64),
        ("calls shed", report.shed),
        ("calls unwritten", report.unwritten),
    ] {
        page.raw(format_args!("<div><b>{many}</b>{what}</div>\n"));
    }
    page.0.push_str("</div>\n");
}

fn customers(page: &mut Page, report: &Report) {
    page.line("h2", "Distinct customers by service");
    let Some(customers) = &report.customers else {
        let why = "Not counted: entries do not tell whom they are about. Make the report with \
                   --count-customers, which needs the vault's keys.";
        return page.line("p", why);
    };
    if customers.is_empty() {
        return page.line("p", "None in this period.");
    }
    let note = "Counted with the keys of the living. A customer who was forgotten since cannot be \
                counted, nor told from another: only the reads are left.";
    page.raw(format_args!("<p class=\"note\">{note}</p>\n"));
    let mut sorted: Vec<_> = customers.iter().collect();
    sorted.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.distinct));
    let rows = sorted.into_iter().map(|(name, seen)| {
        [
            name.clone(),
            seen.distinct.to_string(),
            seen.forgotten_reads.to_string(),
        ]
    });
    page.table(
        ["service", "living customers", "reads of forgotten ones"],
        rows,
    );
}

fn turns(page: &mut Page, report: &Report) {
    page.line("h2", "Keys: rotations, closings, seals, restores");
    if report.turns.is_empty() {
        return page.line("p", "None in this period.");
    }
    let rows = report.turns.iter().map(|turn| {
        let epoch = turn.epoch.map(|epoch| epoch.to_string());
        [
            turn.what.replace('_', " "),
            time(turn.time),
            epoch.unwrap_or_default(),
            turn.assurance.clone().unwrap_or_default(),
            turn.entry.to_string(),
        ]
    });
    page.table(["what", "time (UTC)", "epoch", "assurance", "entry"], rows);
    if report.more_turns > 0 {
        page.line("p", &format!("and {} more", report.more_turns));
    }
}

fn provenance(page: &mut Page, report: &Report) {
    page.line("h2", "How to check this");
    let (first, last) = report.looked_at;
    let unsealed = match report.unsealed {
        0 => "all of them under the signed checkpoint below".to_owned(),
        some => format!("{some} of them under no signed checkpoint yet"),
    };
    page.line(
        "p",
        &format!(
            "Made on {} from the audit log's entries {first} to {last}: {} are of this period, \
             {unsealed}. Every number but that of customers can be counted again from an export \
             of the log (oubliette audit export), which anybody verifies with the log's public \
             key (oubliette audit verify).",
            time(report.made),
            report.entries
        ),
    );
    page.line("pre", &report.checkpoint);
}

fn time(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros);
    at.map_or_else(
        |_| micros.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// The begin of a bin, as short as it can be.
fn bin_label(report: &Report, at: usize) -> String {
    let after = i64::try_from(at).unwrap_or(0).saturating_mul(report.bin);
    let at = jiff::Timestamp::from_microsecond(report.begin().saturating_add(after));
    let form = if report.bin < super::HOUR * 24 {
        "%d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    at.map_or_else(|_| String::new(), |at| at.strftime(form).to_string())
}
