//! `oubliette request`: what people ask of their data, and by when it must be
//! answered.

use super::caller::Caller;
use super::certificate;
use super::customer::{full_name, held_back};
use super::out::Out;
use super::restrict;
use super::stop::Done;
use super::value::date_text;
use crate::client::{Client, request_id};
use crate::pb;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// What can be done with requests.
#[derive(Subcommand, Debug)]
pub enum Request {
    /// Open a request of a customer
    Open(Open),
    /// Note how it was made sure who is asking
    Verify(Verify),
    /// Approve a request; an erasure is carried out at once
    Approve(Approve),
    /// Refuse a request, with the legal reason
    Deny(Deny),
    /// Take the longer time that a law allows
    Extend(Extend),
    /// The person takes the request back
    Revoke(Named),
    /// Note that an approved request was carried out
    Fulfil(Named),
    /// Show a request and all that happened to it
    Show(Named),
    /// List requests by the day they are due
    List(List),
    /// Show each request that changes, until it is interrupted
    Watch(Watch),
}

/// What is asked for.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Access,
    Portability,
    Rectification,
    Restriction,
    Objection,
    Erasure,
}

/// A law whose clock runs.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Regime {
    Gdpr,
    Ccpa,
    Lgpd,
    Pipl,
}

/// How it was made sure who is asking; nothing is collected for it.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Check {
    MoreNeeded,
    SignedIn,
    KnownContact,
    KnownData,
    InPerson,
}

/// Arguments of `request open`.
#[derive(Args, Debug)]
pub struct Open {
    /// The customer's id
    id: String,
    /// What is asked for
    #[arg(long, value_enum)]
    kind: Kind,
    /// A law whose clock runs; several times for several; else as configured
    #[arg(long, value_enum)]
    regime: Vec<Regime>,
    /// What the person said of it
    #[arg(long, default_value = "")]
    text: String,
    /// Of a rectification: the person contests that the data is accurate, so
    /// that it is restricted until that is decided
    #[arg(long)]
    contested: bool,
    /// Of an objection: a purpose; several times for several
    #[arg(long)]
    purpose: Vec<String>,
    /// Repeat an earlier change with its request id, a UUID
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// requests/{request}
    name: String,
    /// How it was made sure
    #[arg(long, value_enum)]
    by: Check,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request approve`.
#[derive(Args, Debug)]
pub struct Approve {
    /// requests/{request}
    name: String,
    /// Write an erasure's certificate to this file, which must be new
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Where data is restricted for it: when the person was told that it will
    /// not be any more, such as 2026-11-23T15:04:05Z
    #[arg(long, value_name = "TIME")]
    told: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request deny`.
#[derive(Args, Debug)]
pub struct Deny {
    /// requests/{request}
    name: String,
    /// The justification, of the Data Privacy Vocabulary: eu-gdpr:A17-3-b
    #[arg(long)]
    code: String,
    /// The reason in words, for the person
    #[arg(long)]
    text: String,
    /// Where data is restricted for it: when the person was told that it will
    /// not be any more, such as 2026-11-23T15:04:05Z
    #[arg(long, value_name = "TIME")]
    told: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request extend`.
#[derive(Args, Debug)]
pub struct Extend {
    /// requests/{request}
    name: String,
    /// Why, as the person was told
    #[arg(long)]
    text: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of the commands that name a request and no more.
#[derive(Args, Debug)]
pub struct Named {
    /// requests/{request}
    name: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request list`.
#[derive(Args, Debug)]
pub struct List {
    /// Also requests that are ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `request watch`.
#[derive(Args, Debug)]
pub struct Watch {
    #[command(flatten)]
    caller: Caller,
}

impl Request {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Open(open) => &open.caller,
            Self::Verify(verify) => &verify.caller,
            Self::Approve(approve) => &approve.caller,
            Self::Deny(deny) => &deny.caller,
            Self::Extend(extend) => &extend.caller,
            Self::Revoke(named) | Self::Fulfil(named) | Self::Show(named) => &named.caller,
            Self::List(list) => &list.caller,
            Self::Watch(watch) => &watch.caller,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let client = self.caller().connect().await?;
        let mut out = self.caller().out();
        let request = match self {
            Self::Open(open) => client.open_request(open.request()).await?.request,
            Self::Verify(verify) => {
                let (name, check) = (verify.name, check(verify.by).into());
                let asked = pb::VerifyIdentityRequest { name, check };
                client.verify_identity(asked).await?.request
            }
            Self::Approve(approve) => return approve.run(&client, &mut out).await,
            Self::Deny(Deny {
                name,
                code,
                text,
                told,
                ..
            }) => {
                let asked = pb::DenyRequestRequest {
                    name,
                    code,
                    text,
                    person_told_time: told.as_deref().map(restrict::told).transpose()?,
                };
                client.deny_request(asked).await?.request
            }
            Self::Extend(Extend { name, text, .. }) => {
                let asked = pb::ExtendRequestRequest { name, text };
                client.extend_request(asked).await?.request
            }
            Self::Revoke(Named { name, .. }) => {
                let asked = pb::RevokeRequestRequest { name };
                client.revoke_request(asked).await?.request
            }
            Self::Fulfil(Named { name, .. }) => {
                let asked = pb::FulfilRequestRequest { name };
                client.fulfil_request(asked).await?.request
            }
            Self::Show(Named { name, .. }) => {
                let asked = pb::GetRequestRequest { name };
                client.get_request(asked).await?.request
            }
            Self::List(list) => return listed(&mut out, &all(&client, list.all).await?),
            Self::Watch(_) => return watched(&client, &mut out).await,
        };
        let request = request.unwrap_or_default();
        out.document(&json!({ "request": document(&request) }));
        shown(&mut out, &request);
        Ok(())
    }
}

impl Approve {
    async fn run(self, client: &Client, out: &mut Out) -> Done {
        let name = self.name;
        let told = self.told.as_deref().map(restrict::told).transpose()?;
        let asked = pb::ApproveRequestRequest {
            name,
            person_told_time: told,
        };
        let reply = client.approve_request(asked).await?;
        let (request, made) = (reply.request.unwrap_or_default(), reply.certificate);
        out.document(&json!({
            "request": document(&request),
            "certificate": made.as_ref().map(certificate::document),
        }));
        shown(out, &request);
        match request.kind() {
            pb::RequestKind::Erasure if request.erased_in_part => {
                out.line("All that is not held is erased.");
                held_back(out, made.as_ref());
                super::customer::certified(out, made.as_ref(), self.certificate.as_deref())
            }
            pb::RequestKind::Erasure if request.state() == pb::RequestState::Approved => {
                out.line(match request.queued {
                    true => {
                        "Something of the customer is held: they are forgotten when it is released."
                    }
                    false => "It can be revoked until its grace is over.",
                });
                Ok(())
            }
            pb::RequestKind::Erasure => {
                super::customer::certified(out, made.as_ref(), self.certificate.as_deref())
            }
            _ => Ok(()),
        }
    }
}

/// Every page of the list.
async fn all(client: &Client, show_ended: bool) -> Done<Vec<pb::RightsRequest>> {
    let (mut page_token, mut all) = (String::new(), Vec::new());
    loop {
        let page = pb::ListRequestsRequest {
            page_size: 0,
            page_token,
            show_ended,
        };
        let page = client.list_requests(page).await?;
        all.extend(page.requests);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

impl Open {
    fn request(self) -> pb::OpenRequestRequest {
        let regimes = self.regime.into_iter().map(|regime| match regime {
            Regime::Gdpr => pb::Regime::Gdpr.into(),
            Regime::Ccpa => pb::Regime::Ccpa.into(),
            Regime::Lgpd => pb::Regime::Lgpd.into(),
            Regime::Pipl => pb::Regime::Pipl.into(),
        });
        pb::OpenRequestRequest {
            customer: full_name(&self.id),
            kind: match self.kind {
                Kind::Access => pb::RequestKind::Access.into(),
                Kind::Portability => pb::RequestKind::Portability.into(),
                Kind::Rectification => pb::RequestKind::Rectification.into(),
                Kind::Restriction => pb::RequestKind::Restriction.into(),
                Kind::Objection => pb::RequestKind::Objection.into(),
                Kind::Erasure => pb::RequestKind::Erasure.into(),
            },
            regimes: regimes.collect(),
            text: self.text,
            request_id: self.request_id.unwrap_or_else(request_id),
            accuracy_contested: self.contested,
            purposes: self.purpose,
        }
    }
}

/// What changes, as it changes.
async fn watched(client: &Client, out: &mut Out) -> Done {
    let mut watching = client
        .watch_requests(pb::WatchRequestsRequest::default())
        .await?;
    while let Some(request) = watching.next().await? {
        out.document(&document(&request));
        let said = [
            request.name.clone(),
            kind(&request),
            state(&request),
            due(&request),
        ];
        out.line(&said.join("  "));
        if out.is_closed() {
            break;
        }
    }
    Ok(())
}

fn check(by: Check) -> pb::IdentityCheck {
    match by {
        Check::MoreNeeded => pb::IdentityCheck::MoreNeeded,
        Check::SignedIn => pb::IdentityCheck::SignedIn,
        Check::KnownContact => pb::IdentityCheck::KnownContact,
        Check::KnownData => pb::IdentityCheck::KnownData,
        Check::InPerson => pb::IdentityCheck::InPerson,
    }
}

/// An enum's name without its prefix, as a word.
fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

fn kind(request: &pb::RightsRequest) -> String {
    word(request.kind().as_str_name(), "REQUEST_KIND_")
}

fn state(request: &pb::RightsRequest) -> String {
    word(request.state().as_str_name(), "REQUEST_STATE_")
}

fn warning(request: &pb::RightsRequest) -> &'static str {
    match request.warning() {
        pb::RequestWarning::Unspecified => "",
        pb::RequestWarning::Half => "half of the time has run",
        pb::RequestWarning::Soon => "80% of the time has run",
        pb::RequestWarning::Over => "OVERDUE",
    }
}

fn due(request: &pb::RightsRequest) -> String {
    let day = date_text(request.due_date.as_ref());
    match (day.as_str(), request.extended) {
        ("", _) => "no law names a day".to_owned(),
        (day, true) => format!("{day} (extended)"),
        (day, false) => day.to_owned(),
    }
}

fn whose(request: &pb::RightsRequest) -> String {
    match request.customer.as_str() {
        "" => "(forgotten)".to_owned(),
        name => name.to_owned(),
    }
}

fn document(request: &pb::RightsRequest) -> Json {
    let regimes = request
        .regimes()
        .map(|one| word(one.as_str_name(), "REGIME_"));
    let steps = request.steps.iter().map(|step| {
        json!({
            "time_micros": step.time_micros,
            "principal": step.principal,
            "what": step.what,
            "text": step.text,
        })
    });
    json!({
        "name": request.name,
        "customer": request.customer,
        "kind": kind(request),
        "state": state(request),
        "receive_date": date_text(request.receive_date.as_ref()),
        "due_date": date_text(request.due_date.as_ref()),
        "extended": request.extended,
        "warning": word(request.warning().as_str_name(), "REQUEST_WARNING_"),
        "regimes": regimes.collect::<Vec<_>>(),
        "text": request.text,
        "denial_code": request.denial_code,
        "denial_text": request.denial_text,
        "restricts": request.restricts,
        "purposes": request.purposes,
        "grace_end_date": date_text(request.grace_end_date.as_ref()),
        "queued": request.queued,
        "erased_in_part": request.erased_in_part,
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn shown(out: &mut Out, request: &pb::RightsRequest) {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![
        row("request", request.name.clone()),
        row("customer", whose(request)),
        row("asks for", kind(request)),
        row("state", state(request)),
        row("received", date_text(request.receive_date.as_ref())),
        row("due", due(request)),
    ];
    if !warning(request).is_empty() {
        rows.push(row("warning", warning(request).to_owned()));
    }
    if request.restricts {
        rows.push(row("restricts", "yes, until it is decided".to_owned()));
    }
    if !request.purposes.is_empty() {
        rows.push(row("objects to", request.purposes.join(", ")));
    }
    if request.grace_end_date.is_some() {
        let day = date_text(request.grace_end_date.as_ref());
        rows.push(row("grace until", day));
    }
    if request.erased_in_part {
        rows.push(row("erased", "all that is not held".to_owned()));
    }
    if request.queued {
        rows.push(row("waits", "for a hold to be released".to_owned()));
    }
    if !request.text.is_empty() {
        rows.push(row("said", request.text.clone()));
    }
    if !request.denial_code.is_empty() {
        let why = format!("{} ({})", request.denial_text, request.denial_code);
        rows.push(row("denied", why));
    }
    out.table(&["", ""], &rows);
    let steps = request.steps.iter().map(|step| {
        let text = step.text.clone();
        vec![
            time_text(step.time_micros),
            step.principal.clone(),
            step.what.clone(),
            text,
        ]
    });
    let steps: Vec<Vec<String>> = steps.collect();
    if !steps.is_empty() {
        out.table(&["when", "who", "what", ""], &steps);
    }
}

/// To the second, UTC.
fn time_text(micros: i64) -> String {
    let time = jiff::Timestamp::from_second(micros.div_euclid(1_000_000));
    time.map_or_else(|_| micros.to_string(), |time| time.to_string())
}

fn listed(out: &mut Out, requests: &[pb::RightsRequest]) -> Done {
    let documents: Vec<Json> = requests.iter().map(document).collect();
    out.document(&json!({ "requests": documents }));
    if requests.is_empty() {
        out.line("No request is open.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = requests
        .iter()
        .map(|request| {
            vec![
                due(request),
                warning(request).to_owned(),
                kind(request),
                state(request),
                request.name.clone(),
                whose(request),
            ]
        })
        .collect();
    out.table(
        &["due", "", "asks for", "state", "request", "customer"],
        &rows,
    );
    Ok(())
}
