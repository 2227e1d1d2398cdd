//! HTTPS on loopback, for the stand-ins of services that keep keys.

use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A status and a body.
pub type Reply = (u16, String);

/// Serves with the certificate and key in these PEM files for as long as the
/// process lives, on a thread of its own, since callers may be in a runtime
/// already. Where `answer` gives nothing, the caller waits for ever.
pub fn serve(
    certificate: &Path,
    key: &Path,
    answer: impl Fn(&Parts, &Bytes) -> Option<Reply> + Send + Sync + 'static,
) -> String {
    let acceptor = acceptor(certificate, key);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.set_nonblocking(true).expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let socket = TcpListener::from_std(socket).expect("a socket");
            accept(socket, acceptor, Arc::new(answer)).await;
        });
    });
    format!("https://localhost:{port}")
}

/// Takes connections with the certificate and key in these PEM files.
pub fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that fits");
    TlsAcceptor::from(Arc::new(tls))
}

type Answer = dyn Fn(&Parts, &Bytes) -> Option<Reply> + Send + Sync;

async fn accept(socket: TcpListener, tls: TlsAcceptor, answer: Arc<Answer>) {
    while let Ok((stream, _)) = socket.accept().await {
        let (tls, answer) = (tls.clone(), Arc::clone(&answer));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| told(request, Arc::clone(&answer)));
            let _ended = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn told(
    request: Request<Incoming>,
    answer: Arc<Answer>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes());
    let Some((status, text)) = answer(&parts, &body.unwrap_or_default()) else {
        return std::future::pending().await;
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}
