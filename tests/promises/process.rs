//! A server as a process of its own.

use crate::place::{LONG, Place};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;

/// A running process; killed when this is dropped, and it ends when this
/// process does, because its stdin closes.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Where a process of `place` logs.
pub fn log_file(place: &Place) -> PathBuf {
    place.path().join("server.log")
}

fn serve(place: &Place, metrics: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oubliette"));
    command
        .args(["serve", "--until-stdin-closes", "--listen", "127.0.0.1:0"])
        .args(["--metrics", metrics, "--dir"])
        .arg(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Process {
    /// Starts a server whose metrics nobody asks for.
    pub fn start(place: &Place) -> Self {
        Self::with_metrics(place, "127.0.0.1:0")
    }

    /// Starts a server.
    pub fn with_metrics(place: &Place, metrics: &str) -> Self {
        Self::spawn(place, serve(place, metrics))
    }

    /// Starts a server in an environment with more in it.
    pub fn within(place: &Place, more: &[(&str, &OsStr)]) -> Self {
        let mut command = serve(place, "127.0.0.1:0");
        command.envs(more.iter().copied());
        Self::spawn(place, command)
    }

    fn spawn(place: &Place, mut command: Command) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_file(place))
            .expect("a log");
        let mut child = command.stderr(log).spawn().expect("a process");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        let _read = BufReader::new(stdout).read_line(&mut line);
        let address = line.trim().strip_prefix("listening on ");
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _killed = child.kill();
            let _waited = child.wait();
            let said = std::fs::read_to_string(log_file(place)).unwrap_or_default();
            panic!("the server did not start; it said:\n{said}");
        };
        Self { child, address }
    }

    /// A start that must fail: how it ended and what it said.
    pub fn refused(place: &Place) -> Output {
        let mut command = serve(place, "127.0.0.1:0");
        let mut child = command.stderr(Stdio::piped()).spawn().expect("a process");
        // Kept open, so that it is not why the process ends.
        let stdin = child.stdin.take();
        let begun = Instant::now();
        while child.try_wait().expect("a child").is_none() {
            if begun.elapsed() > LONG {
                let _killed = child.kill();
                break;
            }
            std::thread::yield_now();
        }
        drop(stdin);
        child.wait_with_output().expect("its output")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }

    /// SIGHUP: it looks at its configuration at once.
    pub fn hangs_up(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Lets it drain and end.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        let ended = self.child.wait().expect("a child");
        assert!(ended.success(), "{ended}");
    }

    /// How it ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the endpoint of metrics says.
pub fn metrics(address: SocketAddr) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    text
}
