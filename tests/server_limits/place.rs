//! A server on port 0 with an authority of its own, and clients of it.

use http::Request;
use oubliette::authn::{Authn, Caller};
use oubliette::cli::pki::Authority;
use oubliette::config::TlsFiles;
use oubliette::id::{ServiceName, TenantName};
use oubliette::metrics::Metrics;
use oubliette::serve::listener::{Bounds, Listener, Security};
use oubliette::serve::readiness::{Readiness, State};
use oubliette::serve::server::{Drained, Times, serve};
use oubliette::serve::tls::Tls;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

pub const TRUST_DOMAIN: &str = "test.internal";

/// Longer than anything here takes; what runs into it has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// An authority, a server's and a client's certificate.
pub struct Pki {
    dir: TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let pki = Self { dir };
        let authority = Authority::create(&pki.path("pki"), "Test").expect("an authority");
        authority
            .issue_server(&pki.path("pki"), &[])
            .expect("a server's certificate");
        let (tenant, service) = (TenantName::parse("acme"), ServiceName::parse("desk"));
        authority
            .issue_client(
                &pki.path("pki"),
                TRUST_DOMAIN,
                &tenant.expect("a tenant"),
                &service.expect("a service"),
            )
            .expect("a client's certificate");
        pki
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path("pki").join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect(name)
    }

    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.file("server.pem"),
            key: self.file("server.key"),
            client_ca: self.file("ca.pem"),
            crl: None,
        }
    }

    /// The good client's certificate and key.
    pub fn client(&self) -> (String, String) {
        let read = |name: &str| self.read(&format!("clients/acme.desk.{name}"));
        (read("pem"), read("key"))
    }

    /// The authority itself, to sign what `Authority` would not.
    pub fn issuer(&self) -> Issuer<'static, KeyPair> {
        let key = KeyPair::from_pem(&self.read("ca.key")).expect("a key");
        Issuer::from_ca_cert_pem(&self.read("ca.pem"), key).expect("an issuer")
    }

    /// A client's certificate as `change` makes it.
    pub fn odd_client(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let uri = format!("spiffe://{TRUST_DOMAIN}/acme/desk");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI"))];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer()).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    /// Who made each call that arrived.
    pub callers: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<oubliette::error::Result<Drained>>,
}

impl Running {
    /// Over TLS.
    pub async fn start(tls: Arc<Tls>, authn: Arc<Authn>, bounds: Bounds) -> Self {
        Self::of(Security::Tls(tls, authn), bounds, Times::default()).await
    }

    /// With the files of `pki`.
    pub async fn with(pki: &Pki, bounds: Bounds) -> Self {
        let (tls, authn) = tls_of(pki.files());
        Self::start(tls, authn, bounds).await
    }

    /// Without TLS.
    pub async fn plain(bounds: Bounds, times: Times) -> Self {
        let (tenant, service) = (TenantName::parse("acme"), ServiceName::parse("desk"));
        let caller = Caller::assumed(tenant.expect("a tenant"), service.expect("a service"));
        Self::of(Security::Plaintext(caller), bounds, times).await
    }

    async fn of(security: Security, bounds: Bounds, times: Times) -> Self {
        let metrics = Arc::new(Metrics::new());
        let readiness = Arc::new(Readiness::new(Vec::new(), metrics.clone()).await);
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any_port, security, bounds, metrics.clone())
            .await
            .expect("a socket");
        let address = listener.address();
        let callers = Arc::new(Mutex::new(Vec::new()));
        let service = ServiceBuilder::new()
            .map_request(writer(callers.clone()))
            .service(Routes::new(readiness.health_service()));
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve(
            service,
            listener.start(),
            readiness.clone(),
            async {
                let _ = stopped.await;
            },
            times,
        ));
        readiness.set(State::Ready).await;
        Self {
            address,
            metrics,
            readiness,
            callers,
            stop: Some(stop),
            ended,
        }
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        let stop = self.stop.take().expect("stopped once");
        stop.send(()).expect("it runs");
    }

    /// How it ended.
    pub async fn ended(self) -> Drained {
        let ended = tokio::time::timeout(LONG, self.ended).await;
        ended
            .expect("it ends")
            .expect("no panic")
            .expect("no error")
    }

    /// What `oubliette_connections_refused_total` says of `why`.
    pub fn refused(&self, why: &'static str) -> u64 {
        let label = oubliette::metrics::WhyLabel { why };
        let counter = self.metrics.connections_refused.get_or_create(&label);
        counter.get()
    }

    /// Waits until `true_now` holds.
    pub async fn until(&self, what: &str, mut true_now: impl FnMut(&Self) -> bool) {
        let waited = tokio::time::timeout(LONG, async {
            while !true_now(self) {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "never so: {what}");
    }

    /// A client that shows `identity`.
    pub async fn client(&self, pki: &Pki, identity: Option<(String, String)>) -> Client {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(pki.read("ca.pem")))
            .domain_name("localhost");
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))
            .expect("an endpoint")
            .tls_config(tls)
            .expect("certificates");
        Client(HealthClient::new(endpoint.connect_lazy()))
    }
}

/// Writes down who is calling, as the connection says it.
fn writer(callers: Arc<Mutex<Vec<String>>>) -> impl Fn(Request<Body>) -> Request<Body> + Clone {
    move |request| {
        let caller = request.extensions().get::<Caller>().expect("a caller");
        let identity = caller.identity().expect("an identity");
        let name = format!("{}/{}", identity.tenant, identity.service);
        callers.lock().expect("no panic").push(name);
        request
    }
}

/// A client of grpc.health.v1.
pub struct Client(pub HealthClient<Channel>);

impl Client {
    /// With TLS 1.3 a client is connected before the server has looked at its
    /// certificate, so that only a call shows whether it is let in.
    pub async fn call(&mut self) -> Result<(), Status> {
        let call = self.0.check(HealthCheckRequest::default());
        let reply = tokio::time::timeout(LONG, call).await;
        reply.expect("an answer in time").map(|_| ())
    }
}

pub fn tls_of(files: TlsFiles) -> (Arc<Tls>, Arc<Authn>) {
    let authn = Arc::new(Authn::new(TRUST_DOMAIN));
    let tls = Tls::load(files, authn.clone()).expect("certificates");
    (Arc::new(tls), authn)
}

/// Puts the files of one `Pki` in the place of another's.
pub fn replace(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a copy");
}
