//! The rules that deny, and what is said of each.

/// The rules that deny, in the order they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The caller is blocked because of a signal.
    Blocked,
    /// No purpose was given.
    PurposeMissing,
    /// The catalog has no such purpose.
    PurposeUnknown,
    /// The purpose's notice is not published, so nobody was told of it.
    NoticeUnpublished,
    /// The purpose is past its expiry.
    PurposeExpired,
    /// The purpose is not granted to any role of the caller.
    PurposeNotGranted,
    /// The purpose does not need this field.
    FieldNotInPurpose,
    /// No declared purpose needs this field, so it is not stored.
    FieldNotNeeded,
    /// A policy forbids it, or none permits it.
    Policy,
    /// A policy could not be evaluated; that is a denial.
    PolicyError,
    /// The purpose's data does not go to this recipient.
    RecipientNotAllowed,
    /// The purpose's data does not go where this caller is.
    JurisdictionNotAllowed,
    /// The purpose needs consent, and none is on record.
    ConsentMissing,
    /// The customer was asked and said no.
    ConsentRefused,
    /// The customer took the consent back.
    ConsentWithdrawn,
    /// The consent is past its time.
    ConsentExpired,
    /// The consent was revoked or no longer fits what is done.
    ConsentInvalid,
    /// The consent is older than a restore that cannot be proven complete.
    ConsentUnproven,
    /// The consent was given to a notice that a material change superseded.
    NoticeSuperseded,
    /// The basis must be asserted for this customer, and was not.
    BasisMissing,
    /// The contract or obligation has ended.
    BasisEnded,
    /// The customer objected (GDPR art. 21).
    Objected,
    /// A field of a special category has no basis of its own (GDPR art. 9(2)).
    SpecialCategory,
    /// No purpose that is live for this customer needs the field.
    NoLivePurpose,
    /// The customer's data is restricted (GDPR art. 18).
    Restricted,
    /// The customer's data is held.
    Held,
    /// The data is past its retention.
    RetentionOver,
    /// The customer's key is compromised, and the data not re-encrypted yet.
    KeyCompromised,
}

impl Rule {
    /// The stable reason of a denial by this rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Blocked => "PRINCIPAL_BLOCKED",
            Self::PurposeMissing => "PURPOSE_MISSING",
            Self::PurposeUnknown => "PURPOSE_UNKNOWN",
            Self::NoticeUnpublished => "NOTICE_UNPUBLISHED",
            Self::PurposeExpired => "PURPOSE_EXPIRED",
            Self::PurposeNotGranted => "PURPOSE_NOT_GRANTED",
            Self::FieldNotInPurpose => "FIELD_NOT_IN_PURPOSE",
            Self::FieldNotNeeded => "FIELD_NOT_NEEDED",
            Self::Policy => "POLICY_DENIED",
            Self::PolicyError => "POLICY_ERROR",
            Self::RecipientNotAllowed => "RECIPIENT_NOT_ALLOWED",
            Self::JurisdictionNotAllowed => "JURISDICTION_NOT_ALLOWED",
            Self::ConsentMissing => "CONSENT_MISSING",
            Self::ConsentRefused => "CONSENT_REFUSED",
            Self::ConsentWithdrawn => "CONSENT_WITHDRAWN",
            Self::ConsentExpired => "CONSENT_EXPIRED",
            Self::ConsentInvalid => "CONSENT_INVALID",
            Self::ConsentUnproven => "CONSENT_UNPROVEN",
            Self::NoticeSuperseded => "NOTICE_SUPERSEDED",
            Self::BasisMissing => "BASIS_MISSING",
            Self::BasisEnded => "BASIS_ENDED",
            Self::Objected => "OBJECTED",
            Self::SpecialCategory => "SPECIAL_CATEGORY",
            Self::NoLivePurpose => "NO_LIVE_PURPOSE",
            Self::Restricted => "RESTRICTED",
            Self::Held => "HELD",
            Self::RetentionOver => "RETENTION_OVER",
            Self::KeyCompromised => "KEY_COMPROMISED",
        }
    }

    /// What happened, for people.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Blocked => {
                "the caller is blocked: what it did looked wrong ([signals] in the configuration)"
            }
            Self::PurposeMissing => "no purpose was given",
            Self::PurposeUnknown => "the catalog declares no such purpose",
            Self::NoticeUnpublished => {
                "no notice of the purpose is published, so no customer was told of it"
            }
            Self::PurposeExpired => "the purpose has expired",
            Self::PurposeNotGranted => "the purpose is not granted to any role of this caller",
            Self::FieldNotInPurpose => "the purpose does not need this field",
            Self::FieldNotNeeded => "no declared purpose needs this field, so it is not stored",
            Self::Policy => "the access policy does not allow it",
            Self::PolicyError => "a policy could not be evaluated, and that denies",
            Self::RecipientNotAllowed => "the purpose's data does not go to this recipient",
            Self::JurisdictionNotAllowed => "the purpose's data does not go where this caller is",
            Self::ConsentMissing => {
                "the purpose needs the customer's consent and none is on record"
            }
            Self::ConsentRefused => "the customer was asked and refused",
            Self::ConsentWithdrawn => "the customer withdrew the consent to this purpose",
            Self::ConsentExpired => "the customer's consent is past its time",
            Self::ConsentInvalid => {
                "the customer's consent was revoked or no longer fits the purpose"
            }
            Self::ConsentUnproven => {
                "the consent on record is older than a restore that cannot be proven complete"
            }
            Self::NoticeSuperseded => {
                "the consent was given to a notice that a material change superseded"
            }
            Self::BasisMissing => {
                "the purpose's basis must be in force for this customer, and none is on record"
            }
            Self::BasisEnded => "the contract or obligation that the purpose rests on has ended",
            Self::Objected => "the customer objected to this purpose",
            Self::SpecialCategory => {
                "the field is of a special category and has no basis of its own (GDPR art. 9(2))"
            }
            Self::NoLivePurpose => {
                "no purpose that is live for this customer needs this field, so it is not stored"
            }
            Self::Restricted => "processing of this customer's data is restricted",
            Self::Held => "this customer's data is held and may not be used or changed",
            Self::RetentionOver => "the data is past its retention",
            Self::KeyCompromised => {
                "this customer's key is compromised and the data not re-encrypted yet"
            }
        }
    }

    /// What would allow it.
    pub(super) fn cure(self) -> &'static str {
        match self {
            Self::Blocked => "ask the security team, who lift it with `oubliette signals lift`",
            Self::PurposeMissing => "name one of the catalog's purposes",
            Self::PurposeUnknown => {
                "name one of the catalog's purposes (oubliette catalog check lists them)"
            }
            Self::NoticeUnpublished => "publish one in the catalog's notices",
            Self::PurposeExpired => "renew it in the catalog",
            Self::PurposeNotGranted => "grant it to a role of this caller in the catalog",
            Self::FieldNotInPurpose => "leave the field out, or read with WHAT_I_MAY_SEE",
            Self::FieldNotNeeded => "leave the field out, or declare a purpose that needs it",
            Self::Policy => "a policy must permit it and none may forbid it",
            Self::PolicyError => "run oubliette policy check",
            Self::RecipientNotAllowed => "name the recipient in the purpose and in its notice",
            Self::JurisdictionNotAllowed => {
                "name the caller's region in the purpose and in its notice"
            }
            Self::ConsentMissing => "record the customer's consent for this purpose first",
            Self::ConsentRefused => "respect it; ask again only when something has changed",
            Self::ConsentWithdrawn => "respect it; only the customer can give it again",
            Self::ConsentExpired | Self::ConsentInvalid => "ask the customer again",
            Self::ConsentUnproven => {
                "ask the customer again, or record the consent from your own evidence"
            }
            Self::NoticeSuperseded => "show the customer the new notice and ask again",
            Self::BasisMissing => "call AssertBasis once the contract or obligation exists",
            Self::BasisEnded => "call AssertBasis if there is a new one",
            Self::Objected => "respect it; only the customer can take the objection back",
            Self::SpecialCategory => {
                "ask for explicit consent to this purpose, or read with WHAT_I_MAY_SEE"
            }
            Self::NoLivePurpose => {
                "leave the field out, or record consent to a purpose that needs it first"
            }
            Self::Restricted => "wait until the restriction is lifted",
            Self::Held => "wait until the hold is released",
            Self::RetentionOver => "it is swept soon; nothing brings it back",
            Self::KeyCompromised => "repeat in a moment; `oubliette key status` shows the job",
        }
    }
}
