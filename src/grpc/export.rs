//! RightsService.ExportCustomer: made whole, written down, then sent in parts.

use super::call::Guarded;
use super::status::status;
use super::stream::{Place, room};
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, TenantName};
use crate::limits;
use crate::pb;
use crate::vault::Vault;
use crate::vault::rights::report::{Export, File};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// The parts of one export. It holds the stream's room, so that a reader who
/// lets a part lie keeps the memory of no more than its share.
pub struct Parts {
    ready: mpsc::Receiver<Part>,
    /// Why it ends, where that is not because all is sent.
    cut: Arc<Mutex<Option<Error>>>,
    _place: Place,
}

type Part = pb::ExportCustomerResponse;

impl Stream for Parts {
    type Item = std::result::Result<Part, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(self.ready.poll_recv(cx));
        let cut = || {
            self.cut
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        };
        Poll::Ready(match part {
            Some(part) => Some(Ok(part)),
            None => cut().map(|error| Err(status(&error))),
        })
    }
}

/// Sends the parts, each only while the customer is there: who is forgotten
/// meanwhile is told of no further.
async fn send(
    vault: Vault,
    tenant: TenantName,
    id: Arc<CustomerId>,
    files: Vec<File>,
    sender: mpsc::Sender<Part>,
) -> Result<()> {
    for part in files.iter().flat_map(parts) {
        let Some(room) = room(&sender).await? else {
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
    let (sender, ready) = mpsc::channel(1);
    // A task that ends by itself must not look like the end of the files.
    let cut = Arc::new(Mutex::new(Some(Error::Internal("an export was cut off"))));
    let (vault, end) = (vault.clone(), Arc::clone(&cut));
    let tenant = guarded.principal.tenant().clone();
    tokio::spawn(async move {
        let sent = send(vault, tenant, Arc::new(id), files, sender.clone()).await;
        *end.lock().unwrap_or_else(PoisonError::into_inner) = sent.err();
        drop(sender);
    });
    Ok(Parts {
        ready,
        cut,
        _place: place,
    })
}

fn parts(file: &File) -> impl Iterator<Item = Part> {
    let parts = file.content.chunks(limits::EXPORT_PART_BYTES);
    parts.map(|content| Part {
        file: file.name.to_owned(),
        content: content.to_vec(),
    })
}
