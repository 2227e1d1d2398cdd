//! A certificate before it is issued. It is kept with the intent of an erasure,
//! so that there is one whatever comes in between, and made by what the vault
//! still knows of the customer then. While the customer is there its id is found
//! by their key, afterwards by a key of the epoch that makes the erasure final.

use super::document::{Certificate, Signed, canonical, sha256_text};
use super::{Kept, body_context, facts, name_of, place};
use crate::crypto::certificate::subject;
use crate::crypto::{CertificateKey, Deployment, Label, MessageContext, message, random_bytes};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerId, CustomerNumber, TenantNumber};
use crate::store::{IntendedCertificate, LivingCertificate, NewCertificate, Rows};
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::rights::request::{Kind, State};

/// A new certificate's id, its handle, and what is kept of it.
fn new(
    deployment: Deployment,
    (tenant, number): (&str, TenantNumber),
    customer: CustomerNumber,
    id: &CustomerId,
) -> Result<(CertificateKey, [u8; 16], Vec<u8>)> {
    let (key, salt) = (CertificateKey::generate()?, random_bytes()?);
    let name = name_of(&key);
    let unsigned = Signed {
        certificate: Certificate {
            vault: hex::encode(deployment.0),
            tenant: tenant.to_owned(),
            subject: hex::encode(subject(&salt, tenant, id.expose())),
            name_sha256: sha256_text(name.expose().as_bytes()),
            ..facts::blank()
        },
        key: String::new(),
        signature: String::new(),
        opening: None,
    };
    let kept = Kept {
        customer,
        tenant: number,
        salt,
        document: canonical(&unsigned)?,
    };
    let keys = key.subkeys();
    let context = body_context(deployment);
    let body = message::seal(&keys.body, &context, kept.encode().expose())?;
    Ok((key, keys.handle, body))
}

fn living_place(deployment: Deployment, keys: &CustomerKeyring) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::LivingCertificate,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: 0,
        extra: 0,
    }
    .bytes()
}

/// One of a customer who is forgotten in part and still there.
pub fn living(
    keyring: &Keyring,
    keys: &CustomerKeyring,
    tenant: &str,
    id: &CustomerId,
) -> Result<LivingCertificate> {
    let deployment = keyring.deployment();
    let (key, handle, body) = new(deployment, (tenant, keys.tenant), keys.customer, id)?;
    let place = living_place(deployment, keys);
    Ok(LivingCertificate {
        handle,
        body,
        sealed_id: message::seal(&keys.requests(), &place, key.text().expose().as_bytes())?,
    })
}

/// The id of the certificate of a customer who is still there, if they have one.
pub fn living_key(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
) -> Result<Option<CertificateKey>> {
    let Some(sealed) = rows.living_certificate(keys.customer)? else {
        return Ok(None);
    };
    let place = living_place(keyring.deployment(), keys);
    let opened = message::open(&keys.requests(), &place, &sealed).ok();
    let key = opened.and_then(|id| CertificateKey::parse(std::str::from_utf8(id.expose()).ok()?));
    key.map(Some).ok_or(Error::DataLoss(Lost::Row))
}

/// A certificate's id, sealed so that it dies with an epoch; `None` once that is
/// closed.
pub fn sealed_id(
    keyring: &Keyring,
    tenant: TenantNumber,
    customer: CustomerNumber,
    epoch: u32,
    key: &CertificateKey,
) -> Result<Option<Vec<u8>>> {
    let Some(notes) = keyring.notes(epoch)? else {
        return Ok(None);
    };
    let at = id_place(keyring, tenant, customer, epoch);
    message::seal(&notes, &at, key.text().expose().as_bytes()).map(Some)
}

/// Where [`sealed_id`] belongs.
pub fn id_place(
    keyring: &Keyring,
    tenant: TenantNumber,
    customer: CustomerNumber,
    epoch: u32,
) -> Vec<u8> {
    let label = Label::CertificateId;
    place(keyring.deployment(), label, tenant, customer, epoch.into())
}

/// One of a customer who is about to be forgotten: the one they have, or a new
/// one. Which epoch makes it final is known once they are; the newest is not
/// closed before it.
pub fn intended(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    (tenant, id): (&str, &CustomerId),
) -> Result<IntendedCertificate> {
    let (key, new) = match living_key(rows, keyring, keys)? {
        Some(key) => (key, None),
        None => {
            let whose = (tenant, keys.tenant);
            let (key, handle, body) = new(keyring.deployment(), whose, keys.customer, id)?;
            (key, Some((handle, body)))
        }
    };
    let (epoch, _) = keyring.newest_events()?;
    let sealed = sealed_id(keyring, keys.tenant, keys.customer, epoch, &key)?;
    let asks = [State::Approved as u8, State::Executing as u8];
    let requests = rows.open_rights_of(keys.customer)?.into_iter();
    let mut requests =
        requests.filter(|row| row.kind == Kind::Erasure as u8 && asks.contains(&row.state));
    Ok(IntendedCertificate {
        epoch,
        sealed_id: sealed.ok_or(Error::Internal("the newest epoch is closed"))?,
        request: requests.next().map_or(0, |row| row.number),
        new,
    })
}

/// One of a customer who was forgotten without one.
pub fn erased(
    keyring: &Keyring,
    tenant: (&str, TenantNumber),
    (customer, id): (CustomerNumber, &CustomerId),
    epoch: u32,
) -> Result<NewCertificate> {
    let (key, handle, body) = new(keyring.deployment(), tenant, customer, id)?;
    let sealed = sealed_id(keyring, tenant.1, customer, epoch, &key)?;
    Ok(NewCertificate {
        handle,
        body,
        customer,
        epoch,
        sealed_id: sealed.ok_or(Error::Internal("an open erasure of a closed epoch"))?,
    })
}
