//! TLS 1.3 with a client certificate on every connection. Certificates are
//! replaced while serving: a handshake takes the configuration of its moment,
//! open connections stay.

use crate::authn::Authn;
use crate::config::TlsFiles;
use crate::error::{Error, Result};
use crate::serve::reload::Reload;
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The certificates that the server shows and asks for.
pub struct Tls {
    files: TlsFiles,
    authn: Arc<Authn>,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files. The revocation list, where there is one, also reaches
    /// `authn`, which asks it about connections that are open already.
    ///
    /// # Errors
    /// [`Error::Setup`] naming the file, and what to do.
    pub fn load(files: TlsFiles, authn: Arc<Authn>) -> Result<Self> {
        let (config, lists) = read(&files)?;
        authn.revoke(lists.iter().map(AsRef::as_ref))?;
        Ok(Self {
            files,
            authn,
            current: ArcSwap::from_pointee(config),
        })
    }

    /// What the next handshake uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

impl Reload for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = &self.files;
        let three = [&files.certificate, &files.key, &files.client_ca];
        three.into_iter().chain(&files.crl).cloned().collect()
    }

    fn reload(&self) -> Result<()> {
        let (config, lists) = read(&self.files)?;
        self.authn.revoke(lists.iter().map(AsRef::as_ref))?;
        self.current.store(Arc::new(config));
        Ok(())
    }
}

type Lists = Vec<CertificateRevocationListDer<'static>>;

fn read(files: &TlsFiles) -> Result<(ServerConfig, Lists)> {
    let chain: Vec<CertificateDer<'static>> = many(&files.certificate, "a certificate")?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|why| unreadable(&files.key, "one private key", &why))?;
    let mut roots = RootCertStore::empty();
    for root in many(&files.client_ca, "the clients' authority")? {
        roots.add(root).map_err(|_| {
            refused(
                &files.client_ca,
                "holds a certificate that cannot be an authority; \
                 put the certificate of the authority that signs the clients there",
            )
        })?;
    }
    let lists: Lists = match &files.crl {
        Some(path) => many(path, "a certificate revocation list")?,
        None => Vec::new(),
    };
    Ok((build(files, chain, key, roots, lists.clone())?, lists))
}

fn build(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
    lists: Lists,
) -> Result<ServerConfig> {
    // Named explicitly: rustls panics when it has to choose between two.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if !lists.is_empty() {
        // An authority without a list, and a list past its next update, refuse:
        // who keeps a list wants to be told that it is not looked after.
        verifier = verifier
            .with_crls(lists)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    let verifier = verifier.build().map_err(|_| {
        let path = files.crl.as_ref().unwrap_or(&files.client_ca);
        refused(path, "is not usable; write it anew from its authority")
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Error::Internal("TLS 1.3 is not built in"))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|_| {
            refused(
                &files.key,
                "does not belong to the certificate beside it; \
                 put the certificate and the key of one issuance there",
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // No resumption: it would let a client in on a certificate that was
    // verified earlier, perhaps before it was revoked or its authority dropped.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn many<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>> {
    let items = T::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<T>, _>>)
        .map_err(|why| unreadable(path, what, &why))?;
    if items.is_empty() {
        return Err(refused(path, "holds none; put the PEM file there"));
    }
    Ok(items)
}

fn unreadable(path: &Path, what: &str, why: &rustls::pki_types::pem::Error) -> Error {
    // Only the kind: the parser's own text may quote the file.
    let why = match why {
        rustls::pki_types::pem::Error::Io(why) => why.kind().to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => "it holds none".to_owned(),
        _ => "it is not well-formed PEM".to_owned(),
    };
    Error::Setup(format!(
        "{}: should be {what} in PEM and is not usable: {why}; put it there or correct [tls]",
        path.display()
    ))
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Setup(format!("{} {what}", path.display()))
}
