//! One process per data directory. The lock lies on an open file, so it ends
//! with the process, however that ends; the file itself stays.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Holds the data directory until it is dropped.
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes `directory`, by flock(2) on its file `lock`.
    ///
    /// # Errors
    /// [`Error::Setup`] when another process has it or the file cannot be
    /// written.
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        let unusable = |why: std::io::Error| {
            Error::Setup(format!(
                "{} cannot be opened for writing: {}; \
                 the data directory must exist and belong to the user who runs the server \
                 (oubliette init makes one)",
                path.display(),
                why.kind()
            ))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(directory, &mut file)),
            Err(TryLockError::Error(why)) => return Err(unusable(why)),
        }
        // Who holds it, for the message of the next one.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

fn taken(directory: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // A message without the number is good enough.
    let _ = file.take(20).read_to_string(&mut holder);
    let holder = match holder.parse::<u32>() {
        Ok(pid) => format!("another process ({pid})"),
        Err(_) => "another process".to_owned(),
    };
    Error::Setup(format!(
        "{holder} has the data directory {} open, and two would spoil it; \
         stop that one, or serve another directory",
        directory.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(dir.path()).unwrap();
        let message = DirectoryLock::take(dir.path()).err().unwrap().to_string();
        let pid = format!("another process ({})", std::process::id());
        assert!(message.starts_with(&pid), "{message}");
        assert!(message.contains("stop that one"), "{message}");
        drop(first);
        assert!(DirectoryLock::take(dir.path()).is_ok());
    }

    #[test]
    fn a_directory_that_is_not_there_is_refused_with_its_cure() {
        let dir = tempfile::tempdir().unwrap();
        let message = DirectoryLock::take(&dir.path().join("none")).err().unwrap();
        assert!(message.to_string().contains("oubliette init"));
    }
}
