//! A test file made of a real decision.
//!
//! Values are written as JSON, which is YAML: every digit stays, and no text is taken for a number.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::flow::explain::{REDACTED, Redaction};
use crate::flow::offline::rows;
use crate::flow::{Decision, FlowError, NodeEnd, NodeTrace, Trace};
use crate::graph::{Flow, Node, Rows, Work};
use crate::records::hints;
use crate::types::{FieldName, NodeId, Value};

/// The text of a test file, to be written at `file`, whose one test is this run.
///
/// What the graph wants redacted is not in it: [`REDACTED`] stands for a value of a row, to be replaced before the test runs, and
/// what was made from such a value is not expected.
pub fn record(flow: &Flow, result: &Result<Decision, FlowError>, trace: &Trace, file: &Path) -> String {
    let mut text = String::new();
    let redaction = &Redaction::of(flow);
    let graph = relative(Path::new(flow.path_span.source().name()), file.parent().unwrap_or(Path::new("")));
    line(&mut text, &format!("# A decision of {}, to be run by `tributary test`.\n", trace.clock.now()));
    line(&mut text, &format!("graph: {}", json(&graph.display().to_string())));
    line(&mut text, &format!("flow: {}", flow.name));
    line(&mut text, &format!("clock: {}", json(&trace.clock.now().to_string())));
    let zone = trace.clock.time_zone().iana_name().unwrap_or("UTC");
    line(&mut text, &format!("time_zone: {}", json(&zone)));
    let outcome = trace.outcomes.len().checked_sub(1).and_then(|last| flow.outcomes.get(last));
    let shown = |decision: &Decision| match outcome {
        Some(outcome) => decision.redacted(redaction, outcome),
        None => decision.clone(),
    };
    let result = &result.as_ref().map(shown);
    types(flow, trace, redaction, &mut text);
    line(&mut text, "\ntests:");
    let name = match result {
        Ok(Decision { message: Some(message), .. }) if message != REDACTED => message.clone(),
        Ok(decision) => decision.status.clone(),
        Err(error) if redaction.is_empty() => error.to_string(),
        Err(error) => error.code().to_owned(),
    };
    line(&mut text, &format!("  - name: {}", json(&name)));
    line(&mut text, &format!("    input: {}", json(&trace.inputs)));
    answers(flow, trace, redaction, &mut text);
    expectation(flow, result, trace, &mut text);
    text
}

fn queries<'a>(flow: &'a Flow, trace: &'a Trace) -> impl Iterator<Item = (usize, &'a Node, &'a NodeTrace)> {
    let nodes = flow.nodes.iter().zip(&trace.nodes).enumerate().map(|(place, (node, trace))| (place, node, trace));
    nodes.filter(|(_, node, _)| matches!(node.work, Work::Query(_)))
}

fn types(flow: &Flow, trace: &Trace, redaction: &Redaction, text: &mut String) {
    let mut all = Vec::new();
    for (place, node, trace) in queries(flow, trace) {
        if let NodeEnd::Value(value) = &trace.end {
            let hints = hints(&rows(&redaction.value(place, value)));
            if !hints.is_empty() {
                all.push(format!("  {}: {}", node.id, json(&hints)));
            }
        }
    }
    if !all.is_empty() {
        line(text, &format!("types:\n{}", all.join("\n")));
    }
}

fn answers(flow: &Flow, trace: &Trace, redaction: &Redaction, text: &mut String) {
    let (mut given, mut failed) = (Vec::new(), Vec::new());
    for (place, node, trace) in queries(flow, trace) {
        let one = matches!(&node.work, Work::Query(query) if query.rows != Rows::Many);
        match &trace.end {
            NodeEnd::Value(value) => {
                let value = &redaction.value(place, value);
                let shown = if one && !value.is_null() { json(value) } else { json(&rows(value)) };
                given.push(format!("      {}: {shown}", node.id));
            }
            NodeEnd::WrongRows(0) => failed.push(format!("      {}: no_rows", node.id)),
            NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => failed.push(format!("      {}: {code}", node.id)),
            NodeEnd::Unfinished => failed.push(format!("      {}: unanswered", node.id)),
            NodeEnd::WrongRows(_) | NodeEnd::NotStarted | NodeEnd::Skipped(_) | NodeEnd::Unknown(_) => {}
        }
    }
    for (key, lines) in [("rows", given), ("fail", failed)] {
        if !lines.is_empty() {
            line(text, &format!("    {key}:\n{}", lines.join("\n")));
        }
    }
}

fn expectation(flow: &Flow, result: &Result<Decision, &FlowError>, trace: &Trace, text: &mut String) {
    line(text, "    expect:");
    match result {
        Ok(decision) => {
            line(text, &format!("      status: {}", json(&decision.status)));
            if let Some(message) = decision.message.as_ref().filter(|message| *message != REDACTED) {
                line(text, &format!("      message: {}", json(message)));
            }
            let body: Vec<(&FieldName, Value)> =
                decision.body.iter().filter_map(|(name, value)| Some((name, expected(value)?))).collect();
            if !body.is_empty() {
                line(text, "      body:");
            }
            for (name, value) in body {
                line(text, &format!("        {}: {}", json(name), json(&value)));
            }
            if !decision.degraded.is_empty() {
                line(text, &format!("      degraded: {}", json(&decision.degraded)));
            }
        }
        Err(error) => {
            line(text, &format!("      error: {}", error.code()));
            if let Some(node) = error.node() {
                line(text, &format!("      node: {node}"));
            }
        }
    }
    let fired: Vec<(&NodeId, Vec<String>)> = flow
        .nodes
        .iter()
        .zip(&trace.nodes)
        .filter(|(_, trace)| matches!(trace.end, NodeEnd::Value(_)))
        .filter_map(|(node, trace)| match &node.work {
            Work::Rules(rules) => {
                let names: Vec<String> = rules.ruleset.rules().map(|rule| rule.name.to_owned()).collect();
                Some((&node.id, trace.fired.iter().filter_map(|rule| names.get(*rule).cloned()).collect()))
            }
            Work::Query(_) => None,
        })
        .collect();
    if !fired.is_empty() {
        line(text, "      fired:");
    }
    for (node, rules) in fired {
        line(text, &format!("        {node}: {}", json(&rules)));
    }
}

/// What is expected of a value of the body: without the parts that are redacted; a list with such parts not at all.
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

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// `path` as it is named from `directory`, whatever links lead to either; in full where that cannot be found out.
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
