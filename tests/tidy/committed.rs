//! What may be committed: no file too long to read, and nothing that names the
//! machine or the registry that it was written with.

use crate::none;
use crate::source::root;
use std::fs;
use std::process::{Command, Stdio};

/// Longest Rust file, in lines.
const LINES: usize = 600;

/// Names that must not be committed, in two halves so that this file passes.
const FOREIGN: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("registry.npm", "js.org"),
    ("registry.yarn", "pkg.com"),
    ("py", "pi.org"),
    ("files.python", "hosted.org"),
    ("proxy.go", "lang.org"),
    ("deb.deb", "ian.org"),
    ("arti", "factory"),
    ("/wo", "rk/"),
    ("/ro", "ot/"),
];

/// (file, what it names, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("Cargo.lock", LOCKED, "cargo's name of the default registry"),
    (
        "fuzz/Cargo.lock",
        LOCKED,
        "cargo's name of the default registry",
    ),
];
/// What cargo writes for the default registry, whichever mirror serves it.
const LOCKED: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Every tracked or new file; `None` in an archive of a release, whose content
/// was checked when it was made.
fn committed() -> Option<Vec<String>> {
    if !root().join(".git").exists() {
        eprintln!("not run: this is no git checkout");
        return None;
    }
    // The checkout may belong to somebody else.
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("git runs");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git: {problem}");
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    let files: Vec<String> = names
        .split_terminator('\0')
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    assert!(files.len() > 30, "the files were found");
    Some(files)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[test]
fn nothing_committed_names_a_registry_or_a_machine() {
    let Some(files) = committed() else {
        return;
    };
    let mut findings = Vec::new();
    for file in files {
        let mut bytes = fs::read(root().join(&file)).expect("a readable file");
        for (_, meant, _) in EXCEPTIONS.iter().filter(|(exempt, _, _)| *exempt == file) {
            let text = String::from_utf8(bytes).expect("UTF-8");
            bytes = text.replace(meant, "").into_bytes();
        }
        for (left, right) in FOREIGN {
            let name = format!("{left}{right}");
            if contains(&bytes, &name) {
                findings.push(format!("{file}: {name}"));
            }
        }
    }
    none(&findings, "what is committed is at home everywhere");
}

#[test]
fn no_file_is_too_long_to_read() {
    let Some(files) = committed() else {
        return;
    };
    let findings: Vec<String> = files
        .into_iter()
        .filter(|file| file.ends_with(".rs"))
        .filter_map(|file| {
            let text = fs::read_to_string(root().join(&file)).expect("UTF-8");
            let lines = text.lines().count();
            (lines > LINES).then(|| format!("{file}: {lines} lines"))
        })
        .collect();
    none(&findings, "no Rust file is over 600 lines");
}
