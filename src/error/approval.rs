//! What is said where something takes two people.

use std::fmt;

/// A second principal has not approved: the request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has decided yet.
    Needed(u64),
    /// Somebody rejected it, and it is not past its time.
    Rejected(u64),
}

impl Approval {
    /// The stable reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Needed(_) => "APPROVAL_NEEDED",
            Self::Rejected(_) => "APPROVAL_REJECTED",
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed(number) => write!(
                f,
                "this takes two people and is asked for as approval {number}; a second principal \
                 must run `oubliette key approval approve {number}`, then repeat this command"
            ),
            Self::Rejected(number) => write!(
                f,
                "a second principal rejected this (approval {number}); \
                 `oubliette key approval list` says who and until when it holds"
            ),
        }
    }
}
