//! CertificateService.

use super::call::Guarded;
use crate::error::Result;
use crate::id::{CertificateName, CustomerId};
use crate::pb;
use crate::pb::certificate_service_server::CertificateService;
use crate::vault::certificate::document::Reached;
use crate::vault::{CertificateView, Vault};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Certificates {
    /// The vault.
    pub vault: Vault,
}

/// A certificate as a message.
pub fn certificate(view: &CertificateView) -> pb::Certificate {
    pb::Certificate {
        name: view.name.expose().to_owned(),
        document: view.document.expose().to_owned(),
        issue: view.issue.cast_signed(),
        level: match view.level {
            Reached::Restricted => pb::ErasureLevel::Restricted.into(),
            Reached::Shredded => pb::ErasureLevel::Shredded.into(),
            Reached::Purged => pb::ErasureLevel::Purged.into(),
            Reached::Closed => pb::ErasureLevel::Closed.into(),
        },
    }
}

impl Certificates {
    async fn show(
        &self,
        guarded: &Guarded,
        asked: pb::GetCertificateRequest,
    ) -> Result<pb::Certificate> {
        let name = CertificateName::parse("name", &asked.name)?;
        let customer = match asked.customer.as_str() {
            "" => None,
            name => Some(CustomerId::parse_name("customer", name)?),
        };
        let rules = &guarded.rules;
        let grant = rules.show_certificate(&guarded.principal, name, customer)?;
        let view = self.vault.show_certificate(&guarded.call, grant).await?;
        Ok(certificate(&view))
    }
}

#[tonic::async_trait]
impl CertificateService for Certificates {
    async fn get_certificate(
        &self,
        request: Request<pb::GetCertificateRequest>,
    ) -> std::result::Result<Response<pb::GetCertificateResponse>, Status> {
        let guarded = Guarded::of(&request)?;
        let shown = self.show(&guarded, request.into_inner()).await;
        guarded.answer(shown.map(|certificate| pb::GetCertificateResponse {
            certificate: Some(certificate),
        }))
    }
}
