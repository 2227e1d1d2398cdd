//! The roles file: which principals there are, what they are, how much they
//! may do.
//!
//! ```toml
//! [roles]
//! support = "Answers customers"
//!
//! [principals."acme/support-desk"]
//! roles = ["support"]
//! calls_per_second = 200
//! customers_per_hour = 500
//! regions = ["DE", "EU"]
//! recipient = "the agency that sends the newsletter"
//! ```

use crate::catalog::{Entry, Section, is_jurisdiction, read_text};
use crate::error::Result;
use crate::id::{CatalogName, ServiceName, TenantName};
use crate::limits;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Who is calling. Made only from the roles file, for a caller whose
/// certificate `authn` has checked.
#[derive(Debug)]
pub struct Principal {
    name: Arc<str>,
    tenant: TenantName,
    service: ServiceName,
    roles: Vec<CatalogName>,
    quotas: Quotas,
    regions: Vec<String>,
    recipient: Option<String>,
    /// Its place in the roles file it came from.
    pub(super) number: u32,
}

/// How much a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Calls a second.
    pub calls_per_second: u32,
    /// Distinct customers an hour.
    pub customers_per_hour: u64,
}

/// A checked roles file.
#[derive(Debug)]
pub struct Roles {
    roles: BTreeMap<CatalogName, String>,
    principals: Vec<Arc<Principal>>,
    by_name: HashMap<(TenantName, ServiceName), Arc<Principal>>,
}

impl Principal {
    /// `tenant/service`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whose customers it works with.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Which service of the tenant it is.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Its roles.
    pub fn roles(&self) -> &[CatalogName] {
        &self.roles
    }

    /// Where it is: ISO 3166-1 codes, and `EU` or `EEA` where that holds.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// The recipient that it serves, where it is somebody else's: as purposes
    /// name it.
    pub fn recipient(&self) -> Option<&str> {
        self.recipient.as_deref()
    }

    /// How much it may do.
    pub fn quotas(&self) -> Quotas {
        self.quotas
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Roles {
    /// Loads and checks a roles file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        Self::parse(&path.display().to_string(), &text)
    }

    pub(super) fn parse(file: &str, text: &str) -> Result<Self> {
        let mut root = Section::parse(file, text)?;
        let mut roles = BTreeMap::new();
        for (key, entry) in root.need("roles")?.section()?.each() {
            let name = CatalogName::parse(&key)
                .ok_or_else(|| entry.wrong("must be named by a-z, then a-z 0-9 _, at most 63"))?;
            roles.insert(name, entry.text(limits::TITLE_BYTES)?.to_owned());
        }
        let listed = root.need("principals")?.section()?;
        let too_many = listed.wrong("lists more principals than the vault serves; split it");
        let mut principals = Vec::new();
        for ((key, entry), number) in listed.each().into_iter().zip(0..) {
            principals.push(Arc::new(read_principal(&key, entry, &roles, number)?));
        }
        root.finish()?;
        if principals.len() > limits::PRINCIPALS || roles.len() > limits::CATALOG_ENTRIES {
            return Err(too_many);
        }
        let named = |p: &Arc<Principal>| ((p.tenant.clone(), p.service.clone()), p.clone());
        Ok(Self {
            roles,
            by_name: principals.iter().map(named).collect(),
            principals,
        })
    }

    /// The principal of that name, if the file lists it.
    pub(super) fn find(
        &self,
        tenant: &TenantName,
        service: &ServiceName,
    ) -> Option<&Arc<Principal>> {
        self.by_name.get(&(tenant.clone(), service.clone()))
    }

    /// The same principal as this file has it; `principal` may come from the
    /// file that was in force before.
    pub(super) fn current(&self, principal: &Arc<Principal>) -> Option<&Arc<Principal>> {
        let at = usize::try_from(principal.number).ok()?;
        let same = self
            .principals
            .get(at)
            .filter(|p| Arc::ptr_eq(p, principal));
        same.or_else(|| self.find(&principal.tenant, &principal.service))
    }

    /// Whether the file declares a role.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    /// Every role with its description, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&CatalogName, &str)> {
        self.roles
            .iter()
            .map(|(name, title)| (name, title.as_str()))
    }

    /// Every principal's name with its roles, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[CatalogName])> {
        let principals = self.principals.iter();
        principals.map(|p| (&*p.name, p.roles.as_slice()))
    }

    /// Every principal, in the order of the file. Outside of this crate there is no principal
    /// to be had but by a certificate.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.principals.iter()
    }
}

fn read_principal(
    key: &str,
    entry: Entry<'_>,
    known: &BTreeMap<CatalogName, String>,
    number: u32,
) -> Result<Principal> {
    let parts = key.split_once('/');
    let parts = parts.and_then(|(t, s)| Some((TenantName::parse(t)?, ServiceName::parse(s)?)));
    let Some((tenant, service)) = parts else {
        return Err(entry.wrong("must be named \"tenant/service\", each a-z, then a-z 0-9 -"));
    };
    let mut table = entry.section()?;
    let listed = |text: &str| CatalogName::parse(text).filter(|name| known.contains_key(name));
    let roles = table
        .need("roles")?
        .list("must be roles that [roles] declares", listed)?;
    let calls = table
        .take("calls_per_second")
        .map(|e| e.number(1, u32::MAX.into()));
    let customers = table
        .take("customers_per_hour")
        .map(|e| e.number(1, u32::MAX.into()));
    let (calls, customers) = (calls.transpose()?, customers.transpose()?);
    let region = |text: &str| is_jurisdiction(text).then(|| text.to_owned());
    let rule = "must be two capital letters (ISO 3166-1), EU or EEA";
    let regions = table.take("regions").map(|e| e.list(rule, region));
    let regions = regions.transpose()?.unwrap_or_default();
    let recipient = table.take("recipient");
    let recipient = recipient
        .map(|e| e.text(limits::TITLE_BYTES).map(str::to_owned))
        .transpose()?;
    table.finish()?;
    Ok(Principal {
        name: format!("{tenant}/{service}").into(),
        tenant,
        service,
        roles,
        quotas: Quotas {
            calls_per_second: calls
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(limits::CALLS_PER_SECOND),
            customers_per_hour: customers.unwrap_or(limits::CUSTOMERS_PER_HOUR),
        },
        regions,
        recipient,
        number,
    })
}
