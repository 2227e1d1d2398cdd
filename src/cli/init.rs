//! `oubliette init`: lays out the directory of a vault.
//!
//! ```text
//! DIR/config/  oubliette.toml, roles.toml, policy.cedar, catalog/
//! DIR/pki/     a development authority and its certificates (0700)
//! DIR/keys/    provider keys (0700)
//! DIR/data/    databases (0700)
//! ```

mod sample;

use super::pki::{Authority, ORGANISATION, make_private_dir, write_new};
use crate::access::Roles;
use crate::catalog::{Catalog, read_text};
use crate::config::Config;
use crate::error::{Error, Result};
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
        }
    }
}

/// What [`init`] made.
pub struct Made {
    /// `tenant/service` of every client that has a certificate now.
    pub principals: Vec<String>,
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
    Catalog::load(&config.join("catalog"))?;
    let roles = Roles::load(&config.join("roles.toml"))?;
    let pki = dir.join(PKI);
    let authority = Authority::create(&pki, ORGANISATION)?;
    authority.issue_server(&pki, &layout.server_name)?;
    let mut principals = Vec::new();
    for principal in roles.principals() {
        authority.issue_client(&pki, TRUST_DOMAIN, principal.tenant(), principal.service())?;
        principals.push(principal.to_string());
    }
    make_private_dir(&dir.join("keys"))?;
    make_private_dir(&dir.join("data"))?;
    // Last: a directory without it is no vault.
    let file = dir.join(CONFIG);
    write_new(&file, &configuration(layout), 0o600)?;
    Config::load(&file)?;
    Ok(Made { principals })
}

fn configuration(layout: &Layout) -> String {
    include_str!("init/template.toml")
        .replace("{listen}", &layout.listen.to_string())
        .replace("{metrics}", &layout.metrics.to_string())
        .replace("{trust_domain}", TRUST_DOMAIN)
}

fn copy_rules(config: &Path, from: Option<&Path>) -> Result<()> {
    for folder in ["catalog", "catalog/types", "catalog/purposes"] {
        make_private_dir(&config.join(folder))?;
    }
    let Some(from) = from else {
        for (path, text) in sample::CRM {
            write_new(&config.join(path), text, 0o600)?;
        }
        return Ok(());
    };
    for folder in ["", "catalog", "catalog/types", "catalog/purposes"] {
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
        matches!(extension, Some("toml" | "cedar")) && path.is_file()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(is_rule).collect())
}
