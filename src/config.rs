//! The configuration file. Unknown keys are errors, paths are relative to the
//! directory that `oubliette init` made (the one that holds `config/`), and no
//! secret ever stands in it: it names files.

mod audit;
pub mod check;
mod keys;
mod provider;
mod pruning;
mod rights;
mod signals;

pub use audit::Audit;
pub use keys::Epochs;
pub use provider::{Keeper, Provider};
pub use pruning::Pruning;
pub use rights::Rights;
pub use signals::Signals;

use crate::backup::Recipient;
use crate::catalog::{Entry, Section, read_text};
use crate::error::{Error, Result};
use crate::id::{ServiceName, TenantName};
use crate::limits;
use crate::vault::TwoPeople;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    pub providers: Vec<Provider>,
    /// When the vault seals itself.
    pub seal: Seal,
    /// The keys that sign what strangers check.
    pub signing: Signing,
    /// How people's requests are handled.
    pub rights: Rights,
    /// What is kept elsewhere.
    pub backup: Backup,
    /// Where the audit log is anchored outside.
    pub audit: Audit,
    /// What pruning of the audit log never removes.
    pub pruning: Pruning,
    /// When something is wrong with what a principal does, if that is watched.
    pub signals: Option<Signals>,
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
    /// When epochs are closed.
    pub epochs: Epochs,
    /// What takes two people.
    pub approvals: TwoPeople,
}

/// When the vault seals itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// How long it goes on from memory while no key provider answers for the
    /// key of its open epoch.
    pub without_provider: Duration,
}

impl Default for Seal {
    fn default() -> Self {
        Self {
            without_provider: limits::WITHOUT_PROVIDER,
        }
    }
}

/// Files of private signing keys (Ed25519, PKCS#8 in PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Signs the log's checkpoints, and nothing else.
    pub log: PathBuf,
    /// Signs certificates, receipts, reports and ledgers.
    pub vault: PathBuf,
}

/// Where backups of keys and the copy of the ledger go; all of it may be left
/// out.
#[derive(Debug, Clone, Default)]
pub struct Backup {
    /// The directory of the key backups.
    pub keys_to: Option<PathBuf>,
    /// Whom they are encrypted to.
    pub recipient: Option<Recipient>,
    /// The directory of the signed copy of the ledger.
    pub ledger_to: Option<PathBuf>,
    /// Whether an erasure is acknowledged only when that copy says so.
    pub strict: bool,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// How much.
    pub level: Level,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// The longest path that a configuration may name (Linux's `PATH_MAX`).
const PATH_BYTES: usize = 4_096;

impl Config {
    /// Reads `path` and makes its paths absolute. Nothing else is touched; see
    /// [`Config::check`].
    ///
    /// # Errors
    /// [`Error::Setup`] with the place, and what to do.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let file = path
            .canonicalize()
            .map_err(|why| Error::Setup(format!("{}: {}", path.display(), why.kind())))?;
        Self::parse(file, &text)
    }

    fn parse(file: PathBuf, text: &str) -> Result<Self> {
        let shown = file.display().to_string();
        let base = file.parent().and_then(Path::parent);
        let base = base.unwrap_or(Path::new("/"));
        let mut root = Section::parse(&shown, text)?;
        let config = Self {
            listen: root.need("listen")?.parsed(ADDRESS, address)?,
            metrics: root.need("metrics")?.parsed(METRICS, |text| {
                address(text).filter(|a| a.ip().is_loopback())
            })?,
            data: file_in(base, &root.need("data")?)?,
            providers: provider::providers(base, &mut root)?,
            seal: match root.take("seal") {
                Some(entry) => seal(entry.section()?)?,
                None => Seal::default(),
            },
            signing: signing(base, root.need("signing")?.section()?)?,
            rights: match root.take("rights") {
                Some(entry) => Rights::read(entry.section()?)?,
                None => Rights::default(),
            },
            backup: match root.take("backup") {
                Some(entry) => backup(base, entry.section()?)?,
                None => Backup::default(),
            },
            audit: match root.take("audit") {
                Some(entry) => audit::audit(base, entry.section()?)?,
                None => Audit::default(),
            },
            pruning: match root.take("pruning") {
                Some(entry) => pruning::pruning(base, entry.section()?)?,
                None => Pruning::default(),
            },
            signals: match root.take("signals") {
                Some(entry) => Some(signals::signals(entry.section()?)?),
                None => None,
            },
            catalog: file_in(base, &root.need("catalog")?)?,
            policy: file_in(base, &root.need("policy")?)?,
            roles: file_in(base, &root.need("roles")?)?,
            trust_domain: root
                .need("trust_domain")?
                .parsed(TRUST_DOMAIN, trust_domain)?,
            transport: transport(base, &mut root)?,
            log: match root.take("log") {
                Some(entry) => log(entry.section()?)?,
                None => Log::default(),
            },
            reflection: match root.take("reflection") {
                Some(entry) => entry.flag()?,
                None => false,
            },
            epochs: match root.take("epochs") {
                Some(entry) => keys::epochs(entry.section()?)?,
                None => Epochs::default(),
            },
            approvals: match root.take("approvals") {
                Some(entry) => keys::approvals(entry.section()?)?,
                None => TwoPeople::default(),
            },
            file: file.clone(),
        };
        root.finish()?;
        Ok(config)
    }
}

const ADDRESS: &str = "must be an address and port in quotes, such as \"127.0.0.1:7443\"";
const METRICS: &str = "must be a loopback address and port, such as \"127.0.0.1:9464\", since \
                       that port has neither TLS nor callers' names; let a local collector read it";
const RECIPIENT: &str =
    "must be an age recipient, age1... (`oubliette backup identity FILE` makes one)";
const TRUST_DOMAIN: &str = "must be 1 to 255 of a-z 0-9 . _ - without spiffe:// \
                            (SPIFFE ID, section 2.1)";

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

fn trust_domain(text: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    ((1..=255).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}

fn file_in(base: &Path, entry: &Entry<'_>) -> Result<PathBuf> {
    Ok(base.join(entry.text(PATH_BYTES)?))
}

fn seal(mut table: Section<'_>) -> Result<Seal> {
    let mut seal = Seal::default();
    if let Some(entry) = table.take("without_provider") {
        let most = limits::WITHOUT_PROVIDER_MAX;
        let rule = format!(
            "must be a time from \"0s\" to \"{}\" in quotes, such as \"24h\"",
            humantime::format_duration(most)
        );
        seal.without_provider = entry.parsed(&rule, |text| {
            humantime::parse_duration(text)
                .ok()
                .filter(|time| *time <= most)
        })?;
    }
    table.finish()?;
    Ok(seal)
}

fn signing(base: &Path, mut table: Section<'_>) -> Result<Signing> {
    let signing = Signing {
        log: file_in(base, &table.need("log")?)?,
        vault: file_in(base, &table.need("vault")?)?,
    };
    table.finish()?;
    Ok(signing)
}

fn backup(base: &Path, mut table: Section<'_>) -> Result<Backup> {
    let file = |entry: Option<Entry<'_>>| entry.map(|entry| file_in(base, &entry)).transpose();
    let backup = Backup {
        keys_to: file(table.take("keys_to"))?,
        recipient: match table.take("recipient") {
            Some(entry) => Some(entry.parsed(RECIPIENT, Recipient::parse)?),
            None => None,
        },
        ledger_to: file(table.take("ledger_to"))?,
        strict: match table.take("strict") {
            Some(entry) => entry.flag()?,
            None => false,
        },
    };
    if backup.keys_to.is_some() != backup.recipient.is_some() {
        return Err(table.wrong(
            "names one of keys_to and recipient; both are needed, since key backups are \
             encrypted",
        ));
    }
    if backup.strict && backup.ledger_to.is_none() {
        return Err(table.wrong("is strict without ledger_to; name the directory of the copy"));
    }
    table.finish()?;
    Ok(backup)
}

fn transport(base: &Path, root: &mut Section<'_>) -> Result<Transport> {
    match (root.take("tls"), root.take("plaintext_principal")) {
        (Some(tls), None) => Ok(Transport::Tls(tls_files(base, tls.section()?)?)),
        (None, Some(principal)) => {
            let rule = "must look like \"tenant/service\"";
            let (tenant, service) = principal.parsed(rule, |text| {
                let (tenant, service) = text.split_once('/')?;
                Some((TenantName::parse(tenant)?, ServiceName::parse(service)?))
            })?;
            Ok(Transport::Plaintext(tenant, service))
        }
        (Some(_), Some(principal)) => Err(principal.wrong(
            "stands beside [tls], where the certificate names the caller; \
             take one of the two out",
        )),
        (None, None) => Err(root.wrong(
            "[tls] is missing, so nobody could say who they are; add it (or, to try things \
             out on this machine, plaintext_principal = \"tenant/service\")",
        )),
    }
}

fn tls_files(base: &Path, mut table: Section<'_>) -> Result<TlsFiles> {
    let files = TlsFiles {
        certificate: file_in(base, &table.need("certificate")?)?,
        key: file_in(base, &table.need("key")?)?,
        client_ca: file_in(base, &table.need("client_ca")?)?,
        crl: match table.take("crl") {
            Some(entry) => Some(file_in(base, &entry)?),
            None => None,
        },
    };
    table.finish()?;
    Ok(files)
}

fn log(mut table: Section<'_>) -> Result<Log> {
    let mut log = Log::default();
    if let Some(entry) = table.take("format") {
        let rule = "must be \"text\" or \"json\"";
        log.format = entry.parsed(rule, |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })?;
    }
    if let Some(entry) = table.take("level") {
        let rule = "must be \"error\", \"warn\", \"info\" or \"debug\"";
        log.level = entry.parsed(rule, |text| match text {
            "error" => Some(Level::Error),
            "warn" => Some(Level::Warn),
            "info" => Some(Level::Info),
            "debug" => Some(Level::Debug),
            _ => None,
        })?;
    }
    table.finish()?;
    Ok(log)
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
[signing]
log = "keys/log.key"
vault = "keys/vault.key"
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
        let directory = base.join("keys");
        let file = Provider {
            keeper: Keeper::File { directory },
            retiring: false,
        };
        assert_eq!(config.providers, [file]);
        assert_eq!(config.seal, Seal::default());
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
            assert!(
                message.contains("is not a key that belongs here"),
                "{message}"
            );
        }
        let message = refusal(&format!("{GOOD}[log]\ncolour = 1\n"));
        assert!(
            message.contains(":20:1: log.colour: is not a key"),
            "{message}"
        );
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_never_echoed() {
        for (key, broken) in [
            ("\"127.0.0.1:7443\"", "\"hunter2\""),
            ("\"127.0.0.1:7443\"", "hunter2"),
            ("\"127.0.0.1:7443\"", "\"hunter2"),
            ("\"crm.example\"", "[\"HUNTER2 hunter2\"]"),
            ("\"file\"", "\"hunter2\""),
            ("[tls]", "[tls]\n\"pass word hunter2\" = 1"),
            ("[tls]", "hunter2 hunter2\n[tls]"),
        ] {
            let message = refusal(&GOOD.replacen(key, broken, 1));
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains("oubliette.toml:"), "{message}");
        }
    }

    #[test]
    fn a_backup_of_keys_has_a_recipient_and_a_strict_ledger_a_place() {
        let with = |text: &str| load(&format!("{GOOD}[backup]\n{text}\n"));
        let recipient =
            "recipient = \"age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z\"";
        let (base, config) = with(&format!("keys_to = \"b\"\n{recipient}\nledger_to = \"l\""));
        let backup = config.unwrap().backup;
        assert_eq!(backup.keys_to, Some(base.join("b")));
        assert!(!backup.strict && backup.recipient.is_some());
        for (bad, told) in [
            ("keys_to = \"b\"", "both are needed"),
            (recipient, "both are needed"),
            ("strict = true", "without ledger_to"),
            (
                "keys_to = \"b\"\nrecipient = \"age1x\"",
                "must be an age recipient",
            ),
        ] {
            let message = with(bad).1.err().unwrap().to_string();
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn metrics_off_loopback_are_refused() {
        let message = refusal(&GOOD.replace("127.0.0.1:9464", "0.0.0.0:9464"));
        assert!(
            message.contains("metrics: must be a loopback address"),
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
            assert!(
                message.contains("trust_domain: must be"),
                "{bad}: {message}"
            );
        }
    }
}
