//! From the command line, the environment, `.env` and `config/service.yaml` to one [`Config`], in this order of
//! precedence, with every complaint of all of them at once.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::env::Env;
use super::file;
use super::service::{Config, LogFormat, Threads};
use super::traces;
use super::variables::{one_line, read_secret};
use super::words::{Bind, Count, Filter, FromText, Milliseconds, Zone};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, nearest};
use crate::yaml;

/// Where the file is looked for when nothing names one.
const DEFAULT_FILE: &str = "config/service.yaml";
/// The `.env` file, in the directory the service is started in.
const DOTENV_FILE: &str = ".env";
/// Variables of the service start so.
const PREFIX: &str = "TRIBUTARY_";
/// The settings that may come as variables.
const KEYS: [&str; 11] = [
    "CONFIG",
    "BIND",
    "ADMIN_BIND",
    "TOKENS",
    "WORKERS",
    "RULE_THREADS",
    "REQUEST_TIMEOUT_MS",
    "BODY_LIMIT_BYTES",
    "TIME_ZONE",
    "LOG",
    "LOG_FORMAT",
];
/// Variables of this prefix that others read: the command line (`GRAPH`), `demo` and the scripts (`STATE`).
const ELSEWHERE: [&str; 2] = ["GRAPH", "STATE"];

/// What the command line says; it wins over everything else.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `--config`: the file, which must then be there.
    pub config: Option<PathBuf>,
    /// `--bind`: address and port.
    pub bind: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// The variables of the service as they were set. All text, so that reading them cannot fail with a message of envy's,
/// which would repeat the value.
#[derive(Default, Deserialize)]
struct Variables {
    config: Option<String>,
    bind: Option<String>,
    admin_bind: Option<String>,
    tokens: Option<String>,
    workers: Option<String>,
    rule_threads: Option<String>,
    request_timeout_ms: Option<String>,
    body_limit_bytes: Option<String>,
    time_zone: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
}

impl Config {
    /// Reads all there is: the environment of the process, `.env` and `config/service.yaml` of the working directory.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(arguments: &Arguments) -> Result<Self, Diagnostics> {
        let mut complaints = Diagnostics::new();
        let env = Env::of_process().with_dotenv(Path::new(DOTENV_FILE), &mut complaints);
        Self::load(arguments, env, complaints)
    }

    /// Reads the file and takes the environment from `env`; `complaints` are those of reading that.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(arguments: &Arguments, env: Env, complaints: Diagnostics) -> Result<Self, Diagnostics> {
        let mut loading = Loading { config: Self { env, ..Self::default() }, complaints };
        loading.refuse_unknown();
        let variables = loading.variables();
        loading.file(arguments, &variables);
        loading.environment(&variables);
        loading.arguments(arguments);
        loading.config.admin_token = loading.admin_token();
        loading.config.traces = traces::read(&loading.config.env, &mut loading.complaints);
        loading.complaints.into_result(loading.config).map(|(config, _)| config)
    }
}

/// The format of log lines, as far as it can be read although other settings may be wrong.
pub fn log_format(arguments: &Arguments, env: &Env) -> Option<LogFormat> {
    let of_variable = env.value("TRIBUTARY_LOG_FORMAT").ok().flatten();
    if let Some(format) = of_variable {
        return LogFormat::from_text(&format).ok();
    }
    let named = env.value("TRIBUTARY_CONFIG").ok().flatten().map(PathBuf::from);
    let path = arguments.config.clone().or(named).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let text = std::fs::read_to_string(path).ok()?;
    let root = yaml::parse(&Source::new("", text), yaml::Limits::default()).ok()?;
    LogFormat::from_text(root.get("log")?.get("format")?.as_text()?).ok()
}

struct Loading {
    config: Config,
    complaints: Diagnostics,
}

impl Loading {
    fn refuse_unknown(&mut self) {
        let env = &self.config.env;
        for (name, key) in env.names().filter_map(|name| Some((name, name.strip_prefix(PREFIX)?))) {
            if KEYS.contains(&key) || ELSEWHERE.contains(&key) {
                continue;
            }
            let help = match nearest(key, KEYS) {
                Some(meant) => format!("did you mean {PREFIX}{meant}?"),
                None => format!("known: {}", KEYS.map(|key| format!("{PREFIX}{key}")).join(", ")),
            };
            let message = "this is not a setting of the service";
            self.complaints.push(env.complaint(name, "unknown-variable", message).help(help));
        }
    }

    fn variables(&mut self) -> Variables {
        let mut pairs = Vec::new();
        for key in KEYS {
            if let Some(value) = self.value(&format!("{PREFIX}{key}")) {
                pairs.push((format!("{PREFIX}{key}"), value));
            }
        }
        envy::prefixed(PREFIX).from_iter(pairs).unwrap_or_default()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        self.config.env.value(name).unwrap_or_else(|refused| {
            self.complaints.extend(refused);
            None
        })
    }

    fn file(&mut self, arguments: &Arguments, variables: &Variables) {
        let (path, named_by) = match (&arguments.config, &variables.config) {
            (Some(path), _) => (path.clone(), Some(Place::Argument("--config".to_owned()))),
            (None, Some(path)) => (PathBuf::from(path), Some(self.config.env.place("TRIBUTARY_CONFIG"))),
            (None, None) => (PathBuf::from(DEFAULT_FILE), None),
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let env = self.config.env.clone();
                file::apply(
                    &Source::guarded(name, text, file::shown_keys()),
                    &env,
                    &mut self.config,
                    &mut self.complaints,
                );
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named_by.is_none() => {}
            Err(error) => {
                let message = format!("`{name}` cannot be read: {error}");
                let place = named_by.unwrap_or(Place::File(name));
                self.complaints.push(Diagnostic::error("unreadable-file", place, message));
            }
        }
    }

    fn environment(&mut self, variables: &Variables) {
        let http = self.config.http.clone();
        self.config.http.bind = self.setting("BIND", variables.bind.as_ref(), http.bind, |bind: Bind| bind.0);
        self.config.http.admin_bind =
            self.setting("ADMIN_BIND", variables.admin_bind.as_ref(), http.admin_bind, |bind: Bind| Some(bind.0));
        if let Some(tokens) = &variables.tokens {
            self.config.http.tokens = Some(PathBuf::from(tokens));
        }
        self.config.http.workers =
            self.setting("WORKERS", variables.workers.as_ref(), http.workers, |count: Threads| count);
        self.config.http.request_timeout = self.setting(
            "REQUEST_TIMEOUT_MS",
            variables.request_timeout_ms.as_ref(),
            http.request_timeout,
            |time: Milliseconds| time.0,
        );
        self.config.http.body_limit =
            self.setting("BODY_LIMIT_BYTES", variables.body_limit_bytes.as_ref(), http.body_limit, |count: Count| {
                count.0
            });
        let threads = self.config.rules.threads;
        self.config.rules.threads =
            self.setting("RULE_THREADS", variables.rule_threads.as_ref(), threads, |count: Threads| count);
        let zone = self.config.time_zone.clone();
        self.config.time_zone = self.setting("TIME_ZONE", variables.time_zone.as_ref(), zone, |zone: Zone| zone.0);
        let log = self.config.log.clone();
        self.config.log.format =
            self.setting("LOG_FORMAT", variables.log_format.as_ref(), log.format, |format: LogFormat| format);
        let rust_log = self.value("RUST_LOG");
        let filter = self.variable("RUST_LOG", rust_log.as_ref(), log.filter, |filter: Filter| Some(filter.0));
        self.config.log.filter = self.setting("LOG", variables.log.as_ref(), filter, |filter: Filter| Some(filter.0));
    }

    fn setting<W: FromText, T>(&mut self, key: &str, text: Option<&String>, before: T, to: impl Fn(W) -> T) -> T {
        self.variable(&format!("{PREFIX}{key}"), text, before, to)
    }

    /// What the variable says, or what was there before.
    fn variable<W: FromText, T>(&mut self, name: &str, text: Option<&String>, before: T, to: impl Fn(W) -> T) -> T {
        match text.map(|text| W::from_text(text)) {
            None => before,
            Some(Ok(word)) => to(word),
            Some(Err(message)) => {
                self.complaints.push(self.config.env.complaint(name, "invalid-value", message));
                before
            }
        }
    }

    fn arguments(&mut self, arguments: &Arguments) {
        if let Some(format) = arguments.log_format {
            self.config.log.format = format;
        }
        match arguments.bind.as_deref().map(Bind::from_text) {
            None => {}
            Some(Ok(bind)) => self.config.http.bind = bind.0,
            Some(Err(message)) => {
                let place = Place::Argument("--bind".to_owned());
                self.complaints.push(Diagnostic::error("invalid-value", place, message));
            }
        }
    }

    fn admin_token(&mut self) -> Option<SecretString> {
        let (token, file) = (self.value("ADMIN_TOKEN"), self.value("ADMIN_TOKEN_FILE"));
        let complaint = match (token, file) {
            (None, None) => return None,
            (Some(token), None) => match one_line(&token) {
                Ok(token) => return Some(SecretString::from(token)),
                Err(why) => {
                    self.complaints.push(self.config.env.complaint(
                        "ADMIN_TOKEN",
                        "invalid-value",
                        &format!("the value {why}"),
                    ));
                    return None;
                }
            },
            (None, Some(file)) => {
                let path = PathBuf::from(file);
                let read = read_secret(&path);
                self.config.admin_token_file = Some(path);
                match read {
                    Ok(token) => return Some(token),
                    Err(problem) => ("unreadable-file", problem),
                }
            }
            (Some(_), Some(_)) => {
                ("contradicting-variables", "ADMIN_TOKEN and ADMIN_TOKEN_FILE are both set; set one".to_owned())
            }
        };
        self.complaints.push(self.config.env.complaint("ADMIN_TOKEN_FILE", complaint.0, &complaint.1));
        None
    }
}
