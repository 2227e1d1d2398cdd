//! The Transit engine of OpenBao and HashiCorp Vault, over HTTPS. One
//! aes256-gcm96 key an epoch, which the engine never lets out; it seals the
//! master key itself, with the context as `associated_data`. What is stored is
//! its own text, `vault:v1:...`.
//!
//! An epoch is rewrapped by opening and sealing, never by the engine's
//! `rewrap`, which takes no associated data.

use super::{Assurance, KeyProvider, KeyState, epoch_of, secret_in, shared_name};
use crate::crypto::{Deployment, MasterKey, WrapContext};
use crate::error::{Error, Result, Unavailable};
use crate::limits;
use crate::secret::SecretBytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, Request, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `https://HOST:PORT`.
    pub address: String,
    /// The path that the engine is mounted at.
    pub mount: String,
    /// The namespace, where the server has such.
    pub namespace: Option<String>,
    /// The file that holds the token, 0600. It is read anew for every call, so
    /// that an agent may renew it.
    pub token: PathBuf,
    /// The authorities that the server's certificate may come from, PEM.
    pub ca: PathBuf,
}

/// Keys in a Transit engine.
pub struct TransitProvider {
    place: Place,
    agent: Agent,
}

/// What the engine answered: a status, and the `data` of its JSON.
type Answer = (StatusCode, Zeroizing<Vec<u8>>);

#[derive(Deserialize)]
struct Reply<T> {
    data: T,
}

#[derive(Deserialize)]
struct Sealed {
    ciphertext: String,
}

#[derive(Deserialize, ZeroizeOnDrop)]
struct Opened {
    plaintext: String,
}

#[derive(Deserialize)]
struct Key {
    exportable: bool,
    allow_plaintext_backup: bool,
    /// OpenBao keeps a key that was deleted softly, and can bring it back.
    #[serde(default)]
    soft_deleted: bool,
}

#[derive(Deserialize)]
struct Names {
    keys: Vec<String>,
}

const UNAVAILABLE: Error = Error::Unavailable(Unavailable::KeyProvider);

impl TransitProvider {
    /// The provider of an engine, which is asked when it is first needed.
    pub fn new(place: Place) -> Result<Self> {
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(crypto)
            .root_certs(authorities(&place.ca)?)
            .build();
        let config = Agent::config_builder()
            .https_only(true)
            .tls_config(tls)
            // The token goes to the address that was configured, or nowhere.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(limits::PROVIDER_TIME))
            .build();
        let agent = config.new_agent();
        Ok(Self { place, agent })
    }

    /// One call. What cannot be asked now is UNAVAILABLE; the log says why.
    fn call(&self, method: Method, path: &str, body: &[u8]) -> Result<Answer> {
        let Place {
            address,
            mount,
            token,
            ..
        } = &self.place;
        let token = secret_in(token, "the token of the Transit engine")?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{address}/v1/{mount}/{path}"))
            .header("X-Vault-Token", token.expose())
            .header("X-Vault-Request", "true");
        if let Some(namespace) = &self.place.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let not_one = |_| Error::Setup("the token of the Transit engine is not one".to_owned());
        let answered = if body.is_empty() {
            self.agent.run(request.body(()).map_err(not_one)?)
        } else {
            self.agent.run(request.body(body).map_err(not_one)?)
        };
        let mut response = answered.map_err(|why| {
            tracing::warn!(cause = cause(&why), "the Transit engine cannot be reached");
            UNAVAILABLE
        })?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(limits::PROVIDER_REPLY_BYTES)
            .read_to_vec();
        let text = text.map(Zeroizing::new).map_err(|_| garbage())?;
        match status {
            StatusCode::OK
            | StatusCode::NO_CONTENT
            | StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND => Ok((status, text)),
            StatusCode::FORBIDDEN => {
                let file = self.place.token.display();
                tracing::error!(%file, path, "the Transit engine refuses the token; renew it");
                Err(UNAVAILABLE)
            }
            _ => {
                let status = status.as_u16();
                tracing::warn!(status, "the Transit engine does not serve");
                Err(UNAVAILABLE)
            }
        }
    }

    /// A call that must succeed.
    fn must(&self, method: Method, path: &str, body: &[u8]) -> Result<Answer> {
        let answer = self.call(method, path, body)?;
        if answer.0.is_success() {
            return Ok(answer);
        }
        let status = answer.0.as_u16();
        tracing::error!(status, path, "the Transit engine refuses");
        Err(UNAVAILABLE)
    }

    fn key(&self, name: &str) -> Result<Option<Key>> {
        let (status, text) = self.call(Method::GET, &format!("keys/{name}"), &[])?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => data(&text).map(Some),
            _ => Err(garbage()),
        }
    }

    fn none(&self, name: &str) -> Error {
        let Place { address, mount, .. } = &self.place;
        Error::Setup(format!(
            "the Transit engine {mount} at {address} has no key {name}, or that key does not \
             open this vault's master key; it was destroyed, or this is another engine"
        ))
    }
}

/// A word for why a call failed; the library's own text may quote what was
/// sent.
fn cause(why: &ureq::Error) -> &'static str {
    match why {
        ureq::Error::Timeout(_) => "no answer in time",
        ureq::Error::HostNotFound => "no such host",
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => "TLS",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "no connection",
        _ => "HTTP",
    }
}

fn garbage() -> Error {
    tracing::error!("the Transit engine answers what it never should");
    UNAVAILABLE
}

fn data<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T> {
    let reply = serde_json::from_slice::<Reply<T>>(text);
    reply.map(|reply| reply.data).map_err(|_| garbage())
}

/// The authorities in a file of PEM.
pub(crate) fn authorities(path: &Path) -> Result<RootCerts> {
    let refused = || {
        let path = path.display();
        Error::Setup(format!(
            "{path} does not hold certificates in PEM; put the authority of the server's \
             certificate there"
        ))
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|_| refused())?;
    let read = read.collect::<std::result::Result<Vec<_>, _>>();
    let roots = read.map_err(|_| refused())?;
    if roots.is_empty() {
        return Err(refused());
    }
    let root = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
    let roots: Vec<Certificate<'static>> = roots.iter().map(root).collect();
    Ok(RootCerts::new_with_certs(&roots))
}

impl KeyProvider for TransitProvider {
    fn kind(&self) -> &'static str {
        "transit"
    }

    fn assurance(&self) -> Assurance {
        Assurance::Provider
    }

    /// Looked for first: the engine answers a second creation like the first.
    fn create(&self, deployment: Deployment, epoch: u32) -> Result<String> {
        let name = shared_name(deployment, epoch);
        if self.key(&name)?.is_some() {
            return Err(Error::Setup(format!(
                "the Transit engine holds a key {name} already; nothing was made"
            )));
        }
        let kept = json!({
            "type": "aes256-gcm96",
            "derived": false,
            "exportable": false,
            "allow_plaintext_backup": false,
        });
        self.must(
            Method::POST,
            &format!("keys/{name}"),
            kept.to_string().as_bytes(),
        )?;
        match self.key(&name)? {
            Some(key) if !key.exportable && !key.allow_plaintext_backup => Ok(name),
            _ => {
                self.destroy(&name)?;
                tracing::error!("the Transit engine would let its keys out, so none was left");
                Err(UNAVAILABLE)
            }
        }
    }

    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        // To seal under a name that is not there would make a key of it.
        if self.key(name)?.is_none() {
            return Err(self.none(name));
        }
        master.wrap_with(context, |aad, key| {
            let plaintext = Zeroizing::new(BASE64_STANDARD.encode(key.expose()));
            let aad = BASE64_STANDARD.encode(aad);
            // Both are base64, so that nothing in them needs escaping.
            let body = Zeroizing::new(format!(
                "{{\"plaintext\":\"{}\",\"associated_data\":\"{aad}\"}}",
                plaintext.as_str()
            ));
            let path = format!("encrypt/{name}");
            let (_, text) = self.must(Method::POST, &path, body.as_bytes())?;
            data::<Sealed>(&text).map(|sealed| sealed.ciphertext.into_bytes())
        })
    }

    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        let ciphertext = std::str::from_utf8(wrapped).map_err(|_| self.none(name))?;
        MasterKey::unwrap_with(context, |aad| {
            let aad = BASE64_STANDARD.encode(aad);
            let body = json!({ "ciphertext": ciphertext, "associated_data": aad }).to_string();
            let path = format!("decrypt/{name}");
            let (status, text) = self.call(Method::POST, &path, body.as_bytes())?;
            if status != StatusCode::OK {
                return Err(self.none(name));
            }
            let opened = data::<Opened>(&text)?;
            let key = BASE64_STANDARD.decode(opened.plaintext.as_bytes());
            key.map(SecretBytes::new).map_err(|_| garbage())
        })
    }

    fn destroy(&self, name: &str) -> Result<KeyState> {
        if self.key(name)?.is_some() {
            let allowed = json!({ "deletion_allowed": true }).to_string();
            let path = format!("keys/{name}");
            self.must(Method::POST, &format!("{path}/config"), allowed.as_bytes())?;
            self.must(Method::DELETE, &path, &[])?;
        }
        self.state(name)
    }

    fn state(&self, name: &str) -> Result<KeyState> {
        match self.key(name)? {
            None => Ok(KeyState::Gone),
            Some(key) if key.soft_deleted => {
                let hint = "delete it for good, or restore it";
                tracing::error!(
                    name,
                    hint,
                    "a key is deleted softly and can be brought back"
                );
                Err(UNAVAILABLE)
            }
            Some(_) => Ok(KeyState::Usable),
        }
    }

    fn stray(&self, deployment: Deployment, newest: u32) -> Result<Vec<String>> {
        let (status, text) = self.call(Method::GET, "keys?list=true", &[])?;
        let names = match status {
            StatusCode::NOT_FOUND => Vec::new(),
            StatusCode::OK => data::<Names>(&text)?.keys,
            _ => return Err(garbage()),
        };
        let is_stray = |name: &String| epoch_of(deployment, name).is_some_and(|e| e > newest);
        Ok(names.into_iter().filter(is_stray).collect())
    }
}
