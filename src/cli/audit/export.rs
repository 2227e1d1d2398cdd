//! `audit export` and `audit proof`: straight from the files, whether the
//! vault is running or not.

use super::super::out::Out;
use super::super::progress::Progress;
use super::super::stop::{Done, Stop};
use super::config_of;
use crate::audit::{export, proof};
use crate::serve::open_rows;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `audit export`.
#[derive(Args, Debug)]
pub struct Export {
    /// The vault's directory; it may be running
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Where to write; what an earlier export left there is brought up to date
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Answer with one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl Export {
    /// Writes the log.
    pub fn run(self) -> Done {
        let config = config_of(&self.dir)?;
        let mut rows = open_rows(&config)?;
        let mut shown: Option<Progress> = None;
        let progress = |done: u64, of: u64| {
            let shown = shown.get_or_insert_with(|| Progress::start("export", of));
            shown.set(done, &format!("{done} of {of} entries"));
        };
        let done = export::export(&mut rows, &config.signing.log, &self.out, progress)?;
        drop(shown);
        let mut out = Out::new(self.json);
        out.document(&json!({
            "origin": done.origin,
            "entries": done.entries,
            "pruned": done.pruned,
            "unsealed": done.unsealed,
            "out": self.out,
        }));
        let place = self.out.display();
        out.line(&format!(
            "{}: {} entries and their hash tiles are in {place}",
            done.origin, done.entries
        ));
        if done.pruned > 0 {
            out.line(&format!(
                "The first {} entries were pruned: of those that an earlier export did not write \
                 there, only hashes and what must stay are",
                done.pruned
            ));
        }
        if done.unsealed > 0 {
            out.line(&format!(
                "{} newer entries are under no checkpoint yet; a running vault signs one within a \
                 second, so export again for these",
                done.unsealed
            ));
        }
        out.line(&format!("Next: oubliette audit verify --tiles {place}"));
        Ok(())
    }
}

/// Arguments of `audit proof`.
#[derive(Args, Debug)]
pub struct Proof {
    /// The entry's number, from 1
    #[arg(value_name = "ENTRY")]
    number: u64,
    /// The vault's directory; it may be running
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Where to write it; without it the proof goes to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Proof {
    /// Writes the proof.
    pub fn run(self) -> Done {
        let mut rows = open_rows(&config_of(&self.dir)?)?;
        let text = proof::prove(&mut rows, self.number)?;
        match &self.out {
            Some(path) => {
                std::fs::write(path, text).map_err(|why| Stop::file(path, "written", &why))
            }
            None => {
                Out::new(false).raw(&text);
                Ok(())
            }
        }
    }
}
