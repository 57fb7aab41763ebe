//! Which sides of rules and branches can occur at all, as far as that can be proved.

use std::collections::HashMap;

use crate::graph::{Flow, Node, Outcome, Work};
use crate::grl::{Expression, FactRef, Owner, RuleSides, Sides, Surely, overlap};
use crate::types::Value;

/// What is proved of the nodes and outcomes of a flow.
pub(super) struct Possible<'a> {
    flow: &'a Flow,
    /// By node: what is proved of its rules.
    sides: Vec<Sides>,
    values: HashMap<(usize, String), Vec<Value>>,
}

/// What is certain wherever some conditions hold.
struct Given<'a> {
    /// The conditions.
    conditions: Vec<&'a Expression>,
    /// The facts that have a value then.
    set: Vec<&'a FactRef>,
    /// By node, as far as it is known: whether it runs then.
    runs: Vec<bool>,
}

impl<'a> Possible<'a> {
    pub(super) fn of(flow: &'a Flow) -> Self {
        let mut possible = Self { flow, sides: Vec::new(), values: flow.finite_facts() };
        for node in &flow.nodes {
            let sides = match &node.work {
                Work::Rules(rules) => {
                    let given = possible.given(node.guards.iter().map(|guard| &guard.rule).collect());
                    possible.surely(&given, |surely| rules.ruleset.sides(surely))
                }
                Work::Query(_) => Sides::default(),
            };
            possible.sides.push(sides);
        }
        possible
    }

    /// What is proved of the rules of a node.
    pub(super) fn rules(&self, node: usize) -> &[RuleSides] {
        self.sides.get(node).map(|sides| sides.rules.as_slice()).unwrap_or_default()
    }

    /// By node: whether it runs whenever the flow is decided.
    pub(super) fn always_run(&self) -> Vec<bool> {
        self.given(Vec::new()).runs
    }

    /// Whether a condition of the edges to the node never holds.
    pub(super) fn never_runs(&self, node: &Node) -> bool {
        let given = self.given(Vec::new());
        node.guards.iter().any(|guard| self.surely(&given, |surely| guard.rule.never_holds(surely)))
    }

    /// Whether the outcome is the last one and always holds: it is for what is left over, and that may be nothing.
    pub(super) fn is_left_over(&self, number: usize, outcome: &Outcome) -> bool {
        let always = |when| self.surely(&self.given(Vec::new()), |surely| Expression::always_holds(when, surely));
        number + 1 == self.flow.outcomes.len() && outcome.when.as_ref().is_none_or(always)
    }

    /// Whether the flow never ends in the outcome, since it is never true where those before it are not.
    pub(super) fn is_unreachable(&self, number: usize, outcome: &Outcome) -> bool {
        let before = self.flow.outcomes.iter().take(number);
        let Some(before) = before.map(|earlier| earlier.when.as_ref()).collect::<Option<Vec<_>>>() else { return true };
        let given = self.given(outcome.when.iter().collect());
        // Where only facts of skipped nodes make a condition unknown, the next outcome is tried.
        let may_be_unset = |when: &&Expression| when.reads().iter().any(|fact| self.may_be_unset(fact, &given));
        let tried: Vec<_> = before.iter().map(|when| (*when, may_be_unset(when))).collect();
        self.surely(&given, |surely| surely.one_holds(&tried))
    }

    fn surely<T>(&self, given: &Given<'a>, judge: impl FnOnce(&Surely<'_>) -> T) -> T {
        let is_set = |fact: &FactRef| self.is_set(fact, given);
        let values = |fact: &FactRef| match fact.owner {
            Owner::Node(node) => self.values.get(&(node, fact.path.join("."))).cloned(),
            Owner::Input => None,
        };
        judge(&Surely { conditions: &given.conditions, is_set: &is_set, values: &values })
    }

    /// What is certain where `conditions` hold. So do those of the edges to the nodes that must have run for them to hold.
    fn given(&self, conditions: Vec<&'a Expression>) -> Given<'a> {
        let mut given = Given { conditions, set: Vec::new(), runs: vec![false; self.flow.nodes.len()] };
        let mut next = 0;
        while let Some(condition) = given.conditions.get(next) {
            next += 1;
            let set = condition.surely_set();
            for fact in &set {
                let Owner::Node(place) = fact.owner else { continue };
                if let (Some(runs), Some(node)) = (given.runs.get_mut(place), self.flow.nodes.get(place))
                    && !std::mem::replace(runs, true)
                {
                    given.conditions.extend(node.guards.iter().map(|guard| &guard.rule));
                }
            }
            given.set.extend(set);
        }
        for (place, node) in self.flow.nodes.iter().enumerate().take(self.sides.len()) {
            let runs = self.runs(node, &given);
            if let Some(known) = given.runs.get_mut(place) {
                *known = *known || runs;
            }
        }
        given
    }

    fn runs(&self, node: &'a Node, given: &Given<'a>) -> bool {
        let has_params = match &node.work {
            Work::Query(query) => query.params.iter().all(|fact| self.is_set(fact, given)),
            Work::Rules(_) => true,
        };
        has_params && node.guards.iter().all(|guard| self.surely(given, |surely| guard.rule.always_holds(surely)))
    }

    /// Whether the fact has a certain value.
    fn is_set(&self, fact: &FactRef, given: &Given<'a>) -> bool {
        let Owner::Node(node) = fact.owner else { return true };
        given.set.iter().any(|known| known.owner == fact.owner && known.path == fact.path)
            || given.runs.get(node).copied().unwrap_or(false) && self.is_certain(node, fact)
    }

    /// Whether a node that runs gives the fact a certain value.
    fn is_certain(&self, node: usize, fact: &FactRef) -> bool {
        let (Some(node), Some(sides)) = (self.flow.nodes.get(node), self.sides.get(node)) else { return false };
        let Work::Rules(rules) = &node.work else { return true };
        let path = fact.path.join(".");
        let mut parts = rules.ruleset.own_facts().map(|(name, _)| name).filter(|name| overlap(name, &path)).peekable();
        let is_certain =
            |name| sides.set.contains(name) && (rules.allows_waiting.is_some() || !sides.doubtful.contains(name));
        parts.peek().is_some() && parts.all(is_certain)
    }

    /// Whether the fact may be unset, and not only unknown.
    fn may_be_unset(&self, fact: &FactRef, given: &Given<'a>) -> bool {
        let Owner::Node(node) = fact.owner else { return false };
        let allows_waiting = match self.flow.nodes.get(node).map(|node| &node.work) {
            Some(Work::Rules(rules)) => rules.allows_waiting.is_some(),
            Some(Work::Query(_)) | None => false,
        };
        !given.runs.get(node).copied().unwrap_or(false) || allows_waiting && !self.is_set(fact, given)
    }
}
