//! What is written down. Every call makes a leaf; a read's leaf is durable
//! before its reply: only a [`Recorded`] lets opened values out, and only
//! [`Log::record`] makes one.

mod call;
mod leaf;
mod log;
pub mod merkle;
mod subject;

pub use call::Call;
pub use leaf::{Fact, Leaf, Receipt, Verdict};
pub use log::{Log, Recorded};
pub use subject::{Detail, Subject};
