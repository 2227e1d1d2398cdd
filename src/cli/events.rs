//! `oubliette events`: what a service is told of the customers whose data it
//! read, and who has not answered.

use super::caller::Caller;
use super::stop::Done;
use super::value::date_text;
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

/// What can be done with events.
#[derive(Subcommand, Debug)]
pub enum Events {
    /// Show the caller's own events as they come, until interrupted
    Watch(Watch),
    /// Acknowledge events of the caller's own: they were acted on
    Ack(Ack),
    /// List which services have not acknowledged what
    List(List),
}

/// Arguments of `events watch`.
#[derive(Args, Debug)]
pub struct Watch {
    #[command(flatten)]
    caller: Caller,
    /// Begin after this event instead of with all that are not acknowledged
    #[arg(long, value_name = "EVENT", default_value_t = 0)]
    after: i64,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    most: Option<usize>,
}

/// Arguments of `events ack`.
#[derive(Args, Debug)]
pub struct Ack {
    /// The events' numbers
    #[arg(required = true)]
    numbers: Vec<i64>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `events list`.
#[derive(Args, Debug)]
pub struct List {
    /// Only what this service was told: tenant/service
    #[arg(long, value_name = "SERVICE", default_value = "")]
    recipient: String,
    #[command(flatten)]
    caller: Caller,
}

impl Events {
    /// Whether errors too are told as JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Watch(watch) => watch.caller.json,
            Self::Ack(ack) => ack.caller.json,
            Self::List(list) => list.caller.json,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Watch(watch) => watch.run().await,
            Self::Ack(ack) => ack.run().await,
            Self::List(list) => list.run().await,
        }
    }
}

fn word(kind: pb::EventKind) -> String {
    let name = kind.as_str_name();
    name.trim_start_matches("EVENT_KIND_").to_lowercase()
}

fn when(event: &pb::LifecycleEvent) -> String {
    let at = event.event_time.as_ref();
    let at = at.and_then(|at| jiff::Timestamp::from_second(at.seconds).ok());
    at.map_or_else(String::new, |at| at.to_string())
}

impl Watch {
    async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let request = pb::WatchEventsRequest { after: self.after };
        let mut stream = client.watch_events(request).await?;
        let mut out = self.caller.out();
        let mut left = self.most.unwrap_or(usize::MAX);
        while let Some(message) = stream.next().await? {
            for event in message.events {
                let what = word(event.kind());
                out.document(&json!({
                    "number": event.number,
                    "kind": what,
                    "purpose": event.purpose,
                    "handle": event.handle,
                    "event_time": when(&event),
                }));
                out.line(&format!(
                    "{}  {}  {what}  {}  {}",
                    event.number,
                    when(&event),
                    event.purpose,
                    event.handle
                ));
                left = left.saturating_sub(1);
                if left == 0 || out.is_closed() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Ack {
    async fn run(self) -> Done {
        let request = pb::AcknowledgeEventsRequest {
            numbers: self.numbers,
        };
        let client = self.caller.connect().await?;
        let reply = client.acknowledge_events(request).await?;
        let mut out = self.caller.out();
        out.document(&json!({ "acknowledged": reply.acknowledged }));
        out.line(&format!("{} acknowledged.", reply.acknowledged));
        Ok(())
    }
}

impl List {
    async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let (mut events, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListUnacknowledgedEventsRequest {
                recipient: self.recipient.clone(),
                page_size: 0,
                page_token,
            };
            let reply = client.list_unacknowledged_events(request).await?;
            events.extend(reply.events);
            page_token = reply.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let mut out = self.caller.out();
        let all: Vec<Json> = events.iter().map(document).collect();
        out.document(&json!({ "events": all }));
        let rows: Vec<Vec<String>> = events.iter().map(cells).collect();
        out.table(
            &["event", "told since", "service", "what", "purpose"],
            &rows,
        );
        Ok(())
    }
}

fn document(event: &pb::UnacknowledgedEvent) -> Json {
    json!({
        "number": event.number,
        "recipient": event.recipient,
        "tell_date": date_text(event.tell_date.as_ref()),
        "kind": word(event.kind()),
        "purpose": event.purpose,
    })
}

fn cells(event: &pb::UnacknowledgedEvent) -> Vec<String> {
    let what = match event.kind() {
        pb::EventKind::Unspecified => "gone: older than 30 days".to_owned(),
        kind => word(kind),
    };
    vec![
        event.number.to_string(),
        date_text(event.tell_date.as_ref()),
        event.recipient.clone(),
        what,
        event.purpose.clone(),
    ]
}
