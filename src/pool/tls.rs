//! TLS: verification of the server's certificate and the client's own certificate, by `config::Tls`. Files are read for each
//! connection, so that a renewed certificate takes effect without a restart.
//!
//! The name of the host is compared only with the certificate's subjectAltName. The common name is deprecated for this (RFC 6125).
//!
//! `OpenSSL` accepts certificates of X.509 version 1 and those with a P-521 key; rustls does not. The client offers P-521 only so that
//! a server with such a key sends its certificate, and the error can name the defect.

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

use crate::config::{Identity, Origin, RootCert, SslMode, Tls};

/// The configuration of TLS for these settings.
///
/// # Errors
/// A file cannot be read or used. The error names its setting.
pub fn client(tls: &Tls) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(tls, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match &tls.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity)?;
            let refused = |error| invalid(format!("sslcert and sslkey cannot be used together: {error}"));
            config.with_client_auth_cert(chain, key).map_err(refused)?
        }
    })
}

fn read_identity(identity: &Identity) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read_certificates("sslcert", &identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| {
        let hint = if matches!(error, pem::Error::NoItemsFound) { " (encrypted keys are not supported)" } else { "" };
        invalid(format!("the file of sslkey holds no private key in PEM: {error}{hint}"))
    })?;
    Ok((chain, key))
}

fn read_certificates(what: &str, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    // The health endpoint is public, so the error names the setting and not the path.
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

/// A file that TLS needs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UnfitFile(String);

/// Verifies the server's certificate as the mode requires.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate is accepted.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted directly. `OpenSSL`, too, accepts a server's own certificate in sslrootcert.
    trusted: Vec<CertificateDer<'static>>,
    asks_for_name: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let asks_for_name = tls.mode == SslMode::VerifyFull;
        let verifies = matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull);
        let Some(root) = tls.root.as_ref().filter(|_| verifies) else {
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
        // The verifier checks the validity period before the chain.
        if self.trusted.iter().any(|trusted| trusted == end_entity) && !outcome.as_ref().is_err_and(is_outside_validity)
        {
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
        check_key(dss)?;
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms).map_err(key_error)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_key(dss)?;
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms).map_err(key_error)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes
    }
}

/// The keys that a server's certificate can have.
const KEYS: &str = "RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 can be used";

/// The key of the server's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
enum UnusableKey {
    #[error("has a key of P-521")]
    P521,
    #[error("has a key that cannot be used")]
    Other,
}

fn check_key(signed: &DigitallySignedStruct) -> Result<(), Error> {
    match signed.scheme {
        SignatureScheme::ECDSA_NISTP521_SHA512 => Err(unusable(UnusableKey::P521)),
        _ => Ok(()),
    }
}

/// Maps the error of a signature that the server made with the key of its certificate. rustls reports the same error for an
/// unsupported key and for a wrong signature.
fn key_error(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => unusable(UnusableKey::Other),
        error => error,
    }
}

fn unusable(key: UnusableKey) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(key))))
}

/// The defect of a certificate that its authority has signed and rustls rejects, and the certificate that the server needs instead.
fn defect(fault: &CertificateError) -> Option<(String, &'static str)> {
    use CertificateError::{
        NotValidForNameContext, Other, UnsupportedSignatureAlgorithmContext,
        UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    let (defect, replacement) = match fault {
        Other(OtherError(cause)) => match (cause.downcast_ref::<UnusableKey>(), cause.to_string().as_str()) {
            (Some(key), _) => return Some((format!("{key}: {KEYS}"), "with a key that can be used, such as P-256")),
            // The error type belongs to a library that rustls does not expose.
            (None, "UnsupportedCertVersion") => (
                "is of X.509 version 1: only version 3 can be used",
                "of version 3: `openssl x509 -req` writes one where -extfile has extensions such as subjectAltName",
            ),
            (None, "CaUsedAsEndEntity") => (
                "is that of an authority (CA:TRUE), and not the one in sslrootcert",
                "that is not an authority itself, or set sslrootcert to this one",
            ),
            (None, _) => return None,
        },
        UnsupportedSignatureAlgorithmContext { .. } | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            let defect = format!("is signed with an algorithm or a key that cannot be used: {KEYS}");
            return Some((defect, "that is signed with RSA, P-256 or P-384"));
        }
        NotValidForNameContext { presented, .. } if presented.is_empty() => (
            "has no subjectAltName: its common name does not count as the name of the host (sslmode verify-full)",
            "with `subjectAltName=DNS:<host>` (openssl: -extfile or -addext)",
        ),
        _ => return None,
    };
    Some((defect.to_owned(), replacement))
}

/// Whether a certificate is rejected because it has expired or is not valid yet.
fn is_outside_validity(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

/// Describes an error of TLS. `None` where the error is not one.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    find_cause::<Error>(error).map(describe).or_else(|| find_cause::<UnfitFile>(error).map(ToString::to_string))
}

/// Whether `error` is an error of TLS.
pub fn is_tls_error(error: &(dyn std::error::Error + 'static)) -> bool {
    // The driver reports a server without TLS only in this text.
    explain(error).is_some() || error.to_string().starts_with("error performing TLS handshake")
}

/// The remedy for an error of TLS. `origin` knows where the settings are.
pub fn remedy(error: &(dyn std::error::Error + 'static), origin: &Origin) -> String {
    let (root, mode) = (origin.of("SSLROOTCERT", "sslrootcert"), origin.of("SSLMODE", "sslmode"));
    let (certificate, key) = (origin.of("SSLCERT", "sslcert"), origin.of("SSLKEY", "sslkey"));
    let tls_error = find_cause::<Error>(error);
    if let Some(Error::InvalidCertificate(fault)) = tls_error
        && let Some((_, replacement)) = defect(fault)
    {
        return format!("give the server a certificate {replacement}");
    }
    match tls_error {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            format!("set {root} to the certificate of the authority that signed the server's")
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            let host = origin.of("HOST", "host");
            format!("set {host} to a name in the server's certificate, or give the server a certificate for this name")
        }
        Some(error) if is_outside_validity(error) => "renew the server's certificate, or correct the clocks".to_owned(),
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            format!(
                "check the key of the server's certificate ({KEYS}), and its ssl_ciphers and ssl_min_protocol_version"
            )
        }
        Some(Error::AlertReceived(_)) => format!("check {certificate} and {key}, and the server's ssl_ca_file"),
        Some(_) => "check which TLS versions and ciphers the server supports".to_owned(),
        None if find_cause::<UnfitFile>(error).is_some() => format!("check {root}, {certificate} and {key}"),
        None => format!("turn TLS on at the server (ssl = on), or set {mode} to a mode that it supports"),
    }
}

/// The first cause of type `E`.
pub fn find_cause<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
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

fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(fault) => {
            let defect = defect(fault).map_or_else(|| distrust(fault), |(defect, _)| defect);
            format!("the server's certificate {defect}")
        }
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

/// Why a certificate without a [`defect`] is rejected.
fn distrust(fault: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let reason = match fault {
        // BadSignature: an authority of the same name has another key.
        UnknownIssuer | BadSignature => "is not from an authority in sslrootcert",
        NotValidForName | NotValidForNameContext { .. } => "is not for this host (sslmode verify-full)",
        Expired | ExpiredContext { .. } => "has expired",
        NotValidYet | NotValidYetContext { .. } => "is not valid yet; is this machine's clock right?",
        other => return format!("cannot be trusted: {other}"),
    };
    reason.to_owned()
}
