//! KeyService.

use super::call::Guarded;
use super::seal;
use super::value::date;
use crate::error::Result;
use crate::keys::Assurance;
use crate::pb;
use crate::pb::key_service_server::KeyService;
use crate::store::EpochState;
use crate::vault::{EpochView, StatusView, Vault};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Keys {
    /// The vault.
    pub vault: Vault,
}

impl Keys {
    async fn status(&self, guarded: &Guarded) -> Result<pb::GetKeyStatusResponse> {
        let grant = guarded.rules.key_status(&guarded.principal)?;
        let view = self.vault.key_status(&guarded.call, grant).await?;
        let epochs = view.epochs.iter();
        let generations = view.counts.generations.iter();
        Ok(pb::GetKeyStatusResponse {
            epochs: epochs.map(|epoch| self.epoch(epoch, &view)).collect(),
            customer_pages: view.counts.customer_pages.cast_signed(),
            index_pages: view.counts.index_pages.cast_signed(),
            customers: view.counts.customers.cast_signed(),
            generations: generations
                .map(|of| pb::GenerationCount {
                    generation: of.generation.cast_signed(),
                    keys: of.keys.cast_signed(),
                })
                .collect(),
            purges_pending: view.purges_pending.cast_signed(),
        })
    }

    fn epoch(&self, epoch: &EpochView, view: &StatusView) -> pb::EpochStatus {
        let counts = view.counts.epochs.iter().find(|of| of.0 == epoch.epoch);
        let (_, pages, dirty, erasures) = counts.copied().unwrap_or_default();
        pb::EpochStatus {
            epoch: i64::from(epoch.epoch),
            state: match epoch.state {
                EpochState::Active => pb::EpochState::Active.into(),
                EpochState::Closing => pb::EpochState::Closing.into(),
                EpochState::Destroyed => pb::EpochState::Destroyed.into(),
            },
            provider: epoch.providers.join(" "),
            assurance: match self.vault.worth(&epoch.providers) {
                Assurance::Hsm => pb::Assurance::Hsm.into(),
                Assurance::Provider => pb::Assurance::Provider.into(),
                Assurance::Scheduled => pb::Assurance::Scheduled.into(),
                Assurance::BestEffort => pb::Assurance::BestEffort.into(),
            },
            open_date: Some(date(epoch.opened)),
            pages: pages.cast_signed(),
            dirty_pages: dirty.cast_signed(),
            erasures: erasures.cast_signed(),
        }
    }
}

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

    async fn seal(
        &self,
        request: Request<pb::SealRequest>,
    ) -> std::result::Result<Response<pb::SealResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let sealed = seal::seal(&self.vault, &guarded).await;
        guarded.answer(sealed)
    }

    async fn unseal(
        &self,
        request: Request<pb::UnsealRequest>,
    ) -> std::result::Result<Response<pb::UnsealResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let unsealed = seal::unseal(&self.vault, &guarded, request.into_inner()).await;
        guarded.answer(unsealed)
    }

    async fn get_seal_status(
        &self,
        request: Request<pb::GetSealStatusRequest>,
    ) -> std::result::Result<Response<pb::GetSealStatusResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let told = seal::status(&self.vault, &guarded).await;
        guarded.answer(told)
    }
}
