//! RightsService.ExportCustomer: made whole, written down, then sent in parts.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, TenantName};
use crate::limits;
use crate::pb;
use crate::vault::Vault;
use crate::vault::rights::report::{Export, File};
use std::sync::Arc;

/// The parts of one export.
pub type Parts = Outflow<Part>;

type Part = pb::ExportCustomerResponse;

/// Sends the parts, each only while the customer is there: who is forgotten
/// meanwhile is told of no further.
async fn send(
    vault: Vault,
    tenant: TenantName,
    id: Arc<CustomerId>,
    files: Vec<File>,
    outlet: &Outlet<Part>,
) -> Result<()> {
    for part in files.iter().flat_map(parts) {
        let Some(room) = outlet.room().await? else {
            return Ok(());
        };
        vault.is_there(&tenant, Arc::clone(&id)).await?;
        room.send(part);
    }
    Ok(())
}

/// Makes an export.
pub async fn make(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::ExportCustomerRequest,
    place: Place,
) -> Result<Parts> {
    guarded.about(&asked.name);
    guarded.asks("", &asked.purpose);
    let id = CustomerId::parse_name("name", &asked.name)?;
    let what = match pb::ExportKind::try_from(asked.kind) {
        Ok(pb::ExportKind::Report) => Export::Report,
        Ok(pb::ExportKind::Portable) => Export::Portable,
        Ok(pb::ExportKind::Unspecified) | Err(_) => {
            let rule = "must be a value that this server knows";
            return Err(Error::invalid(Violation::new("kind", rule)));
        }
    };
    let (rules, today) = (&guarded.rules, guarded.today);
    let grants = rules.export(&guarded.principal, &id, &asked.purpose, today)?;
    let catalog = Arc::clone(rules.catalog());
    let files = vault.export(&guarded.call, catalog, grants, what).await?;
    let (vault, tenant) = (vault.clone(), guarded.principal.tenant().clone());
    Ok(Outflow::of(place, move |outlet| async move {
        in_time(send(vault, tenant, Arc::new(id), files, &outlet)).await
    }))
}

fn parts(file: &File) -> impl Iterator<Item = Part> {
    let parts = file.content.chunks(limits::EXPORT_PART_BYTES);
    parts.map(|content| Part {
        file: file.name.to_owned(),
        content: content.to_vec(),
    })
}
