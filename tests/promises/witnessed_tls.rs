//! A witness behind TLS, as on the open net: its certificate is held against the
//! authorities that the configuration names, and nothing else will do.

use crate::caller::connect;
use crate::https::acceptor;
use crate::place::{Place, until};
use crate::process::Process;
use crate::provable::{export_of, says};
use crate::witnessed::{configure, with_witnesses};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// TLS in front of a witness; the port.
async fn front(pki: &Path, witness: SocketAddr) -> u16 {
    let tls = acceptor(&pki.join("server.pem"), &pki.join("server.key"));
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = socket.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut there = TcpStream::connect(witness).await.expect("a witness");
                if let Ok(mut here) = tls.accept(stream).await {
                    let _ended = copy_bidirectional(&mut here, &mut there).await;
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_over_https_cosigns_and_one_with_another_certificate_is_not_believed() {
    let (place, [witness]) = with_witnesses().await;
    let port = front(&place.path().join("pki"), witness.address()).await;
    let key = &witness.key;
    let entry = |scheme: &str, more: &str| {
        format!("[[audit.witness]]\nurl = \"{scheme}://localhost:{port}\"\nkey = \"{key}\"\n{more}")
    };
    // An authority that did not issue it, and no TLS at all.
    let stranger = Place::new();
    let ca = stranger.path().join("pki/ca.pem");
    let other = entry("https", &format!("ca = \"{}\"\n", ca.display()));
    for wrong in [other, entry("http", "")] {
        configure(&place, "strict", 1, &[wrong]);
        let said = String::from_utf8_lossy(&Process::refused(&place).stderr).into_owned();
        assert!(said.contains("the witness witness.example/w0"), "{said}");
        assert!(said.contains("or set mode = \"report\""), "{said}");
    }
    assert_eq!(witness.seen(), None, "it was told nothing");

    configure(
        &place,
        "strict",
        1,
        &[entry("https", "ca = \"pki/ca.pem\"\n")],
    );
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("second").await.expect("created");
    until("it cosigns", async || witness.seen() == Some(2)).await;
    server.stop();
    let tiles = export_of(&place);
    let tiles = tiles.to_str().expect("a path");
    let verify = ["audit", "verify", "--tiles", tiles, "--require-anchor"];
    let said = says(0, &[&verify[..], &["--witness", key]].concat());
    assert!(said.contains("cosigned the first 2 entries"), "{said}");
}
