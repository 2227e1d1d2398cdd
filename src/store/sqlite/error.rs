//! What SQLite said, as the vault says it. A driver's text goes no further
//! than the log, as a code.

use crate::error::{Error, Lost, Unavailable};
use rusqlite::ErrorCode;
use std::fmt;

/// An audit leaf that no export could carry; nothing is done without its leaf.
#[derive(Debug)]
pub struct LeafTooLong;

impl fmt::Display for LeafTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit leaf is too long")
    }
}

impl std::error::Error for LeafTooLong {}

impl From<LeafTooLong> for rusqlite::Error {
    fn from(why: LeafTooLong) -> Self {
        Self::ToSqlConversionFailure(Box::new(why))
    }
}

/// An error outside a commit: nothing was done.
pub fn refused(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Unavailable(Unavailable::DiskFull),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable(Unavailable::StoreSlow)
        }
        Some(code @ (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
            tracing::error!(?code, "a database file is damaged");
            Error::DataLoss(Lost::Row)
        }
        Some(code) => {
            tracing::error!(?code, "storage failed");
            Error::Unavailable(Unavailable::OutcomeUnknown)
        }
        None if is_too_long(&error) => {
            tracing::error!("an audit leaf is too long, and what it would tell is not done");
            Error::TooMuch("bytes of an audit entry")
        }
        None if is_shape(&error) => {
            tracing::error!("a stored row is not of the expected shape");
            Error::DataLoss(Lost::Row)
        }
        None => {
            tracing::error!("a statement did not do what it must");
            Error::Internal("statement")
        }
    }
}

fn is_too_long(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::ToSqlConversionFailure(why) if why.is::<LeafTooLong>())
}

/// True where a column does not hold what was written to it.
fn is_shape(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..)
    )
}

/// True where a part of the file is not as it was written.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// True where the file can no longer be trusted to this process.
pub fn is_fatal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    let is_failure = matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly));
    is_failure || is_damage(error)
}
