//! `keys.db` in parts, each small enough to be read in one short transaction.

use crate::limits;
use std::fmt;

/// A part of `keys.db`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A page of customers' keys: the page's key, the keys under it, and the
    /// fences of the same customers.
    Customers(u64),
    /// Keys of index pages, 256 by number.
    Index(u64),
    /// Entries of the ledger, [`limits::LEDGER_PART`] by number.
    Ledger(u64),
    /// Everything else: epochs, tenants, allocator, intents. It is read last,
    /// so that the allocator is beyond every number of the other parts.
    Rest,
}

impl Part {
    /// The part of the ledger that an entry is in.
    pub fn of_entry(entry: u64) -> Self {
        Self::Ledger(entry / limits::LEDGER_PART)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "rest" {
            return Some(Self::Rest);
        }
        let (kind, number) = text.split_once('/')?;
        let number = number.parse().ok()?;
        match kind {
            "customers" => Some(Self::Customers(number)),
            "index" => Some(Self::Index(number)),
            "ledger" => Some(Self::Ledger(number)),
            _ => None,
        }
    }
}

/// The part's name in a manifest.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customers(page) => write!(f, "customers/{page}"),
            Self::Index(group) => write!(f, "index/{group}"),
            Self::Ledger(group) => write!(f, "ledger/{group}"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_name_is_read_back() {
        let parts = [
            Part::Customers(0),
            Part::Index(3),
            Part::Ledger(7),
            Part::Rest,
        ];
        for part in parts {
            assert_eq!(Part::parse(&part.to_string()), Some(part));
        }
        for wrong in ["", "rest/1", "customers", "customers/x", "keys/1"] {
            assert_eq!(Part::parse(wrong), None, "{wrong}");
        }
    }
}
