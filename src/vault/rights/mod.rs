//! The rights of a person: their requests, from the first word to the answer.

pub mod clock;
mod effect;
mod keep;
mod open;
pub mod report;
pub mod request;
mod waiting;

pub use keep::{Listing, RequestView, parse_token, token};
pub use open::Asked;
pub use waiting::Changes;

use super::Vault;
use crate::error::{Error, Result};
use clock::Regime;

/// How a vault answers people.
#[derive(Clone, Debug, Default)]
pub struct Office {
    /// Whether somebody else must approve a request than who opened it.
    pub four_eyes: bool,
    /// Whether epochs are closed by themselves once a day.
    pub closes_daily: bool,
    /// The laws that apply to a request that names none.
    pub regimes: Vec<Regime>,
    /// How many days an approved erasure can still be taken back.
    pub grace_days: u32,
    /// Whether it goes on by itself then; else somebody approves it again.
    pub goes_on: bool,
}

impl Vault {
    /// From here on requests are handled so. It is said once, at start.
    pub fn answer_by(&self, office: Office) -> Result<()> {
        let given = self.0.office.set(office);
        given.map_err(|_| Error::Internal("a second office"))
    }

    /// How requests are handled.
    pub(super) fn office(&self) -> Office {
        self.0.office.get().cloned().unwrap_or_default()
    }
}
