//! The file provider.

use crate::suite::conforms;
use oubliette::keys::file::FileProvider;
use std::sync::Arc;

#[test]
fn files_conform() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    conforms(
        || Arc::new(FileProvider::new(&keys).expect("a provider")),
        false,
    );
}
