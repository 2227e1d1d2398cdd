//! Whether calls are served, said in three places at once: grpc.health.v1,
//! `/readyz` and the gauge `oubliette_ready`.

use crate::metrics::Metrics;
use std::sync::Arc;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// Why calls are served or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet: the stores are being opened and intents completed.
    Starting,
    /// Calls are served.
    Ready,
    /// Calls are served, and something needs looking after; the word says what:
    /// `key_provider`.
    Troubled(&'static str),
    /// Not now; the word says why, for example `sealed` or `disk_full`.
    Impaired(&'static str),
    /// Never again: the server is ending.
    Draining,
}

impl State {
    /// A word for `/readyz` and the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Troubled(why) | Self::Impaired(why) => why,
            Self::Draining => "draining",
        }
    }
}

/// Who may change the state, and where it is read.
pub struct Readiness {
    state: watch::Sender<State>,
    reporter: HealthReporter,
    services: Vec<&'static str>,
    metrics: Arc<Metrics>,
}

impl Readiness {
    /// Starts as [`State::Starting`]. `services` are the full names that
    /// grpc.health.v1 knows besides `""`, the whole server.
    pub async fn new(services: Vec<&'static str>, metrics: Arc<Metrics>) -> Self {
        let readiness = Self {
            state: watch::Sender::new(State::Starting),
            reporter: HealthReporter::new(),
            services,
            metrics,
        };
        readiness.tell(State::Starting).await;
        readiness
    }

    /// The service grpc.health.v1. It is not audited and never shed.
    pub fn health_service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Says it in all three places. After [`State::Draining`] nothing else is
    /// said any more.
    pub async fn set(&self, state: State) {
        let changed = self.state.send_if_modified(|current| {
            let changes = *current != state && *current != State::Draining;
            if changes {
                *current = state;
            }
            changes
        });
        if changed {
            tracing::info!(state = state.word(), "readiness");
            self.tell(state).await;
        }
    }

    async fn tell(&self, state: State) {
        let (status, ready) = match state {
            State::Ready | State::Troubled(_) => (ServingStatus::Serving, 1),
            _ => (ServingStatus::NotServing, 0),
        };
        self.metrics.ready.set(ready);
        for service in std::iter::once(&"").chain(&self.services) {
            self.reporter.set_service_status(*service, status).await;
        }
    }

    /// The state now.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_ready_before_ready_nor_after_draining() {
        let metrics = Arc::new(Metrics::new());
        let readiness = Readiness::new(vec!["a.B"], metrics.clone()).await;
        assert_eq!(metrics.ready.get(), 0);
        readiness.set(State::Ready).await;
        assert_eq!(metrics.ready.get(), 1);
        readiness.set(State::Impaired("disk_full")).await;
        assert_eq!(
            (readiness.state().word(), metrics.ready.get()),
            ("disk_full", 0)
        );
        readiness.set(State::Draining).await;
        readiness.set(State::Ready).await;
        assert_eq!(
            (readiness.state(), metrics.ready.get()),
            (State::Draining, 0)
        );
    }
}
