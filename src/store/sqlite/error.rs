//! What SQLite said, as the vault says it. A driver's text goes no further
//! than the log, as a code.

use crate::error::{Error, Lost, Unavailable};
use rusqlite::ErrorCode;

/// An error outside a commit: nothing was done.
pub fn refused(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Unavailable(Unavailable::DiskFull),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable(Unavailable::StoreSlow)
        }
        Some(code @ (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
            tracing::error!(?code, "a page of a database file is not as it was written");
            Error::DataLoss(Lost::Page)
        }
        Some(code) => {
            tracing::error!(?code, "storage failed");
            Error::Unavailable(Unavailable::OutcomeUnknown)
        }
        None => {
            tracing::error!("a stored row is not of the expected shape");
            Error::DataLoss(Lost::Page)
        }
    }
}

/// True where the file can no longer be trusted to this process.
pub fn is_fatal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
        )
    )
}
