//! The log's tree behind its leaves: hash tiles and signed checkpoints. They
//! follow from the leaves, and are kept so that nobody hashes the log twice.

use super::{Fence, Pending, ReadJob};
use crate::error::Result;
use crate::id::CustomerNumber;

/// Hashes of one tile, 32 bytes each, as many as there are so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileRow {
    /// 0: hashes of leaves; 1: of full tiles of level 0; and so on.
    pub level: u8,
    /// The tile's number within its level, from 0.
    pub index: u64,
    /// At most 256 hashes.
    pub hashes: Vec<u8>,
}

/// A checkpoint as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// How many leaves it covers.
    pub size: u64,
    /// When it was signed, in microseconds since 1970.
    pub time: i64,
    /// The signed note.
    pub note: String,
}

/// What the tree has grown by: one transaction.
#[derive(Clone)]
pub struct Seal {
    /// Tiles that are new or have more hashes now.
    pub tiles: Vec<TileRow>,
    /// The checkpoint over all of it.
    pub checkpoint: CheckpointRow,
    /// Checkpoints signed since then, of which this one takes the place: of
    /// each minute the last is kept.
    pub replaces_since: i64,
}

/// Changes to the tree.
pub trait TreeStore {
    /// `vault.db`: tiles and a checkpoint. False where the newest checkpoint is
    /// no smaller: the tree only grows.
    fn seal(&self, seal: Seal) -> Pending<bool>;

    /// `vault.db`: keeps a checkpoint with its witnesses' cosignatures, in the
    /// place of the one before.
    fn keep_cosigned(&self, checkpoint: CheckpointRow) -> Pending<()>;

    /// Reads on this thread, beside the reader threads that calls wait for.
    /// Blocks; one such read at a time.
    fn aside(&self, job: ReadJob);
}

/// Reads of the tree and of bare leaves.
pub trait TreeRows {
    /// `vault.db`: the newest checkpoint.
    fn checkpoint(&mut self) -> Result<Option<CheckpointRow>>;
    /// `vault.db`: the newest checkpoint that witnesses cosigned, as many as are
    /// asked for.
    fn cosigned(&mut self) -> Result<Option<CheckpointRow>>;
    /// `vault.db`: the hashes of a tile, as many as there are.
    fn tile(&mut self, level: u8, index: u64) -> Result<Option<Vec<u8>>>;
    /// `vault.db`: leaves that follow number `after`, at most `most`, each with
    /// its number and without its detail. Their numbers have no hole but where
    /// leaves were pruned.
    fn entries(&mut self, after: u64, most: usize) -> Result<Vec<(u64, Vec<u8>)>>;
    /// `vault.db`: the number of the newest leaf; 0 where there is none.
    fn newest_entry(&mut self) -> Result<u64>;
    /// `vault.db`: how many leaves the newest checkpoint covers that was signed
    /// before `time` (microseconds since 1970); 0 where there is none.
    fn sealed_before(&mut self, time: i64) -> Result<u64>;
    /// `vault.db`: how many leaves the oldest checkpoint covers that was signed
    /// at `time` or later.
    fn sealed_after(&mut self, time: i64) -> Result<Option<u64>>;
    /// `keys.db`: every shredded customer's fence.
    fn fences(&mut self) -> Result<Vec<(CustomerNumber, Fence)>>;
}
