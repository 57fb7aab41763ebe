//! The facts that the rules of a ruleset read and write.

use std::collections::BTreeMap;

use super::ast::{Assign, Compare};
use super::facts::{LOCAL, Lookup};
use super::operators::compare;
use super::program::Node;
use super::rule::{CompiledAssignment, CompiledRule};
use crate::types::Value;

/// What the rules of a ruleset read and write, by slot.
pub(super) struct Links {
    pub(super) rules: Vec<RuleLinks>,
    /// By slot: the rules that read it, or add to it.
    pub(super) readers: BTreeMap<usize, Vec<usize>>,
    /// By own fact: how its rules change it.
    changes: Vec<Changes>,
}

/// What one rule reads and writes.
#[derive(Default)]
pub(super) struct RuleLinks {
    /// The slots whose values it needs, without those that it has set itself by then.
    pub(super) needs: Vec<usize>,
    /// The slots that it only asks about, without those that it has set itself by then.
    pub(super) asks: Vec<usize>,
    /// The own facts it assigns.
    pub(super) targets: Vec<usize>,
    /// The facts it adds to, each with the number if that is a positive constant.
    pub(super) adds: Vec<(usize, Option<Value>)>,
}

/// How the rules of a ruleset change a fact, from the weakest change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Changes {
    /// They add positive constants.
    Grows,
    /// They add or subtract: their order does not matter.
    Adds,
    /// They append: their order counts.
    Appends,
    /// Some rule sets it.
    Sets,
}

impl Links {
    pub(super) fn of(rules: &[CompiledRule], locals: usize) -> Self {
        let mut links = Self { rules: Vec::new(), readers: BTreeMap::new(), changes: vec![Changes::Grows; locals] };
        for (index, rule) in rules.iter().enumerate() {
            let of_rule = RuleLinks::of(rule, &mut links.changes);
            let added = of_rule.adds.iter().map(|(local, _)| LOCAL + local);
            for slot in of_rule.needs.iter().chain(&of_rule.asks).copied().chain(added) {
                let readers = links.readers.entry(slot).or_default();
                if readers.last() != Some(&index) {
                    readers.push(index);
                }
            }
            links.rules.push(of_rule);
        }
        links
    }

    /// Whether a rule reads a fact that has no value now.
    pub(super) fn reads_missing(&self, reads: &[Lookup], locals: &[Lookup]) -> bool {
        self.readers.keys().any(|slot| !has_value(reads, locals, *slot))
    }

    /// Whether a rule assigns the own fact.
    pub(super) fn is_written(&self, local: usize) -> bool {
        self.rules.iter().any(|rule| rule.targets.contains(&local))
    }

    /// By slot: the rules that assign it.
    pub(super) fn writers(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut writers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            rule.targets.iter().for_each(|local| writers.entry(LOCAL + local).or_default().push(index));
        }
        writers
    }

    /// By rule: another one that may change what it reads after it was tried for the first time, itself or by way of others.
    pub(super) fn late_writers(
        &self,
        rules: &[CompiledRule],
        writers: &BTreeMap<usize, Vec<usize>>,
    ) -> Vec<Option<usize>> {
        let repeats: Vec<bool> =
            self.rules.iter().zip(rules).map(|(of, rule)| !rule.no_loop && of.changes_itself()).collect();
        let mut late: Vec<Option<usize>> = vec![None; rules.len()];
        let mut is_changed = true;
        while std::mem::take(&mut is_changed) {
            for (reader, rule) in self.rules.iter().enumerate().rev() {
                let before = rule.needs.iter().chain(&rule.asks).filter_map(|slot| writers.get(slot)).flatten();
                let found = before.filter(|writer| **writer != reader).find_map(|writer| {
                    let is_late = *writer > reader || repeats.get(*writer) == Some(&true);
                    if is_late { Some(*writer) } else { late.get(*writer).copied().flatten() }
                });
                if let Some(known) = late.get_mut(reader).filter(|known| known.is_none() && found.is_some()) {
                    (*known, is_changed) = (found, true);
                }
            }
        }
        late
    }

    pub(super) fn changes(&self, local: usize) -> Changes {
        self.changes.get(local).copied().unwrap_or(Changes::Sets)
    }
}

impl RuleLinks {
    fn of(rule: &CompiledRule, changes: &mut [Changes]) -> Self {
        let mut links = Self::default();
        let mut here: Vec<usize> = Vec::new();
        links.read(&rule.when, &here);
        for CompiledAssignment { local, operator, value, .. } in rule.assignments() {
            links.read(value, &here);
            links.targets.push(*local);
            let step = value.constant().filter(|value| *operator == Assign::Add && is_positive(value));
            let change = match operator {
                Assign::Set => Changes::Sets,
                Assign::Append => Changes::Appends,
                _ if step.is_some() => Changes::Grows,
                Assign::Add | Assign::Subtract => Changes::Adds,
            };
            if change == Changes::Sets {
                here.push(LOCAL + local);
            } else if !here.contains(&(LOCAL + local)) {
                links.adds.push((*local, step.cloned()));
            }
            if let Some(known) = changes.get_mut(*local) {
                *known = change.max(*known);
            }
        }
        links
    }

    /// Whether it reads, or adds to, a fact that it assigns.
    fn changes_itself(&self) -> bool {
        let reads = |local: &usize| self.needs.contains(&(LOCAL + local)) || self.asks.contains(&(LOCAL + local));
        !self.adds.is_empty() || self.targets.iter().any(reads)
    }

    /// Notes what `node` reads besides the slots `here`.
    fn read(&mut self, node: &Node, here: &[usize]) {
        let (mut needs, mut asks) = (Vec::new(), Vec::new());
        node.needs(&mut needs);
        node.asks(&mut asks);
        self.needs.extend(needs.into_iter().filter(|slot| !here.contains(slot)));
        self.asks.extend(asks.into_iter().map(|(slot, _)| slot).filter(|slot| !here.contains(slot)));
    }
}

fn is_positive(value: &Value) -> bool {
    compare(Compare::Greater, value, &Value::Integer(0)).unwrap_or(false)
}

pub(super) fn has_value(reads: &[Lookup], locals: &[Lookup], slot: usize) -> bool {
    let lookup = slot.checked_sub(LOCAL).map_or_else(|| reads.get(slot), |local| locals.get(local));
    !matches!(lookup, Some(Lookup::Unset | Lookup::Unknown { .. }) | None)
}
