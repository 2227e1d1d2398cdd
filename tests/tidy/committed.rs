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
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "Cargo.lock",
    concat!("registry+https://github.com/rust-lang/crates", ".io-index"),
    "cargo's name of the default registry, whichever mirror serves it",
)];

/// Every tracked or new file; `None` outside a git checkout.
fn committed() -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let files: Vec<String> = names
        .split_terminator('\0')
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    (output.status.success() && !files.is_empty()).then_some(files)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[test]
fn nothing_committed_names_a_registry_or_a_machine() {
    // An archive of a release has no git; what it holds was checked in CI.
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
