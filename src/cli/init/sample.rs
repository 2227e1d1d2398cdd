//! The rules of `examples/crm`, inside the program, so that `init` and
//! `quickstart` work from any directory.

/// Paths under `examples/crm` and their contents.
pub const CRM: &[(&str, &str)] = &[];
