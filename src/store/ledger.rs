//! The ledger: every change that only narrows, by numbers only, in `keys.db`.
//! A restore replays it. And the mark by which a copy of a file is known.

use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;

/// One entry of the ledger. Entries are never changed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// From 1, without gaps.
    pub entry: u64,
    /// What happened: [`super::LedgerKind`], or a kind that a later version
    /// knows.
    pub kind: u8,
    /// To whom.
    pub customer: CustomerNumber,
    /// Which of theirs; 0 where it is about the customer as a whole.
    pub number: u64,
    /// The epoch that the entry names: for an erasure the one whose
    /// destruction makes it final.
    pub epoch: u32,
    /// When.
    pub day: Day,
    /// For an erasure the fingerprint of the destroyed keys.
    pub fingerprint: Option<[u8; 32]>,
}

/// Says that a file is a copy, not yet restored: such a file is never served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyMark {
    /// Of which vault.
    pub deployment: [u8; 16],
    /// The last entry of the ledger that the copy reflects.
    pub ledger: u64,
    /// When it was taken, in seconds since 1970.
    pub time: i64,
}

/// Reads of the ledger.
pub trait LedgerRows {
    /// `keys.db`: entries that follow number `after`, at most `most`.
    fn ledger(&mut self, after: u64, most: usize) -> Result<Vec<LedgerEntry>>;
    /// `keys.db`: the number of the last entry; 0 where there is none.
    fn ledger_end(&mut self) -> Result<u64>;
    /// `vault.db`: when a restore was made whose ledger is not known to be
    /// complete, in seconds since 1970; `None`: there was none.
    fn unproven(&mut self) -> Result<Option<i64>>;
    /// A customer who is shredded in `vault.db` and not in `keys.db`, or whose
    /// number `keys.db` has not given out yet: then `keys.db` is the older one.
    fn newer_than_keys(&mut self) -> Result<Option<CustomerNumber>>;
}
