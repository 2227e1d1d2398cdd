//! What a purpose may do: its legal basis, the customer's say, who acts for
//! it, who gets the data, and how much of each field. A purpose declares one;
//! each version of its notice tells one; what is in force is what both allow.

use super::date::Date;
use super::file::{Entry, Section};
use super::form::Form;
use super::hears::Hears;
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

/// What a purpose may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its legal basis.
    pub basis: Basis,
    /// Its condition for special categories, where it needs such a field.
    pub special_basis: Option<SpecialBasis>,
    /// The customer's say.
    pub mechanism: Mechanism,
    /// Whether the basis must be asserted customer by customer. Otherwise a
    /// contract, an obligation, an interest or a task holds for every customer
    /// of the tenant.
    pub assert: bool,
    /// Whether a consent counts only once the customer has confirmed it
    /// (double opt-in).
    pub confirm: bool,
    /// Whether data may be collected for it. A purpose that only looks at what
    /// others need (an access report, a legal claim) justifies storing nothing.
    pub collects: bool,
    /// Whether it goes on while the customer's data is restricted or held: the
    /// exceptions of GDPR art. 18(2).
    pub despite_restriction: bool,
    /// Whether customers are named by the purpose's own handle: its streams name
    /// nobody, and what two purposes read does not join.
    pub handles: bool,
    /// The roles that may act for it.
    pub callers: Vec<CatalogName>,
    /// Who else gets the data (GDPR art. 13(1)(e)), for people.
    pub recipients: Vec<String>,
    /// Where the data may go: ISO 3166-1 codes, or `EU`, `EEA`. None: anywhere.
    pub jurisdictions: Vec<String>,
    /// For how many days after its last change a record serves it.
    pub retention_days: Option<u32>,
    /// The first day on which it is no longer allowed, UTC.
    pub expires: Option<Day>,
    /// The signals that it hears.
    pub hears: Hears,
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

impl Scope {
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

    /// What of `self`, which a purpose declares, is also told to the customer:
    /// whatever narrows counts at once, whatever widens does not.
    pub(super) fn within(&self, told: &Self) -> Self {
        // Asking is the narrowest; of any other change what was told goes on.
        let asks = |scope: &Self| scope.mechanism == Mechanism::OptIn;
        let say = if asks(self) || (self.basis == told.basis && !asks(told)) {
            self
        } else {
            told
        };
        let both = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|x| b.contains(x)).cloned().collect()
        };
        Self {
            basis: say.basis,
            mechanism: narrower_say(say, told),
            special_basis: match (self.special_basis, told.special_basis) {
                (Some(SpecialBasis::ExplicitConsent), Some(_)) => self.special_basis,
                (Some(_), told) => told,
                (None, _) => None,
            },
            assert: self.assert || told.assert,
            confirm: self.confirm || told.confirm,
            collects: self.collects && told.collects,
            despite_restriction: self.despite_restriction && told.despite_restriction,
            handles: self.handles || told.handles,
            callers: {
                let told = |role: &&CatalogName| told.callers.contains(role);
                self.callers.iter().filter(told).cloned().collect()
            },
            recipients: both(&self.recipients, &told.recipients),
            jurisdictions: match (&*self.jurisdictions, &*told.jurisdictions) {
                ([], told) => told.to_vec(),
                (declared, []) => declared.to_vec(),
                (declared, told) => both(declared, told),
            },
            retention_days: least(self.retention_days, told.retention_days),
            expires: least(self.expires, told.expires),
            hears: self.hears.within(&told.hears),
            grants: self.grants_within(told),
        }
    }

    fn grants_within(&self, told: &Self) -> BTreeMap<u16, BTreeMap<FieldNumber, Form>> {
        let of_type = |(record_type, forms): (&u16, &BTreeMap<FieldNumber, Form>)| {
            let shown = forms.iter().filter_map(|(field, form)| {
                let told = told.ceiling(*record_type, *field)?;
                let form = if form.is_within(told) { *form } else { told };
                Some((*field, form))
            });
            (*record_type, shown.collect::<BTreeMap<_, _>>())
        };
        let grants = self.grants.iter().map(of_type);
        grants.filter(|(_, forms)| !forms.is_empty()).collect()
    }

    /// Reads the keys of a scope out of a table; what else is in it stays.
    pub(super) fn read(
        table: &mut Section<'_>,
        types: &BTreeMap<CatalogName, Arc<RecordType>>,
    ) -> Result<Self> {
        let basis = table.need("basis")?.parsed(Basis::RULE, Basis::parse)?;
        let special_basis = table.take("special_basis");
        let special_basis = special_basis
            .map(|e| e.parsed(SpecialBasis::RULE, SpecialBasis::parse))
            .transpose()?;
        let entry = table.need("mechanism")?;
        let mechanism = entry.parsed(Mechanism::RULE, Mechanism::parse)?;
        if (basis == Basis::Consent) != (mechanism == Mechanism::OptIn) {
            return Err(entry
                .wrong("must be opt_in where the basis is consent, and only there (art. 4(11))"));
        }
        let consents = basis == Basis::Consent;
        let assert = flag(table, "assert", false, |_| {
            consents.then_some("is for other bases than consent, which is always given")
        })?;
        let confirm = flag(table, "confirm", false, |_| {
            (!consents).then_some("is for purposes that need consent")
        })?;
        let collects = flag(table, "collects", true, |_| None)?;
        let despite_restriction = flag(table, "despite_restriction", false, |on| {
            (on && consents)
                .then_some("is for the exceptions of art. 18(2) that need no consent; leave it out")
        })?;
        let handles = flag(table, "handles", false, |_| None)?;
        let hears = Hears::read(table, mechanism)?;
        let grants = read_all_grants(table.need("grants")?, types, special_basis.is_some());
        Ok(Self {
            basis,
            special_basis,
            mechanism,
            assert,
            confirm,
            collects,
            despite_restriction,
            handles,
            callers: table
                .need("callers")?
                .list("must be role names", CatalogName::parse)?,
            recipients: texts(table, "recipients", "must be texts in quotes", |t| {
                (1..=limits::TITLE_BYTES).contains(&t.len())
            })?,
            jurisdictions: texts(
                table,
                "jurisdictions",
                "must be two capital letters (ISO 3166-1), EU or EEA",
                is_jurisdiction,
            )?,
            retention_days: table
                .take("retention_days")
                .map(|e| e.number(1, limits::RETENTION_DAYS.into()))
                .transpose()?
                .and_then(|days| u32::try_from(days).ok()),
            expires: table.take("expires").map(|e| read_day(&e)).transpose()?,
            hears,
            grants: grants?,
        })
    }
}

/// Two capital letters (ISO 3166-1), `EU` or `EEA`.
pub fn is_jurisdiction(text: &str) -> bool {
    (text.len() == 2 || text == "EEA") && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// The customer's say that lets them do more; opt-in comes with its basis.
fn narrower_say(of: &Scope, told: &Scope) -> Mechanism {
    match (of.mechanism, told.mechanism) {
        (Mechanism::NoticeOnly, Mechanism::OptOut) => Mechanism::OptOut,
        (say, _) => say,
    }
}

/// The smaller bound; none is no bound.
fn least<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

pub(super) fn flag(
    table: &mut Section<'_>,
    key: &str,
    otherwise: bool,
    refuse: impl Fn(bool) -> Option<&'static str>,
) -> Result<bool> {
    let Some(entry) = table.take(key) else {
        return Ok(otherwise);
    };
    let on = entry.flag()?;
    match refuse(on) {
        Some(why) => Err(entry.wrong(why)),
        None => Ok(on),
    }
}

fn texts(
    table: &mut Section<'_>,
    key: &str,
    rule: &str,
    holds: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let list = table
        .take(key)
        .map(|entry| entry.list(rule, |text| holds(text).then(|| text.to_owned())));
    Ok(list.transpose()?.unwrap_or_default())
}

/// A date of the catalog, as a day.
pub(super) fn read_day(entry: &Entry<'_>) -> Result<Day> {
    let (year, month, day) = entry.date()?;
    let day = Date::new(year, month, day).and_then(Date::to_day);
    day.ok_or_else(|| entry.wrong("must be a date that exists"))
}

fn read_all_grants(
    entry: Entry<'_>,
    types: &BTreeMap<CatalogName, Arc<RecordType>>,
    special_allowed: bool,
) -> Result<BTreeMap<u16, BTreeMap<FieldNumber, Form>>> {
    let mut grants = BTreeMap::new();
    for (key, entry) in entry.section()?.each() {
        let Some(record_type) = types.get(key.as_str()) else {
            return Err(entry.wrong("is not a record type of this catalog"));
        };
        let forms = read_grants(entry, record_type, special_allowed)?;
        grants.insert(record_type.number, forms);
    }
    Ok(grants)
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
