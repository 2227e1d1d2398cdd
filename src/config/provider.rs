//! Which key providers: one `[provider]`, or several `[[providers]]`.

use super::{PATH_BYTES, file_in};
use crate::catalog::{Entry, Section};
use crate::error::Result;
use crate::keys::{aws_kms, pkcs11, transit};
use crate::limits;
use std::path::{Path, PathBuf};

/// A key provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Where it keeps keys.
    pub keeper: Keeper,
    /// It opens and destroys what it has and takes no new epoch.
    pub retiring: bool,
}

/// Where keys are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// One file an epoch in `directory`.
    File {
        /// Mode 0700, outside the data directory.
        directory: PathBuf,
    },
    /// A PKCS#11 token.
    Pkcs11(pkcs11::Place),
    /// OpenBao's or HashiCorp Vault's Transit engine.
    Transit(transit::Place),
    /// AWS KMS.
    AwsKms(aws_kms::Place),
}

impl Keeper {
    /// The kind, as the configuration names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Pkcs11(_) => "pkcs11",
            Self::Transit(_) => "transit",
            Self::AwsKms(_) => aws_kms::KIND,
        }
    }
}

const KINDS: &str = "must be \"file\", \"pkcs11\", \"transit\" or \"aws-kms\"";
/// The longest label of a PKCS#11 token (CK_TOKEN_INFO).
const TOKEN_LABEL_BYTES: usize = 32;

pub(super) fn providers(base: &Path, root: &mut Section<'_>) -> Result<Vec<Provider>> {
    let tables = match (root.take("provider"), root.take("providers")) {
        (Some(one), None) => {
            let mut table = one.section()?;
            let provider = provider(base, &mut table, false)?;
            table.finish()?;
            return Ok(vec![provider]);
        }
        (None, Some(several)) => several.sections(limits::PROVIDERS)?,
        (Some(one), Some(_)) => {
            return Err(one.wrong("stands beside [[providers]]; make it one of them"));
        }
        (None, None) => {
            return Err(root.wrong("[provider] is missing, so keys would be kept nowhere; add it"));
        }
    };
    let mut providers: Vec<Provider> = Vec::new();
    for mut table in tables {
        let retiring = match table.take("retiring") {
            Some(entry) => entry.flag()?,
            None => false,
        };
        let provider = provider(base, &mut table, retiring)?;
        let kind = provider.keeper.kind();
        if providers.iter().any(|other| other.keeper.kind() == kind) {
            return Err(table.wrong(
                "is of the same kind as another; an epoch has one key of each kind, so take \
                 one of the two out",
            ));
        }
        table.finish()?;
        providers.push(provider);
    }
    if providers.iter().all(|provider| provider.retiring) {
        return Err(root.wrong(
            "every key provider is retiring, so none would take a new epoch; \
             take retiring from one, or add another",
        ));
    }
    Ok(providers)
}

fn provider(base: &Path, table: &mut Section<'_>, retiring: bool) -> Result<Provider> {
    let kind = |text: &str| {
        let kinds = ["file", "pkcs11", "transit", aws_kms::KIND];
        kinds.into_iter().find(|kind| *kind == text)
    };
    let keeper = match table.need("kind")?.parsed(KINDS, kind)? {
        "file" => Keeper::File {
            directory: file_in(base, &table.need("directory")?)?,
        },
        "pkcs11" => Keeper::Pkcs11(pkcs11::Place {
            module: file_in(base, &table.need("module")?)?,
            token: table.need("token")?.text(TOKEN_LABEL_BYTES)?.to_owned(),
            pin: file_in(base, &table.need("pin")?)?,
        }),
        "transit" => Keeper::Transit(transit(base, table)?),
        _ => Keeper::AwsKms(aws_kms(base, table)?),
    };
    Ok(Provider { keeper, retiring })
}

const ADDRESS: &str = "must be https://HOST or https://HOST:PORT without a path";

fn aws_kms(base: &Path, table: &mut Section<'_>) -> Result<aws_kms::Place> {
    let endpoint = table.take("endpoint");
    let endpoint = endpoint.map(|entry| entry.parsed(ADDRESS, https));
    let ca = table.take("ca").map(|entry| file_in(base, &entry));
    let pending_days = match table.take("pending_days") {
        Some(entry) => {
            let least = limits::KMS_PENDING_DAYS.into();
            entry.number(least, limits::KMS_PENDING_DAYS_MAX.into())?
        }
        None => limits::KMS_PENDING_DAYS.into(),
    };
    Ok(aws_kms::Place {
        region: table
            .need("region")?
            .parsed("must be a region such as eu-central-1", region)?,
        endpoint: endpoint.transpose()?,
        ca: ca.transpose()?,
        credentials: file_in(base, &table.need("credentials")?)?,
        pending_days: u16::try_from(pending_days).unwrap_or(limits::KMS_PENDING_DAYS_MAX),
    })
}

fn region(text: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_region = (1..=limits::LABEL_BYTES).contains(&text.len()) && text.bytes().all(fits);
    is_region.then(|| text.to_owned())
}

fn transit(base: &Path, table: &mut Section<'_>) -> Result<transit::Place> {
    let path = "must be 1 to 63 of a-z A-Z 0-9 - _ /, without / at its ends";
    let part = |entry: &Entry<'_>| entry.parsed(path, path_part);
    Ok(transit::Place {
        address: table.need("address")?.parsed(ADDRESS, https)?,
        mount: match table.take("mount") {
            Some(entry) => part(&entry)?,
            None => "transit".to_owned(),
        },
        namespace: match table.take("namespace") {
            Some(entry) => Some(part(&entry)?),
            None => None,
        },
        token: file_in(base, &table.need("token")?)?,
        ca: file_in(base, &table.need("ca")?)?,
    })
}

/// An `https://` address without a path; anything else would send the token in
/// the clear, or somewhere else.
fn https(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let is_address = !host.is_empty() && text.len() <= PATH_BYTES && host.bytes().all(fits);
    is_address.then(|| text.to_owned())
}

fn path_part(text: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_/".contains(&b);
    let is_path = (1..=limits::LABEL_BYTES).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//");
    is_path.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(more: &str) -> Result<aws_kms::Place> {
        let text = format!("region = \"eu-central-1\"\ncredentials = \"aws.json\"\n{more}");
        let mut table = Section::parse("oubliette.toml", &text)?;
        aws_kms(Path::new("/vault"), &mut table)
    }

    #[test]
    fn aws_kms_is_asked_over_tls_and_destroys_keys_within_its_own_bounds() {
        let place = aws_kms::Place {
            region: "eu-central-1".to_owned(),
            endpoint: None,
            ca: None,
            credentials: PathBuf::from("/vault/aws.json"),
            pending_days: limits::KMS_PENDING_DAYS,
        };
        assert_eq!(aws(""), Ok(place));
        for days in [6, 31] {
            let refused = aws(&format!("pending_days = {days}"));
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("pending_days"), "{text}");
        }
        let refused = aws("endpoint = \"http://localhost:1\"").unwrap_err();
        assert!(refused.to_string().contains("https://"), "{refused}");
    }
}
