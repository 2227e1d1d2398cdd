//! A directory in which a whole vault lives for one command: given by the
//! user, or temporary and removed afterwards.

use super::child::Server;
use super::stop::{Done, Stop};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory for a vault.
pub struct Workplace {
    dir: PathBuf,
    temporary: bool,
}

impl Workplace {
    /// A new temporary directory, only for this user.
    pub fn temporary(what: &str) -> Done<Self> {
        let name = format!("oubliette-{what}-{}", uuid::Uuid::new_v4().simple());
        let dir = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|error| Stop::file(&dir, "made", &error))?;
        let temporary = true;
        Ok(Self { dir, temporary })
    }

    /// A directory that the user names: new or empty.
    pub fn at(dir: &Path) -> Done<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| Stop::file(dir, "made", &error))?;
        let mut entries = fs::read_dir(dir).map_err(|error| Stop::file(dir, "read", &error))?;
        if entries.next().is_some() {
            return Err(Stop::Failed(format!(
                "{} is not empty; nothing was touched; name a new directory",
                dir.display()
            )));
        }
        let dir = dir
            .canonicalize()
            .map_err(|error| Stop::file(dir, "read", &error))?;
        let temporary = false;
        Ok(Self { dir, temporary })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it is removed at the end.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Starts the vault's server on any free port of loopback.
    pub fn serve(&self) -> Done<Server> {
        let dir = self.dir.display().to_string();
        let any_port = "127.0.0.1:0";
        let arguments = [
            "serve",
            "--dir",
            &dir,
            "--listen",
            any_port,
            "--metrics",
            any_port,
            "--until-stdin-closes",
        ];
        Server::start(&arguments, &self.dir.join("server.log"))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to whoever cleans the temporary
            // directory.
            let _removed = fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Workplace::at(&dir.path().join("new/one")).is_ok());
        let refused = Workplace::at(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("is not empty") && dir.path().join("new/one").exists());
    }

    #[test]
    fn a_temporary_directory_is_gone_afterwards() {
        let workplace = Workplace::temporary("test").ok().unwrap();
        let dir = workplace.dir().to_owned();
        fs::write(dir.join("file"), "").unwrap();
        drop(workplace);
        assert!(!dir.exists());
    }
}
