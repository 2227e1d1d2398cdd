//! Every key that opens, from the provider downwards. Each row of each copy is
//! tried with every key that could be its parent, since a page may have had
//! many keys and a copy may be from any time.

use super::Found;
use crate::crypto::{
    Deployment, FieldKey, IdentityKey, IndexPageKey, IndexPageKeys, MasterKey, PageKey, WrapContext,
};
use crate::error::{Error, Result, Unavailable};
use crate::keys::Providers;
use crate::store::PageKind;
use crate::store::sqlite::{Loot, LootKey, LootPage};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A page key that opened, with its generation.
struct OpenPage {
    generation: u32,
    key: PageKey,
}

/// The keys that opened.
pub struct Closure {
    deployment: Deployment,
    /// Wrapped keys that were opened already: copies repeat each other.
    seen: HashSet<Vec<u8>>,
    masters: Vec<(u32, MasterKey)>,
    pages: HashMap<u64, Vec<OpenPage>>,
    index: HashMap<u64, Vec<(u32, IndexPageKeys)>>,
    identities: BTreeMap<u64, IdentityKey>,
    fields: BTreeMap<(u64, u32), FieldKey>,
}

impl Closure {
    /// Nothing yet.
    pub fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            seen: HashSet::new(),
            masters: Vec::new(),
            pages: HashMap::new(),
            index: HashMap::new(),
            identities: BTreeMap::new(),
            fields: BTreeMap::new(),
        }
    }

    fn place(&self) -> WrapContext {
        WrapContext {
            deployment: self.deployment,
            tenant: 0,
            number: 0,
            generation: 0,
            page: 0,
            page_generation: 0,
            epoch: 0,
        }
    }

    /// Asks the providers for every master key of a copy. A provider that
    /// cannot be asked is an error: it must not look like a key that is gone.
    pub fn masters(&mut self, copy: &Loot, providers: &Providers) -> Result<()> {
        for (epoch, key) in copy.masters()? {
            let Some(provider) = providers.of_kind(&key.provider) else {
                continue;
            };
            if !self.seen.insert(key.wrapped.clone()) {
                continue;
            }
            let place = WrapContext {
                epoch,
                ..self.place()
            };
            match provider.unwrap(&key.name, &place, &key.wrapped) {
                Ok(master) => self.masters.push((epoch, master)),
                Err(Error::Unavailable(Unavailable::KeyProvider)) => {
                    return Err(Error::Unavailable(Unavailable::KeyProvider));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Epochs whose master key opened.
    pub fn epochs(&self) -> BTreeSet<u32> {
        self.masters.iter().map(|(epoch, _)| *epoch).collect()
    }

    /// Page keys and keys of index pages that opened.
    pub fn page_counts(&self) -> (usize, usize) {
        let customers = self.pages.values().map(Vec::len).sum();
        (customers, self.index.values().map(Vec::len).sum())
    }

    /// Opens the pages of a copy.
    pub fn pages(&mut self, copy: &Loot) -> Result<()> {
        for page in copy.pages()? {
            if !self.seen.contains(&page.row.wrapped) {
                self.page(page);
            }
        }
        Ok(())
    }

    fn page(&mut self, page: LootPage) {
        let LootPage { kind, tenant, row } = page;
        let place = WrapContext {
            tenant: tenant.0,
            page: row.page,
            page_generation: row.generation,
            epoch: row.epoch,
            ..self.place()
        };
        let masters = self.masters.iter();
        match kind {
            PageKind::Customers => {
                let key = masters
                    .filter_map(|(_, master)| {
                        PageKey::unwrap_from(master, &place, &row.wrapped).ok()
                    })
                    .next();
                if let Some(key) = key {
                    let generation = row.generation;
                    self.pages
                        .entry(row.page)
                        .or_default()
                        .push(OpenPage { generation, key });
                    self.seen.insert(row.wrapped);
                }
            }
            PageKind::Index => {
                let key = masters
                    .filter_map(|(_, master)| {
                        IndexPageKey::unwrap_from(master, &place, &row.wrapped).ok()
                    })
                    .next();
                if let Some(key) = key {
                    let keys = (tenant.0, key.subkeys());
                    self.index.entry(row.page).or_default().push(keys);
                    self.seen.insert(row.wrapped);
                }
            }
        }
    }

    /// Opens the customers' keys of a copy.
    pub fn customers(&mut self, at: usize, copy: &Loot, found: &mut Found) -> Result<()> {
        copy.customer_keys(|key| {
            let customer = key.customer.0;
            if self.customer(&key) {
                found.customers.entry(customer).or_default().keys.insert(at);
            }
        })
    }

    fn customer(&mut self, key: &LootKey) -> bool {
        let customer = key.customer;
        for page in self.pages.get(&customer.page()).into_iter().flatten() {
            let place = WrapContext {
                tenant: key.tenant.0,
                number: customer.0,
                generation: key.generation,
                page: customer.page(),
                page_generation: page.generation,
                ..self.place()
            };
            if key.generation == 0 {
                if let Ok(open) = IdentityKey::unwrap_from(&page.key, &place, &key.wrapped) {
                    self.identities.insert(customer.0, open);
                    return true;
                }
            } else if let Ok(open) = FieldKey::unwrap_from(&page.key, &place, &key.wrapped) {
                self.fields.insert((customer.0, key.generation), open);
                return true;
            }
        }
        false
    }

    /// Which vault is attacked.
    pub fn deployment(&self) -> Deployment {
        self.deployment
    }

    /// A customer's identity key.
    pub fn identity(&self, customer: u64) -> Option<&IdentityKey> {
        self.identities.get(&customer)
    }

    /// A customer's field key.
    pub fn field(&self, customer: u64, generation: u32) -> Option<&FieldKey> {
        self.fields.get(&(customer, generation))
    }

    /// Keys that an index page had, with its tenant.
    pub fn index(&self, page: u64) -> impl Iterator<Item = &(u32, IndexPageKeys)> {
        self.index.get(&page).into_iter().flatten()
    }
}
