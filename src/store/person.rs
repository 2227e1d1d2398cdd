//! The room of what is about one customer: their history, for whoever holds
//! their key, and their records with all that is in them.

use super::{RecordKey, RecordRow};
use crate::error::Result;

/// Reads of what is about one customer.
pub trait PersonRows {
    /// `vault.db`: a customer's records of a type that follow `after`, with
    /// their bodies.
    fn bodies_of_customer(
        &mut self,
        after: RecordKey,
        record_type: u16,
        most: usize,
    ) -> Result<Vec<RecordRow>>;
}
