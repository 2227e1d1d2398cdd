//! What is missing, and what to say of it.

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The customer.
    Customer,
    /// The record.
    Record,
    /// The certificate.
    Certificate,
    /// A person's request.
    Request,
    /// A hold, or it was released.
    Hold,
    /// The method.
    Method,
    /// The job, or it is done.
    Job,
    /// The request for approval, or it is decided or past its time.
    Approval,
    /// The audit entry, or one under a checkpoint.
    Entry,
    /// The audit entry: it was pruned.
    PrunedEntry,
    /// The notice, or that version of it.
    Notice,
}

impl Missing {
    /// The stable reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER_NOT_FOUND",
            Self::Record => "RECORD_NOT_FOUND",
            Self::Request => "REQUEST_NOT_FOUND",
            Self::Hold => "HOLD_NOT_FOUND",
            Self::Certificate => "CERTIFICATE_NOT_FOUND",
            Self::Method => "METHOD_NOT_FOUND",
            Self::Job => "JOB_NOT_FOUND",
            Self::Approval => "APPROVAL_NOT_FOUND",
            Self::Entry => "ENTRY_NOT_FOUND",
            Self::PrunedEntry => "ENTRY_PRUNED",
            Self::Notice => "NOTICE_NOT_FOUND",
        }
    }

    /// What happened and what to do.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Customer => "no such customer; CreateCustomer makes one",
            Self::Record => "no such record of this type; PutRecord makes one",
            Self::Request => "no such request; ListRequests shows what there is",
            Self::Hold => "no such hold, or it was released; ListHolds shows what there is",
            Self::Certificate => {
                "no such certificate; its name came with the erasure's reply and is nowhere else"
            }
            Self::Job => "no such job under way; `oubliette key status` lists those that are",
            Self::Approval => {
                "no such approval to decide, or its time is over; `oubliette key approval list` shows \
                 what there is"
            }
            Self::Entry => {
                "no such audit entry under a checkpoint; a new one is sealed within a second"
            }
            Self::PrunedEntry => {
                "the audit entry was pruned; an export that was made before has it, and proves it"
            }
            Self::Notice => "the purpose has no such notice; `oubliette notice` lists its versions",
            Self::Method => "no such method; compare the versions of both sides",
        }
    }
}
