//! `audit prune`: old entries removed for good, by two people.

use super::super::caller::Caller;
use super::super::progress::Progress;
use super::super::stop::{Done, Stop};
use super::super::value::{date, instant_text};
use crate::pb;
use clap::Args;
use prost_types::Timestamp;
use serde_json::json;

const DAY_SECONDS: i64 = 86_400;

/// Arguments of `audit prune`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["before", "keep"])))]
pub struct Prune {
    #[command(flatten)]
    pub(super) caller: Caller,
    /// Remove entries of calls before this day (UTC)
    #[arg(long, value_name = "DATE", value_parser = day)]
    before: Option<Timestamp>,
    /// Remove entries that are older than so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_525))]
    keep: Option<u32>,
    /// Why, for whoever must approve it; no personal data
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

fn day(text: &str) -> Result<Timestamp, String> {
    let is_date = date(text).is_some();
    let at = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
    let at = at.filter(|_| is_date).map(Timestamp::from);
    at.ok_or_else(|| "must be a date, written YYYY-MM-DD".to_owned())
}

fn days_ago(days: u32) -> Timestamp {
    let today = i64::from(crate::clock::Instant::now().day().0);
    Timestamp {
        seconds: (today - i64::from(days)) * DAY_SECONDS,
        nanos: 0,
    }
}

impl Prune {
    /// Asks for it, and shows how far it is.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let request = pb::PruneEntriesRequest {
            before_time: self.before.or_else(|| self.keep.map(days_ago)),
            dry_run: self.dry_run,
            reason: self.reason.clone(),
        };
        let mut pruning = client.prune_entries(request).await?;
        let (mut shown, mut last): (Option<(i32, Progress)>, _) = (None, None);
        while let Some(view) = pruning.next().await? {
            let (done, total) = (positive(view.done), positive(view.total));
            if shown.as_ref().is_none_or(|(stage, _)| *stage != view.stage) {
                let what = match view.stage() {
                    pb::PruneStage::Removing => "prune",
                    _ => "look",
                };
                shown = Some((view.stage, Progress::start(what, total)));
            }
            if let Some((_, bar)) = &mut shown {
                bar.set(done, &format!("{done} of {total} entries"));
            }
            last = Some(view);
        }
        drop(shown);
        let is_done = |view: &pb::PruneEntriesResponse| view.stage() == pb::PruneStage::Done;
        let last = last.filter(is_done).ok_or_else(|| {
            let why = "the server ended before it said how it went; `oubliette audit verify` of an \
                       export says how far the log is pruned";
            Stop::Failed(why.to_owned())
        })?;
        self.tell(&last);
        Ok(())
    }

    fn tell(&self, view: &pb::PruneEntriesResponse) {
        let mut out = self.caller.out();
        let since = view.complete_from_time.map(instant_text);
        let new = view.done.saturating_sub(view.before);
        out.document(&json!({
            "dry_run": self.dry_run,
            "pruned": view.done,
            "pruned_before": view.before,
            "kept": view.kept,
            "complete_from": since,
            "held_by": view.held_by,
        }));
        let row = |what: &str, value: String| vec![what.to_owned(), value];
        let (header, now) = if self.dry_run {
            ("dry run", "entries that would go")
        } else {
            ("pruned", "entries that went")
        };
        out.table(
            &[header, ""],
            &[
                row(now, new.to_string()),
                row("entries that had gone before", view.before.to_string()),
                row("of all these, entries that stay", view.kept.to_string()),
                row("the log is complete from", since.unwrap_or_default()),
            ],
        );
        match view.held_by.as_str() {
            "anchor" => out.line("No more goes until an anchor or witness covers it."),
            "export" => out.line(
                "No more goes until the export that [pruning] names has it: \
                 `oubliette audit export --out DIR` brings it up to date.",
            ),
            _ => {}
        }
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
