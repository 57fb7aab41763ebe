//! What a test file says.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::diagnostics::{Diagnostic, Diagnostics, Source, Span, nearest};
use crate::flow::QueryErrorKind;
use crate::flow::explain::REDACTED;
use crate::flow::offline::{Answers, StubResponse};
use crate::graph::{self, Flow, QueryNode, Work};
use crate::records::restore;
use crate::types::{Clock, NodeId, Record, Value, parse_moment};
use crate::yaml::{self, Any, Entry, Kind, Marked};

/// The moment of tests that name none: a Thursday.
const MOMENT: &str = "2026-01-01T12:00:00Z";

/// What failures may be called for short.
const SHORT: [(&str, &str); 2] = [("down", "domain_unavailable"), ("error", "query_failed")];
/// All that a node can be made to fail with.
const FAILURES: [&str; 10] = [
    "down",
    "timeout",
    "no_rows",
    "unanswered",
    "error",
    "domain_unavailable",
    "domain_overloaded",
    "connection_lost",
    "query_aborted",
    "query_failed",
];

/// The keys of the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what must keep its place or its digits is taken from the tree")]
pub(super) struct FileKeys {
    pub(super) graph: String,
    #[serde(default)]
    pub(super) flow: Option<String>,
    #[serde(default)]
    clock: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    input: Option<Any>,
    #[serde(default)]
    rows: Option<Any>,
    #[serde(default)]
    types: BTreeMap<String, BTreeMap<String, String>>,
    tests: Vec<Any>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what must keep its place or its digits is taken from the tree")]
struct TestKeys {
    name: String,
    #[serde(default)]
    clock: Option<String>,
    #[serde(default)]
    input: Option<Any>,
    #[serde(default)]
    rows: Option<Any>,
    #[serde(default)]
    fail: BTreeMap<String, String>,
    expect: ExpectKeys,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExpectKeys {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "values keep their digits in the tree")]
    body: Option<Any>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    node: Option<String>,
    #[serde(default)]
    fired: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    not_fired: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    degraded: Vec<String>,
}

/// The tests of one file.
pub struct Suite {
    /// The file.
    pub name: String,
    /// The flow they test.
    pub flow: Flow,
    /// The tests.
    pub cases: Vec<Case>,
}

/// One test.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The inputs, as a request would send them.
    pub input: Json,
    /// The clock of the decision.
    pub clock: Clock,
    /// What the databases answer.
    pub answers: Answers,
    /// What must come of it.
    pub expect: Expectation,
}

/// What must come of a test.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// The outcome.
    pub status: Option<String>,
    /// The message, to the letter.
    pub message: Option<String>,
    /// Fields of the body; others may be there as well.
    pub body: Option<Value>,
    /// The code of the error, where there must be no decision.
    pub error: Option<String>,
    /// The node it must happen at.
    pub node: Option<String>,
    /// By node: the rules that fire, in order, and no others.
    pub fired: BTreeMap<String, Vec<String>>,
    /// By node: rules that do not fire.
    pub not_fired: BTreeMap<String, Vec<String>>,
    /// The nodes whose default stands in for their database; all of them.
    pub degraded: Option<Vec<String>>,
}

impl Suite {
    /// Reads the test file at `path` and the graph it names. Tests that name no time zone run in `zone`, the service's.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn read(path: &Path, context: &graph::Context<'_>, zone: &TimeZone) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::new();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let place = crate::diagnostics::Place::File(name.clone());
            one(Diagnostic::error("unreadable-file", place, format!("the file cannot be read: {error}")))
        })?;
        let root = yaml::parse(&Source::new(name.clone(), text), context.file_limits)?;
        let Some(keys) = yaml::deserialize::<FileKeys>(&root, &mut found) else { return Err(found) };
        let graph = path.parent().unwrap_or(Path::new("")).join(&keys.graph);
        let (flows, _) = graph::load(std::slice::from_ref(&graph), context)?;
        let place = root.get("flow").or_else(|| root.get("graph")).map_or_else(|| root.head(), Marked::head);
        let flow = choose(flows, keys.flow.as_deref(), &place).map_err(one)?;
        let reader = Reader { flow: &flow, root: &root, types: &keys.types, zone };
        reader.check_types(&mut found);
        let tests = root.get("tests").map(Marked::items).unwrap_or_default();
        let mut cases: Vec<Case> = Vec::with_capacity(tests.len());
        for test in tests {
            let mut complaints = Diagnostics::new();
            cases.extend(reader.case(test, &mut complaints));
            // What is wrong with the rows that all tests share is wrong once.
            for complaint in complaints {
                if !found.iter().any(|known| *known == complaint) {
                    found.push(complaint);
                }
            }
        }
        for (number, case) in cases.iter().enumerate() {
            if let Some(first) = cases.iter().take(number).find(|known| known.name == case.name) {
                let error =
                    Diagnostic::error("duplicate-test", &case.span, format!("two tests are named `{}`", case.name));
                found.push(error.related(first.span.clone(), "the other one").help("give each test a name of its own"));
            }
        }
        found.sort();
        let (cases, _) = found.into_result(cases)?;
        Ok(Self { name, flow, cases })
    }
}

fn one(diagnostic: Diagnostic) -> Diagnostics {
    std::iter::once(diagnostic).collect()
}

fn choose(flows: Vec<Flow>, name: Option<&str>, place: &Span) -> Result<Flow, Diagnostic> {
    let names = flows.iter().map(|flow| flow.name.to_string()).collect::<Vec<_>>().join(", ");
    let count = flows.len();
    let mut chosen = flows.into_iter().filter(|flow| name.is_none_or(|name| flow.name.as_str() == name));
    match (chosen.next(), name) {
        (Some(flow), Some(_)) => Ok(flow),
        (Some(flow), None) if count == 1 => Ok(flow),
        (Some(_), None) => {
            let error = Diagnostic::error("several-flows", place, "the graph holds several flows");
            Err(error.help(format!("say which, such as `flow: {}`", names.split(',').next().unwrap_or(""))))
        }
        (None, _) => {
            let message = format!("there is no flow `{}`", name.unwrap_or(""));
            Err(Diagnostic::error("unknown-flow", place, message).help(format!("there are: {names}")))
        }
    }
}

struct Reader<'a> {
    flow: &'a Flow,
    root: &'a Marked,
    types: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// That of the service.
    zone: &'a TimeZone,
}

impl Reader<'_> {
    fn case(&self, test: &Marked, found: &mut Diagnostics) -> Option<Case> {
        let keys = yaml::deserialize::<TestKeys>(test, found)?;
        let span = test.get("name").map_or_else(|| test.head(), Marked::head);
        let (input, clock) = (self.input(test, found), self.clock(test, found));
        let mut answers = self.answers(test, found);
        for (node, failure) in &keys.fail {
            self.fail(node, failure, test, &mut answers, found);
        }
        let expect = self.expectation(keys.expect, test, found);
        Some(Case { name: keys.name, span, input: input?, clock: clock?, answers, expect })
    }

    /// The inputs of the file, under those of the test.
    fn input(&self, test: &Marked, found: &mut Diagnostics) -> Option<Json> {
        let mut all = serde_json::Map::new();
        for section in [self.root.get("input"), test.get("input")].into_iter().flatten() {
            for entry in section.entries() {
                let value = graph::literal(entry.value(), found)?;
                all.insert(entry.key().to_owned(), serde_json::to_value(value).ok()?);
            }
        }
        Some(Json::Object(all))
    }

    fn clock(&self, test: &Marked, found: &mut Diagnostics) -> Option<Clock> {
        let zone = match self.root.get("time_zone").and_then(Marked::as_text) {
            None => self.zone.clone(),
            Some(name) => TimeZone::get(name).unwrap_or_else(|_| {
                let place = self.root.get("time_zone").map_or_else(|| self.root.head(), Marked::head);
                let error = Diagnostic::error("bad-time-zone", place, format!("there is no time zone `{name}`"));
                found.push(error.help("write an IANA name, such as Europe/Berlin"));
                TimeZone::UTC
            }),
        };
        let written = test.get("clock").or_else(|| self.root.get("clock"));
        let text = written.and_then(Marked::as_text).unwrap_or(MOMENT);
        match parse_moment(text) {
            Ok(moment) => Some(Clock::fixed(moment, zone)),
            Err(why) => {
                let place = written.map_or_else(|| test.head(), Marked::head);
                let error =
                    Diagnostic::error("bad-date", place, format!("the clock is a timestamp, and `{text}` is {why}"));
                found.push(error.help(format!("write it as {MOMENT}")));
                None
            }
        }
    }

    /// The node a key names, where it asks a database.
    fn query(&self, name: &str, place: &Span, found: &mut Diagnostics) -> Option<(&NodeId, &QueryNode)> {
        let node = self.flow.nodes.iter().find(|node| node.id.as_str() == name);
        match node.map(|node| (&node.id, &node.work)) {
            Some((id, Work::Query(query))) => Some((id, query)),
            Some((_, Work::Rules(_))) => {
                let message = format!("`{name}` runs rules: it has no rows");
                let help = "give rows to the nodes it reads; what it makes of them is what the test is about";
                found.push(Diagnostic::error("no-query-node", place, message).help(help));
                None
            }
            None => {
                let queries = self.flow.nodes.iter().filter(|node| matches!(node.work, Work::Query(_)));
                let known: Vec<&str> = queries.map(|node| node.id.as_str()).collect();
                let help = nearest(name, known.iter().copied()).map_or_else(
                    || format!("the nodes that ask databases are: {}", known.join(", ")),
                    |name| format!("did you mean `{name}`?"),
                );
                let message = format!("flow `{}` has no node `{name}`", self.flow.name);
                found.push(Diagnostic::error("unknown-node", place, message).help(help));
                None
            }
        }
    }

    /// The rows of the file, with those of the test over them.
    fn answers(&self, test: &Marked, found: &mut Diagnostics) -> Answers {
        let own = test.get("rows").map(Marked::entries).unwrap_or_default();
        let shared = self.root.get("rows").map(Marked::entries).unwrap_or_default();
        let only_shared = shared.iter().filter(|entry| !own.iter().any(|known| known.key() == entry.key()));
        let mut answers = Answers::new();
        for entry in own.iter().chain(only_shared) {
            let Some((id, query)) = self.query(entry.key(), entry.key_span(), found) else { continue };
            let below = shared.iter().find(|known| known.key() == entry.key() && !std::ptr::eq(*known, entry));
            if let Some(rows) = self.rows(entry, below, query, found) {
                answers.insert(id.clone(), StubResponse::Rows { rows, params: None });
            }
        }
        answers
    }

    /// The rows of one node: a mapping is one row, laid over the shared one; a list is several; null is none.
    fn rows(
        &self,
        entry: &Entry,
        below: Option<&Entry>,
        query: &QueryNode,
        found: &mut Diagnostics,
    ) -> Option<Vec<Value>> {
        let mut rows = Vec::new();
        match entry.value().kind() {
            Kind::Sequence(items) => {
                for item in items {
                    rows.push(self.row(item, None, query, found)?);
                }
            }
            Kind::Mapping(_) => {
                let below = below.map(Entry::value).filter(|below| matches!(below.kind(), Kind::Mapping(_)));
                rows.push(self.row(entry.value(), below, query, found)?);
            }
            Kind::Scalar(_) if entry.value().is_null() => {}
            Kind::Scalar(_) => {
                let message = format!("the rows of `{}` cannot be {}", entry.key(), entry.value().describe());
                let help = "write a mapping of columns to values, a list of such mappings, or [] for no row";
                found.push(Diagnostic::error("wrong-type", entry.value().head(), message).help(help));
                return None;
            }
        }
        Some(rows)
    }

    fn row(&self, row: &Marked, below: Option<&Marked>, query: &QueryNode, found: &mut Diagnostics) -> Option<Value> {
        let node = query.query.node().as_str();
        let columns = &query.columns;
        let known: Vec<&str> = columns.fields.iter().map(|field| &*field.name).collect();
        let mut fields: Vec<(&str, &Marked)> = Vec::new();
        for entry in below.map(Marked::entries).unwrap_or_default().iter().chain(row.entries()) {
            if !columns.open && !columns.has(entry.key()) {
                let help = nearest(entry.key(), known.iter().copied())
                    .map_or_else(|| format!("it has: {}", known.join(", ")), |name| format!("did you mean `{name}`?"));
                let message = format!("the query of `{node}` has no column `{}`", entry.key());
                found.push(Diagnostic::error("unknown-column", entry.key_span(), message).help(help));
                return None;
            }
            fields.retain(|(name, _)| *name != entry.key());
            fields.push((entry.key(), entry.value()));
        }
        if let Some(missing) = known.iter().find(|name| !fields.iter().any(|(known, _)| known == *name)) {
            let message = format!("the row of `{node}` has no value for column `{missing}`");
            let help = "a row has all columns of its query; write null where the database would say NULL";
            found.push(Diagnostic::error("missing-column", row.head(), message).help(help));
            return None;
        }
        if let Some((name, value)) = fields.iter().find(|(_, value)| value.as_text() == Some(REDACTED)) {
            let message = format!("the value of `{name}` is redacted: it is not in the recording");
            let help = "write a made-up value in its place, and what the test then expects";
            found.push(Diagnostic::error("redacted-value", value.head(), message).help(help));
            return None;
        }
        // As the query orders its columns, where that is known.
        fields.sort_by_key(|(name, _)| known.iter().position(|known| known == name));
        let record = fields.into_iter().map(|(name, value)| Some((name.into(), graph::literal(value, found)?)));
        let record = record.collect::<Option<Record>>()?;
        let none = BTreeMap::new();
        let types = self.types.get(node).unwrap_or(&none);
        restore(&Value::Map(record.into()), types)
            .map_err(|problem| found.push(Diagnostic::error("bad-value", row.head(), problem)))
            .ok()
    }

    fn fail(&self, node: &str, failure: &str, test: &Marked, answers: &mut Answers, found: &mut Diagnostics) {
        let entry = test.get("fail").and_then(|section| section.entry(node));
        let place = entry.map_or_else(|| test.head(), |entry| entry.key_span().clone());
        let Some((id, _)) = self.query(node, &place, found) else { return };
        let code = SHORT.iter().find(|(short, _)| *short == failure).map_or(failure, |(_, code)| code);
        let answer = match (code, QueryErrorKind::of_code(code)) {
            ("no_rows", _) => StubResponse::Rows { rows: Vec::new(), params: None },
            ("unanswered", _) => StubResponse::Never,
            (_, Some(kind)) => StubResponse::Failed(kind),
            (_, None) => {
                let place = entry.map_or(place, |entry| entry.value().head());
                let error = Diagnostic::error("unknown-failure", place, format!("there is no failure `{failure}`"));
                found.push(error.help(format!("a node can fail with: {}", FAILURES.join(", "))));
                return;
            }
        };
        answers.insert(id.clone(), answer);
    }

    fn expectation(&self, keys: ExpectKeys, test: &Marked, found: &mut Diagnostics) -> Expectation {
        let section = test.get("expect");
        let place = section.map_or_else(|| test.head(), Marked::head);
        if keys.status.is_none() == keys.error.is_none() {
            let message = "a test expects a `status` or an `error`, and not both";
            let help = "write `status: success`, or `error: not_found` where there must be no decision";
            found.push(Diagnostic::error("bad-expectation", place, message).help(help));
        }
        for (key, rules) in [("fired", &keys.fired), ("not_fired", &keys.not_fired)] {
            let entries = section.and_then(|section| section.get(key)).map(Marked::entries).unwrap_or_default();
            entries.iter().for_each(|entry| self.check_rules(entry, rules, found));
        }
        let body = section.and_then(|section| section.get("body")).and_then(|body| graph::literal(body, found));
        let has_degraded = section.is_some_and(|section| section.get("degraded").is_some());
        Expectation {
            status: keys.status,
            message: keys.message,
            body,
            error: keys.error,
            node: keys.node,
            fired: keys.fired,
            not_fired: keys.not_fired,
            degraded: has_degraded.then_some(keys.degraded),
        }
    }

    /// That the rules a test names exist.
    fn check_rules(&self, entry: &Entry, rules: &BTreeMap<String, Vec<String>>, found: &mut Diagnostics) {
        let node = self.flow.nodes.iter().find(|node| node.id.as_str() == entry.key());
        let Some(Work::Rules(node)) = node.map(|node| &node.work) else {
            let message = format!("flow `{}` has no rule node `{}`", self.flow.name, entry.key());
            found.push(Diagnostic::error("unknown-node", entry.key_span(), message));
            return;
        };
        let known: Vec<String> = node.ruleset.rules().map(|rule| rule.name.to_owned()).collect();
        let named = rules.get(entry.key()).map(Vec::as_slice).unwrap_or_default();
        for (number, rule) in named.iter().enumerate().filter(|(_, rule)| !known.contains(rule)) {
            let place = entry.value().items().get(number).map_or_else(|| entry.value().head(), Marked::head);
            let help = nearest(rule, known.iter().map(String::as_str)).map_or_else(
                || format!("its rules are: {}", known.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            let message = format!("node `{}` has no rule `{rule}`", entry.key());
            found.push(Diagnostic::error("unknown-rule", place, message).help(help));
        }
    }

    fn check_types(&self, found: &mut Diagnostics) {
        for entry in self.root.get("types").map(Marked::entries).unwrap_or_default() {
            let Some((_, query)) = self.query(entry.key(), entry.key_span(), found) else { continue };
            for column in entry.value().entries() {
                if !query.columns.open && !query.columns.has(column.key()) {
                    let message = format!("the query of `{}` has no column `{}`", entry.key(), column.key());
                    found.push(Diagnostic::error("unknown-column", column.key_span(), message));
                }
                let ty = column.value().as_text().unwrap_or("");
                if !["date", "timestamp", "decimal"].contains(&ty.trim_end_matches("[]")) {
                    let error =
                        Diagnostic::error("unknown-type", column.value().head(), format!("there is no type `{ty}`"));
                    found.push(error.help("what YAML does not tell is: date, timestamp, decimal; lists: date[], ..."));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_aux::serde_introspection::serde_introspect;

    use super::*;
    use crate::flowtests::SCHEMA;
    use crate::yaml::same_keys;

    #[test]
    fn editors_know_the_keys_of_flow_tests() {
        same_keys(SCHEMA, "", serde_introspect::<FileKeys>());
        same_keys(SCHEMA, "/$defs/test", serde_introspect::<TestKeys>());
        same_keys(SCHEMA, "/$defs/test/properties/expect", serde_introspect::<ExpectKeys>());
        let schema: Json = serde_json::from_str(SCHEMA).unwrap();
        assert_eq!(
            schema.pointer("/$defs/test/properties/fail/additionalProperties/enum"),
            Some(&serde_json::json!(FAILURES))
        );
    }
}
