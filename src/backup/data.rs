//! Backing up `vault.db`, and laying a backup where the vault finds it.

use super::failed;
use crate::durable;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::CopyMark;
use crate::store::sqlite::{VAULT_FILE, copy_data, mark_of_data, settle_log};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Copies the `vault.db` of `data` beside a running server. `to` is the new
/// file, or a directory in which one is named after the time. `tell` hears now
/// and then how many bytes are written, and of how many.
pub fn back_up_data(
    data: &Path,
    to: &Path,
    time: i64,
    mut tell: impl FnMut(u64, u64),
) -> Result<(PathBuf, CopyMark)> {
    let names_a_directory = to.as_os_str().as_encoded_bytes().ends_with(b"/");
    if names_a_directory && !to.is_dir() {
        let to = to.display();
        return Err(Error::Setup(format!("{to} is no directory; make it first")));
    }
    let path = if to.is_dir() {
        to.join(format!("vault-{time}.db"))
    } else {
        to.to_owned()
    };
    let length = |of: &Path| fs::metadata(of).map_or(0, |of| of.len());
    let total = length(&data.join(VAULT_FILE));
    let mark = std::thread::scope(|scope| {
        let copy = scope.spawn(|| copy_data(data, &path, time));
        while !copy.is_finished() {
            std::thread::sleep(limits::COPY_LOOK);
            tell(length(&path).min(total), total);
        }
        let ended = Err(Error::Internal("a copy ended by itself"));
        copy.join().unwrap_or(ended)
    })?;
    durable::sync_directory_of(&path).map_err(|why| failed(&path, &why))?;
    Ok((path, mark))
}

/// Lays the backup `from` into `data` as its `vault.db`. Whatever file is
/// there already is moved aside; answers where to. The server must be stopped.
pub fn place_data(data: &Path, from: &Path, time: i64) -> Result<(CopyMark, Option<PathBuf>)> {
    let mark = mark_of_data(from)?.ok_or_else(|| {
        Error::Setup(format!(
            "{} is not a backup that `oubliette backup data` made; name one",
            from.display()
        ))
    })?;
    let (path, draft) = (
        data.join(VAULT_FILE),
        data.join(format!(".{VAULT_FILE}.new")),
    );
    let copy = || {
        let _ = fs::remove_file(&draft);
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        std::io::copy(&mut File::open(from)?, &mut out)?;
        out.sync_all()
    };
    copy().map_err(|why| failed(&draft, &why))?;
    let mut aside = None;
    if path.exists() {
        // A restore that was cut off left a copy there; it is the one that is
        // laid again.
        let is_copy = mark_of_data(&path).is_ok_and(|mark| mark.is_some());
        if !is_copy {
            settle_log(&path)?;
            let kept = data.join(format!("{VAULT_FILE}.replaced-{time}"));
            fs::rename(&path, &kept).map_err(|why| failed(&kept, &why))?;
            aside = Some(kept);
        }
        for log in ["-wal", "-shm"] {
            let _ = fs::remove_file(data.join(format!("{VAULT_FILE}{log}")));
        }
    }
    durable::settle(&draft, &path).map_err(|why| failed(&path, &why))?;
    Ok((mark, aside))
}
