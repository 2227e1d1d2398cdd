//! A client in Rust: the crate's `pb` module, tonic, and the certificates of a
//! directory that `oubliette init` made.
//!
//! ```text
//! oubliette init DIR && oubliette serve --dir DIR      # in another window
//! cargo run --release --example client -- 127.0.0.1:7443 --dir DIR
//! ```
//!
//! Creates a customer, puts a record, reads it as two services, is denied, and
//! erases the customer. Exits 0 only if each step went as it says.

// An example talks to people.
#![allow(clippy::print_stdout)]

use oubliette::pb::{
    self, customer_service_client::CustomerServiceClient,
    record_service_client::RecordServiceClient, value::Kind,
};
use std::{collections::HashMap, error::Error, fs, path::Path, time::Duration};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_types::StatusExt;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [address, flag, directory] if flag == "--dir" => run(address, Path::new(directory)).await,
        _ => Err("usage: client ADDRESS --dir DIR".into()),
    }
}

/// Connects as four principals and tells the story.
pub async fn run(address: &str, directory: &Path) -> Result<()> {
    let customer_id = format!("rust-{}", Uuid::new_v4());
    let record = format!("customers/{customer_id}/records/main");

    let importer = connect(address, directory, "acme/importer").await?;
    put(&importer, &customer_id, &record).await?;

    let support = connect(address, directory, "acme/support-desk").await?;
    let phone = read(&support, &record, "support", "phone").await?;
    must(phone.form() == pb::Form::Masked, "the phone is masked")?;
    let shown = text(&phone);
    must(!shown.contains("555"), "the mask hides the number")?;
    println!(
        "support-desk: the phone number is {shown} ({})",
        phone.transform
    );

    let recommender = connect(address, directory, "acme/recommender").await?;
    let age = read(&recommender, &record, "personalization", "birth_date").await?;
    must(age.form() == pb::Form::Derived, "the birth date is derived")?;
    println!(
        "recommender: the birth date is {} ({})",
        text(&age),
        age.transform
    );

    // Only the privacy office's purpose shows the date itself.
    let denied = refusal(read(&recommender, &record, "privacy_requests", "birth_date").await)?;
    must(
        denied == "PURPOSE_NOT_GRANTED",
        "another's purpose is refused",
    )?;
    println!("recommender: the date itself, for privacy_requests: denied, {denied}");

    let privacy = connect(address, directory, "acme/privacy-office").await?;
    erase(&privacy, &customer_id).await?;

    let gone = refusal(read(&support, &record, "support", "phone").await)?;
    must(
        ["CUSTOMER_ERASED", "CUSTOMER_NOT_FOUND"].contains(&gone.as_str()),
        "nothing is read",
    )?;
    println!("support-desk: reads again: {gone}");
    Ok(())
}

/// A channel that shows the certificate of one principal ("acme/checkout").
async fn connect(address: &str, directory: &Path, principal: &str) -> Result<Channel> {
    let pki = directory.join("pki");
    let client = pki.join("clients").join(principal.replace('/', "."));
    // Not `with_extension`: the principal's own dot would be taken for one.
    let file = |ending: &str| fs::read(format!("{}.{ending}", client.display()));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(fs::read(pki.join("ca.pem"))?))
        .identity(Identity::from_pem(file("pem")?, file("key")?));
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .timeout(DEADLINE);
    Ok(endpoint.connect().await?)
}

/// Creates the customer and puts their first record.
async fn put(importer: &Channel, customer_id: &str, record: &str) -> Result<()> {
    CustomerServiceClient::new(importer.clone())
        .create_customer(pb::CreateCustomerRequest {
            customer_id: customer_id.to_owned(),
            request_id: Uuid::new_v4().to_string(),
            recreate_erased: false,
        })
        .await?;
    let birth_date = pb::Date {
        year: 1990,
        month: 2,
        day: 28,
    };
    let fields = HashMap::from([
        ("given_name", Kind::StringValue("Zoë".to_owned())),
        ("email", Kind::StringValue("zoe@example.org".to_owned())),
        ("phone", Kind::StringValue("+31 20 555 0142".to_owned())),
        ("birth_date", Kind::DateValue(birth_date)),
    ]);
    let reply = RecordServiceClient::new(importer.clone())
        .put_record(pb::PutRecordRequest {
            name: record.to_owned(),
            record_type: "contact".to_owned(),
            fields: fields
                .into_iter()
                .map(|(name, kind)| (name.to_owned(), pb::Value { kind: Some(kind) }))
                .collect(),
            request_id: Uuid::new_v4().to_string(),
            expected_revision: None,
            source: String::new(),
            collect_time: None,
        })
        .await?
        .into_inner();
    let revision = reply.record.map_or(0, |record| record.revision);
    must(revision == 1, "the first write is revision 1")?;
    println!("importer: put a contact of four fields, revision 1");
    Ok(())
}

/// Reads one field for a purpose; what comes back is what that purpose may see.
async fn read(
    caller: &Channel,
    record: &str,
    purpose: &str,
    field: &str,
) -> std::result::Result<pb::FieldValue, tonic::Status> {
    let reply = RecordServiceClient::new(caller.clone())
        .get_record(pb::GetRecordRequest {
            name: record.to_owned(),
            record_type: "contact".to_owned(),
            purpose: purpose.to_owned(),
            fields: vec![field.to_owned()],
            mode: pb::ReadMode::AllOrNothing.into(),
            with_handle: false,
        })
        .await?
        .into_inner();
    reply
        .record
        .and_then(|mut record| record.fields.remove(field))
        .ok_or_else(|| tonic::Status::not_found("the record holds no such field"))
}

/// Forgets the customer.
async fn erase(privacy: &Channel, customer_id: &str) -> Result<()> {
    let reply = CustomerServiceClient::new(privacy.clone())
        .erase_customer(pb::EraseCustomerRequest {
            name: format!("customers/{customer_id}"),
            request_id: Uuid::new_v4().to_string(),
        })
        .await?
        .into_inner();
    let level = reply
        .customer
        .map_or(pb::ErasureLevel::Unspecified, |customer| {
            customer.erasure_level()
        });
    must(
        level >= pb::ErasureLevel::Shredded,
        "the keys are destroyed",
    )?;
    println!("privacy-office: erased, {}", level.as_str_name());
    Ok(())
}

/// The stable reason that every error of the vault carries; the call must have
/// been refused.
fn refusal<T>(outcome: std::result::Result<T, tonic::Status>) -> Result<String> {
    let Err(status) = outcome else {
        return Err("the vault answered what it had to refuse".into());
    };
    let info = status.get_details_error_info();
    Ok(info.ok_or("an error without a reason")?.reason)
}

/// A text value; nothing for the other kinds.
fn text(field: &pb::FieldValue) -> &str {
    match field.value.as_ref().and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text,
        _ => "",
    }
}

/// An error unless the step held.
fn must(holds: bool, what: &str) -> Result<()> {
    holds
        .then_some(())
        .ok_or_else(|| format!("this did not hold: {what}").into())
}
