//! The client, on a thread of its own: with the credentials of the file and no
//! others, no proxy, no redirects, and a bound on time, tries and answers.

use super::Place;
use crate::error::{Error, Result, Unavailable};
use crate::keys::secret_file::private_text;
use crate::keys::worker::Worker;
use crate::limits;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{
    BehaviorVersion, Builder, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_kms::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use std::future::Future;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;
use zeroize::ZeroizeOnDrop;

pub(super) const UNAVAILABLE: Error = Error::Unavailable(Unavailable::KeyProvider);

/// The service, as whoever asks sees it.
pub(super) struct Kms(Worker<Caller>);

/// What stays on the thread.
struct Caller {
    runtime: Option<Runtime>,
    config: Builder,
    credentials: PathBuf,
}

impl Kms {
    pub(super) fn new(place: &Place) -> Result<Self> {
        let (config, credentials) = (config(place)?, place.credentials.clone());
        let make = move || Caller {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok(),
            config,
            credentials,
        };
        Worker::start("aws-kms", limits::PROVIDER_TIME, make).map(Self)
    }

    /// Does `work`, which may be several calls, within the limit of time of one.
    pub(super) fn ask<T, F>(&self, work: impl FnOnce(Client) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        self.0.ask(move |caller| {
            let runtime = caller.runtime.as_ref();
            let runtime = runtime.ok_or(Error::Internal("a runtime cannot be started"))?;
            let credentials = credentials(&caller.credentials)?;
            let config = caller.config.clone().credentials_provider(credentials);
            let client = Client::from_conf(config.build());
            let done = async { tokio::time::timeout(limits::PROVIDER_TIME, work(client)).await };
            runtime.block_on(done).unwrap_or_else(|_| {
                tracing::warn!("AWS KMS did not answer in time");
                Err(UNAVAILABLE)
            })
        })
    }
}

fn config(place: &Place) -> Result<Builder> {
    let once = TimeoutConfig::builder()
        .connect_timeout(limits::KMS_CONNECT_TIME)
        .operation_attempt_timeout(limits::KMS_ATTEMPT_TIME)
        .build();
    let tries = RetryConfig::standard()
        .with_max_attempts(limits::KMS_TRIES)
        .with_initial_backoff(limits::KMS_PAUSE)
        .with_max_backoff(limits::KMS_ATTEMPT_TIME);
    let mut config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .http_client(http_client(place)?)
        .timeout_config(once)
        .retry_config(tries)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(ShortAnswers);
    config.set_endpoint_url(place.endpoint.clone());
    Ok(config)
}

/// A connection is kept for the calls of one errand: between errands nobody
/// would see that it was closed.
fn http_client(place: &Place) -> Result<SharedHttpClient> {
    let trusted = match &place.ca {
        Some(path) => TrustStore::empty().with_pem_certificate(authorities(path)?),
        None => TrustStore::default(),
    };
    let tls = TlsContext::builder().with_trust_store(trusted).build();
    let tls = tls.map_err(|_| Error::Internal("a TLS context cannot be made"))?;
    Ok(aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(limits::KMS_PAUSE)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https())
}

/// The file's text, once every certificate in it was found to be one: the
/// client's own library would panic over another.
fn authorities(path: &Path) -> Result<Vec<u8>> {
    let refused = || {
        Error::Setup(format!(
            "{} does not hold certificates in PEM; put the authority of the endpoint's \
             certificate there",
            path.display()
        ))
    };
    let text = std::fs::read(path).map_err(|_| refused())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| refused())?;
        roots.add(certificate).map_err(|_| refused())?;
    }
    if roots.is_empty() {
        return Err(refused());
    }
    Ok(text)
}

/// What `aws configure export-credentials` prints, and an instance's metadata
/// service, which says `Token`.
#[derive(Deserialize, ZeroizeOnDrop)]
struct Exported {
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: String,
    #[serde(rename = "SessionToken", alias = "Token")]
    session: Option<String>,
}

fn credentials(path: &Path) -> Result<Credentials> {
    let text = private_text(path, "the credentials for AWS KMS")?;
    let read: Exported = serde_json::from_str(&text).map_err(|_| {
        Error::Setup(format!(
            "{} does not hold credentials for AWS KMS; write them with: \
             aws configure export-credentials --format process",
            path.display()
        ))
    })?;
    let (id, secret, session) = (&read.id, &read.secret, &read.session);
    Ok(Credentials::new(id, secret, session.clone(), None, "file"))
}

/// Cuts off an answer that is longer than any should be.
#[derive(Debug)]
struct ShortAnswers;

impl Intercept for ShortAnswers {
    fn name(&self) -> &'static str {
        "ShortAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let most = usize::try_from(limits::KMS_REPLY_BYTES)?;
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, most));
        Ok(())
    }
}

/// What the service says against a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such key.
    Absent,
    /// The key is there and does not work: disabled, or to be destroyed.
    Idle,
    /// What was to be opened does not open.
    DoesNotOpen,
    /// The credentials do not allow it.
    Denied,
    /// The credentials are not accepted.
    Unknown,
    /// It does not answer, or not as it should.
    Down(&'static str),
}

impl Refusal {
    pub(super) fn of<E: ProvideErrorMetadata, R>(why: &SdkError<E, R>) -> Self {
        match why {
            SdkError::TimeoutError(_) => Self::Down("no answer in time"),
            SdkError::DispatchFailure(_) => Self::Down("no connection"),
            SdkError::ServiceError(_) => match why.code().unwrap_or_default() {
                "NotFoundException" => Self::Absent,
                "DisabledException" | "KMSInvalidStateException" => Self::Idle,
                "InvalidCiphertextException" | "IncorrectKeyException" | "ValidationException" => {
                    Self::DoesNotOpen
                }
                "AccessDeniedException" => Self::Denied,
                "ExpiredTokenException"
                | "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "InvalidClientTokenId"
                | "IncompleteSignature"
                | "MissingAuthenticationTokenException" => Self::Unknown,
                "ThrottlingException" | "LimitExceededException" => Self::Down("a limit"),
                _ => Self::Down("a refusal"),
            },
            _ => Self::Down("an answer that it never should give"),
        }
    }

    /// What is left to say of it where it is about no key: the log tells why.
    pub(super) fn told(self) -> Error {
        match self {
            Self::Denied => {
                let hint = "give them the policy of docs/PROVIDERS.md";
                tracing::error!(hint, "AWS KMS does not allow it to these credentials");
            }
            Self::Unknown => {
                let hint = "renew the file that the configuration names";
                tracing::error!(hint, "AWS KMS refuses the credentials");
            }
            Self::Down(cause) => tracing::warn!(cause, "AWS KMS does not serve"),
            _ => tracing::error!("AWS KMS answers what it never should"),
        }
        UNAVAILABLE
    }
}
