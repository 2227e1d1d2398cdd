//! What a handler knows of its call: who, by which rules, and what to write
//! down should it be refused.

use super::status::status;
use crate::access::{Access, Principal, Snapshot};
use crate::audit::Call;
use crate::authn::{Authn, Caller};
use crate::clock::{Day, Instant};
use crate::error::{Error, Missing, Result};
use crate::id::CustomerId;
use crate::vault::Refused;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Request, Response, Status};

/// One guarded call. The guard makes it and puts it into the request.
pub struct Guarded {
    /// The call, as the audit log knows it.
    pub call: Arc<Call>,
    /// Who is calling.
    pub principal: Arc<Principal>,
    /// The rules that this call sees.
    pub rules: Arc<Snapshot>,
    /// The day that it is judged by, UTC.
    pub today: Day,
    again: Again,
    told: Mutex<Told>,
}

/// What a long call is judged by again and again.
#[derive(Clone)]
pub struct Again {
    /// The rules in force.
    pub access: Arc<Access>,
    /// Whether the caller still counts.
    pub authn: Arc<Authn>,
    /// The caller, as the certificate says.
    pub caller: Caller,
}

#[derive(Default)]
struct Told {
    refused: Refused,
    error: Option<Error>,
    begun: bool,
}

impl Guarded {
    /// A call that has passed the guard.
    pub fn new(
        call: Arc<Call>,
        principal: Arc<Principal>,
        rules: Arc<Snapshot>,
        today: Day,
        again: Again,
    ) -> Arc<Self> {
        let told = Told {
            refused: Refused {
                catalog: rules.catalog().version(),
                tenant: Some(principal.tenant().clone()),
                ..Refused::default()
            },
            ..Told::default()
        };
        Arc::new(Self {
            call,
            principal,
            rules,
            today,
            again,
            told: Mutex::new(told),
        })
    }

    /// The guarded call of a request: a handler's first step.
    pub fn of<T>(request: &Request<T>) -> std::result::Result<Arc<Self>, Status> {
        let guarded = request.extensions().get::<Arc<Self>>().cloned();
        let guarded =
            guarded.ok_or_else(|| status(&Error::Internal("a call that passed no guard")))?;
        guarded.told(|told| told.begun = true);
        Ok(guarded)
    }

    fn told<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what is asked for, for the case that it is refused. Names that
    /// the catalog does not have are left out: a caller may have put anything
    /// there.
    pub fn asks(&self, record_type: &str, purpose: &str) {
        let catalog = self.rules.catalog();
        let record_type = catalog.record_type(record_type).map(|t| t.name.to_string());
        let purpose = catalog.purpose(purpose).map(|p| p.name.to_string());
        self.told(|told| {
            told.refused.record_type = record_type.unwrap_or_default();
            told.refused.purpose = purpose.unwrap_or_default();
        });
    }

    /// Notes a customer that is asked for: `name` is theirs or a record's.
    pub fn about(&self, name: &str) {
        let id = name
            .strip_prefix("customers/")
            .map(|rest| rest.split_once('/').map_or(rest, |(id, _)| id));
        if let Some(Ok(id)) = id.map(|id| CustomerId::parse("name", id)) {
            self.told(|told| told.refused.about.push(id));
        }
    }

    /// What the caller may hear of an error: who may not know of an erasure
    /// hears that there is nobody.
    pub fn hide(&self, error: Error) -> Error {
        let may_know = || self.rules.may_know_erased(&self.principal);
        match error {
            Error::CustomerErased if !may_know() => Error::NotFound(Missing::Customer),
            Error::CustomerWasErased if !may_know() => Error::CustomerExists,
            other => other,
        }
    }

    /// Ends a handler: the reply, or the status of an error that the guard
    /// will write down before it leaves.
    pub fn answer<T>(&self, result: Result<T>) -> std::result::Result<Response<T>, Status> {
        match result {
            Ok(reply) => Ok(Response::new(reply)),
            Err(error) => {
                let heard = self.hide(error.clone());
                self.told(|told| told.error = Some(error));
                Err(status(&heard))
            }
        }
    }

    /// The same reason, as far as the caller may hear it.
    pub fn hide_reason(&self, reason: &'static str) -> &'static str {
        let erased = Error::CustomerErased;
        if reason == erased.reason() {
            return self.hide(erased).reason();
        }
        reason
    }

    /// The same call by the rules and on the day that are now; refused where
    /// its certificate has expired or was taken back meanwhile.
    pub fn renewed(&self) -> Result<Arc<Self>> {
        let (rules, now) = (self.again.access.now(), Instant::now());
        let identity = self.again.caller.identity()?;
        let principal = self.again.authn.principal(identity, &rules, now)?;
        let (call, again) = (Arc::clone(&self.call), self.again.clone());
        Ok(Self::new(call, principal, rules, now.day(), again))
    }

    /// Whether a handler took the call up.
    pub fn has_begun(&self) -> bool {
        self.told(|told| told.begun)
    }

    /// What there is to write down of a refusal, and why it was refused.
    pub fn take_refusal(&self) -> (Refused, Option<Error>) {
        self.told(|told| (std::mem::take(&mut told.refused), told.error.take()))
    }
}
