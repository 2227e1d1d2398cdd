//! Edits of the databases behind the vault's back, each of which can be taken
//! back.

use crate::place::Place;
use rusqlite::Connection;
use rusqlite::types::Value;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Keys,
    Vault,
}

/// One row: a table, and the condition that finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAt {
    pub file: File,
    pub table: &'static str,
    pub key: String,
}

/// One value of a row, before and after.
#[derive(Debug)]
pub struct Edit {
    row: RowAt,
    column: &'static str,
    old: Value,
    new: Value,
}

/// Both files, written behind the vault's back.
pub struct Tamper {
    keys: Connection,
    vault: Connection,
}

impl Tamper {
    /// Opens both files.
    pub fn at(place: &Place) -> Self {
        let (keys, vault) = (place.keys(), place.vault());
        Self { keys, vault }
    }

    fn file(&self, file: File) -> &Connection {
        match file {
            File::Keys => &self.keys,
            File::Vault => &self.vault,
        }
    }

    /// A value as it is.
    pub fn value(&self, row: &RowAt, column: &str) -> Value {
        let sql = format!("SELECT {column} FROM {} WHERE {}", row.table, row.key);
        let found = self.file(row.file).query_row(&sql, [], |row| row.get(0));
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The edit that makes `column` of `row` be `new`.
    pub fn set(&self, row: &RowAt, column: &'static str, new: Value) -> Edit {
        let old = self.value(row, column);
        let row = row.clone();
        Edit {
            row,
            column,
            old,
            new,
        }
    }

    /// The edits that exchange columns of two rows; none where they are equal.
    pub fn swap(&self, a: &RowAt, b: &RowAt, columns: &[&'static str]) -> Vec<Edit> {
        let mut edits = Vec::new();
        for column in columns {
            let (of_a, of_b) = (self.value(a, column), self.value(b, column));
            if of_a != of_b {
                edits.push(self.set(a, column, of_b));
                edits.push(self.set(b, column, of_a));
            }
        }
        edits
    }

    /// Makes edits, all at once in each file.
    pub fn make(&self, edits: &[Edit]) {
        self.write(edits, |edit| &edit.new);
    }

    /// Takes edits back.
    pub fn unmake(&self, edits: &[Edit]) {
        self.write(edits, |edit| &edit.old);
    }

    fn write<'a>(&self, edits: &'a [Edit], value: impl Fn(&'a Edit) -> &'a Value) {
        for file in [File::Keys, File::Vault] {
            let mut edits = edits.iter().filter(|edit| edit.row.file == file).peekable();
            if edits.peek().is_none() {
                continue;
            }
            let db = self.file(file);
            db.execute_batch("BEGIN IMMEDIATE").expect("begun");
            for edit in edits {
                let row = &edit.row;
                let sql = format!(
                    "UPDATE {} SET {} = ?1 WHERE {}",
                    row.table, edit.column, row.key
                );
                let changed = db.execute(&sql, [value(edit)]);
                assert_eq!(changed, Ok(1), "{sql}");
            }
            db.execute_batch("COMMIT").expect("written");
        }
    }

    /// Every row of a table, by `key` columns that are numbers or blobs.
    pub fn rows(&self, file: File, table: &'static str, key: &[&str]) -> Vec<RowAt> {
        let sql = format!("SELECT {} FROM {table}", key.join(", "));
        let mut statement = self.file(file).prepare(&sql).expect("a statement");
        let rows = statement.query_map([], |row| {
            let mut parts = Vec::new();
            for (at, column) in key.iter().enumerate() {
                parts.push(match row.get(at)? {
                    Value::Integer(number) => format!("{column} = {number}"),
                    Value::Blob(bytes) => format!("{column} = x'{}'", hex::encode(bytes)),
                    other => panic!("{other:?} as a key"),
                });
            }
            Ok(parts.join(" AND "))
        });
        let rows = rows.expect("rows").map(|key| RowAt {
            file,
            table,
            key: key.expect("a row"),
        });
        rows.collect()
    }
}

/// Numbers that look random and are the same each time.
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound` (SplitMix64).
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        usize::try_from(z % bound as u64).expect("small")
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Puts them in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
