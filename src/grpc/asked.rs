//! What every read asks for, and its decision.

use super::call::Guarded;
use crate::access::{Grant, Read, ReadAsk, ReadMode, ReadTarget};
use crate::error::{Error, Result, Violation};
use crate::pb;

/// The mode of a read; a value that this server does not know is refused
/// rather than taken for another.
fn mode_of(mode: i32) -> Result<ReadMode> {
    match pb::ReadMode::try_from(mode) {
        Ok(pb::ReadMode::Unspecified | pb::ReadMode::AllOrNothing) => Ok(ReadMode::AllOrNothing),
        Ok(pb::ReadMode::WhatIMaySee) => Ok(ReadMode::WhatIMaySee),
        Err(_) => Err(Error::invalid(Violation::new(
            "mode",
            "must be a mode that this server knows",
        ))),
    }
}

/// What a read asks for, but for its target.
pub struct Asked<'a> {
    /// The record type's name.
    pub record_type: &'a str,
    /// The purpose's name.
    pub purpose: &'a str,
    /// The fields' names.
    pub fields: &'a [String],
    /// The mode, as on the wire.
    pub mode: i32,
    /// Whether the handle is asked for.
    pub with_handle: bool,
}

impl Asked<'_> {
    /// Decides the read of a target.
    pub fn grant(&self, guarded: &Guarded, target: ReadTarget) -> Result<Grant<Read>> {
        let ask = ReadAsk {
            target,
            record_type: self.record_type,
            purpose: self.purpose,
            fields: self.fields,
            mode: mode_of(self.mode)?,
            with_handle: self.with_handle,
            today: guarded.today,
        };
        guarded.rules.read(&guarded.principal, ask)
    }
}
