//! A test file: its flow, and its tests with their places.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;

use super::keys::{CLOCK, Expectation, FAILURES, FileKeys, SHORT, TYPES, TestKeys};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, Span, suggest};
use crate::flow::QueryErrorKind;
use crate::flow::explain::REDACTED;
use crate::flow::offline::{Answers, Case, StubResponse};
use crate::graph::{self, Flow, QueryNode, Work};
use crate::records::restore;
use crate::types::{Clock, NodeId, Record, Value, parse_moment};
use crate::yaml::{self, Entry, Kind, Marked};

/// The tests of one file.
pub struct Suite {
    /// The file.
    pub name: String,
    /// The flow they test.
    pub flow: Flow,
    /// The tests.
    pub tests: Vec<Test>,
}

/// One test.
pub struct Test {
    /// Its name.
    pub name: String,
    /// Its place in the file.
    pub span: Span,
    /// What the decision is made from.
    pub case: Case,
    /// The expected end of the run.
    pub expect: Expectation,
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
            one(Diagnostic::error(
                "unreadable-file",
                Place::File(name.clone()),
                format!("the file cannot be read: {error}"),
            ))
        })?;
        let root = yaml::parse(&Source::new(name.clone(), text), context.file_limits)?;
        let Some(keys) = yaml::deserialize::<FileKeys>(&root, &mut found) else { return Err(found) };
        let graph = path.parent().unwrap_or(Path::new("")).join(&keys.graph);
        let (flows, _) = graph::load(std::slice::from_ref(&graph), context)?;
        let place = root.get("flow").or_else(|| root.get("graph")).map_or_else(|| root.head(), Marked::head);
        let flow = choose(flows, keys.flow.as_deref(), &place).map_err(one)?;
        let reader = Reader { flow: &flow, root: &root, types: &keys.types, zone };
        reader.check_types(&mut found);
        let nodes = root.get("tests").map(Marked::items).unwrap_or_default();
        let mut tests: Vec<Test> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let mut of_test = Diagnostics::new();
            tests.extend(reader.test(node, &mut of_test));
            // An error in the rows that all tests share is reported once.
            for diagnostic in of_test {
                if !found.iter().any(|known| *known == diagnostic) {
                    found.push(diagnostic);
                }
            }
        }
        for (number, test) in tests.iter().enumerate() {
            if let Some(first) = tests.iter().take(number).find(|known| known.name == test.name) {
                let message = format!("two tests are named `{}`", test.name);
                let error = Diagnostic::error("duplicate-test", &test.span, message);
                found.push(error.related(first.span.clone(), "the other one").help("give each test a name of its own"));
            }
        }
        found.sort();
        let (tests, _) = found.into_result(tests)?;
        Ok(Self { name, flow, tests })
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
            Err(error.help(format!("name one, such as `flow: {}`", names.split(',').next().unwrap_or(""))))
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
    /// The time zone of the service.
    zone: &'a TimeZone,
}

impl Reader<'_> {
    fn test(&self, test: &Marked, found: &mut Diagnostics) -> Option<Test> {
        let keys = yaml::deserialize::<TestKeys>(test, found)?;
        let span = test.get("name").map_or_else(|| test.head(), Marked::head);
        let (input, clock) = (self.input(test, found), self.clock(test, found));
        let mut answers = self.answers(test, found);
        for (node, failure) in &keys.fail {
            self.fail(node, failure, test, &mut answers, found);
        }
        let expect = self.expectation(keys.expect, test, found);
        Some(Test { name: keys.name, span, case: Case { input: input?, clock: clock?, answers }, expect })
    }

    /// The inputs of the file, under those of the test.
    fn input(&self, test: &Marked, found: &mut Diagnostics) -> Option<Value> {
        let own = test.get("input").map(Marked::entries).unwrap_or_default();
        let shared = self.root.get("input").map(Marked::entries).unwrap_or_default();
        let shared = shared.iter().filter(|entry| !own.iter().any(|known| known.key() == entry.key()));
        let value = |entry: &Entry| Some((entry.key().into(), graph::literal(entry.value(), found)?));
        shared.chain(own).map(value).collect::<Option<Vec<_>>>().map(Value::map)
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
        let text = written.and_then(Marked::as_text).unwrap_or(CLOCK);
        match parse_moment(text) {
            Ok(moment) => Some(Clock::fixed(moment, zone)),
            Err(why) => {
                let place = written.map_or_else(|| test.head(), Marked::head);
                let error =
                    Diagnostic::error("bad-date", place, format!("the clock is a timestamp, and `{text}` is {why}"));
                found.push(error.help(format!("write it as {CLOCK}")));
                None
            }
        }
    }

    /// The query node that a key names.
    fn query(&self, name: &str, place: &Span, found: &mut Diagnostics) -> Option<(&NodeId, &QueryNode)> {
        let node = self.flow.nodes.iter().find(|node| node.id.as_str() == name);
        match node.map(|node| (&node.id, &node.work)) {
            Some((id, Work::Query(query))) => Some((id, query)),
            Some((_, Work::Rules(_))) => {
                let message = format!("`{name}` is a rule node and has no rows");
                let help = "give rows to the query nodes that it reads";
                found.push(Diagnostic::error("no-query-node", place, message).help(help));
                None
            }
            None => {
                let queries = self.flow.nodes.iter().filter(|node| matches!(node.work, Work::Query(_)));
                let known: Vec<&str> = queries.map(|node| node.id.as_str()).collect();
                let help = suggest(name, &known, "the query nodes are");
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
                found.push(unknown_column(node, entry).help(suggest(entry.key(), &known, "it has")));
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
            let message = format!("the value of `{name}` is redacted, so the recording does not hold it");
            let help = "write a value of your own, and adapt what the test expects";
            found.push(Diagnostic::error("redacted-value", value.head(), message).help(help));
            return None;
        }
        // In the order of the query, where its columns are known.
        fields.sort_by_key(|(name, _)| known.iter().position(|known| known == name));
        let record = fields.into_iter().map(|(name, value)| Some((name.into(), graph::literal(value, found)?)));
        let written = Value::Map(record.collect::<Option<Record>>()?.into());
        let restored = match query.query.request() {
            Some(request) => request.declared(&written).map_err(|problem| format!("the row of `{node}` {problem}")),
            None => restore(&written, self.types.get(node).unwrap_or(&BTreeMap::new())),
        };
        restored.map_err(|problem| found.push(Diagnostic::error("bad-value", row.head(), problem))).ok()
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

    fn expectation(&self, mut expect: Expectation, test: &Marked, found: &mut Diagnostics) -> Expectation {
        let section = test.get("expect");
        let place = section.map_or_else(|| test.head(), Marked::head);
        if expect.status.is_none() == expect.error.is_none() {
            let mut statuses: Vec<&str> = self.flow.outcomes.iter().map(|outcome| outcome.status.as_str()).collect();
            statuses.dedup();
            let (message, help) = if expect.error.is_some() {
                let message = "a run ends with a `status` or with an `error`, and this test expects both";
                (message, "delete one of them".to_owned())
            } else {
                let message = "the test does not say how the run ends: `expect` has no `status` and no `error`";
                let status = statuses.first().copied().unwrap_or("success");
                let help = format!(
                    "write `expect: {{ status: {status} }}` (the outcomes are: {}), or `error: not_found` where there must be no decision",
                    statuses.join(", ")
                );
                (message, help)
            };
            found.push(Diagnostic::error("bad-expectation", place, message).help(help));
        }
        let section = |key| section.and_then(|section| section.get(key));
        for (key, rules) in [("fired", &expect.fired), ("not_fired", &expect.not_fired)] {
            let entries = section(key).map(Marked::entries).unwrap_or_default();
            entries.iter().for_each(|entry| self.check_rules(entry, rules, found));
        }
        let mut literal = |key| section(key).and_then(|value| graph::literal(value, found));
        (expect.body, expect.effect, expect.params) = (literal("body"), literal("effect"), literal("params"));
        self.check_effect(section("effect"), found);
        self.check_params(section("params"), &expect, found);
        expect
    }

    /// Checks that the effect that a test names exists.
    fn check_effect(&self, effect: Option<&Marked>, found: &mut Diagnostics) {
        let Some(effect) = effect.filter(|effect| !effect.is_null()) else { return };
        let known: Vec<&str> = self.flow.effects.iter().map(|effect| effect.name.as_str()).collect();
        let name = effect.as_text().unwrap_or_default();
        if !known.contains(&name) {
            let message = format!("flow `{}` has no effect `{name}`", self.flow.name);
            let help = suggest(name, &known, "its effects are");
            found.push(Diagnostic::error("unknown-effect", effect.head(), message).help(help));
        }
    }

    /// Checks that a test that expects parameters says of which effect.
    fn check_params(&self, params: Option<&Marked>, expect: &Expectation, found: &mut Diagnostics) {
        if let Some(params) = params.filter(|_| !matches!(expect.effect, Some(Value::Text(_)))) {
            let message = "a test expects parameters, and does not name their effect";
            let names = self.flow.effects.iter().map(|effect| effect.name.as_str()).collect::<Vec<_>>().join(", ");
            let help = format!("write `effect:` beside `params:`; the effects are: {names}");
            found.push(Diagnostic::error("bad-expectation", params.head(), message).help(help));
        }
    }

    /// Checks that the rules that a test names exist.
    fn check_rules(&self, entry: &Entry, rules: &BTreeMap<String, Vec<String>>, found: &mut Diagnostics) {
        let node = self.flow.nodes.iter().find(|node| node.id.as_str() == entry.key());
        let Some(Work::Rules(node)) = node.map(|node| &node.work) else {
            let message = format!("flow `{}` has no rule node `{}`", self.flow.name, entry.key());
            found.push(Diagnostic::error("unknown-node", entry.key_span(), message));
            return;
        };
        let known: Vec<&str> = node.ruleset.rules().map(|rule| rule.name).collect();
        let named = rules.get(entry.key()).map(Vec::as_slice).unwrap_or_default();
        for (number, rule) in named.iter().enumerate().filter(|(_, rule)| !known.contains(&rule.as_str())) {
            let place = entry.value().items().get(number).map_or_else(|| entry.value().head(), Marked::head);
            let message = format!("node `{}` has no rule `{rule}`", entry.key());
            let help = suggest(rule, &known, "its rules are");
            found.push(Diagnostic::error("unknown-rule", place, message).help(help));
        }
    }

    fn check_types(&self, found: &mut Diagnostics) {
        for entry in self.root.get("types").map(Marked::entries).unwrap_or_default() {
            let Some((_, query)) = self.query(entry.key(), entry.key_span(), found) else { continue };
            for column in entry.value().entries() {
                if !query.columns.open && !query.columns.has(column.key()) {
                    found.push(unknown_column(entry.key(), column));
                }
                let ty = column.value().as_text().unwrap_or("");
                if !TYPES.contains(&ty) {
                    let error =
                        Diagnostic::error("unknown-type", column.value().head(), format!("there is no type `{ty}`"));
                    found.push(error.help(format!("the types are: {}", TYPES.join(", "))));
                }
            }
        }
    }
}

fn unknown_column(node: &str, column: &Entry) -> Diagnostic {
    let message = format!("the query of `{node}` has no column `{}`", column.key());
    Diagnostic::error("unknown-column", column.key_span(), message)
}
