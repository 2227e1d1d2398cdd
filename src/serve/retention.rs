//! Sweeps what is past its time, for as long as the server runs.

use crate::access::Access;
use crate::clock::Instant;
use crate::limits;
use crate::metrics::Metrics;
use crate::vault::Vault;
use std::sync::Arc;

/// Looks now and then whether something has come due. It ends with the runtime.
pub async fn keep(vault: Vault, access: Arc<Access>, metrics: Arc<Metrics>) {
    let mut look = tokio::time::interval(limits::SWEEP_LOOK);
    while vault.is_sound() {
        look.tick().await;
        if vault.is_sealed() {
            continue;
        }
        let (rules, today) = (access.now(), Instant::now().day());
        match vault.sweep(rules.catalog(), today).await {
            Ok(swept) => metrics.swept(swept.looked, swept.fields, swept.waiting, swept.late),
            Err(error) => {
                tracing::warn!(
                    reason = error.reason(),
                    "what is past its time was not swept"
                );
            }
        }
    }
}
