//! The tree: nodes with their places in the file.

use std::sync::Arc;

use super::pieces;
use super::scalar::{Scalar, ScalarKind, Style};
use crate::diagnostics::{Snippet, Source, Span};

/// A node of a YAML document and its place. Cloning is cheap: children are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    span: Span,
    content: Content,
    /// How many nodes it is made of, those that aliases repeat counted each time.
    nodes: usize,
    /// How many levels of nodes it is made of.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Scalar(Scalar),
    Sequence(Arc<[Marked]>),
    Mapping(Arc<[Entry]>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    key: Arc<str>,
    key_span: Span,
    value: Marked,
}

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// A text, number, boolean or null.
    Scalar(&'a Scalar),
    /// A list.
    Sequence(&'a [Marked]),
    /// A mapping, in the order of the file.
    Mapping(&'a [Entry]),
}

impl Entry {
    pub(super) fn new(key: Arc<str>, key_span: Span, value: Marked) -> Self {
        Self { key, key_span, value }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The place of the key.
    pub fn key_span(&self) -> &Span {
        &self.key_span
    }

    /// The value.
    pub fn value(&self) -> &Marked {
        &self.value
    }
}

impl Marked {
    pub(super) fn from_scalar(span: Span, scalar: Scalar) -> Self {
        Self { span, content: Content::Scalar(scalar), nodes: 1, depth: 1 }
    }

    /// The mapping that has `text` at `path`, without a file. A scalar is resolved unless `is_text`.
    pub fn nested(path: &[&str], text: &str, is_text: bool) -> Self {
        let span = Source::new("", "").span(0..0);
        let style = if is_text { Style::DoubleQuoted } else { Style::Plain };
        let leaf = Self::from_scalar(span.clone(), replaced(text.to_owned(), style));
        let within = |value, key: &&str| {
            Self::from_entries(span.clone(), vec![Entry::new(Arc::from(*key), span.clone(), value)])
        };
        path.iter().rev().fold(leaf, within)
    }

    pub(super) fn from_items(span: Span, items: Vec<Self>) -> Self {
        let (nodes, depth) = measure(items.iter());
        Self { span, content: Content::Sequence(items.into()), nodes, depth }
    }

    pub(super) fn from_entries(span: Span, entries: Vec<Entry>) -> Self {
        let (nodes, depth) = measure(entries.iter().map(Entry::value));
        Self { span, content: Content::Mapping(entries.into()), nodes, depth }
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Its place. For an alias: the place of the anchor.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// A short span for a message: the node itself if it is on one line, otherwise its first key or item.
    pub fn head(&self) -> Span {
        if !self.span.text().contains('\n') {
            return self.span.clone();
        }
        match self.kind() {
            Kind::Scalar(_) => self.first_line(),
            Kind::Sequence(items) => items.first().map_or_else(|| self.first_line(), Self::head),
            Kind::Mapping(entries) => {
                entries.first().map_or_else(|| self.first_line(), |entry| entry.key_span().clone())
            }
        }
    }

    fn first_line(&self) -> Span {
        let length = self.span.text().lines().next().map_or(0, str::len);
        let start = self.span.range().start;
        self.span.source().span(start..start + length)
    }

    /// What it is.
    pub fn kind(&self) -> Kind<'_> {
        match &self.content {
            Content::Scalar(scalar) => Kind::Scalar(scalar),
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping(entries) => Kind::Mapping(entries),
        }
    }

    /// What it is, in words for a message.
    pub fn describe(&self) -> &'static str {
        match self.kind() {
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
            Kind::Scalar(scalar) => match scalar.kind() {
                ScalarKind::Null => "nothing",
                ScalarKind::Boolean(_) => "true or false",
                ScalarKind::Integer => "a whole number",
                ScalarKind::Decimal => "a decimal number",
                ScalarKind::Text => "text",
            },
        }
    }

    /// The entry with this key, where it is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key() == key)
    }

    /// The value of this key, where it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(Entry::value)
    }

    /// The entries of a mapping, in the order of the file, those that `<<` merged last; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Content::Mapping(entries) = &self.content { entries } else { &[] }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Self] {
        if let Content::Sequence(items) = &self.content { items } else { &[] }
    }

    /// The scalar, where it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        if let Content::Scalar(scalar) = &self.content { Some(scalar) } else { None }
    }

    /// The text, where it is text (a number is not).
    pub fn as_text(&self) -> Option<&str> {
        self.scalar().filter(|scalar| scalar.kind() == ScalarKind::Text).map(Scalar::text)
    }

    /// Whether it is nothing: `null`, `~`, or a key without a value.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind() == ScalarKind::Null)
    }

    /// The text of a scalar of any kind; each byte keeps its place in the file, also where quotes, escapes, folding or
    /// indentation were removed. `None` for a list or a mapping.
    pub fn snippet(&self) -> Option<Snippet> {
        let scalar = self.scalar()?;
        let range = self.span.range();
        let pieces = pieces::align(scalar.text(), self.span.text(), range.start, scalar.style());
        Some(Snippet::new(Arc::clone(self.span.source()), scalar.text(), pieces))
    }

    /// The same tree with each text replaced by the result of `replace` (`None` keeps it). A plain scalar is resolved
    /// again, so that `${PORT}` may become a number.
    #[must_use]
    pub fn map_text(&self, replace: &mut dyn FnMut(&Self, &str) -> Option<String>) -> Self {
        match self.kind() {
            Kind::Scalar(scalar) => match self.as_text().and_then(|text| replace(self, text)) {
                Some(text) => Self::from_scalar(self.span.clone(), replaced(text, scalar.style())),
                None => self.clone(),
            },
            Kind::Sequence(items) => {
                Self::from_items(self.span.clone(), items.iter().map(|item| item.map_text(replace)).collect())
            }
            Kind::Mapping(entries) => {
                let mapped = |entry: &Entry| Entry { value: entry.value.map_text(replace), ..entry.clone() };
                Self::from_entries(self.span.clone(), entries.iter().map(mapped).collect())
            }
        }
    }
}

fn replaced(text: String, style: Style) -> Scalar {
    let text: Arc<str> = text.into();
    Scalar::resolve(Arc::clone(&text), style).unwrap_or_else(|_| Scalar::text_as(text, style))
}

fn measure<'a>(children: impl Iterator<Item = &'a Marked>) -> (usize, usize) {
    children.fold((1, 1), |(nodes, depth), child| (nodes.saturating_add(child.nodes), depth.max(child.depth + 1)))
}
