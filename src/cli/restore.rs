//! `oubliette restore`: data may be old, keys must be current.

use super::out::Out;
use super::rules::Place;
use super::stop::{Done, Stop};
use super::value::seconds_text;
use crate::limits;
use crate::serve::{self, KeysSource};
use crate::vault::{Restored, Unproven};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// What can be restored.
#[derive(Subcommand, Debug)]
pub enum Restore {
    /// Put a data backup in the place of vault.db: whoever was erased since
    /// stays erased, what was deleted since is deleted again
    Data(Data),
    /// Make keys.db of the newest key backup and the copy of the ledger: every
    /// key that the ledger lists is removed before anything is served
    Keys(Keys),
}

/// Arguments of `restore data`.
#[derive(Args, Debug)]
pub struct Data {
    /// A file that `backup data` made
    from: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `restore keys`.
#[derive(Args, Debug)]
pub struct Keys {
    /// The directory that `backup keys` wrote to
    from: PathBuf,
    #[command(flatten)]
    place: Place,
    /// The age identity of the recipient
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The copy of the ledger that [backup] ledger_to named
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// The newest checkpoint of the audit log that is known outside
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Restore although it cannot be proved that nobody comes back, and why
    #[arg(long, value_name = "REASON", requires = "approved_by")]
    unproven: Option<String>,
    /// Who takes that on: given twice, with two different principals
    #[arg(long, value_name = "PRINCIPAL", requires = "unproven")]
    approved_by: Vec<String>,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Restore {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        match self {
            Self::Data(data) => data.json,
            Self::Keys(keys) => keys.json,
        }
    }

    /// Restores and says what came of it.
    pub fn run(self) -> Done {
        match self {
            Self::Data(data) => data.run(),
            Self::Keys(keys) => keys.run(),
        }
    }
}

impl Data {
    fn run(self) -> Done {
        let config = self.place.load()?;
        let done = serve::restore_data(&config, &self.from)?;
        let mut out = Out::new(self.json);
        let mut document = report(&done.restored);
        put(&mut document, "taken", json!(done.taken));
        put(&mut document, "aside", json!(done.aside));
        out.document(&document);
        out.line(&format!(
            "The data of {} is back.",
            seconds_text(done.taken)
        ));
        if let Some(aside) = &done.aside {
            let aside = aside.display();
            out.line(&format!(
                "What was in its place is {aside}; remove it when all is well."
            ));
        }
        tell(&mut out, &done.restored);
        Ok(())
    }
}

impl Keys {
    fn run(self) -> Done {
        let config = self.place.load()?;
        let unproven = match (&self.unproven, self.approved_by.as_slice()) {
            (None, _) => None,
            (Some(reason), [one, two]) if one != two && !reason.trim().is_empty() => {
                let (longest, names) = (limits::RIGHTS_TEXT_BYTES, 2 * limits::LABEL_BYTES + 1);
                if reason.len() > longest || one.len().max(two.len()) > names {
                    return Err(Stop::Usage(format!(
                        "--unproven has at most {longest} bytes and --approved-by {names}: they \
                         stand in the audit log"
                    )));
                }
                Some(Unproven {
                    reason: reason.clone(),
                    approved_by: self.approved_by.clone(),
                })
            }
            (Some(_), _) => {
                return Err(Stop::Usage(
                    "--unproven takes a reason and two different principals: \
                     --approved-by ONE --approved-by ANOTHER"
                        .to_owned(),
                ));
            }
        };
        let source = KeysSource {
            from: self.from,
            identity: self.identity,
            ledger: self.ledger,
            checkpoint: self.checkpoint,
            unproven,
        };
        let done = serve::restore_keys(&config, &source)?;
        let mut out = Out::new(self.json);
        let rebuilt = &done.rebuilt;
        let mut document = done.restored.as_ref().map_or_else(|| json!({}), report);
        for (name, value) in [
            ("backup", json!(rebuilt.sequence)),
            ("taken", json!(rebuilt.time)),
            ("ledger_entries_replayed", json!(rebuilt.replayed)),
            ("keys_removed", json!(rebuilt.kept_dead)),
            ("erased_but_not_in_ledger", json!(rebuilt.unlisted)),
            ("not_proved", json!(done.doubts)),
        ] {
            put(&mut document, name, value);
        }
        out.document(&document);
        out.line(&format!(
            "The keys of backup {} ({}) are back; {} entries of the ledger were replayed on \
             them.\n{} customers who were erased since had keys in it: they are removed.",
            rebuilt.sequence,
            seconds_text(rebuilt.time),
            rebuilt.replayed,
            rebuilt.kept_dead,
        ));
        for doubt in &done.doubts {
            out.line(&format!("NOT PROVED: {doubt}"));
        }
        match &done.restored {
            Some(restored) => tell(&mut out, restored),
            None => out.line("There is no vault.db: go on with oubliette restore data FILE"),
        }
        Ok(())
    }
}

fn put(document: &mut Json, name: &str, value: Json) {
    if let Some(document) = document.as_object_mut() {
        document.insert(name.to_owned(), value);
    }
}

fn report(of: &Restored) -> Json {
    json!({
        "kept_dead": of.purged.erased,
        "without_keys": of.purged.without_keys,
        "deletions_replayed": of.purged.deleted,
        "narrowed": of.purged.narrowed,
        "unreadable_records": of.purged.unreadable,
        "lost": of.lost,
        "lost_numbers": of.lost_first.iter().map(|customer| customer.0).collect::<Vec<_>>(),
        "customers": of.indexed,
        "ledger_complete": of.is_proven,
    })
}

fn tell(out: &mut Out, of: &Restored) {
    let row = |what: &str, count: u64| vec![what.to_owned(), count.to_string()];
    out.table(
        &["", "count"],
        &[
            row("customers that can be read", of.indexed),
            row("erased since, kept dead", of.purged.erased),
            row("deletions of records made again", of.purged.deleted),
            row(
                "withdrawals and objections to make again",
                of.purged.narrowed,
            ),
            row("customers with keys whose data is lost", of.lost),
            row("customers without keys, purged", of.purged.without_keys),
            row(
                "records of a destroyed key generation, removed",
                of.purged.unreadable,
            ),
        ],
    );
    if of.lost > 0 {
        let numbers: Vec<String> = of.lost_first.iter().map(|n| n.0.to_string()).collect();
        out.line(&format!(
            "Lost are the customers with the numbers {}",
            numbers.join(", ")
        ));
    }
    if !of.is_proven {
        out.line("The ledger cannot prove itself complete: every older opt-in reads as unknown.");
    }
}
