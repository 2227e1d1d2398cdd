//! What is written down. Every call makes a leaf; a read's leaf is durable
//! before its reply: only a [`Recorded`] lets opened values out, and only
//! [`Log::record`] makes one.

pub mod anchor;
mod call;
pub mod checkpoint;
pub mod cosignature;
pub mod export;
pub mod history;
mod leaf;
mod log;
pub mod merkle;
pub mod proof;
pub mod pruning;
pub mod report;
mod sealer;
pub mod signals;
mod subject;
pub mod tiles;
mod unwritten;
pub mod verify;
pub mod witness;

pub use call::Call;
pub use leaf::{Agreed, Fact, Leaf, Numbered, Receipt, Verdict};
pub use log::{Log, Recorded};
pub use sealer::Sealer;
pub use subject::{Detail, Subject};
