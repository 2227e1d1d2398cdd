//! A record under another generation: opened whole and sealed again as one
//! group, for the vault's own hands only. What is opened here goes nowhere.

use super::keyring::CustomerKeyring;
use super::open::{manifest_place, record_place};
use crate::crypto::manifest::{manifest, verify_manifest};
use crate::crypto::record::{open_group, seal_group};
use crate::crypto::{Deployment, FieldKeys, RecordBody, RecordContext};
use crate::error::{Error, Lost, Result};
use crate::id::FieldNumber;
use crate::secret::SecretBytes;
use crate::store::{RecordRow, Reencrypted};

/// Which fields go on living: by record type and field. Field 0 stands for a
/// record of that type without fields.
pub type Keep = dyn Fn(u16, FieldNumber) -> bool + Send + Sync;

/// What a keeping says of a field; without one everything is kept.
fn is_kept(keep: Option<&Keep>, record_type: u16, field: FieldNumber) -> bool {
    keep.is_none_or(|keep| keep(record_type, field))
}

/// Whether nothing of a record is under an older generation.
pub(super) fn is_under(row: &RecordRow, newest: u32) -> bool {
    let newer = |body: RecordBody<'_>| body.groups().iter().all(|g| g.generation >= newest);
    row.generation >= newest && RecordBody::parse(&row.body).is_ok_and(newer)
}

/// A record's kept fields as one group under the newest generation. Where
/// nothing is kept of a record, it goes. `origin`: where its values came from,
/// sealed anew.
pub(super) fn regrouped(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &RecordRow,
    (keep, origin): (Option<&Keep>, Option<Vec<u8>>),
) -> Result<Reencrypted> {
    let (had, kept) = opened(deployment, keys, row, keep)?;
    let stays = match had {
        0 => is_kept(keep, row.record_type, FieldNumber(0)),
        _ => !kept.is_empty(),
    };
    let new = match stays {
        true => Some(sealed(deployment, keys, row, &kept)?),
        false => None,
    };
    Ok(Reencrypted {
        key: row.key,
        revision: row.revision,
        old: row.manifest.clone(),
        generation: keys.generation,
        new,
        origin,
    })
}

fn of_generation(keys: &CustomerKeyring, generation: u32) -> Result<FieldKeys> {
    keys.any_field(generation)?
        .ok_or(Error::DataLoss(Lost::Key))
}

type Values = Vec<(FieldNumber, SecretBytes)>;

/// How many fields a record has, and the kept ones' values by rising number.
fn opened(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &RecordRow,
    keep: Option<&Keep>,
) -> Result<(usize, Values)> {
    let lost = |_| Error::DataLoss(Lost::Record);
    let place = record_place(deployment, keys, row);
    let body = RecordBody::parse(&row.body).map_err(lost)?;
    let of_row = of_generation(keys, row.generation)?;
    let at = manifest_place(&place);
    verify_manifest(&of_row.manifest, &at, &body, &row.manifest).map_err(lost)?;
    let (mut had, mut kept) = (0, Values::new());
    for group in body.groups() {
        let of_group = of_generation(keys, group.generation)?;
        let opener = open_group(&of_group.record, &place.of(group), group).map_err(lost)?;
        for field in &group.fields {
            had += 1;
            if is_kept(keep, row.record_type, field.number) {
                let value = opener.open(field.number, field.ciphertext).map_err(lost)?;
                kept.push((field.number, value));
            }
        }
    }
    kept.sort_by_key(|(number, _)| number.0);
    Ok((had, kept))
}

fn sealed(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &RecordRow,
    values: &Values,
) -> Result<([u8; 32], Vec<u8>)> {
    let place = RecordContext {
        generation: keys.generation,
        ..record_place(deployment, keys, row)
    };
    let newest = of_generation(keys, keys.generation)?;
    let shown: Vec<(FieldNumber, &[u8])> = values
        .iter()
        .map(|(number, value)| (*number, value.expose()))
        .collect();
    let group = if shown.is_empty() {
        None
    } else {
        Some(seal_group(&newest.record, &place, &shown)?)
    };
    let mut body = RecordBody::empty();
    if let Some(group) = &group {
        body.push(group.as_ref())?;
    }
    let mac = manifest(&newest.manifest, &manifest_place(&place), &body);
    Ok((mac, body.encode()?))
}
