//! RightsService.ExportCustomer: made whole, written down, then sent in parts.

use super::call::Guarded;
use super::stream::Place;
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::pb;
use crate::vault::Vault;
use crate::vault::rights::report::{Export, File};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_stream::Stream;
use tonic::Status;

/// The parts of one export. It holds the stream's room, so that a reader who
/// lets a part lie keeps the memory of no more than its share.
pub struct Parts {
    parts: std::vec::IntoIter<pb::ExportCustomerResponse>,
    _place: Place,
}

impl Stream for Parts {
    type Item = std::result::Result<pb::ExportCustomerResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.parts.next().map(Ok))
    }
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
    let parts: Vec<_> = files.iter().flat_map(parts).collect();
    Ok(Parts {
        parts: parts.into_iter(),
        _place: place,
    })
}

fn parts(file: &File) -> impl Iterator<Item = pb::ExportCustomerResponse> {
    let parts = file.content.chunks(limits::EXPORT_PART_BYTES);
    parts.map(|content| pb::ExportCustomerResponse {
        file: file.name.to_owned(),
        content: content.to_vec(),
    })
}
