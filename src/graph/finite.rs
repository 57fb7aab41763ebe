//! The facts of a flow that have few values.

use std::collections::HashMap;

use super::plan::{Flow, Node, Work};
use crate::grl::{FactRef, Owner};
use crate::types::Value;

/// By node and dotted path: the values of a fact that its rules give constants, or copy from such a fact.
pub(super) type FiniteFacts = HashMap<(usize, String), Vec<Value>>;

impl Flow {
    /// By node (its index) and dotted path: the values of each fact that has few. A fact may also be unset.
    pub fn finite_facts(&self) -> HashMap<(usize, String), Vec<Value>> {
        finite_facts(&self.nodes)
    }
}

pub(super) fn finite_facts(nodes: &[Node]) -> FiniteFacts {
    let mut known = FiniteFacts::new();
    for (place, node) in nodes.iter().enumerate() {
        if let Work::Rules(rules) = &node.work {
            let facts = rules.ruleset.finite(&|fact| of(&known, fact));
            known.extend(facts.into_iter().map(|(name, values)| ((place, name.to_string()), values)));
        }
    }
    known
}

pub(super) fn of(known: &FiniteFacts, fact: &FactRef) -> Option<Vec<Value>> {
    let Owner::Node(node) = fact.owner else { return None };
    known.get(&(node, fact.path.join("."))).cloned()
}
