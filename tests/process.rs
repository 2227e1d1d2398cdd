//! What changes the whole process, in a process of its own.

// Tests may fail loudly, their helpers too.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use oubliette::authn::Caller;
use oubliette::config::{Level, Log, LogFormat};
use oubliette::id::{ServiceName, TenantName};
use oubliette::limits;
use oubliette::metrics::Metrics;
use oubliette::serve::harden::{harden, is_hardened};
use oubliette::serve::listener::{Bounds, Listener, Security};
use oubliette::serve::telemetry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;

/// Each test changes what the others would see.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_hardened_process_dumps_no_core_and_writes_only_for_itself() {
    let _alone = alone();
    assert!(!is_hardened());
    harden().expect("the system allows it");
    assert!(is_hardened());
    let status = fs::read_to_string("/proc/self/limits").expect("limits");
    let core = status
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.expect("a line").split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("written");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).expect("there"));
    assert_eq!(mode & 0o777, 0o600);
}

/// The child's half of the test below.
#[test]
fn panics_when_told_to() {
    if std::env::var_os("OUBLIETTE_TEST_PANIC").is_none() {
        return;
    }
    let log = Log {
        format: LogFormat::Json,
        level: Level::Info,
    };
    telemetry::start(&log).expect("a log");
    telemetry::start(&log).expect_err("a second log");
    let panicked = std::thread::spawn(|| panic!("the value was {}", "hunter2")).join();
    panicked.expect_err("it panicked");
}

#[test]
fn a_panic_is_logged_by_its_place_and_never_by_its_message() {
    let _alone = alone();
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "panics_when_told_to", "--nocapture"])
        .env("OUBLIETTE_TEST_PANIC", "1")
        .output()
        .expect("it runs");
    assert!(child.status.success());
    let log = String::from_utf8(child.stderr).expect("UTF-8");
    let line = log
        .lines()
        .find(|line| line.contains("panicked"))
        .expect(&log);
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "ERROR");
    assert!(
        line["place"]
            .as_str()
            .is_some_and(|p| p.starts_with("tests/process.rs:"))
    );
    assert!(!log.contains("hunter2"), "{log}");
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(20), future).await;
    done.unwrap_or_else(|_| panic!("never so: {what}"))
}

#[test]
fn a_want_of_descriptors_makes_the_accept_loop_wait_and_not_spin() {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run_out_of_descriptors());
}

async fn run_out_of_descriptors() {
    let names = (TenantName::parse("acme"), ServiceName::parse("desk"));
    let caller = Caller::assumed(names.0.expect("a tenant"), names.1.expect("a service"));
    let metrics = Arc::new(Metrics::new());
    let any_port = "127.0.0.1:0".parse().expect("an address");
    let security = Security::Plaintext(caller);
    let listener = Listener::bind(any_port, security, Bounds::default(), metrics.clone()).await;
    let listener = listener.expect("a socket");
    let address = listener.address();
    let mut incoming = listener.start();
    let mut accepted = Vec::new();

    let open = fs::read_dir("/proc/self/fd").expect("descriptors").count();
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(u64::try_from(open).expect("few") + 8),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, few).expect("fewer descriptors");
    // Each connection takes one here and one there, until there are none.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(address).await {
        clients.push(client);
    }
    let failures = || metrics.accept_failures.get();
    let reach = async |count: u64| {
        while failures() < count {
            tokio::task::yield_now().await;
        }
    };
    within("accept fails", reach(1)).await;
    let begun = Instant::now();
    let first = failures();
    within("accept fails again and again", reach(first + 4)).await;
    // Pauses grow twofold from ACCEPT_PAUSE on: four of them come to at least
    // fifteen, less the part of the first that has passed. A loop that spins
    // needs microseconds.
    assert!(begun.elapsed() >= limits::ACCEPT_PAUSE * 10, "it spins");

    setrlimit(Resource::Nofile, limit).expect("as before");
    let wanted = clients.len();
    while accepted.len() < wanted {
        accepted.push(within("those who waited are let in", incoming.next()).await);
    }
    assert!(accepted.iter().all(|c| matches!(c, Some(Ok(_)))));
}
