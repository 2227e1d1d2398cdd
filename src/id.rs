//! Names, parsed once at the edge. Whoever holds one of these types holds a
//! name that is well formed; nothing below parses again.

use crate::error::{Error, Violation};
use crate::limits;
use crate::secret::SecretText;
use std::fmt;
use std::sync::Arc;

/// A tenant: whose customers. Comes from the caller's certificate, never from
/// a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantName(Arc<str>);

/// A service of a tenant, as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

/// A name out of the catalog: record type, field, purpose, role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CatalogName(Arc<str>);

/// A tenant's number in this deployment, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantNumber(pub u32);

/// A customer's number: dense, from 1, never used twice, not even after an
/// erasure. It says nothing about the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerNumber(pub u64);

/// A record's number within its customer: dense, from 1, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordNumber(pub u64);

/// A field's number within its record type: 1 to 16,383, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldNumber(pub u16);

/// A caller's id of a customer. Personal data: it has no `Debug` and is stored
/// only encrypted.
pub struct CustomerId(SecretText);

/// A caller's id of a record. Personal data: it has no `Debug` and is stored
/// only encrypted.
pub struct RecordId(SecretText);

/// `customers/{customer}/records/{record}`.
pub struct RecordName {
    /// Whose record.
    pub customer: CustomerId,
    /// Which of their records.
    pub record: RecordId,
}

/// The caller's name for one mutation, so that a retry is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub [u8; 16]);

/// `certificates/{certificate}`. Whoever has it finds the certificate, so it is
/// kept as a secret.
pub struct CertificateName(SecretText);

/// `requests/{request}`: 16 hexadecimal digits, random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestNumber(pub u64);

/// `holds/{hold}`: 16 hexadecimal digits, random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoldNumber(pub u64);

fn is_label(text: &str, longest: usize, extra: &[u8]) -> bool {
    let mut bytes = text.bytes();
    text.len() <= longest
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
}

fn is_caller_id(text: &str) -> bool {
    (1..=limits::CALLER_ID_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~@+:-".contains(&b))
        && text.bytes().any(|b| b != b'.')
}

const CALLER_ID_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ ~ @ + : - and not only dots";

impl TenantName {
    /// A lower-case letter, then letters, digits and `-`; at most 63.
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text, limits::LABEL_BYTES, b"-").then(|| Self(text.into()))
    }
}

impl ServiceName {
    /// A lower-case letter, then letters, digits and `-`; at most 63.
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text, limits::LABEL_BYTES, b"-").then(|| Self(text.into()))
    }
}

impl CatalogName {
    /// A lower-case letter, then letters, digits and `_`; at most 63.
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text, limits::LABEL_BYTES, b"_").then(|| Self(text.into()))
    }

    /// The same, for a request: `field` names the request's field in the error.
    pub fn parse_request(field: &'static str, text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| {
            Error::invalid(Violation::new(
                field,
                "must be a name from the catalog: a-z, then a-z 0-9 _ (at most 63)",
            ))
        })
    }
}

impl CustomerId {
    /// `field` names the request's field in the error.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        if !is_caller_id(text) {
            return Err(Error::invalid(Violation::new(field, CALLER_ID_RULE)));
        }
        Ok(Self(SecretText::new(text.to_owned())))
    }

    /// Parses `customers/{customer}`.
    pub fn parse_name(field: &'static str, name: &str) -> Result<Self, Error> {
        match name.strip_prefix("customers/") {
            Some(id) => Self::parse(field, id),
            None => Err(Error::invalid(Violation::new(
                field,
                "must look like customers/{customer}",
            ))),
        }
    }

    /// The id. It is its own normal form: ids are compared byte by byte.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl RecordId {
    /// `field` names the request's field in the error.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        if !is_caller_id(text) {
            return Err(Error::invalid(Violation::new(field, CALLER_ID_RULE)));
        }
        Ok(Self(SecretText::new(text.to_owned())))
    }

    /// The id, compared byte by byte.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl RecordName {
    /// Parses `customers/{customer}/records/{record}`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, Error> {
        let parts = name
            .strip_prefix("customers/")
            .and_then(|rest| rest.split_once("/records/"));
        let Some((customer, record)) = parts else {
            return Err(Error::invalid(Violation::new(
                field,
                "must look like customers/{customer}/records/{record}",
            )));
        };
        Ok(Self {
            customer: CustomerId::parse(field, customer)?,
            record: RecordId::parse(field, record)?,
        })
    }
}

impl CertificateName {
    /// Parses `certificates/{certificate}`: 64 lower-case hexadecimal digits.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, Error> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let id = name.strip_prefix("certificates/");
        match id.filter(|id| id.len() == 64 && id.bytes().all(is_digit)) {
            Some(id) => Ok(Self(SecretText::new(id.to_owned()))),
            None => Err(Error::invalid(Violation::new(
                field,
                "must look like certificates/{64 hexadecimal digits}",
            ))),
        }
    }

    /// The name of the certificate with this id.
    pub fn text(id: &str) -> String {
        format!("certificates/{id}")
    }

    /// The id.
    pub fn id(&self) -> &str {
        self.0.expose()
    }
}

impl RequestNumber {
    /// Parses `requests/{request}`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, Error> {
        let digits = name.strip_prefix("requests/");
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = number.map(Self).filter(|number| number.text() == name);
        number.ok_or_else(|| {
            Error::invalid(Violation::new(
                field,
                "must look like requests/{16 hexadecimal digits}",
            ))
        })
    }

    /// What [`Self::parse`] reads.
    pub fn text(self) -> String {
        format!("requests/{:016x}", self.0)
    }
}

impl HoldNumber {
    /// Parses `holds/{hold}`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, Error> {
        let digits = name.strip_prefix("holds/");
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = number.map(Self).filter(|number| number.text() == name);
        number.ok_or_else(|| {
            let rule = "must look like holds/{16 hexadecimal digits}";
            Error::invalid(Violation::new(field, rule))
        })
    }

    /// What [`Self::parse`] reads.
    pub fn text(self) -> String {
        format!("holds/{:016x}", self.0)
    }
}

impl RequestId {
    /// Parses a UUID in its usual 36-character form (RFC 9562); nil is refused.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parsed = (text.len() == 36)
            .then(|| uuid::Uuid::try_parse(text).ok())
            .flatten()
            .filter(|id| !id.is_nil());
        parsed.map(|id| Self(id.into_bytes())).ok_or_else(|| {
            Error::invalid(Violation::new(
                "request_id",
                "must be a UUID made for this one change, for example by uuidgen",
            ))
        })
    }
}

impl CustomerNumber {
    /// The page that wraps the customer's keys.
    pub fn page(self) -> u64 {
        self.0 >> limits::CUSTOMERS_PER_PAGE_BITS
    }
}

macro_rules! text_of {
    ($($name:ident),*) => {$(
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
text_of!(TenantName, ServiceName, CatalogName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_name_is_refused_and_a_good_one_is_kept() {
        let name = RecordName::parse("name", "customers/c-1@x/records/r:2").ok();
        let name = name.map(|n| (n.customer.expose().to_owned(), n.record.expose().to_owned()));
        assert_eq!(name, Some(("c-1@x".to_owned(), "r:2".to_owned())));
        let long = "a".repeat(4096);
        for bad in [
            "",
            "customers/",
            "customers/a",
            "customers/a/records/",
            "customers/../records/a",
            "customers/a/records/..",
            "customers/a\0b/records/r",
            "customers/a b/records/r",
            "customers/a/records/r/x",
            "customers/é/records/r",
            &format!("customers/{long}/records/r"),
        ] {
            assert!(RecordName::parse("name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_id_is_a_uuid_that_is_not_nil() {
        assert!(RequestId::parse("6f2c1b1e-1d3b-4f57-9d7a-0a5b6c7d8e9f").is_ok());
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "6f2c1b1e1d3b4f579d7a0a5b6c7d8e9f",
            "{6f2c1b1e-1d3b-4f57-9d7a-0a5b6c7d8e9f}",
        ] {
            assert!(RequestId::parse(bad).is_err(), "{bad}");
        }
    }
}
