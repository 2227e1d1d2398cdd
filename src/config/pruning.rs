//! `[pruning]`: how long entries of the audit log are kept at the least.

use super::file_in;
use crate::catalog::Section;
use crate::error::Result;
use crate::limits;
use std::path::{Path, PathBuf};

/// What `oubliette audit prune` never removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// Entries younger than so many days.
    pub keep_days: u32,
    /// Entries that this export does not hold.
    pub exported: Option<PathBuf>,
}

impl Default for Pruning {
    fn default() -> Self {
        Self {
            keep_days: limits::LOG_KEPT_LEAST,
            exported: None,
        }
    }
}

pub(super) fn pruning(base: &Path, mut table: Section<'_>) -> Result<Pruning> {
    let mut pruning = Pruning::default();
    if let Some(entry) = table.take("keep_days") {
        let (least, most) = (limits::LOG_KEPT_LEAST, limits::RETENTION_DAYS);
        let days = entry.number(least.into(), most.into())?;
        pruning.keep_days = u32::try_from(days).unwrap_or(most);
    }
    if let Some(entry) = table.take("exported") {
        pruning.exported = Some(file_in(base, &entry)?);
    }
    table.finish()?;
    Ok(pruning)
}
