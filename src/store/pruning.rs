//! Old leaves taken out of the log. Its hashes stay, and so do the leaves that
//! whoever takes them out names: what is left proves as much as before.

use super::{LeafRow, Pending};
use crate::error::Result;

/// How far the log is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedRow {
    /// Leaves up to this number are pruned, but for those that stay.
    pub entries: u64,
    /// Those up to this number are gone by now; fewer where it is under way.
    pub removed: u64,
    /// No pruned leaf is of a call that came later, in microseconds since 1970.
    pub until: i64,
    /// The number of the leaf that says all this.
    pub leaf: u64,
}

/// A prune that begins: nothing is removed yet.
pub struct BeginPrune {
    /// The leaf that says so.
    pub leaf: LeafRow,
    /// Up to which number.
    pub entries: u64,
    /// As in [`PrunedRow`].
    pub until: i64,
}

/// Some leaves that go, in one transaction.
pub struct PruneStep {
    /// How many are gone before it.
    pub after: u64,
    /// Up to which number it goes.
    pub to: u64,
    /// The numbers of those that stay.
    pub stay: Vec<u64>,
}

/// Changes that a prune makes, in `vault.db`.
pub trait PruneStore {
    /// Appends the leaf of a prune and notes how far it goes; answers the
    /// leaf's number. 0 where as much is pruned already, or one is under way.
    fn begin_prune(&self, prune: BeginPrune) -> Pending<u64>;
    /// Removes leaves. False where it is not their turn.
    fn prune_leaves(&self, step: PruneStep) -> Pending<bool>;
    /// Removes some history rows of hours before a slot; true when none is left.
    fn prune_history(&self, before: i64) -> Pending<bool>;
}

/// What is known of pruned leaves, in `vault.db`.
pub trait PruneRows {
    /// How far the log is pruned; nothing where it never was.
    fn pruned(&mut self) -> Result<Option<PrunedRow>>;
    /// One leaf with its detail; nothing where it was pruned, or is none.
    fn leaf(&mut self, number: u64) -> Result<Option<(Vec<u8>, Vec<u8>)>>;
}
