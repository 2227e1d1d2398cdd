//! KeyService.

use super::call::Guarded;
use super::job;
use super::key_status;
use super::places::Places;
use super::rotate;
use super::seal;
use crate::error::{Error, Result, Violation};
use crate::pb;
use crate::pb::key_service_server::KeyService;
use crate::vault::{ClosePlan, Order, Vault};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Keys {
    /// The vault.
    pub vault: Vault,
    /// Room for those who watch jobs.
    pub watches: Places,
}

impl Keys {
    async fn status(&self, guarded: &Guarded) -> Result<pb::GetKeyStatusResponse> {
        let grant = guarded.rules.key_status(&guarded.principal)?;
        let view = self.vault.key_status(&guarded.call, grant).await?;
        Ok(key_status::response(&self.vault, &view))
    }
}

impl Keys {
    async fn plan(&self, guarded: &Guarded) -> Result<pb::PlanEpochCloseResponse> {
        let grant = guarded.rules.plan_close(&guarded.principal)?;
        let plan = self.vault.plan_close(&guarded.call, &grant).await?;
        Ok(planned(&plan))
    }

    async fn close(&self, guarded: &Guarded, pages: i32) -> Result<pb::CloseEpochResponse> {
        let grant = guarded.rules.close_epoch(&guarded.principal)?;
        let pace = job::pace(pages)?;
        let row = self.vault.close_epoch(&guarded.call, &grant, pace).await?;
        Ok(pb::CloseEpochResponse {
            job: Some(job::job(&row)),
        })
    }

    async fn control(
        &self,
        guarded: &Guarded,
        asked: pb::ControlJobRequest,
    ) -> Result<pb::ControlJobResponse> {
        let number = job::number(asked.job)?;
        let grant = guarded.rules.control_job(&guarded.principal, number)?;
        let order = match asked.order() {
            pb::JobOrder::Pause => Order::Pause,
            pb::JobOrder::Resume => Order::Resume,
            pb::JobOrder::Pace => Order::Pace(job::pace(asked.pages_per_second)?),
            pb::JobOrder::Unspecified => {
                let rule = "must be an order that this server knows";
                return Err(Error::invalid(Violation::new("order", rule)));
            }
        };
        let row = self.vault.control_job(&guarded.call, &grant, order).await?;
        Ok(pb::ControlJobResponse {
            job: Some(job::job(&row)),
        })
    }
}

fn planned(plan: &ClosePlan) -> pb::PlanEpochCloseResponse {
    pb::PlanEpochCloseResponse {
        epoch: i64::from(plan.epoch),
        customer_pages: plan.left.customer_pages.cast_signed(),
        dirty_customer_pages: plan.left.dirty_pages.cast_signed(),
        index_pages: plan.left.index_pages.cast_signed(),
        dirty_index_pages: plan.left.dirty_index_pages.cast_signed(),
        tenants: plan.left.tenants.cast_signed(),
        customer_keys: plan.keys.cast_signed(),
        rewraps: plan.rewraps.cast_signed(),
        estimated_micros: i64::try_from(plan.time.as_micros()).unwrap_or(i64::MAX),
        provider_calls: plan.provider_calls.cast_signed(),
        samples_opened: plan.samples.cast_signed(),
        erasures: plan.erasures.cast_signed(),
        key_backup: plan.backup.to_owned(),
    }
}

type Reply<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl KeyService for Keys {
    async fn get_key_status(
        &self,
        request: Request<pb::GetKeyStatusRequest>,
    ) -> std::result::Result<Response<pb::GetKeyStatusResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let counted = self.status(&guarded).await;
        guarded.answer(counted)
    }

    async fn plan_epoch_close(
        &self,
        request: Request<pb::PlanEpochCloseRequest>,
    ) -> Reply<pb::PlanEpochCloseResponse> {
        let guarded = Guarded::of(&request)?;
        let planned = self.plan(&guarded).await;
        guarded.answer(planned)
    }

    async fn close_epoch(
        &self,
        request: Request<pb::CloseEpochRequest>,
    ) -> Reply<pb::CloseEpochResponse> {
        let guarded = Guarded::of(&request)?;
        let pages = request.into_inner().pages_per_second;
        let closing = self.close(&guarded, pages).await;
        guarded.answer(closing)
    }

    async fn control_job(
        &self,
        request: Request<pb::ControlJobRequest>,
    ) -> Reply<pb::ControlJobResponse> {
        let guarded = Guarded::of(&request)?;
        let controlled = self.control(&guarded, request.into_inner()).await;
        guarded.answer(controlled)
    }

    async fn rotate_keys(
        &self,
        request: Request<pb::RotateKeysRequest>,
    ) -> Reply<pb::RotateKeysResponse> {
        let guarded = Guarded::of(&request)?;
        let begun = rotate::rotate(&self.vault, &guarded, request.into_inner()).await;
        guarded.answer(begun)
    }

    async fn compromise_keys(
        &self,
        request: Request<pb::CompromiseKeysRequest>,
    ) -> Reply<pb::CompromiseKeysResponse> {
        let guarded = Guarded::of(&request)?;
        let begun = rotate::compromise(&self.vault, &guarded, request.into_inner()).await;
        guarded.answer(begun)
    }

    async fn list_approvals(
        &self,
        request: Request<pb::ListApprovalsRequest>,
    ) -> Reply<pb::ListApprovalsResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = rotate::approvals(&self.vault, &guarded).await;
        guarded.answer(listed)
    }

    async fn decide_approval(
        &self,
        request: Request<pb::DecideApprovalRequest>,
    ) -> Reply<pb::DecideApprovalResponse> {
        let guarded = Guarded::of(&request)?;
        let decided = rotate::decide(&self.vault, &guarded, request.into_inner()).await;
        guarded.answer(decided)
    }

    type WatchJobStream = job::Watching;

    async fn watch_job(
        &self,
        request: Request<pb::WatchJobRequest>,
    ) -> Reply<Self::WatchJobStream> {
        let guarded = Guarded::of(&request)?;
        let opened = match (
            job::number(request.get_ref().job),
            self.watches.take(&guarded.principal),
        ) {
            (Ok(number), Ok(place)) => {
                job::watch(self.vault.clone(), &guarded, number, place).await
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        guarded.answer(opened)
    }

    async fn seal(&self, request: Request<pb::SealRequest>) -> Reply<pb::SealResponse> {
        let guarded = Guarded::of(&request)?;
        let sealed = seal::seal(&self.vault, &guarded).await;
        guarded.answer(sealed)
    }

    async fn unseal(&self, request: Request<pb::UnsealRequest>) -> Reply<pb::UnsealResponse> {
        let guarded = Guarded::of(&request)?;
        let unsealed = seal::unseal(&self.vault, &guarded, request.into_inner()).await;
        guarded.answer(unsealed)
    }

    async fn get_seal_status(
        &self,
        request: Request<pb::GetSealStatusRequest>,
    ) -> Reply<pb::GetSealStatusResponse> {
        let guarded = Guarded::of(&request)?;
        let told = seal::status(&self.vault, &guarded).await;
        guarded.answer(told)
    }
}
