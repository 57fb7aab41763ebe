//! A record as an overlay of the picture of its flow.

use std::time::Duration;

use super::record::{Record, RecordedNode};
use super::replay::Replay;
use crate::graph::Flow;
use crate::graph::picture::{NodeRun, Overlay, State};
use crate::grl::Limits;
use crate::types::NodeId;

/// The states of the nodes of `flow` in `record`, and its outcome.
pub fn overlay(flow: &Flow, record: &Record, limits: &Limits) -> Overlay {
    let nodes = record.nodes.iter().filter_map(|(name, node)| Some((NodeId::parse(name).ok()?, run(node))));
    let status = record.status();
    let outcome = status.as_deref().and_then(|status| outcome(flow, record, status, limits));
    let error = || record.error.as_ref().map(|error| format!("error {}", error.code));
    Overlay { nodes: nodes.collect(), outcome, ending: status.or_else(error).unwrap_or_default() }
}

/// Several outcomes may have one status. Deciding again shows which it was; else it is the first of that status.
fn outcome(flow: &Flow, record: &Record, status: &str, limits: &Limits) -> Option<usize> {
    let has_status = |number: &usize| flow.outcomes.get(*number).is_some_and(|outcome| outcome.status == status);
    let again = Replay::new(std::slice::from_ref(flow), limits.clone()).decide(record).ok();
    let tried = again.and_then(|report| report.trace?.chosen);
    tried.filter(has_status).or_else(|| (0..flow.outcomes.len()).find(has_status))
}

fn run(node: &RecordedNode) -> NodeRun {
    let state = match node.state.as_str() {
        "done" => State::Done,
        "degraded" => State::Degraded,
        "skipped" => State::Skipped,
        "failed" => State::Failed,
        _ => State::NotRun,
    };
    let ended = matches!(state, State::Done | State::Degraded | State::Failed);
    NodeRun {
        state,
        began: node.start_us.filter(|_| ended).map(Duration::from_micros),
        took: node.took_us.filter(|_| ended).map(Duration::from_micros),
        rows: node.rows.as_ref().map(Vec::len).or(node.found),
        fired: node.fired.as_ref().filter(|_| state == State::Done).map(Vec::len),
    }
}
