//! Why the vault cannot serve.

/// Why the vault cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The audit entry could not be made durable, so nothing leaves.
    AuditWrite,
    /// The disk is full; the reserve belongs to erasures.
    DiskFull,
    /// Storage failed; whether the change was made is not known.
    OutcomeUnknown,
    /// The store did not answer in time.
    StoreSlow,
    /// The master keys are not in memory.
    Sealed,
    /// A key provider cannot be reached, is slow, or answers nonsense.
    KeyProvider,
    /// The server is draining.
    Draining,
}

impl Unavailable {
    /// The stable reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::AuditWrite => "AUDIT_WRITE_FAILED",
            Self::DiskFull => "DISK_FULL",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::StoreSlow => "STORE_SLOW",
            Self::Sealed => "SEALED",
            Self::KeyProvider => "KEY_PROVIDER_UNAVAILABLE",
            Self::Draining => "DRAINING",
        }
    }
}
