//! Files that are there whole or not at all, also after the power failed:
//! written beside, synced, given their name, and their directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// For its owner alone.
pub const PRIVATE: u32 = 0o600;
/// For everybody to read.
pub const PUBLIC: u32 = 0o644;

/// Makes a file that must not be there yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where it is, and nothing was touched; or
/// whatever the file system says.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft(path, bytes, mode)?;
    // Linking refuses a name that is taken; renaming would replace it.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked?;
    sync_directory_of(path)
}

/// Puts a file in the place of the one that is there, if one is.
///
/// # Errors
/// Whatever the file system says; the old one is there then, whole.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft(path, bytes, mode)?;
    settle(&draft, path)
}

/// Gives a file that is written and synced its name, in the same directory.
///
/// # Errors
/// Whatever the file system says.
pub fn settle(draft: &Path, path: &Path) -> io::Result<()> {
    fs::rename(draft, path)?;
    sync_directory_of(path)
}

/// Makes durable that a file has its name, or has it no more.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Where a file is before it has its name. A crash can leave one there; it is
/// of no meaning, and the next try removes it.
pub fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn draft(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let draft = draft_of(path);
    // One that a crash left.
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_made_once_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(dir.path().join(".file.new"), "what a crash left").unwrap();
        create(&path, b"one", PRIVATE).unwrap();
        let again = create(&path, b"two", PRIVATE).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three", PUBLIC).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077 & !0o044, 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
