//! Who may write what. A write opens nothing and so carries no purpose, but
//! each field it stores must be needed by some purpose (GDPR art. 5(1)(c)).

use super::action::Action;
use super::grant::{Change, Delete, Grant, Write, WriteOrigin};
use super::roles::Principal;
use super::snapshot::{Fields, Snapshot, named_fields};
use crate::catalog::{Field, RecordType, Value};
use crate::clock::{Day, Instant};
use crate::error::{Denial, Error, Result, Rule, Violation};
use crate::id::{CatalogName, FieldNumber, RecordName};
use crate::limits;
use std::sync::Arc;

/// A write that somebody asks for.
pub struct WriteAsk<'a> {
    /// Which record.
    pub target: RecordName,
    /// The record type's name.
    pub record_type: &'a str,
    /// The values by field name.
    pub values: Vec<(String, Value)>,
    /// For an update, the names of the fields to change: one without a value
    /// is removed. None: the record is replaced.
    pub mask: Option<&'a [String]>,
    /// Where the values came from; empty: from the caller.
    pub source: &'a str,
    /// When they were collected; `None`: now.
    pub collected: Option<Instant>,
    /// The day of the call, UTC.
    pub today: Day,
}

/// What is past its time is not stored anew.
fn refuse_ended(fields: &Fields, today: Day) -> Result<()> {
    let mut fields = fields.iter().map(|(field, _)| field);
    match fields.find(|field| field.retention.has_ended(today)) {
        None => Ok(()),
        Some(field) => Err(Error::Denied(Denial {
            rule: Rule::RetentionOver,
            field: Some(field.name.clone()),
            policies: Vec::new(),
        })),
    }
}

/// Where the values come from. What was collected in the future was not.
fn origin(principal: &Principal, ask: &WriteAsk<'_>) -> Result<WriteOrigin> {
    let is_plain = |text: &str| !text.chars().any(char::is_control);
    if ask.source.len() > limits::LABEL_BYTES || !is_plain(ask.source) {
        let rule = format!("must be a text of at most {} bytes", limits::LABEL_BYTES);
        return Err(Error::invalid(Violation::new("source", rule)));
    }
    if ask.collected.is_some_and(|at| at.day() > ask.today) {
        let rule = "must not be in the future";
        return Err(Error::invalid(Violation::new("collect_time", rule)));
    }
    let source = match ask.source {
        "" => principal.name().to_string(),
        source => source.to_owned(),
    };
    Ok(WriteOrigin {
        source,
        collected: ask.collected,
    })
}

impl Snapshot {
    /// Decides a write. Values are looked at last, so that what is wrong with
    /// them is told only to those who may write them.
    pub fn write(&self, principal: &Arc<Principal>, ask: WriteAsk<'_>) -> Result<Grant<Write>> {
        let principal = self.current(principal)?;
        let record_type = self.record_type(ask.record_type)?.clone();
        let given = given_fields(&record_type, &ask.values)?;
        let origin = origin(principal, &ask)?;
        let (action, removed) = match ask.mask {
            None => (Action::PutRecord, Vec::new()),
            Some(mask) => (
                Action::UpdateRecord,
                removed_fields(&record_type, &given, mask)?,
            ),
        };
        let mut fields: Fields = given.iter().map(|field| (field.clone(), None)).collect();
        self.refuse_unneeded(&record_type, &fields, ask.today)?;
        refuse_ended(&fields, ask.today)?;
        fields.extend(removed.iter().map(|field| (field.clone(), None)));
        fields.sort_by_key(|(field, _)| field.number);
        let policies = self.permitted_fields(principal, action, &record_type, &fields)?;

        let mut values: Vec<_> = given
            .into_iter()
            .zip(ask.values.into_iter().map(|(_, v)| v))
            .collect();
        check_values(&values)?;
        values.sort_by_key(|(field, _)| field.number);
        let (change, may_drop) = match ask.mask {
            None => {
                let may_drop = self.may_drop(principal, &record_type, &fields);
                (Change::Replace, may_drop)
            }
            Some(_) => {
                let remove = removed.iter().map(|field| field.number).collect();
                (Change::Update { remove }, Vec::new())
            }
        };
        Ok(Grant {
            decided: self.decided(principal, action, None, policies),
            target: Write {
                target: ask.target,
                record_type,
                change,
                values,
                may_drop,
                catalog: Arc::clone(self.catalog()),
                origin,
            },
        })
    }

    /// Decides the deletion of one record.
    pub fn delete(
        &self,
        principal: &Arc<Principal>,
        target: RecordName,
        record_type: &str,
    ) -> Result<Grant<Delete>> {
        let principal = self.current(principal)?;
        let record_type = self.record_type(record_type)?.clone();
        let action = Action::DeleteRecord;
        let policies = self.permitted_fields(principal, action, &record_type, &Fields::new())?;
        Ok(Grant {
            decided: self.decided(principal, action, None, policies),
            target: Delete {
                target,
                record_type,
            },
        })
    }

    pub(super) fn refuse_unneeded(
        &self,
        record_type: &RecordType,
        fields: &Fields,
        today: Day,
    ) -> Result<()> {
        let needed = |field: &Field| {
            self.catalog()
                .is_needed(record_type.number, field.number, today)
        };
        match fields.iter().find(|(field, _)| !needed(field)) {
            None => Ok(()),
            Some((field, _)) => Err(Error::Denied(Denial {
                rule: Rule::FieldNotNeeded,
                field: Some(field.name.clone()),
                policies: Vec::new(),
            })),
        }
    }

    /// The fields besides `given` that the caller may take away: those that it
    /// may write, all together or one by one.
    fn may_drop(
        &self,
        principal: &Principal,
        record_type: &RecordType,
        given: &Fields,
    ) -> Vec<FieldNumber> {
        let is_given = |field: &Field| given.iter().any(|(g, _)| g.number == field.number);
        let may = |fields: &[_]| {
            let action = Action::PutRecord;
            self.permitted(principal, action, Some(record_type), None, fields)
                .is_ok()
        };
        let all: Fields = record_type
            .fields()
            .iter()
            .map(|field| (field.clone(), None))
            .collect();
        let may_all = may(&all);
        let others = all.into_iter().filter(|(field, _)| !is_given(field));
        others
            .filter(|one| may_all || may(std::slice::from_ref(one)))
            .map(|(field, _)| field.number)
            .collect()
    }

    /// The policies that permit the write of these fields; a denial names the
    /// first field that is refused alone.
    pub(super) fn permitted_fields(
        &self,
        principal: &Principal,
        action: Action,
        record_type: &RecordType,
        fields: &Fields,
    ) -> Result<Arc<[String]>> {
        let ask = |fields: &[_]| self.permitted(principal, action, Some(record_type), None, fields);
        ask(fields).map_err(|whole| {
            let alone = fields.iter().find_map(|(field, form)| {
                let denial = ask(&[(field.clone(), *form)]).err()?;
                let field = Some(field.name.clone());
                Some(Denial { field, ..denial })
            });
            // Refused without any field, it is not about the first one.
            let about_fields = ask(&[]).is_ok();
            Error::Denied(alone.filter(|_| about_fields).unwrap_or(whole))
        })
    }
}

/// A value's path in the request. A key that is no field of the type is shown
/// only if it has the shape of one, since it may be a misplaced value.
fn path_of(name: &str) -> String {
    match CatalogName::parse(name) {
        Some(name) => format!("fields.{name}"),
        None => "fields".to_owned(),
    }
}

/// The field of each value, in the order of the values.
fn given_fields(record_type: &RecordType, values: &[(String, Value)]) -> Result<Vec<Arc<Field>>> {
    if values.len() > limits::FIELDS_PER_REQUEST {
        let rule = format!("must hold at most {} fields", limits::FIELDS_PER_REQUEST);
        return Err(Error::invalid(Violation::new("fields", rule)));
    }
    let mut fields = Vec::with_capacity(values.len());
    let mut violations = Vec::new();
    let mut seen = 0u128;
    for (name, _) in values {
        match record_type.field(name) {
            Some(field) if seen & field.bit() == 0 => {
                seen |= field.bit();
                fields.push(field.clone());
            }
            Some(_) => violations.push(Violation::new(path_of(name), "must be given once")),
            None => {
                let rule = format!("must be a field of record type {}", record_type.name);
                violations.push(Violation::new(path_of(name), rule));
            }
        }
    }
    if violations.is_empty() {
        Ok(fields)
    } else {
        Err(Error::Invalid(violations))
    }
}

/// The fields that a mask names and no value is given for. A mask that is
/// empty or does not name a given field is refused.
fn removed_fields(
    record_type: &RecordType,
    given: &[Arc<Field>],
    mask: &[String],
) -> Result<Vec<Arc<Field>>> {
    let masked = named_fields(
        record_type,
        "update_mask.paths",
        mask.iter().map(String::as_str),
    )?;
    if masked.is_empty() {
        let violation = Violation::new("update_mask", "must name the fields to change");
        return Err(Error::invalid(violation));
    }
    let bits = |fields: &[Arc<Field>]| fields.iter().fold(0, |set, field| set | field.bit());
    let (mask, values) = (bits(&masked), bits(given));
    if let Some(field) = given.iter().find(|field| mask & field.bit() == 0) {
        let rule = "must be named in update_mask to be changed";
        return Err(Error::invalid(Violation::new(
            path_of(field.name.as_str()),
            rule,
        )));
    }
    Ok(masked
        .into_iter()
        .filter(|field| values & field.bit() == 0)
        .collect())
}

/// Every value against its field, and all of them together.
fn check_values(values: &[(Arc<Field>, Value)]) -> Result<()> {
    let violations = values.iter().filter_map(|(field, value)| {
        let rule = field.check(value).err()?;
        Some(Violation::new(path_of(field.name.as_str()), rule))
    });
    let violations: Vec<_> = violations.collect();
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    let size: usize = values.iter().map(|(_, value)| value.size() + 1).sum();
    if size > limits::RECORD_BYTES {
        let rule = format!("must be at most {} bytes in all", limits::RECORD_BYTES);
        return Err(Error::invalid(Violation::new("fields", rule)));
    }
    Ok(())
}
