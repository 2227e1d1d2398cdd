//! `oubliette consent`: what customers say of purposes, put on record and
//! looked at; and receipts, which anybody checks without a server.

mod import;

use super::caller::Caller;
use super::customer::full_name;
use super::out::printable;
use super::stop::{Done, Stop};
use super::value::{date, date_text};
use crate::catalog::read_text;
use crate::client::request_id;
use crate::keys::note;
use crate::keys::signing::PublicKey;
use crate::pb;
use clap::{Args, Subcommand, ValueEnum};
use import::Import;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// What can be done with consent.
#[derive(Subcommand, Debug)]
pub enum Consent {
    /// Put on record that a customer said yes, no, or was asked
    Give(Give),
    /// Take consent to a purpose back; holds from the reply on
    Withdraw(Of),
    /// Object to a purpose that needs no consent; holds from the reply on
    Object(Of),
    /// Put on record what a signal says of every purpose that hears it
    Import(Import),
    /// Show what stands of every purpose
    Show(Whose),
    /// List what was said, oldest first
    History(Whose),
    /// Fetch a signed receipt, or check one offline
    #[command(subcommand)]
    Receipt(Receipt),
}

/// What can be done with receipts.
#[derive(Subcommand, Debug)]
pub enum Receipt {
    /// Fetch the receipt of an event, to be given to the customer
    Get(Get),
    /// Check a receipt with the vault's public key; needs no server
    Verify(Verify),
}

/// An answer.
#[derive(ValueEnum, Debug, Clone, Copy)]
enum Decision {
    /// The customer said yes, or confirmed it.
    Given,
    /// The customer said no.
    Refused,
    /// The customer was asked.
    Requested,
}

/// By what an answer was given.
#[derive(ValueEnum, Debug, Clone, Copy)]
enum Method {
    /// An act in a form.
    Form,
    /// In writing.
    Written,
    /// By word of mouth.
    Spoken,
    /// By a link or code that was sent.
    Link,
    /// A setting of the customer's own software.
    Signal,
}

/// Arguments of `consent give`.
#[derive(Args, Debug)]
pub struct Give {
    /// The customer's id
    id: String,
    /// The purpose
    #[arg(long)]
    purpose: String,
    /// The version of the notice that was shown
    #[arg(long, value_name = "VERSION")]
    notice: i32,
    /// The language in which it was shown
    #[arg(long, default_value = "en")]
    language: String,
    /// What the customer answered
    #[arg(long, value_enum, default_value = "given")]
    decision: Decision,
    /// By what
    #[arg(long, value_enum, default_value = "form")]
    method: Method,
    /// Where: web, shop, phone
    #[arg(long, default_value = "")]
    channel: String,
    /// Who spoke, where not the customer
    #[arg(long, default_value = "")]
    actor: String,
    /// The first day on which it no longer counts, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    expires: Option<String>,
    /// It is explicit consent to special categories of data
    #[arg(long)]
    explicit: bool,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `consent withdraw` and `consent object`.
#[derive(Args, Debug)]
pub struct Of {
    /// The customer's id
    id: String,
    /// The purpose
    #[arg(long)]
    purpose: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `consent show` and `consent history`.
#[derive(Args, Debug)]
pub struct Whose {
    /// The customer's id
    id: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `consent receipt get`.
#[derive(Args, Debug)]
pub struct Get {
    /// The customer's id
    id: String,
    /// The event's number; the newest where none is given
    #[arg(long, default_value_t = 0)]
    event: i64,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `consent receipt verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The receipt, as it was fetched
    file: PathBuf,
    /// The vault's public key, `name+id+key`
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

impl Consent {
    /// Whether errors too are told as JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Give(give) => give.caller.json,
            Self::Withdraw(of) | Self::Object(of) => of.caller.json,
            Self::Import(import) => import.caller.json,
            Self::Show(whose) | Self::History(whose) => whose.caller.json,
            Self::Receipt(Receipt::Get(get)) => get.caller.json,
            Self::Receipt(Receipt::Verify(verify)) => verify.json,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Give(give) => give.run().await,
            Self::Withdraw(of) => of.withdraw().await,
            Self::Object(of) => of.object().await,
            Self::Import(import) => import.run().await,
            Self::Show(whose) => whose.show().await,
            Self::History(whose) => whose.history().await,
            Self::Receipt(Receipt::Get(get)) => get.run().await,
            Self::Receipt(Receipt::Verify(verify)) => verify.run(),
        }
    }
}

/// A status as a word: `withdrawn`.
fn word(status: pb::ConsentStatus) -> String {
    let name = status.as_str_name();
    name.trim_start_matches("CONSENT_STATUS_").to_lowercase()
}

fn state_json(state: &pb::PurposeState) -> Json {
    json!({
        "purpose": state.purpose,
        "basis": state.basis,
        "status": word(state.status()),
        "explicit_status": word(state.explicit_status()),
        "expire_date": state.expire_date.as_ref().map(|day| date_text(Some(day))),
        "notice_version": state.notice_version,
        "denied_by": state.denied_by,
    })
}

fn state_row(state: &pb::PurposeState) -> Vec<String> {
    let readable = match state.denied_by.as_str() {
        "" => "yes".to_owned(),
        reason => format!("no: {reason}"),
    };
    let explicit = match state.explicit_status() {
        pb::ConsentStatus::Unknown => String::new(),
        status => word(status),
    };
    vec![
        state.purpose.clone(),
        state.basis.clone(),
        word(state.status()),
        explicit,
        readable,
    ]
}

const STATE_HEADER: [&str; 5] = ["purpose", "basis", "said", "special", "may be read for it"];

/// Shows what stands of a purpose after something was said.
fn said(caller: &Caller, state: Option<pb::PurposeState>, event: i64) {
    let state = state.unwrap_or_default();
    let mut out = caller.out();
    out.document(&json!({ "state": state_json(&state), "event": event }));
    out.table(&STATE_HEADER, &[state_row(&state)]);
    out.line(&format!("On record as event {event}."));
}

impl Give {
    async fn run(self) -> Done {
        let expires = self.expires.as_deref().map(|text| {
            let wrong = "--expires must be a date, written YYYY-MM-DD";
            date(text).ok_or_else(|| Stop::Usage(wrong.to_owned()))
        });
        let decision = match self.decision {
            Decision::Given => pb::ConsentDecision::Given,
            Decision::Refused => pb::ConsentDecision::Refused,
            Decision::Requested => pb::ConsentDecision::Requested,
        };
        let method = match self.method {
            Method::Form => pb::ConsentMethod::Form,
            Method::Written => pb::ConsentMethod::Written,
            Method::Spoken => pb::ConsentMethod::Spoken,
            Method::Link => pb::ConsentMethod::Link,
            Method::Signal => pb::ConsentMethod::Signal,
        };
        let request = pb::RecordConsentRequest {
            name: full_name(&self.id),
            purpose: self.purpose,
            decision: decision.into(),
            notice_version: self.notice,
            language: self.language,
            method: method.into(),
            channel: self.channel,
            actor: self.actor,
            evidence: Vec::new(),
            expire_date: expires.transpose()?,
            explicit: self.explicit,
            event_time: None,
            request_id: request_id(),
        };
        let reply = self.caller.connect().await?.record_consent(request).await?;
        said(&self.caller, reply.state, reply.event);
        Ok(())
    }
}

impl Of {
    async fn withdraw(self) -> Done {
        let request = pb::WithdrawConsentRequest {
            name: full_name(&self.id),
            purpose: self.purpose,
            request_id: request_id(),
        };
        let client = self.caller.connect().await?;
        let reply = client.withdraw_consent(request).await?;
        said(&self.caller, reply.state, reply.event);
        Ok(())
    }

    async fn object(self) -> Done {
        let request = pb::ObjectRequest {
            name: full_name(&self.id),
            purpose: self.purpose,
            request_id: request_id(),
        };
        let reply = self.caller.connect().await?.object(request).await?;
        said(&self.caller, reply.state, reply.event);
        Ok(())
    }
}

impl Whose {
    async fn show(self) -> Done {
        let request = pb::GetConsentStateRequest {
            name: full_name(&self.id),
        };
        let client = self.caller.connect().await?;
        let reply = client.get_consent_state(request).await?;
        let mut out = self.caller.out();
        out.document(&json!({
            "restricted": reply.restricted,
            "held": reply.held,
            "purposes": reply.purposes.iter().map(state_json).collect::<Vec<_>>(),
        }));
        let rows: Vec<Vec<String>> = reply.purposes.iter().map(state_row).collect();
        out.table(&STATE_HEADER, &rows);
        Ok(())
    }

    async fn history(self) -> Done {
        let client = self.caller.connect().await?;
        let mut events = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListConsentHistoryRequest {
                name: full_name(&self.id),
                page_size: 0,
                page_token,
            };
            let reply = client.list_consent_history(request).await?;
            events.extend(reply.events);
            page_token = reply.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let mut out = self.caller.out();
        let all: Vec<Json> = events.iter().map(event_json).collect();
        out.document(&json!({ "events": all }));
        let rows: Vec<Vec<String>> = events.iter().map(event_row).collect();
        out.table(
            &["event", "recorded", "purpose", "said", "notice", "by"],
            &rows,
        );
        Ok(())
    }
}

fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::from_second(at.seconds).ok());
    at.map_or_else(String::new, |at| at.to_string())
}

fn event_json(event: &pb::ConsentEvent) -> Json {
    json!({
        "number": event.number,
        "record_time": instant(event.record_time.as_ref()),
        "event_time": instant(event.event_time.as_ref()),
        "purpose": event.purpose,
        "status": word(event.status()),
        "explicit": event.explicit,
        "notice_version": event.notice_version,
        "language": event.language,
        "notice_hash": event.notice_hash,
        "method": event.method().as_str_name().trim_start_matches("CONSENT_METHOD_"),
        "channel": event.channel,
        "actor": event.actor,
        "evidence": event.evidence,
        "principal": event.principal,
        "signal": event.signal,
    })
}

fn event_row(event: &pb::ConsentEvent) -> Vec<String> {
    let notice = match event.notice_version {
        0 => String::new(),
        version => format!("{version} ({})", event.language),
    };
    let special = if event.explicit { ", special" } else { "" };
    vec![
        event.number.to_string(),
        instant(event.record_time.as_ref()),
        event.purpose.clone(),
        format!("{}{special}", word(event.status())),
        notice,
        printable(&event.principal),
    ]
}

impl Get {
    async fn run(self) -> Done {
        let request = pb::GetReceiptRequest {
            name: full_name(&self.id),
            event: self.event,
        };
        let reply = self.caller.connect().await?.get_receipt(request).await?;
        let mut out = self.caller.out();
        out.document(&json!({ "receipt": reply.receipt, "public_key": reply.public_key }));
        if !out.is_json() {
            out.raw(&reply.receipt);
            super::out::note(&format!("The key that checks it: {}", reply.public_key));
        }
        Ok(())
    }
}

impl Verify {
    fn run(self) -> Done {
        let Some(key) = PublicKey::parse(&self.key) else {
            return Err(Stop::Usage(
                "--key must be a public key, name+id+key, as `consent receipt get` prints it"
                    .to_owned(),
            ));
        };
        let receipt = read_text(&self.file)?;
        let Some(text) = note::open(&receipt, &key) else {
            return Err(Stop::Failed(format!(
                "{} is not a receipt that {} signed; not one byte of it counts",
                self.file.display(),
                key.name()
            )));
        };
        let document: Json = serde_json::from_str(text)
            .map_err(|_| Stop::Failed("the receipt is signed and not JSON".to_owned()))?;
        let mut out = super::out::Out::new(self.json);
        out.document(&json!({ "signed_by": key.name(), "receipt": document }));
        out.line(&format!("Signed by {}, unchanged:", key.name()));
        if !out.is_json() {
            out.raw(&printable_lines(text));
        }
        Ok(())
    }
}

fn printable_lines(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{}\n", printable(line)));
    lines.collect()
}
