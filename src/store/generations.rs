//! Generations of a customer's field key: a new one is added, their records
//! are re-encrypted under it, the old ones go.

use super::Pending;
use super::row::{PageRow, RecordKey};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;

/// A field key of a new generation.
pub struct NewGeneration {
    /// Whose.
    pub customer: CustomerNumber,
    /// One more than their newest.
    pub generation: u32,
    /// The page that it was wrapped under, as it was read.
    pub page: PageRow,
    /// The key.
    pub wrapped: Vec<u8>,
    /// Today.
    pub today: Day,
    /// Its predecessors are shredded with what is not kept under it: noted, so
    /// that a restart goes on with the same generation.
    pub is_partial: bool,
}

/// A record under another generation. Its revision stays: what it says is the
/// same.
pub struct Reencrypted {
    /// Which.
    pub key: RecordKey,
    /// The revision that it was read at.
    pub revision: u64,
    /// Its manifest as it was read; where it is another by now nothing is
    /// changed.
    pub old: Vec<u8>,
    /// The generation.
    pub generation: u32,
    /// The new manifest and groups; `None`: nothing of it is kept.
    pub new: Option<([u8; 32], Vec<u8>)>,
    /// Where its values came from, sealed anew; `None`: as it was.
    pub origin: Option<Vec<u8>>,
}

/// Old generations of a customer that were destroyed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// The newest of them.
    pub generation: u32,
    /// How many keys.
    pub keys: u64,
    /// Whether they were compromised.
    pub compromised: bool,
    /// The epoch whose destruction makes it final in every backup.
    pub epoch: u32,
    /// The day.
    pub day: Day,
    /// SHA-256 of the wrapped keys, oldest first.
    pub fingerprint: [u8; 32],
}

/// Which keys of one generation were destroyed by rotation, in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationEnd {
    /// The generation.
    pub generation: u32,
    /// Whether they were compromised before.
    pub compromised: bool,
    /// How many keys.
    pub keys: u64,
}

/// What kind of key was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsedKey {
    /// An epoch's master key, through a page.
    Epoch = 1,
    /// A generation of field keys.
    Generation = 2,
}

/// When a key was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// What kind of key.
    pub of: UsedKey,
    /// Which epoch or generation.
    pub number: u32,
    /// The day.
    pub day: Day,
}

/// Changes to generations.
pub trait GenerationStore {
    /// `keys.db`: adds a generation, which new writes use. False where the
    /// page was wrapped anew meanwhile, or it is not the next generation.
    fn add_generation(&self, new: NewGeneration) -> Pending<bool>;
    /// `vault.db`: from here on no record of the customer is written under an
    /// older generation.
    fn require_generation(&self, customer: CustomerNumber, generation: u32) -> Pending<()>;
    /// `vault.db`: stores records re-encrypted; answers how many had changed
    /// meanwhile and were left as they are.
    fn reencrypt_records(&self, records: Vec<Reencrypted>) -> Pending<u64>;
    /// `keys.db`: the generations below this one go and their page is dirty;
    /// stamped, as a shred is, with the epoch that the page names. `None`
    /// where there was none.
    fn destroy_generations(
        &self,
        customer: CustomerNumber,
        below: u32,
        today: Day,
    ) -> Pending<Option<Destroyed>>;
    /// `keys.db`: the customer's generations up to this one are compromised:
    /// nothing under them is read until it is re-encrypted. False where the
    /// customer has no keys.
    fn compromise(&self, customer: CustomerNumber, up_to: u32, today: Day) -> Pending<bool>;
    /// `keys.db`: keys were used on these days.
    fn note_uses(&self, uses: Vec<KeyUse>) -> Pending<()>;
}

/// Looks at generations.
pub trait GenerationRows {
    /// `keys.db`: customers that have keys, from a number on.
    fn customers_with_keys(&mut self, from: u64, most: usize) -> Result<Vec<CustomerNumber>>;
    /// `vault.db`: customers that have a record of a type, from a number on.
    fn customers_with_type(
        &mut self,
        record_type: u16,
        from: u64,
        most: usize,
    ) -> Result<Vec<CustomerNumber>>;
    /// `keys.db`: the generation that a shred in part, begun and not done, goes
    /// on under.
    fn partial_shred(&mut self, customer: CustomerNumber) -> Result<Option<u32>>;
    /// `keys.db`: what rotation has destroyed so far, by generation.
    fn generation_ends(&mut self) -> Result<Vec<GenerationEnd>>;
    /// `keys.db`: for each generation, how many of its keys are not their
    /// customer's newest, and how many are compromised.
    fn generations_apart(&mut self) -> Result<Vec<(u32, u64, u64)>>;
    /// `keys.db`: when keys were last used, as far as it was written down.
    fn key_uses(&mut self) -> Result<Vec<KeyUse>>;
}
