//! `oubliette backup`: copies of data and keys, beside a running server.

use super::out::Out;
use super::progress::Progress;
use super::rules::Place;
use super::stop::Done;
use super::value::seconds_text;
use crate::backup::Identity;
use crate::serve;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// What can be backed up.
#[derive(Subcommand, Debug)]
pub enum Backup {
    /// Copy vault.db as it is now: sealed values, which only the vault's keys open
    Data(Data),
    /// Add to the key backups what has changed, encrypted to the recipient of
    /// [backup]; never a key in a form that a provider's key does not lock
    Keys(Keys),
    /// Make an age identity for key backups, and print its recipient
    Identity(MakeIdentity),
}

/// Arguments of `backup identity`.
#[derive(Args, Debug)]
pub struct MakeIdentity {
    /// The new file; keep it where the backups are not
    file: PathBuf,
}

/// Arguments of `backup data`.
#[derive(Args, Debug)]
pub struct Data {
    /// The new file, or a directory in which it is named after the time
    to: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `backup keys`.
#[derive(Args, Debug)]
pub struct Keys {
    #[command(flatten)]
    place: Place,
    /// Write also what has not changed
    #[arg(long)]
    full: bool,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        match self {
            Self::Data(data) => data.json,
            Self::Keys(keys) => keys.json,
            Self::Identity(_) => false,
        }
    }

    /// Takes it and says what it holds.
    pub fn run(self) -> Done {
        match self {
            Self::Data(data) => data.run(),
            Self::Keys(keys) => keys.run(),
            Self::Identity(make) => {
                let recipient = Identity::create(&make.file)?;
                Out::new(false).line(&format!(
                    "{} is made. Under [backup] of the configuration:\n\n\
                     recipient = \"{recipient}\"",
                    make.file.display()
                ));
                Ok(())
            }
        }
    }
}

impl Data {
    fn run(self) -> Done {
        let config = self.place.load()?;
        let mut bar = None;
        let (path, mark) = serve::backup_data(&config, &self.to, |done, of| {
            let bar = bar.get_or_insert_with(|| Progress::start("backup of data", of));
            bar.set(done, &format!("{} MiB", done >> 20));
        })?;
        drop(bar);
        let mut out = Out::new(self.json);
        out.document(&json!({
            "file": path,
            "time": mark.time,
            "ledger": mark.ledger,
        }));
        out.line(&format!(
            "{} holds the data as of {}.\n\
             Bring it back with: oubliette restore data {} --dir DIR",
            path.display(),
            seconds_text(mark.time),
            path.display()
        ));
        Ok(())
    }
}

impl Keys {
    fn run(self) -> Done {
        let config = self.place.load()?;
        let mut bar = None;
        let backup = serve::backup_keys(&config, self.full, |done, of| {
            let bar = bar.get_or_insert_with(|| Progress::start("backup of keys", of as u64));
            bar.set(done as u64, &format!("{done} of {of} parts"));
        })?;
        drop(bar);
        let manifest = &backup.manifest;
        let mut out = Out::new(self.json);
        out.document(&json!({
            "sequence": manifest.sequence,
            "time": manifest.time,
            "ledger": manifest.ledger,
            "epochs": manifest.epochs,
            "parts_written": backup.written,
            "parts_kept": backup.kept,
            "packs": manifest.packs.iter().map(|pack| &pack.file).collect::<Vec<_>>(),
        }));
        out.line(&format!(
            "Key backup {} is taken: {} parts written, {} unchanged since earlier ones.\n\
             It opens nothing without the age identity and the provider's keys.",
            manifest.sequence, backup.written, backup.kept
        ));
        Ok(())
    }
}
