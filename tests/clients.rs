//! Strangers' clients: the examples in Rust, Python and Node, run as they are
//! against a server of their own. What they know of the vault is `proto/` and
//! the certificates that `oubliette init` made.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

#[path = "../examples/client.rs"]
#[allow(dead_code)]
mod client;

const OUBLIETTE: &str = env!("CARGO_BIN_EXE_oubliette");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// A server on a free port with a directory of its own; ends with the value.
struct Server {
    directory: TempDir,
    address: String,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let status = Command::new(OUBLIETTE)
            .args([
                "init",
                "--listen",
                "127.0.0.1:0",
                "--metrics",
                "127.0.0.1:0",
            ])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("oubliette runs");
        assert!(status.success(), "oubliette init: {status}");
        let mut process = Command::new(OUBLIETTE)
            .args(["serve", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("oubliette runs");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let Some(address) = address else {
            let end = process.wait();
            panic!("the server ended before it listened: {end:?}");
        };
        Self {
            directory,
            address,
            process,
        }
    }

    /// Runs a client program against this server.
    fn run(&self, interpreter: &str, program: &str) -> ExitStatus {
        Command::new(interpreter)
            .arg(Path::new(REPOSITORY).join(program))
            .arg(&self.address)
            .arg("--dir")
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .status()
            .expect("the interpreter runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The interpreter that `tests/run` found; it says at its end which were
/// missing, and so does this for whoever runs the test alone.
fn interpreter(variable: &str) -> Option<String> {
    let found = env::var(variable).ok().filter(|path| !path.is_empty());
    if found.is_none() {
        eprintln!("not run: {variable} is not set; tests/run sets it");
    }
    found
}

#[tokio::test]
async fn a_client_in_rust_puts_reads_is_denied_and_erases() {
    let server = Server::start();
    client::run(&server.address, server.directory.path())
        .await
        .expect("every step of examples/client.rs holds");
}

#[test]
fn a_client_in_python_puts_reads_is_denied_and_erases() {
    let Some(python) = interpreter("OUBLIETTE_TEST_PYTHON") else {
        return;
    };
    let status = Server::start().run(&python, "examples/clients/python/client.py");
    assert!(status.success(), "client.py: {status}");
}

#[test]
fn a_client_in_node_puts_reads_is_denied_and_erases() {
    let Some(node) = interpreter("OUBLIETTE_TEST_NODE") else {
        return;
    };
    let status = Server::start().run(&node, "examples/clients/node/client.mjs");
    assert!(status.success(), "client.mjs: {status}");
}

/// A client that passed without a server would prove nothing.
#[test]
fn a_client_without_a_server_fails() {
    let directory = TempDir::new().expect("a temporary directory");
    let outcome = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(client::run("127.0.0.1:1", directory.path()));
    assert!(outcome.is_err());
    assert!(fs::read_dir(directory.path()).is_ok_and(|mut files| files.next().is_none()));
}
