//! Which rows of an import are done, so that a rerun goes on where the last
//! run stopped. Row numbers only: nothing that a customer said.

use crate::cli::stop::{Done, Stop};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const TITLE: &str = "oubliette import journal 1 ";

/// The journal of one import.
pub struct Journal {
    open: Option<(PathBuf, File)>,
    done: HashSet<u64>,
}

impl Journal {
    /// A journal that forgets.
    pub fn none() -> Self {
        Self {
            open: None,
            done: HashSet::new(),
        }
    }

    /// Opens or begins the journal of the import `name`.
    pub fn open(path: &Path, name: &str) -> Done<Self> {
        let written = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Stop::file(path, "read", &error)),
        };
        // A last line without its end was cut off by a crash: the row is sent
        // again, with the request id that it had.
        let whole = written.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut lines = whole.lines();
        let begun = lines.next();
        if begun.is_some_and(|title| title.strip_prefix(TITLE) != Some(name)) {
            return Err(Stop::Failed(format!(
                "{} belongs to an import of another file, of this file before it was changed, \
                 or by another principal; name a new journal with --journal, or delete this one \
                 to import every row again",
                path.display()
            )));
        }
        let done = lines.filter_map(|line| line.parse().ok()).collect();
        let begin = match begun {
            None => format!("{TITLE}{name}\n"),
            Some(_) => String::new(),
        };
        let kept = if begun.is_some() { whole.len() + 1 } else { 0 };
        let file = begin_at(path, kept as u64, &begin)
            .map_err(|error| Stop::file(path, "written", &error))?;
        Ok(Self {
            open: Some((path.to_owned(), file)),
            done,
        })
    }

    /// Whether a row was done in an earlier run.
    pub fn has(&self, row: u64) -> bool {
        self.done.contains(&row)
    }

    /// Writes down that a row is done.
    pub fn add(&mut self, row: u64) -> Done {
        if let Some((path, file)) = &mut self.open {
            file.write_all(format!("{row}\n").as_bytes())
                .map_err(|error| Stop::file(path, "written", &error))?;
        }
        Ok(())
    }
}

/// Opens a file for appending after its first `kept` bytes and `begin`.
fn begin_at(path: &Path, kept: u64, begin: &str) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.set_len(kept)?;
    file.write_all(begin.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_remembers_its_rows_and_only_its_import() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path, "abc").ok().unwrap();
        assert!(!journal.has(7));
        journal.add(7).ok().unwrap();
        journal.add(12).ok().unwrap();
        drop(journal);
        let again = Journal::open(&path, "abc").ok().unwrap();
        assert!(again.has(7) && again.has(12) && !again.has(1));
        let other = Journal::open(&path, "def").err().unwrap();
        assert!(other.to_string().contains("another file"));
    }

    #[test]
    fn a_line_that_was_cut_off_counts_as_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        fs::write(&path, format!("{TITLE}abc\n7\n12")).unwrap();
        let mut journal = Journal::open(&path, "abc").ok().unwrap();
        assert!(journal.has(7) && !journal.has(12));
        journal.add(3).ok().unwrap();
        let again = Journal::open(&path, "abc").ok().unwrap();
        assert!(again.has(7) && again.has(3) && !again.has(12));
    }
}
