//! What README.md tells people to type works: commands and flags exist, and a
//! piece of an example is a piece of the file that the tests run.
//!
//! A fenced block after `<!-- from PATH -->` must stand in PATH as it is.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const OUBLIETTE: &str = env!("CARGO_BIN_EXE_oubliette");

/// One fenced block: the line before it, its language, what it holds.
struct Block {
    mark: String,
    language: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blocks() -> Vec<Block> {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let (mut found, mut open, mut before) = (Vec::new(), None::<Block>, String::new());
    for line in readme.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    mark: std::mem::take(&mut before),
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) if !line.trim().is_empty() => line.clone_into(&mut before),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "README.md leaves a block open");
    assert!(found.len() >= 2, "README.md has blocks");
    found
}

/// The arguments of each `oubliette` command in the shell blocks.
fn commands() -> Vec<Vec<String>> {
    let shell =
        |block: &Block| ["sh", "shell", "bash", "console"].contains(&block.language.as_str());
    let text: String = blocks()
        .into_iter()
        .filter(shell)
        .map(|block| block.text)
        .collect();
    let whole = text.replace("\\\n", " ");
    let starts = [
        "oubliette ",
        "target/release/oubliette ",
        "cargo run --release -- ",
    ];
    let lines = whole
        .lines()
        .map(|line| line.trim().trim_start_matches("$ "));
    lines
        .filter_map(|line| starts.iter().find_map(|start| line.strip_prefix(start)))
        .map(|line| {
            let line = line
                .split(['#', '|', '&', '>', ';'])
                .next()
                .unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn every_command_and_flag_in_the_readme_exists() {
    let commands = commands();
    assert!(!commands.is_empty(), "README.md shows commands");
    for command in commands {
        let words = command.iter().take_while(|word| !word.starts_with('-'));
        let help = Command::new(OUBLIETTE)
            .args(words)
            .arg("--help")
            .stdin(Stdio::null())
            .output()
            .expect("oubliette runs");
        let line = command.join(" ");
        assert!(help.status.success(), "README.md: oubliette {line}");
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        for flag in command.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().expect("a name");
            let known = help
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .any(|word| word == flag);
            assert!(
                known,
                "README.md: oubliette {line}: no {flag} in its --help"
            );
        }
    }
}

/// What README.md tells people to type after the two commands, typed in a
/// directory that has `examples/`, beside the server that it starts.
#[test]
fn what_the_readme_types_works_from_top_to_bottom() {
    let dir = tempfile::tempdir().expect("a directory");
    let crm = dir.path().join("examples/crm");
    fs::create_dir_all(&crm).expect("made");
    let csv = "customers.csv";
    fs::copy(root().join("examples/crm").join(csv), crm.join(csv)).expect("copied");
    let first = |line: &str| line == "<!-- typed first -->";
    let (begin, rest): (Vec<Block>, Vec<Block>) = blocks()
        .into_iter()
        .filter(|block| block.mark.starts_with("<!-- typed"))
        .partition(|block| first(&block.mark));
    assert_eq!((begin.len(), rest.len()), (1, 2));
    let (init, serve) = begin[0].text.trim().split_once('\n').expect("two lines");
    type_in(dir.path(), init);
    let serve: Vec<&str> = serve.split(' ').skip(1).collect();
    let mut server = Command::new(OUBLIETTE)
        .args(serve)
        .args([
            "--until-stdin-closes",
            "--listen",
            "127.0.0.1:0",
            "--metrics",
            "127.0.0.1:0",
        ])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a server");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("stdout");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert!(line.starts_with("listening on "), "{line}");
    for block in rest {
        type_in(dir.path(), &block.text);
    }
    drop(server.stdin.take());
    assert!(server.wait().expect("it ends").success());
}

fn type_in(dir: &Path, text: &str) {
    let own = Path::new(OUBLIETTE)
        .parent()
        .expect("a directory")
        .display();
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Command::new("bash")
        .args(["-e", "-c", text])
        .env("PATH", format!("{own}:{path}"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{text}\n{said}");
}

#[test]
fn pieces_of_examples_are_what_the_tests_run() {
    for block in blocks() {
        let Some(path) = block.mark.trim().strip_prefix("<!-- from ") else {
            continue;
        };
        let path = path.strip_suffix(" -->").expect("<!-- from PATH -->");
        let file = fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("README.md: {path}: {error}"));
        assert!(
            file.contains(&block.text),
            "README.md: a block is not in {path} as it is"
        );
    }
}

#[test]
fn the_two_commands_are_marked() {
    for (which, command) in [
        ("first", "cargo run --release -- quickstart"),
        ("second", "tests/run"),
    ] {
        let output = Command::new(root().join("tests/readme_command"))
            .arg(which)
            .stdin(Stdio::null())
            .output()
            .expect("tests/readme_command runs");
        assert!(
            output.status.success(),
            "README.md marks no {which} command"
        );
        let marked = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(marked.trim(), command);
    }
}
