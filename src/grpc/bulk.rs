//! CustomerService.EraseCustomers: a list, one after the other, each with its
//! own answer as soon as there is one.

use super::call::Guarded;
use super::erased::erased;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::pb;
use crate::vault::{Refused, Vault};
use std::sync::Arc;

type Message = pb::EraseCustomersResponse;

/// The answers of one call.
pub type Answers = Outflow<Message>;

/// A list under way.
struct Erasing {
    vault: Vault,
    guarded: Arc<Guarded>,
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
    let erasing = Erasing {
        vault,
        guarded: Arc::clone(guarded),
    };
    // What has no answer when it ends is to be asked for again.
    Ok(Outflow::of(place, move |outlet| async move {
        in_time(erasing.all(asked.names, &outlet)).await
    }))
}

impl Erasing {
    /// None is erased ahead of the answers that the client takes.
    async fn all(&self, names: Vec<String>, outlet: &Outlet<Message>) -> Result<()> {
        for name in names {
            let Some(room) = outlet.room().await? else {
                return Ok(());
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
            room.send(message);
        }
        Ok(())
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
