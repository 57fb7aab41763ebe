//! From the command line, the environment, `.env` and `config/service.yaml` to one [`Config`], in this order of
//! precedence. The errors of all of them are reported at once.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::env::Env;
use super::file::File;
use super::secret;
use super::service::{Config, LogFormat, RecordsTo};
use super::settings::{merge, shown_keys, variables};
use super::traces;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, nearest};
use crate::yaml::{self, Marked, schema_of};

/// The file that is read when nothing names one; it need not exist.
const DEFAULT_FILE: &str = "config/service.yaml";
/// The variable that names the file.
const FILE_VARIABLE: &str = "TRIBUTARY_CONFIG";
/// The `.env` file, in the directory the service is started in.
const DOTENV_FILE: &str = ".env";
/// The prefix of the variables of the service.
const PREFIX: &str = "TRIBUTARY_";
/// Variables of this prefix that others read: the command line (`GRAPH`), `demo` and the scripts (`STATE`).
const ELSEWHERE: [&str; 2] = ["TRIBUTARY_GRAPH", "TRIBUTARY_STATE"];

/// The settings of the command line, which replace all others.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `--config`: the file, which must then exist.
    pub config: Option<PathBuf>,
    /// `--bind`: address and port.
    pub bind: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// The file of records where the configuration has none.
    pub records: Option<PathBuf>,
}

impl Config {
    /// Reads the environment of the process, and `.env` and `config/service.yaml` in the working directory.
    ///
    /// # Errors
    /// Every error in any of them.
    pub fn read(arguments: &Arguments) -> Result<Self, Diagnostics> {
        let mut errors = Diagnostics::new();
        let env = Env::of_process().with_dotenv(Path::new(DOTENV_FILE), &mut errors);
        Self::load(arguments, env, errors)
    }

    /// Reads the file and the variables of `env`; `errors` are those of reading `env`.
    ///
    /// # Errors
    /// Every error, `errors` included.
    pub fn load(arguments: &Arguments, env: Env, errors: Diagnostics) -> Result<Self, Diagnostics> {
        let mut loading = Loading { env, errors };
        loading.refuse_unknown();
        let file = loading.file(arguments);
        let mut value = file.value;
        loading.environment(&mut value);
        loading.bind(arguments, &mut value);
        let mut config: Self = serde_yaml::from_value(value).unwrap_or_else(|_| {
            // The value was checked: this happens only where there are errors.
            Self::default()
        });
        if let Some(format) = arguments.log_format {
            config.log.format = format;
        }
        if let Some(path) = arguments.records.as_ref().filter(|_| config.records.to == RecordsTo::Off) {
            (config.records.to, config.records.path) = (RecordsTo::File, path.clone());
        }
        (config.sections, config.warnings) = (file.sections, file.warnings);
        let token = secret::read(&loading.env, "ADMIN_TOKEN", |name| loading.env.value(name), &mut loading.errors);
        if let Some(token) = token {
            (config.admin_token, config.admin_token_file) = (Some(token.text), token.file);
        }
        config.traces = traces::read(&loading.env, &mut loading.errors);
        config.env = loading.env;
        loading.errors.into_result(config).map(|(config, _)| config)
    }
}

/// The format of log lines, also where other settings have errors.
pub fn log_format(arguments: &Arguments, env: &Env) -> Option<LogFormat> {
    if let Some(format) = env.value("TRIBUTARY_LOG_FORMAT").ok().flatten() {
        return named_format(&format);
    }
    let named = env.value(FILE_VARIABLE).ok().flatten().map(PathBuf::from);
    let path = arguments.config.clone().or(named).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let text = std::fs::read_to_string(path).ok()?;
    let root = yaml::parse(&Source::new("", text), yaml::Limits::default()).ok()?;
    named_format(root.get("log")?.get("format")?.as_text()?)
}

fn named_format(text: &str) -> Option<LogFormat> {
    serde_yaml::from_value(text.into()).ok()
}

/// The setting at `path` from the text of a variable or argument, or what it must be.
fn given(path: &[&str], text: &str, is_text: bool) -> Result<Value, String> {
    let mut found = Diagnostics::new();
    let value = yaml::checked::<Config>(&Marked::nested(path, text, is_text), &mut found);
    value.ok_or_else(|| {
        let message = found.iter().next().map(|error| error.message.clone()).unwrap_or_default();
        message.replacen(&format!("`{}`", path.last().unwrap_or(&"")), "this", 1)
    })
}

struct Loading {
    env: Env,
    errors: Diagnostics,
}

impl Loading {
    fn refuse_unknown(&mut self) {
        let schema = schema_of::<Config>();
        let settings = variables(&schema).into_iter().map(|(name, ..)| name).filter(|name| name.starts_with(PREFIX));
        let known: Vec<&str> = std::iter::once(FILE_VARIABLE).chain(settings).collect();
        for name in self.env.names().filter(|name| name.starts_with(PREFIX)) {
            if known.contains(&name) || ELSEWHERE.contains(&name) {
                continue;
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known: {}", known.join(", ")),
            };
            let message = "this is not a setting of the service";
            self.errors.push(self.env.error(name, "unknown-variable", message).help(help));
        }
    }

    fn value(&mut self, name: &str) -> Option<String> {
        self.env.value(name).unwrap_or_else(|refused| {
            self.errors.extend(refused);
            None
        })
    }

    fn file(&mut self, arguments: &Arguments) -> File {
        let (path, named_by) = match (&arguments.config, self.value(FILE_VARIABLE)) {
            (Some(path), _) => (path.clone(), Some(Place::Argument("--config".to_owned()))),
            (None, Some(path)) => (PathBuf::from(path), Some(self.env.place(FILE_VARIABLE))),
            (None, None) => (PathBuf::from(DEFAULT_FILE), None),
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let source = Source::guarded(name, text, shown_keys(&schema_of::<Config>()));
                return File::read(&source, &self.env, &mut self.errors);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named_by.is_none() => {}
            Err(error) => {
                let message = format!("`{name}` cannot be read: {error}");
                let place = named_by.unwrap_or(Place::File(name));
                self.errors.push(Diagnostic::error("unreadable-file", place, message));
            }
        }
        File::default()
    }

    /// Replaces settings of the file by those of variables.
    fn environment(&mut self, value: &mut Value) {
        for (name, path, is_text) in variables(&schema_of::<Config>()) {
            let Some(text) = self.value(name) else { continue };
            match given(&path, &text, is_text) {
                Ok(given) => merge(value, given),
                Err(message) => self.errors.push(self.env.error(name, "invalid-value", &message)),
            }
        }
    }

    fn bind(&mut self, arguments: &Arguments, value: &mut Value) {
        match arguments.bind.as_ref().map(|text| given(&["http", "bind"], text, true)) {
            None => {}
            Some(Ok(given)) => merge(value, given),
            Some(Err(message)) => {
                let place = Place::Argument("--bind".to_owned());
                self.errors.push(Diagnostic::error("invalid-value", place, message));
            }
        }
    }
}
