//! Clients that do not behave, written byte by byte.

use crate::place::{LONG, Pki};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A TLS connection of the good client.
pub async fn tls_stream(address: SocketAddr, pki: &Pki) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(pki.read("ca.pem").as_bytes()).expect("a root");
    roots.add(root).expect("a root");
    let (certificate, key) = pki.client();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .expect("a client");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let connect = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    timeout(LONG, connect)
        .await
        .expect("in time")
        .expect("a handshake")
}

/// The DER of the certificate that the server shows.
pub async fn shown_certificate(address: SocketAddr, pki: &Pki) -> Vec<u8> {
    let stream = tls_stream(address, pki).await;
    let chain = stream.get_ref().1.peer_certificates().expect("a chain");
    chain.first().expect("a leaf").to_vec()
}

/// A ClientHello of TLS 1.2 (RFC 5246, 7.4.1.2), as an old client sends it.
pub fn hello_of_tls_1_2() -> Vec<u8> {
    let groups: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 23];
    let signatures: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]);
    body.extend([1, 0]);
    let extensions = [groups, signatures].concat();
    body.extend(
        u16::try_from(extensions.len())
            .expect("short")
            .to_be_bytes(),
    );
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(handshake.len()).expect("short").to_be_bytes());
    record.extend(handshake);
    record
}

/// Begins HTTP/2 (RFC 9113, 3.4) and reads the server's settings: pairs of
/// identifier and value.
pub async fn settings(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<(u16, u32)> {
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("written");
    let mut head = [0; 9];
    let read = timeout(LONG, stream.read_exact(&mut head)).await;
    read.expect("in time").expect("a frame");
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut body = vec![0; usize::from(head[2])];
    stream.read_exact(&mut body).await.expect("its body");
    body.chunks(6)
        .map(|pair| {
            let identifier = u16::from_be_bytes([pair[0], pair[1]]);
            let value = u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]);
            (identifier, value)
        })
        .collect()
}

/// Reads until the server closes; how much came.
pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let mut rest = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut rest)).await;
    // Reset or closed: both are an end.
    let _ = read.expect("the server closes");
    rest.len()
}
