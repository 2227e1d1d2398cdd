//! Who is calling. A client certificate is parsed once, when its connection
//! opens; whether it still counts is asked on every call, since a connection
//! may outlive its certificate.

use crate::access::{Principal, Snapshot};
use crate::clock::Instant;
use crate::error::{Error, Result, Unauthenticated};
use crate::id::{ServiceName, TenantName};
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// What one certificate says, or why it says nothing. A connection puts it
/// into the extensions of each of its requests.
#[derive(Clone, Debug)]
pub struct Caller(Arc<std::result::Result<Identity, Unauthenticated>>);

/// A certificate's holder: `spiffe://<trust domain>/<tenant>/<service>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose customers the caller works with.
    pub tenant: TenantName,
    /// The caller.
    pub service: ServiceName,
    /// The first instant at which the certificate no longer counts. The lower
    /// end is checked at the handshake; time only moves on.
    expires: Instant,
    certificate: CertificateNumber,
}

/// A certificate's number: unique only together with who gave it out
/// (RFC 5280, 4.1.2.2).
#[derive(Debug, PartialEq, Eq, Hash)]
struct CertificateNumber {
    issuer: Vec<u8>,
    serial: Vec<u8>,
}

/// Decides who a caller is. Nothing else makes a principal.
pub struct Authn {
    trust_domain: String,
    revoked: ArcSwap<HashSet<CertificateNumber>>,
}

impl Caller {
    /// A caller without a certificate: nobody.
    pub fn without_certificate() -> Self {
        Self(Arc::new(Err(Unauthenticated::NoCertificate)))
    }

    /// The caller of a plaintext connection, for whom the configuration
    /// speaks because no certificate does. It never expires.
    pub fn assumed(tenant: TenantName, service: ServiceName) -> Self {
        Self(Arc::new(Ok(Identity {
            tenant,
            service,
            expires: Instant::from_micros(i64::MAX),
            certificate: CertificateNumber {
                issuer: Vec::new(),
                serial: Vec::new(),
            },
        })))
    }

    /// The identity, or why there is none.
    pub fn identity(&self) -> Result<&Identity> {
        match self.0.as_ref() {
            Ok(identity) => Ok(identity),
            Err(why) => Err(Error::Unauthenticated(*why)),
        }
    }
}

impl Authn {
    /// Callers are of `trust_domain` (SPIFFE ID, section 2.1).
    pub fn new(trust_domain: &str) -> Self {
        Self {
            trust_domain: trust_domain.to_owned(),
            revoked: ArcSwap::default(),
        }
    }

    /// Reads the leaf certificate (DER) that a TLS handshake has verified.
    pub fn caller(&self, leaf: &[u8]) -> Caller {
        Caller(Arc::new(self.identity(leaf)))
    }

    fn identity(&self, leaf: &[u8]) -> std::result::Result<Identity, Unauthenticated> {
        let (rest, certificate) =
            X509Certificate::from_der(leaf).map_err(|_| Unauthenticated::CertificateInvalid)?;
        if !rest.is_empty() {
            return Err(Unauthenticated::CertificateInvalid);
        }
        let (tenant, service) = spiffe(&certificate, &self.trust_domain)?;
        let last_second = certificate.validity().not_after.timestamp();
        Ok(Identity {
            tenant,
            service,
            expires: Instant::from_micros(last_second.saturating_add(1).saturating_mul(1_000_000)),
            certificate: CertificateNumber {
                issuer: certificate.issuer().as_raw().to_vec(),
                serial: certificate.raw_serial().to_vec(),
            },
        })
    }

    /// Who is calling, by the rules that this call sees.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]: the certificate has expired or was revoked
    /// meanwhile, or the roles file does not list its holder.
    pub fn principal(
        &self,
        identity: &Identity,
        rules: &Snapshot,
        now: Instant,
    ) -> Result<Arc<Principal>> {
        self.check(identity, now)?;
        rules
            .principal(&identity.tenant, &identity.service)
            .cloned()
            .ok_or(Error::Unauthenticated(Unauthenticated::UnknownPrincipal))
    }

    fn check(&self, identity: &Identity, now: Instant) -> Result<()> {
        if now >= identity.expires || self.revoked.load().contains(&identity.certificate) {
            return Err(Error::Unauthenticated(Unauthenticated::CertificateInvalid));
        }
        Ok(())
    }

    /// Replaces the certificates that were taken back by those that `lists`
    /// (DER, RFC 5280 section 5) name. The TLS handshake checks the lists'
    /// signatures; this is for connections that were open before.
    ///
    /// # Errors
    /// [`Error::Setup`] when a list cannot be read; then nothing changes.
    pub fn revoke<'a>(&self, lists: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let mut revoked = HashSet::new();
        for list in lists {
            let (_, list) = CertificateRevocationList::from_der(list).map_err(|_| {
                Error::Setup(
                    "the certificate revocation list cannot be read; \
                     write it anew from its authority, as PEM"
                        .to_owned(),
                )
            })?;
            revoked.extend(
                list.iter_revoked_certificates()
                    .map(|entry| CertificateNumber {
                        issuer: list.issuer().as_raw().to_vec(),
                        serial: entry.raw_serial().to_vec(),
                    }),
            );
        }
        self.revoked.store(Arc::new(revoked));
        Ok(())
    }
}

/// Exactly one URI, and it names a principal of the trust domain (SPIFFE
/// X.509-SVID, section 2: more than one URI must be refused).
fn spiffe(
    certificate: &X509Certificate<'_>,
    trust_domain: &str,
) -> std::result::Result<(TenantName, ServiceName), Unauthenticated> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| Unauthenticated::CertificateInvalid)?
        .ok_or(Unauthenticated::NotSpiffe)?;
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(Unauthenticated::NotSpiffe);
    };
    principal_of(uri, trust_domain).ok_or(Unauthenticated::NotSpiffe)
}

fn principal_of(uri: &str, trust_domain: &str) -> Option<(TenantName, ServiceName)> {
    let path = uri
        .strip_prefix("spiffe://")?
        .strip_prefix(trust_domain)?
        .strip_prefix('/')?;
    let (tenant, service) = path.split_once('/')?;
    Some((TenantName::parse(tenant)?, ServiceName::parse(service)?))
}
