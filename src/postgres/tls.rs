//! TLS to a server: who vouches for it, and who we are, as `config::Tls` says it. Files are read for each connection, so
//! that a renewed certificate takes effect without a restart.
//!
//! Names are looked for among the certificate's alternative names alone: its common name has not counted for names since RFC 6125.
//!
//! A certificate of X.509 version 1, or with a key of P-521, is one that `OpenSSL` uses and rustls does not. The client offers P-521
//! only so that a server with such a key shows its certificate, and the error can say what is wrong with it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Identity, Origin, RootCert, SslMode, Tls};

/// What makes TLS connections of this kind.
///
/// # Errors
/// Files that cannot be read or are not what they should be, by the name of their setting.
pub(super) fn connector(tls: &Tls) -> io::Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(tls, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity)?;
            let refused = |error| invalid(format!("sslcert and sslkey cannot be used together: {error}"));
            config.with_client_auth_cert(chain, key).map_err(refused)?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn read_identity(identity: &Identity) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read_certificates("sslcert", &identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| {
        let hint =
            if matches!(error, pem::Error::NoItemsFound) { " (an encrypted key is none that can be used)" } else { "" };
        invalid(format!("the file of sslkey holds no private key in PEM: {error}{hint}"))
    })?;
    Ok((chain, key))
}

fn read_certificates(what: &str, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    // Health shows it to everybody, so it names the setting and not the path.
    let refused = |error: String| invalid(format!("the file of {what} holds no certificate in PEM: {error}"));
    match read {
        Ok(chain) if chain.is_empty() => Err(refused("it has none".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, UnfitFile(why))
}

/// A file that TLS needs is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UnfitFile(String);

/// Looks at a server's certificate as closely as the mode asks.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate will do.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted as they are: a server's own that was given as its authority, which `OpenSSL` accepts, too.
    trusted: Vec<CertificateDer<'static>>,
    asks_for_name: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let asks_for_name = tls.mode == SslMode::VerifyFull;
        let looks = matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull);
        let Some(root) = tls.root.as_ref().filter(|_| looks) else {
            return Ok(Self { authorities: None, trusted: Vec::new(), asks_for_name: false, provider });
        };
        let trusted = match root {
            RootCert::File(path) => read_certificates("sslrootcert", path)?,
            RootCert::System => rustls_native_certs::load_native_certs().certs,
        };
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(trusted.iter().cloned());
        if added == 0 {
            return Err(invalid("sslrootcert holds no certificate that can be used".to_owned()));
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(io::Error::other)?;
        let trusted = if *root == RootCert::System { Vec::new() } else { trusted };
        Ok(Self { authorities: Some(authorities), trusted, asks_for_name, provider })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        let outcome = authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        // The verifier looks at a certificate's own time first, before anything of who vouches for it.
        if self.trusted.iter().any(|trusted| trusted == end_entity) && !outcome.as_ref().is_err_and(is_out_of_time) {
            if self.asks_for_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match outcome {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.asks_for_name => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        usable_key(dss)?;
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms).map_err(of_key)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        usable_key(dss)?;
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms).map_err(of_key)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes
    }
}

/// The keys that a server's certificate may have.
const KEYS: &str = "RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 can be used";

/// A server's certificate has a key that cannot be used.
#[derive(Debug, thiserror::Error)]
enum UnusableKey {
    #[error("has a key of P-521")]
    P521,
    #[error("has a key that cannot be used")]
    Other,
}

fn usable_key(signed: &DigitallySignedStruct) -> Result<(), Error> {
    match signed.scheme {
        SignatureScheme::ECDSA_NISTP521_SHA512 => Err(unusable(UnusableKey::P521)),
        _ => Ok(()),
    }
}

/// The error of a signature that the server made with the key of its certificate: rustls does not tell a key that it cannot use from
/// a signature that is wrong.
fn of_key(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => unusable(UnusableKey::Other),
        error => error,
    }
}

fn unusable(key: UnusableKey) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(key))))
}

/// What is wrong with a certificate that its authority has signed and rustls does not use.
fn defect(fault: &CertificateError) -> Option<String> {
    use CertificateError::{
        NotValidForNameContext, Other, UnsupportedSignatureAlgorithmContext,
        UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    Some(match fault {
        Other(OtherError(cause)) => match cause.downcast_ref::<UnusableKey>() {
            Some(key) => format!("{key}: {KEYS}"),
            // The error is that of a library which rustls does not name in its interface.
            None if cause.to_string() == "UnsupportedCertVersion" => {
                "is of X.509 version 1: only version 3 can be used".to_owned()
            }
            None if cause.to_string() == "CaUsedAsEndEntity" => {
                "is that of an authority (CA:TRUE), and not the one in sslrootcert".to_owned()
            }
            None => return None,
        },
        UnsupportedSignatureAlgorithmContext { .. } | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!("is signed with an algorithm or a key that cannot be used: {KEYS}")
        }
        NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "has no subjectAltName: its common name does not count as the name of the host (sslmode verify-full)"
                .to_owned()
        }
        _ => return None,
    })
}

/// What to do about a certificate with a [`defect`].
fn replacement(fault: &CertificateError) -> String {
    let how = match fault {
        CertificateError::NotValidForNameContext { .. } => {
            "with `subjectAltName=DNS:<host>` (openssl: -extfile or -addext)"
        }
        CertificateError::Other(OtherError(cause)) if cause.is::<UnusableKey>() => {
            "with a key that can be used, such as P-256"
        }
        CertificateError::Other(OtherError(cause)) if cause.to_string() == "CaUsedAsEndEntity" => {
            "that is not an authority itself, or have sslrootcert name this one"
        }
        CertificateError::Other(_) => {
            "of version 3: `openssl x509 -req` writes one where -extfile names extensions such as subjectAltName"
        }
        _ => "that is signed with RSA, P-256 or P-384",
    };
    format!("give the server a certificate {how}")
}

/// Whether a certificate is refused because its time is over or has not come.
fn is_out_of_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

/// What went wrong with TLS, and what to look at; `None` where it was not TLS.
pub(super) fn explain(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    found::<Error>(error).map(in_words).or_else(|| found::<UnfitFile>(error).map(ToString::to_string))
}

/// Whether it was TLS that went wrong.
pub(super) fn is_at_fault(error: &(dyn std::error::Error + 'static)) -> bool {
    // That a server has no TLS the driver says in no other way.
    explain(error).is_some() || error.to_string().starts_with("error performing TLS handshake")
}

/// What to do about it, where the settings are written at `origin`.
pub(super) fn remedy(error: &(dyn std::error::Error + 'static), origin: &Origin) -> String {
    let (root, mode) = (origin.of("SSLROOTCERT", "sslrootcert"), origin.of("SSLMODE", "sslmode"));
    let (certificate, key) = (origin.of("SSLCERT", "sslcert"), origin.of("SSLKEY", "sslkey"));
    match found::<Error>(error) {
        Some(Error::InvalidCertificate(fault)) if defect(fault).is_some() => replacement(fault),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            format!("have {root} name the certificate of the authority that signed the server's")
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            let host = origin.of("HOST", "host");
            format!("have {host} be a name that the server's certificate has, or give the server one for this name")
        }
        Some(error) if is_out_of_time(error) => "renew the server's certificate, or set the clocks right".to_owned(),
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            format!(
                "see the key of the server's certificate ({KEYS}), and its ssl_ciphers and ssl_min_protocol_version"
            )
        }
        Some(Error::AlertReceived(_)) => format!("see {certificate} and {key}, and the server's ssl_ca_file"),
        Some(_) => "see which versions and ciphers of TLS the server has".to_owned(),
        None if found::<UnfitFile>(error).is_some() => format!("see {root}, {certificate} and {key}"),
        None => format!("turn TLS on at the server (ssl = on), or set {mode} to what it has"),
    }
}

/// The cause of this type.
pub(super) fn found<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref()) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn in_words(fault: &Error) -> String {
    let certificate = |what: &str| format!("the server's certificate {what}");
    match fault {
        Error::InvalidCertificate(fault) => match fault {
            _ if defect(fault).is_some() => certificate(&defect(fault).unwrap_or_default()),
            // An authority of the same name with another key is another authority.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                certificate("is not from an authority in sslrootcert")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate("is not for this host (sslmode verify-full)")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => certificate("has expired"),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("is not valid yet; is this machine's clock right?")
            }
            other => certificate(&format!("cannot be trusted: {other}")),
        },
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            format!(
                "the server found no common algorithm in the TLS handshake: its certificate may have a key that cannot be used ({KEYS})"
            )
        }
        Error::AlertReceived(alert) => {
            format!(
                "the server ended the TLS handshake ({alert:?}); does it ask for another certificate (sslcert, sslkey)?"
            )
        }
        other => format!("TLS: {other}"),
    }
}
