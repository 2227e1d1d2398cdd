//! `audit list` and `audit tail`: questions to a running vault.

use super::super::caller::Caller;
use super::super::out::{Out, printable};
use super::super::stop::{Done, Stop};
use super::super::value::instant_text;
use crate::pb;
use clap::Args;
use prost_types::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Which entries.
#[derive(Args, Debug, Clone)]
pub struct Which {
    /// Calls of this principal: tenant/service
    #[arg(id = "of_principal", long = "principal", value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// Calls for this purpose
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// Calls of this method, such as GetRecord
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Calls that ended so: allowed, denied, failed, shed, intended, shredded,
    /// purged
    #[arg(long, value_name = "VERDICT")]
    verdict: Option<String>,
    /// Calls about records of this type
    #[arg(long, value_name = "TYPE")]
    record_type: Option<String>,
    /// Calls since: an instant (2026-11-25T08:00:00Z) or so long ago (2h, 3days)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Calls before: as --from
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
}

/// An instant, or so long before now.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let rule = "must be an instant such as 2026-11-25T08:00:00Z, or so long ago such as 2h";
    let at = match humantime::parse_duration(text) {
        Ok(ago) => std::time::SystemTime::now().checked_sub(ago),
        Err(_) => humantime::parse_rfc3339(text).ok(),
    };
    at.map(Timestamp::from).ok_or_else(|| rule.to_owned())
}

impl Which {
    fn filter(&self) -> pb::EntryFilter {
        let text = |asked: &Option<String>| asked.clone().unwrap_or_default();
        pb::EntryFilter {
            principal: text(&self.principal),
            purpose: text(&self.purpose),
            method: text(&self.method),
            verdict: text(&self.verdict),
            record_type: text(&self.record_type),
            from_time: self.from,
            to_time: self.to,
        }
    }
}

/// Arguments of `audit list`.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub(super) caller: Caller,
    #[command(flatten)]
    which: Which,
    /// Entries about this living customer instead: what was done with them, at
    /// most 31 days of it
    #[arg(long, value_name = "ID", requires = "from", conflicts_with_all = ["of_principal", "purpose",
        "method", "verdict", "record_type"])]
    customer: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    most: usize,
}

/// What a person reads of an entry.
#[derive(Deserialize)]
struct Line {
    time: i64,
    principal: String,
    method: String,
    verdict: String,
    reason: String,
    purpose: String,
    record_type: String,
    fields: Vec<u16>,
    count: u64,
}

fn cells(entry: &pb::Entry) -> Vec<String> {
    let number = entry.number.to_string();
    let Ok(line) = serde_json::from_str::<Line>(&entry.leaf) else {
        return vec![number, printable(&entry.leaf)];
    };
    let at = jiff_text(line.time);
    let fields: Vec<String> = line.fields.iter().map(u16::to_string).collect();
    let outcome = if line.reason.is_empty() {
        line.verdict
    } else {
        format!("{} {}", line.verdict, line.reason)
    };
    let cells = vec![
        number,
        at,
        line.principal,
        line.method,
        outcome,
        line.purpose,
        line.record_type,
        fields.join(" "),
        line.count.to_string(),
    ];
    cells.iter().map(|cell| printable(cell)).collect()
}

/// An instant as people write it, UTC.
fn jiff_text(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(
        |_| micros.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

const HEADER: [&str; 9] = [
    "entry",
    "time (UTC)",
    "who",
    "what",
    "how it ended",
    "purpose",
    "type",
    "fields",
    "count",
];

fn document(entry: &pb::Entry) -> Value {
    let leaf = serde_json::from_str::<Value>(&entry.leaf);
    json!({"number": entry.number, "leaf": leaf.unwrap_or_default()})
}

impl List {
    /// Asks and shows the answer.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let mut out = self.caller.out();
        if let Some(customer) = &self.customer {
            let reply = client
                .list_customer_entries(pb::ListCustomerEntriesRequest {
                    name: format!("customers/{customer}"),
                    from_time: self.which.from,
                    to_time: self.which.to,
                })
                .await?;
            return Self::show_customer(&mut out, &reply);
        }
        let (mut entries, mut token) = (Vec::new(), String::new());
        loop {
            let page = crate::limits::LIST_PAGE_MAX.min(self.most - entries.len());
            let reply = client
                .list_entries(pb::ListEntriesRequest {
                    filter: Some(self.which.filter()),
                    page_size: i32::try_from(page).unwrap_or(i32::MAX),
                    page_token: token,
                })
                .await?;
            entries.extend(reply.entries);
            token = reply.next_page_token;
            if token.is_empty() || entries.len() >= self.most {
                break;
            }
        }
        let documents: Vec<Value> = entries.iter().map(document).collect();
        out.document(&json!({"entries": documents, "is_end": token.is_empty()}));
        let rows: Vec<Vec<String>> = entries.iter().map(cells).collect();
        out.table(&HEADER, &rows);
        if !token.is_empty() {
            out.line("There may be more; ask with a larger --most or a later --from.");
        }
        Ok(())
    }

    fn show_customer(out: &mut Out, reply: &pb::ListCustomerEntriesResponse) -> Done {
        let entry = |of: &pb::CustomerEntry| of.entry.clone().unwrap_or_default();
        let touched = |of: &pb::CustomerEntry| -> Vec<Value> {
            let records = of.records.iter();
            records
                .map(|of| json!({"record": of.record, "revision": of.revision}))
                .collect()
        };
        let documents = reply.entries.iter().map(|of| {
            let mut shown = document(&entry(of));
            if let Some(shown) = shown.as_object_mut() {
                shown.insert("records".to_owned(), json!(touched(of)));
            }
            shown
        });
        let documents: Vec<Value> = documents.collect();
        let since = reply.complete_from_time.map(instant_text);
        out.document(&json!({
            "entries": documents,
            "truncated": reply.truncated,
            "complete_from": since,
        }));
        let rows: Vec<Vec<String>> = reply.entries.iter().map(|of| cells(&entry(of))).collect();
        out.table(&HEADER, &rows);
        if reply.truncated {
            out.line("There are more; ask for a shorter span.");
        }
        if let Some(since) = since {
            out.line(&format!(
                "Older entries were pruned: this is complete from {since} on."
            ));
        }
        Ok(())
    }
}

/// Arguments of `audit tail`.
#[derive(Args, Debug)]
pub struct Tail {
    #[command(flatten)]
    pub(super) caller: Caller,
    #[command(flatten)]
    which: Which,
    /// Begin after this entry instead of with what comes from now on
    #[arg(long, value_name = "ENTRY", default_value_t = 0)]
    after: u64,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    most: Option<usize>,
}

impl Tail {
    /// Shows entries as they come, until interrupted; with --json one object a
    /// line.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let after = i64::try_from(self.after);
        let after = after.map_err(|_| Stop::Usage("--after is too large".to_owned()))?;
        let request = pb::WatchEntriesRequest {
            filter: Some(self.which.filter()),
            after,
        };
        let mut stream = client.watch_entries(request).await?;
        let mut out = self.caller.out();
        let mut left = self.most.unwrap_or(usize::MAX);
        while let Some(message) = stream.next().await? {
            for entry in message.entries {
                out.document(&document(&entry));
                let cells = cells(&entry);
                let said = cells.iter().filter(|cell| !cell.is_empty()).cloned();
                out.line(&said.collect::<Vec<_>>().join("  "));
                left = left.saturating_sub(1);
                if left == 0 || out.is_closed() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
