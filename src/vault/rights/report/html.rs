//! The report as a page for people: one file, nothing loaded, no script.

use super::document::{Record, Report, Seen};
use crate::markup;
use serde_json::Value as Json;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What is known of you</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid color-mix(in srgb, gray 40%, transparent); padding: 0.3rem 0.5rem;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; } h3 { font-size: 1rem; }
</style>
</head>
<body>
"#;

/// The page of a report.
pub fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    let counts = &report.counts;
    put(
        &mut page,
        "<h1>What is known of ",
        &report.customer,
        "</h1>\n<p>",
    );
    let summary = format!(
        "Made on {} by {}. Known since {}. {} records are stored; they were read {} times, \
         and {} attempts were refused.",
        report.made, report.tenant, report.since, counts.records, counts.reads, counts.denials
    );
    put(&mut page, "", &summary, "</p>\n<h2>What is stored</h2>\n");
    for record in &report.records {
        one_record(&mut page, record);
    }
    page.push_str("<h2>Why it is used</h2>\n");
    table(
        &mut page,
        &["purpose", "legal basis", "your say", "who else gets it"],
    );
    for purpose in &report.purposes {
        row(
            &mut page,
            &[
                &purpose.title,
                &purpose.basis,
                say(&purpose.say),
                &purpose.recipients.join(", "),
            ],
        );
    }
    page.push_str("</table>\n");
    if let Some(since) = &report.complete_from {
        let note = format!(
            "What is listed below is complete from {since} on; what is older is kept no more."
        );
        put(&mut page, "<p>", &note, "</p>\n");
    }
    entries(&mut page, "Who read it", &report.reads);
    entries(&mut page, "Who was refused", &report.denials);
    entries(&mut page, "What else was done", &report.others);
    page.push_str("</body>\n</html>\n");
    page
}

fn one_record(page: &mut String, record: &Record) {
    put(page, "<h3>", &record.title, "</h3>\n<p>");
    let when = format!(
        "{}, collected on {}, last changed on {}.",
        record.name, record.collected, record.updated
    );
    put(page, "", &when, "</p>\n");
    table(
        page,
        &[
            "field",
            "value",
            "kind of data",
            "used for",
            "you can ask for",
            "kept until",
        ],
    );
    for field in &record.fields {
        let value = match &field.value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        row(
            page,
            &[
                &field.field,
                &value,
                &field.classification,
                &field.purposes.join(", "),
                &field.rights.join(", "),
                field.erase_on.as_deref().unwrap_or("no day is set"),
            ],
        );
    }
    page.push_str("</table>\n");
    if !record.withheld.is_empty() {
        let withheld = format!("Not shown here: {}.", record.withheld.join(", "));
        put(page, "<p>", &withheld, "</p>\n");
    }
}

fn entries(page: &mut String, title: &str, entries: &[Seen]) {
    put(page, "<h2>", title, "</h2>\n");
    if entries.is_empty() {
        page.push_str("<p>Nothing.</p>\n");
        return;
    }
    table(
        page,
        &[
            "when (UTC)",
            "service",
            "what",
            "purpose",
            "fields",
            "outcome",
        ],
    );
    for entry in entries {
        let fields = entry.fields.join(", ");
        row(
            page,
            &[
                &entry.time,
                &entry.service,
                &entry.method,
                &entry.purpose,
                &fields,
                &entry.outcome,
            ],
        );
    }
    page.push_str("</table>\n");
}

fn say(mechanism: &str) -> &str {
    match mechanism {
        "opt_in" => "only if you said yes",
        "opt_out" => "until you object",
        _ => "you were told",
    }
}

fn table(page: &mut String, header: &[&str]) {
    page.push_str("<table>\n<tr>");
    for cell in header {
        put(page, "<th>", cell, "</th>");
    }
    page.push_str("</tr>\n");
}

fn row(page: &mut String, cells: &[&str]) {
    page.push_str("<tr>");
    for cell in cells {
        put(page, "<td>", cell, "</td>");
    }
    page.push_str("</tr>\n");
}

/// What customers said is text here and never markup.
fn put(page: &mut String, before: &str, text: &str, after: &str) {
    page.push_str(before);
    markup::text(page, text);
    page.push_str(after);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_customer_said_is_never_markup() {
        let mut page = String::new();
        put(
            &mut page,
            "<td>",
            "<script>alert(\"1\" & '2')</script>\u{1b}[2J",
            "</td>",
        );
        assert_eq!(
            page,
            "<td>&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\\u{1b}[2J</td>"
        );
    }
}
