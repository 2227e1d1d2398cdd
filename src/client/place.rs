//! What a client needs from a directory that `init` made: where the server
//! listens, the authority that signed it, and the identity to show.

use super::Failure;
use crate::id::{ServiceName, TenantName};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The file under `DIR/data` in which a running server leaves its address.
pub use crate::serve::ADDRESS_FILE;

/// A principal with certificate and key under `DIR/pki/clients`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Whose service.
    pub tenant: TenantName,
    /// Which service.
    pub service: ServiceName,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl Identity {
    /// `tenant/service`, as the roles file names it.
    pub fn principal(&self) -> String {
        format!("{}/{}", self.tenant, self.service)
    }
}

/// Every identity under `DIR/pki/clients`, sorted.
///
/// # Errors
/// The directory cannot be read.
pub fn identities(dir: &Path) -> Result<Vec<Identity>, Failure> {
    let clients = dir.join("pki").join("clients");
    let entries = fs::read_dir(&clients).map_err(|error| {
        Failure::local(format!(
            "{} cannot be read ({error}); --dir must name a directory made by oubliette init",
            clients.display()
        ))
    })?;
    let mut found: Vec<Identity> = entries
        .filter_map(|entry| identity_of(&entry.ok()?.path()))
        .collect();
    found.sort();
    Ok(found)
}

/// `<tenant>.<service>.pem` with its `.key` beside it.
fn identity_of(certificate: &Path) -> Option<Identity> {
    let stem = certificate
        .file_name()?
        .to_str()?
        .strip_suffix(".pem")?
        .split_once('.')?;
    Some(Identity {
        tenant: TenantName::parse(stem.0)?,
        service: ServiceName::parse(stem.1)?,
        certificate: certificate.to_owned(),
        key: certificate.with_extension("key"),
    })
}

/// Finds the identity that `principal` names: `tenant/service`, or a service
/// alone where only one tenant has it; nothing where there is but one identity.
///
/// # Errors
/// There is none of that name, or more than one.
pub fn identity(dir: &Path, principal: Option<&str>) -> Result<Identity, Failure> {
    let all = identities(dir)?;
    let known: Vec<String> = all.iter().map(Identity::principal).collect();
    let known = known.join(", ");
    let mut fitting = all.into_iter().filter(|identity| match principal {
        None => true,
        Some(name) if name.contains('/') => identity.principal() == name,
        Some(name) => identity.service.as_str() == name,
    });
    match (fitting.next(), fitting.next(), principal) {
        (Some(one), None, _) => Ok(one),
        (None, _, Some(name)) => Err(Failure::local(format!(
            "there is no identity {name:?} in {}; known: {known}; \
             oubliette pki issue makes one",
            dir.join("pki").join("clients").display()
        ))),
        (None, _, None) => Err(Failure::local(format!(
            "there is no identity in {}; oubliette pki issue makes one",
            dir.join("pki").join("clients").display()
        ))),
        (Some(_), Some(_), Some(name)) => Err(Failure::local(format!(
            "more than one tenant has a service {name:?}; name it as tenant/service: {known}"
        ))),
        (Some(_), Some(_), None) => Err(Failure::local(format!(
            "say with --as who is calling; known: {known}"
        ))),
    }
}

/// The address of the server of `dir`: what the running server wrote, else
/// what its configuration says.
///
/// # Errors
/// Neither names an address.
pub fn address(dir: &Path) -> Result<SocketAddr, Failure> {
    let written = dir.join("data").join(ADDRESS_FILE);
    let text = match fs::read_to_string(&written) {
        Ok(text) => Some(text),
        Err(_) => configured(dir),
    };
    let parsed = text.and_then(|text| text.trim().parse().ok());
    parsed.map(reachable).ok_or_else(|| {
        Failure::local(format!(
            "no server address is known for {}; start the server: oubliette serve --dir {}",
            dir.display(),
            dir.display()
        ))
    })
}

/// `listen` of the configuration, at its top or in `[server]`.
fn configured(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join("config").join("oubliette.toml")).ok()?;
    let config: toml::Table = text.parse().ok()?;
    let listen = config.get("listen").or_else(|| {
        let server = config.get("server")?.as_table()?;
        server.get("listen")
    });
    listen?.as_str().map(str::to_owned)
}

/// A server that listens everywhere is called on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let clients = dir.path().join("pki/clients");
        fs::create_dir_all(&clients).unwrap();
        for name in names {
            fs::write(clients.join(format!("{name}.pem")), "").unwrap();
            fs::write(clients.join(format!("{name}.key")), "").unwrap();
        }
        dir
    }

    #[test]
    fn a_service_alone_is_enough_where_one_tenant_has_it() {
        let dir = place(&["acme.support-desk", "acme.checkout", "globex.checkout"]);
        let found = |name| identity(dir.path(), name).map(|i| i.principal());
        assert_eq!(found(Some("support-desk")).unwrap(), "acme/support-desk");
        assert_eq!(found(Some("globex/checkout")).unwrap(), "globex/checkout");
        let twice = found(Some("checkout")).unwrap_err().to_string();
        assert!(twice.contains("acme/checkout, ") && twice.contains("globex/checkout"));
        assert!(found(Some("nobody")).is_err());
        assert!(found(None).is_err());
    }

    #[test]
    fn the_running_servers_address_goes_before_the_configured_one() {
        let dir = place(&[]);
        assert!(address(dir.path()).is_err());
        fs::create_dir_all(dir.path().join("config")).unwrap();
        fs::create_dir_all(dir.path().join("data")).unwrap();
        let config = dir.path().join("config/oubliette.toml");
        fs::write(config, "[server]\nlisten = \"0.0.0.0:7443\"\n").unwrap();
        assert_eq!(address(dir.path()).unwrap().to_string(), "127.0.0.1:7443");
        fs::write(dir.path().join("data/server.address"), "127.0.0.1:99\n").unwrap();
        assert_eq!(address(dir.path()).unwrap().to_string(), "127.0.0.1:99");
    }
}
