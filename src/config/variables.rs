//! The settings of one domain: `X_DB_HOST`, `X_DB_PORT`, ... for the domain `x_db`, `DB_*` for the domain `default`.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::connection::{Connection, Password, Protocol, WriteRole};
use super::env::Env;
use super::hosts::{self, HostError};
use super::keys::{DEFAULT_DOMAIN, KEYS, is_domain_variable, prefix, split};
use super::origin::Origin;
use super::secret::{self, Secret};
use super::service_url::{self, ServiceUrlError};
use super::tls::{Tls, TlsConfigError, Written};
use super::url::{DEFAULT_APPLICATION_NAME, DEFAULT_USER, UrlError, parse_seconds};
use crate::diagnostics::{Diagnostics, nearest};
use crate::types::DomainName;

/// The settings that hold a secret, or name the file of one.
const SECRETS: [&str; 8] =
    ["PASSWORD", "PASSWORD_FILE", WRITE_PASSWORD, "WRITE_PASSWORD_FILE", "TOKEN", "TOKEN_FILE", "URL", "URL_FILE"];
const WRITE_PASSWORD: &str = "WRITE_PASSWORD";

/// The settings of a domain except its secrets, as envy reads them. A type's error does not repeat the value.
#[derive(Default, Deserialize)]
struct Variables {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    write_user: Option<String>,
    name: Option<String>,
    application_name: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    connect_timeout: Option<Duration>,
    options: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    channel_binding: Option<String>,
    target_session_attrs: Option<String>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let timeout = parse_seconds(&String::deserialize(deserializer)?);
    timeout
        .map(|timeout| Some(timeout).filter(|timeout| !timeout.is_zero()))
        .ok_or_else(|| D::Error::custom("this must be a whole number of seconds from 0 to 3,600"))
}

impl Variables {
    /// Those that authenticate or select the server.
    fn safety(&self) -> Written<'_> {
        let words = [
            &self.sslmode,
            &self.sslrootcert,
            &self.sslcert,
            &self.sslkey,
            &self.channel_binding,
            &self.target_session_attrs,
        ];
        words.map(Option::as_deref)
    }
}

/// The configuration of a domain in the environment.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) connection: Connection,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) origin: Origin,
    pub(super) write: Option<WriteRole>,
}

/// The domains that have variables: names that end in `_DB`, and others that have a
/// PostgreSQL URL, or a host and a database.
pub(super) fn configured(env: &Env) -> Vec<DomainName> {
    let mut domains: Vec<DomainName> = Vec::new();
    for name in env.names() {
        let Some((owner, _)) = split(name).filter(|_| env.is_set(name)) else {
            continue;
        };
        let has = |key: &str| env.is_set(&format!("{owner}_{key}"));
        let has_url = || env.raw(&format!("{owner}_URL")).is_some_and(|url| url.starts_with("postgres"));
        let is_domain = is_domain_variable(name) || has_url() || has("HOST") && has("NAME");
        let domain = if owner == "DB" { DEFAULT_DOMAIN.to_owned() } else { owner.to_lowercase() };
        if let Ok(domain) = DomainName::parse(&domain)
            && is_domain
            && !domains.contains(&domain)
        {
            domains.push(domain);
        }
    }
    domains
}

/// The configuration of `domain` in `env`. `None` if it is not configured.
///
/// # Errors
/// Every error, at its variable.
pub(super) fn read(domain: &DomainName, env: &Env) -> Result<Option<Configured>, Diagnostics> {
    let mut reading = Reading { domain, env, prefix: prefix(domain), errors: Diagnostics::new() };
    reading.refuse_unknown();
    let set: Vec<&str> = KEYS.into_iter().filter(|key| env.is_set(&reading.variable(key))).collect();
    let variables = reading.variables(&set);
    let configured = match reading.secret("URL") {
        Some(url) if service_url::is_service(url.text.expose_secret()) => reading.read_service(&url, &variables),
        Some(url) => reading.read_url(&url, &variables, &set),
        None => Some(reading.read_parts(&variables, &set)),
    };
    reading.errors.sort();
    if reading.errors.has_errors() {
        return Err(reading.errors);
    }
    Ok(configured.filter(|_| !set.is_empty()))
}

struct Reading<'a> {
    domain: &'a DomainName,
    env: &'a Env,
    prefix: String,
    errors: Diagnostics,
}

impl Reading<'_> {
    fn variable(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn report(&mut self, key: &str, code: &'static str, message: &str, help: Option<String>) {
        let name = self.variable(key);
        self.errors.push(self.env.error(&name, code, message).maybe_help(help));
    }

    /// The settings, references replaced. `envy::prefixed` would cut a prefix off more than once where a name repeats it.
    fn variables(&mut self, set: &[&str]) -> Variables {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for key in set.iter().filter(|key| !SECRETS.contains(key)) {
            match self.env.value(&self.variable(key)) {
                Ok(value) => pairs.extend(value.map(|value| ((*key).to_owned(), value))),
                Err(refused) => self.errors.extend(refused),
            }
        }
        envy::from_iter(pairs.clone()).unwrap_or_else(|_| {
            // envy stops at the first error; here all are reported.
            for (key, value) in pairs {
                if let Err(error) = envy::from_iter::<_, Variables>([(key.clone(), value)]) {
                    self.report(&key, "invalid-value", &error.to_string(), None);
                }
            }
            Variables::default()
        })
    }

    fn secret(&mut self, key: &str) -> Option<Secret> {
        // A URL is taken apart before its references are replaced.
        let value = |name: &str| match self.env.raw(name) {
            Some(raw) if key == "URL" && raw.contains("://") && !service_url::is_service(raw) => {
                Ok(Some(raw.to_owned()))
            }
            _ => self.env.value(name),
        };
        secret::read(self.env, &self.variable(key), value, &mut self.errors)
    }

    /// Refuses variables with the domain's prefix that are not settings and may be misspelt.
    fn refuse_unknown(&mut self) {
        let names: Vec<&str> = self.env.names().filter(|name| name.starts_with(&self.prefix)).collect();
        for name in names {
            let key = name.get(self.prefix.len()..).unwrap_or("");
            if KEYS.contains(&key) || self.belongs_elsewhere(name, key) {
                continue;
            }
            let meant = nearest(key, KEYS);
            let names_a_database = self.prefix.ends_with("DB_");
            if meant.is_none() && !names_a_database && !self.env.is_from_dotenv(name) {
                continue;
            }
            let help = match meant {
                Some(meant) => format!("did you mean {}{meant}?", self.prefix),
                None => format!("known: {}", KEYS.map(|key| format!("{}{key}", self.prefix)).join(", ")),
            };
            let message = format!("this is not a setting of the domain `{}`", self.domain);
            self.errors.push(self.env.error(name, "unknown-variable", &message).help(help));
        }
    }

    /// Whether a variable with this domain's prefix has another owner: `OMS_DB_HOST` is not the `DB_HOST` of `oms`, and
    /// Kubernetes adds `OMS_DB_SERVICE_HOST` and `OMS_DB_PORT_5432_TCP` where a service is called `oms-db`.
    fn belongs_elsewhere(&self, name: &str, key: &str) -> bool {
        let other_domain =
            is_domain_variable(name) && split(name).is_some_and(|(owner, _)| owner.len() >= self.prefix.len());
        let service_link = ["SERVICE_", "PORT_"].iter().any(|start| key.starts_with(start));
        other_domain || service_link && !self.env.is_from_dotenv(name)
    }

    /// A domain that is a service. Settings of a database that are set beside it have no effect, so that a domain moves by its URL.
    fn read_service(&mut self, url: &Secret, variables: &Variables) -> Option<Configured> {
        let token = self.password("TOKEN");
        match service_url::read(url.text.expose_secret(), token, variables.safety()) {
            Ok(connection) => {
                let origin = Origin::Url { prefix: self.prefix.clone(), variable: url.variable.clone() };
                let connect_timeout = variables.connect_timeout;
                Some(Configured { connection, connect_timeout, origin, write: None })
            }
            Err(errors) => {
                for error in errors {
                    let key = match &error {
                        ServiceUrlError::Tls(error) => error.parameter().to_uppercase(),
                        _ => url.variable.strip_prefix(&self.prefix).unwrap_or("URL").to_owned(),
                    };
                    let help = error.help(&self.prefix);
                    self.report(&key, "bad-url", &error.to_string(), help);
                }
                None
            }
        }
    }

    fn read_url(&mut self, url: &Secret, variables: &Variables, set: &[&str]) -> Option<Configured> {
        let named = url.variable.strip_prefix(&self.prefix).unwrap_or("URL");
        for key in ["HOST", "PORT", "USER", "NAME"].into_iter().filter(|key| set.contains(key)) {
            let message = format!("{} already has this; set one or the other", url.variable);
            self.report(key, "contradicting-variables", &message, None);
        }
        let parsed = match Connection::from_url_and(url.text.expose_secret(), self.env, variables.safety()) {
            Ok(parsed) => parsed,
            Err(errors) => {
                for error in errors {
                    // An error in a variable beside the URL is reported there.
                    let beside = beside_key(&error).filter(|key| set.contains(&key.as_str()));
                    let key = beside.as_deref().unwrap_or(named);
                    self.report(key, url_code(&error), &error.to_string(), error.help());
                }
                return None;
            }
        };
        let mut connection = parsed.connection;
        if !parsed.names_database {
            connection.database = self.database(&connection.user);
        }
        match (&connection.password, self.password("PASSWORD")) {
            (Password::None, password) => connection.password = password,
            (_, Password::None) => {}
            _ => {
                let message = format!("{} has a password too; give it once", url.variable);
                let key = if set.contains(&"PASSWORD") { "PASSWORD" } else { "PASSWORD_FILE" };
                self.report(key, "contradicting-variables", &message, None);
            }
        }
        if let Some(name) = &variables.application_name {
            connection.application_name.clone_from(name);
        }
        if let Some(options) = &variables.options {
            connection.options.clone_from(options);
        }
        let connect_timeout = variables.connect_timeout.or(parsed.connect_timeout);
        let origin = Origin::Url { prefix: self.prefix.clone(), variable: url.variable.clone() };
        let write = self.write_role(variables, set);
        Some(Configured { connection, connect_timeout, origin, write })
    }

    fn read_parts(&mut self, variables: &Variables, set: &[&str]) -> Configured {
        let (tls, session_attrs) = Tls::read(variables.safety(), &mut |error| {
            self.report(&error.parameter().to_uppercase(), tls_code(&error), &error.to_string(), None);
        });
        let host = variables.host.as_deref().unwrap_or("");
        let hosts = hosts::lists(host, variables.port.as_deref()).map_err(|error| self.host_error(&error, variables));
        let user = variables.user.clone().unwrap_or_else(|| DEFAULT_USER.to_owned());
        let database = variables.name.clone().unwrap_or_else(|| self.database(&user));
        let connect_timeout = variables.connect_timeout;
        let connection = Connection {
            protocol: Protocol::Postgres,
            hosts: hosts.unwrap_or_default(),
            user,
            password: self.password("PASSWORD"),
            database,
            application_name: variables.application_name.clone().unwrap_or_else(|| DEFAULT_APPLICATION_NAME.to_owned()),
            options: variables.options.clone().unwrap_or_default(),
            tls,
            session_attrs,
        };
        let origin = Origin::Variables { prefix: self.prefix.clone() };
        let write = self.write_role(variables, set);
        Configured { connection, connect_timeout, origin, write }
    }

    /// The role that writes effects.
    fn write_role(&mut self, variables: &Variables, set: &[&str]) -> Option<WriteRole> {
        let password = self.password(WRITE_PASSWORD);
        if let Some(user) = variables.write_user.clone() {
            return Some(WriteRole { user, password });
        }
        if let Some(key) = set.iter().find(|key| key.starts_with(WRITE_PASSWORD) && !set.contains(&"WRITE_USER")) {
            let message = format!("{0}WRITE_USER is not set, so this is the password of no role", self.prefix);
            let help = format!("set {0}WRITE_USER to the role that writes effects, or remove {0}{key}", self.prefix);
            self.report(key, "missing-variable", &message, Some(help));
        }
        None
    }

    fn host_error(&mut self, error: &HostError, variables: &Variables) {
        let (key, code, help) = match error {
            HostError::Character { found: ':' } => {
                ("HOST", "bad-host", Some(format!("the port goes into {}PORT", self.prefix)))
            }
            HostError::Character { found: '?' } => {
                ("HOST", "bad-host", Some(format!("parameters go into {}URL", self.prefix)))
            }
            HostError::Character { .. } => ("HOST", "bad-host", None),
            _ if variables.port.as_ref().is_some_and(|port| port.starts_with("tcp://")) => {
                let help = "Kubernetes sets this for a service of that name; turn it off with \
                            `enableServiceLinks: false`, or set the port in the pod's `env`";
                ("PORT", "bad-port", Some(help.to_owned()))
            }
            _ => ("PORT", "bad-port", None),
        };
        self.report(key, code, &error.to_string(), help);
    }

    /// The default database: the domain's name; for the default domain the role's name, as in libpq.
    fn database(&self, user: &str) -> String {
        if self.domain.as_str() == DEFAULT_DOMAIN { user.to_owned() } else { self.domain.to_string() }
    }

    /// The password, or the token of a service.
    fn password(&mut self, key: &str) -> Password {
        match self.secret(key) {
            None => Password::None,
            Some(Secret { file: Some(path), .. }) => Password::File(path),
            Some(Secret { text, .. }) => Password::Given(text),
        }
    }
}

/// The end of the name of the variable that has a setting beside the URL, where that is wrong.
fn beside_key(error: &UrlError) -> Option<String> {
    match error {
        UrlError::SaidBeside { part } => Some(part.to_uppercase()),
        UrlError::Tls(error) => Some(error.parameter().to_uppercase()),
        _ => None,
    }
}

fn tls_code(error: &TlsConfigError) -> &'static str {
    match error {
        TlsConfigError::File { .. } => "unreadable-file",
        _ => "bad-tls",
    }
}

fn url_code(error: &UrlError) -> &'static str {
    match error {
        UrlError::Tls(error) => tls_code(error),
        UrlError::SaidBeside { .. } => "contradicting-variables",
        UrlError::UnknownParameter { .. } => "unknown-parameter",
        UrlError::Reference(_) => "bad-reference",
        _ => "bad-url",
    }
}
