//! What a handler knows of its call: who, by which rules, and what to write
//! down should it be refused.

use super::status::status;
use crate::access::{Access, Principal, Snapshot};
use crate::audit::Call;
use crate::clock::Day;
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
    access: Arc<Access>,
    told: Mutex<Told>,
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
        access: Arc<Access>,
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
            access,
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

    /// The day of the call, UTC.
    pub fn today(&self) -> Day {
        self.call.time.day()
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

    /// The same call by the rules in force now, where those are others.
    pub fn renewed(&self) -> Option<Arc<Self>> {
        let now = self.access.now();
        (now.number() != self.rules.number()).then(|| {
            let (call, principal) = (Arc::clone(&self.call), Arc::clone(&self.principal));
            Self::new(call, principal, now, Arc::clone(&self.access))
        })
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
