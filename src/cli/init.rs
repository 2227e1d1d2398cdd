//! `oubliette init`: lays out the directory of a vault.
//!
//! ```text
//! DIR/config/  oubliette.toml, roles.toml, policy.cedar, catalog/
//! DIR/pki/     a development authority and its certificates (0700)
//! DIR/keys/    provider keys, signing keys (0700)
//! DIR/data/    databases (0700)
//! ```

mod sample;

use super::lock::{Holders, Locked};
use super::pki::{Authority, ORGANISATION, make_private_dir, write_new};
use crate::access::{Access, Sources};
use crate::catalog::read_text;
use crate::config::{Config, Keeper};
use crate::error::{Error, Result};
use crate::keys::signing::SigningKey;
use crate::secret::SecretText;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The trust domain of the development authority (RFC 9476 keeps `.internal`
/// for such use).
pub const TRUST_DOMAIN: &str = "oubliette.internal";
/// The folder of the certificates in a vault's directory.
pub const PKI: &str = "pki";
/// The configuration in a vault's directory.
pub const CONFIG: &str = "config/oubliette.toml";

/// What `init` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Layout {
    /// Take catalog/, roles.toml and policy.cedar from this directory instead
    /// of the built-in example of a CRM
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Where the server is to listen
    #[arg(long, value_name = "ADDRESS", default_value_t = default_listen())]
    pub listen: SocketAddr,
    /// Where metrics and probes are to be served: a loopback address
    #[arg(long, value_name = "ADDRESS", default_value_t = default_metrics())]
    pub metrics: SocketAddr,
    /// A further DNS name or IP address that the server's certificate is for
    #[arg(long, value_name = "NAME")]
    pub server_name: Vec<String>,
    /// Keep keys where this file says, instead of in files: it holds
    /// [provider] or [[providers]] as in docs/PROVIDERS.md
    #[arg(long, value_name = "FILE")]
    pub providers: Option<PathBuf>,
    /// Lock the key files: after every start people must unseal the vault
    #[arg(long, value_name = "HOW")]
    pub lock: Option<Locked>,
    /// Read the passphrase of --lock passphrase from this file ("-": stdin)
    /// instead of asking for it
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Among how many people --lock shares is split
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub shares: u8,
    /// How many of them are needed
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub threshold: u8,
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 7443).into()
}

fn default_metrics() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9464).into()
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            from: None,
            listen: default_listen(),
            metrics: default_metrics(),
            server_name: Vec::new(),
            providers: None,
            lock: None,
            passphrase_file: None,
            shares: 5,
            threshold: 3,
        }
    }
}

/// What [`init`] made.
pub struct Made {
    /// `tenant/service` of every client that has a certificate now.
    pub principals: Vec<String>,
    /// The shares of the lock, where it is split: nowhere else are they kept.
    pub shares: Vec<SecretText>,
}

/// Lays out `dir`, which must be new or empty. What fails is taken away again.
///
/// # Errors
/// [`Error::Setup`] when the directory is in use, cannot be written, or the
/// rules in `layout.from` are not usable.
pub fn init(dir: &Path, layout: &Layout) -> Result<Made> {
    let existed = claim(dir)?;
    let made = fill(dir, layout);
    if made.is_err() {
        undo(dir, existed);
    }
    made
}

/// Makes `dir`, or finds it empty; answers whether it was there.
fn claim(dir: &Path) -> Result<bool> {
    let refused = |why: std::io::Error| {
        Error::Setup(format!(
            "{} cannot be used: {}; name a directory that you may write to",
            dir.display(),
            why.kind()
        ))
    };
    if !dir.exists() {
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        parent.map_or(Ok(()), fs::create_dir_all).map_err(refused)?;
        make_private_dir(dir)?;
        return Ok(false);
    }
    if fs::read_dir(dir).map_err(refused)?.next().is_some() {
        return Err(Error::Setup(format!(
            "{} is not empty, and what is in it may be somebody's keys; nothing was touched; \
             name a new directory",
            dir.display()
        )));
    }
    Ok(true)
}

/// What cannot be taken away stays; the next `init` then says so.
fn undo(dir: &Path, existed: bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_dir_all(entry.path());
    }
    if !existed {
        let _ = fs::remove_dir(dir);
    }
}

fn fill(dir: &Path, layout: &Layout) -> Result<Made> {
    let config = dir.join("config");
    make_private_dir(&config)?;
    copy_rules(&config, layout.from.as_deref())?;
    let access = Access::load(Sources {
        catalog: config.join("catalog"),
        roles: config.join("roles.toml"),
        policy: config.join("policy.cedar"),
    })?;
    let pki = dir.join(PKI);
    let authority = Authority::create(&pki, ORGANISATION)?;
    authority.issue_server(&pki, &layout.server_name)?;
    let mut principals = Vec::new();
    for principal in access.now().roles().principals() {
        authority.issue_client(&pki, TRUST_DOMAIN, principal.tenant(), principal.service())?;
        principals.push(principal.to_string());
    }
    make_private_dir(&dir.join("keys"))?;
    make_private_dir(&dir.join("data"))?;
    // Last: a directory without it is no vault.
    let file = dir.join(CONFIG);
    write_new(&file, &configuration(layout)?, 0o600)?;
    let config = Config::load(&file)?;
    for key in [&config.signing.log, &config.signing.vault] {
        SigningKey::create(key)?;
    }
    let shares = match layout.lock {
        Some(locked) => {
            let directory = key_directory(&config)?;
            if !directory.exists() {
                make_private_dir(&directory)?;
            }
            let draft = Holders::of(layout).draft(locked)?;
            draft.place(&directory)?;
            draft.into_shares()
        }
        None => Vec::new(),
    };
    crate::serve::found(&config)?;
    Ok(Made { principals, shares })
}

/// Where the configuration keeps key files.
pub(super) fn key_directory(config: &Config) -> Result<PathBuf> {
    let directory = config.providers.iter().find_map(|one| match &one.keeper {
        Keeper::File { directory } => Some(directory.clone()),
        _ => None,
    });
    directory.ok_or_else(|| {
        Error::Setup("a lock is for key files, and no provider keeps any".to_owned())
    })
}

/// Key files, the provider that needs nothing else.
const KEY_FILES: &str = "[provider]\nkind = \"file\"\ndirectory = \"keys\"";

fn configuration(layout: &Layout) -> Result<String> {
    let providers = match &layout.providers {
        Some(file) => read_text(file)?,
        None => KEY_FILES.to_owned(),
    };
    let text = include_str!("init/template.toml")
        .replace("{providers}", providers.trim())
        .replace("{listen}", &layout.listen.to_string())
        .replace("{metrics}", &layout.metrics.to_string())
        .replace("{trust_domain}", TRUST_DOMAIN);
    Ok(text)
}

/// The folders of the rules; notices are not needed everywhere.
const FOLDERS: [&str; 5] = [
    "",
    "catalog",
    "catalog/types",
    "catalog/purposes",
    "catalog/notices",
];

fn copy_rules(config: &Path, from: Option<&Path>) -> Result<()> {
    let is_there = |folder: &str| from.is_none_or(|from| from.join(folder).is_dir());
    let needed = |folder: &&str| *folder != "catalog/notices" || is_there(folder);
    let folders: Vec<&str> = FOLDERS.into_iter().filter(needed).collect();
    for folder in folders.iter().skip(1) {
        make_private_dir(&config.join(folder))?;
    }
    let Some(from) = from else {
        for (path, text) in sample::CRM {
            write_new(&config.join(path), text, 0o600)?;
        }
        return Ok(());
    };
    for folder in folders {
        for path in rule_files(&from.join(folder))? {
            let text = read_text(&path)?;
            let name = path.file_name().unwrap_or_default();
            write_new(&config.join(folder).join(name), &text, 0o600)?;
        }
    }
    Ok(())
}

/// The TOML and Cedar files of a folder; there may be more in it, such as
/// customers.
fn rule_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|why| {
        Error::Setup(format!(
            "{} cannot be listed: {}; --from needs catalog/, roles.toml and policy.cedar, \
             as in examples/crm",
            folder.display(),
            why.kind()
        ))
    })?;
    let is_rule = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str());
        let is_config = path
            .file_name()
            .is_some_and(|name| name == "oubliette.toml");
        matches!(extension, Some("toml" | "cedar")) && path.is_file() && !is_config
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(is_rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::Allowances;
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_init_lays_out_passes_every_check() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("new/vault");
        let made = init(&vault, &Layout::default()).unwrap();
        assert!(made.principals.contains(&"acme/support-desk".to_owned()));
        let config = Config::load(&vault.join(CONFIG)).unwrap();
        config.check(&Allowances::default()).unwrap();
        let Keeper::File { directory } = &config.providers[0].keeper else {
            panic!("init lays out a file provider");
        };
        for private in [directory, &config.data, &vault.join(PKI), &vault] {
            assert_eq!(mode(private), 0o700, "{}", private.display());
        }
        for principal in &made.principals {
            let name = principal.replace('/', ".");
            let clients = vault.join("pki/clients");
            assert!(clients.join(format!("{name}.pem")).is_file());
            assert_eq!(mode(&clients.join(format!("{name}.key"))), 0o600);
        }
        for key in ["pki/server.key", "pki/ca.key"] {
            assert_eq!(mode(&vault.join(key)), 0o600);
        }
    }

    #[test]
    fn a_directory_that_is_not_empty_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("precious"), "x").unwrap();
        let refused = init(dir.path(), &Layout::default()).err().unwrap();
        assert!(refused.to_string().contains("is not empty"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn rules_come_from_another_directory_and_bad_ones_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("first");
        init(&first, &Layout::default()).unwrap();
        let layout = Layout {
            from: Some(first.join("config")),
            ..Layout::default()
        };
        let second = dir.path().join("second");
        init(&second, &layout).unwrap();
        let policy = "config/policy.cedar";
        assert_eq!(
            fs::read(first.join(policy)).unwrap(),
            fs::read(second.join(policy)).unwrap()
        );

        fs::write(first.join(policy), "permit (").unwrap();
        let third = dir.path().join("third");
        assert!(init(&third, &layout).is_err());
        assert!(!third.exists(), "what fails is taken away again");
        fs::create_dir(&third).unwrap();
        assert!(init(&third, &layout).is_err());
        assert_eq!(fs::read_dir(&third).unwrap().count(), 0);
    }

    #[test]
    fn the_built_in_example_is_the_one_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crm");
        let mut there = BTreeSet::new();
        for folder in FOLDERS {
            for path in rule_files(&root.join(folder)).unwrap() {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                there.insert(name.to_owned());
            }
        }
        let built_in = sample::CRM.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(built_in.collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn a_server_name_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout {
            server_name: vec!["vault internal\u{e9}".to_owned()],
            ..Layout::default()
        };
        let refused = init(&dir.path().join("vault"), &layout).err().unwrap();
        assert!(refused.to_string().contains("server name"), "{refused}");
    }
}
