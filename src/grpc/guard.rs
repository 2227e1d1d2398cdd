//! The one door. Who is calling, is there room, has it had its share, is there
//! time, and in the end: has it made its audit entry? A call leaves with an
//! answer that is written down, or not at all.

use super::call::{Again, Guarded};
use super::shed::Shed;
use super::status::status;
use crate::access::{Access, Principal, Snapshot};
use crate::audit::Call;
use crate::audit::signals::Signals;
use crate::authn::{Authn, Caller};
use crate::clock::Instant;
use crate::error::{Error, Exhausted, Missing, Result, Unauthenticated, Unavailable, Violation};
use crate::limits;
use crate::metrics::Metrics;
use crate::vault::{Refused, Vault};
use http::{Request, Response};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

/// What the guard asks.
pub struct Parts {
    /// The vault, for the log.
    pub vault: Vault,
    /// The rules in force.
    pub access: Arc<Access>,
    /// Who is calling.
    pub authn: Arc<Authn>,
    /// Rates, and what was shed.
    pub shed: Arc<Shed>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is blocked, where signals are looked for.
    pub signals: Option<Arc<Signals>>,
}

/// The services behind the guard, with health and reflection beside it.
#[derive(Clone)]
pub struct Guard {
    parts: Arc<Parts>,
    room: Arc<Semaphore>,
    guarded: Routes,
    open: Routes,
}

/// The RPCs' names, so that a label or a leaf never repeats a caller's text.
const METHODS: [&str; 62] = [
    "/oubliette.v1.RecordService/PutRecord",
    "/oubliette.v1.RecordService/GetRecord",
    "/oubliette.v1.RecordService/BatchGetRecords",
    "/oubliette.v1.RecordService/StreamRecords",
    "/oubliette.v1.RecordService/UpdateRecord",
    "/oubliette.v1.RecordService/DeleteRecord",
    "/oubliette.v1.RecordService/ListRecords",
    "/oubliette.v1.CustomerService/CreateCustomer",
    "/oubliette.v1.CustomerService/GetCustomer",
    "/oubliette.v1.CustomerService/EraseCustomer",
    "/oubliette.v1.CustomerService/EraseCustomers",
    "/oubliette.v1.KeyService/GetKeyStatus",
    "/oubliette.v1.CertificateService/GetCertificate",
    "/oubliette.v1.RightsService/OpenRequest",
    "/oubliette.v1.RightsService/VerifyIdentity",
    "/oubliette.v1.RightsService/ApproveRequest",
    "/oubliette.v1.RightsService/DenyRequest",
    "/oubliette.v1.RightsService/ExtendRequest",
    "/oubliette.v1.RightsService/RevokeRequest",
    "/oubliette.v1.RightsService/FulfilRequest",
    "/oubliette.v1.RightsService/GetRequest",
    "/oubliette.v1.RightsService/ListRequests",
    "/oubliette.v1.RightsService/WatchRequests",
    "/oubliette.v1.RightsService/ExportCustomer",
    "/oubliette.v1.CustomerService/RestrictCustomer",
    "/oubliette.v1.CustomerService/LiftRestriction",
    "/oubliette.v1.HoldService/PlaceHold",
    "/oubliette.v1.HoldService/ReleaseHold",
    "/oubliette.v1.HoldService/ListHolds",
    "/oubliette.v1.ConsentService/RecordConsent",
    "/oubliette.v1.ConsentService/WithdrawConsent",
    "/oubliette.v1.ConsentService/Object",
    "/oubliette.v1.ConsentService/AssertBasis",
    "/oubliette.v1.ConsentService/ImportSignal",
    "/oubliette.v1.ConsentService/GetConsentState",
    "/oubliette.v1.ConsentService/ListConsentHistory",
    "/oubliette.v1.ConsentService/GetReceipt",
    "/oubliette.v1.KeyService/PlanEpochClose",
    "/oubliette.v1.KeyService/CloseEpoch",
    "/oubliette.v1.KeyService/ControlJob",
    "/oubliette.v1.KeyService/WatchJob",
    "/oubliette.v1.KeyService/RotateKeys",
    "/oubliette.v1.KeyService/CompromiseKeys",
    "/oubliette.v1.KeyService/ListApprovals",
    "/oubliette.v1.KeyService/DecideApproval",
    "/oubliette.v1.KeyService/Seal",
    "/oubliette.v1.KeyService/Unseal",
    "/oubliette.v1.KeyService/GetSealStatus",
    "/oubliette.v1.AuditService/ListEntries",
    "/oubliette.v1.AuditService/ListCustomerEntries",
    "/oubliette.v1.AuditService/WatchEntries",
    "/oubliette.v1.AuditService/GetCheckpoint",
    "/oubliette.v1.AuditService/GetEntryProof",
    "/oubliette.v1.AuditService/PruneEntries",
    "/oubliette.v1.EventService/WatchEvents",
    "/oubliette.v1.EventService/AcknowledgeEvents",
    "/oubliette.v1.EventService/ListUnacknowledgedEvents",
    "/oubliette.v1.RetentionService/GetRetentionStatus",
    "/oubliette.v1.ReviewService/GetReview",
    "/oubliette.v1.ReviewService/PlanFieldDrop",
    "/oubliette.v1.ReviewService/GetNotice",
    "/oubliette.v1.ReviewService/GetProcessingRecord",
];

/// Health and reflection: the only calls that are not guarded. A service that
/// nobody knows is, so that looking for one is written down.
const BESIDE: &str = "/grpc.";

fn method_of(path: &str) -> &'static str {
    METHODS
        .iter()
        .find(|known| **known == path)
        .and_then(|known| known.rsplit('/').next())
        .unwrap_or("Unknown")
}

impl Guard {
    /// `guarded` are the vault's services; `open` answers what gRPC itself
    /// defines (health, and reflection where it is switched on).
    pub fn new(parts: Parts, guarded: Routes, open: Routes) -> Self {
        Self {
            parts: Arc::new(parts),
            room: Arc::new(Semaphore::new(limits::CALLS_IN_FLIGHT)),
            guarded,
            open,
        }
    }

    async fn enter(mut self, mut request: Request<Body>) -> Response<Body> {
        let (parts, began) = (Arc::clone(&self.parts), std::time::Instant::now());
        let method = method_of(request.uri().path());
        let (now, rules) = (Instant::now(), parts.access.now());
        let _under_way = UnderWay::begin(&parts);
        let (response, reason) = match parts.admit(&request, &rules, now) {
            Err(error) => match parts.stranger(&self.room) {
                Err(error) => {
                    parts.shed.count(&Arc::from(""), error.reason());
                    (status(&error).into_http(), error.reason())
                }
                Ok(_room) => {
                    let call = Arc::new(parts.vault.log().begin(method, None, now));
                    let watch = Watch::new(&parts, call, None);
                    watch.refuse(error).await
                }
            },
            Ok(principal) => match parts.room(&self.room, &principal) {
                Err(error) => {
                    parts.shed.count(principal.name(), error.reason());
                    (status(&error).into_http(), error.reason())
                }
                Ok(_room) => {
                    let name = Some(Arc::clone(principal.name()));
                    let admitted = parts.unblocked(&principal);
                    let call = Arc::new(parts.vault.log().begin(method, name, now));
                    let guarded = parts.guarded(&call, principal, rules, &request);
                    let watch = Watch::new(&parts, call, Some(Arc::clone(&guarded)));
                    let limit = deadline(&request);
                    request.extensions_mut().insert(Arc::clone(&guarded));
                    match admitted {
                        Ok(()) => {
                            let answer = self.guarded.call(request);
                            let answer = tokio::time::timeout(limit, answer).await;
                            watch.close(answer.map(|Ok(response)| response)).await
                        }
                        Err(blocked) => watch.refuse(blocked).await,
                    }
                }
            },
        };
        parts.metrics.call_ended(method, reason, began.elapsed());
        response
    }
}

impl Parts {
    fn admit(
        &self,
        request: &Request<Body>,
        rules: &Snapshot,
        now: Instant,
    ) -> Result<Arc<Principal>> {
        let caller = request.extensions().get::<Caller>();
        let caller = caller.ok_or(Error::Unauthenticated(Unauthenticated::NoCertificate))?;
        self.authn.principal(caller.identity()?, rules, now)
    }

    /// A place among the calls under way, within the principal's rate.
    fn room(&self, room: &Arc<Semaphore>, principal: &Principal) -> Result<OwnedSemaphorePermit> {
        self.shed.rate(principal)?;
        place(room)
    }

    /// Refuses a principal that a signal blocked.
    fn unblocked(&self, principal: &Principal) -> Result<()> {
        let signals = self.signals.as_ref();
        signals.map_or(Ok(()), |signals| signals.admit(principal.name()))
    }

    /// A place for a caller who is nobody: each refusal costs a durable entry,
    /// so that all of them share one small rate.
    fn stranger(&self, room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
        self.shed.stranger()?;
        place(room)
    }

    fn guarded(
        &self,
        call: &Arc<Call>,
        principal: Arc<Principal>,
        rules: Arc<Snapshot>,
        request: &Request<Body>,
    ) -> Arc<Guarded> {
        let caller = request.extensions().get::<Caller>();
        let again = Again {
            access: Arc::clone(&self.access),
            authn: Arc::clone(&self.authn),
            caller: caller.map_or_else(Caller::without_certificate, Caller::clone),
        };
        let today = call.time.day();
        Guarded::new(Arc::clone(call), principal, rules, today, again)
    }
}

fn place(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    Arc::clone(room)
        .try_acquire_owned()
        .map_err(|_| Error::Exhausted(Exhausted::Shed, limits::SHED_RETRY))
}

/// Counts a call as under way until it ends, also when its caller goes away.
struct UnderWay(Arc<Parts>);

impl UnderWay {
    fn begin(parts: &Arc<Parts>) -> Self {
        parts.metrics.calls_in_flight.inc();
        Self(Arc::clone(parts))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.metrics.calls_in_flight.dec();
    }
}

/// The time that a call may take: ours, or the caller's where that is shorter.
fn deadline(request: &Request<Body>) -> Duration {
    let asked = request
        .headers()
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse_timeout);
    asked.map_or(limits::CALL_TIME, |asked| {
        asked
            .saturating_sub(limits::HEAD_START)
            .min(limits::CALL_TIME)
    })
}

/// `grpc-timeout`: up to eight digits and a unit (the gRPC over HTTP/2
/// specification).
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = (digits.len() <= 8).then(|| digits.parse().ok()).flatten()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Sees to it that a call is written down, however it ends: also when its
/// caller goes away and the call is dropped half-way.
struct Watch {
    parts: Arc<Parts>,
    call: Arc<Call>,
    guarded: Option<Arc<Guarded>>,
    is_closed: bool,
}

impl Watch {
    fn new(parts: &Arc<Parts>, call: Arc<Call>, guarded: Option<Arc<Guarded>>) -> Self {
        Self {
            parts: Arc::clone(parts),
            call,
            guarded,
            is_closed: false,
        }
    }

    /// The handler's answer, once it is written down.
    async fn close<E>(
        self,
        answer: std::result::Result<Response<Body>, E>,
    ) -> (Response<Body>, &'static str) {
        let Ok(response) = answer else {
            return self.refuse(Error::DeadlineExceeded).await;
        };
        let code = response
            .headers()
            .get("grpc-status")
            .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
        let (refused, error) = self
            .guarded
            .as_ref()
            .map_or_else(Default::default, |guarded| guarded.take_refusal());
        let has_begun = self
            .guarded
            .as_ref()
            .is_some_and(|guarded| guarded.has_begun());
        match (code, error) {
            (Code::Ok, _) if self.call.is_recorded() => {
                let mut watch = self;
                watch.is_closed = true;
                (response, "OK")
            }
            // A handler that wrote nothing down has answered nothing.
            (Code::Ok, _) => {
                self.refuse(Error::Internal("an answer without an audit entry"))
                    .await
            }
            (_, Some(error)) => self.refuse_as(refused, error, Some(response)).await,
            (code, None) if has_begun => {
                tracing::error!(?code, "a handler failed without saying why");
                self.refuse(Error::Internal("a handler failed")).await
            }
            (code, None) => self.refuse(unread(code)).await,
        }
    }

    async fn refuse(self, error: Error) -> (Response<Body>, &'static str) {
        let refused = self
            .guarded
            .as_ref()
            .map_or_else(Default::default, |guarded| guarded.take_refusal().0);
        self.refuse_as(refused, error, None).await
    }

    async fn refuse_as(
        mut self,
        refused: Refused,
        error: Error,
        response: Option<Response<Body>>,
    ) -> (Response<Body>, &'static str) {
        self.is_closed = true;
        let (error, written) = if self.call.is_recorded() {
            (error, Ok(()))
        } else {
            let written = write_down(&self.parts, &self.call, refused, error).await;
            written.unwrap_or((Error::Cancelled, Err(Error::Internal("the runtime ends"))))
        };
        match written {
            Ok(()) => (
                response.unwrap_or_else(|| status(&error).into_http()),
                error.reason(),
            ),
            Err(unwritten) => {
                let error = match (error, unwritten) {
                    // Who changed something must know that it may be done.
                    (unknown @ Error::Unavailable(Unavailable::OutcomeUnknown), _) => unknown,
                    (_, full @ Error::Unavailable(Unavailable::DiskFull)) => full,
                    _ => Error::Unavailable(Unavailable::AuditWrite),
                };
                (status(&error).into_http(), error.reason())
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_closed || self.call.is_recorded() {
            return;
        }
        let refused = self
            .guarded
            .as_ref()
            .map_or_else(Default::default, |guarded| guarded.take_refusal().0);
        if tokio::runtime::Handle::try_current().is_ok() {
            write_down(&self.parts, &self.call, refused, Error::Cancelled);
        }
    }
}

/// Writes a refusal down in a task of its own: a caller that goes away while
/// this is under way neither stops it nor has it written twice.
fn write_down(
    parts: &Arc<Parts>,
    call: &Arc<Call>,
    refused: Refused,
    error: Error,
) -> JoinHandle<(Error, Result<()>)> {
    let (parts, call) = (Arc::clone(parts), Arc::clone(call));
    tokio::spawn(async move {
        let written = parts.vault.record_refusal(&call, refused, &error).await;
        if written.is_err() {
            parts.metrics.audit_write_failures.inc();
        }
        (error, written)
    })
}

/// What tonic refused before a handler saw it.
fn unread(code: Code) -> Error {
    match code {
        Code::Unimplemented => Error::NotFound(Missing::Method),
        Code::OutOfRange | Code::ResourceExhausted => Error::invalid(Violation::new(
            "message",
            format!("must be at most {} bytes", limits::REQUEST_BYTES),
        )),
        Code::Cancelled => Error::Cancelled,
        Code::DeadlineExceeded => Error::DeadlineExceeded,
        _ => Error::invalid(Violation::new(
            "message",
            "must be the method's request in protobuf",
        )),
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(BESIDE) {
            let answer = self.open.call(request);
            return Box::pin(answer);
        }
        let guard = self.clone();
        Box::pin(async move { Ok(guard.enter(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_as_grpc_writes_it() {
        for (text, time) in [
            ("100m", Some(Duration::from_millis(100))),
            ("2S", Some(Duration::from_secs(2))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("", None),
            ("S", None),
            ("5", None),
            ("123456789S", None),
            ("-1S", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), time, "{text}");
        }
    }

    #[test]
    fn the_methods_are_those_of_the_proto() {
        use prost::Message;
        let set = prost_types::FileDescriptorSet::decode(crate::pb::DESCRIPTORS).unwrap();
        let mut declared: Vec<String> = Vec::new();
        for file in set.file {
            for service in &file.service {
                for method in &service.method {
                    declared.push(format!(
                        "/{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
        declared.sort();
        let mut known: Vec<String> = METHODS.iter().map(|m| (*m).to_owned()).collect();
        known.sort();
        assert_eq!(known, declared);
    }
}
