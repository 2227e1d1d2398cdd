//! Erasure certificates: there from the intent of an erasure on, issued when it is
//! acknowledged or done, issued anew when it has come further, found by their own
//! id. While the epoch is open, or the customer is forgotten only in part, the
//! vault finds it by the customer and by their request too; afterwards nobody
//! does without the id.

pub mod document;
pub(super) mod draft;
mod epoch;
mod facts;
mod parts;
mod proof;
#[cfg(test)]
mod tests;
pub mod verify;

use super::Vault;
use super::keyring::Keyring;
use super::restraint::alive;
use super::rights::request::Kind;
use crate::access::{Grant, HandleRequest, ShowCertificate};
use crate::audit::{Call, Verdict};
use crate::clock::{Day, Instant};
use crate::crypto::{CertificateKey, Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Missing, Result, Violation};
use crate::id::{CertificateName, CustomerId, CustomerNumber, TenantNumber};
use crate::limits;
use crate::secret::{SecretBytes, SecretText};
use crate::store::Rows;
use document::{Opening, Reached, Signed, canonical};
use facts::Facts;
use std::sync::Arc;

/// A certificate as it is given out.
pub struct CertificateView {
    /// `certificates/{id}`: whoever has it finds the certificate.
    pub name: SecretText,
    /// The file: canonical JSON.
    pub document: SecretText,
    /// 1 for the first, one more with each further level.
    pub issue: u32,
    /// The level reached.
    pub level: Reached,
}

/// What the vault keeps of a certificate, under the certificate's own id.
struct Kept {
    customer: CustomerNumber,
    tenant: TenantNumber,
    salt: [u8; 32],
    /// The signed document without its opening.
    document: Vec<u8>,
}

/// Version of a kept certificate.
const VERSION: u8 = 1;

impl Kept {
    fn encode(&self) -> SecretBytes {
        let mut bytes = vec![VERSION];
        bytes.extend(self.customer.0.to_be_bytes());
        bytes.extend(self.tenant.0.to_be_bytes());
        bytes.extend(self.salt);
        bytes.extend(&self.document);
        SecretBytes::new(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let ([VERSION], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (customer, rest) = rest.split_first_chunk()?;
        let (tenant, rest) = rest.split_first_chunk()?;
        let (salt, document) = rest.split_first_chunk()?;
        Some(Self {
            customer: CustomerNumber(u64::from_be_bytes(*customer)),
            tenant: TenantNumber(u32::from_be_bytes(*tenant)),
            salt: *salt,
            document: document.to_vec(),
        })
    }

    fn signed(&self) -> Result<Signed> {
        serde_json::from_slice(&self.document).map_err(|_| Error::DataLoss(Lost::Row))
    }
}

/// A kept certificate as it was found.
struct Found {
    key: CertificateKey,
    body: Vec<u8>,
    kept: Kept,
    /// The epoch that its id dies with, where it was found by that.
    until: Option<u32>,
}

fn body_context(deployment: Deployment) -> Vec<u8> {
    place(
        deployment,
        Label::Certificate,
        TenantNumber(0),
        CustomerNumber(0),
        0,
    )
}

fn place(
    deployment: Deployment,
    label: Label,
    tenant: TenantNumber,
    customer: CustomerNumber,
    number: u64,
) -> Vec<u8> {
    MessageContext {
        deployment,
        label,
        tenant: tenant.0,
        customer: customer.0,
        number,
        extra: 0,
    }
    .bytes()
}

/// What a certificate's id leads to.
fn find(rows: &mut dyn Rows, keyring: &Keyring, key: CertificateKey) -> Result<Option<Found>> {
    let keys = key.subkeys();
    let Some(body) = rows.certificate(&keys.handle)? else {
        return Ok(None);
    };
    let context = body_context(keyring.deployment());
    let opened = message::open(&keys.body, &context, &body).ok();
    let kept = opened.and_then(|bytes| Kept::decode(bytes.expose()));
    let kept = kept.ok_or(Error::DataLoss(Lost::Row))?;
    Ok(Some(Found {
        key,
        body,
        kept,
        until: None,
    }))
}

/// The certificate of an erasure whose epoch is still open, or of a customer who
/// is forgotten in part, if there is one.
fn find_known(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: TenantNumber,
    customer: CustomerNumber,
) -> Result<Option<Found>> {
    let Some((epoch, sealed)) = rows.certificate_id(customer)? else {
        let Some((keys, _)) = alive(rows, keyring, customer)? else {
            return Ok(None);
        };
        return match draft::living_key(rows, keyring, &keys)? {
            Some(key) => find(rows, keyring, key),
            None => Ok(None),
        };
    };
    let Some(notes) = keyring.notes(epoch)? else {
        return Ok(None);
    };
    let at = draft::id_place(keyring, tenant, customer, epoch);
    let id = message::open(&notes, &at, &sealed).ok();
    let id = id.and_then(|id| CertificateKey::parse(std::str::from_utf8(id.expose()).ok()?));
    let found = find(rows, keyring, id.ok_or(Error::DataLoss(Lost::Row))?)?;
    Ok(found.map(|found| Found {
        until: Some(epoch),
        ..found
    }))
}

impl Vault {
    /// The certificate of a customer who was forgotten, in part or whole, and
    /// whose epoch is open; named to whom it is about where that is known.
    pub(super) async fn certify_erasure(
        &self,
        tenant: (&str, TenantNumber),
        customer: CustomerNumber,
        id: Option<&CustomerId>,
    ) -> Result<CertificateView> {
        for _ in 0..limits::REVISION_RETRIES {
            let (number, keyring) = (tenant.1, Arc::clone(&self.0.keyring));
            let (found, fence) = self
                .on_rows(move |rows, _| {
                    let found = find_known(rows, &keyring, number, customer)?;
                    Ok((found, rows.fence(customer)?))
                })
                .await?;
            match (found, fence, id) {
                (Some(found), Some(fence), _) => {
                    self.dies_with(&found, tenant.1, fence.epoch).await?;
                    return self.up_to_date(found, id).await;
                }
                (Some(found), None, _) => return self.up_to_date(found, id).await,
                // Of before there was one with each intent.
                (None, Some(fence), Some(id)) => {
                    let keyring = &self.0.keyring;
                    let new = draft::erased(keyring, tenant, (customer, id), fence.epoch)?;
                    self.reserved(|| self.0.store.add_certificate(new.clone()))
                        .await?;
                }
                _ => return Err(Error::NotFound(Missing::Certificate)),
            }
        }
        Err(Error::Contended)
    }

    /// The id of a certificate is kept until the epoch is closed that makes the
    /// erasure final, and no longer.
    async fn dies_with(&self, found: &Found, tenant: TenantNumber, epoch: u32) -> Result<()> {
        if found.until.is_none_or(|until| until == epoch) {
            return Ok(());
        }
        let customer = found.kept.customer;
        let keyring = &self.0.keyring;
        let Some(sealed) = draft::sealed_id(keyring, tenant, customer, epoch, &found.key)? else {
            return Ok(());
        };
        let store = &self.0.store;
        self.reserved(|| store.move_certificate_id(customer, epoch, sealed.clone()))
            .await
    }

    /// The certificate of an erasure that nobody waits for: it is issued, for
    /// whoever asks for it later.
    pub(super) async fn certify_unasked(&self, customer: CustomerNumber) {
        let certify = async {
            let row = self.on_rows(move |rows, _| rows.erasure(customer)).await?;
            match row {
                Some(row) => self
                    .certify_erasure(("", row.tenant), customer, None)
                    .await
                    .map(drop),
                None => Ok(()),
            }
        };
        if let Err(error) = certify.await {
            tracing::warn!(reason = error.reason(), "a certificate was not made");
        }
    }

    /// The certificate of what the grant's request came to, for as long as it is
    /// found by anything but its own name.
    pub async fn certificate_of_request(
        &self,
        grant: &Grant<HandleRequest>,
    ) -> Result<Option<CertificateView>> {
        let (name, number) = (grant.principal().tenant().clone(), grant.target().request);
        let tenant = self.tenant(&name)?.number;
        let whose = self.on_rows(move |rows, _| {
            let row = rows.rights(number.0)?;
            let row = row.filter(|row| row.tenant == tenant && row.kind == Kind::Erasure as u8);
            match row {
                None => Ok(None),
                Some(row) if row.customer.0 > 0 => Ok(Some(row.customer)),
                Some(row) => rows.erased_by_request(row.number),
            }
        });
        let Some(customer) = whose.await? else {
            return Ok(None);
        };
        match self
            .certify_erasure((name.as_str(), tenant), customer, None)
            .await
        {
            Ok(view) => Ok(Some(view)),
            Err(Error::NotFound(_) | Error::ErasurePending) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The certificate of the grant. Names it to whom it is about, where the
    /// caller says who that is.
    pub async fn show_certificate(
        &self,
        call: &Arc<Call>,
        grant: Grant<ShowCertificate>,
    ) -> Result<CertificateView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let wanted = CertificateKey::parse(grant.target().certificate.id());
        let wanted = wanted.ok_or(Error::NotFound(Missing::Certificate))?;
        let found = self
            .on_rows(move |rows, keyring| find(rows, keyring, wanted))
            .await?;
        let found = found.filter(|found| found.kept.tenant == tenant.number);
        let found = found.ok_or(Error::NotFound(Missing::Certificate))?;
        let view = self
            .up_to_date(found, grant.target().customer.as_ref())
            .await?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, view).await?.release())
    }

    /// A certificate, issued anew where the erasure has come further since.
    async fn up_to_date(&self, found: Found, id: Option<&CustomerId>) -> Result<CertificateView> {
        let (mut signed, facts) = (found.kept.signed()?, self.facts(found.kept.customer).await?);
        if signed.certificate.issue == 0 || facts.exceed(&signed.certificate) {
            let next = facts.certificate(document::Certificate {
                issue: signed.certificate.issue,
                ..signed.certificate.clone()
            });
            signed = next.sign(self.signing()?)?;
            let kept = Kept {
                document: canonical(&signed)?,
                ..found.kept
            };
            let keys = found.key.subkeys();
            let context = body_context(self.0.keyring.deployment());
            let body = message::seal(&keys.body, &context, kept.encode().expose())?;
            let (handle, old) = (keys.handle, found.body);
            // Where another call was first, it said the same.
            self.reserved(|| {
                let store = &self.0.store;
                store.replace_certificate(handle, old.clone(), body.clone())
            })
            .await?;
            return view(&found.key, signed, kept.salt, id);
        }
        view(&found.key, signed, found.kept.salt, id)
    }

    async fn facts(&self, customer: CustomerNumber) -> Result<Facts> {
        let (providers, daily) = (Arc::clone(&self.0.providers), self.office().closes_daily);
        let today = Instant::now().day();
        let log = self.0.log_key.get().cloned();
        self.on_rows(move |rows, keyring| {
            let by = (&*providers, daily);
            Facts::read(rows, keyring, customer, by, log.as_ref(), today)
        })
        .await
    }

    /// Forgets the ids of certificates whose epoch is destroyed: nothing opens
    /// them any more.
    pub(super) async fn forget_closed_certificates(&self) -> Result<()> {
        let open = self
            .on_rows(|rows, _| epoch::oldest_open_epoch(rows))
            .await?;
        let forget = self.0.store.forget_certificate_ids(open);
        forget.in_time().await.map(|_| ())
    }
}

fn name_of(key: &CertificateKey) -> SecretText {
    SecretText::new(CertificateName::text(key.text().expose()))
}

fn view(
    key: &CertificateKey,
    mut signed: Signed,
    salt: [u8; 32],
    id: Option<&CustomerId>,
) -> Result<CertificateView> {
    let name = name_of(key);
    if let Some(id) = id {
        let opening = Opening {
            certificate: name.expose().to_owned(),
            customer: id.expose().to_owned(),
            salt: hex::encode(salt),
        };
        if !opening.fits(&signed.certificate) {
            let rule = "is not whom this certificate is about";
            return Err(Error::invalid(Violation::new("customer", rule)));
        }
        signed.opening = Some(opening);
    }
    let document = String::from_utf8(canonical(&signed)?)
        .map_err(|_| Error::Internal("a document that is no text"))?;
    Ok(CertificateView {
        name,
        document: SecretText::new(document),
        issue: signed.certificate.issue,
        level: signed.certificate.level,
    })
}

/// A day that is not yet known.
const NO_DAY: Day = Day(0);
