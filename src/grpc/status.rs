//! The one place where an [`Error`] becomes a gRPC status: a code, a text for
//! people, and google.rpc details for programs (ErrorInfo on every error,
//! BadRequest for malformed fields, RetryInfo where waiting helps).

use crate::error::{Error, Exhausted, Unavailable};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "oubliette.v1";

/// The status that tells `error`.
pub fn status(error: &Error) -> Status {
    let mut details = ErrorDetails::new();
    let mut metadata = std::collections::HashMap::new();
    match error {
        Error::Invalid(violations) => {
            let of_fields = violations
                .iter()
                .map(|v| FieldViolation::new(v.field.clone(), v.rule.clone()))
                .collect::<Vec<_>>();
            details.set_bad_request(of_fields);
        }
        Error::Denied(denial) => {
            if !denial.policies.is_empty() {
                metadata.insert("policies".to_owned(), denial.policies.join(","));
            }
            if let Some(field) = &denial.field {
                metadata.insert("field".to_owned(), field.to_string());
            }
        }
        _ => {}
    }
    if let Some(delay) = retry_delay(error) {
        details.set_retry_info(Some(delay));
    }
    details.set_error_info(error.reason(), DOMAIN, metadata);
    Status::with_error_details(code(error), error.to_string(), details)
}

fn code(error: &Error) -> Code {
    match error {
        Error::Invalid(_) | Error::RequestIdReused | Error::NotAShare => Code::InvalidArgument,
        Error::Unauthenticated(_) => Code::Unauthenticated,
        Error::Denied(_) => Code::PermissionDenied,
        Error::NotFound(crate::error::Missing::Method) => Code::Unimplemented,
        Error::NotFound(_) => Code::NotFound,
        Error::CustomerErased
        | Error::CustomerWasErased
        | Error::PruneUnderWay
        | Error::TooMuch(_)
        | Error::RequestState(..)
        | Error::SamePerson
        | Error::Approval(_)
        | Error::ErasureQueued
        | Error::HoldTooLate
        | Error::DoesNotUnlock => Code::FailedPrecondition,
        Error::CustomerExists => Code::AlreadyExists,
        Error::RevisionStale | Error::Contended => Code::Aborted,
        Error::Exhausted(..) => Code::ResourceExhausted,
        Error::Unavailable(_) | Error::ErasurePending | Error::LedgerPending => Code::Unavailable,
        Error::DeadlineExceeded => Code::DeadlineExceeded,
        Error::Cancelled => Code::Cancelled,
        Error::DataLoss(_) => Code::DataLoss,
        Error::Setup(_) | Error::Internal(_) => Code::Internal,
    }
}

fn retry_delay(error: &Error) -> Option<Duration> {
    match error {
        Error::Exhausted(
            Exhausted::DistinctCustomers
            | Exhausted::Rate
            | Exhausted::Shed
            | Exhausted::UnlockTries,
            wait,
        ) => Some(*wait),
        Error::Unavailable(Unavailable::Sealed) => None,
        Error::Unavailable(_) | Error::ErasurePending | Error::LedgerPending => {
            Some(Duration::from_secs(1))
        }
        Error::Contended => Some(Duration::from_millis(50)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Denial, Rule, Violation};

    #[test]
    fn every_error_names_a_reason_and_the_domain() {
        for error in [
            Error::invalid(Violation::new("name", "must be a name")),
            Error::CustomerErased,
            Error::Unavailable(Unavailable::AuditWrite),
            Error::Denied(Denial {
                rule: Rule::Policy,
                field: None,
                policies: vec!["deny-all".to_owned()],
            }),
        ] {
            let status = status(&error);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, error.reason());
            assert_eq!(info.domain, DOMAIN);
        }
    }

    #[test]
    fn a_malformed_field_is_named_and_a_busy_vault_says_when_to_come_back() {
        let malformed = status(&Error::invalid(Violation::new("name", "must be a name")));
        let violations = malformed
            .get_details_bad_request()
            .unwrap()
            .field_violations;
        assert_eq!(violations[0].field, "name");
        let busy = status(&Error::Unavailable(Unavailable::StoreSlow));
        assert!(busy.get_details_retry_info().unwrap().retry_delay.is_some());
    }
}
