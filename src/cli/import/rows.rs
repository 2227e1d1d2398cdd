//! A CSV file (RFC 4180, UTF-8) row by row: cells become typed values. What is
//! wrong with a row is told by its column, never by its value.

use crate::catalog::Kind;
use crate::cli::schema::Schema;
use crate::cli::stop::{Done, Stop};
use crate::cli::value;
use crate::pb;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;

/// Which column is what.
pub struct Layout<'a> {
    /// The record type to write.
    pub schema: &'a Schema,
    /// The column that holds the customer's id.
    pub id_column: &'a str,
    /// The record's id, the same for every customer.
    pub record: &'a str,
    /// The column that holds the record's id instead.
    pub record_column: Option<&'a str>,
    /// Columns whose field has another name.
    pub renamed: &'a BTreeMap<String, String>,
    /// Columns that are not imported.
    pub ignored: &'a [String],
}

/// A row that can be sent.
pub struct Row {
    /// The customer's id.
    pub customer: String,
    /// The record's id.
    pub record: String,
    /// The fields that hold a value.
    pub fields: HashMap<String, pb::Value>,
}

/// One row of the file.
pub struct Line {
    /// 1 for the first row after the header.
    pub number: u64,
    /// The line in the file on which the row begins.
    pub line: u64,
    /// Where in the file the row begins, in bytes.
    pub byte: u64,
    /// The row, or what is wrong with it.
    pub row: Result<Row, String>,
}

enum Column {
    Customer,
    Record,
    Field(String, Kind),
    Ignored,
}

/// The rows of a file.
pub struct Rows<R> {
    reader: csv::Reader<R>,
    columns: Vec<(String, Column)>,
    record: String,
    read: csv::ByteRecord,
    number: u64,
    /// Whether lines end with CR LF.
    crlf: bool,
}

impl<R: Read> Rows<R> {
    /// Reads the header and matches it with the record type's fields.
    pub fn open(input: R, layout: &Layout) -> Done<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader
            .byte_headers()
            .map_err(|error| Stop::Failed(format!("the header cannot be read: {error}")))?;
        let header: Option<Vec<String>> = header
            .iter()
            .map(|cell| String::from_utf8(cell.to_vec()).ok())
            .collect();
        let header =
            header.ok_or_else(|| Stop::Failed("the header is not UTF-8 text".to_owned()))?;
        let in_header = header.iter().map(|cell| newlines(cell.as_bytes())).sum();
        // The reader takes CR for the end of a line, and the LF with the next.
        let crlf = reader.position().line().saturating_sub(in_header) == 1;
        let columns = columns(header, layout)?;
        Ok(Self {
            reader,
            crlf,
            columns,
            record: layout.record.to_owned(),
            read: csv::ByteRecord::new(),
            number: 0,
        })
    }

    /// The next row; nothing after the last. An error is the file's, not a row's.
    pub fn next(&mut self) -> Done<Option<Line>> {
        let more = self.reader.read_byte_record(&mut self.read);
        let more =
            more.map_err(|error| Stop::Failed(format!("the file cannot be read: {error}")))?;
        if !more {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(Line {
            number: self.number,
            line: self.line(),
            byte: self.read.position().map_or(0, csv::Position::byte),
            row: self.row(),
        }))
    }

    /// The line on which the row begins. The reader's own answer is the end of
    /// the row before, blank lines not counted.
    fn line(&self) -> u64 {
        let at_least = self.read.position().map_or(0, csv::Position::line);
        let own = self.read.iter().map(newlines).sum::<u64>();
        let end = self.reader.position().line().saturating_sub(own);
        at_least.max(end.saturating_sub(u64::from(!self.crlf)))
    }

    fn row(&self) -> Result<Row, String> {
        if self.read.len() != self.columns.len() {
            return Err(format!(
                "the row has {} cells and the header has {}",
                self.read.len(),
                self.columns.len()
            ));
        }
        let mut row = Row {
            customer: String::new(),
            record: self.record.clone(),
            fields: HashMap::with_capacity(self.columns.len()),
        };
        for ((name, column), cell) in self.columns.iter().zip(self.read.iter()) {
            let text = std::str::from_utf8(cell)
                .map_err(|_| format!("column {name} must be UTF-8 text"))?;
            match column {
                Column::Customer => row.customer = text.to_owned(),
                Column::Record => row.record = text.to_owned(),
                Column::Field(field, kind) if !text.is_empty() => {
                    let read = value::parse(*kind, text)
                        .map_err(|rule| format!("column {name} {rule}"))?;
                    row.fields.insert(field.clone(), read);
                }
                Column::Field(..) | Column::Ignored => {}
            }
        }
        if row.customer.is_empty() || row.record.is_empty() {
            return Err("the id is empty".to_owned());
        }
        Ok(row)
    }
}

fn newlines(cell: &[u8]) -> u64 {
    cell.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Says of each column what it is; every problem is told at once.
fn columns(header: Vec<String>, layout: &Layout) -> Done<Vec<(String, Column)>> {
    let mut columns = Vec::with_capacity(header.len());
    let mut strange = Vec::new();
    let mut seen = Vec::new();
    for (index, name) in header.into_iter().enumerate() {
        // Spreadsheets put a byte order mark before the first name.
        let name = match name.strip_prefix('\u{feff}') {
            Some(rest) if index == 0 => rest.to_owned(),
            _ => name,
        };
        let field = layout.renamed.get(&name).unwrap_or(&name);
        let column = if name == layout.id_column {
            Column::Customer
        } else if Some(name.as_str()) == layout.record_column {
            Column::Record
        } else if layout.ignored.contains(&name) {
            Column::Ignored
        } else if let Ok(kind) = layout.schema.kind(field) {
            Column::Field(field.clone(), kind)
        } else {
            strange.push(name);
            continue;
        };
        if seen.contains(&name) {
            return Err(Stop::Usage(format!("column {name:?} occurs twice")));
        }
        seen.push(name.clone());
        columns.push((name, column));
    }
    if !strange.is_empty() {
        return Err(Stop::Usage(format!(
            "record type {} has no field for the columns {}; name the field with \
             --column COLUMN=FIELD or leave the column out with --ignore COLUMN",
            layout.schema.record_type(),
            strange.join(", ")
        )));
    }
    for wanted in std::iter::once(layout.id_column).chain(layout.record_column) {
        if !seen.iter().any(|name| name == wanted) {
            return Err(Stop::Usage(format!("the file has no column {wanted:?}")));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let fields = [
            ("given_name", Kind::String),
            ("birth_date", Kind::Date),
            ("value", Kind::Double),
        ];
        Schema::new(
            "contact",
            fields.map(|(name, kind)| (name.to_owned(), kind)),
        )
    }

    fn open<'a>(schema: &Schema, ignored: &[String], csv: &'a [u8]) -> Done<Rows<&'a [u8]>> {
        let layout = Layout {
            schema,
            id_column: "customer_id",
            record: "main",
            record_column: None,
            renamed: &BTreeMap::from([("first".to_owned(), "given_name".to_owned())]),
            ignored,
        };
        Rows::open(csv, &layout)
    }

    fn text(row: &Row, field: &str) -> String {
        value::text(row.fields.get(field))
    }

    #[test]
    fn cells_become_values_and_empty_cells_none() {
        let csv = "\u{feff}customer_id,first,birth_date,value\r\n\
                   c-1,\"Zoë, \"\"Z\"\"\n😀\",1987-02-28,12.5\r\nc-2,Ada,,\r\n";
        let mut rows = open(&schema(), &[], csv.as_bytes()).unwrap();
        let first = rows.next().unwrap().unwrap();
        assert_eq!((first.number, first.line), (1, 2));
        let row = first.row.ok().unwrap();
        assert_eq!(
            (row.customer.as_str(), row.record.as_str()),
            ("c-1", "main")
        );
        assert_eq!(text(&row, "given_name"), "Zoë, \"Z\"\n😀");
        assert_eq!(text(&row, "birth_date"), "1987-02-28");
        assert_eq!(text(&row, "value"), "12.5");
        let second = rows.next().unwrap().unwrap();
        assert_eq!((second.number, second.line), (2, 4));
        assert_eq!(second.row.ok().unwrap().fields.len(), 1);
        assert!(rows.next().unwrap().is_none());
    }

    #[test]
    fn a_row_is_known_by_the_line_that_an_editor_shows() {
        for end in ["\n", "\r\n"] {
            let csv = "customer_id,first\n1,a\n\n\n2,b\n\"3\n\",c\n4,d".replace('\n', end);
            for csv in [csv.clone(), csv + end] {
                let mut rows = open(&schema(), &[], csv.as_bytes()).unwrap();
                let mut lines = Vec::new();
                while let Some(line) = rows.next().unwrap() {
                    lines.push(line.line);
                }
                assert_eq!(lines, [2, 5, 6, 8]);
            }
        }
    }

    #[test]
    fn a_bad_row_is_told_without_its_value_and_the_next_one_is_read() {
        let csv: &[u8] = b"customer_id,first,birth_date,value\n\
            c-1,Secretive,not-a-day,1\nc-2,Secretive\n,Secretive,,\nc-4,\xff,,\nc-5,Ada,,1\n";
        let mut rows = open(&schema(), &[], csv).unwrap();
        let mut told = Vec::new();
        while let Some(line) = rows.next().unwrap() {
            told.push((line.line, line.row.err().unwrap_or_default()));
        }
        assert!(told.iter().all(|(_, reason)| !reason.contains("Secretive")));
        assert!(told[0].1.starts_with("column birth_date must be a date"));
        assert!(told[1].1.contains("2 cells and the header has 4"));
        assert_eq!(told[2].1, "the id is empty");
        assert_eq!(told[3].1, "column first must be UTF-8 text");
        assert_eq!(told[4], (6, String::new()));
    }

    #[test]
    fn a_column_without_a_field_stops_the_import_before_the_first_row() {
        let csv = b"customer_id,first,shoe,hat\n";
        let refused = open(&schema(), &[], csv).err().unwrap().to_string();
        assert!(refused.contains("shoe, hat") && refused.contains("--ignore"));
        let ignored = ["shoe".to_owned(), "hat".to_owned()];
        assert!(open(&schema(), &ignored, csv).is_ok());
        assert!(open(&schema(), &[], b"first\n").is_err());
        assert!(open(&schema(), &[], b"customer_id,first,first\n").is_err());
    }
}
