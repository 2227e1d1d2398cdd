//! Why a command ended early, and the exit code that says so.

use crate::client::Failure;
use crate::error::Error;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// A command's result.
pub type Done<T = ()> = Result<T, Stop>;

/// Why a command ended early.
#[derive(Debug)]
pub enum Stop {
    /// The arguments do not fit: exit code 2.
    Usage(String),
    /// It was tried and did not work: exit code 1.
    Failed(String),
    /// Nothing from outside covers the log's end: exit code 2.
    Unproven(String),
    /// A call to the server did not succeed: exit code 1.
    Call(Failure),
    /// Everything worth saying has been said: exit code 1.
    Told,
}

impl Stop {
    /// A file or directory that could not be used.
    pub fn file(path: &Path, what: &str, error: &std::io::Error) -> Self {
        Self::Failed(format!("{} cannot be {what}: {error}", path.display()))
    }

    /// 1: refused or failed; 2: wrong usage, or a log whose end is unproven.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Unproven(_) => 2,
            _ => 1,
        }
    }

    /// The same for programs.
    pub fn as_json(&self) -> Option<Value> {
        let error = match self {
            Self::Told => return None,
            Self::Usage(message) => json!({"reason": "USAGE", "message": message}),
            Self::Unproven(message) => json!({"reason": "TAIL_UNPROVEN", "message": message}),
            Self::Failed(message) => json!({"reason": "FAILED", "message": message}),
            Self::Call(failure) => {
                let violations: Vec<Value> = failure
                    .violations
                    .iter()
                    .map(|v| json!({"field": v.field, "rule": v.rule}))
                    .collect();
                json!({
                    "code": failure.code_name(),
                    "reason": failure.reason,
                    "message": failure.message,
                    "violations": violations,
                    "details": failure.details,
                    "retry_after_ms": failure.retry_after.map(|d| d.as_millis()),
                })
            }
        };
        Some(json!({ "error": error }))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Unproven(message) | Self::Failed(message) => {
                f.write_str(message)
            }
            Self::Call(failure) => failure.fmt(f),
            Self::Told => Ok(()),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}
