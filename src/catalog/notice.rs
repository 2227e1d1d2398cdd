//! Notices: what a customer is told of a purpose, version by version, in every
//! language. A version that is published is never changed. It also tells the
//! purpose's scope, and a purpose does nothing that its newest published
//! notice does not tell: a change that widens waits for its notice.
//!
//! ```toml
//! # notices/<purpose>.toml
//! [versions.1]
//! published = 2026-01-15     # without it: a draft
//! [versions.1.text]
//! en = "We e-mail you offers."
//! [versions.1.tells]
//! basis = "consent"          # and the other keys of a purpose's scope
//! ```

use super::file::{Entry, Section};
use super::record_type::RecordType;
use super::scope::{Scope, read_day};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CatalogName;
use crate::limits;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that customers were ever told of a purpose.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    versions: BTreeMap<u32, NoticeVersion>,
}

/// One version of a notice.
#[derive(Debug, PartialEq, Eq)]
pub struct NoticeVersion {
    /// The day it was published, UTC; none: a draft.
    pub published: Option<Day>,
    /// Whether it says something that consent to an earlier version does not
    /// cover: such consent no longer counts.
    pub material: bool,
    /// The scope that it tells.
    pub tells: Scope,
    texts: BTreeMap<String, String>,
}

impl Notice {
    /// Every version, by rising number.
    pub fn versions(&self) -> impl Iterator<Item = (u32, &NoticeVersion)> {
        self.versions
            .iter()
            .map(|(number, version)| (*number, version))
    }

    /// One version.
    pub fn version(&self, number: u32) -> Option<&NoticeVersion> {
        self.versions.get(&number)
    }

    /// The newest published version.
    pub fn newest(&self) -> Option<(u32, &NoticeVersion)> {
        let published = |(_, v): &(&u32, &NoticeVersion)| v.published.is_some();
        let newest = self.versions.iter().rfind(published)?;
        Some((*newest.0, newest.1))
    }

    /// The oldest version to which a consent still counts: the newest published
    /// one with a material change; 0 where there is none.
    pub fn floor(&self) -> u32 {
        let material = |(_, v): &(&u32, &NoticeVersion)| v.published.is_some() && v.material;
        self.versions.iter().rfind(material).map_or(0, |(n, _)| *n)
    }

    /// Whether every version that `old` published is here unchanged.
    pub(super) fn keeps(&self, old: &Self) -> bool {
        let published = old.versions().filter(|(_, v)| v.published.is_some());
        published
            .into_iter()
            .all(|(number, version)| self.version(number) == Some(version))
    }

    /// Reads `notices/<purpose>.toml`.
    pub(super) fn read(
        mut file: Section<'_>,
        types: &BTreeMap<CatalogName, Arc<RecordType>>,
    ) -> Result<Self> {
        let table = file.need("versions")?.section()?;
        let empty = table.wrong("must hold [versions.1] and so on, at most 1,000 of them");
        let mut versions = BTreeMap::new();
        for (key, entry) in table.each() {
            let number = key
                .parse()
                .ok()
                .filter(|n| (1..=limits::NOTICE_VERSIONS).contains(n));
            let Some(number) = number else {
                return Err(entry.wrong("must be named by the version's number, from 1 to 1000"));
            };
            versions.insert(number, NoticeVersion::read(entry, types)?);
        }
        file.finish()?;
        if versions.is_empty() {
            return Err(empty);
        }
        Ok(Self { versions })
    }
}

impl NoticeVersion {
    /// The text in a language (BCP 47).
    pub fn text(&self, language: &str) -> Option<&str> {
        self.texts.get(language).map(String::as_str)
    }

    /// Its languages (BCP 47).
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// SHA-256 of the text in a language, as it stands in the file.
    pub fn hash(&self, language: &str) -> Option<[u8; 32]> {
        self.text(language).map(|text| Sha256::digest(text).into())
    }

    fn read(entry: Entry<'_>, types: &BTreeMap<CatalogName, Arc<RecordType>>) -> Result<Self> {
        let mut table = entry.section()?;
        let published = table.take("published").map(|e| read_day(&e)).transpose()?;
        let material = table.take("material").map_or(Ok(false), |e| e.flag())?;
        let section = table.need("text")?.section()?;
        let empty = section.wrong("must hold a text in at least one language");
        let mut texts = BTreeMap::new();
        for (key, entry) in section.each() {
            if !is_language(&key) {
                return Err(
                    entry.wrong("must be named by a language (BCP 47), such as en or de-AT")
                );
            }
            texts.insert(key, entry.prose(limits::NOTICE_BYTES)?.to_owned());
        }
        if texts.is_empty() {
            return Err(empty);
        }
        let mut tells = table.need("tells")?.section()?;
        let scope = Scope::read(&mut tells, types)?;
        tells.finish()?;
        table.finish()?;
        Ok(Self {
            published,
            material,
            tells: scope,
            texts,
        })
    }
}

/// Letters, digits and `-`, beginning with a letter, at most 35 (BCP 47).
fn is_language(text: &str) -> bool {
    text.len() <= limits::LANGUAGE_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
