//! `oubliette notice` and `oubliette processing`: what customers and regulators
//! are told, from the catalog and the log.

use crate::cli::caller::Caller;
use crate::cli::out::printable;
use crate::cli::stop::{Done, Stop};
use crate::cli::value::date_text;
use crate::pb;
use clap::Args;
use serde_json::{Value as Json, json};

/// Arguments of `notice`.
#[derive(Args, Debug)]
pub struct Notice {
    /// The purpose
    purpose: String,
    /// The language; none: every one
    #[arg(long, default_value = "")]
    language: String,
    /// The version; none: the newest published one
    #[arg(long, value_name = "N", default_value_t = 0)]
    version: i32,
    /// Show it for programs: a document of the Transparency Information Language
    /// (TILT) a language
    #[arg(long)]
    tilt: bool,
    #[command(flatten)]
    pub caller: Caller,
}

/// Arguments of `processing`.
#[derive(Args, Debug)]
pub struct Processing {
    /// How many days of the audit log are looked at
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: i32,
    #[command(flatten)]
    pub caller: Caller,
}

fn parsed(text: &str) -> Done<Json> {
    serde_json::from_str(text)
        .map_err(|_| Stop::Failed("the server answered what is not JSON".to_owned()))
}

impl Notice {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let request = pb::GetNoticeRequest {
            purpose: self.purpose.clone(),
            language: self.language,
            version: self.version,
            tilt: self.tilt,
        };
        let reply = self.caller.connect().await?.get_notice(request).await?;
        let published = reply.publish_date.as_ref().map(|day| date_text(Some(day)));
        let mut texts = Vec::new();
        for text in &reply.texts {
            let tilt = match self.tilt {
                true => parsed(&text.tilt)?,
                false => Json::Null,
            };
            texts.push(json!({
                "language": text.language,
                "text": text.text,
                "hash": text.hash,
                "tilt": tilt,
            }));
        }
        let mut out = self.caller.out();
        if self.tilt && !out.is_json() {
            for tilt in texts.iter().filter_map(|text| text.get("tilt")) {
                out.raw(&format!("{tilt:#}\n"));
            }
            return Ok(());
        }
        out.document(&json!({
            "purpose": self.purpose,
            "version": reply.version,
            "published": published,
            "material": reply.material,
            "versions": reply.versions,
            "texts": texts,
            "tells": parsed(&reply.tells)?,
        }));
        let state =
            published.map_or_else(|| "a draft".to_owned(), |day| format!("published on {day}"));
        out.line(&format!(
            "{}, version {} of {}, {state}",
            self.purpose,
            reply.version,
            reply.versions.len()
        ));
        for text in &reply.texts {
            out.line(&format!("\n[{}]  sha256 {}", text.language, text.hash));
            for line in text.text.lines() {
                out.line(&printable(line));
            }
        }
        Ok(())
    }
}

fn names(of: &Json, list: &str) -> String {
    let list = of.get(list).and_then(Json::as_array);
    let names = list.into_iter().flatten().filter_map(Json::as_str);
    names.collect::<Vec<_>>().join(", ")
}

impl Processing {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let request = pb::GetProcessingRecordRequest { days: self.days };
        let client = self.caller.connect().await?;
        let reply = client.get_processing_record(request).await?;
        let record = parsed(&reply.document)?;
        let mut out = self.caller.out();
        out.document(&record);
        let text = |of: &Json, key: &str| -> String {
            of.get(key)
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let activities = record.get("activities").and_then(Json::as_array);
        let rows: Vec<Vec<String>> = activities
            .into_iter()
            .flatten()
            .map(|activity| {
                let part = |name: &str| activity.get(name).cloned().unwrap_or_default();
                let (declared, differs) = (part("declared"), part("difference"));
                vec![
                    text(activity, "purpose"),
                    text(&declared, "basis"),
                    names(&declared, "categories"),
                    names(&declared, "recipients"),
                    names(&differs, "fields_never_read"),
                    names(&differs, "services_that_never_read"),
                ]
            })
            .collect();
        let header = [
            "purpose",
            "basis",
            "categories of data",
            "recipients",
            "declared and never read",
            "may and never did",
        ];
        out.table(&header, &rows);
        out.line(&format!(
            "Record of processing (GDPR art. 30) of {}, catalog version {}; observed from {} on.",
            text(&record, "tenant"),
            record.pointer("/catalog/version").unwrap_or(&Json::Null),
            text(&record, "observed_from")
        ));
        Ok(())
    }
}
