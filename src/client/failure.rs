//! What a call came to when it did not succeed: the status and its google.rpc
//! details, taken apart for programs and told to people.

use crate::error::Violation;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The gRPC status code.
    pub code: Code,
    /// The stable reason (`ErrorInfo.reason`); empty where the answer did not
    /// come from a vault.
    pub reason: String,
    /// What happened, why, and what to do.
    pub message: String,
    /// The request's fields that were refused.
    pub violations: Vec<Violation>,
    /// How long the server asks to wait before the same call is tried again.
    pub retry_after: Option<Duration>,
    /// What else the server says of it (`ErrorInfo.metadata`), for example the
    /// deciding policies.
    pub details: BTreeMap<String, String>,
}

impl Failure {
    /// Takes a status and its details apart.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details.bad_request().map(|bad| {
            bad.field_violations
                .iter()
                .map(|v| Violation::new(v.field.clone(), v.description.clone()))
                .collect()
        });
        let mut message = status.message().to_owned();
        if info.is_none() {
            message = format!(
                "the call did not get through to a vault: {}; check that the server runs and \
                 that it and this client have certificates of the same authority",
                deepest(status).unwrap_or(message)
            );
        }
        Self {
            code: status.code(),
            reason: info.map(|i| i.reason.clone()).unwrap_or_default(),
            message,
            violations: violations.unwrap_or_default(),
            retry_after: details.retry_info().and_then(|r| r.retry_delay),
            details: info
                .map(|i| i.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
        }
    }

    /// Something that kept a call from being made at all.
    pub fn local(message: impl Into<String>) -> Self {
        Self {
            code: Code::FailedPrecondition,
            reason: "CLIENT_SETUP".to_owned(),
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            details: BTreeMap::new(),
        }
    }

    /// Whether the server gave this stable reason.
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// The status code as the gRPC documentation writes it.
    pub fn code_name(&self) -> &'static str {
        match self.code {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// The innermost cause: the outer ones only say "transport error".
pub(super) fn deepest(error: &dyn std::error::Error) -> Option<String> {
    let mut source = error.source()?;
    while let Some(next) = source.source() {
        source = next;
    }
    Some(source.to_string())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for v in &self.violations {
            if !self.message.contains(&v.rule) {
                write!(f, "\n  {}: {}", v.field, v.rule)?;
            }
        }
        if self.reason.is_empty() {
            write!(f, "\n  status: {}", self.code_name())?;
        } else if !self.is("CLIENT_SETUP") {
            write!(f, "\n  reason: {} ({})", self.reason, self.code_name())?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "\n  try again in {}", humantime::format_duration(wait))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_status_with_details_is_told_in_full() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info(
                "RATE_EXCEEDED",
                "oubliette.v1",
                [("policies".to_owned(), "p1".to_owned())],
            )
            .add_bad_request_violation("fields.phone", "must be text")
            .set_retry_info(Some(Duration::from_millis(250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
        let failure = Failure::from_status(&status);
        assert!(failure.is("RATE_EXCEEDED"));
        assert_eq!(failure.retry_after, Some(Duration::from_millis(250)));
        assert_eq!(
            failure.details.get("policies").map(String::as_str),
            Some("p1")
        );
        assert_eq!(
            failure.to_string(),
            "slow down\n  fields.phone: must be text\n  \
             reason: RATE_EXCEEDED (RESOURCE_EXHAUSTED)\n  try again in 250ms"
        );
    }

    #[test]
    fn a_status_from_elsewhere_says_that_it_is_not_the_vaults() {
        let failure = Failure::from_status(&Status::cancelled("operation was canceled"));
        assert!(failure.reason.is_empty());
        assert!(failure.to_string().contains("operation was canceled"));
        assert!(failure.to_string().contains("status: CANCELLED"));
    }
}
