//! What is known so far in a run: the inputs and the values of the nodes that have ended.

use crate::graph::{Flow, Work};
use crate::grl::{FactRef, Facts, Lookup, Owner};
use crate::types::Value;

/// What is known so far.
pub(super) struct Known<'a> {
    flow: &'a Flow,
    inputs: Value,
    /// By node; `None` while it runs, and for ever where it was skipped.
    values: Vec<Option<Value>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(flow: &'a Flow, inputs: Value) -> Self {
        Self { flow, inputs, values: vec![None; flow.nodes.len()] }
    }

    pub(super) fn set(&mut self, node: usize, value: Value) {
        if let Some(slot) = self.values.get_mut(node) {
            *slot = Some(value);
        }
    }

    /// A rule node's facts that no rule wrote are unset; a row's fields that are not there were never selected.
    fn absent(&self, owner: Owner) -> Lookup {
        match owner {
            Owner::Node(node) if self.flow.nodes.get(node).is_some_and(|node| matches!(node.work, Work::Rules(_))) => {
                Lookup::Unset
            }
            Owner::Node(_) | Owner::Input => Lookup::Missing,
        }
    }
}

impl Facts for Known<'_> {
    fn read(&self, fact: &FactRef) -> Lookup {
        let value = match fact.owner {
            Owner::Input => Some(&self.inputs),
            Owner::Node(node) => self.values.get(node).and_then(Option::as_ref),
        };
        let Some(value) = value else { return Lookup::Unset };
        match value.at(fact.path.iter().map(|name| &**name)) {
            Some(value) => Lookup::Value(value),
            None => self.absent(fact.owner),
        }
    }
}
