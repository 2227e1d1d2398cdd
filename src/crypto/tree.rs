//! The key tree: provider key, master key, page key, a customer's two keys.
//! Every kind of key has its own type, and that type's kind is in the context
//! of its wrap, so no key can be unwrapped as one of another kind.

use super::DoesNotOpen;
use super::context::WrapContext;
use super::derive::{Prk, expand_keys};
use super::label::{self, KeyKind};
use super::mac::MacKey;
use super::manifest::ManifestKey;
use super::message::{open_under, seal_under};
use super::random::random_key;
use super::record::RecordKey;
use crate::error::{Error, Unavailable};
use crate::secret::{Key32, SecretBytes};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The key of an epoch. In memory while unsealed, else only wrapped by the
/// provider key. Its wrapping key is derived once.
pub struct MasterKey {
    key: Key32,
    wrapping: Prk,
}

/// The key of a page: wraps the keys of up to 256 customers. Its wrapping key
/// is derived once, so that unwrapping a customer's key is one message opened.
pub struct PageKey {
    key: Key32,
    wrapping: Prk,
}

/// The key of one page of the customer index.
pub struct IndexPageKey(Key32);

/// The key of a tenant's index and cursors.
pub struct TenantKey(Key32);

/// A customer's key for life: what an immutable log or a signed chain commits
/// to hangs on it.
pub struct IdentityKey(Key32);

/// A customer's key of one generation: field values and record manifests.
pub struct FieldKey(Key32);

/// The keys under an identity key, one for each use.
pub struct IdentityKeys {
    /// MACs the customer's state.
    pub state: MacKey,
    /// Finds a record by the caller's id.
    pub record_locator: MacKey,
    /// Tags the audit entries that are about the customer.
    pub audit_tag: MacKey,
    /// Seals the details of those entries.
    pub audit_detail: Key32,
    /// Finds the customer's history, slot by slot.
    pub history_locator: MacKey,
    /// Masks the entry's number in a history row.
    pub history_mask: MacKey,
    /// Seals the caller's ids of the customer and their records.
    pub ids: Key32,
    /// Tells whether a repeated request has the same content.
    pub request_digest: MacKey,
}

/// The keys under an identity key that few calls need.
pub struct ConsentKeys {
    /// Seals events of consent.
    pub events: Key32,
    /// Makes the customer's handles, one for each purpose.
    pub handles: MacKey,
    /// Hashes what proves a consent.
    pub evidence: MacKey,
}

/// The keys under an identity key that say who read the customer's data.
pub struct ReaderKeys {
    /// Finds a reader's row.
    pub locator: MacKey,
    /// Seals it.
    pub row: Key32,
}

/// The keys under a field key.
pub struct FieldKeys {
    /// Seals groups of fields.
    pub record: RecordKey,
    /// MACs manifests.
    pub manifest: ManifestKey,
}

/// The keys under an index page key.
pub struct IndexPageKeys {
    /// Tags rows.
    pub tag: MacKey,
    /// Seals rows.
    pub body: Key32,
}

/// The keys under a tenant key.
pub struct TenantKeys {
    /// Blinds customer ids.
    pub index: MacKey,
    /// Seals cursors and page tokens.
    pub cursor: Key32,
}

/// A key that wraps others.
trait Parent {
    fn wrapping(&self) -> &Prk;
}

macro_rules! wrapped {
    ($key:ty, $kind:ident, under $parent:ty) => {
        impl $key {
            /// A new random key. Fails with [`Error::Internal`] where the
            /// operating system gives no randomness.
            pub fn generate() -> Result<Self, Error> {
                random_key().map(Self::from_key)
            }

            /// Wraps the key under its parent, to be unwrapped only at
            /// `context`. Fails as [`Self::generate`] does.
            pub fn wrap_under(
                &self,
                parent: &$parent,
                context: &WrapContext,
            ) -> Result<Vec<u8>, Error> {
                let context = context.bytes(KeyKind::$kind);
                seal_under(parent.wrapping(), &context, self.key().expose())
            }

            /// Unwraps what [`Self::wrap_under`] made.
            pub fn unwrap_from(
                parent: &$parent,
                context: &WrapContext,
                stored: &[u8],
            ) -> Result<Self, DoesNotOpen> {
                let context = context.bytes(KeyKind::$kind);
                let bytes = open_under(parent.wrapping(), &context, stored)?;
                let mut key = <[u8; 32]>::try_from(bytes.expose()).map_err(|_| DoesNotOpen)?;
                Ok(Self::from_key(Key32::take(&mut key)))
            }
        }
    };
}

/// A provider that hands out its key, such as the file provider, is a parent
/// by that key.
impl Parent for Prk {
    fn wrapping(&self) -> &Prk {
        self
    }
}

impl Parent for MasterKey {
    fn wrapping(&self) -> &Prk {
        &self.wrapping
    }
}

impl Parent for PageKey {
    fn wrapping(&self) -> &Prk {
        &self.wrapping
    }
}

wrapped!(MasterKey, Master, under Prk);
wrapped!(PageKey, Page, under MasterKey);
wrapped!(IndexPageKey, IndexPage, under MasterKey);
wrapped!(TenantKey, Tenant, under MasterKey);
wrapped!(IdentityKey, Identity, under PageKey);
wrapped!(FieldKey, Field, under PageKey);

impl MasterKey {
    pub(super) fn from_key(key: Key32) -> Self {
        let [wrapping] = expand_keys(&key, label::MASTER);
        let wrapping = Prk::new(&wrapping);
        Self { key, wrapping }
    }

    fn key(&self) -> &Key32 {
        &self.key
    }

    /// The key that seals what must be readable until the epoch is closed, and
    /// by nobody afterwards.
    pub fn notes(&self) -> Key32 {
        let [notes] = expand_keys(&self.key, label::NOTES);
        notes
    }

    /// The key that seals what services are told, until they have heard it.
    pub fn events(&self) -> Key32 {
        let [events] = expand_keys(&self.key, label::EVENTS);
        events
    }

    /// Wraps the key by a provider that keeps its own key to itself. `seal`
    /// gets the context's bytes, to be bound as associated data, and the key.
    pub fn wrap_with<T>(
        &self,
        context: &WrapContext,
        seal: impl FnOnce(&[u8], Key32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut copy = Zeroizing::new(*self.key.expose());
        seal(&context.bytes(KeyKind::Master), Key32::take(&mut copy))
    }

    /// Unwraps what [`Self::wrap_with`] made: `open` gets the context's bytes
    /// and answers what the provider opened. Fails with
    /// [`Unavailable::KeyProvider`] where that cannot be a master key.
    pub fn unwrap_with(
        context: &WrapContext,
        open: impl FnOnce(&[u8]) -> Result<SecretBytes, Error>,
    ) -> Result<Self, Error> {
        let opened = open(&context.bytes(KeyKind::Master))?;
        let key = <[u8; 32]>::try_from(opened.expose());
        let key = key.map_err(|_| Error::Unavailable(Unavailable::KeyProvider))?;
        Ok(Self::from_key(Key32::take(&mut Zeroizing::new(key))))
    }

    /// Whether both are the same key; takes the same time either way.
    pub fn is(&self, other: &Self) -> bool {
        self.key.expose().ct_eq(other.key.expose()).into()
    }
}

impl PageKey {
    pub(super) fn from_key(key: Key32) -> Self {
        let [wrapping] = expand_keys(&key, label::PAGE);
        let wrapping = Prk::new(&wrapping);
        Self { key, wrapping }
    }

    fn key(&self) -> &Key32 {
        &self.key
    }
}

macro_rules! plain {
    ($($key:ty),*) => {$(
        impl $key {
            pub(super) fn from_key(key: Key32) -> Self {
                Self(key)
            }

            fn key(&self) -> &Key32 {
                &self.0
            }
        }
    )*};
}
plain!(IndexPageKey, TenantKey, IdentityKey, FieldKey);

impl IndexPageKey {
    /// The keys for the page's two uses, from one expansion.
    pub fn subkeys(&self) -> IndexPageKeys {
        let [tag, body] = expand_keys(&self.0, label::INDEX_PAGE);
        let tag = MacKey::new(tag);
        IndexPageKeys { tag, body }
    }
}

impl TenantKey {
    /// The keys for the tenant's two uses, from one expansion.
    pub fn subkeys(&self) -> TenantKeys {
        let [index, cursor] = expand_keys(&self.0, label::TENANT);
        let index = MacKey::new(index);
        TenantKeys { index, cursor }
    }
}

impl IdentityKey {
    /// The keys for all that hangs on the customer's identity, from one
    /// expansion.
    pub fn subkeys(&self) -> IdentityKeys {
        let [
            state,
            record_locator,
            audit_tag,
            audit_detail,
            history_locator,
            history_mask,
            ids,
            request_digest,
        ] = expand_keys(&self.0, label::IDENTITY);
        IdentityKeys {
            state: MacKey::new(state),
            record_locator: MacKey::new(record_locator),
            audit_tag: MacKey::new(audit_tag),
            audit_detail,
            history_locator: MacKey::new(history_locator),
            history_mask: MacKey::new(history_mask),
            ids,
            request_digest: MacKey::new(request_digest),
        }
    }
}

impl IdentityKey {
    /// The key that seals what a person asked of us.
    pub fn requests(&self) -> Key32 {
        let [requests] = expand_keys(&self.0, label::REQUESTS);
        requests
    }

    /// The key that seals where values came from.
    pub fn origins(&self) -> Key32 {
        let [origins] = expand_keys(&self.0, label::ORIGINS);
        origins
    }

    /// The keys for who read the customer's data.
    pub fn readers(&self) -> ReaderKeys {
        let [locator, row] = expand_keys(&self.0, label::READERS);
        let locator = MacKey::new(locator);
        ReaderKeys { locator, row }
    }

    /// The keys for what the customer says, and for their handles, from the
    /// second expansion.
    pub fn consent(&self) -> ConsentKeys {
        let [events, handles, _tokens, _lifecycle, evidence] =
            expand_keys(&self.0, label::IDENTITY_2);
        ConsentKeys {
            events,
            handles: MacKey::new(handles),
            evidence: MacKey::new(evidence),
        }
    }
}

impl FieldKey {
    /// The keys for the generation's two uses, from one expansion.
    pub fn subkeys(&self) -> FieldKeys {
        let [record, manifest] = expand_keys(&self.0, label::FIELD);
        FieldKeys {
            record: RecordKey::new(&record),
            manifest: ManifestKey::new(manifest),
        }
    }
}
