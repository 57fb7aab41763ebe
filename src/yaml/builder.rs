//! Makes nodes of the parser's events. It keeps its own stack, so that nesting does not use the call stack.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::limits::Limits;
use super::marked::{Entry, Marked};
use super::merge;
use super::scalar::{Scalar, ScalarKind, Style};
use crate::diagnostics::{Diagnostic, Diagnostics, Source, Span};

/// Converts the parser's positions, which count characters, to offsets in bytes.
pub(super) struct Offsets<'a> {
    pub(super) source: &'a Arc<Source>,
    /// The offset of every character; `None` where every character is one byte.
    bytes: Option<Vec<usize>>,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(source: &'a Arc<Source>) -> Self {
        let text = source.text();
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { source, bytes }
    }

    pub(super) fn byte(&self, index: usize) -> usize {
        match &self.bytes {
            None => index,
            Some(bytes) => bytes.get(index).copied().unwrap_or(self.source.text().len()),
        }
    }

    pub(super) fn span(&self, span: saphyr_parser::Span) -> Span {
        self.source.span(self.byte(span.start.index())..self.byte(span.end.index()))
    }
}

/// Whether to continue.
type Flow = ControlFlow<()>;

pub(super) struct Builder<'a> {
    source: &'a Arc<Source>,
    offsets: &'a Offsets<'a>,
    limits: Limits,
    errors: Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, Marked>,
    documents: usize,
    root: Option<Marked>,
    nodes: usize,
}

/// A list or mapping that has not ended.
struct Open {
    start: Span,
    anchor: usize,
    content: OpenContent,
}

enum OpenContent {
    Sequence(Vec<Marked>),
    Mapping(OpenMapping),
}

#[derive(Default)]
struct OpenMapping {
    entries: Vec<Entry>,
    seen: HashMap<Arc<str>, Span>,
    merged: Vec<Marked>,
    pending: Pending,
}

/// What the next node of a mapping is.
#[derive(Default)]
enum Pending {
    #[default]
    Key,
    Value(Arc<str>, Span),
    /// The value of `<<`.
    Merge(Span),
    /// The value of a key that was refused.
    Refused,
}

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a Arc<Source>, offsets: &'a Offsets<'a>, limits: Limits) -> Self {
        Self {
            source,
            offsets,
            limits,
            errors: Diagnostics::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            documents: 0,
            root: None,
            nodes: 0,
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    pub(super) fn finish(self) -> Result<Marked, Diagnostics> {
        let empty = || Marked::from_scalar(self.source.span(0..0), Scalar::null());
        let root = self.root.unwrap_or_else(empty);
        self.errors.into_result(root).map(|(root, _)| root)
    }

    pub(super) fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Flow {
        let span = self.offsets.span(span);
        match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, span, anchor != 0, tag.as_deref());
                self.complete(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(span, anchor, tag.as_ref(), "seq", OpenContent::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.start(span, anchor, tag.as_ref(), "map", OpenContent::Mapping(OpenMapping::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Flow::Continue(()),
        }
    }

    fn document(&mut self, span: Span) -> Flow {
        self.documents += 1;
        if self.documents == 1 {
            return Flow::Continue(());
        }
        let message = "the file has a second document; only one is allowed";
        let help = "remove the `---` and what follows it, or put it in a file of its own";
        self.report(Diagnostic::error("several-documents", span, message).help(help));
        Flow::Break(())
    }

    fn start(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Cow<'_, Tag>>,
        kind: &str,
        content: OpenContent,
    ) -> Flow {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == kind)
        {
            self.unknown_tag(&span, tag);
        }
        if self.open.len() >= self.limits.depth {
            return self.too_deep(span);
        }
        let start = if anchor != 0 || tag.is_some() { skip_properties(&span) } else { span };
        self.open.push(Open { start, anchor, content });
        Flow::Continue(())
    }

    fn end(&mut self, end: &Span) -> Flow {
        let Some(Open { start, anchor, content }) = self.open.pop() else {
            return Flow::Continue(());
        };
        let in_brackets = matches!(start.text().as_bytes().last(), Some(b'[' | b'{'));
        let whole = |last: Option<&Marked>| match last {
            _ if in_brackets => start.to(end),
            Some(last) if last.span().range().start >= start.range().start => start.to(last.span()),
            _ => start.clone(),
        };
        let node = match content {
            OpenContent::Sequence(items) => Marked::from_items(whole(items.last()), items),
            OpenContent::Mapping(mut mapping) => {
                let span = whole(mapping.entries.last().map(Entry::value));
                merge::into(&mut mapping.entries, &mapping.merged);
                Marked::from_entries(span, mapping.entries)
            }
        };
        self.complete(node, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Flow {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "this alias is inside the anchor that it names";
            self.report(Diagnostic::error("recursive-alias", span, message));
            return Flow::Break(());
        };
        if self.open.len() + node.depth() > self.limits.depth + 1 {
            return self.too_deep(span);
        }
        self.nodes = self.nodes.saturating_add(node.nodes() - 1);
        if self.nodes >= self.limits.nodes {
            return self.too_many_nodes(span);
        }
        self.complete(node, 0)
    }

    /// Adds a finished node to the list or mapping that contains it.
    fn complete(&mut self, node: Marked, anchor: usize) -> Flow {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes {
            return self.too_many_nodes(node.head());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(OpenContent::Sequence(items)) => items.push(node),
            Some(OpenContent::Mapping(mapping)) => self.errors.extend(mapping.add(node)),
        }
        Flow::Continue(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span, anchored: bool, tag: Option<&Tag>) -> Marked {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let whole = span;
        let span = if anchored || tag.is_some() { skip_scalar_properties(&whole, style) } else { whole.clone() };
        let span = trimmed(&span, text);
        let scalar = match tag {
            None => Scalar::resolve(text.into(), style),
            Some(tag) => Ok(self.tagged(text, style, &whole, tag)),
        };
        let scalar = scalar.unwrap_or_else(|_| {
            let message = format!("`{text}` is not a finite number");
            self.report(
                Diagnostic::error("not-finite", &span, message).help("if it is meant as text, write it in quotes"),
            );
            Scalar::text_as(text.into(), style)
        });
        Marked::from_scalar(span, scalar)
    }

    fn tagged(&mut self, text: &str, style: Style, span: &Span, tag: &Tag) -> Scalar {
        let as_text = || Scalar::text_as(text.into(), style);
        if is_non_specific(tag) || tag.is_yaml_core_schema() && tag.suffix == "str" {
            return as_text();
        }
        let plain = Scalar::resolve(text.into(), Style::Plain).unwrap_or_else(|_| as_text());
        let fits = tag.is_yaml_core_schema()
            && match tag.suffix.as_str() {
                "null" => plain.kind() == ScalarKind::Null,
                "bool" => matches!(plain.kind(), ScalarKind::Boolean(_)),
                "int" => plain.kind() == ScalarKind::Integer,
                "float" => matches!(plain.kind(), ScalarKind::Integer | ScalarKind::Decimal),
                _ => false,
            };
        if !fits {
            self.unknown_tag(span, tag);
            return as_text();
        }
        plain
    }

    fn unknown_tag(&mut self, span: &Span, tag: &Tag) {
        // A text that starts with `!` reads as a tag, and may be a secret.
        let name = if tag.is_yaml_core_schema() { format!(" `!!{}`", tag.suffix) } else { String::new() };
        let message = format!("the tag{name} is not known, or does not fit this value");
        let word = span.text().find('!').map_or(0..0, |at| {
            let rest = span.text().get(at..).unwrap_or("");
            at..at + rest.find(char::is_whitespace).unwrap_or(rest.len())
        });
        let start = span.range().start;
        let span = span.source().span(start + word.start..start + word.end);
        let help = "remove it; `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!seq` and `!!map` are known";
        self.report(Diagnostic::error("unknown-tag", span, message).help(help));
    }

    fn too_deep(&mut self, span: Span) -> Flow {
        let message = format!("lists and mappings are nested more than {} levels deep", self.limits.depth);
        self.report(Diagnostic::error("too-deep", span, message));
        Flow::Break(())
    }

    fn too_many_nodes(&mut self, span: Span) -> Flow {
        let message = format!("the document has more than {} nodes, counting what aliases repeat", self.limits.nodes);
        self.report(Diagnostic::error("too-many-nodes", span, message).label("the limit is crossed here"));
        Flow::Break(())
    }
}

impl OpenMapping {
    fn add(&mut self, node: Marked) -> Option<Diagnostic> {
        match std::mem::take(&mut self.pending) {
            Pending::Key => {
                let (pending, error) = self.key(&node);
                self.pending = pending;
                error
            }
            Pending::Refused => None,
            Pending::Merge(key) => {
                let (mappings, error) = merge::sources(&node, &key);
                self.merged.extend(mappings);
                error
            }
            Pending::Value(key, span) => {
                let value = if node.is_null() && node.span().text().trim().is_empty() {
                    Marked::from_scalar(span.clone(), Scalar::null())
                } else {
                    node
                };
                self.entries.push(Entry::new(key, span, value));
                None
            }
        }
    }

    fn key(&mut self, node: &Marked) -> (Pending, Option<Diagnostic>) {
        let Some(key) = node.as_text() else {
            let message = format!("a key must be text; this is {}", node.describe());
            let help = node.scalar().map(|scalar| format!("write it in quotes: \"{}\"", scalar.text()));
            return (Pending::Refused, Some(Diagnostic::error("key-not-text", node.head(), message).maybe_help(help)));
        };
        if let Some(first) = self.seen.get(key) {
            let error =
                Diagnostic::error("duplicate-key", node.span(), format!("the key `{key}` is twice in this mapping"))
                    .label("again here")
                    .related(first.clone(), "first here")
                    .help("remove one of the two");
            return (Pending::Refused, Some(error));
        }
        let key: Arc<str> = key.into();
        self.seen.insert(Arc::clone(&key), node.span().clone());
        let is_merge = &*key == "<<" && node.scalar().is_some_and(|scalar| scalar.style() == Style::Plain);
        let span = node.span().clone();
        (if is_merge { Pending::Merge(span) } else { Pending::Value(key, span) }, None)
    }
}

/// A `!` without a name: the value is text (YAML 1.2, section 6.9.1).
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty()
}

/// Without the `&anchor` and `!tag` before it.
fn skip_properties(span: &Span) -> Span {
    let text = span.text();
    let mut rest = text;
    while rest.starts_with(['&', '!']) {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest.get(word..).unwrap_or("").trim_start();
    }
    let start = span.range().start + text.len() - rest.len();
    span.source().span(start..span.range().end)
}

/// The same, and for a block without its header line.
fn skip_scalar_properties(span: &Span, style: Style) -> Span {
    let span = skip_properties(span);
    if !matches!(style, Style::Literal | Style::Folded) {
        return span;
    }
    let header = span.text().find('\n').map_or(span.text().len(), |at| at + 1);
    let indent = span.text().get(header..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let range = span.range();
    span.source().span(range.start + header + indent..range.end)
}

/// Without the line breaks after it; empty where the scalar is.
fn trimmed(span: &Span, text: &str) -> Span {
    let range = span.range();
    let written = span.text();
    let end = if text.is_empty() && !written.starts_with(['"', '\'', '~']) {
        range.start
    } else {
        range.start + written.trim_end().len()
    };
    span.source().span(range.start..end)
}
