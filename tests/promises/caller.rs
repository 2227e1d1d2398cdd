//! A principal's connection. Unlike the crate's client it repeats no call, so
//! that each call here is one on the server.

use crate::place::{Place, Server};
use crate::process::Process;
use oubliette::client::{Failure, channel, place, request_id};
use oubliette::limits;
use oubliette::pb;
use oubliette::pb::certificate_service_client::CertificateServiceClient;
use oubliette::pb::consent_service_client::ConsentServiceClient;
use oubliette::pb::customer_service_client::CustomerServiceClient;
use oubliette::pb::event_service_client::EventServiceClient;
use oubliette::pb::hold_service_client::HoldServiceClient;
use oubliette::pb::key_service_client::KeyServiceClient;
use oubliette::pb::record_service_client::RecordServiceClient;
use oubliette::pb::rights_service_client::RightsServiceClient;
use pb::value::Kind;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use tonic::Status;
use tonic::transport::Channel;

/// What a call came to.
pub type Answer<T> = Result<T, Failure>;

/// A record's fields as a reader sees them.
pub type Fields = BTreeMap<String, Kind>;

/// A connection of one principal.
#[derive(Clone)]
pub struct Caller {
    /// The connection.
    pub channel: Channel,
    /// RecordService.
    pub records: RecordServiceClient<Channel>,
    /// CustomerService.
    pub customers: CustomerServiceClient<Channel>,
    /// KeyService.
    pub keys: KeyServiceClient<Channel>,
    /// CertificateService.
    pub certificates: CertificateServiceClient<Channel>,
    /// RightsService.
    pub rights: RightsServiceClient<Channel>,
    /// HoldService.
    pub holds: HoldServiceClient<Channel>,
    /// ConsentService.
    pub consent: ConsentServiceClient<Channel>,
    /// EventService.
    pub events: EventServiceClient<Channel>,
}

/// Whoever listens somewhere.
pub trait Listens {
    /// Where.
    fn address(&self) -> SocketAddr;
}

impl Listens for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listens for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Connects as a principal.
pub async fn connect(place: &Place, server: &impl Listens, principal: &str) -> Caller {
    let identity = place::identity(&place.path(), Some(principal)).expect("an identity");
    let endpoint = channel(server.address(), &place.path(), &identity).expect("certificates");
    let channel = endpoint.connect().await.expect("a connection");
    Caller::over(channel)
}

/// A reply, or why there is none.
pub fn heard<T>(answer: Result<tonic::Response<T>, Status>) -> Answer<T> {
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| Failure::from_status(&status))
}

/// A text value.
pub fn text(text: impl Into<String>) -> pb::Value {
    let kind = Some(Kind::StringValue(text.into()));
    pb::Value { kind }
}

/// A card that holds a name.
pub fn named(name: impl Into<String>) -> HashMap<String, pb::Value> {
    HashMap::from([("name".to_owned(), text(name))])
}

/// `customers/{customer}`.
pub fn customer(customer: &str) -> String {
    format!("customers/{customer}")
}

/// `customers/{customer}/records/{record}`.
pub fn record(customer: &str, record: &str) -> String {
    format!("customers/{customer}/records/{record}")
}

/// A record's values by field.
pub fn fields(record: Option<pb::Record>) -> Fields {
    let fields = record.unwrap_or_default().fields.into_iter();
    fields
        .filter_map(|(name, field)| Some((name, field.value?.kind?)))
        .collect()
}

/// The name on a card.
pub fn name_on(fields: &Fields) -> Option<&str> {
    match fields.get("name") {
        Some(Kind::StringValue(name)) => Some(name),
        _ => None,
    }
}

impl Caller {
    /// Over a channel that was made elsewhere.
    pub fn over(channel: Channel) -> Self {
        Self {
            records: RecordServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES),
            customers: CustomerServiceClient::new(channel.clone()),
            keys: KeyServiceClient::new(channel.clone()),
            certificates: CertificateServiceClient::new(channel.clone()),
            rights: RightsServiceClient::new(channel.clone()),
            holds: HoldServiceClient::new(channel.clone()),
            consent: ConsentServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// Creates a customer.
    pub async fn create(&self, id: &str) -> Answer<pb::Customer> {
        self.create_as(id, false, request_id()).await
    }

    /// Creates a customer anew.
    pub async fn recreate(&self, id: &str) -> Answer<pb::Customer> {
        self.create_as(id, true, request_id()).await
    }

    /// Creates a customer with a request id.
    pub async fn create_as(
        &self,
        id: &str,
        recreate_erased: bool,
        request_id: String,
    ) -> Answer<pb::Customer> {
        let request = pb::CreateCustomerRequest {
            customer_id: id.to_owned(),
            request_id,
            recreate_erased,
        };
        let created = heard(self.customers.clone().create_customer(request).await)?;
        Ok(created.customer.unwrap_or_default())
    }

    /// Looks at a customer.
    pub async fn show(&self, id: &str) -> Answer<pb::Customer> {
        let name = customer(id);
        let request = pb::GetCustomerRequest { name };
        let shown = heard(self.customers.clone().get_customer(request).await)?;
        Ok(shown.customer.unwrap_or_default())
    }

    /// Forgets a customer.
    pub async fn erase(&self, id: &str) -> Answer<pb::EraseCustomerResponse> {
        self.erase_as(id, request_id()).await
    }

    /// Forgets a customer with a request id.
    pub async fn erase_as(
        &self,
        id: &str,
        request_id: String,
    ) -> Answer<pb::EraseCustomerResponse> {
        let name = customer(id);
        let request = pb::EraseCustomerRequest { name, request_id };
        heard(self.customers.clone().erase_customer(request).await)
    }

    /// Fetches a certificate.
    pub async fn certificate(&self, name: &str, customer: &str) -> Answer<pb::Certificate> {
        let request = pb::GetCertificateRequest {
            name: name.to_owned(),
            customer: customer.to_owned(),
        };
        let found = heard(self.certificates.clone().get_certificate(request).await)?;
        Ok(found.certificate.unwrap_or_default())
    }

    /// Writes a card; answers its revision.
    pub async fn put(&self, name: &str, fields: HashMap<String, pb::Value>) -> Answer<i64> {
        self.put_as(put_request(name, fields)).await
    }

    /// Writes a record as a request says; answers its revision.
    pub async fn put_as(&self, request: pb::PutRecordRequest) -> Answer<i64> {
        let written = heard(self.records.clone().put_record(request).await)?;
        Ok(written.record.unwrap_or_default().revision)
    }

    /// Changes fields of a card; answers its revision.
    pub async fn update_as(&self, request: pb::UpdateRecordRequest) -> Answer<i64> {
        let written = heard(self.records.clone().update_record(request).await)?;
        Ok(written.record.unwrap_or_default().revision)
    }

    /// Deletes a record.
    pub async fn delete_as(&self, request: pb::DeleteRecordRequest) -> Answer<()> {
        heard(self.records.clone().delete_record(request).await).map(|_| ())
    }

    /// Reads a card.
    pub async fn get(&self, name: &str) -> Answer<Fields> {
        self.get_as(get_request(name)).await
    }

    /// Reads a record as a request says.
    pub async fn get_as(&self, request: pb::GetRecordRequest) -> Answer<Fields> {
        let read = heard(self.records.clone().get_record(request).await)?;
        Ok(fields(read.record))
    }

    /// Reads cards: each one's fields or the reason why not.
    pub async fn batch(&self, names: &[String]) -> Answer<Vec<Result<Fields, String>>> {
        use pb::batch_get_result::Outcome;
        let request = pb::BatchGetRecordsRequest {
            names: names.to_vec(),
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            ..Default::default()
        };
        let read = heard(self.records.clone().batch_get_records(request).await)?;
        let outcomes = read.results.into_iter().map(|result| match result.outcome {
            Some(Outcome::Record(record)) => Ok(fields(Some(record))),
            Some(Outcome::Failure(failure)) => Err(failure.reason),
            None => Err("NOTHING".to_owned()),
        });
        Ok(outcomes.collect())
    }

    /// Names of a customer's cards.
    pub async fn list(&self, id: &str) -> Answer<Vec<String>> {
        let request = pb::ListRecordsRequest {
            parent: customer(id),
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            ..Default::default()
        };
        let listed = heard(self.records.clone().list_records(request).await)?;
        Ok(listed.records.into_iter().map(|r| r.name).collect())
    }

    /// How the key tree stands.
    pub async fn key_status(&self) -> Answer<pb::GetKeyStatusResponse> {
        let request = pb::GetKeyStatusRequest {};
        heard(self.keys.clone().get_key_status(request).await)
    }

    /// Begins to close the open epoch, or goes on with it.
    pub async fn close(&self) -> Answer<pb::Job> {
        let request = pb::CloseEpochRequest::default();
        let begun = heard(self.keys.clone().close_epoch(request).await)?;
        Ok(begun.job.unwrap_or_default())
    }

    /// Gives a job an order.
    pub async fn control(
        &self,
        job: i64,
        order: pb::JobOrder,
        pages_per_second: i32,
    ) -> Answer<pb::Job> {
        let request = pb::ControlJobRequest {
            job,
            order: order.into(),
            pages_per_second,
        };
        let controlled = heard(self.keys.clone().control_job(request).await)?;
        Ok(controlled.job.unwrap_or_default())
    }

    /// Watches a job until it runs no more; answers all that was sent.
    pub async fn watch(&self, job: i64) -> Answer<Vec<pb::Job>> {
        let request = pb::WatchJobRequest { job };
        let mut stream = heard(self.keys.clone().watch_job(request).await)?;
        let mut seen = Vec::new();
        loop {
            let next = stream.message().await;
            let Some(next) = next.map_err(|status| Failure::from_status(&status))? else {
                return Ok(seen);
            };
            seen.extend(next.job);
        }
    }

    /// Closes the open epoch and waits until it is done.
    pub async fn close_to_the_end(&self) -> pb::Job {
        let job = self.close().await.expect("it begins");
        let seen = self.watch(job.job).await.expect("watched");
        let last = seen.into_iter().last().expect("a job");
        assert_eq!(last.state(), pb::JobState::Done, "{}", last.reason);
        last
    }

    /// Opens a stream of all cards after a cursor.
    pub async fn stream(
        &self,
        cursor: &str,
    ) -> Answer<tonic::Streaming<pb::StreamRecordsResponse>> {
        let request = pb::StreamRecordsRequest {
            record_type: "card".to_owned(),
            purpose: "care".to_owned(),
            cursor: cursor.to_owned(),
            ..Default::default()
        };
        heard(self.records.clone().stream_records(request).await)
    }

    /// Every card that a stream gives, by record name; and what was passed
    /// over.
    pub async fn all(&self) -> Answer<(BTreeMap<String, Fields>, BTreeMap<String, i64>)> {
        let mut stream = self.stream("").await?;
        let (mut found, mut skipped) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let chunk = stream.message().await;
            let Some(chunk) = chunk.map_err(|status| Failure::from_status(&status))? else {
                return Ok((found, skipped));
            };
            for record in chunk.records {
                let name = record.metadata.clone().unwrap_or_default().name;
                found.insert(name, fields(Some(record)));
            }
            for skip in chunk.skipped {
                *skipped.entry(skip.reason).or_insert(0) += skip.count;
            }
        }
    }
}

/// A request to write a card.
pub fn put_request(name: &str, fields: HashMap<String, pb::Value>) -> pb::PutRecordRequest {
    pb::PutRecordRequest {
        name: name.to_owned(),
        record_type: "card".to_owned(),
        fields,
        request_id: request_id(),
        expected_revision: None,
        ..Default::default()
    }
}

/// A request to read all of a card.
pub fn get_request(name: &str) -> pb::GetRecordRequest {
    pb::GetRecordRequest {
        name: name.to_owned(),
        record_type: "card".to_owned(),
        purpose: "care".to_owned(),
        ..Default::default()
    }
}

/// A request to change the name on a card.
pub fn update_request(name: &str, to: &str) -> pb::UpdateRecordRequest {
    pb::UpdateRecordRequest {
        name: name.to_owned(),
        record_type: "card".to_owned(),
        fields: named(to),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["name".to_owned()],
        }),
        request_id: request_id(),
        expected_revision: None,
        ..Default::default()
    }
}

/// A request to delete a card.
pub fn delete_request(name: &str) -> pb::DeleteRecordRequest {
    pb::DeleteRecordRequest {
        name: name.to_owned(),
        record_type: "card".to_owned(),
        request_id: request_id(),
        expected_revision: None,
    }
}
