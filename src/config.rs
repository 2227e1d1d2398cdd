//! The configuration file. Unknown keys are errors, paths are relative to the
//! directory that `oubliette init` made (the one that holds `config/`), and no
//! secret ever stands in it: it names files.

pub mod check;
pub mod strict;

use crate::error::{Error, Result};
use crate::id::{ServiceName, TenantName};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the server is told at start.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from, with all links resolved.
    pub file: PathBuf,
    /// Where gRPC is served; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where metrics and probes are served: always loopback.
    pub metrics: SocketAddr,
    /// The databases.
    pub data: PathBuf,
    /// Where the keys above the databases are kept.
    pub provider: Provider,
    /// The catalog's directory.
    pub catalog: PathBuf,
    /// The Cedar policies.
    pub policy: PathBuf,
    /// Principals, their roles and quotas.
    pub roles: PathBuf,
    /// The trust domain of the callers' SPIFFE IDs.
    pub trust_domain: String,
    /// TLS, or who every caller is taken for.
    pub transport: Transport,
    /// The log.
    pub log: Log,
    /// Whether gRPC reflection is served.
    pub reflection: bool,
}

/// Which key provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// One file an epoch in `directory`.
    File {
        /// Mode 0700, outside the data directory.
        directory: PathBuf,
    },
}

/// How connections are secured.
#[derive(Debug)]
pub enum Transport {
    /// TLS 1.3 with client certificates.
    Tls(TlsFiles),
    /// No TLS. Nobody can prove who they are, so that everybody is taken for
    /// this one service.
    Plaintext(TenantName, ServiceName),
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// The private key of `certificate`.
    pub key: PathBuf,
    /// The authorities that sign the clients' certificates.
    pub client_ca: PathBuf,
    /// Client certificates that were taken back, one list an authority.
    pub crl: Option<PathBuf>,
}

/// The log on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// How much.
    pub level: Level,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What someone must see to.
    Error,
    /// And what someone should see to.
    Warn,
    /// And what happens seldom.
    #[default]
    Info,
    /// And what happens often.
    Debug,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: SocketAddr,
    metrics: SocketAddr,
    data: PathBuf,
    catalog: PathBuf,
    policy: PathBuf,
    roles: PathBuf,
    trust_domain: String,
    plaintext_principal: Option<String>,
    #[serde(default)]
    reflection: bool,
    provider: WrittenProvider,
    tls: Option<TlsFiles>,
    #[serde(default)]
    log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProvider {
    kind: ProviderKind,
    directory: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProviderKind {
    File,
}

impl Config {
    /// Reads `path` and makes its paths absolute. Nothing else is touched; see
    /// [`Config::check`].
    ///
    /// # Errors
    /// [`Error::Setup`] with the place, and what to do.
    pub fn load(path: &Path) -> Result<Self> {
        let written: Written = strict::read(path)?;
        let file = path
            .canonicalize()
            .map_err(|why| Error::Setup(format!("{}: {}", path.display(), why.kind())))?;
        let base = file.parent().and_then(Path::parent);
        let base = base.unwrap_or(Path::new("/")).to_owned();
        let refused = |what: &str| Error::Setup(format!("{}: {what}", file.display()));
        if !written.metrics.ip().is_loopback() {
            return Err(refused(
                "metrics must be a loopback address, since that port has neither TLS \
                 nor callers' names; use 127.0.0.1 and a local collector",
            ));
        }
        if !is_trust_domain(&written.trust_domain) {
            return Err(refused(
                "trust_domain must be 1 to 255 of a-z 0-9 . _ - (SPIFFE ID, section 2.1), \
                 without spiffe://",
            ));
        }
        let transport = transport(&base, written.tls, written.plaintext_principal.as_deref())
            .map_err(refused)?;
        Ok(Self {
            listen: written.listen,
            metrics: written.metrics,
            data: base.join(written.data),
            provider: match written.provider.kind {
                ProviderKind::File => Provider::File {
                    directory: base.join(written.provider.directory),
                },
            },
            catalog: base.join(written.catalog),
            policy: base.join(written.policy),
            roles: base.join(written.roles),
            trust_domain: written.trust_domain,
            transport,
            log: written.log,
            reflection: written.reflection,
            file,
        })
    }
}

fn transport(
    base: &Path,
    tls: Option<TlsFiles>,
    principal: Option<&str>,
) -> std::result::Result<Transport, &'static str> {
    match (tls, principal) {
        (Some(tls), None) => Ok(Transport::Tls(TlsFiles {
            certificate: base.join(tls.certificate),
            key: base.join(tls.key),
            client_ca: base.join(tls.client_ca),
            crl: tls.crl.map(|path| base.join(path)),
        })),
        (None, Some(principal)) => {
            let names = principal.split_once('/').and_then(|(tenant, service)| {
                Some((TenantName::parse(tenant)?, ServiceName::parse(service)?))
            });
            let (tenant, service) =
                names.ok_or("plaintext_principal must look like tenant/service")?;
            Ok(Transport::Plaintext(tenant, service))
        }
        (Some(_), Some(_)) => Err(
            "plaintext_principal stands beside [tls], where the certificate names the caller; \
             take one of the two out",
        ),
        (None, None) => Err(
            "[tls] is missing, so nobody could say who they are; add it \
             (or, to try things out on this machine, plaintext_principal = \"tenant/service\")",
        ),
    }
}

fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const GOOD: &str = r#"
listen = "127.0.0.1:7443"
metrics = "127.0.0.1:9464"
data = "data"
catalog = "config/catalog"
policy = "config/policy.cedar"
roles = "/etc/oubliette/roles.toml"
trust_domain = "crm.example"
[provider]
kind = "file"
directory = "keys"
[tls]
certificate = "pki/server.pem"
key = "pki/server.key"
client_ca = "pki/ca.pem"
"#;

    fn load(text: &str) -> (PathBuf, Result<Config>) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir(base.join("config")).unwrap();
        let file = base.join("config/oubliette.toml");
        fs::write(&file, text).unwrap();
        (base, Config::load(&file))
    }

    fn refusal(text: &str) -> String {
        load(text).1.err().unwrap().to_string()
    }

    #[test]
    fn paths_are_relative_to_the_directory_that_holds_config() {
        let (base, config) = load(GOOD);
        let config = config.unwrap();
        assert_eq!(config.data, base.join("data"));
        assert_eq!(config.roles, Path::new("/etc/oubliette/roles.toml"));
        let keys = base.join("keys");
        assert_eq!(config.provider, Provider::File { directory: keys });
        let Transport::Tls(tls) = config.transport else {
            panic!("TLS was asked for");
        };
        assert_eq!(tls.key, base.join("pki/server.key"));
        assert_eq!(config.log, Log::default());
        assert!(!config.reflection);
    }

    #[test]
    fn an_unknown_key_is_refused_at_every_level() {
        for (place, key) in [
            ("trust_domain", "plaintextt = true\ntrust_domain"),
            ("kind = ", "kindd = 1\nkind = "),
            ("certificate", "verify = false\ncertificate"),
        ] {
            let message = refusal(&GOOD.replacen(place, key, 1));
            assert!(message.contains("unknown key `"), "{message}");
        }
        assert!(refusal(&format!("{GOOD}[log]\ncolour = 1\n")).contains("unknown key `colour`"));
    }

    #[test]
    fn metrics_off_loopback_are_refused() {
        let message = refusal(&GOOD.replace("127.0.0.1:9464", "0.0.0.0:9464"));
        assert!(
            message.contains("metrics must be a loopback address"),
            "{message}"
        );
    }

    #[test]
    fn without_tls_somebody_must_be_named_and_with_tls_nobody() {
        let (plain, _) = GOOD.split_once("[tls]").unwrap();
        assert!(refusal(plain).contains("[tls] is missing"));
        let named = format!("plaintext_principal = \"crm/support\"\n{plain}");
        assert!(matches!(
            load(&named).1.unwrap().transport,
            Transport::Plaintext(..)
        ));
        assert!(
            refusal(&format!("plaintext_principal = \"a/b\"\n{GOOD}")).contains("beside [tls]")
        );
        let bad = named.replace("crm/support", "support");
        assert!(refusal(&bad).contains("tenant/service"));
    }

    #[test]
    fn a_trust_domain_is_a_bare_name() {
        for bad in ["", "spiffe://a", "A.example", "a/b"] {
            let message = refusal(&GOOD.replace("crm.example", bad));
            assert!(message.contains("trust_domain must be"), "{bad}: {message}");
        }
    }
}
