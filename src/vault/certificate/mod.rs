//! Erasure certificates: issued when an erasure is acknowledged, issued anew
//! when it has come further, found by their own id. While the epoch is open the
//! vault also finds an erased customer's; afterwards nobody does without the id.

pub mod document;
mod facts;
mod proof;
#[cfg(test)]
mod tests;
pub mod verify;

use super::Vault;
use super::keyring::Keyring;
use crate::access::{Grant, ShowCertificate};
use crate::audit::{Call, Verdict};
use crate::clock::{Day, Instant};
use crate::crypto::certificate::subject;
use crate::crypto::{CertificateKey, Deployment, Label, MessageContext, message, random_bytes};
use crate::error::{Error, Lost, Missing, Result, Violation};
use crate::id::{CertificateName, CustomerId, CustomerNumber, TenantNumber};
use crate::limits;
use crate::secret::{SecretBytes, SecretText};
use crate::store::{Fence, NewCertificate, Rows};
use document::{Opening, Reached, Signed, canonical, sha256_text};
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
    Ok(Some(Found { key, body, kept }))
}

/// The certificate of an erasure whose epoch is still open, if it has one.
fn find_open(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: TenantNumber,
    customer: CustomerNumber,
) -> Result<Option<Found>> {
    let Some((epoch, sealed)) = rows.certificate_id(customer)? else {
        return Ok(None);
    };
    let Some(notes) = keyring.notes(epoch)? else {
        return Ok(None);
    };
    let at = place(
        keyring.deployment(),
        Label::CertificateId,
        tenant,
        customer,
        u64::from(epoch),
    );
    let id = message::open(&notes, &at, &sealed).ok();
    let id = id.and_then(|id| CertificateKey::parse(std::str::from_utf8(id.expose()).ok()?));
    find(rows, keyring, id.ok_or(Error::DataLoss(Lost::Row))?)
}

impl Vault {
    /// The certificate of a customer that was just shredded, or was before and
    /// whose epoch is open: the one there is, or the first.
    pub(super) async fn certify_erasure(
        &self,
        tenant: (&str, TenantNumber),
        customer: CustomerNumber,
        id: &CustomerId,
        fence: Fence,
    ) -> Result<CertificateView> {
        for _ in 0..limits::REVISION_RETRIES {
            let (number, keyring) = (tenant.1, Arc::clone(&self.0.keyring));
            let found = self
                .on_rows(move |rows, _| find_open(rows, &keyring, number, customer))
                .await?;
            if let Some(found) = found {
                return self.up_to_date(found, Some(id)).await;
            }
            self.first_issue(tenant, customer, id, fence).await?;
        }
        Err(Error::Contended)
    }

    /// Issues and keeps a certificate, unless another call was first.
    async fn first_issue(
        &self,
        tenant: (&str, TenantNumber),
        customer: CustomerNumber,
        id: &CustomerId,
        fence: Fence,
    ) -> Result<()> {
        let (key, salt) = (CertificateKey::generate()?, random_bytes()?);
        let facts = self.facts(customer).await?;
        let subject = subject(&salt, tenant.0, id.expose());
        let name = name_of(&key);
        let deployment = self.0.keyring.deployment();
        let certificate = facts.certificate(document::Certificate {
            vault: hex::encode(deployment.0),
            tenant: tenant.0.to_owned(),
            subject: hex::encode(subject),
            name_sha256: sha256_text(name.expose().as_bytes()),
            ..facts::blank()
        });
        let kept = Kept {
            customer,
            tenant: tenant.1,
            salt,
            document: canonical(&certificate.sign(self.signing()?)?)?,
        };
        let notes = self.0.keyring.notes(fence.epoch)?;
        let notes = notes.ok_or(Error::Internal("an open erasure of a closed epoch"))?;
        let at = place(
            deployment,
            Label::CertificateId,
            tenant.1,
            customer,
            u64::from(fence.epoch),
        );
        let keys = key.subkeys();
        let new = NewCertificate {
            handle: keys.handle,
            body: message::seal(
                &keys.body,
                &body_context(deployment),
                kept.encode().expose(),
            )?,
            customer,
            epoch: fence.epoch,
            sealed_id: message::seal(&notes, &at, key.text().expose().as_bytes())?,
        };
        self.reserved(|| self.0.store.add_certificate(new.clone()))
            .await
            .map(|_| ())
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
        if facts.exceed(&signed.certificate) {
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
        self.on_rows(move |rows, _| {
            Facts::read(rows, customer, (&providers, daily), log.as_ref(), today)
        })
        .await
    }

    /// Forgets the ids of certificates whose epoch is destroyed: nothing opens
    /// them any more.
    pub(super) async fn forget_closed_certificates(&self) -> Result<()> {
        let open = self
            .on_rows(|rows, _| facts::oldest_open_epoch(rows))
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
