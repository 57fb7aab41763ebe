//! Requests of nodes that ask a REST interface: path and query, headers, body, and the columns of the answer.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use super::Compiler;
use super::braces::{self, Part, cut};
use crate::diagnostics::{Diagnostic, Snippet, Span};
use crate::graph::plan::Rows;
use crate::graph::request::{
    Body, Expected, Member, Method, Parameter, Piece, Request, Text, escaped, leads_elsewhere,
};
use crate::graph::spec::{ColumnKeys, NotFoundSpec};
use crate::graph::unknown_type::unknown_type;
use crate::graph::{Query, values};
use crate::grl::{self, FactRef, Scope, Term};
use crate::types::{FieldName, Shape, Type, check_name};
use crate::yaml::{self, Entry, Kind, Marked};

/// The headers that the client sets, in small letters.
const SET_BY_CLIENT: [&str; 15] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The texts of a node's request that name facts.
pub(super) fn facts(node: &Marked) -> Vec<Snippet> {
    fn leaves(body: &Marked, into: &mut Vec<Snippet>) {
        body.entries().iter().map(Entry::value).chain(body.items()).for_each(|below| leaves(below, into));
        into.extend(body.as_text().and_then(|_| body.snippet()));
    }
    let headers = node.get("headers").map(Marked::entries).unwrap_or_default().iter().map(Entry::value);
    let texts = ["get", "post"].into_iter().filter_map(|key| node.get(key)).chain(headers).filter_map(Marked::snippet);
    let inner = |part| if let Part::Inner(inner) = part { Some(inner) } else { None };
    let mut facts: Vec<Snippet> =
        texts.flat_map(|text| braces::parts(&text).unwrap_or_default()).filter_map(inner).collect();
    node.get("body").into_iter().for_each(|body| leaves(body, &mut facts));
    facts
}

/// Where a fact stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Path,
    Query,
    Header,
    Body,
}

impl Compiler<'_> {
    /// The request of the node at `index`, its parameters, and its columns.
    pub(super) fn request(
        &mut self,
        index: usize,
        scope: &Scope,
        rows: Rows,
        max_rows: usize,
    ) -> Option<(Arc<Query>, Option<Vec<FactRef>>, Shape)> {
        let draft = self.nodes.get(index)?;
        let (id, node) = (draft.id.clone(), draft.yaml);
        let (method, key) = if draft.spec.get.is_some() { (Method::Get, "get") } else { (Method::Post, "post") };
        let text = node.get(key)?.snippet()?;
        let may_find_nothing = method == Method::Get && draft.spec.not_found != Some(NotFoundSpec::Error);
        let (columns, shape) = self.columns(index);
        let answer = node.get("answer").map_or(Some(Box::default()), |path| self.members(path));
        let mut template = Template { compiler: self, scope, params: Vec::new() };
        let target = template.target(&text);
        let headers = template.headers(node.get("headers").map(Marked::entries).unwrap_or_default());
        let body = node.get("body").filter(|body| !body.is_null()).map(|body| template.body(body));
        let params = template.params;
        let ((path, parameters), headers) = (target?, headers?);
        let body = if let Some(body) = body { Some(body?) } else { None };
        let written = written(method, text.text(), node, body.as_ref(), &params);
        let names: Arc<[FieldName]> = shape.fields.iter().map(|field| field.name.clone()).collect();
        let rows = if rows == Rows::Many { Expected::AtMost(max_rows) } else { Expected::AtMostOne };
        let request = Request {
            method,
            path,
            parameters,
            headers,
            body,
            answer: answer?,
            columns: columns.into(),
            names,
            rows,
            may_find_nothing,
            written: written.into(),
        };
        Some((Query::of_request(id, request), Some(params), shape))
    }

    /// The columns as they are read and as other nodes see them; those with an error are any.
    fn columns(&mut self, index: usize) -> (Vec<Member>, Shape) {
        let Some(draft) = self.nodes.get(index) else { return (Vec::new(), Shape::default()) };
        let (node, key) = (draft.yaml, draft.key_span.clone());
        let entries = node.get("columns").map(Marked::entries).unwrap_or_default();
        if entries.is_empty() {
            let place = node.entry("columns").map_or(key, |entry| entry.key_span().clone());
            let message = "a request needs `columns`: the members of a row, with their types";
            let help = "write `columns: { score: integer, grade: text }`";
            self.found.push(Diagnostic::error("missing-key", place, message).help(help));
            return (Vec::new(), Shape::unknown());
        }
        let columns: Vec<(FieldName, Member)> = entries.iter().map(|entry| self.column(entry)).collect();
        let shape = Shape::closed(columns.iter().map(|(name, member)| (name.clone(), member.ty.clone())));
        (columns.into_iter().map(|(_, member)| member).collect(), shape)
    }

    fn column(&mut self, entry: &Entry) -> (FieldName, Member) {
        let (name, node) = (entry.key(), entry.value());
        if let Err(error) = check_name("column", name) {
            let help = "name it otherwise, and write the member that it is in as `at`";
            self.found.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string()).help(help));
        }
        let own: Box<[Box<str>]> = [Box::from(name)].into();
        // `score: integer` is the short form.
        let (ty, at, is_optional) = match node.as_text() {
            Some(ty) => (self.column_type(ty, node), own, false),
            None => match yaml::deserialize::<ColumnKeys>(node, &mut self.found) {
                Some(keys) => {
                    let ty = self.column_type(&keys.r#type, node.get("type").unwrap_or(node));
                    let at = keys.at.is_some().then(|| node.get("at").and_then(|at| self.members(at))).flatten();
                    (ty, at.unwrap_or(own), keys.optional.unwrap_or(false))
                }
                None => (Type::Any, own, false),
            },
        };
        (FieldName::from(name), Member { ty, at, is_optional })
    }

    fn column_type(&mut self, name: &str, place: &Marked) -> Type {
        const KNOWN: [&str; 7] = ["boolean", "integer", "decimal", "text", "date", "timestamp", "any"];
        Type::named(name).unwrap_or_else(|| {
            let name = name.rfind(' ').map_or(("", name), |at| name.split_at(at + 1));
            self.found.push(unknown_type(name, &KNOWN, |meant| Type::named(meant).is_some(), place));
            Type::Any
        })
    }

    /// The names of members with points between them.
    fn members(&mut self, path: &Marked) -> Option<Box<[Box<str>]>> {
        let names: Box<[Box<str>]> = path.as_text()?.split('.').map(|name| Box::from(name.trim())).collect();
        if names.iter().any(|name| name.is_empty()) {
            let help = "write names of members with points between them, such as `data.scores`";
            self.found
                .push(Diagnostic::error("bad-member", path.head(), "a member of the answer without a name").help(help));
            return None;
        }
        Some(names)
    }
}

/// Compiles the texts of one request.
struct Template<'c, 'a, 's> {
    compiler: &'c mut Compiler<'a>,
    scope: &'s Scope,
    /// The facts that they name, each once.
    params: Vec<FactRef>,
}

impl Template<'_, '_, '_> {
    fn refuse(&mut self, code: &'static str, place: Span, message: impl Into<String>, help: &str) {
        self.compiler.found.push(Diagnostic::error(code, place, message.into()).help(help));
    }

    /// The segments of the path, and the parameters of the query.
    fn target(&mut self, text: &Snippet) -> Option<(Vec<Text>, Vec<Parameter>)> {
        let source = text.text();
        let problem = if source.starts_with("//") {
            Some((0..2, "`//` begins the name of a host, which a request cannot choose"))
        } else if !source.starts_with('/') {
            Some((0..source.len(), "the path of a request begins with `/`"))
        } else if let Some(at) = source.find('#') {
            Some((at..at + 1, "what is behind `#` is not sent"))
        } else {
            let stray = source.char_indices().find(|(_, character)| character.is_control());
            stray.map(|(at, _)| (at..at + 1, "a path has no line breaks and other control characters"))
        };
        if let Some((range, message)) = problem {
            let help = "write the path below the URL of the domain, such as `/scores/{customer_id}?as_of={input.day}`; \
                        the host is in the variables of the domain";
            self.refuse("bad-target", text.span(range), message, help);
            return None;
        }
        let end = source.find('?').unwrap_or(source.len());
        let segments = ranges(source, 1..end, '/').into_iter();
        let path = all(segments.map(|range| self.segment(text, range.clone(), range.end == end)));
        let pairs = if end < source.len() { ranges(source, end + 1..source.len(), '&') } else { Vec::new() };
        let parameters = all(pairs.into_iter().map(|range| self.parameter(text, range)));
        Some((path?, parameters?))
    }

    fn segment(&mut self, text: &Snippet, range: Range<usize>, is_last: bool) -> Option<Text> {
        let place = text.span(range.start - 1..range.end);
        let segment = self.text(&cut(text, range), Within::Path)?;
        let written = segment.iter().map(|piece| if let Piece::Written(text) = piece { text } else { "" });
        let written: String = written.collect();
        let has_facts = segment.iter().any(|piece| piece.fact().is_some());
        let message = if written.is_empty() && !has_facts && !is_last {
            "a name in the path is empty"
        } else if leads_elsewhere(&written) && !has_facts {
            "`.` and `..` lead to another path"
        } else {
            return Some(segment);
        };
        self.refuse("bad-target", place, message, "write the path as the service has it");
        None
    }

    fn parameter(&mut self, text: &Snippet, range: Range<usize>) -> Option<Parameter> {
        let pair = cut(text, range);
        let (name, value) = match pair.text().find('=') {
            Some(at) => (cut(&pair, 0..at), Some(cut(&pair, at + 1..pair.text().len()))),
            None => (pair.clone(), None),
        };
        let written = self.text(&name, Within::Query)?;
        let value = value.map(|value| self.text(&value, Within::Query));
        let message = match &*written {
            [] => "a parameter of the query has no name",
            [Piece::Written(name)] => {
                let value = if let Some(value) = value { Some(value?) } else { None };
                return Some(Parameter { name: name.clone(), value });
            }
            _ => "the name of a parameter is written, and not a fact",
        };
        let help = "write `?name={fact}`, with `&` before each further parameter";
        self.refuse("bad-target", pair.span(0..pair.text().len().max(1)), message, help);
        None
    }

    fn headers(&mut self, entries: &[Entry]) -> Option<Vec<(String, Text)>> {
        all(entries.iter().enumerate().map(|(number, entry)| {
            let name = entry.key().to_ascii_lowercase();
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let is_second = entries.iter().take(number).any(|other| other.key().eq_ignore_ascii_case(&name));
            let problem = if name.is_empty() || !name.chars().all(is_token) {
                Some(("is not the name of a header", "write letters, digits and dashes"))
            } else if SET_BY_CLIENT.contains(&&*name) {
                Some(("is set by the service itself", "delete it; credentials are in the variables of the domain"))
            } else {
                is_second.then_some(("is given twice; case does not matter", "delete one of them"))
            };
            if let Some((problem, help)) = problem {
                self.refuse("bad-header", entry.key_span().clone(), format!("`{}` {problem}", entry.key()), help);
                return None;
            }
            let text = self.text(&entry.value().snippet()?, Within::Header)?;
            Some((entry.key().to_owned(), text))
        }))
    }

    /// Text with facts in braces.
    fn text(&mut self, text: &Snippet, within: Within) -> Option<Text> {
        let parts = braces::parts(text).map_err(|error| self.compiler.found.push(error)).ok()?;
        let is_alone = parts.len() == 1;
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            pieces.push(match part {
                Part::Text(written) => Piece::Written(self.written(text, written, within)?),
                Part::Inner(inner) => Piece::Fact(self.named(&inner, within, is_alone)?),
            });
        }
        Some(pieces.into())
    }

    /// Text of the graph as it is sent.
    fn written(&mut self, text: &Snippet, written: String, within: Within) -> Option<String> {
        let place = text.span(0..text.text().len());
        if within == Within::Header {
            let is_visible = written.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let whole = text.text();
            if is_visible && whole.trim() == whole {
                return Some(written);
            }
            let message = "the value of a header has visible ASCII characters, and spaces between them";
            self.refuse("bad-header", place, message, "delete the other characters");
            return None;
        }
        let is_encoded = |at: usize| {
            let digits = written.as_bytes().get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if written.match_indices('%').all(|(at, _)| is_encoded(at)) {
            return Some(escaped(&written));
        }
        self.refuse("bad-target", place, "`%` begins no encoded character", "write `%25` for a percent sign");
        None
    }

    /// The number of the parameter for the fact in braces; `is_alone` if nothing stands beside it.
    fn named(&mut self, inner: &Snippet, within: Within, is_alone: bool) -> Option<usize> {
        let help = "write the name of a fact, such as `{customer_id}` or `{node.column}`, and `{{` for a brace";
        let place = inner.span(0..inner.text().len().max(1));
        match grl::term(inner, &self.compiler.context.rule_limits) {
            Ok(Some(Term::Fact(names))) => self.fact(&names, &place, within, is_alone),
            _ => {
                self.refuse("not-a-fact", place, "what stands in braces is not the name of a fact", help);
                None
            }
        }
    }

    /// The number of the parameter for a fact.
    fn fact(&mut self, names: &[String], place: &Span, within: Within, is_alone: bool) -> Option<usize> {
        let (fact, ty) = self.compiler.param(self.scope, names, place)?;
        let takes = match (within, &ty) {
            (Within::Path, Type::List(_) | Type::Map(_)) => Some("a path takes"),
            (Within::Query, Type::Map(_)) => Some("a query takes"),
            (Within::Query, Type::List(_)) if !is_alone => {
                Some("a list is the whole value of its parameter; this takes")
            }
            (Within::Header, Type::List(_) | Type::Map(_)) => Some("a header takes"),
            _ => None,
        };
        if let Some(takes) = takes {
            let message = format!("`{}` is of type {ty}, and {takes} a single value", fact.written);
            self.refuse("parameter-type", place.clone(), message, "name a fact of another type, or send it in a body");
            return None;
        }
        let known = self.params.iter().position(|known| *known == fact);
        Some(known.unwrap_or_else(|| {
            self.params.push(fact);
            self.params.len() - 1
        }))
    }

    fn body(&mut self, node: &Marked) -> Option<Body> {
        match node.kind() {
            Kind::Mapping(entries) => {
                let member = |entry: &Entry| Some((FieldName::from(entry.key()), self.body(entry.value())?));
                all(entries.iter().map(member)).map(Body::Map)
            }
            Kind::Sequence(items) => all(items.iter().map(|item| self.body(item))).map(Body::List),
            Kind::Scalar(_) if node.as_text().is_none() => {
                values::literal(node, &mut self.compiler.found).map(Body::Literal)
            }
            Kind::Scalar(_) => self.leaf(&node.snippet()?, node.head()),
        }
    }

    fn leaf(&mut self, text: &Snippet, place: Span) -> Option<Body> {
        match grl::term(text, &self.compiler.context.rule_limits) {
            Ok(Some(Term::Fact(names))) => self.fact(&names, &place, Within::Body, true).map(Body::Fact),
            Ok(Some(Term::Value(value))) => Some(Body::Literal(value)),
            Ok(None) | Err(_) => {
                let message = "a leaf of a body is a fact, a number, true, false, null, or text in quotes of its own";
                let help = "write text as `\"'EUR'\"`; compute a value in a RuleNode, and name its fact here";
                self.refuse("not-a-fact", place, message, help);
                None
            }
        }
    }
}

/// All values or none. Each is made, so that each error is found.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let values: Vec<Option<T>> = values.collect();
    values.into_iter().collect()
}

/// The parts of `text` in `range` between `separator`s.
fn ranges(text: &str, range: Range<usize>, separator: char) -> Vec<Range<usize>> {
    let part = text.get(range.clone()).unwrap_or("");
    let mut start = range.start;
    part.split(separator)
        .map(|piece| {
            let range = start..start + piece.len();
            start = range.end + separator.len_utf8();
            range
        })
        .collect()
}

/// The request as the graph wrote it, in the form of HTTP.
fn written(method: Method, target: &str, node: &Marked, body: Option<&Body>, params: &[FactRef]) -> String {
    let mut text = format!("{method} {target}");
    for header in node.get("headers").map(Marked::entries).unwrap_or_default() {
        let value = header.value().as_text().unwrap_or_default();
        text.extend(["\n", header.key(), ": ", value]);
    }
    if let Some(body) = body {
        text.push_str("\n\n");
        write_body(body, params, &mut text);
    }
    text
}

/// JSON with the names of facts in place of their values.
fn write_body(body: &Body, params: &[FactRef], text: &mut String) {
    let mut first = true;
    let mut separate = |text: &mut String| text.push_str(if std::mem::take(&mut first) { "" } else { ", " });
    match body {
        Body::Map(members) => {
            text.push('{');
            for (name, member) in members {
                separate(text);
                _ = write!(text, "{}: ", serde_json::Value::from(&**name));
                write_body(member, params, text);
            }
            text.push('}');
        }
        Body::List(items) => {
            text.push('[');
            for item in items {
                separate(text);
                write_body(item, params, text);
            }
            text.push(']');
        }
        Body::Fact(place) => text.push_str(params.get(*place).map_or("", |fact| &fact.written)),
        Body::Literal(value) => text.push_str(&serde_json::to_string(value).unwrap_or_default()),
    }
}
