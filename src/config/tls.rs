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

impl TlsConfigError {
    /// The parameter that it is about.
    pub(super) fn parameter(&self) -> &'static str {
        match self {
            Self::NoRoot { .. } | Self::WeakSystem => "sslrootcert",
            Self::HalfIdentity { missing: "sslkey" } => "sslcert",
            Self::HalfIdentity { .. } => "sslkey",
            Self::File { what, .. } => what,
            Self::Mode | Self::Allow => "sslmode",
            Self::ChannelBinding | Self::NoChannel => "channel_binding",
            Self::SessionAttrs => "target_session_attrs",
        }
    }
}

/// The parameters that authenticate or select the server.
pub(super) const PARAMETERS: [&str; 6] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding", "target_session_attrs"];

/// The values of [`PARAMETERS`] as they were written.
pub(super) type Written<'a> = [Option<&'a str>; PARAMETERS.len()];

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
    fn parse(text: &str) -> Result<Self, TlsConfigError> {
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
    /// No TLS.
    pub(super) fn plain() -> Self {
        Self { mode: SslMode::Disable, ..Self::default() }
    }

    /// Reads the settings and reports all errors. As in libpq, `require` with root certificates means `verify-ca`.
    pub(super) fn read(written: Written<'_>, report: &mut impl FnMut(TlsConfigError)) -> (Self, SessionAttrs) {
        let [mode, root, certificate, key, channel_binding, session_attrs] = written;
        let mut tls = Self { mode: parsed(mode, SslMode::parse, report), ..Self::default() };
        tls.root = root.map(|text| match text {
            "system" => RootCert::System,
            path => RootCert::File(existing("sslrootcert", path, report)),
        });
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let certificate = existing("sslcert", certificate, report);
                tls.identity = Some(Identity { certificate, key: existing("sslkey", key, report) });
            }
            (Some(_), None) => report(TlsConfigError::HalfIdentity { missing: "sslkey" }),
            (None, Some(_)) => report(TlsConfigError::HalfIdentity { missing: "sslcert" }),
            (None, None) => {}
        }
        tls.channel_binding = parsed(channel_binding, ChannelBinding::parse, report);
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
        (tls, parsed(session_attrs, SessionAttrs::parse, report))
    }
}

/// The value of a word. The default if the word is absent or wrong.
fn parsed<T: Default>(
    word: Option<&str>,
    parse: impl Fn(&str) -> Result<T, TlsConfigError>,
    report: &mut impl FnMut(TlsConfigError),
) -> T {
    word.map(parse).transpose().map_err(report).ok().flatten().unwrap_or_default()
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

    fn read(written: &[(&str, &str)]) -> Result<Tls, Vec<String>> {
        let mut found = Vec::new();
        let value = |parameter| written.iter().find(|(name, _)| *name == parameter).map(|(_, value)| *value);
        let (tls, _) = Tls::read(PARAMETERS.map(value), &mut |error: TlsConfigError| found.push(error.to_string()));
        if found.is_empty() { Ok(tls) } else { Err(found) }
    }

    #[test]
    fn require_with_root_certificates_verifies_them_as_in_libpq() {
        let tls = read(&[("sslmode", "require"), ("sslrootcert", file!())]).expect("settings");
        assert_eq!(tls.mode, SslMode::VerifyCa);
        assert_eq!(read(&[]).expect("settings").mode, SslMode::Prefer);
        let full = read(&[("sslmode", "verify-full"), ("sslrootcert", "system")]).expect("settings");
        assert_eq!(full.root, Some(RootCert::System));
    }

    #[test]
    fn settings_that_do_not_verify_what_they_say_are_refused() {
        for (written, expected) in [
            (&[("sslmode", "verify-full")][..], "sslrootcert"),
            (&[("sslmode", "verify-ca"), ("sslrootcert", "system")], "verify-full"),
            (&[("sslmode", "allow")], "prefer"),
            (&[("channel_binding", "yes")], "one of"),
            (&[("channel_binding", "require"), ("sslmode", "disable")], "needs TLS"),
            (&[("sslmode", "on")], "one of"),
            (&[("sslcert", file!())], "sslkey is missing"),
            (&[("sslrootcert", "/nowhere/root.crt")], "cannot be read"),
        ] {
            let found = read(written).expect_err("an error").join("\n");
            assert!(found.contains(expected), "{written:?}: {found}");
            assert!(!found.contains("/nowhere"), "{found}");
        }
    }
}
