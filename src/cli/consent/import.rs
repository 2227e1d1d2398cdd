//! `oubliette consent import`: what a Global Privacy Control or a consent string
//! says, put on record for every purpose that hears it.

use super::{state_json, state_row};
use crate::cli::caller::Caller;
use crate::cli::customer::full_name;
use crate::cli::stop::{Done, Stop};
use crate::client::request_id;
use crate::pb;
use crate::pb::import_signal_request::Signal;
use clap::Args;
use serde_json::{Value as Json, json};

/// Arguments of `consent import`.
#[derive(Args, Debug)]
#[group(id = "signal", required = true, multiple = false, args = ["gpc", "tcf"])]
pub struct Import {
    /// The customer's id
    id: String,
    /// The customer's browser sent a Global Privacy Control (Sec-GPC: 1)
    #[arg(long)]
    gpc: bool,
    /// A consent string of the IAB Transparency and Consent Framework, version 2
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    tcf: Option<String>,
    /// A notice that the consent platform showed, so that a yes counts
    #[arg(
        long = "notice",
        value_name = "PURPOSE=VERSION",
        conflicts_with = "gpc"
    )]
    notices: Vec<String>,
    /// The language in which they were shown
    #[arg(long, default_value = "en")]
    language: String,
    /// Where it came from: web, app
    #[arg(long, default_value = "")]
    channel: String,
    #[command(flatten)]
    pub(super) caller: Caller,
}

impl Import {
    /// Makes the call and shows the answer.
    pub(super) async fn run(self) -> Done {
        let notices = self.notices.iter().map(|text| self.notice(text));
        let notices = notices.collect::<Done<Vec<_>>>()?;
        let request = pb::ImportSignalRequest {
            name: full_name(&self.id),
            signal: Some(match self.tcf {
                Some(text) => Signal::Tcf(text),
                None => Signal::Gpc("1".to_owned()),
            }),
            channel: self.channel,
            notices,
            request_id: request_id(),
        };
        let reply = self.caller.connect().await?.import_signal(request).await?;
        let mut out = self.caller.out();
        let all: Vec<Json> = reply.purposes.iter().map(became_json).collect();
        out.document(&json!({ "purposes": all }));
        let rows: Vec<Vec<String>> = reply.purposes.iter().map(became_row).collect();
        let header = ["purpose", "said", "may be read for it", "what became of it"];
        out.table(&header, &rows);
        let recorded = reply.purposes.iter().filter(|one| one.event != 0).count();
        out.line(&format!("{recorded} on record."));
        Ok(())
    }

    fn notice(&self, text: &str) -> Done<pb::ShownNotice> {
        let parts = text.split_once('=');
        let named = parts.and_then(|(purpose, version)| {
            Some(pb::ShownNotice {
                purpose: purpose.to_owned(),
                notice_version: version.parse().ok()?,
                language: self.language.clone(),
            })
        });
        let wrong = "--notice must be PURPOSE=VERSION, such as third_party_ads=1";
        named.ok_or_else(|| Stop::Usage(wrong.to_owned()))
    }
}

/// An outcome in words.
fn words(outcome: pb::ImportOutcome) -> &'static str {
    match outcome {
        pb::ImportOutcome::Unspecified => "something newer than this program",
        pb::ImportOutcome::Recorded => "on record",
        pb::ImportOutcome::NotSaid => "nothing said: it goes on",
        pb::ImportOutcome::NoNotice => "yes, but --notice does not say which was shown",
        pb::ImportOutcome::NeedsConfirmation => "yes, but only the customer confirms it",
        pb::ImportOutcome::TooOld => "yes, but too old to rely on",
        pb::ImportOutcome::Stands => "stands already",
        pb::ImportOutcome::StricterStands => "yes, but a no stands that is stricter or newer",
    }
}

fn became_json(of: &pb::ImportedPurpose) -> Json {
    let name = of.outcome().as_str_name();
    json!({
        "outcome": name.trim_start_matches("IMPORT_OUTCOME_").to_lowercase(),
        "event": of.event,
        "state": of.state.as_ref().map(state_json),
    })
}

fn became_row(of: &pb::ImportedPurpose) -> Vec<String> {
    let state = state_row(&of.state.clone().unwrap_or_default());
    let cell = |at: usize| state.get(at).cloned().unwrap_or_default();
    let became = match of.event {
        0 => words(of.outcome()).to_owned(),
        event => format!("{} as event {event}", words(of.outcome())),
    };
    vec![cell(0), cell(2), cell(4), became]
}
