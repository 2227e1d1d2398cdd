//! How it ends.

use crate::place::{LONG, Pki, Running};
use oubliette::serve::listener::Bounds;
use oubliette::serve::server::{Drained, Times};
use std::time::Duration;
use tokio::net::TcpStream;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;

#[tokio::test]
async fn a_drain_says_so_first_lets_idle_connections_go_and_frees_the_port() {
    let pki = Pki::new();
    let mut server = Running::with(&pki, Bounds::default()).await;
    let address = server.address;
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("an answer");
    let readiness = server.readiness.clone();
    server.stop();
    assert_eq!(server.ended().await, Drained::All);
    assert_eq!(readiness.state().word(), "draining");
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
    client.call().await.expect_err("nobody answers");
}

#[tokio::test]
async fn a_stream_under_way_hears_of_the_drain_and_cannot_hold_it_for_ever() {
    let times = Times {
        drain: Duration::from_millis(300),
        ..Times::default()
    };
    let mut server = Running::plain(Bounds::default(), times).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address))
        .expect("an endpoint")
        .connect()
        .await
        .expect("a connection");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.expect("a stream").into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(LONG, watch.message()).await;
        message
            .expect("in time")
            .expect("no error")
            .map(|m| m.status)
    };
    assert_eq!(next().await, Some(ServingStatus::Serving as i32));
    server.stop();
    assert_eq!(next().await, Some(ServingStatus::NotServing as i32));
    assert_eq!(server.ended().await, Drained::CutShort);
}
