//! Making events of a change: one for each service and purpose that read the
//! customer's data.

use super::readers::WhoRead;
use crate::clock::{Day, Instant};
use crate::crypto::{Deployment, Label, MessageContext, message, random_bytes};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerNumber, TenantNumber};
use crate::limits;
use crate::secret::Key32;
use crate::store::{EventRow, Rows, Tidings};
use crate::vault::Vault;
use crate::vault::find::newest_keys;
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::open::handle;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Consent to a purpose was taken back.
    ConsentWithdrawn,
    /// The customer objected, or a basis ended.
    Objected,
    /// Processing is restricted.
    Restricted,
    /// The restriction was lifted.
    RestrictionLifted,
    /// Data was corrected.
    Rectified,
    /// The customer was forgotten.
    Erased,
    /// The customer was forgotten but for what is held.
    ErasedInPart,
    /// The customer's keys were replaced.
    KeyRotated,
    /// Data was deleted because its time was over.
    RetentionSwept,
}

/// A service that was told, and whether it has acknowledged all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// `tenant/service`.
    pub service: String,
    /// The day of its last acknowledgement, where nothing is left.
    pub acknowledged: Option<Day>,
}

/// What an event says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    v: u8,
    /// When it happened: microseconds since 1970.
    pub time: i64,
    /// What.
    pub kind: EventKind,
    /// The purpose's name.
    pub purpose: String,
    /// What the purpose calls the customer.
    pub handle: String,
    /// Who is told: it opens as nobody else's.
    pub service: String,
}

impl Told {
    fn seal(&self, key: &Key32, place: &[u8]) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|_| Error::Internal("an event"))?;
        message::seal(key, place, &json)
    }

    /// Opens an event under the key of its epoch.
    pub fn open(deployment: Deployment, key: &Key32, row: &EventRow) -> Result<Self> {
        let lost = Error::DataLoss(Lost::Row);
        let place = place(deployment, row.tenant, row.story);
        let opened = message::open(key, &place, &row.sealed).map_err(|_| lost.clone())?;
        let told: Self = serde_json::from_slice(opened.expose()).map_err(|_| lost.clone())?;
        (told.service == row.recipient).then_some(told).ok_or(lost)
    }

    /// The same, sealed under another epoch's key.
    pub fn again(&self, deployment: Deployment, key: &Key32, row: &EventRow) -> Result<Vec<u8>> {
        self.seal(key, &place(deployment, row.tenant, row.story))
    }
}

fn place(deployment: Deployment, tenant: TenantNumber, story: u64) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::LifecycleEvent,
        tenant: tenant.0,
        customer: 0,
        number: story,
        extra: 0,
    }
    .bytes()
}

/// What is told of a change to those who read for one of these purposes, or
/// (`None`) for any. For the change to take along: it fails where there is
/// another reader by then.
pub fn tidings(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    kind: EventKind,
    purposes: Option<&[u16]>,
    now: Instant,
) -> Result<Tidings> {
    let readers = rows.readers(keys.customer)?;
    let (epoch, key) = keyring.newest_events()?;
    let story = u64::from_be_bytes(random_bytes()?);
    let deployment = keyring.deployment();
    let place = place(deployment, keys.tenant, story);
    let mut events = Vec::new();
    for (reader, sealed) in &readers {
        let who = WhoRead::open(deployment, keys, *reader, sealed)?;
        if purposes.is_some_and(|purposes| !purposes.contains(&who.number)) {
            continue;
        }
        let told = Told {
            v: 1,
            time: now.micros(),
            kind,
            purpose: who.purpose,
            handle: handle(keys, who.number),
            service: who.service.clone(),
        };
        events.push((who.service, told.seal(&key, &place)?));
    }
    Ok(Tidings {
        customer: keys.customer,
        tenant: keys.tenant,
        readers: readers.len() as u64,
        story,
        is_kept: matches!(kind, EventKind::Erased | EventKind::ErasedInPart),
        raised: now.day(),
        epoch,
        events,
    })
}

impl Vault {
    /// Tells those who read a customer's data what happened; for a change that
    /// is on record already.
    async fn tell(&self, customer: CustomerNumber, kind: EventKind) -> Result<()> {
        for _ in 0..limits::REVISION_RETRIES {
            let tidings = self.on_rows(move |rows, keyring| {
                let keys = keyring.customer(customer, newest_keys(rows, customer)?)?;
                let now = Instant::now();
                tidings(rows, keyring, &keys, kind, None, now)
            });
            let tidings = tidings.await?;
            if self.reserved(|| self.0.store.tell(tidings.clone())).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// The same for a change that stands whether it is told or not.
    pub(in crate::vault) async fn tell_all(&self, customer: CustomerNumber, kind: EventKind) {
        if let Err(error) = self.tell(customer, kind).await {
            tracing::error!(reason = error.reason(), "a change was not told");
        }
    }
}

/// Who was told of a change, and who has acknowledged it.
pub fn heard(rows: &mut dyn Rows, story: u64) -> Result<Vec<Heard>> {
    let mut services: BTreeMap<String, Option<Day>> = BTreeMap::new();
    for row in rows.story(story)? {
        let acknowledged = row.acknowledged;
        services
            .entry(row.recipient)
            // One that is missing leaves the service unheard.
            .and_modify(|day| *day = day.and_then(|day| Some(day.max(acknowledged?))))
            .or_insert(acknowledged);
    }
    let services = services.into_iter();
    Ok(services
        .map(|(service, acknowledged)| Heard {
            service,
            acknowledged,
        })
        .collect())
}
