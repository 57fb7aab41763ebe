//! What is known so far in a run: the inputs and the values of the nodes that have ended.

use crate::graph::{Flow, Work};
use crate::grl::{FactRef, Facts, Lookup, Owner};
use crate::types::{FieldName, Value};

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

    /// A rule node's facts that no rule wrote are unset; a row's columns that are not there were never selected. Below both,
    /// a JSON document may lack a key.
    fn absent(&self, fact: &FactRef, value: &Value) -> Lookup {
        let there = |length: usize| value.at(fact.path.iter().take(length).map(|name| &**name)).is_some();
        let length = (1..fact.path.len()).take_while(|length| there(*length)).last().unwrap_or(0);
        let node = match fact.owner {
            Owner::Node(node) => self.flow.nodes.get(node).map(|node| &node.work),
            Owner::Input => None,
        };
        let in_json = match node {
            Some(Work::Rules(rules)) => rules.ruleset.is_value(fact.path.get(..length).unwrap_or_default()),
            Some(Work::Query(_)) | None => length > 0,
        };
        match (fact.path.get(length), node) {
            (Some(key), _) if in_json => {
                let missing = fact.path.len() - length;
                let of = fact.written.rsplitn(missing + 1, '.').last().unwrap_or("");
                Lookup::NoKey { of: FieldName::from(of), key: key.clone() }
            }
            (_, Some(Work::Rules(_))) => Lookup::Unset,
            _ => Lookup::Missing,
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
            None => self.absent(fact, value),
        }
    }
}
