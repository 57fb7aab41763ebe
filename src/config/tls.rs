//! How a connection authenticates the server: libpq's `sslmode`, `sslrootcert`, `sslcert`, `sslkey`,
//! `channel_binding` and `target_session_attrs`, with libpq's meanings. Files are opened here only to check that they exist.

use std::fs::File;
use std::path::{Path, PathBuf};

/// Whether a connection uses TLS, and how it verifies the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server supports it; its certificate is not verified.
    #[default]
    Prefer,
    /// TLS; the server's certificate is not verified, unless there are root certificates.
    Require,
    /// TLS, and a certificate of a trusted authority.
    VerifyCa,
    /// TLS, and a certificate of a trusted authority for this host.
    VerifyFull,
}

/// The root certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// Those of the operating system.
    System,
    /// Those of a file, in PEM.
    File(PathBuf),
}

/// The client's certificate and its private key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// TLS as one domain uses it. The files are read at each connect, so that renewed ones take effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Default `prefer`, as in libpq.
    pub mode: SslMode,
    /// The root certificates.
    pub root: Option<RootCert>,
    /// The client's certificate.
    pub identity: Option<Identity>,
    /// Default `prefer`, as in libpq.
    pub channel_binding: ChannelBinding,
}

/// Whether authentication by password is bound to the TLS connection, so that it cannot be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server supports it.
    #[default]
    Prefer,
    /// Always: a server that does not bind the channel is refused.
    Require,
}

/// Which of several servers is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionAttrs {
    /// The first that answers.
    #[default]
    Any,
    /// One that is not in recovery: `primary` and `read-write`. Sessions of this service are always read only.
    Primary,
    /// One that is in recovery: `standby` and `read-only`.
    Standby,
    /// One that is in recovery, or else any.
    PreferStandby,
}

/// An error in these settings. No message repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// The mode is not known.
    #[error("sslmode must be one of `disable`, `prefer`, `require`, `verify-ca`, `verify-full`")]
    Mode,
    /// `allow` tries without TLS first.
    #[error("sslmode `allow` would send the login without TLS first; `prefer` tries TLS first")]
    Allow,
    /// There are no root certificates.
    #[error("sslmode `{mode}` needs root certificates: set sslrootcert to a file, or to `system`")]
    NoRoot {
        /// The mode.
        mode: &'static str,
    },
    /// Public authorities issue certificates for any host.
    #[error("sslrootcert `system` needs sslmode `verify-full`: public authorities issue certificates for any host")]
    WeakSystem,
    /// The certificate or its key is missing.
    #[error("sslcert and sslkey belong together; {missing} is missing")]
    HalfIdentity {
        /// The missing setting.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("the file of {what} cannot be read: {why}")]
    File {
        /// The setting.
        what: &'static str,
        /// The reason.
        why: String,
    },
    /// `channel_binding` has an unknown word.
    #[error("channel_binding must be one of `disable`, `prefer`, `require`")]
    ChannelBinding,
    /// Channel binding needs TLS.
    #[error("channel_binding `require` needs TLS, and sslmode is `disable`")]
    NoChannel,
    /// `target_session_attrs` has an unknown word.
    #[error(
        "target_session_attrs must be one of `any`, `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`"
    )]
    SessionAttrs,
}

/// The settings as they were written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written<'a> {
    pub(super) mode: Option<&'a str>,
    pub(super) root: Option<&'a str>,
    pub(super) certificate: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) channel_binding: Option<&'a str>,
}

impl SslMode {
    fn parse(text: &str) -> Result<Self, TlsConfigError> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            "allow" => return Err(TlsConfigError::Allow),
            _ => return Err(TlsConfigError::Mode),
        })
    }

    /// libpq's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl ChannelBinding {
    fn parse(text: &str) -> Result<Self, TlsConfigError> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            _ => return Err(TlsConfigError::ChannelBinding),
        })
    }
}

impl SessionAttrs {
    pub(super) fn parse(text: &str) -> Result<Self, TlsConfigError> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" | "primary" => Self::Primary,
            "read-only" | "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return Err(TlsConfigError::SessionAttrs),
        })
    }

    /// libpq's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
}

impl Tls {
    /// Reads the settings and reports all errors. As in libpq, `require` with root certificates means `verify-ca`.
    pub(super) fn read(written: Written<'_>, report: &mut impl FnMut(TlsConfigError)) -> Self {
        let mut tls = Self::default();
        match written.mode.map(SslMode::parse) {
            Some(Ok(mode)) => tls.mode = mode,
            Some(Err(error)) => report(error),
            None => {}
        }
        tls.root = written.root.map(|text| match text {
            "system" => RootCert::System,
            path => RootCert::File(existing("sslrootcert", path, report)),
        });
        match (written.certificate, written.key) {
            (Some(certificate), Some(key)) => {
                let certificate = existing("sslcert", certificate, report);
                tls.identity = Some(Identity { certificate, key: existing("sslkey", key, report) });
            }
            (Some(_), None) => report(TlsConfigError::HalfIdentity { missing: "sslkey" }),
            (None, Some(_)) => report(TlsConfigError::HalfIdentity { missing: "sslcert" }),
            (None, None) => {}
        }
        match written.channel_binding.map(ChannelBinding::parse) {
            Some(Ok(binding)) => tls.channel_binding = binding,
            Some(Err(error)) => report(error),
            None => {}
        }
        if tls.channel_binding == ChannelBinding::Require && tls.mode == SslMode::Disable {
            report(TlsConfigError::NoChannel);
        }
        match (tls.mode, &tls.root) {
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
                report(TlsConfigError::NoRoot { mode: tls.mode.word() });
            }
            (SslMode::VerifyFull | SslMode::Disable, Some(RootCert::System)) | (_, None) => {}
            (_, Some(RootCert::System)) => report(TlsConfigError::WeakSystem),
            (SslMode::Require, Some(RootCert::File(_))) => tls.mode = SslMode::VerifyCa,
            (_, Some(RootCert::File(_))) => {}
        }
        tls
    }
}

/// The path; reports a file that cannot be read.
fn existing(what: &'static str, path: &str, report: &mut impl FnMut(TlsConfigError)) -> PathBuf {
    if let Err(error) = File::open(Path::new(path)) {
        report(TlsConfigError::File { what, why: error.to_string() });
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: Written<'_>) -> Result<Tls, Vec<String>> {
        let mut found = Vec::new();
        let tls = Tls::read(written, &mut |error: TlsConfigError| found.push(error.to_string()));
        if found.is_empty() { Ok(tls) } else { Err(found) }
    }

    #[test]
    fn require_with_authorities_verifies_them_as_in_libpq() {
        let here = Some(file!());
        let tls = read(Written { mode: Some("require"), root: here, ..Written::default() }).expect("settings");
        assert_eq!(tls.mode, SslMode::VerifyCa);
        assert_eq!(read(Written::default()).expect("settings").mode, SslMode::Prefer);
        let full = Written { mode: Some("verify-full"), root: Some("system"), ..Written::default() };
        assert_eq!(read(full).expect("settings").root, Some(RootCert::System));
    }

    #[test]
    fn settings_that_do_not_verify_what_they_say_are_refused() {
        for (written, expected) in [
            (Written { mode: Some("verify-full"), ..Written::default() }, "sslrootcert"),
            (Written { mode: Some("verify-ca"), root: Some("system"), ..Written::default() }, "verify-full"),
            (Written { mode: Some("allow"), ..Written::default() }, "prefer"),
            (Written { channel_binding: Some("yes"), ..Written::default() }, "one of"),
            (Written { channel_binding: Some("require"), mode: Some("disable"), ..Written::default() }, "needs TLS"),
            (Written { mode: Some("on"), ..Written::default() }, "one of"),
            (Written { certificate: Some(file!()), ..Written::default() }, "sslkey is missing"),
            (Written { root: Some("/nowhere/root.crt"), ..Written::default() }, "cannot be read"),
        ] {
            let found = read(written).expect_err("a error").join("\n");
            assert!(found.contains(expected), "{written:?}: {found}");
            assert!(!found.contains("/nowhere"), "{found}");
        }
    }
}
