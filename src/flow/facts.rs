//! What is known so far in a run: the inputs and the values of the nodes that have ended.

use std::sync::Arc;

use crate::graph::{Flow, RuleNode, Work};
use crate::grl::{FactRef, Facts, Lookup, Owner, Unknowns};
use crate::types::Value;

/// What is known so far.
pub(super) struct Known<'a> {
    flow: &'a Flow,
    inputs: Value,
    /// By node.
    nodes: Vec<State>,
}

/// What is known of a node's facts.
#[derive(Clone, Default)]
enum State {
    /// It has not ended, or it was skipped: its facts are unset.
    #[default]
    Unset,
    /// It could not run, as something on the way to it is unknown: so are its facts.
    Unknown,
    /// It has this value, in which these facts are unknown.
    Value(Value, Option<Arc<Unknowns>>),
}

impl<'a> Known<'a> {
    pub(super) fn new(flow: &'a Flow, inputs: Value) -> Self {
        Self { flow, inputs, nodes: vec![State::Unset; flow.nodes.len()] }
    }

    pub(super) fn set(&mut self, node: usize, value: Value, unknown: Option<Arc<Unknowns>>) {
        self.put(node, State::Value(value, unknown));
    }

    pub(super) fn set_unknown(&mut self, node: usize) {
        self.put(node, State::Unknown);
    }

    fn put(&mut self, node: usize, state: State) {
        if let Some(slot) = self.nodes.get_mut(node) {
            *slot = state;
        }
    }

    /// The unknown facts of a node that ran.
    pub(super) fn unknowns(&self, node: usize) -> Option<&Unknowns> {
        match self.nodes.get(node)? {
            State::Value(_, unknown) => unknown.as_deref(),
            State::Unset | State::Unknown => None,
        }
    }

    /// Whether the node could not run, as something on the way to it is unknown.
    pub(super) fn is_unknown(&self, node: usize) -> bool {
        matches!(self.nodes.get(node), Some(State::Unknown))
    }

    /// A rule node's facts that no rule wrote are missing; a row's fields that are not there were never selected.
    fn absent(&self, node: usize) -> Lookup {
        match self.flow.nodes.get(node).map(|node| &node.work) {
            Some(Work::Rules(RuleNode { allows_waiting: Some(_), .. })) => Lookup::Unset,
            Some(Work::Rules(_)) => Lookup::Unknown { at_least: None },
            Some(Work::Query(_)) | None => Lookup::Missing,
        }
    }
}

impl Facts for Known<'_> {
    fn read(&self, fact: &FactRef) -> Lookup {
        let at = |value: &Value| value.at(fact.path.iter().map(|name| &**name)).map(Lookup::Value);
        let node = match fact.owner {
            Owner::Input => return at(&self.inputs).unwrap_or(Lookup::Missing),
            Owner::Node(node) => node,
        };
        match self.nodes.get(node) {
            Some(State::Value(value, unknown)) => {
                let unknown = unknown.as_ref().and_then(|unknown| unknown.find(fact));
                unknown.or_else(|| at(value)).unwrap_or_else(|| self.absent(node))
            }
            Some(State::Unknown) => Lookup::Unknown { at_least: None },
            Some(State::Unset) | None => Lookup::Unset,
        }
    }
}
