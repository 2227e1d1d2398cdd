//! `oubliette config`: checked before it is used.

use super::stop::{Done, Stop};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done with the config.
#[derive(Subcommand, Debug)]
pub enum Config {
    /// Check the config of a directory
    Check(Check),
}

/// Arguments of `config check`.
#[derive(Args, Debug)]
pub struct Check {
    /// A directory made by `oubliette init`
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Config {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        let Self::Check(check) = self;
        check.json
    }

    /// Loads and shows it.
    pub fn run(self) -> Done {
        let Self::Check(check) = self;
        Err(Stop::Failed(format!(
            "{} is not read by this build yet",
            check.dir.display()
        )))
    }
}
