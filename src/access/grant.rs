//! What access gives out. A [`Grant`] says that a caller may do an action to a
//! target; with the customer's live [`Facts`] it becomes a [`Permit`], which
//! alone opens or changes something, once. Neither can be made elsewhere,
//! copied or taken apart; both carry the target they were decided for, so that
//! nothing else can be done with them.

use super::action::Action;
use super::facts::Facts;
use super::gate::{self, Moment};
use super::restraint::Scope;
use super::roles::Principal;
use super::state::State;
use crate::catalog::{Basis, Catalog, Field, Form, Purpose, RecordType, Retention, Value};
use crate::clock::{Day, Instant};
use crate::error::{Denial, Error, Result, Rule};
use crate::id::{
    CertificateName, CustomerId, CustomerNumber, FieldNumber, HoldNumber, RecordName, RequestNumber,
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
    allowed: Allowed,
}

/// A target that is a customer's data, so that their state has a say.
pub trait CustomerData: sealed::Sealed {}

mod sealed {
    use super::{FieldNumber, Moment, Purpose, Result, State};

    /// What a customer's state leaves of what a grant allows.
    #[derive(Default)]
    pub struct Allowed {
        /// Whether special categories are opened.
        pub special: bool,
        /// Fields that no live purpose of the customer's collects any more, of
        /// those that are kept no longer than that.
        pub ended: u128,
        /// Fields that are held.
        pub held: Vec<FieldNumber>,
        /// Whether the data is restricted or held, and read all the same.
        pub restrained: bool,
    }

    pub trait Sealed {
        /// How much of it the state allows, if anything.
        fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Allowed>;
    }
}

use sealed::Allowed;

impl CustomerData for Read {}
impl CustomerData for Write {}
impl CustomerData for Delete {}
impl CustomerData for List {}

const NO_PURPOSE: Error = Error::Internal("a read without a purpose");

impl sealed::Sealed for Read {
    fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Allowed> {
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
        let exempt = purpose.scope.despite_restriction;
        gate::open(state, exempt)?;
        let mut allowed = Allowed {
            special: opens_special,
            ended: self.ended(state, at),
            held: Vec::new(),
            restrained: state.is_restricted() || state.holds_of_type(self.record_type.number),
        };
        if allowed.restrained && !exempt {
            let fields = self.fields.iter().map(|granted| &granted.field);
            let is_free = |field: &Field| gate::free_field(state, &self.record_type, field);
            let held: Vec<&Arc<Field>> = fields.filter(|field| is_free(field).is_err()).collect();
            match held.first() {
                Some(first) if self.is_whole || held.len() == self.fields.len() => is_free(first)?,
                _ => allowed.held = held.into_iter().map(|field| field.number).collect(),
            }
            allowed.restrained = !allowed.held.is_empty();
        }
        Ok(allowed)
    }
}

impl sealed::Sealed for List {
    fn allowed(&self, purpose: Option<&Purpose>, state: &State, at: Moment) -> Result<Allowed> {
        let purpose = purpose.ok_or(NO_PURPOSE)?;
        gate::no_basis(purpose, state, at).map_or(Ok(()), |rule| Err(Error::denied(rule)))?;
        gate::open(state, purpose.scope.despite_restriction)?;
        Ok(Allowed {
            restrained: state.is_restricted() || state.holds_of_type(self.record_type.number),
            ..Allowed::default()
        })
    }
}

impl sealed::Sealed for Write {
    fn allowed(&self, _: Option<&Purpose>, state: &State, at: Moment) -> Result<Allowed> {
        for (field, _) in &self.values {
            gate::collected(&self.catalog, &self.record_type, field, state, at)?;
        }
        gate::open(state, false)?;
        match &self.change {
            // What it does not name would be gone.
            Change::Replace => gate::free(state, &self.record_type)?,
            Change::Update { remove } => {
                let gone = remove
                    .iter()
                    .filter_map(|number| self.record_type.field_by_number(*number));
                let values = self.values.iter().map(|(field, _)| field);
                for field in values.chain(gone) {
                    gate::free_field(state, &self.record_type, field)?;
                }
            }
        }
        Ok(Allowed::default())
    }
}

impl sealed::Sealed for Delete {
    fn allowed(&self, _: Option<&Purpose>, state: &State, _: Moment) -> Result<Allowed> {
        gate::open(state, false)?;
        gate::free(state, &self.record_type)?;
        Ok(Allowed::default())
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

/// Restricting the processing of a customer's data, or lifting that.
pub struct Restrain {
    /// Whose.
    pub customer: CustomerId,
}

/// Holding something of a customer.
pub struct Keep {
    /// Whose.
    pub customer: CustomerId,
    /// What.
    pub scope: Scope,
    /// The same by the catalog's names: a record type, or `type.field`; empty
    /// for all of it.
    pub what: String,
}

/// Releasing a hold.
pub struct HandleHold {
    /// Which.
    pub hold: HoldNumber,
}

/// Listing holds.
pub struct ListHolds {
    /// Whose; `None`: every customer's.
    pub customer: Option<CustomerId>,
}

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

/// Giving customers a new generation of field keys.
pub struct Rotate {
    /// Whom.
    pub what: RotateWhat,
}

/// Whose field keys are rotated.
pub enum RotateWhat {
    /// One customer's.
    Customer(CustomerId),
    /// Those of everybody who has a record of a type: its number.
    Type(u16),
    /// Everybody's.
    All,
}

/// Saying that a customer's keys are compromised.
pub struct Compromise {
    /// Whose.
    pub customer: CustomerId,
    /// Why, for whoever must approve it.
    pub reason: String,
}

/// Pruning old entries of the audit log.
pub struct PruneEntries {
    /// Entries of calls before this day.
    pub before: Day,
    /// Only say what would go.
    pub dry_run: bool,
    /// Why, for whoever must approve it.
    pub reason: String,
}

/// Looking at requests for approval.
pub struct ListApprovals;

/// Approving or rejecting what somebody else asked for.
pub struct DecideApproval {
    /// The request's number.
    pub approval: u64,
    /// Whether it is approved.
    pub approve: bool,
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
        let allowed = self.target.allowed(purpose, facts.state(), at)?;
        Ok(Permit {
            grant: self.clone(),
            customer,
            allowed,
        })
    }
}

impl Permit<Read> {
    /// Why a granted field is not opened all the same: it is of a special
    /// category, and the customer gave that no basis; it was kept for purposes
    /// that have ended; or it is held.
    pub fn withholds(&self, field: &Field) -> Option<Denial> {
        if field.special && !self.allowed.special {
            return Some(gate::about(Rule::SpecialCategory, field));
        }
        if self.allowed.ended & field.bit() != 0 {
            return Some(gate::about(Rule::RetentionOver, field));
        }
        let is_held = self.allowed.held.contains(&field.number);
        is_held.then(|| gate::about(Rule::Held, field))
    }
}

impl<A> Permit<A> {
    /// Whether the data is restricted or held, which whoever gets it is told.
    pub fn is_restrained(&self) -> bool {
        self.allowed.restrained
    }

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
