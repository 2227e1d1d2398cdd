//! A message that may hold what a customer said has no `Debug`: the option
//! `debug_redact`, the list in build.rs and the generated code say the same.

use crate::none;
use crate::source::root;
use oubliette::pb;
use prost::Message;
use std::collections::BTreeSet;
use std::fs;

const PACKAGE: &str = "oubliette.v1";

/// The part of google/protobuf/descriptor.proto that is needed here;
/// `prost-types` leaves `debug_redact` out.
#[derive(Clone, PartialEq, Message)]
struct Descriptors {
    #[prost(message, repeated, tag = "1")]
    files: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<Described>,
}

#[derive(Clone, PartialEq, Message)]
struct Described {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<Described>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "6")]
    type_name: String,
    #[prost(message, tag = "8")]
    options: Option<Options>,
}

#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(bool, tag = "16")]
    debug_redact: bool,
}

/// The names in one list of build.rs.
fn listed(list: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("build.rs")).expect("build.rs");
    let start = text.find(&format!("const {list}:")).expect("the list");
    let body = text[start..].split("];").next().expect("its end");
    let names = body.split('"').skip(1).step_by(2).map(str::to_owned);
    names.collect()
}

fn messages() -> Vec<Described> {
    let set = Descriptors::decode(pb::DESCRIPTORS).expect("the descriptors");
    let own = set.files.into_iter().filter(|file| file.package == PACKAGE);
    let messages: Vec<_> = own.flat_map(|file| file.messages).collect();
    assert!(messages.len() > 20, "the messages were found");
    messages
}

/// The messages of a message's fields, those of its maps included.
fn parts(message: &Described) -> impl Iterator<Item = &str> {
    let entries = message.nested.iter().flat_map(|entry| &entry.fields);
    message
        .fields
        .iter()
        .chain(entries)
        .filter_map(|field| field.type_name.strip_prefix(".oubliette.v1."))
}

fn is_secret(message: &Described) -> bool {
    let options = message
        .fields
        .iter()
        .filter_map(|field| field.options.as_ref());
    options.into_iter().any(|options| options.debug_redact)
}

#[test]
fn every_message_with_a_redacted_field_is_in_the_list_of_build_rs() {
    let all = messages();
    let secret: BTreeSet<String> = all
        .iter()
        .filter(|message| is_secret(message))
        .map(|message| message.name.clone())
        .collect();
    assert_eq!(listed("SECRET"), secret, "SECRET in build.rs");
}

/// Whoever shows its parts would show the secret ones.
#[test]
fn a_message_that_holds_a_secret_one_is_redacted_or_listed() {
    let silent: BTreeSet<String> = &listed("SECRET") | &listed("HOLDS_DATE");
    let findings: Vec<String> = messages()
        .iter()
        .filter(|message| !silent.contains(&message.name))
        .filter(|message| parts(message).any(|part| silent.contains(part)))
        .map(|message| message.name.clone())
        .collect();
    none(&findings, "who holds a message without Debug has none");
}

#[test]
fn the_generated_code_leaves_debug_out() {
    let code = fs::read_to_string(concat!(env!("OUT_DIR"), "/oubliette.v1.rs")).expect("code");
    let findings: Vec<String> = (&listed("SECRET") | &listed("HOLDS_DATE"))
        .into_iter()
        .filter(|name| {
            let (before, _) = code
                .split_once(&format!("pub struct {name} {{"))
                .expect("the message");
            let attributes = before.rsplit("}\n").next().expect("what stands before it");
            !attributes.contains("#[prost(skip_debug)]")
        })
        .collect();
    none(&findings, "a secret message has no Debug");
}
