//! Anchors: places outside the vault that remember the log's newest head, where
//! whoever rolls the databases back does not roll them back too. Their conflict
//! with the log shows a restored or rewritten log, and a second vault that
//! writes the same one.

mod file;
#[cfg(test)]
pub(super) mod tree;
mod witness;

pub use file::FileAnchor;
pub use witness::{Address, WitnessClient};

use super::checkpoint::Checkpoint;
use super::merkle::Hash;
use crate::error::{Error, Result};
use crate::keys::signing::PublicKey;
use std::sync::Arc;

/// What to do about a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// The vault does not start, or says that it is not ready.
    #[default]
    Strict,
    /// It goes on, with an error in its log and a metric.
    Report,
}

/// Why an anchor does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slipped {
    /// It cannot be read, written or asked now.
    Unreachable(String),
    /// It holds what this log never was.
    Conflict(String),
}

/// What an anchor that holds has to say for others: a witness's cosignature.
pub type Held = std::result::Result<Option<String>, Slipped>;

/// A place outside.
pub trait Anchor: Send {
    /// Holds the log against what is there, and leaves its newest head. Blocks,
    /// for a bounded time.
    ///
    /// # Errors
    /// It is out of reach, or tells of another log, and is left as it is.
    fn show(&mut self, log: &Shown) -> Held;
}

/// What the log was before its newest head.
pub trait Past: Send + Sync {
    /// The root over the first `size` entries.
    ///
    /// # Errors
    /// It has not so many, or cannot be read.
    fn root_at(&self, size: u64) -> Result<Hash>;
    /// That the first `new` entries continue the first `old` (RFC 6962, 2.1.2).
    ///
    /// # Errors
    /// As above.
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>>;
}

/// A log as it is shown to anchors.
#[derive(Clone)]
pub struct Shown {
    /// Its key.
    pub key: PublicKey,
    /// Its newest head.
    pub head: Checkpoint,
    /// The same, signed.
    pub note: String,
    /// What it was before.
    pub past: Arc<dyn Past>,
}

impl Slipped {
    /// What is wrong.
    pub fn text(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Conflict(text) => text,
        }
    }

    /// A word for readiness.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "anchor_unreachable",
            Self::Conflict(_) => "anchor_conflict",
        }
    }

    /// The refusal to start.
    pub fn refusal(&self) -> Error {
        let next = match self {
            Self::Unreachable(_) => {
                "make it reachable, or set mode = \"report\" in [audit] to serve without"
            }
            Self::Conflict(_) => {
                "restore the newest databases; or, where the loss is known and accepted, take this \
                 anchor out of [audit], which `oubliette audit verify --checkpoint` shows to \
                 whoever kept what it holds"
            }
        };
        Error::Setup(format!("{}; nothing was written; {next}", self.text()))
    }
}

/// The log has fewer entries than an anchor has seen.
fn rolled_back(holder: &str, seen: u64, size: u64) -> Slipped {
    Slipped::Conflict(format!(
        "{holder} holds a checkpoint over {seen} entries, and the log has {size}: the databases \
         were rolled back or restored from a backup"
    ))
}

/// The log's entries are others than an anchor has seen.
fn written_anew(holder: &str, seen: u64) -> Slipped {
    Slipped::Conflict(format!(
        "the log's first {seen} entries are not those that {holder} holds a checkpoint over: the \
         log was written anew"
    ))
}
