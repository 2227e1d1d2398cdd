//! Who answers for a tenant's data: the controller, as its notices name it
//! (GDPR art. 13(1)(a) and (b)).
//!
//! ```toml
//! # catalog.toml
//! [controllers.<tenant>]
//! name = "Acme Ltd"
//! address = "1 Example Street, 10115 Berlin"
//! country = "DE"
//! representative = "Ada Example"
//! email = "privacy@acme.example"
//! url = "https://acme.example/privacy"
//! officer = "Bo Example"
//! officer_email = "officer@acme.example"
//! authority = "Commissioner for Data Protection"
//! ```

use super::file::{Entry, Section};
use super::scope::is_jurisdiction;
use crate::error::Result;
use crate::id::TenantName;
use crate::limits;
use std::collections::BTreeMap;

/// A tenant as a controller.
#[derive(Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its country (ISO 3166-1).
    pub country: String,
    /// Who represents it.
    pub representative: String,
    /// Where it is written to.
    pub email: String,
    /// Where its notices and its customers' rights are.
    pub url: String,
    /// Its data protection officer.
    pub officer: String,
    /// Where the officer is written to.
    pub officer_email: String,
    /// The supervisory authority that complaints go to (art. 13(2)(d)).
    pub authority: String,
}

impl Controller {
    /// Reads `[controllers.<tenant>]` for every tenant that has one.
    pub(super) fn read_all(entry: Option<Entry<'_>>) -> Result<BTreeMap<TenantName, Self>> {
        let mut controllers = BTreeMap::new();
        let Some(entry) = entry else {
            return Ok(controllers);
        };
        for (key, entry) in entry.section()?.each() {
            let Some(tenant) = TenantName::parse(&key) else {
                return Err(entry.wrong("must be named by a tenant"));
            };
            controllers.insert(tenant, Self::read(entry.section()?)?);
        }
        Ok(controllers)
    }

    fn read(mut table: Section<'_>) -> Result<Self> {
        let mut take = |key: &str| -> Result<String> {
            Ok(table.need(key)?.text(limits::TITLE_BYTES)?.to_owned())
        };
        let controller = Self {
            name: take("name")?,
            address: take("address")?,
            country: String::new(),
            representative: take("representative")?,
            email: take("email")?,
            url: String::new(),
            officer: take("officer")?,
            officer_email: take("officer_email")?,
            authority: take("authority")?,
        };
        let of_country =
            |text: &str| (text.len() == 2 && is_jurisdiction(text)).then(|| text.to_owned());
        let country = table.need("country")?;
        let country = country.parsed("must be two capital letters (ISO 3166-1)", of_country)?;
        let is_url = |text: &str| {
            let is_it = text.starts_with("https://") && text.len() <= limits::TITLE_BYTES;
            is_it.then(|| text.to_owned())
        };
        let url = table
            .need("url")?
            .parsed("must begin with https://", is_url)?;
        table.finish()?;
        Ok(Self {
            country,
            url,
            ..controller
        })
    }
}
