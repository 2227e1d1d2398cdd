//! `oubliette record`: one customer's records.

mod show;
mod stream;

use super::caller::Caller;
use super::out::Out;
use super::schema::Schema;
use super::stop::{Done, Stop};
use crate::client::request_id;
use crate::pb;
use clap::{Args, Subcommand};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) use show::fields_table;

/// What can be done with records.
#[derive(Subcommand, Debug)]
pub enum Record {
    /// Write a whole record: create it, or replace all its fields
    Put(Put),
    /// Change some fields of a record and leave the others
    Update(Update),
    /// Read one record's fields, as far as the purpose may see them
    Get(Get),
    /// List a customer's records of one type: names, never values
    List(List),
    /// Read every record of a type for a purpose
    Stream(stream::Stream),
    /// Delete one record (to forget a customer: oubliette customer erase)
    Delete(Delete),
}

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
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `record put`.
#[derive(Args, Debug)]
pub struct Put {
    #[command(flatten)]
    change: Change,
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
    change: Change,
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

/// What to read, and why.
#[derive(Args, Debug, Clone)]
pub struct Reading {
    /// The record type's name in the catalog
    #[arg(long = "type", value_name = "TYPE")]
    record_type: String,
    /// Why the data is read: a purpose of the catalog
    #[arg(long, value_name = "NAME")]
    purpose: String,
    /// The fields wanted, separated by commas; none: all the purpose may see
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    fields: Vec<String>,
    /// Leave out what may not be seen, with the reason, instead of refusing all
    #[arg(long)]
    what_i_may_see: bool,
}

/// Arguments of `record get`.
#[derive(Args, Debug)]
pub struct Get {
    /// The record: CUSTOMER/RECORD, or customers/CUSTOMER/records/RECORD
    name: String,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `record list`.
#[derive(Args, Debug)]
pub struct List {
    /// The customer's id
    customer: String,
    /// The record type's name in the catalog
    #[arg(long = "type", value_name = "TYPE")]
    record_type: String,
    /// Why the names are read: a purpose of the catalog
    #[arg(long, value_name = "NAME")]
    purpose: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `record delete`.
#[derive(Args, Debug)]
pub struct Delete {
    #[command(flatten)]
    change: Change,
}

impl Record {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Put(put) => &put.change.caller,
            Self::Update(update) => &update.change.caller,
            Self::Get(get) => &get.caller,
            Self::List(list) => &list.caller,
            Self::Stream(stream) => &stream.caller,
            Self::Delete(delete) => &delete.change.caller,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Put(put) => put.run().await,
            Self::Update(update) => update.run().await,
            Self::Get(get) => get.run().await,
            Self::List(list) => list.run().await,
            Self::Stream(stream) => stream.run().await,
            Self::Delete(delete) => delete.run().await,
        }
    }
}

/// A record's full name from its short or full form.
fn full_name(typed: &str) -> Done<String> {
    match typed.split_once('/') {
        Some(("customers", _)) => Ok(typed.to_owned()),
        Some((customer, record)) => Ok(format!("customers/{customer}/records/{record}")),
        None => Err(Stop::Usage(
            "name the record as CUSTOMER/RECORD or customers/CUSTOMER/records/RECORD".to_owned(),
        )),
    }
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
    async fn run(self) -> Done {
        let fields = self
            .change
            .values(&self.fields, self.values_from.as_deref())?;
        let request = pb::PutRecordRequest {
            name: full_name(&self.change.name)?,
            record_type: self.change.record_type.clone(),
            fields,
            request_id: self.change.id(),
            expected_revision: self.change.expected_revision,
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
    async fn run(self) -> Done {
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
    async fn run(self) -> Done {
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

impl Reading {
    fn mode(&self) -> i32 {
        let mode = match self.what_i_may_see {
            true => pb::ReadMode::WhatIMaySee,
            false => pb::ReadMode::AllOrNothing,
        };
        mode.into()
    }
}

impl Get {
    async fn run(self) -> Done {
        let request = pb::GetRecordRequest {
            name: full_name(&self.name)?,
            mode: self.reading.mode(),
            record_type: self.reading.record_type,
            purpose: self.reading.purpose,
            fields: self.reading.fields,
        };
        let reply = self.caller.connect().await?.get_record(request).await?;
        let mut out = self.caller.out();
        show::record(&mut out, &reply.record.unwrap_or_default());
        Ok(())
    }
}

impl List {
    async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let mut request = pb::ListRecordsRequest {
            parent: super::customer::full_name(&self.customer),
            record_type: self.record_type,
            purpose: self.purpose,
            page_size: 0,
            page_token: String::new(),
        };
        let mut records = Vec::new();
        loop {
            let page = client.list_records(request.clone()).await?;
            records.extend(page.records);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        show::list(&mut self.caller.out(), &records);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_in_short_or_in_full() {
        let full = "customers/c-1/records/main";
        assert_eq!(full_name("c-1/main").ok().as_deref(), Some(full));
        assert_eq!(full_name(full).ok().as_deref(), Some(full));
        assert!(full_name("c-1").is_err());
    }
}
