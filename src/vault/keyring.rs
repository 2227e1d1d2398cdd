//! The keys in memory: master keys and tenants' keys while unsealed, page keys
//! as they are needed. A customer's keys are never kept: unwrapping costs
//! microseconds, and so no cache outlives a shred. They are let go of
//! together; what a call under way still holds goes with that call.

use super::last_used::LastUsed;
use crate::access::{Facts, Moment};
use crate::clock::Day;
use crate::crypto::{
    ConsentKeys, Deployment, FieldKey, FieldKeys, IdentityKey, IdentityKeys, IndexPageKey,
    IndexPageKeys, MasterKey, PageKey, ReaderKeys, TenantKey, TenantKeys, WrapContext,
};
use crate::error::{Error, Lost, Result, Rule, Unavailable};
use crate::id::{CustomerNumber, TenantName, TenantNumber};
use crate::limits;
use crate::secret::Key32;
use crate::store::{CustomerKeys, CustomerRow, KeyRow, NewPage, PageRow, TenantRow};
use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

const SEALED: Error = Error::Unavailable(Unavailable::Sealed);

/// The key tree, as far as it is unsealed.
pub struct Keyring {
    deployment: Deployment,
    unsealed: ArcSwapOption<Unsealed>,
    /// The last restore that could not be proven complete.
    lineage: AtomicU32,
    used: Arc<LastUsed>,
}

/// What is in memory while the vault is unsealed.
#[derive(Clone)]
pub(super) struct Unsealed {
    masters: BTreeMap<u32, Arc<MasterKey>>,
    tenants: HashMap<TenantName, Arc<Tenant>>,
    pages: Arc<Pages>,
}

/// Page keys that were needed.
struct Pages {
    customers: Cache<PageKey>,
    index: Cache<IndexPageKeys>,
}

/// A tenant, with the keys of its index.
pub struct Tenant {
    /// Its number.
    pub number: TenantNumber,
    /// The keys under its key.
    pub keys: TenantKeys,
}

/// Unwrapped page keys, each beside the row that it was unwrapped from: a row
/// that differs in a single byte is unwrapped again.
struct Cache<K>(RwLock<HashMap<u64, (PageRow, Arc<K>)>>);

impl<K> Cache<K> {
    fn new() -> Self {
        Self(RwLock::new(HashMap::new()))
    }

    fn get(&self, row: &PageRow, unwrap: impl FnOnce() -> Result<K>) -> Result<Arc<K>> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = kept.get(&row.page)
            && of == row
        {
            return Ok(Arc::clone(key));
        }
        drop(kept);
        let key = Arc::new(unwrap()?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::PAGE_KEYS_CACHED {
            kept.clear();
        }
        kept.insert(row.page, (row.clone(), Arc::clone(&key)));
        Ok(key)
    }
}

/// A customer's identity key in use, with the way to their field keys.
pub struct CustomerKeyring {
    /// Which customer.
    pub customer: CustomerNumber,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// The keys under the identity key.
    pub identity: IdentityKeys,
    /// The newest generation.
    pub generation: u32,
    root: IdentityKey,
    page: Arc<PageKey>,
    place: WrapContext,
    fields: Vec<KeyRow>,
    compromised: u32,
    used: Arc<LastUsed>,
}

impl Keyring {
    /// A sealed keyring.
    pub fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            unsealed: ArcSwapOption::empty(),
            lineage: AtomicU32::new(0),
            used: Arc::new(LastUsed::new()),
        }
    }

    /// Unseals: from here on these master keys, by epoch, open everything.
    pub fn unseal(&self, masters: BTreeMap<u32, MasterKey>) {
        let masters = masters.into_iter();
        self.unsealed.store(Some(Arc::new(Unsealed {
            masters: masters.map(|(epoch, key)| (epoch, Arc::new(key))).collect(),
            tenants: HashMap::new(),
            pages: Arc::new(Pages {
                customers: Cache::new(),
                index: Cache::new(),
            }),
        })));
    }

    /// What customers' states are judged by on a day.
    pub fn at(&self, today: Day) -> Moment {
        Moment {
            today,
            lineage: self.lineage.load(Ordering::Acquire),
        }
    }

    /// From here on consent that is older than this restore, in seconds since
    /// 1970, is not relied on.
    pub fn doubt_consent_before(&self, restore: i64) {
        let restore = u32::try_from(restore).unwrap_or(u32::MAX);
        self.lineage.store(restore, Ordering::Release);
    }

    /// Adds the master key of a new epoch, which wraps from here on.
    pub fn open_epoch(&self, epoch: u32, master: MasterKey) -> Result<()> {
        let master = Arc::new(master);
        self.change(|open| {
            open.masters.insert(epoch, Arc::clone(&master));
        })
    }

    /// Lets go of the master key of an epoch that is closed.
    pub fn forget_epoch(&self, epoch: u32) -> Result<()> {
        self.change(|open| {
            open.masters.remove(&epoch);
        })
    }

    /// Lets go of every key.
    pub fn seal(&self) {
        self.unsealed.store(None);
    }

    /// From here on these are the tenants.
    pub fn set_tenants(&self, rows: Vec<TenantRow>) -> Result<()> {
        let mut tenants = HashMap::new();
        for row in rows {
            let keys = self.tenant_keys(&row)?;
            let number = row.tenant;
            tenants.insert(row.name, Arc::new(Tenant { number, keys }));
        }
        self.change(|open| open.tenants.clone_from(&tenants))
    }

    /// A tenant that was made ready at start or reload.
    pub fn tenant(&self, name: &TenantName) -> Result<Arc<Tenant>> {
        let unsealed = self.unsealed()?;
        let tenant = unsealed.tenants.get(name).cloned();
        tenant.ok_or(Error::Internal("a principal of an unknown tenant"))
    }

    /// The tenant of a number, with its name.
    pub fn tenant_numbered(&self, number: TenantNumber) -> Result<(TenantName, Arc<Tenant>)> {
        let unsealed = self.unsealed()?;
        let mut tenants = unsealed.tenants.iter();
        let found = tenants.find(|(_, tenant)| tenant.number == number);
        found
            .map(|(name, tenant)| (name.clone(), Arc::clone(tenant)))
            .ok_or(Error::Internal("a customer of an unknown tenant"))
    }

    /// How many tenants there are.
    pub fn tenant_count(&self) -> Result<usize> {
        Ok(self.unsealed()?.tenants.len())
    }

    fn change(&self, change: impl Fn(&mut Unsealed)) -> Result<()> {
        let before = self.unsealed.rcu(|unsealed| {
            let mut unsealed = Unsealed::clone(unsealed.as_deref()?);
            change(&mut unsealed);
            Some(Arc::new(unsealed))
        });
        before.map(|_| ()).ok_or(SEALED)
    }

    pub(super) fn unsealed(&self) -> Result<Arc<Unsealed>> {
        self.unsealed.load_full().ok_or(SEALED)
    }

    /// When keys were last used.
    pub(super) fn used(&self) -> &LastUsed {
        &self.used
    }

    /// Which vault this is.
    pub fn deployment(&self) -> Deployment {
        self.deployment
    }

    /// The epoch that new keys are wrapped under, and its master key.
    pub(super) fn newest(&self) -> Result<(u32, Arc<MasterKey>)> {
        let unsealed = self.unsealed()?;
        let newest = unsealed.masters.last_key_value();
        newest
            .map(|(epoch, master)| (*epoch, Arc::clone(master)))
            .ok_or(SEALED)
    }

    /// The key for notes that die with an epoch; `None` once it is closed.
    pub fn notes(&self, epoch: u32) -> Result<Option<Key32>> {
        let unsealed = self.unsealed()?;
        Ok(unsealed.masters.get(&epoch).map(|master| master.notes()))
    }

    /// The newest epoch, and its key for what services are told.
    pub fn newest_events(&self) -> Result<(u32, Key32)> {
        let (epoch, master) = self.newest()?;
        Ok((epoch, master.events()))
    }

    /// The same key of an epoch; `None` once it is closed.
    pub fn events(&self, epoch: u32) -> Result<Option<Key32>> {
        let unsealed = self.unsealed()?;
        Ok(unsealed.masters.get(&epoch).map(|master| master.events()))
    }

    /// The wrap context of a page's own key.
    pub(super) fn page_place(
        &self,
        tenant: u32,
        page: u64,
        generation: u32,
        epoch: u32,
    ) -> WrapContext {
        WrapContext {
            deployment: self.deployment,
            tenant,
            number: 0,
            generation: 0,
            page,
            page_generation: generation,
            epoch,
        }
    }

    /// The wrap context of a tenant's key. The name is in it, shortened, so
    /// that a key opens under no other tenant's name.
    pub(super) fn tenant_place(
        &self,
        tenant: TenantNumber,
        name: &TenantName,
        epoch: u32,
    ) -> WrapContext {
        let hash: [u8; 32] = Sha256::digest(name.as_str()).into();
        let part = |at: usize| {
            let bytes = hash.iter().skip(at).take(8);
            bytes.fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        };
        WrapContext {
            number: part(0),
            ..self.page_place(tenant.0, part(8), 0, epoch)
        }
    }

    /// A new tenant's key, wrapped.
    pub fn new_tenant(&self, tenant: TenantNumber, name: &TenantName) -> Result<(u32, Vec<u8>)> {
        let (epoch, master) = self.newest()?;
        let place = self.tenant_place(tenant, name, epoch);
        Ok((epoch, TenantKey::generate()?.wrap_under(&master, &place)?))
    }

    fn tenant_keys(&self, row: &TenantRow) -> Result<TenantKeys> {
        let place = self.tenant_place(row.tenant, &row.name, row.epoch);
        let unsealed = self.unsealed()?;
        TenantKey::unwrap_from(unsealed.master(row.epoch)?, &place, &row.wrapped)
            .map(|key| key.subkeys())
            .map_err(|_| Error::DataLoss(Lost::Key))
    }

    /// A new page for customers' keys.
    pub fn new_customer_page(&self, page: u64) -> Result<NewPage> {
        let (epoch, master) = self.newest()?;
        let wrapped =
            PageKey::generate()?.wrap_under(&master, &self.page_place(0, page, 1, epoch))?;
        Ok(new_page(page, epoch, wrapped, None, false))
    }

    /// A new page of a tenant's index. `dirty`: it takes over a row that must
    /// be gone when its epoch is closed.
    pub fn new_index_page(&self, tenant: TenantNumber, page: u64, dirty: bool) -> Result<NewPage> {
        let (epoch, master) = self.newest()?;
        let place = self.page_place(tenant.0, page, 1, epoch);
        let wrapped = IndexPageKey::generate()?.wrap_under(&master, &place)?;
        Ok(new_page(page, epoch, wrapped, Some(tenant), dirty))
    }

    fn customer_page(&self, row: &PageRow) -> Result<Arc<PageKey>> {
        let unsealed = self.unsealed()?;
        self.used.epoch(row.epoch);
        unsealed.pages.customers.get(row, || {
            let place = self.page_place(0, row.page, row.generation, row.epoch);
            PageKey::unwrap_from(unsealed.master(row.epoch)?, &place, &row.wrapped)
                .map_err(|_| Error::DataLoss(Lost::Key))
        })
    }

    /// The keys of an index page.
    pub fn index_page(&self, tenant: TenantNumber, row: &PageRow) -> Result<Arc<IndexPageKeys>> {
        let unsealed = self.unsealed()?;
        self.used.epoch(row.epoch);
        unsealed.pages.index.get(row, || {
            let place = self.page_place(tenant.0, row.page, row.generation, row.epoch);
            IndexPageKey::unwrap_from(unsealed.master(row.epoch)?, &place, &row.wrapped)
                .map(|key| key.subkeys())
                .map_err(|_| Error::DataLoss(Lost::Key))
        })
    }

    /// The wrap context of a customer's keys. The epoch is not in it: the rows
    /// of a clean page outlive their epoch as they are.
    pub(super) fn customer_place(
        &self,
        tenant: TenantNumber,
        customer: CustomerNumber,
        page: &PageRow,
    ) -> WrapContext {
        WrapContext {
            deployment: self.deployment,
            tenant: tenant.0,
            number: customer.0,
            generation: 0,
            page: page.page,
            page_generation: page.generation,
            epoch: 0,
        }
    }

    /// A new customer's two keys: wrapped under `page`, and ready for use.
    pub fn new_customer(
        &self,
        tenant: TenantNumber,
        customer: CustomerNumber,
        page: &PageRow,
    ) -> Result<(Vec<u8>, Vec<u8>, CustomerKeyring)> {
        let page_key = self.customer_page(page)?;
        let place = self.customer_place(tenant, customer, page);
        let identity = IdentityKey::generate()?;
        let wrapped_identity = identity.wrap_under(&page_key, &place)?;
        let of_first = WrapContext {
            generation: 1,
            ..place
        };
        let wrapped_field = FieldKey::generate()?.wrap_under(&page_key, &of_first)?;
        let keyring = CustomerKeyring {
            customer,
            tenant,
            identity: identity.subkeys(),
            root: identity,
            generation: 1,
            page: page_key,
            place,
            fields: vec![KeyRow {
                generation: 1,
                wrapped: wrapped_field.clone(),
            }],
            compromised: 0,
            used: Arc::clone(&self.used),
        };
        Ok((wrapped_identity, wrapped_field, keyring))
    }

    /// A customer's keys as they were just read. CUSTOMER_ERASED where a fence
    /// stands in their place.
    pub fn customer(
        &self,
        customer: CustomerNumber,
        rows: CustomerKeys,
    ) -> Result<CustomerKeyring> {
        if rows.fence.is_some() {
            return Err(Error::CustomerErased);
        }
        let (Some(tenant), Some(identity), Some(page)) = (rows.tenant, rows.identity, rows.page)
        else {
            tracing::error!("a customer in the index has no keys and no fence");
            return Err(Error::DataLoss(Lost::Key));
        };
        let generation = rows.fields.last().map_or(0, |key| key.generation);
        let page_key = self.customer_page(&page)?;
        let place = self.customer_place(tenant, customer, &page);
        let identity = IdentityKey::unwrap_from(&page_key, &place, &identity.wrapped)
            .map_err(|_| Error::DataLoss(Lost::Key))?;
        Ok(CustomerKeyring {
            customer,
            tenant,
            identity: identity.subkeys(),
            root: identity,
            generation,
            page: page_key,
            place,
            fields: rows.fields,
            compromised: rows.compromised,
            used: Arc::clone(&self.used),
        })
    }
}

impl Unsealed {
    pub(super) fn master(&self, epoch: u32) -> Result<&MasterKey> {
        self.masters.get(&epoch).map(AsRef::as_ref).ok_or_else(|| {
            tracing::error!(epoch, "a row is wrapped under an epoch that is not open");
            Error::DataLoss(Lost::Key)
        })
    }
}

impl CustomerKeyring {
    /// The customer's state and who they are, checked before anything is opened.
    ///
    /// # Errors
    /// [`Lost::State`] where the state's MAC is not this customer's.
    pub fn facts(&self, row: &CustomerRow) -> Result<Facts> {
        Facts::verify(
            &row.state,
            &row.state_mac,
            &self.identity.state,
            self.customer,
        )
    }

    /// The key of what the customer asked of us.
    pub fn requests(&self) -> Key32 {
        self.root.requests()
    }

    /// The key of where values came from.
    pub fn origins(&self) -> Key32 {
        self.root.origins()
    }

    /// The keys for who read the customer's data.
    pub fn readers(&self) -> ReaderKeys {
        self.root.readers()
    }

    /// The keys for what the customer says, and for their handles.
    pub fn consent(&self) -> ConsentKeys {
        self.root.consent()
    }

    /// The keys under the field key of a generation; `None` where the customer
    /// has no such generation any more. KEY_COMPROMISED where nothing under it
    /// is read or kept until it is re-encrypted.
    pub fn field(&self, generation: u32) -> Result<Option<FieldKeys>> {
        if (1..=self.compromised).contains(&generation) {
            return Err(Error::denied(Rule::KeyCompromised));
        }
        self.used.generation(generation);
        self.any_field(generation)
    }

    /// How many generations there are.
    pub fn generations(&self) -> usize {
        self.fields.len()
    }

    /// The field key of the next generation, wrapped; and which that is.
    pub fn next_field(&self) -> Result<(u32, Vec<u8>)> {
        let generation = self.generation.checked_add(1);
        let generation = generation.ok_or(Error::TooMuch("generations of a field key"))?;
        let place = WrapContext {
            generation,
            ..self.place
        };
        let wrapped = FieldKey::generate()?.wrap_under(&self.page, &place)?;
        Ok((generation, wrapped))
    }

    /// The same as [`Self::field`] for the re-encryption itself.
    pub fn any_field(&self, generation: u32) -> Result<Option<FieldKeys>> {
        let Some(row) = self.fields.iter().find(|key| key.generation == generation) else {
            return Ok(None);
        };
        let place = WrapContext {
            generation,
            ..self.place
        };
        FieldKey::unwrap_from(&self.page, &place, &row.wrapped)
            .map(|key| Some(key.subkeys()))
            .map_err(|_| Error::DataLoss(Lost::Key))
    }
}

fn new_page(
    page: u64,
    epoch: u32,
    wrapped: Vec<u8>,
    tenant: Option<TenantNumber>,
    dirty: bool,
) -> NewPage {
    NewPage {
        row: PageRow {
            page,
            generation: 1,
            epoch,
            wrapped,
        },
        tenant,
        dirty,
    }
}
