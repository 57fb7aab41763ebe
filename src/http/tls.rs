//! TLS of the listener: a certificate that can be replaced while it serves.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM.
    #[error("`{path}` holds no {what}: {source}")]
    File {
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key cannot be used.
    #[error("`{certificate}` and `{key}` cannot be used together: {source}")]
    Pair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}

/// The current certificate, shared by all listeners.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<Current>);

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificate {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Current(ArcSwap::from_pointee(read(files)?)))))
    }

    /// Reads them again, for new connections. Returns whether the certificate has changed.
    ///
    /// # Errors
    /// [`TlsError`]; then the one of before stays.
    pub fn renew(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        let next = Arc::new(read(files)?);
        let before = self.0.0.swap(Arc::clone(&next));
        Ok(before.cert != next.cert)
    }

    /// What a listener needs: TLS 1.2 and 1.3 for HTTP/1.1, no client certificates.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::<Current>::clone(&self.0));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let failed = |path: &Path, what| {
        let path = path.display().to_string();
        move |source| TlsError::File { path, what, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(failed(&files.certificate, "certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(&files.key, "private key in PEM"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|source| TlsError::Pair {
        certificate: files.certificate.display().to_string(),
        key: files.key.display().to_string(),
        source,
    })
}
