//! What the process asks of the system before it holds a secret: no core dump,
//! no debugger of the same user, no file that others can read.

use crate::error::{Error, Result};
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Sets `RLIMIT_CORE` to 0 for good, `PR_SET_DUMPABLE` to 0 and the umask to
/// 077. Whoever is root can still read this process's memory; see
/// THREAT_MODEL.md.
///
/// # Errors
/// [`Error::Setup`] when the system refuses.
pub fn harden() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let refused = |what: &str| {
        Error::Setup(format!(
            "the system refuses {what}, so a crash could write keys to disk; \
             allow it in the service manager or the container's profile"
        ))
    };
    rustix::process::setrlimit(Resource::Core, none).map_err(|_| refused("RLIMIT_CORE=0"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|_| refused("PR_SET_DUMPABLE=0"))?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// Whether [`harden`] holds: what the tests and `config check` ask.
pub fn is_hardened() -> bool {
    let core = rustix::process::getrlimit(Resource::Core);
    core.current == Some(0)
        && core.maximum == Some(0)
        && rustix::process::dumpable_behavior() == Ok(DumpableBehavior::NotDumpable)
}
