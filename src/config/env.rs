//! The environment: the variables of the process, which replace those of a `.env` file.
//!
//! It is read once, here, and passed on. Nothing sets a variable of the process; tests pass their own variables
//! ([`Env::from_pairs`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::dotenv;
use super::interpolate::{self, Piece, ReferenceError};
use super::keys::is_domain_variable;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Span};

/// Variables and where each comes from. Its `Debug` shows names, never values. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Env {
    variables: Arc<BTreeMap<String, Variable>>,
}

#[derive(Clone)]
struct Variable {
    /// `None` where it is not Unicode.
    value: Option<String>,
    /// Its place in `.env`; `None` for a variable of the process.
    written: Option<Span>,
}

impl Env {
    /// The variables of the process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Only these variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variable = |value: V| Variable { value: Some(value.into()), written: None };
        Self { variables: Arc::new(pairs.into_iter().map(|(name, value)| (name.into(), variable(value))).collect()) }
    }

    /// Adds these variables, which replace those of the same names.
    #[must_use]
    pub fn with_pairs<N: Into<String>, V: Into<String>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variable = |value: V| Variable { value: Some(value.into()), written: None };
        Arc::make_mut(&mut self.variables)
            .extend(pairs.into_iter().map(|(name, value)| (name.into(), variable(value))));
        self
    }

    /// Only the variables whose names are `wanted`.
    #[must_use]
    pub fn keeping(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        Arc::make_mut(&mut self.variables).retain(|name, _| wanted(name));
        self
    }

    /// Adds the variables of the `.env` file at `path`, if it exists. Variables that are set are kept. Errors
    /// (`dotenv-syntax`, `duplicate-variable`, `unreadable-file`) go to `errors`; the other lines are read.
    #[must_use]
    pub fn with_dotenv(self, path: &Path, errors: &mut Diagnostics) -> Self {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => return self.with_dotenv_text(&name, &text, errors),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("the file cannot be read: {error}");
                errors.push(Diagnostic::error("unreadable-file", Place::File(name), message));
            }
        }
        self
    }

    /// The same for a `.env` file of this name and text.
    #[must_use]
    pub fn with_dotenv_text(mut self, file: &str, text: &str, errors: &mut Diagnostics) -> Self {
        let (assignments, refused) = dotenv::read(file, text);
        errors.extend(refused);
        let variables = Arc::make_mut(&mut self.variables);
        for assignment in assignments {
            let variable = Variable { value: Some(assignment.value), written: Some(assignment.span) };
            variables.entry(assignment.name).or_insert(variable);
        }
        self
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Where a variable is set: its line of `.env`, or its name.
    pub fn place(&self, name: &str) -> Place {
        match self.variables.get(name).and_then(|variable| variable.written.clone()) {
            Some(span) => Place::Span(span),
            None => Place::Variable(name.to_owned()),
        }
    }

    /// An error about a variable. The message has the name only where the place does not.
    pub(super) fn error(&self, name: &str, code: &'static str, message: &str) -> Diagnostic {
        match self.place(name) {
            Place::Span(span) => Diagnostic::error(code, span, format!("{name}: {message}")),
            place => Diagnostic::error(code, place, message),
        }
    }

    /// Whether a variable comes from `.env`.
    pub(super) fn is_from_dotenv(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.written.is_some())
    }

    /// Whether a variable is set and not empty, whether or not it is Unicode.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.variables.get(name).map(|variable| variable.value.as_deref());
        value.is_some_and(|value| value.is_none_or(|value| !value.is_empty()))
    }

    /// The value as it was set; `None` where it is not set, empty or not Unicode.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.value.as_deref().filter(|value| !value.is_empty())
    }

    /// The value with its references replaced; `None` where it is not set or empty.
    ///
    /// Variables of `.env` and of domains may refer to others; every other variable of the process is taken verbatim,
    /// because it may hold a generated secret.
    ///
    /// # Errors
    /// `bad-reference`, at the place of the variable.
    pub fn value(&self, name: &str) -> Result<Option<String>, Diagnostics> {
        if !self.variables.contains_key(name) {
            return Ok(None);
        }
        match self.lookup(name, &mut Vec::new()) {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(error) => Err(self.error(name, "bad-reference", &error.to_string()).help(error.help()).into()),
        }
    }

    /// `text` with its references replaced.
    ///
    /// # Errors
    /// [`ReferenceError`] where a reference cannot be replaced.
    pub fn expand(&self, text: &str) -> Result<String, ReferenceError> {
        self.expand_within(text, &mut Vec::new())
    }

    fn expand_within(&self, text: &str, chain: &mut Vec<String>) -> Result<String, ReferenceError> {
        let mut expanded = String::new();
        for piece in interpolate::pieces(text)? {
            match piece {
                Piece::Literal(literal) => expanded.push_str(literal),
                Piece::Reference(name) => expanded.push_str(&self.lookup(name, chain)?),
            }
        }
        Ok(expanded)
    }

    fn lookup(&self, name: &str, chain: &mut Vec<String>) -> Result<String, ReferenceError> {
        if chain.iter().any(|link| link == name) {
            let chain = format!("{} -> {name}", chain.join(" -> "));
            return Err(ReferenceError::Cycle { chain });
        }
        let variable = self.variables.get(name).ok_or_else(|| ReferenceError::Unset { name: name.to_owned() })?;
        let value = variable.value.as_deref().ok_or_else(|| ReferenceError::NotUnicode { name: name.to_owned() })?;
        if variable.written.is_none() && !is_domain_variable(name) {
            return Ok(value.to_owned());
        }
        chain.push(name.to_owned());
        let expanded = self.expand_within(value, chain);
        chain.pop();
        expanded
    }
}

impl FromIterator<(OsString, OsString)> for Env {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(pairs: I) -> Self {
        let unicode = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, Variable { value: value.into_string().ok(), written: None }))
        };
        Self { variables: Arc::new(pairs.into_iter().filter_map(unicode).collect()) }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.variables.len())
    }
}
