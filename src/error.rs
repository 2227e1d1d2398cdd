//! The one error of the library. Each kind has a stable reason for programs
//! and, for people, what happened, why, and what to do. No text of a driver
//! and nothing a customer said is ever in it; `grpc::status` alone turns it
//! into a gRPC status.

mod approval;
mod missing;
mod rule;
mod unavailable;

pub use approval::Approval;
pub use missing::Missing;
pub use rule::Rule;
pub use unavailable::Unavailable;

use crate::id::CatalogName;
use std::fmt;
use std::time::Duration;

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request is malformed: one violation a field.
    Invalid(Vec<Violation>),
    /// Nobody the vault knows is calling.
    Unauthenticated(Unauthenticated),
    /// The caller may not do this.
    Denied(Denial),
    /// There is nothing of that name, or the caller may not know of it.
    NotFound(Missing),
    /// The customer was forgotten, and the caller may know it.
    CustomerErased,
    /// The customer exists already.
    CustomerExists,
    /// A customer of this id was erased in the open epoch; creating it anew
    /// takes an explicit flag.
    CustomerWasErased,
    /// The record's revision is not the expected one.
    RevisionStale,
    /// The record changed again and again while the change was being made.
    Contended,
    /// The request id was used for another change.
    RequestIdReused,
    /// A person's request stands where this cannot happen to it: its state, and
    /// what was to happen.
    RequestState(&'static str, &'static str),
    /// Two must agree, and the same one acted twice.
    SamePerson,
    /// A second principal has not approved.
    Approval(Approval),
    /// The log is being pruned already.
    PruneUnderWay,
    /// A limit on what is stored is reached.
    TooMuch(&'static str),
    /// The caller does more than it may, or the vault is full for now.
    Exhausted(Exhausted, Duration),
    /// The vault cannot serve now.
    Unavailable(Unavailable),
    /// The customer is held: the erasure waits for the hold to be released.
    ErasureQueued,
    /// What a hold is about is erased, or is being erased.
    HoldTooLate,
    /// The key is gone, remnants are not: the erasure finishes on a retry.
    ErasurePending,
    /// The key is gone, or blocked, and the copy of the ledger does not say so
    /// yet: a retry finishes it.
    LedgerPending,
    /// The call took longer than its deadline.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// Stored bytes do not open where they stand.
    DataLoss(Lost),
    /// What was given is no share of this vault's lock, or was mistyped.
    NotAShare,
    /// What was given does not open the lock of the keys.
    DoesNotUnlock,
    /// Configuration, catalog, policy or key files are not as they must be.
    Setup(String),
    /// A promise between two parts of the program was broken.
    Internal(&'static str),
}

/// One field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request; never a value.
    pub field: String,
    /// What it must be.
    pub rule: String,
}

impl Violation {
    /// A violation of `field`.
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            rule: rule.into(),
        }
    }
}

/// Why a caller is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// No client certificate.
    NoCertificate,
    /// The certificate cannot be read or is past its time.
    CertificateInvalid,
    /// Not exactly one SPIFFE URI of this trust domain.
    NotSpiffe,
    /// A good certificate of a principal that the roles file does not list.
    UnknownPrincipal,
}

/// Which rule denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule's kind.
    pub rule: Rule,
    /// The field it is about, where it is about one.
    pub field: Option<CatalogName>,
    /// The ids of the deciding policies; empty where no policy permits.
    pub policies: Vec<String>,
}

/// Which measure is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exhausted {
    /// Too many calls under way in the whole server.
    Shed,
    /// The principal's calls a second.
    Rate,
    /// The principal's distinct customers an hour.
    DistinctCustomers,
    /// Tries to open the lock of the keys.
    UnlockTries,
}

/// What does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A key row is missing or does not unwrap.
    Key,
    /// A customer's state does not carry its MAC.
    State,
    /// A customer's consent events are not the chain that the state ends.
    Consent,
    /// A record does not match its manifest or a field does not open.
    Record,
    /// An index row does not open.
    Index,
    /// A row is not of the shape that was written, or its page cannot be read.
    Row,
}

impl Error {
    /// One violated field.
    pub fn invalid(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }

    /// A denial that is about no field and no policy.
    pub fn denied(rule: Rule) -> Self {
        Self::Denied(Denial {
            rule,
            field: None,
            policies: Vec::new(),
        })
    }

    /// The stable reason: upper-case words, for programs. It never changes.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::Unauthenticated(why) => why.reason(),
            Self::Denied(denial) => denial.rule.reason(),
            Self::NotFound(what) => what.reason(),
            Self::CustomerErased => "CUSTOMER_ERASED",
            Self::CustomerExists => "CUSTOMER_EXISTS",
            Self::CustomerWasErased => "CUSTOMER_WAS_ERASED",
            Self::RevisionStale => "REVISION_STALE",
            Self::Contended => "CONTENDED",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::RequestState(..) => "REQUEST_STATE",
            Self::SamePerson => "SECOND_PERSON_NEEDED",
            Self::Approval(of) => of.reason(),
            Self::PruneUnderWay => "PRUNE_UNDER_WAY",
            Self::TooMuch(_) => "LIMIT_REACHED",
            Self::Exhausted(Exhausted::Shed, _) => "OVERLOADED",
            Self::Exhausted(Exhausted::Rate, _) => "RATE_EXCEEDED",
            Self::Exhausted(Exhausted::DistinctCustomers, _) => "DISTINCT_CUSTOMERS_EXCEEDED",
            Self::Unavailable(why) => why.reason(),
            Self::ErasureQueued => "ERASURE_QUEUED",
            Self::HoldTooLate => "HOLD_TOO_LATE",
            Self::ErasurePending => "ERASURE_PENDING",
            Self::LedgerPending => "LEDGER_PENDING",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Cancelled => "CANCELLED",
            Self::DataLoss(_) => "DATA_LOSS",
            Self::Exhausted(Exhausted::UnlockTries, _) => "UNLOCK_TRIES_EXCEEDED",
            Self::NotAShare => "NOT_A_SHARE",
            Self::DoesNotUnlock => "DOES_NOT_UNLOCK",
            Self::Setup(_) => "SETUP",
            Self::Internal(_) => "INTERNAL",
        }
    }
}

impl Unauthenticated {
    fn reason(self) -> &'static str {
        match self {
            Self::NoCertificate => "NO_CERTIFICATE",
            Self::CertificateInvalid => "CERTIFICATE_INVALID",
            Self::NotSpiffe => "NOT_SPIFFE",
            Self::UnknownPrincipal => "UNKNOWN_PRINCIPAL",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, cure) = (self.rule.what(), self.rule.cure());
        f.write_str("denied: ")?;
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(what)?;
        if self.rule == Rule::Policy {
            if self.policies.is_empty() {
                f.write_str(" (no policy permits)")?;
            } else {
                write!(f, " (decided by {})", self.policies.join(", "))?;
            }
        }
        write!(f, "; {cure}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Invalid(violations) => {
                f.write_str("the request is malformed:")?;
                for v in violations {
                    write!(f, " {} {};", v.field, v.rule)?;
                }
                return f.write_str(" nothing was done");
            }
            Self::Denied(denial) => return denial.fmt(f),
            Self::Approval(of) => return of.fmt(f),
            Self::RequestState(state, event) => {
                return write!(
                    f,
                    "the request is {state}, so that {event} cannot happen to it; nothing was done"
                );
            }
            Self::TooMuch(what) => {
                return write!(f, "a limit is reached: {what}; nothing was done");
            }
            Self::Setup(what) => return f.write_str(what),
            Self::Internal(what) => {
                return write!(f, "internal error ({what}); please report it");
            }
            Self::Unauthenticated(Unauthenticated::NoCertificate) => {
                "no client certificate was shown; connect with mTLS"
            }
            Self::Unauthenticated(Unauthenticated::CertificateInvalid) => {
                "the client certificate cannot be read or is not valid now; renew it"
            }
            Self::Unauthenticated(Unauthenticated::NotSpiffe) => {
                "the client certificate must carry exactly one URI, \
                 spiffe://<trust domain>/<tenant>/<service>"
            }
            Self::Unauthenticated(Unauthenticated::UnknownPrincipal) => {
                "the certificate is good but the roles file lists no such principal; add it there"
            }
            Self::NotFound(what) => what.text(),
            Self::CustomerErased => {
                "the customer was forgotten; their keys are destroyed and nothing brings them back"
            }
            Self::CustomerExists => "the customer exists already; nothing was done",
            Self::CustomerWasErased => {
                "a customer of this id was erased in the open key epoch; \
                 set recreate_erased to begin anew with nothing of the old"
            }
            Self::RevisionStale => {
                "the record is not at the expected revision; read it again and repeat the change"
            }
            Self::Contended => "the record kept changing meanwhile; try again",
            Self::RequestIdReused => {
                "the request id was used for a different change; make a new UUID for each change"
            }
            Self::PruneUnderWay => {
                "the log is being pruned already; wait until that is done, then ask again"
            }
            Self::SamePerson => "somebody else must approve than who asked; nothing was done",
            Self::Exhausted(Exhausted::Shed, _) => "the server is at its limit; try again shortly",
            Self::Exhausted(Exhausted::Rate, _) => {
                "the caller's rate limit is reached; slow down, or raise it in the roles file"
            }
            Self::Exhausted(Exhausted::DistinctCustomers, _) => {
                "the caller has touched as many different customers as it may in an hour; \
                 wait, or raise the limit in the roles file"
            }
            Self::Exhausted(Exhausted::UnlockTries, _) => {
                "the lock was tried too often in a row; wait, then try again"
            }
            Self::NotAShare => {
                "that is no share of this vault's lock, or it was mistyped; check it and give it \
                 again"
            }
            Self::DoesNotUnlock => {
                "that does not open the lock; where it is held by shares, give all of them again"
            }
            Self::Unavailable(Unavailable::AuditWrite) => {
                "the audit entry could not be written, so nothing was answered; try again"
            }
            Self::Unavailable(Unavailable::DiskFull) => {
                "the disk is full; erasures still work; free space and try again"
            }
            Self::Unavailable(Unavailable::OutcomeUnknown) => {
                "storage failed and the outcome is unknown; repeat with the same request id"
            }
            Self::Unavailable(Unavailable::StoreSlow) => {
                "storage did not answer in time; repeat with the same request id"
            }
            Self::Unavailable(Unavailable::Sealed) => {
                "the vault is sealed; unseal it (oubliette unseal)"
            }
            Self::Unavailable(Unavailable::KeyProvider) => {
                "a key provider does not answer as it must; see the server's log, and try again"
            }
            Self::Unavailable(Unavailable::Draining) => {
                "the server is shutting down; try another, or again shortly"
            }
            Self::ErasureQueued => {
                "the customer is held, so that the erasure waits and is carried out when the hold \
                 is released; until then nothing of theirs is used"
            }
            Self::HoldTooLate => {
                "what is to be held is erased, or is being erased, which cannot be called off; \
                 hold list shows what is kept; nothing was done"
            }
            Self::ErasurePending => {
                "the key is destroyed and nothing can be read any more, but a long-running reader \
                 still holds remnants on disk; repeat the call to finish"
            }
            Self::LedgerPending => {
                "this is done and nothing can be read any more, but the copy of the \
                 ledger cannot be written, and it must be before this is confirmed; see to the \
                 directory that [backup] ledger_to names, and repeat the call to finish"
            }
            Self::DeadlineExceeded => "the call took longer than its deadline",
            Self::Cancelled => "the caller went away",
            Self::DataLoss(_) => {
                "stored data does not open where it stands; it was changed outside the vault, \
                 or restored halfway; see the server's log"
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::invalid(violation)
    }
}
