//! Purposes: why data is read, on which legal basis, by whom, and how much of
//! each field it needs.

use super::file::Section;
use super::notice::Notice;
use super::record_type::{Classification, RecordType};
use super::scope::Scope;
use crate::error::Result;
use crate::id::CatalogName;
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A purpose.
#[derive(Debug)]
pub struct Purpose {
    /// Its name: the name of its file.
    pub name: CatalogName,
    /// Its number in stored data, from 1; never used for another purpose.
    pub number: u16,
    /// Its version: it rises with every change.
    pub version: u32,
    /// What it is, for people.
    pub title: String,
    /// What it is in the W3C Data Privacy Vocabulary: an IRI.
    pub dpv: Option<String>,
    /// What it is in the Fides taxonomy of data uses, such as
    /// `marketing.advertising`.
    pub fides: Option<String>,
    /// What is in force of it.
    pub scope: Scope,
    /// What its file declares; the rest of it waits for a notice.
    pub declared: Scope,
    /// What customers are told. None: the purpose has no notice of its own.
    pub notice: Option<Notice>,
}

impl Purpose {
    /// Whether customers may be asked and data be read for it: it has no notice
    /// of its own, or a published one.
    pub fn is_live(&self) -> bool {
        self.notice.as_ref().is_none_or(|n| n.newest().is_some())
    }

    /// Whether part of what is declared waits for a notice that tells it.
    pub fn waits_for_a_notice(&self) -> bool {
        !self.is_live() || self.declared != self.scope
    }

    /// Whether it is marketing, by the Data Privacy Vocabulary or the Fides data
    /// uses: whoever objects to it is not asked why (GDPR art. 21(2) and (3)).
    pub fn is_marketing(&self) -> bool {
        let by_dpv = |iri: &str| iri.ends_with("Marketing") || iri.ends_with("Advertising");
        let by_fides = |key: &str| key.split('.').next() == Some("marketing");
        self.dpv.as_deref().is_some_and(by_dpv) || self.fides.as_deref().is_some_and(by_fides)
    }

    /// The oldest version of the notice to which a consent still counts.
    pub fn notice_floor(&self) -> u32 {
        self.notice.as_ref().map_or(0, Notice::floor)
    }

    /// Reads `purposes/<name>.toml`; `notice` is what `notices/<name>.toml`
    /// holds.
    pub(super) fn read(
        name: CatalogName,
        mut file: Section<'_>,
        types: &BTreeMap<CatalogName, Arc<RecordType>>,
        notice: Option<Notice>,
    ) -> Result<Self> {
        let number = file.need("number")?.number(1, u16::MAX.into())?;
        let version = file.take("version");
        let version = version.map_or(Ok(1), |e| e.number(1, u32::MAX.into()))?;
        let title = file.need("title")?.text(limits::TITLE_BYTES)?.to_owned();
        let dpv = file.take("dpv");
        let iri = |t: &str| {
            (t.starts_with("https://") && t.len() <= limits::TITLE_BYTES).then(|| t.to_owned())
        };
        let dpv = dpv.map(|e| e.parsed("must be an IRI that begins with https://", iri));
        let fides = file.take("fides");
        let rule = "must be a key of the Fides data uses, such as essential.service";
        let fides = fides.map(|e| e.parsed(rule, Classification::parse_use));
        let (dpv, fides) = (dpv.transpose()?, fides.transpose()?);
        let declared = Scope::read(&mut file, types)?;
        file.finish()?;
        let told = notice.as_ref().and_then(Notice::newest);
        Ok(Self {
            name,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            version: u32::try_from(version).unwrap_or(u32::MAX),
            title,
            dpv,
            fides,
            scope: told.map_or_else(
                || declared.clone(),
                |(_, told)| declared.within(&told.tells),
            ),
            declared,
            notice,
        })
    }
}
