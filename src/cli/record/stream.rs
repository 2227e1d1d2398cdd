//! `oubliette record stream`: every record of a type, as it arrives.

use super::{Reading, show};
use crate::cli::caller::Caller;
use crate::cli::out::{note, printable};
use crate::cli::stop::Done;
use crate::pb;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;

/// Arguments of `record stream`.
#[derive(Args, Debug)]
pub struct Stream {
    #[command(flatten)]
    reading: Reading,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on after the chunk that came with this cursor
    #[arg(long, value_name = "CURSOR", default_value = "")]
    cursor: String,
    #[command(flatten)]
    pub(super) caller: Caller,
}

impl Stream {
    /// Prints the records one by one, so that nothing piles up in memory; with
    /// `--json` they are the elements of the one document's array.
    pub async fn run(self) -> Done {
        let request = pb::StreamRecordsRequest {
            mode: self.reading.mode(),
            record_type: self.reading.record_type,
            purpose: self.reading.purpose,
            fields: self.reading.fields,
            cursor: self.cursor,
            with_handle: self.reading.handle,
        };
        let mut stream = self.caller.connect().await?.stream_records(request).await?;
        let mut out = self.caller.out();
        let limit = self.limit.unwrap_or(u64::MAX);
        let mut shown = 0_u64;
        let mut cursor = String::new();
        let mut skipped: BTreeMap<String, i64> = BTreeMap::new();
        let mut opened = false;
        while shown < limit && !out.is_closed() {
            let Some(chunk) = stream.next().await? else {
                break;
            };
            for skip in chunk.skipped {
                *skipped.entry(skip.reason).or_default() += skip.count;
            }
            cursor = chunk.cursor;
            for record in chunk.records {
                if shown == limit {
                    break;
                }
                shown += 1;
                if !out.is_json() {
                    show::record(&mut out, &record);
                } else {
                    let before = if opened { "," } else { "{\"records\":[" };
                    out.raw(&format!("{before}{}", show::record_json(&record)));
                    opened = true;
                }
            }
        }
        if out.is_json() {
            let before = if opened { "" } else { "{\"records\":[" };
            let (cursor, skipped) = (json!(cursor), json!(skipped));
            out.raw(&format!(
                "{before}],\"cursor\":{cursor},\"skipped\":{skipped}}}\n"
            ));
        } else {
            note(&format!("{shown} records"));
            for (reason, count) in &skipped {
                note(&format!("{count} passed over: {reason}"));
            }
            if !cursor.is_empty() {
                note(&format!(
                    "to go on after this chunk: --cursor {}",
                    printable(&cursor)
                ));
            }
        }
        Ok(())
    }
}
