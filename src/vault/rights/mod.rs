//! The rights of a person: their requests, from the first word to the answer.

pub mod clock;
mod keep;
pub mod report;
pub mod request;

pub use keep::{Asked, Listing, RequestView, parse_token, token};

use crate::keys::signing::SigningKey;
use clock::Regime;

/// How a vault answers people.
pub struct Office {
    /// Signs certificates and reports.
    pub key: SigningKey,
    /// Whether somebody else must approve a request than who opened it.
    pub four_eyes: bool,
    /// The laws that apply to a request that names none.
    pub regimes: Vec<Regime>,
}
