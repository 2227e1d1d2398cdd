//! Purposes: why data is read, on which legal basis, by whom, and how much of
//! each field it needs.

use super::date::Date;
use super::file::{Entry, Section};
use super::form::Form;
use super::record_type::RecordType;
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CatalogName, FieldNumber};
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The legal basis of a purpose (GDPR art. 6(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// (a) the customer's consent.
    Consent,
    /// (b) a contract with the customer.
    Contract,
    /// (c) a legal obligation.
    LegalObligation,
    /// (d) vital interests.
    VitalInterests,
    /// (e) a task in the public interest.
    PublicTask,
    /// (f) legitimate interests.
    LegitimateInterest,
}

/// The condition for special categories of data (GDPR art. 9(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialBasis {
    /// (a) explicit consent.
    ExplicitConsent,
    /// (b) employment and social security law.
    EmploymentLaw,
    /// (c) vital interests.
    VitalInterests,
    /// (f) legal claims.
    LegalClaims,
    /// (h) health care.
    HealthCare,
    /// (i) public health.
    PublicHealth,
}

/// How the customer has a say in a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Nothing happens before the customer says yes.
    OptIn,
    /// It happens until the customer says no (GDPR art. 21).
    OptOut,
    /// The customer is told (GDPR art. 13 and 14).
    NoticeOnly,
}

/// A purpose.
#[derive(Debug)]
pub struct Purpose {
    /// Its name: the name of its file.
    pub name: CatalogName,
    /// Its number in stored data, from 1; never used for another purpose.
    pub number: u16,
    /// What it is, for people.
    pub title: String,
    /// Its legal basis.
    pub basis: Basis,
    /// Its condition for special categories, where it needs such a field.
    pub special_basis: Option<SpecialBasis>,
    /// The customer's say.
    pub mechanism: Mechanism,
    /// The roles that may act for it.
    pub callers: Vec<CatalogName>,
    /// Who else gets the data (GDPR art. 13(1)(e)), for people.
    pub recipients: Vec<String>,
    /// The first day on which it is no longer allowed, UTC.
    pub expires: Option<Day>,
    grants: BTreeMap<u16, BTreeMap<FieldNumber, Form>>,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? } $rule:literal) => {
        impl $type {
            const RULE: &'static str = $rule;

            /// Its name in a catalog.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

named!(Basis {
    Consent = "consent",
    Contract = "contract",
    LegalObligation = "legal_obligation",
    VitalInterests = "vital_interests",
    PublicTask = "public_task",
    LegitimateInterest = "legitimate_interest",
} "must be consent, contract, legal_obligation, vital_interests, public_task or legitimate_interest");
named!(SpecialBasis {
    ExplicitConsent = "explicit_consent",
    EmploymentLaw = "employment_law",
    VitalInterests = "vital_interests",
    LegalClaims = "legal_claims",
    HealthCare = "health_care",
    PublicHealth = "public_health",
} "must be explicit_consent, employment_law, vital_interests, legal_claims, health_care or public_health");
named!(Mechanism {
    OptIn = "opt_in",
    OptOut = "opt_out",
    NoticeOnly = "notice_only",
} "must be opt_in, opt_out or notice_only");

impl Purpose {
    /// Whether it is past its expiry.
    pub fn is_expired(&self, today: Day) -> bool {
        self.expires.is_some_and(|expires| today >= expires)
    }

    /// The most revealing form of a field that it may get: its ceiling. None:
    /// it does not need the field.
    pub fn ceiling(&self, record_type: u16, field: FieldNumber) -> Option<Form> {
        self.grants.get(&record_type)?.get(&field).copied()
    }

    /// Every field of a record type that it may get, with its ceiling.
    pub fn granted(&self, record_type: u16) -> impl Iterator<Item = (FieldNumber, Form)> {
        let fields = self.grants.get(&record_type).into_iter().flatten();
        fields.map(|(number, form)| (*number, *form))
    }

    /// The numbers of the record types of which it needs a field.
    pub fn record_types(&self) -> impl Iterator<Item = u16> {
        self.grants.keys().copied()
    }

    /// Reads `purposes/<name>.toml`.
    pub(super) fn read(
        name: CatalogName,
        mut file: Section<'_>,
        types: &BTreeMap<CatalogName, Arc<RecordType>>,
    ) -> Result<Self> {
        let number = file.need("number")?.number(1, u16::MAX.into())?;
        let title = file.need("title")?.text(limits::TITLE_BYTES)?.to_owned();
        let basis_entry = file.need("basis")?;
        let basis = basis_entry.parsed(Basis::RULE, Basis::parse)?;
        let special = file.take("special_basis");
        let special = special
            .map(|e| e.parsed(SpecialBasis::RULE, SpecialBasis::parse))
            .transpose()?;
        let mechanism_entry = file.need("mechanism")?;
        let mechanism = mechanism_entry.parsed(Mechanism::RULE, Mechanism::parse)?;
        if (basis == Basis::Consent) != (mechanism == Mechanism::OptIn) {
            return Err(mechanism_entry
                .wrong("must be opt_in where the basis is consent, and only there (art. 4(11))"));
        }
        let callers = file
            .need("callers")?
            .list("must be role names", CatalogName::parse)?;
        let recipients = file.take("recipients");
        let plain = |t: &str| {
            (1..=limits::TITLE_BYTES)
                .contains(&t.len())
                .then(|| t.to_owned())
        };
        let recipients = recipients
            .map(|e| e.list("must be texts in quotes", plain))
            .transpose()?;
        let expires = file.take("expires").map(|e| read_day(&e)).transpose()?;
        let mut grants = BTreeMap::new();
        for (key, entry) in file.need("grants")?.section()?.each() {
            let Some(record_type) = types.get(key.as_str()) else {
                return Err(entry.wrong("is not a record type of this catalog"));
            };
            let forms = read_grants(entry, record_type, special.is_some())?;
            grants.insert(record_type.number, forms);
        }
        file.finish()?;
        Ok(Self {
            name,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            title,
            basis,
            special_basis: special,
            mechanism,
            callers,
            recipients: recipients.unwrap_or_default(),
            expires,
            grants,
        })
    }
}

fn read_day(entry: &Entry<'_>) -> Result<Day> {
    let (year, month, day) = entry.date()?;
    let day = Date::new(year, month, day).and_then(Date::to_day);
    day.ok_or_else(|| entry.wrong("must be a date that exists"))
}

/// Reads `[grants.<record type>]`: field = "form".
fn read_grants(
    entry: Entry<'_>,
    record_type: &RecordType,
    special_allowed: bool,
) -> Result<BTreeMap<FieldNumber, Form>> {
    let mut forms = BTreeMap::new();
    for (key, entry) in entry.section()?.each() {
        let Some(field) = record_type.field(&key) else {
            return Err(entry.wrong("is not a field of this record type"));
        };
        let form = entry.parsed(Form::RULE, Form::parse)?;
        let form = form.suited_to(field).map_err(|rule| entry.wrong(&rule))?;
        if field.special && !special_allowed {
            return Err(entry.wrong(
                "is of a special category: the purpose needs a special_basis (GDPR art. 9(2))",
            ));
        }
        forms.insert(field.number, form);
    }
    Ok(forms)
}
