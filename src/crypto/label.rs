//! The label table: every use of a key has its own name, never given twice.
//! `docs/FORMAT.md` prints the same table; a test holds the two together.

/// First byte of a context or of a MAC's first part: what the value is. The
/// numbers are part of the format and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Label {
    /// A group of a record's fields, under the record key.
    Record = 1,
    /// A wrapped key, under its parent's wrapping key.
    Wrap = 2,
    /// The caller's id of a customer, under the id key.
    CustomerId = 3,
    /// The caller's id of a record, under the id key.
    RecordId = 4,
    /// The detail of an audit entry, under the audit detail key.
    AuditDetail = 5,
    /// The body of an index row, under the index page's body key.
    IndexRow = 6,
    /// A cursor or page token, under the tenant's cursor key.
    Cursor = 7,
    /// The manifest of a record, under the manifest key.
    Manifest = 8,
    /// An event of consent, under the consent event key.
    ConsentEvent = 48,
    /// What the vault keeps of a certificate, under the certificate's body key.
    Certificate = 64,
    /// A certificate's id, under the epoch's note key.
    CertificateId = 65,
    /// What of a person's request is about the person, under the customer's
    /// request key.
    Request = 66,
    /// What is said of a restriction or a hold, under the customer's request
    /// key.
    Restraint = 67,
    /// What an erasure in part takes and leaves, under the customer's request
    /// key.
    Share = 68,
    /// The id of the certificate of a customer who is still there, under the
    /// customer's request key.
    LivingCertificate = 69,
    /// Who read a customer's data for which purpose, under the customer's reader
    /// key.
    Reader = 88,
    /// What a service is told of a customer, under the epoch's event key.
    LifecycleEvent = 89,
    /// Where a record's values came from, under the customer's origin key.
    Origin = 90,
}

/// Which kind of key a wrap holds. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// A master key, under a provider key.
    Master = 1,
    /// A page key for the keys of 256 customers, under a master key.
    Page = 2,
    /// A page key for one page of the customer index, under a master key.
    IndexPage = 3,
    /// A tenant's key, under a master key.
    Tenant = 4,
    /// A customer's identity key, under a page key.
    Identity = 5,
    /// A customer's field key of one generation, under a page key.
    Field = 6,
}

/// `info` of the expansion that makes a master key's wrapping key.
pub(super) const MASTER: &str = "oubliette.v1/master";
/// `info` of the second expansion of a master key: notes that die with the
/// epoch.
pub(super) const NOTES: &str = "oubliette.v1/master-notes";
/// `info` of the expansion of an identity key that makes the key of the
/// person's requests.
pub(super) const REQUESTS: &str = "oubliette.v1/identity-requests";
/// `info` of the expansion of an identity key that makes the keys of who read
/// the person's data: locator, sealing.
pub(super) const READERS: &str = "oubliette.v1/identity-readers";
/// `info` of the expansion of an identity key that makes the key of where
/// values came from.
pub(super) const ORIGINS: &str = "oubliette.v1/identity-origins";
/// `info` of the third expansion of a master key: what services are told.
pub(super) const EVENTS: &str = "oubliette.v1/master-events";
/// `info` of the expansion of a certificate's id: handle, body.
pub(super) const CERTIFICATE: &str = "oubliette.v1/certificate";
/// `info` of the expansion that makes a page key's wrapping key.
pub(super) const PAGE: &str = "oubliette.v1/page";
/// `info` of the expansion of an index page key: tag, body.
pub(super) const INDEX_PAGE: &str = "oubliette.v1/index-page";
/// `info` of the expansion of a tenant key: index, cursor.
pub(super) const TENANT: &str = "oubliette.v1/tenant";
/// `info` of the first expansion of an identity key.
pub(super) const IDENTITY: &str = "oubliette.v1/identity";
/// `info` of the second expansion of an identity key, for what few calls need:
/// consent, handles, tokens, events, evidence.
pub(super) const IDENTITY_2: &str = "oubliette.v1/identity-2";
/// `info` of the expansion of a field key: record, manifest.
pub(super) const FIELD: &str = "oubliette.v1/field";
