//! A diagnostic, and collections of them.

use super::source::Span;

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not do what its author meant.
    Warning,
}

/// The place of a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A range of a file.
    Span(Span),
    /// A file as a whole (it is missing, or cannot be read).
    File(String),
    /// An environment variable.
    Variable(String),
    /// A command-line argument.
    Argument(String),
    /// A domain's database.
    Database(String),
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable kebab-case code, such as `unknown-fact`.
    pub code: &'static str,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Its place.
    pub place: Place,
    /// What to write beside the caret; often what was expected.
    pub label: Option<String>,
    /// Other places that explain it (the first definition of a duplicate, the links of a cycle).
    pub related: Vec<(Span, String)>,
    /// The remedy.
    pub help: Option<String>,
    /// The start of the construct around it, such as the rule of a condition. An `allow` above it counts.
    pub about: Option<Span>,
}

impl Diagnostic {
    /// An error at `place`.
    pub fn error(code: &'static str, place: impl Into<Place>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, place.into(), message.into())
    }

    /// A warning at `place`.
    pub fn warning(code: &'static str, place: impl Into<Place>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, place.into(), message.into())
    }

    fn new(severity: Severity, code: &'static str, place: Place, message: String) -> Self {
        Self { severity, code, message, place, label: None, related: Vec::new(), help: None, about: None }
    }

    /// Adds what to write beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds another place that explains it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds the start of the construct around it.
    #[must_use]
    pub fn about(mut self, whole: Span) -> Self {
        self.about = Some(whole);
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the remedy, if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl From<&Span> for Place {
    fn from(span: &Span) -> Self {
        Self::Span(span.clone())
    }
}

/// A collection of errors and warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(other);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many errors and how many warnings there are.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        (errors, self.0.len() - errors)
    }

    /// The diagnostics in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Sorts them by file and place, those without a file last, and removes duplicates.
    pub fn sort(&mut self) {
        self.0.sort_by_cached_key(Self::order);
        self.0.dedup();
    }

    fn order(diagnostic: &Diagnostic) -> (u8, String, usize, Severity) {
        let (rank, name, offset) = match &diagnostic.place {
            Place::Span(span) => (0, span.source().name().to_owned(), span.range().start),
            Place::File(name) => (0, name.clone(), 0),
            Place::Variable(name) => (1, name.clone(), 0),
            Place::Argument(name) => (2, name.clone(), 0),
            Place::Database(name) => (3, name.clone(), 0),
        };
        (rank, name, offset, diagnostic.severity)
    }

    /// The value and the warnings, if there is no error.
    ///
    /// # Errors
    /// All diagnostics, sorted, if there is an error.
    pub fn into_result<T>(mut self, value: T) -> Result<(T, Self), Self> {
        self.sort();
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}
