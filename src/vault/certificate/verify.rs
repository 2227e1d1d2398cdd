//! Checking a certificate with nothing but the vault's public key. One flipped
//! bit anywhere in the file is refused: the file must be the canonical form of
//! what it says, the signature covers the certificate, and the certificate
//! commits to the opening.

use super::document::{Certificate, FORM, Opening, Part, Reached, Signed, canonical, signed_bytes};
use super::proof;
use crate::keys::signing::PublicKey;
use std::fmt;

/// Largest file that is read as a certificate.
const FILE_BYTES: usize = crate::limits::CERTIFICATE_BYTES;

/// A certificate that holds.
pub struct Verified {
    /// What was read.
    pub signed: Signed,
}

/// Why a certificate does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is no certificate of this form.
    NotACertificate,
    /// It is not written in the one form that it must have.
    NotCanonical,
    /// It was signed by another key than the given one.
    OtherKey,
    /// The signature is not of this certificate.
    Signature,
    /// The opening is of somebody else.
    Opening,
    /// Its levels, events and epoch contradict each other.
    Events,
    /// The log does not hold the erasure, as far as the proof shows.
    Log,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACertificate => "this is no erasure certificate",
            Self::NotCanonical => {
                "the file was changed: it is not in the one form that a certificate has"
            }
            Self::OtherKey => "it was signed by another key than the one given",
            Self::Signature => "the signature does not fit: the certificate was changed",
            Self::Opening => "it is not about the customer that the file names",
            Self::Events => "what it says of the erasure's steps does not fit together",
            Self::Log => "the proof that the audit log holds the erasure does not hold",
        })
    }
}

/// Checks the bytes of a certificate's file; one line feed at their end is
/// allowed.
pub fn verify(file: &[u8], key: &PublicKey) -> Result<Verified, Doubt> {
    let bytes = file.strip_suffix(b"\n").unwrap_or(file);
    if bytes.len() > FILE_BYTES {
        return Err(Doubt::NotACertificate);
    }
    let signed: Signed = serde_json::from_slice(bytes).map_err(|_| Doubt::NotACertificate)?;
    if canonical(&signed).ok().as_deref() != Some(bytes) {
        return Err(Doubt::NotCanonical);
    }
    if signed.key != key.to_string() {
        return Err(Doubt::OtherKey);
    }
    let mut signature = [0; 64];
    let is_hex = hex::decode_to_slice(&signed.signature, &mut signature).is_ok();
    let message = signed_bytes(&signed.certificate).map_err(|_| Doubt::NotACertificate)?;
    if !is_hex
        || hex::encode(signature) != signed.signature
        || key.verify(&message, &signature).is_err()
    {
        return Err(Doubt::Signature);
    }
    if signed.certificate.form != FORM {
        return Err(Doubt::NotACertificate);
    }
    let fits = |opening: &Opening| opening.fits(&signed.certificate);
    if !signed.opening.as_ref().is_none_or(fits) {
        return Err(Doubt::Opening);
    }
    steps(&signed)?;
    let certificate = &signed.certificate;
    let is_proven = match &certificate.log {
        Some(log) => proof::holds(log, certificate),
        // Right after the shred no checkpoint covers it yet.
        None => certificate.level < Reached::Closed,
    };
    let are_proven = certificate.parts.iter().all(|part| match &part.log {
        Some(log) => proof::holds_part(log, part),
        None => part.level < Reached::Closed,
    });
    if !(is_proven && are_proven) {
        return Err(Doubt::Log);
    }
    Ok(Verified { signed })
}

/// Every level up to the one reached has its event, in order; the last is
/// reached when the epoch is destroyed, and not before.
fn steps(signed: &Signed) -> Result<(), Doubt> {
    let certificate = &signed.certificate;
    let fits = certificate.parts.iter().all(part_fits)
        && match certificate.level {
            Reached::Restricted => is_in_part(certificate),
            _ => is_whole(certificate),
        };
    if fits { Ok(()) } else { Err(Doubt::Events) }
}

/// Something is held and something is gone; nothing is said of the end.
fn is_in_part(certificate: &Certificate) -> bool {
    let mut levels = certificate.events.iter().map(|event| event.level);
    levels.all(|level| level == Reached::Restricted)
        && certificate.events.len() == 1
        && !certificate.parts.is_empty()
        && certificate.keys.is_empty()
        && certificate.fingerprint.is_empty()
        && certificate.log.is_none()
        && !certificate.epoch.destroyed
}

/// What was erased in part is deleted, and final with its epoch and not before.
fn part_fits(part: &Part) -> bool {
    let is_closed = part.level == Reached::Closed;
    part.level >= Reached::Purged && is_closed == part.epoch.destroyed && part.keys > 0
}

fn is_whole(certificate: &Certificate) -> bool {
    let told = certificate.events.iter().map(|event| event.level);
    let reached = Reached::STEPS.into_iter();
    let all_told = told.eq(reached.take_while(|level| *level <= certificate.level));
    let in_order = certificate.events.is_sorted_by_key(|event| &event.day);
    let is_closed = certificate.level == Reached::Closed;
    let is_purged = certificate.records.purged >= certificate.records.there_were;
    let mut parts = certificate.parts.iter();
    let are_closed = parts.all(|part| part.level == Reached::Closed);
    all_told
        && in_order
        && is_closed == certificate.epoch.destroyed
        && (are_closed || !is_closed)
        && !certificate.keys.is_empty()
        && (is_purged || certificate.level < Reached::Purged)
}
