//! KeyService's calls that seal and unseal.

use super::call::Guarded;
use crate::error::{Result, Violation};
use crate::id::TenantName;
use crate::keys::HeldBy;
use crate::limits;
use crate::pb;
use crate::secret::SecretText;
use crate::vault::{SealView, SealedBy, Vault};

pub(super) async fn seal(vault: &Vault, guarded: &Guarded) -> Result<pb::SealResponse> {
    let grant = guarded.rules.seal(&guarded.principal)?;
    let view = vault.seal(&guarded.call, grant).await?;
    let status = Some(shown(&view));
    Ok(pb::SealResponse { status })
}

pub(super) async fn unseal(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::UnsealRequest,
) -> Result<pb::UnsealResponse> {
    let piece = SecretText::new(asked.piece);
    let grant = guarded.rules.unseal(&guarded.principal)?;
    if piece.expose().len() > limits::UNLOCK_BYTES {
        let rule = format!("must be at most {} bytes", limits::UNLOCK_BYTES);
        return Err(Violation::new("piece", rule).into());
    }
    let piece = (!piece.expose().is_empty()).then_some(piece);
    let tenants: Vec<TenantName> = guarded.rules.tenants().cloned().collect();
    let view = vault
        .unseal_by(&guarded.call, grant, piece, tenants)
        .await?;
    let status = Some(shown(&view));
    Ok(pb::UnsealResponse { status })
}

pub(super) async fn status(vault: &Vault, guarded: &Guarded) -> Result<pb::GetSealStatusResponse> {
    let grant = guarded.rules.seal_status(&guarded.principal)?;
    let view = vault.seal_status(&guarded.call, grant).await?;
    let status = Some(shown(&view));
    Ok(pb::GetSealStatusResponse { status })
}

fn shown(view: &SealView) -> pb::SealStatus {
    let needs = view.needs;
    pb::SealStatus {
        sealed: view.sealed.is_some(),
        reason: match view.sealed {
            None => pb::SealReason::Unspecified.into(),
            Some(SealedBy::Start) => pb::SealReason::Started.into(),
            Some(SealedBy::Hand) => pb::SealReason::ByHand.into(),
            Some(SealedBy::Provider) => pb::SealReason::KeyProvider.into(),
        },
        waits_for: match needs.map(|needs| needs.by) {
            None => pb::LockHolder::Unspecified.into(),
            Some(HeldBy::Passphrase) => pb::LockHolder::Passphrase.into(),
            Some(HeldBy::Shares { .. }) => pb::LockHolder::Shares.into(),
        },
        given: needs.map_or(0, |needs| i32::from(needs.given)),
        needed: needs.map_or(0, |needs| i32::from(needs.needed)),
        providers: view
            .providers
            .iter()
            .map(|provider| pb::ProviderStatus {
                kind: provider.kind.to_owned(),
                answers: provider.answers,
            })
            .collect(),
    }
}
