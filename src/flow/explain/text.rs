//! An explanation as text, for people and for models.

use std::fmt::Write;

use super::{EffectExplanation, Explanation, Fired, NodeExplanation, NotFired};
use crate::types::Value;

/// The explanation, in lines.
pub fn text(explanation: &Explanation) -> String {
    let mut text = String::new();
    let versions = &explanation.versions;
    line(&mut text, &format!("flow {}  (graph {}, rules {})", explanation.flow, versions.graph, versions.rules));
    let clock = &explanation.clock;
    line(&mut text, &format!("decided at {} ({}), in {} us", clock.now, clock.time_zone, explanation.took_us));
    line(&mut text, "\nnodes");
    explanation.nodes.iter().for_each(|each| node(each, &mut text));
    for each in explanation.nodes.iter().filter(|node| node.fired.is_some()) {
        line(&mut text, &format!("\nrules of {}", each.node));
        each.fired.iter().flatten().for_each(|rule| fired(rule, &mut text));
        each.not_fired.iter().flatten().for_each(|rule| not_fired(rule, &mut text));
        if let Some(further) = each.further_rows {
            line(&mut text, &format!("  - {further} further rows"));
        }
    }
    line(&mut text, "\noutcomes");
    for outcome in &explanation.outcomes {
        let mark = if outcome.holds { "+" } else { "-" };
        let because =
            if outcome.because.is_empty() { String::new() } else { format!("  {}", outcome.because.join("; ")) };
        line(
            &mut text,
            &format!("  {mark} {}  {}{because}", outcome.status, outcome.when.as_deref().unwrap_or("always")),
        );
    }
    if let Some(each) = &explanation.effect {
        effect(each, &mut text);
    }
    if !explanation.lineage.is_empty() {
        line(&mut text, "\nwhere the answer comes from");
    }
    for (field, lineage) in &explanation.lineage {
        // Without a column it is all rows of the node.
        let columns = lineage.columns.iter().map(|column| match &*column.column {
            "" => column.node.clone(),
            name => format!("{}.{name}", column.node),
        });
        let sources: Vec<String> = columns.chain(lineage.inputs.iter().map(|input| format!("input.{input}"))).collect();
        let mut rules: Vec<&str> = Vec::new();
        for rule in lineage.rules.iter().map(|rule| rule.rule.as_str()) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        let through = if rules.is_empty() { String::new() } else { format!("  through {}", rules.join(", ")) };
        line(&mut text, &format!("  {field} = {}  from {}{through}", lineage.expression, sources.join(", ")));
    }
    text
}

fn effect(effect: &EffectExplanation, text: &mut String) {
    let result = effect.result.unwrap_or("would be written with an Idempotency-Key");
    line(text, &format!("\neffect {} on {}: {result}", effect.effect, effect.domain));
    if let Some(code) = effect.failed {
        line(text, &format!("  it cannot be written: {code}"));
    }
    for (number, statement) in effect.statements.iter().enumerate() {
        let params = match &statement.params {
            Some(params) => params.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
            None => "given what another statement returns".to_owned(),
        };
        line(text, &format!("  statement {}: {params}", number + 1));
        if let Some(returned) = &statement.returned {
            line(text, &format!("      returned {returned}"));
        }
    }
    if let Some(event) = &effect.event {
        let key = event.key.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
        let id = event.id.as_ref().map(|id| format!("  id {id}")).unwrap_or_default();
        line(text, &format!("  event {}{key}{id}", event.ty));
    }
    if effect.needs_approval {
        line(text, "  needs an approval");
    }
}

fn node(node: &NodeExplanation, text: &mut String) {
    let shown = |name: &str, value: Option<u64>| value.map(|value| format!("  {name} {value} us")).unwrap_or_default();
    let domain = node.domain.as_ref().map(|domain| format!(" on {domain}")).unwrap_or_default();
    let rows = node.rows.map(|rows| format!("  rows {rows}")).unwrap_or_default();
    let because = if node.because.is_empty() { String::new() } else { format!("  {}", node.because.join("; ")) };
    let times = [
        ("at", node.start_us),
        ("waited", node.wait_us),
        ("query", node.query_us),
        ("rows older by at most", node.staleness_us),
        ("took", node.took_us),
    ];
    let times: String = times.into_iter().map(|(name, value)| shown(name, value)).collect();
    line(text, &format!("  {}{domain}  {}{because}{times}{rows}", node.node, node.state));
    if !node.unknown.is_empty() {
        let unknown: Vec<&str> = node.unknown.iter().map(|fact| &**fact).collect();
        line(text, &format!("      unknown, as rules wait: {}", unknown.join(", ")));
    }
}

fn fired(rule: &Fired, text: &mut String) {
    let facts: Vec<String> = rule
        .facts
        .iter()
        .map(|change| match (&change.before, &change.after) {
            (Some(Value::List(before)), Value::List(after)) if after.starts_with(before) => {
                let added = after.iter().skip(before.len()).cloned();
                format!("{} += {}", change.fact, Value::List(added.collect()))
            }
            (Some(before), after) => format!("{} {before} -> {after}", change.fact),
            (None, after) => format!("{} = {after}", change.fact),
        })
        .collect();
    line(text, &format!("  + {}: {}  ({})", rule.rule, facts.join(", "), rule.place));
    rule.log.iter().for_each(|logged| line(text, &format!("      log: {logged}")));
}

fn not_fired(rule: &NotFired, text: &mut String) {
    let would_set: Vec<&str> = rule.would_set.iter().map(|fact| &**fact).collect();
    let would_set = if would_set.is_empty() { String::new() } else { format!("; would set {}", would_set.join(", ")) };
    line(text, &format!("  - {}: {}{would_set}  ({})", rule.rule, rule.because.join("; "), rule.place));
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}
