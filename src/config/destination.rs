//! Where the relay sends events: the section `relay` of `config/service.yaml`, and its secrets, which come from variables.
//!
//! A webhook is configured as a domain that is a service. No message repeats a part of a URL or a secret.

use std::time::Duration;

use url::{Host, Url};

use super::connection::{Connection, Password};
use super::domain::{DomainConfig, PoolConfig, SessionAccess, Timeouts};
use super::env::Env;
use super::origin::Origin;
use super::relay::{RelayConfig, RelayTo};
use super::secret;
use super::service::Config;
use super::service_url::{self, ServiceUrlError, is_this_machine};
use super::subject::SubjectTemplate;
use super::tls::{SslMode, Tls, TlsConfigError, Written};
use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::types::DomainName;

/// The variable that replaces `relay.url`.
const URL_VARIABLE: &str = "TRIBUTARY_RELAY_URL";
/// What the names of the secrets begin with.
const PREFIX: &str = "RELAY_";
/// Idle connections to a webhook are not probed: that would be a request of another kind.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
/// The port of NATS.
const NATS_PORT: u16 = 4222;

/// Where events are sent, checked.
#[derive(Debug, Clone)]
pub enum Destination {
    /// The connection to the service of a webhook, and the path of the requests behind its base.
    Webhook(Box<DomainConfig>, &'static str),
    /// Servers of NATS.
    Nats(Box<NatsConfig>),
}

/// How to connect to NATS, and where to publish. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// The servers, each as `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// TLS; `disable` where no server has it.
    pub tls: Tls,
    /// How to log in.
    pub login: NatsLogin,
    /// The subject of an event.
    pub subject: SubjectTemplate,
    /// For a connection to be made.
    pub timeout: Duration,
}

/// How to log in to NATS. Files are read at each connect.
#[derive(Debug, Clone)]
pub enum NatsLogin {
    /// By a token, or not at all.
    Token(Password),
    /// By name and password.
    User(String, Password),
    /// By a file of credentials (`.creds`).
    Credentials(std::path::PathBuf),
}

impl Config {
    /// Where `tributary relay` sends events. `None` where it is off.
    ///
    /// # Errors
    /// Every error of the section and the variables.
    pub fn destination(&self) -> Result<Option<Destination>, Diagnostics> {
        let mut reading = Reading { env: self.env(), errors: Diagnostics::new() };
        let destination = match self.relay.to {
            RelayTo::Off => None,
            RelayTo::Webhook => reading.webhook(self),
            RelayTo::Nats => reading.nats(&self.relay),
        };
        reading.errors.into_result(destination).map(|(destination, _)| destination)
    }
}

struct Reading<'a> {
    env: &'a Env,
    errors: Diagnostics,
}

impl Reading<'_> {
    fn report(&mut self, key: &str, message: &str, help: &str) {
        let is_variable = key == "url" && self.env.is_set(URL_VARIABLE);
        let place = if is_variable { self.env.place(URL_VARIABLE) } else { Place::File(format!("relay.{key}")) };
        self.errors.push(Diagnostic::error("bad-relay", place, message).help(help));
    }

    fn value(&mut self, key: &str) -> Option<String> {
        self.env.value(&format!("{PREFIX}{key}")).unwrap_or_else(|refused| {
            self.errors.extend(refused);
            None
        })
    }

    fn secret(&mut self, key: &str) -> Password {
        let found = secret::read(self.env, &format!("{PREFIX}{key}"), |name| self.env.value(name), &mut self.errors);
        found.map_or(Password::None, |secret| secret.file.map_or(Password::Given(secret.text), Password::File))
    }

    fn url(&mut self, relay: &RelayConfig, example: &str) -> Option<String> {
        let url = relay.url.clone().filter(|url| !url.is_empty());
        if url.is_none() {
            self.report("to", "`relay.to` needs a URL, and there is none", &format!("set `relay.url: {example}`"));
        }
        url
    }

    fn webhook(&mut self, config: &Config) -> Option<Destination> {
        let url = self.url(&config.relay, "https://events.example.com/hook")?;
        if !service_url::is_service(&url) {
            let message = "the URL of a webhook looks like `https://host/path`, `http://host:port/path` or `unix:/path/of/socket`";
            self.report("url", message, "correct the URL, or set `relay.to: nats`");
            return None;
        }
        let (token, files) = (self.secret("TOKEN"), self.tls_files());
        let [root, certificate, key] = files.each_ref().map(Option::as_deref);
        let connection = match service_url::read(&url, token, [None, root, certificate, key, None, None]) {
            Ok(connection) => connection,
            Err(errors) => {
                errors.iter().for_each(|error| self.report_url(error));
                return None;
            }
        };
        let target = if url.ends_with('/') || is_bare(&connection) { "/" } else { "" };
        Some(Destination::Webhook(Box::new(service(connection, config)?), target))
    }

    fn report_url(&mut self, error: &ServiceUrlError) {
        let help = match error {
            ServiceUrlError::Tls(error) => return self.report_tls(error),
            ServiceUrlError::Part { .. } => Some("put what is secret into RELAY_TOKEN".to_owned()),
            error => error.help(PREFIX),
        };
        self.report("url", &error.to_string(), &help.unwrap_or_else(|| "correct the URL".to_owned()));
    }

    fn report_tls(&mut self, error: &TlsConfigError) {
        let name = format!("{PREFIX}{}", error.parameter().to_uppercase());
        let error = self.env.error(&name, "invalid-value", &error.to_string());
        self.errors.push(error.help("name a file in PEM that this process may read"));
    }

    fn nats(&mut self, relay: &RelayConfig) -> Option<Destination> {
        let urls = self.url(relay, "tls://nats.example.com")?;
        let login = self.login();
        let is_secret =
            matches!(&login, NatsLogin::Token(Password::Given(_) | Password::File(_)) | NatsLogin::User(..));
        let mut servers = Vec::new();
        for url in urls.split(',').map(str::trim) {
            match server(url, is_secret) {
                Ok(server) => servers.push(server),
                Err((message, help)) => self.report("url", message, help),
            }
        }
        let subject = match SubjectTemplate::parse(&relay.subject) {
            Ok(subject) => subject,
            Err(error) => {
                self.report("subject", &error.to_string(), "write it as `events.{aggregatetype}.{type}`");
                return None;
            }
        };
        let tls = self.nats_tls(&servers)?;
        Some(Destination::Nats(Box::new(NatsConfig { servers, tls, login, subject, timeout: relay.timeout })))
    }

    fn nats_tls(&mut self, servers: &[String]) -> Option<Tls> {
        if !servers.iter().any(|server| server.starts_with("tls:")) {
            return Some(Tls { mode: SslMode::Disable, ..Tls::default() });
        }
        let files = self.tls_files();
        let [root, certificate, key] = files.each_ref().map(Option::as_deref);
        let written: Written<'_> =
            [Some(SslMode::VerifyFull.word()), root.or(Some("system")), certificate, key, None, None];
        let mut refused = Vec::new();
        let (tls, _) = Tls::read(written, &mut |error| refused.push(error));
        refused.iter().for_each(|error| self.report_tls(error));
        refused.is_empty().then_some(tls)
    }

    fn tls_files(&mut self) -> [Option<String>; 3] {
        ["SSLROOTCERT", "SSLCERT", "SSLKEY"].map(|key| self.value(key))
    }

    fn login(&mut self) -> NatsLogin {
        let (user, file) = (self.value("USER"), self.value("CREDENTIALS_FILE"));
        let (token, password) = (self.secret("TOKEN"), self.secret("PASSWORD"));
        let has_token = !matches!(token, Password::None);
        match (user, file) {
            (Some(_), Some(_)) => self.contradict("CREDENTIALS_FILE", "RELAY_USER and RELAY_CREDENTIALS_FILE"),
            (Some(_), None) if has_token => self.contradict("USER", "RELAY_USER and RELAY_TOKEN"),
            (None, Some(_)) if has_token => {
                self.contradict("CREDENTIALS_FILE", "RELAY_TOKEN and RELAY_CREDENTIALS_FILE");
            }
            (Some(user), None) => return NatsLogin::User(user, password),
            (None, Some(file)) => return NatsLogin::Credentials(file.into()),
            (None, None) => {}
        }
        NatsLogin::Token(token)
    }

    fn contradict(&mut self, key: &str, names: &str) {
        let message = format!("{names} are both set; set one");
        self.errors.push(self.env.error(&format!("{PREFIX}{key}"), "contradicting-variables", &message));
    }
}

/// Whether the URL has no path.
fn is_bare(connection: &Connection) -> bool {
    matches!(&connection.protocol, super::Protocol::Http { base } if base.is_empty())
        && !connection.hosts.iter().any(|(host, _)| host.starts_with('/'))
}

/// The webhook as the pool of a service takes it. One connection more than events in flight, which would be the probe's.
fn service(connection: Connection, config: &Config) -> Option<DomainConfig> {
    let relay = &config.relay;
    Some(DomainConfig {
        name: DomainName::parse("relay").ok()?,
        connection,
        write: None,
        access: SessionAccess::ReadOnly,
        origin: Origin::Variables { prefix: PREFIX.to_owned() },
        pool: PoolConfig {
            min: 0,
            max: relay.max_in_flight.saturating_mul(2).saturating_add(1),
            ..PoolConfig::default()
        },
        timeouts: Timeouts { probe_interval: NEVER, ..Timeouts::default() },
        max_staleness: None,
        time_zone: config.time_zone.clone(),
    })
}

/// The URL of a server of NATS with its port, or what is wrong and the remedy.
fn server(url: &str, has_secret: bool) -> Result<String, (&'static str, &'static str)> {
    let syntax = ("the URL of a server of NATS looks like `nats://host:port` or `tls://host:port`", "correct the URL");
    let parsed = Url::parse(url).map_err(|_| syntax)?;
    if !matches!(parsed.scheme(), "nats" | "tls") || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(syntax);
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let help = "put them into RELAY_USER and RELAY_PASSWORD, RELAY_TOKEN, or RELAY_CREDENTIALS_FILE";
        return Err(("the URL of a server of NATS may not have a user, a password or a token", help));
    }
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or(syntax)?;
    let is_here = Host::parse(host).is_ok_and(|host| match &host {
        Host::Domain(name) => is_this_machine(&Host::Domain(name.as_str())),
        Host::Ipv4(address) => is_this_machine(&Host::Ipv4(*address)),
        Host::Ipv6(address) => is_this_machine(&Host::Ipv6(*address)),
    });
    if has_secret && parsed.scheme() == "nats" && !is_here {
        let message = "over `nats:` the token or password would be sent in plain text to another machine";
        return Err((message, "use `tls:`, or RELAY_CREDENTIALS_FILE, whose key is not sent"));
    }
    Ok(format!("{}://{host}:{}", parsed.scheme(), parsed.port().unwrap_or(NATS_PORT)))
}
