//! A record's fields, sealed as groups. Fields written together share one
//! derivation: one salt, one commitment, and for each field its ciphertext,
//! whose chunks are numbered (field number, chunk) into the nonce. Each field
//! opens alone.

use super::body::{FieldRef, GroupRef};
use super::chunks::OneUse;
use super::context::RecordContext;
use super::derive::Prk;
use super::random::random_bytes;
use super::{COMMITMENT_BYTES, DoesNotOpen, SALT_BYTES};
use crate::error::Error;
use crate::id::FieldNumber;
use crate::limits;
use crate::secret::{Key32, SecretBytes};

/// The longest value that is sealed; the catalog's limits lie far below it.
pub(super) const VALUE_BYTES: usize = limits::RECORD_BYTES;

/// The key that seals a customer's record groups in one generation. Made only
/// by the key tree.
pub struct RecordKey(Prk);

/// A group as it was sealed, before it is part of a record's body.
pub struct SealedGroup {
    /// The generation of the field key.
    pub generation: u32,
    /// The version of the record type that it was written under.
    pub schema_version: u32,
    /// The record's revision that wrote it.
    pub revision: u64,
    /// Random, unique to the group.
    pub salt: [u8; SALT_BYTES],
    /// Commits to the one-use key, so that one ciphertext has one meaning.
    pub commitment: [u8; COMMITMENT_BYTES],
    /// By rising field number.
    pub fields: Vec<SealedField>,
}

/// A field as it was sealed.
pub struct SealedField {
    /// The field's number, 1 to 16,383.
    pub number: FieldNumber,
    /// Chunks with their tags.
    pub ciphertext: Vec<u8>,
}

/// A group whose key is derived and checked; it opens that group's fields.
pub struct GroupOpener(OneUse);

impl RecordKey {
    pub(super) fn new(key: &Key32) -> Self {
        Self(Prk::new(key))
    }
}

impl SealedGroup {
    /// The group as a body holds it.
    pub fn as_ref(&self) -> GroupRef<'_> {
        GroupRef {
            generation: self.generation,
            schema_version: self.schema_version,
            revision: self.revision,
            salt: &self.salt,
            commitment: &self.commitment,
            fields: self.fields.iter().map(SealedField::as_ref).collect(),
        }
    }
}

impl SealedField {
    fn as_ref(&self) -> FieldRef<'_> {
        FieldRef {
            number: self.number,
            ciphertext: &self.ciphertext,
        }
    }
}

/// Seals `fields` as one group of the record that `context` names, to open
/// only there. Fails with [`Error::Internal`] where a number is 0, too high or
/// comes twice, or where the operating system gives no randomness, and with
/// [`Error::TooMuch`] where a value is longer than a whole record may be.
pub fn seal_group(
    key: &RecordKey,
    context: &RecordContext,
    fields: &[(FieldNumber, &[u8])],
) -> Result<SealedGroup, Error> {
    seal_group_salted(key, random_bytes()?, context, fields)
}

/// Derives the key of `group`, which stands in the record that `context`
/// names, and checks it against the commitment.
pub fn open_group(
    key: &RecordKey,
    context: &RecordContext,
    group: &GroupRef<'_>,
) -> Result<GroupOpener, DoesNotOpen> {
    if *context != context.of(group) {
        return Err(DoesNotOpen);
    }
    let one_use = OneUse::derive(&key.0, group.salt, &context.bytes());
    one_use.check(group.commitment)?;
    Ok(GroupOpener(one_use))
}

impl GroupOpener {
    /// Opens the field of this number.
    pub fn open(&self, number: FieldNumber, sealed: &[u8]) -> Result<SecretBytes, DoesNotOpen> {
        if !is_field_number(number) {
            return Err(DoesNotOpen);
        }
        self.0.open(number.0, sealed)
    }
}

/// The salt must never come twice with the same key: only [`seal_group`] and
/// the maker of the test vectors call this.
pub(super) fn seal_group_salted(
    key: &RecordKey,
    salt: [u8; SALT_BYTES],
    context: &RecordContext,
    fields: &[(FieldNumber, &[u8])],
) -> Result<SealedGroup, Error> {
    let mut fields = fields.to_vec();
    fields.sort_unstable_by_key(|(number, _)| *number);
    let rising = fields.is_sorted_by(|(left, _), (right, _)| left < right);
    if !rising || !fields.iter().all(|(number, _)| is_field_number(*number)) {
        return Err(Error::Internal("a group's field numbers are not in order"));
    }
    if fields.iter().any(|(_, value)| value.len() > VALUE_BYTES) {
        return Err(Error::TooMuch("a field's value"));
    }
    let one_use = OneUse::derive(&key.0, &salt, &context.bytes());
    let mut sealed = Vec::with_capacity(fields.len());
    for (number, plaintext) in fields {
        let mut ciphertext = Vec::new();
        one_use.seal(number.0, plaintext, &mut ciphertext)?;
        sealed.push(SealedField { number, ciphertext });
    }
    Ok(SealedGroup {
        generation: context.generation,
        schema_version: context.schema_version,
        revision: context.revision,
        salt,
        commitment: *one_use.commitment(),
        fields: sealed,
    })
}

/// 0 would be a message's number, and the nonce has 14 bits for it.
pub(super) fn is_field_number(number: FieldNumber) -> bool {
    (1..=limits::FIELD_NUMBER_MAX).contains(&number.0)
}
