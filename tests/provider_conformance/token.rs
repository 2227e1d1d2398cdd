//! A SoftHSM2 token in a directory of the test. SoftHSM2 takes its directory
//! from the environment, so that only a process of its own can use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// Where SoftHSM2's configuration is told.
pub const CONF: &str = "SOFTHSM2_CONF";

/// SoftHSM2's library.
pub fn module() -> Option<PathBuf> {
    MODULES
        .map(PathBuf::from)
        .into_iter()
        .find(|at| at.exists())
}

/// Writes a file for its owner alone.
pub fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("0600");
}

/// Makes a token `oubliette` in `dir`, and `dir/pin`; answers the value of
/// [`CONF`], or nothing where SoftHSM2 is not installed, which CI must have.
pub fn make(dir: &Path) -> Option<PathBuf> {
    let Some(module) = module() else {
        assert!(std::env::var_os("CI").is_none(), "SoftHSM2 is missing");
        eprintln!("not run: install softhsm2");
        return None;
    };
    let tokens = dir.join("tokens");
    fs::create_dir(&tokens).expect("a directory");
    let conf = dir.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&conf, text).expect("a configuration");
    private(&dir.join("pin"), "123456\n");
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "oubliette"])
        .args(["--so-pin", "654321", "--pin", "123456", "--module"])
        .arg(module)
        .env(CONF, &conf)
        .output()
        .expect("softhsm2-util");
    let why = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{why}");
    Some(conf)
}

/// The table that configures it.
pub fn table(dir: &Path) -> String {
    format!(
        "kind = \"pkcs11\"\nmodule = \"{}\"\ntoken = \"oubliette\"\npin = \"{}\"\n",
        module().expect("SoftHSM2").display(),
        dir.join("pin").display()
    )
}
