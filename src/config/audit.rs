//! `[audit]`: where the audit log is anchored outside.

use super::{PATH_BYTES, file_in};
use crate::audit::anchor::{Address, Mode};
use crate::audit::cosignature::WitnessKey;
use crate::catalog::Section;
use crate::error::Result;
use crate::limits;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the audit log is anchored outside; all of it may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// A file.
    pub file: Option<PathBuf>,
    /// Witnesses.
    pub witnesses: Vec<Address>,
    /// How many of them must cosign a checkpoint.
    pub need: usize,
    /// How often they are asked.
    pub every: Duration,
    /// What to do about a conflict, or where too few can be reached.
    pub mode: Mode,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            file: None,
            witnesses: Vec::new(),
            need: 0,
            every: limits::WITNESS_EVERY,
            mode: Mode::default(),
        }
    }
}

pub(super) fn audit(base: &Path, mut table: Section<'_>) -> Result<Audit> {
    let mut audit = Audit::default();
    if let Some(entry) = table.take("mode") {
        let rule = "must be \"strict\" or \"report\"";
        audit.mode = entry.parsed(rule, |text| match text {
            "strict" => Some(Mode::Strict),
            "report" => Some(Mode::Report),
            _ => None,
        })?;
    }
    if let Some(entry) = table.take("anchor") {
        audit.file = Some(file_in(base, &entry)?);
    }
    if let Some(entry) = table.take("witness") {
        for witness in entry.sections(limits::WITNESSES)? {
            let witness = address(base, witness)?;
            if audit.witnesses.iter().any(|w| w.key == witness.key) {
                return Err(table.wrong("names one witness twice; take one of the two out"));
            }
            audit.witnesses.push(witness);
        }
        audit.need = audit.witnesses.len();
    }
    if let Some(entry) = table.take("witnesses_needed") {
        let most = u64::try_from(audit.witnesses.len()).unwrap_or(u64::MAX);
        audit.need = usize::try_from(entry.number(1, most)?).unwrap_or(usize::MAX);
    }
    if let Some(entry) = table.take("witness_every") {
        let allowed = limits::WITNESS_EVERY_LEAST..=limits::WITNESS_EVERY_MAX;
        let rule = "must be a time from \"1s\" to \"1h\" in quotes, such as \"10s\"";
        audit.every = entry.parsed(rule, |text| {
            let every = humantime::parse_duration(text).ok();
            every.filter(|every| allowed.contains(every))
        })?;
    }
    if audit.file.is_none() && audit.witnesses.is_empty() {
        return Err(table.wrong("names neither an anchor nor a witness; add one, or remove it"));
    }
    table.finish()?;
    Ok(audit)
}

fn address(base: &Path, mut table: Section<'_>) -> Result<Address> {
    let rule = "must be http://HOST or https://HOST, with a port and a path where it has them, \
                without / at its end";
    let key = "must be the witness's public key, name+id+key (C2SP tlog-cosignature, Ed25519; \
               `oubliette witness` prints its own)";
    let address = Address {
        url: table.need("url")?.parsed(rule, url)?,
        key: table.need("key")?.parsed(key, WitnessKey::parse)?,
        ca: match table.take("ca") {
            Some(entry) => Some(file_in(base, &entry)?),
            None => None,
        },
    };
    if address.ca.is_some() != address.url.starts_with("https://") {
        return Err(table.wrong(
            "an https:// url needs ca, the file of the authorities of its certificate, and \
             http:// has none",
        ));
    }
    table.finish()?;
    Ok(address)
}

fn url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://");
    let rest = rest.or_else(|| text.strip_prefix("http://"))?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]/".contains(&b);
    let is_url = !rest.is_empty() && !rest.starts_with('/') && !rest.ends_with('/');
    (is_url && text.len() <= PATH_BYTES && rest.bytes().all(fits)).then(|| text.to_owned())
}
