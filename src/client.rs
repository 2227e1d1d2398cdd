//! The Rust client of the vault: what the command line and the tests use, and
//! an example to follow. A call that the server asks to repeat is repeated,
//! since every change carries a request id and every read changes nothing.

mod failure;
pub mod place;

pub use failure::Failure;

use crate::limits;
use crate::pb;
use crate::pb::audit_service_client::AuditServiceClient;
use crate::pb::certificate_service_client::CertificateServiceClient;
use crate::pb::consent_service_client::ConsentServiceClient;
use crate::pb::customer_service_client::CustomerServiceClient;
use crate::pb::event_service_client::EventServiceClient;
use crate::pb::hold_service_client::HoldServiceClient;
use crate::pb::key_service_client::KeyServiceClient;
use crate::pb::record_service_client::RecordServiceClient;
use crate::pb::retention_service_client::RetentionServiceClient;
use crate::pb::review_service_client::ReviewServiceClient;
use crate::pb::rights_service_client::RightsServiceClient;
use place::Identity;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

/// A connection to a vault as one principal. Cloning shares the connection.
#[derive(Clone)]
pub struct Client {
    records: RecordServiceClient<Channel>,
    customers: CustomerServiceClient<Channel>,
    keys: KeyServiceClient<Channel>,
    certificates: CertificateServiceClient<Channel>,
    rights: RightsServiceClient<Channel>,
    holds: HoldServiceClient<Channel>,
    consent: ConsentServiceClient<Channel>,
    audit: AuditServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    retention: RetentionServiceClient<Channel>,
    review: ReviewServiceClient<Channel>,
}

/// A new id for one change. Repeat the change with the same id after a failure
/// and it is made once. A UUIDv7 (RFC 9562): ids that rise with time are cheaper
/// to remember.
pub fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Client {
    /// Connects to the server of a directory that `init` made, as a principal:
    /// `tenant/service`, or a service alone where only one tenant has it.
    ///
    /// # Errors
    /// The directory holds no such identity, or the server cannot be reached.
    pub async fn connect(dir: &Path, principal: &str) -> Result<Self, Failure> {
        let identity = place::identity(dir, Some(principal))?;
        Self::connect_to(place::address(dir)?, dir, &identity).await
    }

    /// Connects to `address` with an identity and the authority of `dir`.
    ///
    /// # Errors
    /// A file cannot be read, or the server cannot be reached.
    pub async fn connect_to(
        address: SocketAddr,
        dir: &Path,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let channel = channel(address, dir, identity)?;
        let channel = channel.connect().await.map_err(|error| {
            Failure::local(format!(
                "the server at {address} cannot be reached: {}; \
                 is it running? oubliette serve --dir {} starts it",
                failure::deepest(&error).unwrap_or_else(|| error.to_string()),
                dir.display()
            ))
        })?;
        Ok(Self::over(channel))
    }

    /// Uses a channel that was made elsewhere.
    pub fn over(channel: Channel) -> Self {
        Self {
            records: RecordServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES)
                .max_encoding_message_size(limits::REQUEST_BYTES),
            customers: CustomerServiceClient::new(channel.clone()),
            certificates: CertificateServiceClient::new(channel.clone()),
            rights: RightsServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES),
            holds: HoldServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES),
            keys: KeyServiceClient::new(channel.clone()),
            consent: ConsentServiceClient::new(channel.clone()),
            audit: AuditServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES),
            events: EventServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::REPLY_BYTES),
            retention: RetentionServiceClient::new(channel.clone()),
            review: ReviewServiceClient::new(channel)
                .max_decoding_message_size(limits::REPLY_BYTES),
        }
    }

    /// StreamRecords: every record of a type, chunk by chunk.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn stream_records(
        &self,
        request: pb::StreamRecordsRequest,
    ) -> Result<RecordStream, Failure> {
        let call = |request| {
            let mut records = self.records.clone();
            async move { records.stream_records(request).await }
        };
        repeat(request, call).await.map(RecordStream)
    }
}

impl Client {
    /// EraseCustomers: a list, answered one by one.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn erase_customers(
        &self,
        request: pb::EraseCustomersRequest,
    ) -> Result<ErasureStream, Failure> {
        let call = |request| {
            let mut customers = self.customers.clone();
            async move { customers.erase_customers(request).await }
        };
        repeat(request, call).await.map(ErasureStream)
    }
}

impl Client {
    /// ExportCustomer: every file, whole, by its name.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn export_customer(
        &self,
        request: pb::ExportCustomerRequest,
    ) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let call = |request| {
            let mut rights = self.rights.clone();
            async move { rights.export_customer(request).await }
        };
        let mut parts = repeat(request, call).await?;
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        loop {
            let part = parts.message().await;
            match part.map_err(|status| Failure::from_status(&status))? {
                Some(part) => files.entry(part.file).or_default().extend(part.content),
                None => return Ok(files),
            }
        }
    }
}

impl Client {
    /// WatchRequests: each request that changes.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn watch_requests(
        &self,
        request: pb::WatchRequestsRequest,
    ) -> Result<RequestStream, Failure> {
        let call = |request| {
            let mut rights = self.rights.clone();
            async move { rights.watch_requests(request).await }
        };
        repeat(request, call).await.map(RequestStream)
    }
}

/// The open reply of WatchRequests.
pub struct RequestStream(Streaming<pb::WatchRequestsResponse>);

impl RequestStream {
    /// The next request that changed, as it then stood.
    ///
    /// # Errors
    /// The stream was ended by the server or the connection broke.
    pub async fn next(&mut self) -> Result<Option<pb::RightsRequest>, Failure> {
        let next = self.0.message().await;
        let next = next.map_err(|status| Failure::from_status(&status))?;
        Ok(next.and_then(|response| response.request))
    }
}

/// The open reply of EraseCustomers.
pub struct ErasureStream(Streaming<pb::EraseCustomersResponse>);

impl ErasureStream {
    /// What became of the next customer; nothing after the last.
    ///
    /// # Errors
    /// The stream broke; customers without an answer are to be asked for again.
    pub async fn next(&mut self) -> Result<Option<pb::EraseCustomersResponse>, Failure> {
        let answer = self.0.message().await;
        answer.map_err(|status| Failure::from_status(&status))
    }
}

impl Client {
    /// WatchJob: a job as it stands, again and again.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn watch_job(&self, request: pb::WatchJobRequest) -> Result<JobStream, Failure> {
        let call = |request| {
            let mut keys = self.keys.clone();
            async move { keys.watch_job(request).await }
        };
        repeat(request, call).await.map(JobStream)
    }
}

/// The open reply of WatchJob.
pub struct JobStream(Streaming<pb::WatchJobResponse>);

impl JobStream {
    /// The job as it stands next; nothing once it is done, paused, waiting or
    /// failed, which was the last that was sent.
    ///
    /// # Errors
    /// The stream was ended by the server or the connection broke.
    pub async fn next(&mut self) -> Result<Option<pb::Job>, Failure> {
        let next = self.0.message().await;
        let next = next.map_err(|status| Failure::from_status(&status))?;
        Ok(next.and_then(|response| response.job))
    }
}

impl Client {
    /// WatchEntries: audit entries as they come.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn watch_entries(
        &self,
        request: pb::WatchEntriesRequest,
    ) -> Result<EntryStream, Failure> {
        let call = |request| {
            let mut audit = self.audit.clone();
            async move { audit.watch_entries(request).await }
        };
        repeat(request, call).await.map(EntryStream)
    }
}

impl Client {
    /// PruneEntries: prunes old entries of the audit log, and says how far it is.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn prune_entries(
        &self,
        request: pb::PruneEntriesRequest,
    ) -> Result<PruneStream, Failure> {
        let call = |request| {
            let mut audit = self.audit.clone();
            async move { audit.prune_entries(request).await }
        };
        repeat(request, call).await.map(PruneStream)
    }
}

/// The open reply of PruneEntries.
pub struct PruneStream(Streaming<pb::PruneEntriesResponse>);

impl PruneStream {
    /// How far it is; nothing after the last.
    ///
    /// # Errors
    /// It was refused, or the connection broke: once it was written down it goes
    /// on by itself.
    pub async fn next(&mut self) -> Result<Option<pb::PruneEntriesResponse>, Failure> {
        let message = self.0.message().await;
        message.map_err(|status| Failure::from_status(&status))
    }
}

/// The open reply of WatchEntries.
pub struct EntryStream(Streaming<pb::WatchEntriesResponse>);

impl EntryStream {
    /// The next entries; nothing when the server ended the stream.
    ///
    /// # Errors
    /// The stream was refused, or the connection broke. `seen` of the last
    /// message resumes it.
    pub async fn next(&mut self) -> Result<Option<pb::WatchEntriesResponse>, Failure> {
        let message = self.0.message().await;
        message.map_err(|status| Failure::from_status(&status))
    }
}

impl Client {
    /// WatchEvents: what the caller is told of customers, as it comes.
    ///
    /// # Errors
    /// What the server refused, or a broken connection.
    pub async fn watch_events(
        &self,
        request: pb::WatchEventsRequest,
    ) -> Result<EventStream, Failure> {
        let call = |request| {
            let mut events = self.events.clone();
            async move { events.watch_events(request).await }
        };
        repeat(request, call).await.map(EventStream)
    }
}

/// The open reply of WatchEvents.
pub struct EventStream(Streaming<pb::WatchEventsResponse>);

impl EventStream {
    /// The next events; nothing when the server ended the stream.
    ///
    /// # Errors
    /// The stream was refused, or the connection broke. `seen` of the last
    /// message resumes it.
    pub async fn next(&mut self) -> Result<Option<pb::WatchEventsResponse>, Failure> {
        let message = self.0.message().await;
        message.map_err(|status| Failure::from_status(&status))
    }
}

/// The open reply of StreamRecords.
pub struct RecordStream(Streaming<pb::StreamRecordsResponse>);

impl RecordStream {
    /// The next chunk; nothing after the last.
    ///
    /// # Errors
    /// The stream was ended by the server or the connection broke. Its last
    /// cursor resumes it.
    pub async fn next(&mut self) -> Result<Option<pb::StreamRecordsResponse>, Failure> {
        let chunk = self.0.message().await;
        chunk.map_err(|status| Failure::from_status(&status))
    }
}

macro_rules! unary {
    ($($client:ident.$method:ident($request:ident) -> $response:ident, $does:literal;)*) => {
        impl Client {$(
            #[doc = $does]
            ///
            /// # Errors
            /// What the server refused, or a broken connection.
            pub async fn $method(&self, request: pb::$request) -> Result<pb::$response, Failure> {
                let call = |request| {
                    let mut client = self.$client.clone();
                    async move { client.$method(request).await }
                };
                repeat(request, call).await
            }
        )*}
    };
}

unary! {
    records.put_record(PutRecordRequest) -> PutRecordResponse, "Writes a whole record.";
    records.get_record(GetRecordRequest) -> GetRecordResponse, "Reads one record.";
    records.batch_get_records(BatchGetRecordsRequest) -> BatchGetRecordsResponse,
        "Reads up to 100 records of one type.";
    records.update_record(UpdateRecordRequest) -> UpdateRecordResponse,
        "Changes the fields in the mask.";
    records.delete_record(DeleteRecordRequest) -> DeleteRecordResponse, "Deletes one record.";
    records.list_records(ListRecordsRequest) -> ListRecordsResponse,
        "Lists a customer's records, never values.";
    customers.create_customer(CreateCustomerRequest) -> CreateCustomerResponse,
        "Creates a customer with keys of their own.";
    customers.get_customer(GetCustomerRequest) -> GetCustomerResponse,
        "Says what state a customer is in.";
    customers.erase_customer(EraseCustomerRequest) -> EraseCustomerResponse,
        "Forgets a customer.";
    customers.restrict_customer(RestrictCustomerRequest) -> RestrictCustomerResponse,
        "Restricts the processing of a customer's data.";
    customers.lift_restriction(LiftRestrictionRequest) -> LiftRestrictionResponse,
        "Lifts the restrictions of a customer, who was told before.";
    holds.place_hold(PlaceHoldRequest) -> PlaceHoldResponse,
        "Holds something of a customer.";
    holds.release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse,
        "Releases a hold, and carries out what waited for that.";
    holds.list_holds(ListHoldsRequest) -> ListHoldsResponse,
        "Lists holds by the day of their review.";
    certificates.get_certificate(GetCertificateRequest) -> GetCertificateResponse,
        "Gives an erasure certificate, issued anew where the erasure has come further.";
    rights.open_request(OpenRequestRequest) -> OpenRequestResponse,
        "Opens a request of a customer.";
    rights.verify_identity(VerifyIdentityRequest) -> VerifyIdentityResponse,
        "Notes how it was made sure who is asking.";
    rights.approve_request(ApproveRequestRequest) -> ApproveRequestResponse,
        "Approves a request; carries out an erasure.";
    rights.deny_request(DenyRequestRequest) -> DenyRequestResponse,
        "Refuses a request.";
    rights.extend_request(ExtendRequestRequest) -> ExtendRequestResponse,
        "Takes the longer time that a law allows.";
    rights.revoke_request(RevokeRequestRequest) -> RevokeRequestResponse,
        "Takes a request back.";
    rights.fulfil_request(FulfilRequestRequest) -> FulfilRequestResponse,
        "Notes that a request was carried out.";
    rights.get_request(GetRequestRequest) -> GetRequestResponse,
        "Shows a request.";
    rights.list_requests(ListRequestsRequest) -> ListRequestsResponse,
        "Lists requests by the day they are due.";
    consent.record_consent(RecordConsentRequest) -> RecordConsentResponse,
        "Puts on record that a customer was asked, said yes, or said no.";
    consent.withdraw_consent(WithdrawConsentRequest) -> WithdrawConsentResponse,
        "Takes consent to a purpose back.";
    consent.object(ObjectRequest) -> ObjectResponse, "Objects to a purpose.";
    consent.assert_basis(AssertBasisRequest) -> AssertBasisResponse,
        "Puts on record that a contract or an obligation is in force, or has ended.";
    consent.import_signal(ImportSignalRequest) -> ImportSignalResponse,
        "Puts on record what a signal from elsewhere says.";
    consent.get_consent_state(GetConsentStateRequest) -> GetConsentStateResponse,
        "Says what stands of every purpose.";
    consent.list_consent_history(ListConsentHistoryRequest) -> ListConsentHistoryResponse,
        "Lists what was said, oldest first.";
    consent.get_receipt(GetReceiptRequest) -> GetReceiptResponse,
        "Gives the signed receipt of one event.";
    keys.seal(SealRequest) -> SealResponse, "Lets go of every key in memory.";
    keys.unseal(UnsealRequest) -> UnsealResponse,
        "Opens the master keys, or gives a piece of what that takes.";
    keys.get_seal_status(GetSealStatusRequest) -> GetSealStatusResponse,
        "Says whether the vault is sealed, and what it waits for.";
    keys.get_key_status(GetKeyStatusRequest) -> GetKeyStatusResponse,
        "Says which epochs, pages and keys there are.";
    keys.plan_epoch_close(PlanEpochCloseRequest) -> PlanEpochCloseResponse,
        "Says what closing the active epoch would do.";
    keys.close_epoch(CloseEpochRequest) -> CloseEpochResponse, "Closes the active epoch.";
    keys.control_job(ControlJobRequest) -> ControlJobResponse, "Pauses, resumes or paces a job.";
    keys.rotate_keys(RotateKeysRequest) -> RotateKeysResponse,
        "Begins a new generation of field keys.";
    keys.compromise_keys(CompromiseKeysRequest) -> CompromiseKeysResponse,
        "Says that a customer's keys are compromised.";
    keys.list_approvals(ListApprovalsRequest) -> ListApprovalsResponse,
        "Lists what waits for a second principal.";
    keys.decide_approval(DecideApprovalRequest) -> DecideApprovalResponse,
        "Approves or rejects what somebody else asked for.";
    audit.list_entries(ListEntriesRequest) -> ListEntriesResponse,
        "Lists audit entries by what they say.";
    audit.list_customer_entries(ListCustomerEntriesRequest) -> ListCustomerEntriesResponse,
        "Lists the audit entries about a living customer.";
    audit.get_checkpoint(GetCheckpointRequest) -> GetCheckpointResponse,
        "Gets the log's newest signed checkpoint.";
    events.acknowledge_events(AcknowledgeEventsRequest) -> AcknowledgeEventsResponse,
        "Says that events were acted on.";
    events.list_unacknowledged_events(ListUnacknowledgedEventsRequest)
        -> ListUnacknowledgedEventsResponse, "Lists who has not acknowledged what.";
    retention.get_retention_status(GetRetentionStatusRequest) -> GetRetentionStatusResponse,
        "Says whether what is past its time is deleted in time.";
    review.get_review(GetReviewRequest) -> GetReviewResponse, "Lists what could be less.";
    review.plan_field_drop(PlanFieldDropRequest) -> PlanFieldDropResponse,
        "Replays the reads of the log without a field.";
    review.get_notice(GetNoticeRequest) -> GetNoticeResponse,
        "Shows what customers are or were told of a purpose.";
    review.get_processing_record(GetProcessingRecordRequest) -> GetProcessingRecordResponse,
        "Writes the record of processing activities.";
    audit.get_entry_proof(GetEntryProofRequest) -> GetEntryProofResponse,
        "Gets a proof that an entry is in the log.";
}

/// Makes a call, and again while the server says when to come back: at most
/// [`limits::CLIENT_TRIES`] times.
async fn repeat<Req, Res, Call, Answer>(request: Req, call: Call) -> Result<Res, Failure>
where
    Req: Clone,
    Call: Fn(Request<Req>) -> Answer,
    Answer: Future<Output = Result<Response<Res>, Status>>,
{
    let mut tries = 1;
    loop {
        let failure = match call(Request::new(request.clone())).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => Failure::from_status(&status),
        };
        match failure.retry_after {
            Some(wait) if tries < limits::CLIENT_TRIES => {
                tries += 1;
                tokio::time::sleep(wait.min(limits::CLIENT_WAIT)).await;
            }
            _ => return Err(failure),
        }
    }
}

/// An mTLS channel to a vault, not yet connected.
///
/// # Errors
/// A certificate or key cannot be read.
pub fn channel(address: SocketAddr, dir: &Path, identity: &Identity) -> Result<Endpoint, Failure> {
    let authority = read(dir.join("pki").join("ca.pem"))?;
    let shown = tonic::transport::Identity::from_pem(
        read(identity.certificate.clone())?,
        read(identity.key.clone())?,
    );
    // The certificates that init makes name "localhost" for every loopback address.
    let server_name = match address.ip() {
        ip if ip.is_loopback() => "localhost".to_owned(),
        ip => ip.to_string(),
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority))
        .identity(shown)
        .domain_name(server_name);
    let made = Endpoint::from_shared(format!("https://{address}")).and_then(|endpoint| {
        endpoint
            .connect_timeout(limits::CLIENT_CONNECT_TIME)
            .timeout(limits::CLIENT_CALL_TIME)
            .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
            .tls_config(tls)
    });
    made.map_err(|error| {
        Failure::local(format!(
            "the certificates under {} cannot be used: {}",
            dir.join("pki").display(),
            failure::deepest(&error).unwrap_or_else(|| error.to_string())
        ))
    })
}

fn read(path: PathBuf) -> Result<Vec<u8>, Failure> {
    fs::read(&path).map_err(|error| {
        Failure::local(format!(
            "{} cannot be read ({error}); --dir must name a directory made by oubliette init",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt};

    async fn tries_of(details: ErrorDetails) -> u32 {
        let tries = Cell::new(0);
        let call = |_: Request<()>| {
            tries.set(tries.get() + 1);
            let status = Status::with_error_details(Code::Unavailable, "not now", details.clone());
            async move { Err::<Response<()>, _>(status) }
        };
        assert!(repeat((), call).await.is_err());
        tries.get()
    }

    #[tokio::test]
    async fn a_call_is_repeated_only_when_the_server_says_when_and_not_for_ever() {
        let mut asked = ErrorDetails::with_error_info("OVERLOADED", "oubliette.v1", []);
        assert_eq!(tries_of(asked.clone()).await, 1);
        asked.set_retry_info(Some(Duration::ZERO));
        assert_eq!(tries_of(asked).await, limits::CLIENT_TRIES);
    }
}
