//! What an auditor is sent for a period: counts from the entries alone, which
//! anybody with an export can count again, as numbers and as a page.

mod page;
mod plot;

pub use page::page;

use super::checkpoint::{Checkpoint, Note};
use super::history::{complete_from, lag};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::Rows;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000_000;

/// Counts of a period, each beside what it counts.
pub type Counts = BTreeMap<String, u64>;
/// The same over time: one number a bin.
pub type Series = BTreeMap<String, Vec<u64>>;

/// What services saw of customers; it takes the customers' own keys to count.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Customers {
    /// Living customers of whom it read something.
    pub distinct: u64,
    /// Reads of customers who are forgotten by now: nothing tells of how many.
    pub forgotten_reads: u64,
}

/// Something that happened to keys, in the order of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    /// When, in microseconds since 1970.
    pub time: i64,
    /// The entry that says so.
    pub entry: u64,
    /// What: the fact's name, such as `epoch_closed`.
    pub what: String,
    /// The epoch, where it is about one.
    pub epoch: Option<u64>,
    /// What it is worth, where it says so.
    pub assurance: Option<String>,
}

/// What the entries of a period come to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// Its newest checkpoint when this was made.
    pub checkpoint: String,
    /// When this was made, in microseconds since 1970.
    pub made: i64,
    /// The period's begin.
    pub from: i64,
    /// Its end, which is not part of it.
    pub to: i64,
    /// How long a bin of the series is, in microseconds.
    pub bin: i64,
    /// The numbers of the first and the last entry that was looked at.
    pub looked_at: (u64, u64),
    /// Where entries of the period were pruned: from when on none was, in
    /// microseconds since 1970.
    pub complete_from: Option<i64>,
    /// Entries of the period.
    pub entries: u64,
    /// Of these, those that no signed checkpoint covers yet.
    pub unsealed: u64,
    /// Entries by verdict.
    pub verdicts: Counts,
    /// Records read, by purpose.
    pub reads_by_purpose: Series,
    /// Records read, by service.
    pub reads_by_service: Series,
    /// Calls that opened something, by service: as many entries.
    pub read_calls: Counts,
    /// Denied calls, by reason.
    pub denials: Series,
    /// Denied calls, by service.
    pub denied_services: Counts,
    /// Customers whose keys were destroyed.
    pub erasures: Series,
    /// Epochs opened and closed, providers replaced, seals, restores.
    pub turns: Vec<Turn>,
    /// Turns that are not listed.
    pub more_turns: u64,
    /// Calls whose entry could not be written, so that nothing left.
    pub unwritten: u64,
    /// Calls that were shed.
    pub shed: u64,
    /// What services saw of customers, where that was asked for.
    pub customers: Option<BTreeMap<String, Customers>>,
}

/// What is read of an entry.
#[derive(Deserialize)]
struct Line {
    time: i64,
    principal: String,
    verdict: String,
    reason: String,
    purpose: String,
    fields: Vec<u16>,
    count: u64,
    fact: Option<Value>,
}

impl Line {
    /// A call that opened fields for a purpose.
    fn is_read(&self) -> bool {
        is_read(&self.verdict, &self.purpose, &self.fields)
    }
}

/// Whether an entry is of a call that opened fields for a purpose.
pub fn is_read(verdict: &str, purpose: &str, fields: &[u16]) -> bool {
    verdict == "allowed" && !purpose.is_empty() && !fields.is_empty()
}

/// How long a bin is: an hour, a day or a week, so that there are few.
fn bin_of(span: i64) -> i64 {
    const DAY: i64 = 24 * HOUR;
    match span {
        _ if span <= 3 * DAY => HOUR,
        _ if span <= 100 * DAY => DAY,
        _ => 7 * DAY,
    }
}

/// Counts the entries of a period. `progress` is told how many of how many are
/// read.
///
/// # Errors
/// There is no log, the period is empty or too long, or rows cannot be read.
pub fn count(
    rows: &mut dyn Rows,
    (from, to): (Instant, Instant),
    mut progress: impl FnMut(u64, u64),
) -> Result<Report> {
    let (from, to) = (from.micros(), to.micros());
    let longest = i64::try_from(limits::REPORT_SPAN.as_micros()).unwrap_or(i64::MAX);
    if from >= to || to - from > longest {
        let days = limits::REPORT_SPAN.as_secs() / 86_400;
        return Err(Error::Setup(format!(
            "the period must end after it begins, and at most {days} days later; give --from and \
             --to"
        )));
    }
    let head = rows.checkpoint()?.ok_or_else(|| {
        let why = "the log has no checkpoint yet; start the vault once, and it signs one";
        Error::Setup(why.to_owned())
    })?;
    let parsed = Note::parse(&head.note).and_then(|note| note.checkpoint());
    let origin = parsed.map(|head: Checkpoint| head.origin);
    let bin = bin_of(to - from);
    let begin = from - from.rem_euclid(bin);
    let bins = (to - begin).unsigned_abs().div_ceil(bin.unsigned_abs());
    let bins = usize::try_from(bins).unwrap_or(0);
    let first = rows.sealed_before(from)?;
    // A call's last entry may come long after the call.
    let end = match rows.sealed_after(to.saturating_add(lag()))? {
        Some(end) => end,
        None => rows.newest_entry()?,
    };
    let mut counting = Counting {
        begin,
        bins,
        sealed: head.size,
        report: Report::empty(origin.unwrap_or_default(), head.note, (from, to), bin),
    };
    let mut seen = first;
    while seen < end {
        let most = usize::try_from(end - seen).unwrap_or(usize::MAX);
        rows.refresh();
        let entries = rows.entries(seen, most.min(limits::LEAVES_PER_READ))?;
        if entries.is_empty() {
            break;
        }
        for (number, entry) in entries {
            seen = number;
            if let Ok(line) = serde_json::from_slice::<Line>(&entry) {
                counting.add(seen, &line);
            }
        }
        progress(seen.min(end) - first, end - first);
    }
    counting.report.looked_at = (first + 1, seen);
    let complete = complete_from(rows)?.map(Instant::micros);
    counting.report.complete_from = complete.filter(|since| *since > from);
    Ok(counting.report)
}

impl Report {
    fn empty(origin: String, checkpoint: String, (from, to): (i64, i64), bin: i64) -> Self {
        Self {
            origin,
            checkpoint,
            made: Instant::now().micros(),
            from,
            to,
            bin,
            looked_at: (0, 0),
            complete_from: None,
            entries: 0,
            unsealed: 0,
            verdicts: Counts::new(),
            reads_by_purpose: Series::new(),
            reads_by_service: Series::new(),
            read_calls: Counts::new(),
            denials: Series::new(),
            denied_services: Counts::new(),
            erasures: Series::new(),
            turns: Vec::new(),
            more_turns: 0,
            unwritten: 0,
            shed: 0,
            customers: None,
        }
    }

    /// When the first bin begins.
    pub fn begin(&self) -> i64 {
        self.from - self.from.rem_euclid(self.bin)
    }
}

struct Counting {
    begin: i64,
    bins: usize,
    sealed: u64,
    report: Report,
}

impl Counting {
    fn add(&mut self, number: u64, line: &Line) {
        let report = &mut self.report;
        if line.time < report.from || line.time >= report.to {
            return;
        }
        report.entries += 1;
        report.unsealed += u64::from(number > self.sealed);
        more(&mut report.verdicts, &line.verdict, 1);
        let at = usize::try_from((line.time - self.begin).div_euclid(report.bin)).unwrap_or(0);
        let bins = self.bins;
        let note = |series: &mut Series, name: &str, many: u64| {
            let known = room(series, name);
            let row = series.entry(known).or_insert_with(|| vec![0; bins]);
            if let Some(count) = row.get_mut(at) {
                *count += many;
            }
        };
        if line.is_read() {
            note(&mut report.reads_by_purpose, &line.purpose, line.count);
            note(&mut report.reads_by_service, &line.principal, line.count);
            more(&mut report.read_calls, &line.principal, 1);
        }
        match line.verdict.as_str() {
            "denied" => {
                note(&mut report.denials, &line.reason, 1);
                more(&mut report.denied_services, &line.principal, 1);
            }
            "shredded" => note(&mut report.erasures, "erased", 1),
            "shed" => report.shed += line.count,
            _ => {}
        }
        if let Some((what, fact)) = line
            .fact
            .as_ref()
            .and_then(Value::as_object)
            .and_then(|o| o.iter().next())
        {
            self.turn(number, line, what, fact);
        }
    }

    fn turn(&mut self, entry: u64, line: &Line, what: &str, fact: &Value) {
        let report = &mut self.report;
        match what {
            "unwritten" => report.unwritten += line.count,
            "epoch_opened" | "epoch_closed" | "providers" | "sealed" | "unsealed" | "restored" => {
                if report.turns.len() >= limits::REPORT_TURNS {
                    report.more_turns += 1;
                    return;
                }
                let text = |key: &str| fact.get(key).and_then(Value::as_str).map(str::to_owned);
                report.turns.push(Turn {
                    time: line.time,
                    entry,
                    what: what.to_owned(),
                    epoch: fact.get("epoch").and_then(Value::as_u64),
                    assurance: text("assurance"),
                });
            }
            _ => {}
        }
    }
}

fn more(counts: &mut Counts, name: &str, many: u64) {
    let name = room(counts, name);
    *counts.entry(name).or_insert(0) += many;
}

/// The name, or "others" where too many are counted already.
fn room<T>(counts: &BTreeMap<String, T>, name: &str) -> String {
    let is_known = counts.contains_key(name) || counts.len() < limits::REPORT_NAMES;
    let name = if is_known { name } else { "others" };
    name.to_owned()
}
