//! Compares the result of a test with its expectation.

use super::keys::Expectation;
use crate::flow::explain::Explanation;
use crate::flow::{Decision, EffectTrace, FlowError, Trace};
use crate::graph::Flow;
use crate::records::{Change, unmet};
use crate::types::{NodeId, Value};

/// One difference from the expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What differs: `status`, `purchase_order.total_cost`, `rules fired in create_po`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Why, as far as it is known.
    pub because: Vec<String>,
}

/// All differences from the expectation.
pub(super) fn compare(
    expect: &Expectation,
    (flow, result, trace): (&Flow, &Result<Decision, FlowError>, &Trace),
    explanation: &Explanation,
) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    match (result, &expect.error) {
        (Ok(decision), None) => {
            decided(expect, decision, explanation, &mut mismatches);
            effect(expect, flow, trace.effect.as_deref(), &mut mismatches);
        }
        (Ok(decision), Some(error)) => {
            mismatches.push(mismatch("result", &format!("error {error}"), &format!("status {}", decision.status)));
        }
        (Err(error), None) => {
            let expected = format!("status {}", expect.status.as_deref().unwrap_or(""));
            let mut found = mismatch("result", &expected, &format!("error {}", error.code()));
            found.because.push(error.to_string());
            mismatches.push(found);
        }
        (Err(error), Some(expected)) => {
            if error.code() != expected {
                let mut found = mismatch("error", expected, error.code());
                found.because.push(error.to_string());
                mismatches.push(found);
            }
            let node = error.node().map_or("none", |node| node.as_str());
            if let Some(expected) = expect.node.as_deref().filter(|expected| *expected != node) {
                mismatches.push(mismatch("node of the error", expected, node));
            }
        }
    }
    rules(expect, explanation, &mut mismatches);
    mismatches
}

fn mismatch(what: &str, expected: &str, found: &str) -> Mismatch {
    Mismatch { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned(), because: Vec::new() }
}

fn decided(expect: &Expectation, decision: &Decision, explanation: &Explanation, into: &mut Vec<Mismatch>) {
    if let Some(status) = expect.status.as_ref().filter(|status| **status != decision.status) {
        let mut found = mismatch("status", status, &decision.status);
        let missed = explanation.outcomes.iter().filter(|tried| tried.status == *status && !tried.holds);
        found.because = missed.flat_map(|tried| tried.because.clone()).collect();
        into.push(found);
    }
    if let Some(message) = &expect.message {
        let found = decision.message.as_deref().unwrap_or("(none)");
        if found != message {
            into.push(mismatch("message", message, found));
        }
    }
    if let Some(body) = &expect.body {
        let json = |value: Value| serde_json::to_string(&value).unwrap_or_default();
        for Change { field, before, after } in unmet(body, &decision.to_value()) {
            let (expected, found) = (before.map_or_else(String::new, json), after.map(json));
            into.push(mismatch(&field, &expected, found.as_deref().unwrap_or("(not there)")));
        }
    }
    if let Some(degraded) = &expect.degraded {
        let found: Vec<String> = decision.degraded.iter().map(NodeId::to_string).collect();
        if *degraded != found {
            into.push(mismatch("degraded", &degraded.join(", "), &found.join(", ")));
        }
    }
}

fn effect(expect: &Expectation, flow: &Flow, found: Option<&EffectTrace>, into: &mut Vec<Mismatch>) {
    let json = |value: &Value| serde_json::to_string(value).unwrap_or_default();
    let shown = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
    let effect = found.and_then(|found| flow.effects.get(found.effect));
    let name = effect.map_or(Value::Null, |effect| Value::text(effect.name.as_str()));
    if let Some(expected) = expect.effect.as_ref().filter(|expected| **expected != name) {
        into.push(mismatch("effect", &shown(expected), &shown(&name)));
        return;
    }
    let failed = found.and_then(|found| found.failed.as_ref());
    if let Some(error) = failed.filter(|_| expect.effect.is_some() || expect.approval.is_some()) {
        let mut mismatch = mismatch("effect", &shown(&name), &format!("error {}", error.code()));
        mismatch.because.push(error.to_string());
        into.push(mismatch);
        return;
    }
    for Change { field, before, after } in
        expect.params.iter().zip(found).flat_map(|(expected, found)| unmet(expected, &found.params()))
    {
        let shown = |value: Option<Value>| value.as_ref().map_or_else(|| "(not there)".to_owned(), json);
        into.push(mismatch(&format!("params{field}"), &shown(before), &shown(after)));
    }
    let waits = found.is_some_and(|found| found.needs_approval);
    if let Some(expected) = expect.approval.filter(|expected| *expected != waits) {
        into.push(mismatch("approval", &expected.to_string(), &waits.to_string()));
    }
}

fn rules(expect: &Expectation, explanation: &Explanation, into: &mut Vec<Mismatch>) {
    let node = |name: &str| explanation.nodes.iter().find(|node| node.node.as_str() == name);
    for (name, expected) in &expect.fired {
        let Some(node) = node(name) else { continue };
        let found: Vec<&str> = node.fired.iter().flatten().map(|rule| rule.rule.as_str()).collect();
        if *expected == found {
            continue;
        }
        let shown = |rules: &[&str]| if rules.is_empty() { "(none)".to_owned() } else { rules.join(", ") };
        let wanted: Vec<&str> = expected.iter().map(String::as_str).collect();
        let mut mismatch = mismatch(&format!("rules fired in {name}"), &shown(&wanted), &shown(&found));
        for rule in node.not_fired.iter().flatten().filter(|rule| expected.contains(&rule.rule)) {
            mismatch.because.push(format!("{} did not fire: {}", rule.rule, rule.because.join("; ")));
        }
        into.push(mismatch);
    }
    for (name, expected) in &expect.not_fired {
        let Some(node) = node(name) else { continue };
        for rule in node.fired.iter().flatten().filter(|rule| expected.contains(&rule.rule)) {
            let changes: Vec<String> =
                rule.facts.iter().map(|change| format!("{} = {}", change.fact, change.after)).collect();
            let mut mismatch = mismatch(&format!("rule `{}` of {name}", rule.rule), "does not fire", "fired");
            mismatch.because.push(format!("it set {}", changes.join(", ")));
            into.push(mismatch);
        }
    }
}
