//! The one door to the terminal. Results go to stdout, everything else to
//! stderr; a reader that has gone away (`| head`) ends the output quietly.

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// Where a command says what it has to say.
pub struct Out {
    json: bool,
    closed: bool,
}

impl Out {
    /// For people, or with `json` for programs: one document on stdout.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            closed: false,
        }
    }

    /// Whether the output is for programs.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether whoever read stdout has gone away.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes to stdout as it is.
    pub fn raw(&mut self, text: &str) {
        if !self.closed {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(text.as_bytes());
            self.closed = written.and_then(|()| stdout.flush()).is_err();
        }
    }

    /// A line for people on stdout; nothing with `--json`.
    pub fn line(&mut self, text: &str) {
        if !self.json {
            self.raw(&format!("{text}\n"));
        }
    }

    /// A table for people on stdout; nothing with `--json`.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        self.line(&table(header, rows));
    }

    /// The document for programs on stdout; nothing without `--json`.
    pub fn document(&mut self, document: &Value) {
        if self.json {
            self.raw(&format!("{document}\n"));
        }
    }
}

/// A table, as wide as the terminal allows.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    table.to_string()
}

/// Stored text must not steer the terminal: control characters are shown as
/// escapes.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line on stderr: progress, warnings, errors.
pub fn note(text: &str) {
    // Where even stderr is closed, there is nobody left to tell.
    let _closed = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person can be asked: both stdin and stderr are a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on stderr and reads one line.
pub fn ask(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_cannot_steer_the_terminal() {
        let shown = printable("a\u{1b}[2Jb\nc\u{9b}d é 😀");
        assert_eq!(shown, "a\\u{1b}[2Jb\\nc\\u{9b}d é 😀");
    }
}
