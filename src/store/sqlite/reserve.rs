//! Disk set aside for erasures: when everything else is full, a customer can
//! still be forgotten and the entry of it written.

use crate::error::{Error, Result, Unavailable};
use crate::limits;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file in the data directory.
const FILE: &str = "reserve";

/// The reserve: a file that holds nothing but its blocks.
pub struct Reserve {
    file: File,
    is_spent: AtomicBool,
}

impl Reserve {
    /// Sets the reserve of `dir` aside, if there is room for it.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::Setup(format!("cannot make {}: {error}", path.display())))?;
        let reserve = Self {
            file,
            is_spent: AtomicBool::new(true),
        };
        if reserve.restore().is_err() {
            tracing::error!("the disk has no room for the reserve; only erasures are served");
        }
        Ok(reserve)
    }

    /// Refuses what the reserve is not for, while it is spent.
    pub fn check(&self) -> Result<()> {
        if self.is_spent.load(Ordering::Acquire) {
            return Err(Error::Unavailable(Unavailable::DiskFull));
        }
        Ok(())
    }

    /// Gives the blocks back to the disk; false where that was done already.
    pub fn spend(&self) -> bool {
        !self.is_spent.swap(true, Ordering::AcqRel) && self.file.set_len(0).is_ok()
    }

    /// Takes the blocks again.
    pub fn restore(&self) -> Result<()> {
        if self.check().is_ok() {
            return Ok(());
        }
        match fallocate(
            &self.file,
            FallocateFlags::empty(),
            0,
            limits::RESERVE_BYTES,
        ) {
            Ok(()) => {
                self.is_spent.store(false, Ordering::Release);
                Ok(())
            }
            // A file system that cannot set blocks aside has no reserve.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                self.is_spent.store(false, Ordering::Release);
                Ok(())
            }
            Err(_) => Err(Error::Unavailable(Unavailable::DiskFull)),
        }
    }
}
