//! Which sides of rules and branches the tests have covered.
//!
//! A rule has two sides: it fired, or it was tried and did not fire (its condition was false, it waited, or it was not in force).
//! So have the conditions of the edges to a node: it ran, or was kept from running. An outcome has one: the flow ended in it.
//! A side that is proved never to occur is not counted (`possible`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::possible::Possible;
use super::suite::Suite;
use crate::flow::explain::Explanation;
use crate::graph::{Flow, Work};

/// A side of a rule or branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Fired { node: String, rule: String },
    HeldBack { node: String, rule: String },
    Ran { node: String },
    Skipped { node: String },
    Ended { number: usize },
}

/// A side that no test has covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The flow.
    pub flow: String,
    /// What: `rule`, `edge` or `outcome`.
    pub kind: &'static str,
    /// What did not happen.
    pub what: String,
    /// Its file, line and column.
    pub place: String,
}

/// The sides of one flow, and the covered ones.
type Sides = (Vec<(Side, Uncovered)>, BTreeSet<Side>);

/// What the tests have covered.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// By flow: its sides, and the covered ones.
    flows: BTreeMap<String, Sides>,
    /// By suite: its flow.
    suites: Vec<String>,
}

impl Coverage {
    /// The flows of `suites`, with nothing covered yet.
    pub(super) fn of(suites: &[Suite]) -> Self {
        let mut flows = BTreeMap::new();
        for suite in suites {
            let key = format!("{} {}", suite.flow.name, suite.flow.graph_hash);
            flows.entry(key).or_insert_with(|| (sides(&suite.flow), BTreeSet::new()));
        }
        let suites = suites.iter().map(|suite| format!("{} {}", suite.flow.name, suite.flow.graph_hash)).collect();
        Self { flows, suites }
    }

    /// Adds what a run covers.
    pub(super) fn add(&mut self, suite: usize, run: &Explanation) {
        let Some((all, seen)) = self.suites.get(suite).and_then(|key| self.flows.get_mut(key)) else { return };
        for node in &run.nodes {
            let name = node.node.to_string();
            match node.state {
                "done" | "degraded" | "failed" => {
                    seen.insert(Side::Ran { node: name.clone() });
                }
                "skipped" | "unknown" => {
                    seen.insert(Side::Skipped { node: name.clone() });
                }
                _ => {}
            }
            for rule in node.fired.iter().flatten() {
                seen.insert(Side::Fired { node: name.clone(), rule: rule.rule.clone() });
            }
            for rule in node.not_fired.iter().flatten() {
                seen.insert(Side::HeldBack { node: name.clone(), rule: rule.rule.clone() });
            }
            if node.further_rows.is_some() {
                // The explanation names some of the rows that did not fire.
                let has_fired = |row: &String| node.fired.iter().flatten().any(|fired| fired.rule == *row);
                let others = all.iter().filter_map(|(side, _)| match side {
                    Side::HeldBack { node, rule } if *node == name && !has_fired(rule) => Some(side.clone()),
                    _ => None,
                });
                seen.extend(others);
            }
        }
        if let Some(number) = run.outcomes.iter().position(|outcome| outcome.holds) {
            seen.insert(Side::Ended { number });
        }
    }

    /// The numbers of all sides and of the covered ones.
    pub fn counts(&self) -> (usize, usize) {
        let all = self.flows.values().map(|(sides, _)| sides.len()).sum();
        (all, self.covered())
    }

    fn covered(&self) -> usize {
        self.flows.values().map(|(sides, seen)| sides.iter().filter(|(side, _)| seen.contains(side)).count()).sum()
    }

    /// The covered part in whole percent, rounded down; 100 where there are no sides.
    pub fn percent(&self) -> usize {
        let (all, covered) = self.counts();
        (covered * 100).checked_div(all).unwrap_or(100)
    }

    /// By kind (rule, edge, outcome): the numbers of covered sides and of all.
    pub fn kinds(&self) -> BTreeMap<&'static str, (usize, usize)> {
        let mut kinds: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
        for (sides, seen) in self.flows.values() {
            for (side, known) in sides {
                let count = kinds.entry(known.kind).or_default();
                count.0 += usize::from(seen.contains(side));
                count.1 += 1;
            }
        }
        kinds
    }

    /// What is not covered.
    pub fn uncovered(&self) -> Vec<Uncovered> {
        let unseen = |(sides, seen): &Sides| {
            sides.iter().filter(|(side, _)| !seen.contains(side)).map(|(_, known)| known.clone()).collect::<Vec<_>>()
        };
        self.flows.values().flat_map(unseen).collect()
    }
}

/// The sides of a flow's rules and branches that can occur. Those of a rule that never fires, and of a node that never runs, count
/// nevertheless: the flow has a part that does nothing.
fn sides(flow: &Flow) -> Vec<(Side, Uncovered)> {
    let mut sides = Vec::new();
    let mut add = |side, kind, what: String, place: String| {
        sides.push((side, Uncovered { flow: flow.name.to_string(), kind, what, place }));
    };
    let possible = Possible::of(flow);
    let always_run = possible.always_run();
    for (number, node) in flow.nodes.iter().enumerate() {
        let name = node.id.to_string();
        let never_runs = possible.never_runs(node);
        if let Work::Rules(rules) = &node.work {
            for (info, known) in rules.ruleset.rules().zip(possible.rules(number)) {
                let (node, rule) = (name.clone(), info.name.to_owned());
                let fired = Side::Fired { node: node.clone(), rule: rule.clone() };
                let mut what = format!("`{rule}` of {node} never fired");
                if let Some(why) = &known.never_fires {
                    let why = if never_runs { "its node never runs" } else { why };
                    what = format!("{what}, and it never does: {why}");
                }
                if !known.is_left_over {
                    add(fired, "rule", what, info.place.clone());
                }
                if known.never_fires.is_none() && !known.always_fires {
                    let held_back = Side::HeldBack { node: node.clone(), rule: rule.clone() };
                    add(held_back, "rule", format!("`{rule}` of {node} always fired"), info.place);
                }
            }
        }
        if let Some(guard) = node.guards.first() {
            let place = guard.rule.span().to_string();
            let mut what = format!("the conditions of the edges to {name} never held");
            if never_runs {
                what = format!("{what}, and they never do: no values make them true");
            }
            add(Side::Ran { node: name.clone() }, "edge", what, place.clone());
            if !never_runs && !always_run.get(number).copied().unwrap_or(false) {
                let what = format!("the conditions of the edges to {name} always held");
                add(Side::Skipped { node: name.clone() }, "edge", what, place);
            }
        }
    }
    for (number, outcome) in flow.outcomes.iter().enumerate() {
        if !possible.is_left_over(number, outcome) && !possible.is_unreachable(number, outcome) {
            let what = format!("the flow never ended as `{}`", outcome.status);
            add(Side::Ended { number }, "outcome", what, outcome.span.to_string());
        }
    }
    sides
}
