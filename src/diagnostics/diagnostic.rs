//! One diagnostic, and all of them about something.

use super::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The thing cannot be used.
    Error,
    /// The thing can be used; it probably does not do what its author meant.
    Warning,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A stretch of a file.
    Span(Span),
    /// A file as a whole (it is missing, or cannot be read).
    File(String),
    /// An environment variable.
    Variable(String),
    /// A command-line argument.
    Argument(String),
    /// A domain's database, where a check asked it.
    Database(String),
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable kebab-case code, such as `unknown-fact`.
    pub code: &'static str,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// What to write beside the caret; often what was expected.
    pub label: Option<String>,
    /// Other places that explain it (the first definition of a duplicate, the links of a cycle).
    pub related: Vec<(Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
    /// Where the whole begins that it is about, such as the rule around a condition: an `allow` above it counts.
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

    /// Adds where the whole begins that it is about.
    #[must_use]
    pub fn about(mut self, whole: Span) -> Self {
        self.about = Some(whole);
        self
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds how to mend it, where that is known.
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

/// All complaints about something, in the order of their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No complaints.
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

    /// Whether there is none.
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

    /// The complaints as they came.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Puts them in the order a reader meets them: by file, then by place; complaints without a place come last.
    /// The same complaint about the same place stays once.
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

    /// `Ok(value)` where none is an error, with the warnings kept in `self`; else all of them.
    ///
    /// # Errors
    /// The complaints, sorted, where one is an error.
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
