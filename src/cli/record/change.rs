//! `oubliette record put`, `update` and `delete`.

use super::{full_name, show};
use crate::cli::caller::Caller;
use crate::cli::out::Out;
use crate::cli::schema::Schema;
use crate::cli::stop::{Done, Stop};
use crate::client::request_id;
use crate::pb;
use clap::Args;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The target and precondition of a change.
#[derive(Args, Debug)]
pub struct Change {
    /// The record: CUSTOMER/RECORD, or customers/CUSTOMER/records/RECORD
    name: String,
    /// The record type's name in the catalog
    #[arg(long = "type", value_name = "TYPE")]
    record_type: String,
    /// Only when the record is at this revision; 0: only when it does not exist
    #[arg(long, value_name = "N")]
    expected_revision: Option<i64>,
    /// Repeat an earlier change with its request id, a UUID
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    /// Where the values came from
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// Arguments of `record put`.
#[derive(Args, Debug)]
pub struct Put {
    #[command(flatten)]
    pub(super) change: Change,
    /// The record's fields, each as field=value
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "values_from")]
    fields: Vec<String>,
    /// Take the fields from a JSON object in a file instead ("-": stdin), so
    /// that no value stands in the shell's history
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    values_from: Option<PathBuf>,
}

/// Arguments of `record update`.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub(super) change: Change,
    /// The fields to set, each as field=value
    #[arg(value_name = "FIELD=VALUE", required_unless_present_any = ["values_from", "remove"])]
    fields: Vec<String>,
    /// Take the fields from a JSON object in a file ("-": stdin)
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    values_from: Option<PathBuf>,
    /// Fields to remove
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    remove: Vec<String>,
}

/// Arguments of `record delete`.
#[derive(Args, Debug)]
pub struct Delete {
    #[command(flatten)]
    pub(super) change: Change,
}

impl Change {
    fn id(&self) -> String {
        self.request_id.clone().unwrap_or_else(request_id)
    }

    fn values(&self, typed: &[String], file: Option<&Path>) -> Done<HashMap<String, pb::Value>> {
        let schema = Schema::load(&self.caller.dir, &self.record_type)?;
        match file {
            None => schema.fields(typed),
            Some(file) => schema.fields_of_json(&read_text(file)?),
        }
    }

    fn shown(&self, metadata: Option<&pb::RecordMetadata>) -> Out {
        let mut out = self.caller.out();
        show::metadata(&mut out, metadata);
        out
    }
}

fn read_text(file: &Path) -> Done<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| Stop::file(file, "read", &error))?;
    Ok(text)
}

impl Put {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let fields = self
            .change
            .values(&self.fields, self.values_from.as_deref())?;
        let request = pb::PutRecordRequest {
            name: full_name(&self.change.name)?,
            record_type: self.change.record_type.clone(),
            fields,
            request_id: self.change.id(),
            expected_revision: self.change.expected_revision,
            source: self.change.source.clone(),
            collect_time: None,
        };
        let reply = self
            .change
            .caller
            .connect()
            .await?
            .put_record(request)
            .await?;
        self.change.shown(reply.record.as_ref());
        Ok(())
    }
}

impl Update {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let fields = self
            .change
            .values(&self.fields, self.values_from.as_deref())?;
        let mut paths: Vec<String> = fields.keys().cloned().collect();
        paths.extend(self.remove.iter().cloned());
        paths.sort();
        let request = pb::UpdateRecordRequest {
            name: full_name(&self.change.name)?,
            record_type: self.change.record_type.clone(),
            fields,
            update_mask: Some(prost_types::FieldMask { paths }),
            request_id: self.change.id(),
            expected_revision: self.change.expected_revision,
            source: self.change.source.clone(),
            collect_time: None,
        };
        let reply = self
            .change
            .caller
            .connect()
            .await?
            .update_record(request)
            .await?;
        self.change.shown(reply.record.as_ref());
        Ok(())
    }
}

impl Delete {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let request = pb::DeleteRecordRequest {
            name: full_name(&self.change.name)?,
            record_type: self.change.record_type.clone(),
            request_id: self.change.id(),
            expected_revision: self.change.expected_revision,
        };
        self.change
            .caller
            .connect()
            .await?
            .delete_record(request)
            .await?;
        let mut out = self.change.caller.out();
        out.document(&serde_json::json!({ "deleted": true }));
        out.line("The record is deleted.");
        Ok(())
    }
}
