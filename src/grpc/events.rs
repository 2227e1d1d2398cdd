//! EventService.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Places;
use super::value::{date, timestamp};
use crate::access::{Action, Events as Hearing, Grant};
use crate::error::{Error, Result, Violation};
use crate::limits;
use crate::pb;
use crate::pb::event_service_server::EventService;
use crate::vault::{EventKind, EventView, Unheard, Vault};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Events {
    /// The vault.
    pub vault: Vault,
    /// Room for streams.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;
type Watched = pb::WatchEventsResponse;

fn wrong<T>(field: &str, rule: impl Into<String>) -> Result<T> {
    Err(Error::invalid(Violation::new(field, rule)))
}

fn kind(kind: EventKind) -> pb::EventKind {
    match kind {
        EventKind::ConsentWithdrawn => pb::EventKind::ConsentWithdrawn,
        EventKind::Objected => pb::EventKind::Objected,
        EventKind::Restricted => pb::EventKind::Restricted,
        EventKind::RestrictionLifted => pb::EventKind::RestrictionLifted,
        EventKind::Rectified => pb::EventKind::Rectified,
        EventKind::Erased => pb::EventKind::Erased,
        EventKind::ErasedInPart => pb::EventKind::ErasedInPart,
        EventKind::KeyRotated => pb::EventKind::KeyRotated,
        EventKind::RetentionSwept => pb::EventKind::RetentionSwept,
    }
}

fn event(event: EventView) -> pb::LifecycleEvent {
    pb::LifecycleEvent {
        number: event.number.cast_signed(),
        kind: kind(event.kind).into(),
        purpose: event.purpose,
        handle: event.handle,
        event_time: Some(timestamp(event.time)),
    }
}

fn unheard(event: Unheard) -> pb::UnacknowledgedEvent {
    let (what, purpose) = match event.what {
        Some((what, purpose)) => (kind(what), purpose),
        None => (pb::EventKind::Unspecified, String::new()),
    };
    pb::UnacknowledgedEvent {
        number: event.number.cast_signed(),
        recipient: event.recipient,
        tell_date: Some(date(event.raised)),
        kind: what.into(),
        purpose,
    }
}

fn hearing(guarded: &Guarded, action: Action) -> Result<Grant<Hearing>> {
    guarded.rules.events(&guarded.principal, action)
}

impl Events {
    async fn watch(
        &self,
        guarded: &Arc<Guarded>,
        asked: pb::WatchEventsRequest,
    ) -> Result<Outflow<Watched>> {
        let place = self.streams.take(&guarded.principal)?;
        let Ok(after) = u64::try_from(asked.after) else {
            return wrong("after", "must not be negative");
        };
        let grant = hearing(guarded, Action::WatchEvents)?;
        let seen = self.vault.watch_events(&guarded.call, &grant, after);
        let mut watching = Watching {
            vault: self.vault.clone(),
            guarded: Arc::clone(guarded),
            seen: seen.await?,
        };
        Ok(Outflow::of(place, move |outlet| async move {
            in_time(watching.send(&outlet)).await
        }))
    }

    async fn acknowledge(
        &self,
        guarded: &Guarded,
        asked: pb::AcknowledgeEventsRequest,
    ) -> Result<pb::AcknowledgeEventsResponse> {
        let most = limits::EVENTS_ACKNOWLEDGED;
        if !(1..=most).contains(&asked.numbers.len()) {
            return wrong("numbers", format!("must be 1 to {most} numbers"));
        }
        let numbers = asked.numbers.iter().map(|number| u64::try_from(*number));
        let Ok(numbers) = numbers.collect::<std::result::Result<Vec<_>, _>>() else {
            return wrong("numbers", "must not be negative");
        };
        let grant = hearing(guarded, Action::AcknowledgeEvents)?;
        let done = self
            .vault
            .acknowledge_events(&guarded.call, &grant, numbers);
        Ok(pb::AcknowledgeEventsResponse {
            acknowledged: done.await?.cast_signed(),
        })
    }

    async fn list(
        &self,
        guarded: &Guarded,
        asked: pb::ListUnacknowledgedEventsRequest,
    ) -> Result<pb::ListUnacknowledgedEventsResponse> {
        if asked.recipient.len() > 2 * limits::LABEL_BYTES + 1 {
            return wrong("recipient", "is too long");
        }
        let most = match usize::try_from(asked.page_size) {
            Ok(0) => limits::LIST_PAGE_DEFAULT,
            Ok(size) => size.min(limits::LIST_PAGE_MAX),
            Err(_) => return wrong("page_size", "must not be negative"),
        };
        let after = match asked.page_token.as_str() {
            "" => Ok(0),
            token => token.parse::<u64>(),
        };
        let Ok(after) = after else {
            return wrong("page_token", "must be the next_page_token of a reply");
        };
        let grant = hearing(guarded, Action::ListUnacknowledgedEvents)?;
        let (call, recipient) = (&guarded.call, &asked.recipient);
        let found = self
            .vault
            .unacknowledged_events(call, &grant, recipient, after, most);
        let found = found.await?.release();
        let last = found.last().filter(|_| found.len() == most);
        Ok(pb::ListUnacknowledgedEventsResponse {
            next_page_token: last.map_or_else(String::new, |last| last.number.to_string()),
            events: found.into_iter().map(unheard).collect(),
        })
    }
}

/// A watch under way.
struct Watching {
    vault: Vault,
    guarded: Arc<Guarded>,
    seen: u64,
}

impl Watching {
    /// Sends what comes, by the rules that are in force then, until the caller
    /// goes away or may watch no more.
    async fn send(&mut self, outlet: &Outlet<Watched>) -> Result<()> {
        let mut look = tokio::time::interval(limits::EVENTS_LOOK);
        loop {
            tokio::select! {
                () = outlet.gone() => return Ok(()),
                _ = look.tick() => {}
            }
            self.guarded = self.guarded.renewed()?;
            let grant = hearing(&self.guarded, Action::WatchEvents)?;
            let page = self.vault.events(&grant, self.seen).await?;
            self.seen = page.seen;
            if page.events.is_empty() {
                continue;
            }
            let Some(room) = outlet.room().await? else {
                return Ok(());
            };
            room.send(pb::WatchEventsResponse {
                seen: page.seen.cast_signed(),
                events: page.events.into_iter().map(event).collect(),
            });
        }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream = Outflow<Watched>;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Reply<Self::WatchEventsStream> {
        let guarded = Guarded::of(&request)?;
        let watched = self.watch(&guarded, request.into_inner()).await;
        guarded.answer(watched)
    }

    async fn acknowledge_events(
        &self,
        request: Request<pb::AcknowledgeEventsRequest>,
    ) -> Reply<pb::AcknowledgeEventsResponse> {
        let guarded = Guarded::of(&request)?;
        let done = self.acknowledge(&guarded, request.into_inner()).await;
        guarded.answer(done)
    }

    async fn list_unacknowledged_events(
        &self,
        request: Request<pb::ListUnacknowledgedEventsRequest>,
    ) -> Reply<pb::ListUnacknowledgedEventsResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.list(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }
}
