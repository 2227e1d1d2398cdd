//! For how long, and how many.

use crate::place::{Pki, Running};
use crate::raw::{settings, tls_stream, until_closed};
use oubliette::limits;
use oubliette::serve::listener::Bounds;
use oubliette::serve::server::Times;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;

#[tokio::test]
async fn a_slow_handshake_is_cut_and_holds_nobody_up() {
    let pki = Pki::new();
    let bounds = Bounds {
        handshake_time: Duration::from_secs(2),
        ..Bounds::default()
    };
    let server = Running::with(&pki, bounds).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.expect("TCP");
    let mut trickling = TcpStream::connect(server.address).await.expect("TCP");
    trickling.write_all(&[22, 3, 1]).await.expect("sent");
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("not held up");
    assert_eq!(server.refused("handshake_slow"), 0, "they are still there");
    until_closed(&mut silent).await;
    until_closed(&mut trickling).await;
    assert!(begun.elapsed() >= bounds.handshake_time);
    assert_eq!(server.refused("handshake_slow"), 2);
    assert_eq!(server.metrics.connections.get(), 1, "only the good one");
}

#[tokio::test]
async fn handshakes_over_their_bound_wait_their_turn() {
    let pki = Pki::new();
    let bounds = Bounds {
        handshakes: 1,
        handshake_time: Duration::from_millis(300),
        ..Bounds::default()
    };
    let server = Running::with(&pki, bounds).await;
    let begun = Instant::now();
    let _silent = TcpStream::connect(server.address).await.expect("TCP");
    server
        .until("the silent one is in", |s| s.metrics.connections.get() == 1)
        .await;
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("served in the end");
    assert!(begun.elapsed() >= bounds.handshake_time, "it waited");
    assert_eq!(server.refused("handshake_slow"), 1);
}

#[tokio::test]
async fn a_connection_that_never_speaks_http_2_is_cut() {
    let bounds = Bounds {
        preface_time: Duration::from_millis(200),
        ..Bounds::default()
    };
    let pki = Pki::new();
    let server = Running::with(&pki, bounds).await;
    let begun = Instant::now();
    let mut stream = tls_stream(server.address, &pki).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.expect("sent");
    until_closed(&mut stream).await;
    assert!(begun.elapsed() >= bounds.preface_time);
    server
        .until("its place is free", |s| s.metrics.connections.get() == 0)
        .await;
}

#[tokio::test]
async fn a_connection_over_the_bound_is_closed_at_once_and_a_free_place_is_given() {
    let pki = Pki::new();
    let bounds = Bounds {
        connections: 2,
        ..Bounds::default()
    };
    let server = Running::with(&pki, bounds).await;
    let first = tls_stream(server.address, &pki).await;
    let mut second = server.client(&pki, Some(pki.client())).await;
    second.call().await.expect("the second place");
    let mut third = TcpStream::connect(server.address).await.expect("TCP");
    assert_eq!(until_closed(&mut third).await, 0);
    assert_eq!(server.refused("full"), 1);
    drop(first);
    server
        .until("a place is free", |s| s.metrics.connections.get() == 1)
        .await;
    let mut fourth = server.client(&pki, Some(pki.client())).await;
    fourth.call().await.expect("the free place");
}

#[test]
fn the_bounds_of_the_server_are_those_of_limits() {
    let expected = Bounds {
        connections: limits::CONNECTIONS,
        handshakes: limits::HANDSHAKES,
        handshake_time: limits::HANDSHAKE_TIME,
        preface_time: limits::PREFACE_TIME,
    };
    assert_eq!(Bounds::default(), expected);
    let expected = Times {
        keepalive_interval: limits::KEEPALIVE_INTERVAL,
        keepalive_timeout: limits::KEEPALIVE_TIMEOUT,
        drain: limits::DRAIN_TIME,
    };
    assert_eq!(Times::default(), expected);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_ping_is_closed_and_one_that_does_is_not() {
    let times = Times {
        keepalive_interval: Duration::from_millis(200),
        keepalive_timeout: Duration::from_secs(1),
        ..Times::default()
    };
    let server = Running::plain(Bounds::default(), times).await;
    let mut silent = TcpStream::connect(server.address).await.expect("TCP");
    let begun = Instant::now();
    assert!(!settings(&mut silent).await.is_empty());
    let endpoint = format!("http://{}", server.address);
    let endpoint = tonic::transport::Endpoint::from_shared(endpoint).expect("an endpoint");
    let _answers = endpoint.connect().await.expect("a connection");
    until_closed(&mut silent).await;
    assert!(begun.elapsed() >= times.keepalive_interval + times.keepalive_timeout);
    server
        .until("one is left", |s| s.metrics.connections.get() == 1)
        .await;
}

#[tokio::test]
async fn headers_over_their_bound_are_refused() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let mut client = server.client(&pki, Some(pki.client())).await;
    let bound = usize::try_from(limits::HEADER_BYTES).expect("small");
    for (length, fits) in [(bound / 2, true), (bound + 1, false)] {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        let value = "x".repeat(length).parse().expect("ASCII");
        request.metadata_mut().insert("x-long", value);
        let reply = client.0.check(request).await;
        assert_eq!(reply.is_ok(), fits, "{length}: {reply:?}");
    }
    assert_eq!(server.callers.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn the_settings_of_http_2_are_those_of_limits() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let settings = settings(tls_stream(server.address, &pki).await).await;
    // RFC 9113, 6.5.2.
    for (identifier, value) in [
        (3, limits::STREAMS_PER_CONNECTION),
        (4, limits::STREAM_WINDOW_BYTES),
        (5, limits::FRAME_BYTES),
        (6, limits::HEADER_BYTES),
    ] {
        assert!(
            settings.contains(&(identifier, value)),
            "{identifier} is not {value} in {settings:?}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_resets_its_streams_at_once_is_sent_away() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let mut stream = tls_stream(server.address, &pki).await;
    let mut attack = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let streams = u32::try_from(limits::PENDING_RESETS).expect("few") * 4;
    for number in 0..streams {
        let id = (2 * number + 1).to_be_bytes();
        // HEADERS of ":method POST, :scheme https, :path /" (RFC 7541, A), then
        // RST_STREAM CANCEL: a rapid reset (CVE-2023-44487).
        attack.extend([0, 0, 3, 1, 4]);
        attack.extend(id);
        attack.extend([0x83, 0x87, 0x84]);
        attack.extend([0, 0, 4, 3, 0]);
        attack.extend(id);
        attack.extend([0, 0, 0, 8]);
    }
    // It may be cut while it is still writing.
    let _ = stream.write_all(&attack).await;
    until_closed(&mut stream).await;
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("the others are served");
}

#[tokio::test]
async fn a_taken_port_is_refused_with_its_cure() {
    let server = Running::plain(Bounds::default(), Times::default()).await;
    let (readiness, metrics) = (server.readiness.clone(), server.metrics.clone());
    let refused = oubliette::serve::probes::Probes::bind(server.address, metrics, readiness).await;
    let message = refused.err().expect("taken").to_string();
    assert!(message.contains("stop whoever has it"), "{message}");
    assert!(message.contains("change metrics"), "{message}");
}
