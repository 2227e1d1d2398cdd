//! `oubliette lock`: the lock of a directory of key files. All of it works on
//! the files, while no server runs.

use super::init::{Layout, key_directory};
use super::out::Out;
use super::rules::Place;
use super::secret::{Asked, ask, lines_of};
use super::stop::{Done, Stop};
use crate::error::{Error, Result};
use crate::keys::file::FileProvider;
use crate::keys::lock::{Draft, Lock, Opener};
use crate::keys::{HeldBy, KeyProvider, Needs};
use crate::limits;
use crate::secret::SecretText;
use crate::serve::lock::DirectoryLock;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How key files are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Locked {
    /// By a passphrase.
    Passphrase,
    /// By a key that is split among people (Shamir's scheme).
    Shares,
}

/// Who is to open a lock.
#[derive(Args, Debug)]
pub struct Holders {
    /// Read the passphrase from this file ("-": stdin) instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Among how many people the key is split
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=32))]
    shares: u8,
    /// How many of them are needed
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=32))]
    threshold: u8,
}

/// What can be done with the lock of key files.
#[derive(Subcommand, Debug)]
pub enum LockOf {
    /// Put a lock on: key files are sealed, and people must open them after
    /// every start
    Add(Add),
    /// Give the lock to others: another passphrase, or new shares
    Change(Change),
    /// Take the lock off: key files are in the clear again
    Remove(Remove),
}

/// Arguments of `lock add`.
#[derive(Args, Debug)]
pub struct Add {
    /// Who opens it
    by: Locked,
    #[command(flatten)]
    holders: Holders,
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `lock change`.
#[derive(Args, Debug)]
pub struct Change {
    /// Who opens it from now on
    to: Locked,
    #[command(flatten)]
    holders: Holders,
    #[command(flatten)]
    opened: Opened,
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `lock remove`.
#[derive(Args, Debug)]
pub struct Remove {
    #[command(flatten)]
    opened: Opened,
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// What opens the lock that is there.
#[derive(Args, Debug)]
struct Opened {
    /// Read the present passphrase, or the shares one a line, from this file
    /// ("-": stdin) instead of asking for them
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl LockOf {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        match self {
            Self::Add(add) => add.json,
            Self::Change(change) => change.json,
            Self::Remove(remove) => remove.json,
        }
    }

    /// Does it.
    pub fn run(self) -> Done {
        match self {
            Self::Add(add) => add.run(),
            Self::Change(change) => change.run(),
            Self::Remove(remove) => remove.run(),
        }
    }
}

/// The directory of the key files of a vault that nobody serves meanwhile.
struct Stopped {
    keys: PathBuf,
    _lock: DirectoryLock,
}

impl Stopped {
    fn at(place: &Place) -> Done<Self> {
        let config = place.load()?;
        let _lock = DirectoryLock::take(&config.data)?;
        let keys = key_directory(&config)?;
        Ok(Self { keys, _lock })
    }
}

impl Add {
    /// The shares are told before a key depends on them.
    fn run(self) -> Done {
        let at = Stopped::at(&self.place)?;
        let mut out = Out::new(self.json);
        let was_there = Lock::load(&at.keys)?.is_some();
        if !was_there {
            let draft = self.holders.draft(self.by)?;
            tell_shares(&mut out, &draft)?;
            draft.place(&at.keys)?;
        }
        let sealed = FileProvider::new(&at.keys)?.seal_files()?;
        if was_there && sealed == 0 {
            return Err(Stop::Failed(
                "the key files have a lock; give it to others with: oubliette lock change"
                    .to_owned(),
            ));
        }
        out.document(&json!({ "sealed": sealed }));
        out.line(&format!(
            "{sealed} key files are sealed. Copies of them from before are not: destroy those, or \
             close the epoch.\nAfter every start: oubliette unseal"
        ));
        Ok(())
    }
}

impl Change {
    fn run(self) -> Done {
        let at = Stopped::at(&self.place)?;
        let mut out = Out::new(self.json);
        let opener = open(&at.keys, &self.opened)?;
        let (by, passphrase) = self.holders.named(self.to)?;
        let draft = opener.held_by(by, passphrase.as_ref())?;
        tell_shares(&mut out, &draft)?;
        draft.replace(&at.keys)?;
        out.document(&json!({ "changed": true }));
        out.line(
            "The lock is theirs. Whoever kept a copy of the old lock and can open that still opens \
             the key files; where that matters: oubliette lock remove, then add, then close the \
             epoch.",
        );
        Ok(())
    }
}

impl Remove {
    fn run(self) -> Done {
        let at = Stopped::at(&self.place)?;
        let mut provider = FileProvider::new(&at.keys)?;
        let mut pieces = Pieces::of(&self.opened)?;
        while let Some(needs) = provider.needs() {
            provider.unlock(&pieces.next(needs)?)?;
        }
        let opened = provider.remove_lock()?;
        let mut out = Out::new(self.json);
        out.document(&json!({ "opened": opened }));
        out.line(&format!(
            "The lock is off; {opened} key files are in the clear. The vault starts by itself."
        ));
        Ok(())
    }
}

/// Opens the lock of `keys`.
fn open(keys: &Path, opened: &Opened) -> Done<Opener> {
    let none = || Error::Setup("there is no lock; put one on with: oubliette lock add".to_owned());
    let lock = Lock::load(keys)?.ok_or_else(none)?;
    let mut pieces = Pieces::of(opened)?;
    loop {
        if let Some(opener) = lock.give(&pieces.next(lock.needs())?)? {
            return Ok(opener);
        }
    }
}

/// The passphrase or the shares, of a file or as people type them.
struct Pieces(Option<std::vec::IntoIter<SecretText>>);

impl Pieces {
    fn of(opened: &Opened) -> Done<Self> {
        let lines = opened.file.as_deref().map(lines_of).transpose()?;
        Ok(Self(lines.map(Vec::into_iter)))
    }

    fn next(&mut self, needs: Needs) -> Done<SecretText> {
        let prompt = match needs.by {
            HeldBy::Passphrase => "The present passphrase: ".to_owned(),
            HeldBy::Shares { threshold, .. } => {
                format!("Share {} of {threshold}: ", needs.given.saturating_add(1))
            }
        };
        match &mut self.0 {
            None => ask(&prompt, Asked::Once),
            Some(lines) => lines.next().ok_or_else(|| {
                Stop::Failed("the file holds too few shares; nothing was changed".to_owned())
            }),
        }
    }
}

impl Holders {
    /// Those that `init` is given.
    pub(super) fn of(layout: &Layout) -> Self {
        Self {
            passphrase_file: layout.passphrase_file.clone(),
            shares: layout.shares,
            threshold: layout.threshold,
        }
    }

    /// A new lock of theirs.
    pub(super) fn draft(&self, locked: Locked) -> Result<Draft> {
        let (by, passphrase) = self.named(locked)?;
        Draft::new(by, passphrase.as_ref())
    }

    /// Who they are, with their passphrase.
    fn named(&self, locked: Locked) -> Result<(HeldBy, Option<SecretText>)> {
        let (threshold, shares) = (self.threshold, self.shares);
        if locked == Locked::Shares {
            if threshold > shares {
                return Err(Error::Setup(format!(
                    "{threshold} shares cannot be needed where there are {shares}; \
                     give --threshold at most --shares"
                )));
            }
            return Ok((HeldBy::Shares { threshold, shares }, None));
        }
        let passphrase = match &self.passphrase_file {
            Some(file) => lines_of(file).map(|lines| lines.into_iter().next()),
            None => ask("A passphrase for the keys: ", Asked::Twice).map(Some),
        };
        let passphrase = passphrase.map_err(|why| Error::Setup(why.to_string()))?;
        let long_enough = |text: &SecretText| text.expose().len() >= limits::PASSPHRASE_LEAST;
        let passphrase = passphrase.filter(long_enough).ok_or_else(|| {
            let least = limits::PASSPHRASE_LEAST;
            Error::Setup(format!(
                "a passphrase has at least {least} characters; nothing was made"
            ))
        })?;
        Ok((HeldBy::Passphrase, Some(passphrase)))
    }
}

/// Shows the shares of a lock, in a document of their own with `--json`: the
/// only time that anybody sees them.
fn tell_shares(out: &mut Out, draft: &Draft) -> Done {
    let shares: Vec<&str> = draft.shares().iter().map(SecretText::expose).collect();
    if shares.is_empty() {
        return Ok(());
    }
    out.document(&json!({ "shares": shares }));
    out.line(&shares_text(&shares));
    if out.is_closed() {
        let unread = "the shares could not be written, and nobody has them; nothing was changed";
        return Err(Stop::Failed(unread.to_owned()));
    }
    Ok(())
}

/// What stands before shares, and they.
pub(super) fn shares_text(shares: &[&str]) -> String {
    format!(
        "The shares of the lock. They are kept nowhere and never shown again; give each \
         to one person:\n\n{}\n",
        shares.join("\n")
    )
}
