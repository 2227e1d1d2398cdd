//! Carrying on with erasures that wait for nothing any more.

use crate::limits;
use crate::vault::Vault;

/// Looks now and then, for as long as the server runs: whose last hold was
/// released and who was not erased with that, and whose grace is over. It ends
/// with the runtime.
pub async fn keep(vault: Vault) {
    let mut look = tokio::time::interval(limits::REQUEST_LOOK);
    while vault.is_sound() {
        look.tick().await;
        if let Err(error) = vault.carry_on().await {
            tracing::warn!(reason = error.reason(), "what waits was not looked at");
        }
    }
}
