//! The example's customers, inside the program so that it tells its story
//! anywhere, and whom of them the story is about.

use crate::cli::stop::{Done, Stop};
use std::collections::BTreeMap;

/// `examples/crm/customers.csv`.
pub const CSV: &str = include_str!("../../../examples/crm/customers.csv");
/// The column of the customer's id.
pub const ID_COLUMN: &str = "customer_id";

/// One customer as the file has them, by column.
pub type Row = BTreeMap<String, String>;

/// The example's customers.
pub struct Crm {
    /// All of them.
    pub rows: Vec<Row>,
    /// The one whom everybody reads.
    pub known: Row,
    /// The one who is forgotten.
    pub forgotten: Row,
}

/// A column of a row; empty where there is none.
pub fn cell<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

/// The name of a customer's contact record.
pub fn contact(row: &Row) -> String {
    format!("customers/{}/records/main", cell(row, ID_COLUMN))
}

/// Whether terminals show the row in order: they differ over what is written
/// from right to left, or is wider than a letter.
fn is_latin(row: &Row) -> bool {
    row.values()
        .all(|value| value.chars().all(|c| c < '\u{250}'))
}

impl Crm {
    /// Reads the file and chooses.
    pub fn load() -> Done<Self> {
        let mut reader = csv::Reader::from_reader(CSV.as_bytes());
        let rows: Result<Vec<Row>, _> = reader.deserialize().collect();
        let rows = rows.map_err(|_| Stop::Failed("the example cannot be read".to_owned()))?;
        // Without a gap, so that each chapter has something to show.
        let whole = |row: &&Row| row.values().all(|v| !v.is_empty() && v.len() < 60);
        let known = rows.iter().filter(whole).find(|row| is_latin(row));
        let forgotten = rows.iter().filter(whole).find(|row| Some(*row) != known);
        let (Some(known), Some(forgotten)) = (known.cloned(), forgotten.cloned()) else {
            return Err(Stop::Failed("the example has no whole rows".to_owned()));
        };
        Ok(Self {
            rows,
            known,
            forgotten,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_customers_enough_for_the_story() {
        let crm = Crm::load().ok().unwrap();
        assert!(crm.rows.len() >= 1_000);
        assert!(crm.known.len() >= 11 && crm.known != crm.forgotten);
    }
}
