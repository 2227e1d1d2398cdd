//! CustomerService.EraseCustomers: a list, one after the other, each with its
//! own answer as soon as there is one.

use super::call::Guarded;
use super::erased::erased;
use super::status::status;
use super::stream::Place;
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::pb;
use crate::vault::{Refused, Vault};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Message = pb::EraseCustomersResponse;

/// The answers of one call.
pub type Answers = ReceiverStream<std::result::Result<Message, Status>>;

/// A list under way.
struct Erasing {
    vault: Vault,
    guarded: Arc<Guarded>,
    /// Given back when the list is done.
    _place: Place,
}

/// Begins to erase a list. The call's own entry is durable when this returns;
/// each customer gets the entries of an erasure. Whoever goes away stops the
/// list after the customer that is being erased.
pub async fn begin(
    vault: Vault,
    guarded: &Arc<Guarded>,
    asked: pb::EraseCustomersRequest,
    place: Place,
) -> Result<Answers> {
    let count = asked.names.len();
    if !(1..=limits::BULK_NAMES).contains(&count) {
        let rule = format!("must be 1 to {} names", limits::BULK_NAMES);
        return Err(Error::invalid(Violation::new("names", rule)));
    }
    let grant = guarded.rules.erase_many(&guarded.principal)?;
    vault.begin_erasures(&guarded.call, &grant, count).await?;
    // As many answers wait as the client takes; none is erased ahead of that.
    let (sender, answers) = mpsc::channel(1);
    let erasing = Erasing {
        vault,
        guarded: Arc::clone(guarded),
        _place: place,
    };
    tokio::spawn(async move {
        let all = erasing.all(asked.names, &sender);
        if tokio::time::timeout(limits::STREAM_TIME, all)
            .await
            .is_err()
        {
            // What is left has no answer and is to be asked for again.
            let late = status(&Error::DeadlineExceeded);
            let _gone = sender.send(Err(late)).await;
        }
    });
    Ok(ReceiverStream::new(answers))
}

impl Erasing {
    async fn all(
        &self,
        names: Vec<String>,
        sender: &mpsc::Sender<std::result::Result<Message, Status>>,
    ) {
        for name in names {
            let Ok(Ok(room)) =
                tokio::time::timeout(limits::STREAM_STALL_TIME, sender.reserve()).await
            else {
                return;
            };
            let message = match self.one(&name).await {
                Ok(response) => Message {
                    name,
                    outcome: Some(pb::erase_customers_response::Outcome::Erased(response)),
                },
                Err(error) => Message {
                    name,
                    outcome: Some(pb::erase_customers_response::Outcome::Failure(
                        super::metadata::failure(&error),
                    )),
                },
            };
            room.send(Ok(message));
        }
    }

    /// By the rules that are in force when it is this one's turn. A failure is
    /// written down before it is told.
    async fn one(&self, name: &str) -> Result<pb::EraseCustomerResponse> {
        let call = &self.guarded.call;
        let (refused, error) = match self.guarded.renewed() {
            Ok(guarded) => match self.erase(&guarded, name).await {
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    guarded.about(name);
                    (guarded.take_refusal().0, error)
                }
            },
            Err(error) => (Refused::default(), error),
        };
        self.vault.record_refusal(call, refused, &error).await?;
        Err(self.guarded.hide(error))
    }

    async fn erase(&self, guarded: &Guarded, name: &str) -> Result<pb::EraseCustomerResponse> {
        let id = CustomerId::parse_name("names", name)?;
        let grant = guarded.rules.erase(&guarded.principal, id)?;
        let (view, made) = self.vault.erase_customer(&guarded.call, grant).await?;
        Ok(erased(name.to_owned(), &view, made.as_ref()))
    }
}
