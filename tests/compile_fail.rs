//! What must not compile: a permit cannot be forged, copied or used twice, a
//! grant and a principal cannot be made elsewhere, secrets cannot be printed
//! or copied. Each file of `tests/compile_fail` names in its first line the
//! one error that the compiler must give; `control.rs` must compile, so that a
//! broken set-up cannot pass for a success.
//!
//! The compiler is called directly with the library that this test is linked
//! to, in the same profile: nothing is built a second time.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where this test and the libraries it is linked to lie.
fn libraries() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The library as it was built last: cargo has just done so for this test.
fn library() -> PathBuf {
    let built = fs::read_dir(libraries())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.starts_with("liboubliette-") && name.ends_with(".rlib")
    };
    let newest = built
        .filter(is_library)
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.expect("cargo test builds the library beside the tests")
}

/// The codes of the errors that the compiler finds in a file.
fn errors(file: &Path) -> (bool, Vec<String>, String) {
    let out = tempfile::tempdir().unwrap();
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .args(["--error-format", "short", "--cap-lints", "allow"])
        .arg("--out-dir")
        .arg(out.path())
        .arg("-L")
        .arg(format!("dependency={}", libraries().display()))
        .arg("--extern")
        .arg(format!("oubliette={}", library().display()))
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let codes = text
        .split("error[")
        .skip(1)
        .filter_map(|rest| rest.split(']').next());
    (
        output.status.success(),
        codes.map(str::to_owned).collect(),
        text,
    )
}

#[test]
fn what_must_not_compile_does_not() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! error: "));
        let (compiled, found, output) = errors(&file);
        match expected {
            None => {
                assert!(
                    file.ends_with("control.rs"),
                    "{}: no expected error",
                    file.display()
                );
                assert!(compiled, "{output}");
            }
            Some(code) => {
                assert!(!compiled, "{} compiles", file.display());
                assert_eq!(found, [code], "{}\n{output}", file.display());
            }
        }
    }
}
