//! The file provider.

use crate::suite::conforms;
use oubliette::keys::file::FileProvider;

#[test]
fn files_conform() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    conforms(
        || Box::new(FileProvider::new(&keys).expect("a provider")),
        false,
    );
}
