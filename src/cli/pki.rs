//! A development authority: enough certificates to run a vault and its callers
//! on one machine. For production the certificates come from your own
//! authority; the vault asks only that a client's carries exactly one URI,
//! `spiffe://<trust domain>/<tenant>/<service>`.

use crate::clock::{Day, Instant};
use crate::durable;
use crate::error::{Error, Result};
use crate::id::{ServiceName, TenantName};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The organisation that certificates name, so that they are known for what
/// they are.
pub const ORGANISATION: &str = "Oubliette development";

/// The authority's certificate, for clients and for the server.
pub const AUTHORITY: &str = "ca.pem";
/// The authority's private key. Whoever has it can be any principal.
pub const AUTHORITY_KEY: &str = "ca.key";
/// The server's certificate; its key is beside it.
pub const SERVER: &str = "server.pem";
/// The clients' certificates and keys, `<tenant>.<service>.pem` and `.key`.
pub const CLIENTS: &str = "clients";

const AUTHORITY_DAYS: i32 = 5 * 365;
const LEAF_DAYS: i32 = 365;

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    organisation: String,
}

/// A certificate and its private key, both PEM.
struct Issued {
    certificate: String,
    key: Zeroizing<String>,
}

impl Authority {
    /// Makes one in `dir`, which is made too (0700) and must not be there yet.
    ///
    /// # Errors
    /// [`Error::Setup`] when a file or directory cannot be made.
    pub fn create(dir: &Path, organisation: &str) -> Result<Self> {
        let mut params = params("development authority", organisation, AUTHORITY_DAYS);
        // It signs leaves only: no authority below it.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(unmade)?;
        let issued = Issued {
            certificate: params.self_signed(&key).map_err(unmade)?.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        };
        make_private_dir(dir)?;
        make_private_dir(&dir.join(CLIENTS))?;
        issued.write(&dir.join(AUTHORITY))?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            organisation: organisation.to_owned(),
        })
    }

    /// The one that [`Authority::create`] made in `dir`.
    ///
    /// # Errors
    /// [`Error::Setup`] when its files cannot be used.
    pub fn open(dir: &Path, organisation: &str) -> Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|why| {
                Error::Setup(format!(
                    "{} cannot be read: {}; name a directory that oubliette init made, \
                     or ask whoever runs your authority",
                    path.display(),
                    why.kind()
                ))
            })
        };
        let key = Zeroizing::new(read(AUTHORITY_KEY)?);
        let unusable = |_| {
            Error::Setup(format!(
                "{AUTHORITY} and {AUTHORITY_KEY} in {} are not usable; restore them",
                dir.display()
            ))
        };
        let key = KeyPair::from_pem(&key).map_err(unusable)?;
        let issuer = Issuer::from_ca_cert_pem(&read(AUTHORITY)?, key).map_err(unusable)?;
        Ok(Self {
            issuer,
            organisation: organisation.to_owned(),
        })
    }

    /// Makes `server.pem` and `server.key` in `dir`. Besides `names` they are
    /// for localhost, 127.0.0.1 and ::1.
    ///
    /// # Errors
    /// [`Error::Setup`] when a name is none or a file cannot be made.
    pub fn issue_server(&self, dir: &Path, names: &[String]) -> Result<()> {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let all: Vec<String> = loopback.into_iter().chain(names.iter().cloned()).collect();
        let names = CertificateParams::new(all).map_err(|_| {
            Error::Setup(
                "a server name must be a DNS name or an IP address, \
                 such as vault.internal"
                    .to_owned(),
            )
        })?;
        let mut params = params("oubliette", &self.organisation, LEAF_DAYS);
        params.subject_alt_names = names.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)?.write(&dir.join(SERVER))
    }

    /// Makes the certificate and key of `tenant/service` in `dir`/`clients`;
    /// answers the certificate's path.
    ///
    /// # Errors
    /// [`Error::Setup`] when a file cannot be made, or is there already.
    pub fn issue_client(
        &self,
        dir: &Path,
        trust_domain: &str,
        tenant: &TenantName,
        service: &ServiceName,
    ) -> Result<PathBuf> {
        let uri = format!("spiffe://{trust_domain}/{tenant}/{service}");
        let mut params = params(service.as_str(), &self.organisation, LEAF_DAYS);
        let uri = uri.try_into().map_err(unmade)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let path = dir.join(CLIENTS).join(format!("{tenant}.{service}.pem"));
        self.issue(params)?.write(&path)?;
        Ok(path)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(unmade)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(unmade)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}

impl Issued {
    /// The certificate at `path`, its key (0600) beside it.
    fn write(&self, path: &Path) -> Result<()> {
        write_new(&path.with_extension("key"), &self.key, 0o600)?;
        write_new(path, &self.certificate, 0o644)
    }
}

/// Valid from yesterday, for clocks that differ, and for `days` from today.
fn params(name: &str, organisation: &str, days: i32) -> CertificateParams {
    let today = Instant::now().day();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, organisation);
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    let midnight = |day: i32| {
        let (year, month, date) = Day(day).civil();
        let part = |n: i32| u8::try_from(n).unwrap_or(1);
        date_time_ymd(year, part(month), part(date))
    };
    params.not_before = midnight(today.0.saturating_sub(1));
    params.not_after = midnight(today.0.saturating_add(days));
    params
}

fn unmade(_: rcgen::Error) -> Error {
    Error::Internal("a certificate could not be made")
}

/// Makes a directory that only its owner may enter.
pub(super) fn make_private_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|why| unwritten(path, &why))
}

/// Writes a file that must not be there yet, and syncs it.
pub(super) fn write_new(path: &Path, content: &str, mode: u32) -> Result<()> {
    durable::create(path, content.as_bytes(), mode).map_err(|why| unwritten(path, &why))
}

fn unwritten(path: &Path, why: &std::io::Error) -> Error {
    let cure = match why.kind() {
        std::io::ErrorKind::AlreadyExists => "remove it first if it is to be replaced",
        _ => "name a directory that you may write to, with room on its disk",
    };
    Error::Setup(format!(
        "{} cannot be made: {}; {cure}",
        path.display(),
        why.kind()
    ))
}
