//! A test file made of a real decision: its record, written as YAML.
//!
//! Values are written as JSON, which is valid YAML: every digit is kept, and no text is read as a number.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::flow::explain::{REDACTED, Redaction};
use crate::flow::{Decision, FlowError, Trace};
use crate::graph::{Flow, Rows, Work};
use crate::records::{Record, RecordedError, RecordedNode};
use crate::types::Value;

/// The text of a test file, to be written at `file`, whose one test is this run.
///
/// It lacks what the graph redacts: [`REDACTED`] stands for a value of a row, to be replaced before the test runs, and what was
/// made from such a value is not expected.
pub fn record(flow: &Flow, result: &Result<Decision, FlowError>, trace: &Trace, file: &Path) -> String {
    let result = result.as_ref().map_err(RecordedError::from);
    let record = &Record::of(flow, trace, result.as_ref().copied(), true);
    let graph = relative(Path::new(flow.path_span.source().name()), file.parent().unwrap_or(Path::new("")));
    let mut text = String::new();
    line(&mut text, &format!("# A decision of {}, to be run by `tributary test`.\n", record.at));
    line(&mut text, &format!("graph: {}", json(&graph.display().to_string())));
    line(&mut text, &format!("flow: {}", record.flow));
    line(&mut text, &format!("clock: {}", json(&record.at)));
    line(&mut text, &format!("time_zone: {}", json(&record.time_zone)));
    let types = record.nodes.iter().filter(|(_, node)| !node.types.is_empty());
    section(&mut text, "", "types", types.map(|(name, node)| (name, json(&node.types))));
    line(&mut text, "\ntests:");
    line(&mut text, &format!("  - name: {}", json(&name(record))));
    line(&mut text, &format!("    input: {}", json(&record.input)));
    let rows = record.nodes.iter().filter_map(|(name, node)| Some((name, rows(flow, name, node)?)));
    section(&mut text, "    ", "rows", rows);
    let failures = record.nodes.iter().filter_map(|(name, node)| Some((name, failure(node)?.to_owned())));
    section(&mut text, "    ", "fail", failures);
    expectation(record, &mut text);
    if let Some((known, effect)) =
        trace.effect.as_deref().and_then(|known| Some((known, flow.effects.get(known.effect)?)))
    {
        line(&mut text, &format!("      effect: {}", effect.name));
        let params = Redaction::of(flow).effect(effect, known).params();
        if let Some(params) = expected(&params).filter(|_| known.failed.is_none()) {
            line(&mut text, &format!("      params: {}", json(&params)));
            line(&mut text, &format!("      approval: {}", known.needs_approval));
        }
    }
    text
}

/// The name of the test: the message of its decision, or how the run ended.
fn name(record: &Record) -> String {
    let message = record.decision.as_ref().and_then(|decision| decision.at(["message"]));
    match (message.map(|message| message.to_string()), &record.error) {
        (Some(message), _) if message != REDACTED => message,
        (_, Some(error)) if record.redacted.is_empty() => error.detail.clone(),
        (_, Some(error)) => error.code.clone(),
        (_, None) => record.status().unwrap_or_default(),
    }
}

/// The rows of a query node: a mapping where the node takes one row.
fn rows(flow: &Flow, name: &str, node: &RecordedNode) -> Option<String> {
    let rows = node.rows.as_ref()?;
    let work = flow.nodes.iter().find(|node| node.id.as_str() == name).map(|node| &node.work);
    let takes_many = matches!(work, Some(Work::Query(query)) if query.rows == Rows::Many);
    match rows.as_slice() {
        [row] if !takes_many => Some(json(row)),
        rows => Some(json(rows)),
    }
}

/// How a query node is made to fail.
fn failure(node: &RecordedNode) -> Option<&str> {
    match (&node.query, node.found, &node.failed) {
        (Some(_), Some(0), _) => Some("no_rows"),
        (Some(_), None, Some(code)) => Some(code),
        (Some(_), None, None) if node.state == "unfinished" => Some("unanswered"),
        _ => None,
    }
}

fn expectation(record: &Record, text: &mut String) {
    line(text, "    expect:");
    if let Some(Value::Map(decision)) = &record.decision {
        for (name, value) in decision.iter().filter(|(name, _)| ["status", "message"].contains(&&***name)) {
            if *value != Value::text(REDACTED) {
                line(text, &format!("      {name}: {}", json(value)));
            }
        }
        let body = decision.iter().filter(|(name, _)| !["status", "message", "degraded"].contains(&&***name));
        let body = body.filter_map(|(name, value)| Some((json(name), json(&expected(value)?))));
        section(text, "      ", "body", body);
        if let Some(degraded) = decision.get("degraded") {
            line(text, &format!("      degraded: {}", json(degraded)));
        }
    }
    if let Some(error) = &record.error {
        line(text, &format!("      error: {}", error.code));
        if let Some(node) = &error.node {
            line(text, &format!("      node: {node}"));
        }
    }
    let ran = record.nodes.iter().filter(|(_, node)| node.state == "done");
    let fired = ran.filter_map(|(name, node)| Some((name, json(node.fired.as_ref()?))));
    section(text, "      ", "fired", fired);
}

/// What is expected of a value of the body: without redacted fields. A list with such fields is left out.
fn expected(value: &Value) -> Option<Value> {
    match value {
        Value::Text(text) if &**text == REDACTED => None,
        Value::Map(record) => {
            let fields = record.iter().filter_map(|(name, value)| Some((name.clone(), expected(value)?)));
            Some(Value::map(fields.collect::<Vec<_>>()))
        }
        Value::List(items) => items.iter().map(expected).collect::<Option<_>>().map(Value::List),
        other => Some(other.clone()),
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A mapping of `entries` under `key`, unless there are none.
fn section(
    text: &mut String,
    indent: &str,
    key: &str,
    entries: impl Iterator<Item = (impl std::fmt::Display, String)>,
) {
    for (number, (name, value)) in entries.enumerate() {
        if number == 0 {
            line(text, &format!("{indent}{key}:"));
        }
        line(text, &format!("{indent}  {name}: {value}"));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// `path` relative to `directory`, with symbolic links resolved; absolute where that fails.
fn relative(path: &Path, directory: &Path) -> PathBuf {
    let here = |directory: &Path| if directory == Path::new("") { Path::new(".") } else { directory }.canonicalize();
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return path.to_owned() };
    let (Ok(parent), Ok(directory)) = (here(parent), here(directory)) else {
        return std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    };
    let shared = parent.components().zip(directory.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(parent.components().skip(shared)).chain([Component::Normal(name)]).collect()
}
