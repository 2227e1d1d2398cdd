//! CustomerService.

use super::bulk::{Answers, begin};
use super::call::Guarded;
use super::erased::{customer, erased};
use super::places::Places;
use super::rights_message::words;
use super::value::instant;
use crate::access::Action;
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, RequestId};
use crate::pb;
use crate::pb::customer_service_server::CustomerService;
use crate::vault::{CustomerView, Vault};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Customers {
    /// The vault.
    pub vault: Vault,
    /// Room for lists of erasures.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

impl Customers {
    async fn create(
        &self,
        guarded: &Guarded,
        asked: pb::CreateCustomerRequest,
    ) -> Result<pb::Customer> {
        let name = format!("customers/{}", asked.customer_id);
        guarded.about(&name);
        let id = CustomerId::parse("customer_id", &asked.customer_id)?;
        let request = RequestId::parse(&asked.request_id)?;
        let grant = guarded
            .rules
            .create(&guarded.principal, id, asked.recreate_erased)?;
        let view = self
            .vault
            .create_customer(&guarded.call, grant, request)
            .await?;
        Ok(customer(name, &view))
    }

    async fn show(&self, guarded: &Guarded, name: String) -> Result<pb::Customer> {
        guarded.about(&name);
        let id = CustomerId::parse_name("name", &name)?;
        let grant = guarded.rules.show(&guarded.principal, id)?;
        let view = self.vault.show_customer(&guarded.call, grant).await?;
        if matches!(view, CustomerView::Erased { .. })
            && !guarded.rules.may_know_erased(&guarded.principal)
        {
            return Err(crate::error::Error::CustomerErased);
        }
        Ok(customer(name, &view))
    }

    async fn erase(
        &self,
        guarded: &Guarded,
        asked: pb::EraseCustomerRequest,
    ) -> Result<pb::EraseCustomerResponse> {
        guarded.about(&asked.name);
        let id = CustomerId::parse_name("name", &asked.name)?;
        if !asked.request_id.is_empty() {
            RequestId::parse(&asked.request_id)?;
        }
        let grant = guarded.rules.erase(&guarded.principal, id)?;
        let (view, made) = self.vault.erase_customer(&guarded.call, grant).await?;
        Ok(erased(asked.name, &view, made.as_ref()))
    }
}

impl Customers {
    async fn restrict(
        &self,
        guarded: &Guarded,
        asked: pb::RestrictCustomerRequest,
    ) -> Result<pb::Customer> {
        guarded.about(&asked.name);
        let id = CustomerId::parse_name("name", &asked.name)?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.restrain(who, Action::RestrictCustomer, id)?;
        let reason = words("reason", asked.reason, 1)?;
        let vault = &self.vault;
        let view = vault
            .restrict_customer(&guarded.call, grant, reason)
            .await?;
        Ok(customer(asked.name, &view))
    }

    async fn lift(
        &self,
        guarded: &Guarded,
        asked: pb::LiftRestrictionRequest,
    ) -> Result<pb::Customer> {
        guarded.about(&asked.name);
        let id = CustomerId::parse_name("name", &asked.name)?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.restrain(who, Action::LiftRestriction, id)?;
        let told = instant("person_told_time", asked.person_told_time)?.ok_or_else(|| {
            let rule = "must be given: the person is told before a restriction is lifted \
                        (GDPR art. 18(3))";
            Error::invalid(Violation::new("person_told_time", rule))
        })?;
        let vault = &self.vault;
        let view = vault.lift_restriction(&guarded.call, grant, told).await?;
        Ok(customer(asked.name, &view))
    }
}

#[tonic::async_trait]
impl CustomerService for Customers {
    type EraseCustomersStream = Answers;

    async fn erase_customers(
        &self,
        request: Request<pb::EraseCustomersRequest>,
    ) -> Reply<Self::EraseCustomersStream> {
        let guarded = Guarded::of(&request)?;
        let begun = async {
            let place = self.streams.take(&guarded.principal)?;
            begin(self.vault.clone(), &guarded, request.into_inner(), place).await
        };
        guarded.answer(begun.await)
    }

    async fn restrict_customer(
        &self,
        request: Request<pb::RestrictCustomerRequest>,
    ) -> Reply<pb::RestrictCustomerResponse> {
        let guarded = Guarded::of(&request)?;
        let restricted = self.restrict(&guarded, request.into_inner()).await;
        guarded.answer(restricted.map(|customer| pb::RestrictCustomerResponse {
            customer: Some(customer),
        }))
    }

    async fn lift_restriction(
        &self,
        request: Request<pb::LiftRestrictionRequest>,
    ) -> Reply<pb::LiftRestrictionResponse> {
        let guarded = Guarded::of(&request)?;
        let lifted = self.lift(&guarded, request.into_inner()).await;
        guarded.answer(lifted.map(|customer| pb::LiftRestrictionResponse {
            customer: Some(customer),
        }))
    }

    async fn create_customer(
        &self,
        request: Request<pb::CreateCustomerRequest>,
    ) -> Reply<pb::CreateCustomerResponse> {
        let guarded = Guarded::of(&request)?;
        let created = self.create(&guarded, request.into_inner()).await;
        guarded.answer(created.map(|customer| pb::CreateCustomerResponse {
            customer: Some(customer),
        }))
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Reply<pb::GetCustomerResponse> {
        let guarded = Guarded::of(&request)?;
        let shown = self.show(&guarded, request.into_inner().name).await;
        guarded.answer(shown.map(|customer| pb::GetCustomerResponse {
            customer: Some(customer),
        }))
    }

    async fn erase_customer(
        &self,
        request: Request<pb::EraseCustomerRequest>,
    ) -> Reply<pb::EraseCustomerResponse> {
        let guarded = Guarded::of(&request)?;
        let erased = self.erase(&guarded, request.into_inner()).await;
        guarded.answer(erased)
    }
}
