//! The URL of a domain that is a service: `https://host/base`, `http://host:port`, or `unix:/path/of/socket`.
//!
//! It has no credentials: the token is a setting of its own, so that no log, error or health page can show one.

use std::net::IpAddr;

use url::{Host, Url};

use super::connection::{Connection, Password, Protocol};
use super::tls::{SessionAttrs, SslMode, Tls, TlsConfigError, Written};
use super::url::DEFAULT_APPLICATION_NAME;

/// The schemes of services.
const SCHEMES: [&str; 3] = ["https:", "http:", "unix:"];

/// Why the URL of a service is refused. No message repeats a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    /// It is not a URL.
    #[error("the URL of a service looks like `https://host/path`, `http://host:port` or `unix:/path/of/socket`: {why}")]
    Syntax {
        /// What is wrong.
        why: String,
    },
    /// It has a user or a password.
    #[error("the URL of a service may not have a user or a password")]
    Credentials,
    /// It has a part that has no meaning here.
    #[error("the URL of a service may not have {part}")]
    Part {
        /// The part.
        part: &'static str,
    },
    /// The token would be readable on the way.
    #[error("over `http:` the token would be sent in plain text to another machine")]
    PlainToken,
    /// A setting of TLS is not valid.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
}

impl ServiceUrlError {
    /// The remedy; `prefix` is what the names of the domain's variables begin with.
    pub(super) fn help(&self, prefix: &str) -> Option<String> {
        match self {
            Self::Credentials => Some(format!("put the token into {prefix}TOKEN, or its file into {prefix}TOKEN_FILE")),
            Self::PlainToken => Some("use `https:`; `http:` with a token is for this machine only".to_owned()),
            Self::Part { .. } => Some("the paths of nodes are appended to the URL".to_owned()),
            Self::Syntax { .. } | Self::Tls(_) => None,
        }
    }
}

/// Whether `url` is that of a service.
pub(super) fn is_service(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

/// The connection to the service at `url`, with its token and the files of TLS.
pub(super) fn read(url: &str, token: Password, files: Written<'_>) -> Result<Connection, Vec<ServiceUrlError>> {
    let syntax = |why: &str| vec![ServiceUrlError::Syntax { why: why.to_owned() }];
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(syntax("the path of a socket begins with `/`"));
        }
        return Ok(connection((path.to_owned(), 0), String::new(), token, Tls::plain()));
    }
    let parsed = Url::parse(url).map_err(|error| syntax(&error.to_string()))?;
    let mut errors = Vec::new();
    if !parsed.username().is_empty() || parsed.password().is_some() {
        errors.push(ServiceUrlError::Credentials);
    }
    for (part, given) in [("a query", parsed.query()), ("a fragment", parsed.fragment())] {
        errors.extend(given.map(|_| ServiceUrlError::Part { part }));
    }
    let (Some(host), Some(port)) = (parsed.host(), parsed.port_or_known_default()) else {
        return Err(syntax("there is no host"));
    };
    let is_plain = parsed.scheme() == "http";
    if is_plain && !matches!(token, Password::None) && !is_this_machine(&host) {
        errors.push(ServiceUrlError::PlainToken);
    }
    let tls = if is_plain {
        Tls::plain()
    } else {
        let [_, root, certificate, key, ..] = files;
        let written = [Some(SslMode::VerifyFull.word()), root.or(Some("system")), certificate, key, None, None];
        Tls::read(written, &mut |error| errors.push(error.into())).0
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let host = match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok(connection((host, port), parsed.path().trim_end_matches('/').to_owned(), token, tls))
}

fn connection(host: (String, u16), base: String, token: Password, tls: Tls) -> Connection {
    Connection {
        protocol: Protocol::Http { base },
        hosts: vec![host],
        user: String::new(),
        password: token,
        database: String::new(),
        application_name: DEFAULT_APPLICATION_NAME.to_owned(),
        options: String::new(),
        tls,
        session_attrs: SessionAttrs::Any,
    }
}

pub(super) fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Password {
        Password::Given("secret".into())
    }

    #[test]
    fn a_url_is_a_host_a_port_a_base_path_and_verified_tls() {
        for (url, host, port, base, mode) in [
            ("https://oms.internal/", "oms.internal", 443, "", SslMode::VerifyFull),
            ("https://oms.internal:8443/v1/oms/", "oms.internal", 8443, "/v1/oms", SslMode::VerifyFull),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "", SslMode::Disable),
            ("http://[::1]:8080/a", "::1", 8080, "/a", SslMode::Disable),
            ("unix:/run/oms.sock", "/run/oms.sock", 0, "", SslMode::Disable),
            ("unix:///run/oms.sock", "/run/oms.sock", 0, "", SslMode::Disable),
        ] {
            let found = read(url, token(), Written::default()).expect(url);
            assert_eq!(found.hosts, [(host.to_owned(), port)], "{url}");
            assert_eq!(found.protocol, Protocol::Http { base: base.to_owned() }, "{url}");
            assert_eq!(found.tls.mode, mode, "{url}");
        }
    }

    #[test]
    fn a_url_that_would_leak_or_mislead_is_refused_without_repeating_it() {
        for (url, expected) in [
            ("https://user:hunter2@oms.internal/", "may not have a user or a password"),
            ("https://oms.internal/?token=hunter2", "may not have a query"),
            ("https://oms.internal/#hunter2", "may not have a fragment"),
            ("http://oms.internal/", "in plain text"),
            ("https://", "looks like"),
            ("https://oms.internal:hunter2/", "looks like"),
            ("unix:run/hunter2.sock", "begins with `/`"),
        ] {
            let errors = read(url, token(), Written::default()).expect_err(url);
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert!(text.join("; ").contains(expected), "{url}: {text:?}");
            assert!(!text.join("; ").contains("hunter2"), "{url}: {text:?}");
        }
    }
}
