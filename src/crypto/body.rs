//! The body of a stored record: its groups, one behind the other. There is one
//! byte form for each body, and [`RecordBody::parse`] takes no other; it
//! copies nothing and trusts no length.

use super::chunks::sealed_length;
use super::context::RecordContext;
use super::record::{VALUE_BYTES, is_field_number};
use super::{COMMITMENT_BYTES, DoesNotOpen, SALT_BYTES, SUITE, VERSION};
use crate::error::Error;
use crate::id::FieldNumber;
use crate::limits;

/// A record's groups by rising revision, borrowed from where they are stored
/// or from where they were just sealed.
pub struct RecordBody<'a> {
    groups: Vec<GroupRef<'a>>,
}

/// A group in a body.
pub struct GroupRef<'a> {
    /// The generation of the field key.
    pub generation: u32,
    /// The version of the record type that it was written under.
    pub schema_version: u32,
    /// The record's revision that wrote it.
    pub revision: u64,
    /// The group's salt.
    pub salt: &'a [u8; SALT_BYTES],
    /// The commitment to the group's key.
    pub commitment: &'a [u8; COMMITMENT_BYTES],
    /// At least one, by rising field number.
    pub fields: Vec<FieldRef<'a>>,
}

/// A field in a group.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    /// The field's number, 1 to 16,383.
    pub number: FieldNumber,
    /// Chunks with their tags.
    pub ciphertext: &'a [u8],
}

impl RecordContext {
    /// The same record, with generation, schema version and revision as
    /// `group` says it was written.
    #[must_use]
    pub fn of(&self, group: &GroupRef<'_>) -> Self {
        Self {
            generation: group.generation,
            schema_version: group.schema_version,
            revision: group.revision,
            ..*self
        }
    }
}

impl<'a> RecordBody<'a> {
    /// A record without fields.
    pub const fn empty() -> Self {
        Self { groups: Vec::new() }
    }

    /// The groups by rising revision.
    pub fn groups(&self) -> &[GroupRef<'a>] {
        &self.groups
    }

    /// The field of this number and the group that it is in.
    pub fn field(&self, number: FieldNumber) -> Option<(&GroupRef<'a>, FieldRef<'a>)> {
        self.groups.iter().find_map(|group| {
            let at = group.fields.binary_search_by_key(&number, |f| f.number);
            let field = at.ok().and_then(|at| group.fields.get(at))?;
            Some((group, *field))
        })
    }

    /// What the manifest covers: each field's number with its group's
    /// commitment, by rising field number.
    pub fn commitments(&self) -> Vec<(FieldNumber, &'a [u8; COMMITMENT_BYTES])> {
        let mut all = Vec::with_capacity(self.groups.iter().map(|g| g.fields.len()).sum());
        for group in &self.groups {
            all.extend(group.fields.iter().map(|f| (f.number, group.commitment)));
        }
        all.sort_unstable_by_key(|(number, _)| *number);
        all
    }

    /// The body without these fields; a group that is left without any goes.
    #[must_use]
    pub fn without(mut self, fields: &[FieldNumber]) -> Self {
        for group in &mut self.groups {
            group.fields.retain(|field| !fields.contains(&field.number));
        }
        self.groups.retain(|group| !group.fields.is_empty());
        self
    }

    /// Adds a group, written after all others. Fails with [`Error::Internal`]
    /// where it is not, is empty, or holds a field that the body holds
    /// already: the caller removes those first.
    pub fn push(&mut self, group: GroupRef<'a>) -> Result<(), Error> {
        self.groups.push(group);
        if self.is_well_formed() {
            return Ok(());
        }
        self.groups.pop();
        Err(Error::Internal("a group does not fit the record's body"))
    }

    /// The one byte form; `docs/FORMAT.md` gives it byte by byte. Fails with
    /// [`Error::TooMuch`] where a part is longer than the form can say.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        const TOO_LONG: Error = Error::TooMuch("a record's fields");
        let mut bytes = Vec::with_capacity(self.encoded_length());
        bytes.extend([VERSION, SUITE]);
        bytes.extend(count(self.groups.len()).ok_or(TOO_LONG)?);
        for group in &self.groups {
            bytes.extend(group.generation.to_be_bytes());
            bytes.extend(group.schema_version.to_be_bytes());
            bytes.extend(group.revision.to_be_bytes());
            bytes.extend(group.salt);
            bytes.extend(group.commitment);
            bytes.extend(count(group.fields.len()).ok_or(TOO_LONG)?);
            for field in &group.fields {
                let length = u32::try_from(field.ciphertext.len()).map_err(|_| TOO_LONG)?;
                bytes.extend(field.number.0.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes.extend(field.ciphertext);
            }
        }
        Ok(bytes)
    }

    fn encoded_length(&self) -> usize {
        let group = |g: &GroupRef| {
            let fields: usize = g.fields.iter().map(|f| 6 + f.ciphertext.len()).sum();
            16 + SALT_BYTES + COMMITMENT_BYTES + 2 + fields
        };
        4 + self.groups.iter().map(group).sum::<usize>()
    }

    /// Reads the one byte form and refuses everything else: another version or
    /// suite, a count or length past its limit or past the end, an empty
    /// group, numbers that do not rise, a field in two groups, trailing bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DoesNotOpen> {
        let mut input = Input(bytes);
        if input.take::<2>()? != &[VERSION, SUITE] {
            return Err(DoesNotOpen);
        }
        let mut body = Self::empty();
        for _ in 0..input.count()? {
            body.groups.push(input.group()?);
        }
        if input.0.is_empty() && body.is_well_formed() {
            Ok(body)
        } else {
            Err(DoesNotOpen)
        }
    }

    fn is_well_formed(&self) -> bool {
        let revisions_rise = self.groups.is_sorted_by(|a, b| a.revision < b.revision);
        let fields: usize = self.groups.iter().map(|g| g.fields.len()).sum();
        revisions_rise
            && fields <= limits::FIELDS_PER_TYPE
            && self.groups.iter().all(GroupRef::is_well_formed)
            && (self.groups.len() < 2 || self.commitments().is_sorted_by(|(a, _), (b, _)| a < b))
    }
}

impl GroupRef<'_> {
    fn is_well_formed(&self) -> bool {
        !self.fields.is_empty()
            && self.fields.is_sorted_by(|a, b| a.number < b.number)
            && self.fields.iter().all(|f| is_field_number(f.number))
    }
}

fn count(length: usize) -> Option<[u8; 2]> {
    u16::try_from(length).ok().map(u16::to_be_bytes)
}

/// What is not yet read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], DoesNotOpen> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DoesNotOpen)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, DoesNotOpen> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A count of groups or fields, no more than a record type has fields.
    fn count(&mut self) -> Result<u16, DoesNotOpen> {
        let count = u16::from_be_bytes(*self.take()?);
        if usize::from(count) > limits::FIELDS_PER_TYPE {
            return Err(DoesNotOpen);
        }
        Ok(count)
    }

    fn group(&mut self) -> Result<GroupRef<'a>, DoesNotOpen> {
        let generation = self.u32()?;
        let schema_version = self.u32()?;
        let revision = u64::from_be_bytes(*self.take()?);
        let salt = self.take()?;
        let commitment = self.take()?;
        let fields = (0..self.count()?).map(|_| self.field());
        Ok(GroupRef {
            generation,
            schema_version,
            revision,
            salt,
            commitment,
            fields: fields.collect::<Result<_, _>>()?,
        })
    }

    fn field(&mut self) -> Result<FieldRef<'a>, DoesNotOpen> {
        let number = FieldNumber(u16::from_be_bytes(*self.take()?));
        let length = usize::try_from(self.u32()?).map_err(|_| DoesNotOpen)?;
        let longest = sealed_length(VALUE_BYTES).map_err(|_| DoesNotOpen)?;
        if length > longest {
            return Err(DoesNotOpen);
        }
        let (ciphertext, rest) = self.0.split_at_checked(length).ok_or(DoesNotOpen)?;
        self.0 = rest;
        Ok(FieldRef { number, ciphertext })
    }
}
