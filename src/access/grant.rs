//! What access gives out. A [`Grant`] says that a caller may do an action to a
//! target; with the customer's live [`Facts`] it becomes a [`Permit`], which
//! alone opens or changes something, once. Neither can be made elsewhere,
//! copied or taken apart; both carry the target they were decided for, so that
//! nothing else can be done with them.

use super::action::Action;
use super::facts::Facts;
use super::gate::{self, Moment};
use super::roles::Principal;
use super::state::State;
use crate::catalog::{Basis, Catalog, Field, Form, Purpose, RecordType, Retention, Value};
use crate::clock::Instant;
use crate::error::{Denial, Error, Result, Rule};
use crate::id::{
    CertificateName, CustomerId, CustomerNumber, FieldNumber, RecordName, RequestNumber,
};
use std::sync::Arc;

/// A caller may do something to a target, as far as policy and catalog go.
pub struct Grant<A> {
    pub(super) decided: Decided,
    pub(super) target: A,
}

/// Who may, why, and by which rules.
pub(super) struct Decided {
    pub principal: Arc<Principal>,
    pub action: Action,
    pub purpose: Option<Arc<Purpose>>,
    pub policies: Arc<[String]>,
    pub catalog_version: u32,
    pub snapshot: u64,
}

/// A grant for one customer whose live state allows it. Used up by what is
/// done with it.
#[must_use = "a permit is there to be used once"]
pub struct Permit<A> {
    grant: Arc<Grant<A>>,
    customer: CustomerNumber,
    opens: Opens,
}

/// What a customer's state lets a permit open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opens {
    /// Special categories.
    pub special: bool,
    /// Fields that no live purpose of the customer's collects any more, of those
    /// that are kept no longer than that.
    pub ended: u128,
}

/// A target that is a customer's data, so that their state has a say.
pub trait CustomerData: sealed::Sealed {}

mod sealed {
    use super::{Moment, Opens, Purpose, Result, State};

    pub trait Sealed {
        /// Whether the state allows it, and what of it.
        fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Opens>;
    }
}

impl CustomerData for Read {}
impl CustomerData for Write {}
impl CustomerData for Delete {}
impl CustomerData for List {}

const NO_PURPOSE: Error = Error::Internal("a read without a purpose");

impl sealed::Sealed for Read {
    fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Opens> {
        let purpose = purpose.ok_or(NO_PURPOSE)?;
        gate::no_basis(purpose, state, at).map_or(Ok(()), |rule| Err(Error::denied(rule)))?;
        let mut special = self.fields.iter().filter(|granted| granted.field.special);
        let opens_special = match special.next() {
            None => false,
            Some(first) => match gate::no_special_basis(purpose, state, at) {
                None => true,
                Some(rule) if self.is_whole || special.count() + 1 == self.fields.len() => {
                    return Err(Error::Denied(gate::about(rule, &first.field)));
                }
                Some(_) => false,
            },
        };
        gate::open(state, purpose.scope.despite_restriction)?;
        Ok(Opens {
            special: opens_special,
            ended: self.ended(state, at),
        })
    }
}

impl sealed::Sealed for List {
    fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Opens> {
        let purpose = purpose.ok_or(NO_PURPOSE)?;
        gate::no_basis(purpose, state, at).map_or(Ok(()), |rule| Err(Error::denied(rule)))?;
        gate::open(state, purpose.scope.despite_restriction)?;
        Ok(Opens::default())
    }
}

impl sealed::Sealed for Write {
    fn allowed(&self, _: Option<&Purpose>, state: &State, at: Moment) -> Result<Opens> {
        for (field, _) in &self.values {
            gate::collected(&self.catalog, &self.record_type, field, state, at)?;
        }
        gate::open(state, false)?;
        Ok(Opens::default())
    }
}

impl sealed::Sealed for Delete {
    fn allowed(&self, _: Option<&Purpose>, state: &State, _: Moment) -> Result<Opens> {
        gate::open(state, false)?;
        Ok(Opens::default())
    }
}

/// Reading records of one type.
pub struct Read {
    /// Which records.
    pub target: ReadTarget,
    /// Of which type.
    pub record_type: Arc<RecordType>,
    /// What may be opened, ordered by field number.
    pub fields: Vec<GrantedField>,
    /// What was asked for and is not given.
    pub withheld: Vec<Withheld>,
    /// Whether one field that may not be opened denies the whole read.
    pub is_whole: bool,
    /// Whether the purpose's handle of the customer is shown in any case.
    pub with_handle: bool,
    /// The catalog that says which purposes collect which fields.
    pub catalog: Arc<Catalog>,
}

impl Read {
    /// The fields that were kept for purposes that have ended for a customer.
    fn ended(&self, state: &State, at: Moment) -> u128 {
        let fields = self.fields.iter().map(|granted| &granted.field);
        fields
            .filter(|field| field.retention == Retention::UntilPurposeEnds)
            .filter(|field| !gate::is_collected(&self.catalog, &self.record_type, field, state, at))
            .fold(0, |set, field| set | field.bit())
    }
}

/// Which records are read.
pub enum ReadTarget {
    /// One by name.
    One(RecordName),
    /// Several by name.
    Batch(Vec<RecordName>),
    /// Every record of the type, of one customer.
    Customer(CustomerId),
    /// Every record of the type, of every customer of the tenant.
    All,
}

/// A field that may be opened, and how much of it may be shown.
#[derive(Clone, Debug)]
pub struct GrantedField {
    /// The field.
    pub field: Arc<Field>,
    /// The purpose's ceiling.
    pub form: Form,
}

/// A field that was asked for and is not given, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The field's number.
    pub field: FieldNumber,
    /// The rule that refused it; it names the field.
    pub denial: Denial,
}

/// Writing one record. Every value has been checked against its field.
pub struct Write {
    /// Which record.
    pub target: RecordName,
    /// Of which type.
    pub record_type: Arc<RecordType>,
    /// Whether the record is replaced or changed.
    pub change: Change,
    /// The new values, ordered by field number.
    pub values: Vec<(Arc<Field>, Value)>,
    /// The other fields of the type that the caller may take away, which is
    /// what a replacement does to those it leaves out. Ordered by number.
    pub may_drop: Vec<FieldNumber>,
    /// The catalog that says which purposes collect which fields.
    pub catalog: Arc<Catalog>,
    /// Where the values came from.
    pub origin: WriteOrigin,
}

/// Where the values of a write came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOrigin {
    /// From where: a word of the caller's, or the caller.
    pub source: String,
    /// When they were collected; with the write, where that is not said.
    pub collected: Option<Instant>,
}

/// What becomes of the fields that a write gives no value.
pub enum Change {
    /// They are removed: the record holds the new values and nothing else.
    Replace,
    /// They stay, but for these, ordered by number, which are removed.
    Update {
        /// The fields to remove.
        remove: Vec<FieldNumber>,
    },
}

/// Deleting one record.
pub struct Delete {
    /// Which record.
    pub target: RecordName,
    /// Of which type.
    pub record_type: Arc<RecordType>,
}

/// Listing a customer's records of one type.
pub struct List {
    /// Whose records.
    pub customer: CustomerId,
    /// Of which type.
    pub record_type: Arc<RecordType>,
}

/// Creating a customer.
pub struct Create {
    /// The caller's id for them.
    pub customer: CustomerId,
    /// Also if a customer of that id was erased in the open epoch.
    pub recreate: bool,
}

/// Showing a customer's state.
pub struct Show {
    /// Whose.
    pub customer: CustomerId,
}

/// Forgetting a customer.
pub struct Erase {
    /// Whom.
    pub customer: CustomerId,
}

/// Forgetting a list of customers; each is decided by itself besides.
pub struct EraseMany;

/// Opening a person's request.
pub struct OpenRequest {
    /// Who asks.
    pub customer: CustomerId,
}

/// Handling or showing a person's request; the action says what is done.
pub struct HandleRequest {
    /// Which.
    pub request: RequestNumber,
}

/// Listing people's requests.
pub struct ListRequests;

/// Showing an erasure certificate.
pub struct ShowCertificate {
    /// Which.
    pub certificate: CertificateName,
    /// Whom it is about, where the caller says so.
    pub customer: Option<CustomerId>,
}

/// Showing the key tree.
pub struct KeyStatus;

/// Closing the active epoch, for real or as a dry run.
pub struct CloseEpoch;

/// Pausing, resuming or pacing a job.
pub struct ControlJob {
    /// Its number.
    pub job: u64,
}

/// Watching a job.
pub struct WatchJob {
    /// Its number.
    pub job: u64,
}

/// Letting go of every key in memory.
pub struct Seal;

/// Opening the master keys again.
pub struct Unseal;

/// Showing whether the vault is sealed.
pub struct SealStatus;

/// Looking at the audit log.
pub struct Entries;

/// Holding what is declared against what was done, or showing what is told of
/// it; the action says which.
pub struct Review;

/// Showing how what is past its time is deleted.
pub struct GetStatus;

/// Hearing, acknowledging or listing events; the action says which.
pub struct Events;

/// Looking at the entries about a customer.
pub struct CustomerEntries {
    /// Whom.
    pub customer: CustomerId,
}

impl<A> Grant<A> {
    /// Who was granted it.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.decided.principal
    }

    /// What was granted.
    pub fn action(&self) -> Action {
        self.decided.action
    }

    /// The purpose; none for an action that opens nothing.
    pub fn purpose(&self) -> Option<&Arc<Purpose>> {
        self.decided.purpose.as_ref()
    }

    /// The legal basis: the purpose's.
    pub fn basis(&self) -> Option<Basis> {
        self.purpose().map(|purpose| purpose.scope.basis)
    }

    /// The ids of the policies that decided, sorted.
    pub fn policies(&self) -> &[String] {
        &self.decided.policies
    }

    /// The version of the catalog it was decided by.
    pub fn catalog_version(&self) -> u32 {
        self.decided.catalog_version
    }

    /// The number of the snapshot it was decided in. When that is no longer
    /// the one in force, a long stream asks anew.
    pub fn snapshot(&self) -> u64 {
        self.decided.snapshot
    }

    /// What it was decided for.
    pub fn target(&self) -> &A {
        &self.target
    }
}

impl<A: CustomerData> Grant<A> {
    /// The permit for one customer, if their state allows it at that moment:
    /// see [`gate`]. `facts` must be those of `customer`.
    pub fn permit(
        self: &Arc<Self>,
        customer: CustomerNumber,
        facts: &Facts,
        at: Moment,
    ) -> Result<Permit<A>> {
        if facts.customer() != customer {
            return Err(Error::Internal(
                "a permit was asked for with another's state",
            ));
        }
        let purpose = self.purpose().map(AsRef::as_ref);
        let opens = self.target.allowed(purpose, facts.state(), at)?;
        Ok(Permit {
            grant: self.clone(),
            customer,
            opens,
        })
    }
}

impl Permit<Read> {
    /// Why a granted field is not opened all the same: it is of a special
    /// category, and the customer gave that no basis; or it was kept for
    /// purposes that have ended.
    pub fn withholds(&self, field: &Field) -> Option<Denial> {
        if field.special && !self.opens.special {
            return Some(gate::about(Rule::SpecialCategory, field));
        }
        let has_ended = self.opens.ended & field.bit() != 0;
        has_ended.then(|| gate::about(Rule::RetentionOver, field))
    }
}

impl<A> Permit<A> {
    /// The one customer it is for.
    pub fn customer(&self) -> CustomerNumber {
        self.customer
    }

    /// The grant it was made from.
    pub fn grant(&self) -> &Grant<A> {
        &self.grant
    }

    /// What it was decided for.
    pub fn target(&self) -> &A {
        &self.grant.target
    }
}
