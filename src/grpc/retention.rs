//! RetentionService.

use super::call::Guarded;
use super::value::date;
use crate::clock::Day;
use crate::error::Result;
use crate::pb;
use crate::pb::retention_service_server::RetentionService;
use crate::vault::Vault;
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Retention {
    /// The vault.
    pub vault: Vault,
}

impl Retention {
    async fn status(&self, guarded: &Guarded) -> Result<pb::GetRetentionStatusResponse> {
        let grant = guarded.rules.retention_status(&guarded.principal)?;
        let view = self.vault.keeping(&guarded.call, grant).await?;
        let last = view.last;
        Ok(pb::GetRetentionStatusResponse {
            sweep_date: (last.looked > 0).then(|| date(Day(last.day))),
            looked: last.looked.cast_signed(),
            fields: last.fields.cast_signed(),
            late_days: last.late.cast_signed(),
            waiting: view.waiting.cast_signed(),
        })
    }
}

#[tonic::async_trait]
impl RetentionService for Retention {
    async fn get_retention_status(
        &self,
        request: Request<pb::GetRetentionStatusRequest>,
    ) -> std::result::Result<Response<pb::GetRetentionStatusResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let status = self.status(&guarded).await;
        guarded.answer(status)
    }
}
