//! `oubliette record`: one customer's records.

mod change;
mod show;
mod stream;

use super::caller::Caller;
use super::stop::{Done, Stop};
use crate::pb;
use clap::{Args, Subcommand};

pub(super) use show::fields_table;

/// What can be done with records.
#[derive(Subcommand, Debug)]
pub enum Record {
    /// Write a whole record: create it, or replace all its fields
    Put(change::Put),
    /// Change some fields of a record and leave the others
    Update(change::Update),
    /// Read one record's fields, as far as the purpose may see them
    Get(Get),
    /// List a customer's records of one type: names, never values
    List(List),
    /// Read every record of a type for a purpose
    Stream(stream::Stream),
    /// Delete one record (to forget a customer: oubliette customer erase)
    Delete(change::Delete),
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
    /// Show what the purpose calls the customer: events name them by it
    #[arg(long)]
    handle: bool,
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
            with_handle: self.reading.handle,
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
