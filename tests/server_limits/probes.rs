//! The port for operators.

use oubliette::limits;
use oubliette::metrics::Metrics;
use oubliette::serve::probes::Probes;
use oubliette::serve::readiness::{Readiness, State};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> (SocketAddr, Arc<Metrics>, Arc<Readiness>) {
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::new(Vec::new(), metrics.clone()).await);
    let any_port = "127.0.0.1:0".parse().expect("an address");
    let probes = Probes::bind(any_port, metrics.clone(), readiness.clone()).await;
    let probes = probes.expect("a socket");
    let address = probes.address();
    tokio::spawn(probes.run());
    (address, metrics, readiness)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("TCP");
    let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn readiness_and_life_are_told_apart() {
    let (address, _, readiness) = start().await;
    let status = async |path: &str| {
        let answer = ask(address, &format!("GET {path}")).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let code = head.split(' ').nth(1).expect("a code").to_owned();
        (code, body.to_owned())
    };
    let said = |code: &str, body: &str| (code.to_owned(), body.to_owned());
    assert_eq!(status("/healthz").await, said("200", "alive\n"));
    assert_eq!(status("/readyz").await, said("503", "starting\n"));
    readiness.set(State::Ready).await;
    assert_eq!(status("/readyz").await, said("200", "ready\n"));
    readiness.set(State::Impaired("disk_full")).await;
    assert_eq!(status("/readyz").await, said("503", "disk_full\n"));
    readiness.set(State::Draining).await;
    assert_eq!(status("/readyz").await, said("503", "draining\n"));
    assert_eq!(status("/healthz").await, said("200", "alive\n"));
    assert_eq!(status("/../etc/passwd").await.0, "404");
}

#[tokio::test]
async fn metrics_are_served_and_nothing_can_be_posted() {
    let (address, metrics, _) = start().await;
    metrics.accept_failures.inc();
    let answer = ask(address, "GET /metrics").await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.contains("\noubliette_accept_failures_total 1\n"));
    assert!(answer.ends_with("# EOF\n"));
    assert!(
        ask(address, "POST /metrics")
            .await
            .starts_with("HTTP/1.1 405")
    );
}

#[tokio::test]
async fn silent_connections_do_not_keep_the_probes_from_answering() {
    let (address, _, _) = start().await;
    let mut silent = Vec::new();
    for _ in 0..limits::PROBE_CONNECTIONS {
        silent.push(TcpStream::connect(address).await.expect("TCP"));
    }
    let answer = tokio::time::timeout(limits::PROBE_TIME * 3, ask(address, "GET /healthz")).await;
    assert!(answer.expect("in time").contains("alive"));
    drop(silent);
}
