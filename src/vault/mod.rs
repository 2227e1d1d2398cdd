//! The use cases, one file each. They take a grant or a permit, never a bare
//! name, and what they open leaves only as [`crate::audit::Recorded`].

mod index;
mod keyring;
