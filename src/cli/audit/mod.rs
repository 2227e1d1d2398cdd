//! `oubliette audit`: the log, exported, proven and verified by anybody.

mod ask;
mod export;
mod prune;
mod report;
mod verify;

use super::stop::{Done, Stop};
use crate::config::Config;
use clap::Subcommand;
use std::path::Path;

/// What can be done with the audit log.
#[derive(Subcommand, Debug)]
pub enum Audit {
    /// List entries of a running vault's log
    List(ask::List),
    /// Show entries as they come
    Tail(ask::Tail),
    /// Write the log as files that any web server can publish (C2SP tlog-tiles)
    Export(export::Export),
    /// Write a proof that one entry is in the log (C2SP tlog-proof)
    Proof(export::Proof),
    /// Make the report of a period that an auditor is sent: a page with plots
    Report(report::Report),
    /// Remove old entries for good; hashes, proofs and what tells of keys stay
    ///
    /// It takes a second person's approval. Export first: what is in an export
    /// is verified with it for ever.
    Prune(prune::Prune),
    /// Check an exported log, or a proof, offline
    ///
    /// Exit codes: 0 verified, 1 refused, 2 when --require-anchor was given and
    /// nothing from outside covers the end.
    Verify(verify::Verify),
}

impl Audit {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        match self {
            Self::List(list) => list.caller.json,
            Self::Tail(tail) => tail.caller.json,
            Self::Export(export) => export.json,
            Self::Proof(_) => false,
            Self::Prune(prune) => prune.caller.json,
            Self::Report(report) => report.json,
            Self::Verify(verify) => verify.json,
        }
    }

    /// Does it.
    pub fn run(self) -> Done {
        match self {
            Self::List(list) => super::block_on(list.run()),
            Self::Tail(tail) => super::block_on(tail.run()),
            Self::Export(export) => export.run(),
            Self::Proof(proof) => proof.run(),
            Self::Prune(prune) => super::block_on(prune.run()),
            Self::Report(report) => report.run(),
            Self::Verify(verify) => verify.run(),
        }
    }
}

/// The configuration of a vault's directory.
fn config_of(dir: &Path) -> Done<Config> {
    Ok(Config::load(&dir.join(super::init::CONFIG))?)
}

/// Reads a small text file.
fn read_text(path: &Path) -> Done<String> {
    std::fs::read_to_string(path).map_err(|error| Stop::file(path, "read", &error))
}
