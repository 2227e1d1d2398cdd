//! A PIN, a token or a passphrase in a file of its own: 0600, one line.

use crate::error::{Error, Result};
use crate::limits;
use crate::secret::SecretText;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the one line in `path`, without its line end; refuses a file that
/// others may read. `what` names it for people: "the PIN of the token".
pub fn secret_in(path: &Path, what: &str) -> Result<SecretText> {
    let text = private_text(path, what)?;
    let line = text.trim_end_matches(['\n', '\r']);
    if line.is_empty() || line.contains('\n') {
        return Err(refused(path, what, "it must be one line and nothing else"));
    }
    Ok(SecretText::new(line.to_owned()))
}

/// Reads the text in `path`; refuses a file that others may read.
pub(super) fn private_text(path: &Path, what: &str) -> Result<Zeroizing<String>> {
    let refused = |why: &str| refused(path, what, why);
    let file = File::open(path).map_err(|why| refused(&why.kind().to_string()))?;
    let mode = file
        .metadata()
        .map_err(|why| refused(&why.kind().to_string()))?;
    if mode.permissions().mode() & 0o077 != 0 {
        let cure = format!("others can read it; run: chmod 600 {}", path.display());
        return Err(refused(&cure));
    }
    let most = usize::try_from(limits::PROVIDER_SECRET_BYTES).unwrap_or(usize::MAX);
    let mut text = Zeroizing::new(String::with_capacity(most.saturating_add(1)));
    file.take(limits::PROVIDER_SECRET_BYTES)
        .read_to_string(&mut text)
        .map_err(|_| refused("it is not text"))?;
    Ok(text)
}

fn refused(path: &Path, what: &str, why: &str) -> Error {
    let path = path.display();
    Error::Setup(format!("{what} cannot be read from {path}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_secret_is_one_line_of_a_file_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        fs::write(&path, "12 34\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let pin = |path: &Path| secret_in(path, "the PIN").map(|pin| pin.expose().to_owned());
        assert_eq!(pin(&path).as_deref(), Ok("12 34"));
        for bad in ["", "\n", "one\ntwo\n"] {
            fs::write(&path, bad).unwrap();
            assert!(pin(&path).is_err());
        }
        fs::write(&path, "1234").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let text = pin(&path).unwrap_err().to_string();
        assert!(
            text.contains("chmod 600") && !text.contains("1234"),
            "{text}"
        );
    }
}
