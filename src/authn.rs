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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Sources};
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, DnType, Issuer, KeyIdMethod, KeyPair,
        KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
    };
    use std::path::Path;

    const DOMAIN: &str = "crm.example";
    const NOW: Instant = Instant::from_micros(1_795_000_000_000_000);

    fn issuer(name: &str) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
        Issuer::new(params, KeyPair::generate().unwrap())
    }

    fn leaf_of(by: &Issuer<'_, KeyPair>, names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.serial_number = Some(SerialNumber::from(7));
        params.not_after = date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, by).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn caller(names: Vec<SanType>) -> Caller {
        Authn::new(DOMAIN).caller(&leaf_of(&issuer("a"), names))
    }

    fn rules() -> Arc<Snapshot> {
        let crm = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crm");
        let sources = Sources {
            catalog: crm.join("catalog"),
            roles: crm.join("roles.toml"),
            policy: crm.join("policy.cedar"),
        };
        Access::load(sources).unwrap().now()
    }

    #[test]
    fn the_one_uri_names_tenant_and_service() {
        let dns = SanType::DnsName("localhost".try_into().unwrap());
        let caller = caller(vec![dns, uri("spiffe://crm.example/acme/checkout")]);
        let identity = caller.identity().unwrap();
        assert_eq!(identity.tenant.as_str(), "acme");
        assert_eq!(identity.service.as_str(), "checkout");
    }

    #[test]
    fn anything_but_exactly_one_principal_of_the_trust_domain_is_nobody() {
        let good = "spiffe://crm.example/acme/checkout";
        let not_spiffe = Some(Error::Unauthenticated(Unauthenticated::NotSpiffe));
        assert_eq!(caller(vec![]).identity().err(), not_spiffe);
        let twice = vec![uri(good), uri("spiffe://crm.example/acme/mailer")];
        assert_eq!(caller(twice).identity().err(), not_spiffe);
        for bad in [
            "https://crm.example/acme/checkout",
            "SPIFFE://crm.example/acme/checkout",
            "spiffe://crm.example.evil/acme/checkout",
            "spiffe://crm.examplf/acme/checkout",
            "spiffe://crm.example/acme",
            "spiffe://crm.example/acme/",
            "spiffe://crm.example//checkout",
            "spiffe://crm.example/acme/checkout/x",
            "spiffe://crm.example/acme/checkout?x",
            "spiffe://crm.example/acme/../checkout",
            "spiffe://crm.example/ACME/checkout",
            "spiffe://user@crm.example/acme/checkout",
            "spiffe://crm.example:1/acme/checkout",
        ] {
            assert_eq!(caller(vec![uri(bad)]).identity().err(), not_spiffe, "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_nobody_and_never_a_panic() {
        let good = uri("spiffe://crm.example/acme/checkout");
        let whole = leaf_of(&issuer("a"), vec![good]);
        let authn = Authn::new(DOMAIN);
        let invalid = Some(Error::Unauthenticated(Unauthenticated::CertificateInvalid));
        for length in 0..whole.len() {
            let cut = whole.get(..length).unwrap();
            assert_eq!(authn.caller(cut).identity().err(), invalid, "{length}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(authn.caller(&longer).identity().err(), invalid);
        for position in 0..whole.len() {
            let mut bent = whole.clone();
            bent[position] ^= 0x41;
            // It may still be one, of somebody else; that is the signature's to say.
            let _ = authn.caller(&bent).identity();
        }
    }

    #[test]
    fn a_certificate_that_expires_or_is_taken_back_ends_its_open_connections() {
        let (authn, rules) = (Authn::new(DOMAIN), rules());
        let (ours, other) = (issuer("a"), issuer("b"));
        let names = vec![uri("spiffe://crm.example/acme/checkout")];
        let caller = authn.caller(&leaf_of(&ours, names));
        let ask = |now| {
            let principal = authn.principal(caller.identity().unwrap(), &rules, now);
            principal.map(|p| p.to_string())
        };
        let invalid = Err(Error::Unauthenticated(Unauthenticated::CertificateInvalid));
        let known = Ok("acme/checkout".to_owned());
        // 2030-01-01T00:00:00Z is the last second (RFC 5280, 4.1.2.5).
        let last = 1_893_456_000_000_000;
        assert_eq!(ask(NOW), known);
        assert_eq!(ask(Instant::from_micros(last + 999_999)), known);
        assert_eq!(ask(Instant::from_micros(last + 1_000_000)), invalid);

        let list_of = |issuer: &Issuer<'_, KeyPair>| {
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2026, 1, 1),
                next_update: date_time_ymd(2027, 1, 1),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: vec![RevokedCertParams {
                    serial_number: SerialNumber::from(7),
                    revocation_time: date_time_ymd(2026, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                }],
                key_identifier_method: KeyIdMethod::Sha256,
            };
            list.signed_by(issuer).unwrap().der().to_vec()
        };
        authn.revoke([list_of(&other).as_slice()]).unwrap();
        assert_eq!(ask(NOW), known, "the same number of another authority");
        authn.revoke([list_of(&ours).as_slice()]).unwrap();
        assert_eq!(ask(NOW), invalid);
        assert!(authn.revoke([b"no list".as_slice()]).is_err());
        assert_eq!(ask(NOW), invalid, "a bad list changes nothing");
        authn.revoke([]).unwrap();
        assert_eq!(ask(NOW), known);
    }

    #[test]
    fn a_good_certificate_of_somebody_the_roles_file_does_not_list_is_nobody() {
        let caller = caller(vec![uri("spiffe://crm.example/acme/stranger")]);
        let identity = caller.identity().unwrap();
        let refused = Authn::new(DOMAIN).principal(identity, &rules(), NOW).err();
        let unknown = Error::Unauthenticated(Unauthenticated::UnknownPrincipal);
        assert_eq!(refused, Some(unknown));
    }

    #[test]
    fn a_connection_without_a_certificate_is_nobody() {
        let none = Error::Unauthenticated(Unauthenticated::NoCertificate);
        assert_eq!(Caller::without_certificate().identity().err(), Some(none));
    }
}
