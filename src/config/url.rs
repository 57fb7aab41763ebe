//! Connections written as URLs, as libpq understands them
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>):
//! `postgres://user:password@host:5432,other/database?application_name=x`.
//!
//! The URL is split first, and its references (`${NAME}`) are replaced afterwards, part by part and verbatim: a
//! password with `@` or `/` cannot become a host. An error repeats only the names of parameters. `tokio_postgres::Config`
//! reads no references, knows few of these parameters, and does not say which part is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::connection::{Connection, Password, Protocol};
use super::env::Env;
use super::hosts::{self, HostError};
use super::interpolate::{self, Piece, ReferenceError};
use super::tls::{self, SessionAttrs, Tls, TlsConfigError, Written};
use crate::diagnostics::nearest;

/// The default role.
pub(super) const DEFAULT_USER: &str = "postgres";
/// The default `application_name`.
pub(super) const DEFAULT_APPLICATION_NAME: &str = "tributary";

/// The supported parameters.
const PARAMETERS: [&str; 14] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// The contents of a URL.
#[derive(Debug, Clone)]
pub struct UrlConnection {
    /// The connection. Without a database in the URL, it has the name of the role, as in libpq.
    pub connection: Connection,
    /// `connect_timeout`, where it is given and not 0.
    pub connect_timeout: Option<Duration>,
    /// Whether it has a literal password instead of `${NAME}`.
    pub literal_password: bool,
    /// Whether it names a database.
    pub names_database: bool,
}

/// An error in a URL. No message repeats a value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme is not known.
    #[error("a connection URL starts with `postgres://` or `postgresql://`")]
    Scheme,
    /// An `@` is in the wrong place, so that the password was split.
    #[error("an `@` follows a `/`, `?` or `#`, so that the role and password cannot be separated from the host")]
    Misplaced,
    /// A `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
    #[error("{part}: `%` must be followed by two hexadecimal digits that make valid UTF-8 text")]
    Encoding {
        /// The part of the URL.
        part: &'static str,
    },
    /// A host or a port is not valid.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no such parameter.
    #[error("unknown parameter{}", in_backticks(name.as_deref()))]
    UnknownParameter {
        /// Its name, where it looks like one.
        name: Option<String>,
        /// The known one that is nearest.
        meant: Option<&'static str>,
    },
    /// A part is given twice.
    #[error("the {part} is given twice")]
    Twice {
        /// The part.
        part: String,
    },
    /// A variable has the same setting.
    #[error("the URL has {part} too; give it once")]
    SaidBeside {
        /// The parameter's name.
        part: &'static str,
    },
    /// A setting of TLS is not valid.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// `connect_timeout` is not a number of seconds.
    #[error("connect_timeout must be a whole number of seconds from 0 to 3,600")]
    ConnectTimeout,
    /// A reference cannot be replaced.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl UrlError {
    /// The remedy, where the message does not have it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Scheme => Some("for example postgres://user:${PASSWORD}@host:5432/database".to_owned()),
            Self::Misplaced | Self::Host(HostError::Port | HostError::Character { .. }) => Some(
                "in a role or password write `@` as %40, `/` as %2F, `?` as %3F, `#` as %23, `:` as %3A, `%` as %25; \
                 or refer to a variable, `${NAME}`, which is taken verbatim"
                    .to_owned(),
            ),
            Self::Encoding { .. } => Some("a literal `%` is written %25".to_owned()),
            Self::UnknownParameter { meant: Some(meant), .. } => Some(format!("did you mean `{meant}`?")),
            Self::UnknownParameter { .. } => Some(format!("known parameters: {}", PARAMETERS.join(", "))),
            Self::Reference(error) => Some(error.help()),
            Self::Host(_) | Self::Twice { .. } | Self::SaidBeside { .. } | Self::Tls(_) | Self::ConnectTimeout => None,
        }
    }
}

fn in_backticks(name: Option<&str>) -> String {
    name.map(|name| format!(" `{name}`")).unwrap_or_default()
}

impl Connection {
    /// Reads a URL whose references are variables of `env`.
    ///
    /// # Errors
    /// Every error in it.
    pub fn from_url(url: &str, env: &Env) -> Result<UrlConnection, Vec<UrlError>> {
        Self::from_url_and(url, env, Written::default())
    }

    /// The same, with the settings of variables for what the URL leaves out.
    pub(super) fn from_url_and(url: &str, env: &Env, beside: Written<'_>) -> Result<UrlConnection, Vec<UrlError>> {
        let parts = Parts::split(url).map_err(|error| vec![error])?;
        let mut reading = Reading { env, beside, errors: Vec::new() };
        let read = reading.read(&parts);
        if reading.errors.is_empty() { Ok(read) } else { Err(reading.errors) }
    }
}

/// The parts of a URL before decoding.
struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    hosts: &'a str,
    database: Option<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn split(url: &'a str) -> Result<Self, UrlError> {
        let rest = ["postgres://", "postgresql://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or(UrlError::Scheme)?;
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = before.split_once('/').unwrap_or((before, ""));
        if query.contains('@') || database.contains('@') || before.contains('#') {
            return Err(UrlError::Misplaced);
        }
        let (userinfo, hosts) = match authority.rsplit_once('@') {
            Some((userinfo, hosts)) => (Some(userinfo), hosts),
            None => (None, authority),
        };
        let (user, password) = match userinfo.map(|userinfo| userinfo.split_once(':').ok_or(userinfo)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        let given = |part: &&str| !part.is_empty();
        let parameters = query.split('&').filter(given).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Ok(Self {
            user: user.filter(given),
            password: password.filter(given),
            hosts,
            database: Some(database).filter(given),
            parameters: parameters.collect(),
        })
    }
}

/// Makes a connection of the parts of a URL, and collects all errors.
struct Reading<'a> {
    env: &'a Env,
    beside: Written<'a>,
    errors: Vec<UrlError>,
}

impl Reading<'_> {
    fn read(&mut self, parts: &Parts<'_>) -> UrlConnection {
        let raw = self.parameters(parts);
        let mut value = |name: &'static str| raw.get(name).and_then(|value| self.decode(name, value));
        let (application_name, options) = (value("application_name"), value("options"));
        let (user, password, database) = (value("user"), value("password"), value("dbname"));
        let (hosts, port) = (value("host"), value("port"));
        let timeout = value("connect_timeout");
        let words = tls::PARAMETERS.map(value);
        let (tls, session_attrs) = self.safety(&words);
        let connect_timeout = timeout.and_then(|timeout| self.seconds(&timeout));
        let hosts = match (hosts, parts.hosts) {
            (Some(hosts), _) => hosts::lists(&hosts, port.as_deref()),
            (None, authority) => match self.authority(authority) {
                Some(pairs) => hosts::with_ports(pairs, port.as_deref()),
                None => Ok(Vec::new()),
            },
        };
        let hosts = hosts.unwrap_or_else(|error| {
            self.errors.push(error.into());
            Vec::new()
        });
        let user = user.unwrap_or_else(|| DEFAULT_USER.to_owned());
        let literal = |password: &&str| {
            interpolate::pieces(password)
                .is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Literal(_))))
        };
        UrlConnection {
            connect_timeout,
            literal_password: raw.get("password").is_some_and(literal),
            names_database: database.is_some(),
            connection: Connection {
                protocol: Protocol::Postgres,
                hosts,
                database: database.unwrap_or_else(|| user.clone()),
                user,
                password: password.map_or(Password::None, |password| Password::Given(SecretString::from(password))),
                application_name: application_name.unwrap_or_else(|| DEFAULT_APPLICATION_NAME.to_owned()),
                options: options.unwrap_or_default(),
                tls,
                session_attrs,
            },
        }
    }

    /// How the server is authenticated and selected, by parameters or by variables.
    fn safety(&mut self, own: &[Option<String>; tls::PARAMETERS.len()]) -> (Tls, SessionAttrs) {
        let mut words = self.beside;
        for ((part, own), word) in tls::PARAMETERS.into_iter().zip(own).zip(&mut words) {
            match (own, &word) {
                (Some(_), Some(_)) => self.errors.push(UrlError::SaidBeside { part }),
                (Some(own), None) => *word = Some(own),
                (None, _) => {}
            }
        }
        Tls::read(words, &mut |error| self.errors.push(error.into()))
    }

    /// The parameters by name, with those before the `?`.
    fn parameters<'a>(&mut self, parts: &Parts<'a>) -> BTreeMap<&'static str, &'a str> {
        let mut known: BTreeMap<&'static str, &'a str> = BTreeMap::new();
        known.extend(parts.user.map(|user| ("user", user)));
        known.extend(parts.password.map(|password| ("password", password)));
        known.extend(parts.database.map(|database| ("dbname", database)));
        for (name, value) in &parts.parameters {
            let Some(parameter) = PARAMETERS.into_iter().find(|parameter| parameter == name) else {
                let meant = nearest(name, PARAMETERS);
                let looks_like_one = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = looks_like_one.then(|| (*name).to_owned());
                let meant = PARAMETERS.into_iter().find(|parameter| Some(*parameter) == meant);
                self.errors.push(UrlError::UnknownParameter { name, meant });
                continue;
            };
            let host_given = parameter == "host" && !parts.hosts.is_empty();
            if host_given || known.insert(parameter, value).is_some() {
                self.errors.push(UrlError::Twice { part: parameter.to_owned() });
            }
        }
        known.retain(|_, value| !value.is_empty());
        known
    }

    /// Hosts, each with its port.
    fn authority(&mut self, authority: &str) -> Option<Vec<(String, Option<String>)>> {
        let mut pairs = Vec::new();
        for one in authority.split(',') {
            let (host, port) = match one.rsplit_once(':') {
                // A colon within brackets belongs to an IPv6 address.
                Some((host, port)) if !port.contains(']') => (host, Some(port)),
                _ => (one, None),
            };
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = match port.filter(|port| !port.is_empty()) {
                Some(port) => Some(self.decode("port", port)?),
                None => None,
            };
            pairs.push((self.decode("host", bare)?, port));
        }
        Some(pairs)
    }

    fn seconds(&mut self, timeout: &str) -> Option<Duration> {
        let seconds = parse_seconds(timeout);
        if seconds.is_none() {
            self.errors.push(UrlError::ConnectTimeout);
        }
        seconds.filter(|timeout| !timeout.is_zero())
    }

    /// A part with its percent-encoding undone and its references replaced, which are not decoded.
    fn decode(&mut self, part: &'static str, raw: &str) -> Option<String> {
        let decoded = decode(raw, self.env, part);
        decoded.map_err(|error| self.errors.push(error)).ok()
    }
}

/// libpq's `connect_timeout`: whole seconds, 0 for no limit of its own.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.parse().ok()?;
    (seconds <= 3_600).then(|| Duration::from_secs(seconds))
}

fn decode(raw: &str, env: &Env, part: &'static str) -> Result<String, UrlError> {
    let mut text = String::new();
    for piece in interpolate::pieces(raw)? {
        match piece {
            Piece::Literal(literal) => {
                let digits = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
                let whole = literal.split('%').skip(1).all(digits);
                let decoded =
                    percent_decode_str(literal).decode_utf8().ok().filter(|text| whole && !text.contains('\0'));
                text.push_str(&decoded.ok_or(UrlError::Encoding { part })?);
            }
            Piece::Reference(name) => text.push_str(&env.expand(&format!("${{{name}}}"))?),
        }
    }
    Ok(text)
}
