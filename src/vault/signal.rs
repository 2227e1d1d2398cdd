//! Signals written down, and the planted customers found.

use super::Vault;
use crate::audit::signals::{Signal, Signals};
use crate::audit::{Fact, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::Result;
use crate::id::{CustomerId, CustomerNumber, TenantName};
use std::collections::HashSet;
use std::sync::Arc;

impl Vault {
    /// From here on signals look at what is written down. Once, at start.
    pub fn watch_with(&self, signals: &Arc<Signals>) {
        self.0.log.watch_with(Arc::clone(signals));
        self.0.quota.watch_with(Arc::clone(signals));
    }

    /// Writes a signal down, as of the principal whose doing it is.
    pub async fn tell_signal(&self, signal: &Signal) -> Result<()> {
        let fact = Fact::Signal {
            kind: signal.kind.word(),
            count: signal.count,
            blocks: signal.blocks,
        };
        self.tell_of("Signal", &signal.principal, fact).await
    }

    /// Writes down that a principal is not blocked any more.
    pub async fn tell_lifted(&self, principal: &Arc<str>) -> Result<()> {
        let fact = Fact::BlockLifted { by: "hand" };
        self.tell_of("LiftBlock", principal, fact).await
    }

    async fn tell_of(&self, what: &'static str, who: &Arc<str>, fact: Fact) -> Result<()> {
        let call = self
            .0
            .log
            .begin(what, Some(Arc::clone(who)), Instant::now());
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.fact = Some(fact);
        self.record_plain(&call, &leaf, ()).await.map(|_| ())
    }

    /// The numbers of planted customers, as far as they are there.
    pub async fn planted(
        &self,
        decoys: Vec<(TenantName, CustomerId)>,
    ) -> Result<HashSet<CustomerNumber>> {
        let mut found = HashSet::new();
        for (tenant, id) in decoys {
            let tenant = self.tenant(&tenant)?;
            let keys = self.on_rows(move |rows, keyring| keyring.keys_of(rows, &tenant, &id));
            found.extend(keys.await.ok().map(|keys| keys.customer));
        }
        Ok(found)
    }
}
