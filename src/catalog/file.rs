//! Reads configuration files strictly. Every refusal names the file, the line,
//! the column and the key, and says what must stand there; it never repeats
//! what stands there, since a secret may have been pasted into the wrong file.

use crate::error::{Error, Result};
use crate::limits;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a whole text file of at most `limits::CONFIG_FILE_BYTES`.
pub fn read_text(path: &Path) -> Result<String> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|e| Error::Setup(format!("{shown}: cannot be opened: {}", e.kind())))?;
    let limit = u64::try_from(limits::CONFIG_FILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::Setup(format!("{shown}: cannot be read: {}", e.kind())))?;
    if bytes.len() > limits::CONFIG_FILE_BYTES {
        return Err(Error::Setup(format!(
            "{shown}: is larger than {} bytes; split it or shorten it",
            limits::CONFIG_FILE_BYTES
        )));
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::Setup(format!("{shown}: is not UTF-8 text; save it as UTF-8")))
}

/// Where a file's text came from, for messages.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(self, span: &Range<usize>, path: &str, what: &str) -> Error {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let colon = if path.is_empty() { "" } else { ": " };
        let file = self.file;
        Error::Setup(format!("{file}:{line}:{column}: {path}{colon}{what}"))
    }
}

/// One table of a file. Keys are taken out one by one; [`Section::finish`]
/// refuses what nobody took.
pub struct Section<'a> {
    source: Source<'a>,
    path: String,
    span: Range<usize>,
    entries: Vec<(String, Range<usize>, Spanned<DeValue<'a>>)>,
}

/// One value of a file, not yet looked at.
pub struct Entry<'a> {
    source: Source<'a>,
    path: String,
    value: Spanned<DeValue<'a>>,
}

/// A key may be shown when it looks like a name that belongs in such a file.
fn shown(key: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-/.".contains(&b);
    if !key.is_empty() && key.len() <= limits::LABEL_BYTES * 2 + 1 && key.bytes().all(plain) {
        key
    } else {
        "(a key)"
    }
}

impl<'a> Section<'a> {
    /// Parses a file's text; `file` is its name for messages.
    pub fn parse(file: &'a str, text: &'a str) -> Result<Self> {
        let source = Source { file, text };
        let root = DeTable::parse(text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            source.wrong(&span, "", "is not valid TOML here (see toml.io/en/v1.0.0)")
        })?;
        Ok(Self::of(source, String::new(), 0..0, root.into_inner()))
    }

    fn of(source: Source<'a>, path: String, span: Range<usize>, table: DeTable<'a>) -> Self {
        let mut entries: Vec<_> = table
            .into_iter()
            .map(|(key, value)| (key.get_ref().to_string(), key.span(), value))
            .collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        Self {
            source,
            path,
            span,
            entries,
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            shown(key).to_owned()
        } else {
            format!("{}.{}", self.path, shown(key))
        }
    }

    /// Takes a key out, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Entry<'a>> {
        let at = self.entries.iter().position(|(k, _, _)| k == key)?;
        let (key, _, value) = self.entries.remove(at);
        Some(Entry {
            source: self.source,
            path: self.path_of(&key),
            value,
        })
    }

    /// Takes a key out that must be there.
    pub fn need(&mut self, key: &str) -> Result<Entry<'a>> {
        self.take(key).ok_or_else(|| {
            let path = self.path_of(key);
            self.source.wrong(&self.span, &path, "is missing; add it")
        })
    }

    /// Every key is taken: anything left is refused.
    pub fn finish(self) -> Result<()> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, span, _)) => Err(self.source.wrong(
                span,
                &self.path_of(key),
                "is not a key that belongs here; check its spelling or remove it",
            )),
        }
    }

    /// All entries with their keys, in the order of the file, for tables whose
    /// keys are names.
    pub fn each(self) -> Vec<(String, Entry<'a>)> {
        let Self {
            source,
            path,
            span,
            entries,
        } = self;
        let owner = Self {
            source,
            path,
            span,
            entries: Vec::new(),
        };
        let named = |(key, _, value): (String, _, _)| {
            let path = owner.path_of(&key);
            let entry = Entry {
                source,
                path,
                value,
            };
            (key, entry)
        };
        entries.into_iter().map(named).collect()
    }

    /// A refusal of this table as a whole.
    pub fn wrong(&self, what: &str) -> Error {
        self.source.wrong(&self.span, &self.path, what)
    }
}

impl<'a> Entry<'a> {
    /// A refusal of this value.
    pub fn wrong(&self, what: &str) -> Error {
        self.source.wrong(&self.value.span(), &self.path, what)
    }

    /// A text of 1 to `longest` bytes without control characters.
    pub fn text(&self, longest: usize) -> Result<&str> {
        let text = self
            .value
            .get_ref()
            .as_str()
            .filter(|t| (1..=longest).contains(&t.len()) && !t.chars().any(char::is_control));
        text.ok_or_else(|| self.wrong(&format!("must be a text of 1 to {longest} bytes in quotes")))
    }

    /// A text of 1 to `longest` bytes that may run over several lines.
    pub fn prose(&self, longest: usize) -> Result<&str> {
        let plain = |c: char| c == '\n' || !c.is_control();
        let text = self.value.get_ref().as_str();
        let text = text.filter(|t| (1..=longest).contains(&t.len()) && t.chars().all(plain));
        text.ok_or_else(|| self.wrong(&format!("must be a text of 1 to {longest} bytes in quotes")))
    }

    /// A text that `parse` understands; `rule` says what that is.
    pub fn parsed<T>(&self, rule: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text = self.value.get_ref().as_str();
        text.and_then(parse).ok_or_else(|| self.wrong(rule))
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, least: u64, most: u64) -> Result<u64> {
        let integer = self.value.get_ref().as_integer();
        integer
            .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok())
            .filter(|n| (least..=most).contains(n))
            .ok_or_else(|| self.wrong(&format!("must be a whole number from {least} to {most}")))
    }

    /// A list of whole numbers from `least` to `most`, at least one, none twice.
    pub fn numbers(&self, least: u64, most: u64) -> Result<Vec<u64>> {
        let rule = format!("must be a list of whole numbers from {least} to {most}, none twice");
        let array = self.value.get_ref().as_array();
        let mut list = Vec::new();
        for item in array.ok_or_else(|| self.wrong(&rule))?.iter() {
            let integer = item.get_ref().as_integer();
            let number = integer
                .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok())
                .filter(|n| (least..=most).contains(n) && !list.contains(n));
            let refused = || self.source.wrong(&item.span(), &self.path, &rule);
            list.push(number.ok_or_else(refused)?);
        }
        match list.is_empty() {
            true => Err(self.wrong(&rule)),
            false => Ok(list),
        }
    }

    /// True or false.
    pub fn flag(&self) -> Result<bool> {
        let flag = self.value.get_ref().as_bool();
        flag.ok_or_else(|| self.wrong("must be true or false"))
    }

    /// A calendar date, written without quotes: year, month, day.
    pub fn date(&self) -> Result<(i32, i32, i32)> {
        let date = self.value.get_ref().as_datetime();
        let date = date.filter(|d| d.time.is_none()).and_then(|d| d.date);
        date.map(|d| (i32::from(d.year), i32::from(d.month), i32::from(d.day)))
            .ok_or_else(|| self.wrong("must be a date without quotes, such as 2030-12-31"))
    }

    /// A list of texts that `parse` understands, none twice.
    pub fn list<T: PartialEq>(
        &self,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>> {
        let array = self.value.get_ref().as_array();
        let array = array.ok_or_else(|| self.wrong("must be a list in brackets"))?;
        let mut list = Vec::with_capacity(array.len());
        for item in array.iter() {
            let refused = |what| self.source.wrong(&item.span(), &self.path, what);
            let parsed = item.get_ref().as_str().and_then(&parse);
            let parsed = parsed.ok_or_else(|| refused(rule))?;
            if list.contains(&parsed) {
                return Err(refused("names the same thing twice; remove one"));
            }
            list.push(parsed);
        }
        Ok(list)
    }

    /// A list of 1 to `most` tables, as `[[key]]` begins each.
    pub fn sections(self, most: usize) -> Result<Vec<Section<'a>>> {
        let rule = format!(
            "must be 1 to {most} tables, each begun with [[{}]]",
            self.path
        );
        let tables = self.value.get_ref().as_array();
        let fits = tables.is_some_and(|tables| {
            (1..=most).contains(&tables.len()) && tables.iter().all(|t| t.get_ref().is_table())
        });
        if !fits {
            return Err(self.wrong(&rule));
        }
        let (source, path) = (self.source, self.path);
        let DeValue::Array(tables) = self.value.into_inner() else {
            return Err(Error::Internal("a list is not a list"));
        };
        let section = |table: Spanned<DeValue<'a>>| {
            let span = table.span();
            match table.into_inner() {
                DeValue::Table(table) => Some(Section::of(source, path.clone(), span, table)),
                _ => None,
            }
        };
        Ok(tables.into_iter().filter_map(section).collect())
    }

    /// A table of its own.
    pub fn section(self) -> Result<Section<'a>> {
        let span = self.value.span();
        if !self.value.get_ref().is_table() {
            return Err(self.wrong("must be a table"));
        }
        match self.value.into_inner() {
            DeValue::Table(table) => Ok(Section::of(self.source, self.path, span, table)),
            _ => Err(Error::Internal("a table is not a table")),
        }
    }
}
