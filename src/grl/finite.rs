//! The values of facts that have few: each is a constant, or copied from a fact that has few values.

use std::collections::HashSet;

use super::ast::{Assign, At, Compare};
use super::expression::Expression;
use super::facts::{FactRef, LOCAL, Names};
use super::program::Node;
use super::rule::{CompiledAssignment, CompiledRule, Start};
use super::ruleset::Ruleset;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};
use crate::types::{FieldName, Value};

/// A fact with more values counts as one that may have any.
const MOST_VALUES: usize = 32;
/// Of a fact that more assignments write it is not asked which one is the last.
const MOST_WRITERS: usize = 200;
/// How often the rules are gone through. What is not known by then may have any value.
const ROUNDS: usize = 64;
/// How many values a help names.
const MOST_NAMED: usize = 8;

/// The values of facts from elsewhere; `None` where a fact may have any.
pub type Outside<'a> = &'a dyn Fn(&FactRef) -> Option<Vec<Value>>;

/// By own fact: its values, from the start to the end of an evaluation; `None` where it may have any. A fact without a value at
/// the start is also unset then.
pub(super) fn finite(
    rules: &[CompiledRule],
    names: Names<'_>,
    start: &[Start],
    outside: Outside<'_>,
) -> Vec<Option<Vec<Value>>> {
    let of_read = |slot: usize| names.reads.get(slot).and_then(outside);
    let begin = |start: &Start| match start {
        Start::Unset => Some(Vec::new()),
        Start::Value(value) => is_single(value).then(|| vec![value.clone()]),
        Start::Read(slot) => of_read(*slot),
    };
    let mut known: Vec<Option<Vec<Value>>> = start.iter().map(begin).collect();
    for _ in 0..ROUNDS {
        let mut has_grown = false;
        for CompiledAssignment { local, operator, value, .. } in rules.iter().flat_map(CompiledRule::assignments) {
            let of_slot = |slot: usize| match slot.checked_sub(LOCAL) {
                Some(local) => known.get(local).cloned().flatten(),
                None => of_read(slot),
            };
            let given = Some(value).filter(|_| *operator == Assign::Set).and_then(|value| values_of(value, &of_slot));
            let Some(slot) = known.get_mut(*local) else { continue };
            let Some(values) = slot else { continue };
            let before = values.len();
            match given {
                Some(given) => given.into_iter().for_each(|value| add(values, value)),
                None => values.resize(MOST_VALUES + 1, Value::Null),
            }
            has_grown |= values.len() > before;
            if values.len() > MOST_VALUES {
                *slot = None;
            }
        }
        if !has_grown {
            return known;
        }
    }
    vec![None; start.len()]
}

fn add(values: &mut Vec<Value>, value: Value) {
    if !values.contains(&value) {
        values.push(value);
    }
}

fn is_single(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

fn values_of(node: &Node, of_slot: &dyn Fn(usize) -> Option<Vec<Value>>) -> Option<Vec<Value>> {
    match node {
        Node::Constant(value) => is_single(value).then(|| vec![value.clone()]),
        Node::Slot { slot, .. } => of_slot(*slot),
        Node::Call { function, arguments, .. } if matches!(function.name, "default" | "coalesce") => {
            let mut all = Vec::new();
            for argument in arguments {
                values_of(argument, of_slot)?.into_iter().for_each(|value| add(&mut all, value));
            }
            Some(all)
        }
        Node::If { arms, otherwise } => {
            let mut all = values_of(otherwise, of_slot)?;
            for (_, _, value) in arms {
                values_of(value, of_slot)?.into_iter().for_each(|value| add(&mut all, value));
            }
            Some(all)
        }
        _ => None,
    }
}

/// `"A" or "B"`, the first ones only where there are many.
fn listed(values: &[Value]) -> String {
    let mut all: Vec<String> = values.iter().map(Value::written).collect();
    all.sort();
    if all.len() > MOST_NAMED {
        all.truncate(MOST_NAMED);
        all.push("others".to_owned());
    }
    all.join(" or ")
}

const TRUE: &Value = &Value::Boolean(true);
const FALSE: &Value = &Value::Boolean(false);

/// A comparison of the fact in a slot with a constant.
type Compared<'n> = (usize, &'n Value, &'n At);

/// The comparisons of facts with constants in `node`. Where it is a condition, a fact by itself is compared with true.
fn compared<'n>(node: &'n Node, is_condition: bool, into: &mut Vec<Compared<'n>>) {
    match node {
        Node::Slot { slot, at } if is_condition => into.push((*slot, TRUE, at)),
        Node::And(items) | Node::Or(items) => items.iter().for_each(|(item, _)| compared(item, true, into)),
        Node::Not(of, at) => match &**of {
            Node::Slot { slot, .. } => into.push((*slot, FALSE, at)),
            other => compared(other, true, into),
        },
        Node::Compare { operator, left, right, at, .. } => match (operator, &**left, &**right) {
            (Compare::In, Node::Slot { slot, .. }, Node::Constant(Value::List(items))) => {
                into.extend(items.iter().map(|item| (*slot, item, at)));
            }
            (Compare::Equal | Compare::NotEqual, Node::Slot { slot, .. }, Node::Constant(value))
            | (Compare::Equal | Compare::NotEqual, Node::Constant(value), Node::Slot { slot, .. }) => {
                into.push((*slot, value, at));
            }
            _ => node.parts(&mut |part| compared(part, false, into)),
        },
        _ => node.parts(&mut |part| compared(part, false, into)),
    }
}

/// Warns where `node` compares a fact with a value that it never has. `of_slot` gives the name and the values of a fact, and who
/// makes it.
pub(super) fn never_equal(
    (node, is_condition): (&Node, bool),
    snippet: &Snippet,
    of_slot: &dyn Fn(usize) -> Option<(String, Vec<Value>, String)>,
) -> Vec<Diagnostic> {
    let mut comparisons = Vec::new();
    compared(node, is_condition, &mut comparisons);
    let warn = |(slot, value, at): Compared<'_>| {
        let (name, values, who) = of_slot(slot).filter(|_| !value.is_null())?;
        if values.is_empty() || values.contains(value) {
            return None;
        }
        let message = format!("`{name}` is never {}", value.written());
        let warning = Diagnostic::warning("never-equal", snippet.span(at.clone()), message);
        Some(warning.help(format!("{who} only make it {}", listed(&values))))
    };
    comparisons.into_iter().filter_map(warn).collect()
}

/// The name of who makes a fact from outside, for messages.
pub type Makers<'a> = &'a dyn Fn(&FactRef) -> String;

impl Ruleset {
    /// The facts that have few values, with these.
    pub fn finite(&self, outside: Outside<'_>) -> Vec<(FieldName, Vec<Value>)> {
        let known = finite(&self.rules, self.names(), &self.start, outside);
        let known = self.local_names.iter().cloned().zip(known).filter_map(|(name, values)| Some((name, values?)));
        // A result that is made of several rows is none of the values that they give.
        let joined = self.table.as_ref().filter(|table| table.joins());
        let joined = joined.map(|table| table.result_names(&self.local_names)).unwrap_or_default();
        known.filter(|(name, _)| !joined.contains(name)).collect()
    }

    /// Warns of comparisons with values that a fact from outside never has, and neither has a fact that rules copy from it.
    pub fn never_equal(&self, outside: Outside<'_>, makers: Makers<'_>) -> Diagnostics {
        let alone = finite(&self.rules, self.names(), &self.start, &|_| None);
        let known = finite(&self.rules, self.names(), &self.start, outside);
        let of_slot = |slot: usize| match slot.checked_sub(LOCAL) {
            // What is known without the facts from outside, the compilation of the rules has warned of.
            Some(local) if alone.get(local).is_some_and(Option::is_some) => None,
            Some(local) => {
                Some((self.local_names.get(local)?.to_string(), known.get(local)?.clone()?, "rules".to_owned()))
            }
            None => {
                let fact = self.reads.get(slot)?;
                Some((fact.written.to_string(), outside(fact)?, makers(fact)))
            }
        };
        let mut found = Diagnostics::new();
        for rule in &self.rules {
            let values = rule.assignments().map(|assignment| &assignment.value).chain(rule.logged());
            let parts = std::iter::once((&rule.when, true)).chain(values.map(|value| (value, false)));
            let warnings = parts.flat_map(|part| never_equal(part, &rule.snippet, &of_slot));
            found.extend(warnings.map(|warning| warning.about(rule.span())));
        }
        found
    }

    /// The place of the rule, and of the assignment, that gives the fact `name` the constant `value` last: no other rule that may
    /// fire with it assigns another value, unless it is tried before it, once.
    pub fn last_to_assign(&self, name: &str, value: &Value) -> Option<(Span, Span)> {
        let local = self.local_names.iter().position(|known| **known == *name)?;
        let writers: Vec<(usize, &CompiledRule, &CompiledAssignment)> = self
            .rules
            .iter()
            .enumerate()
            .flat_map(|(index, rule)| rule.assignments().map(move |assignment| (index, rule, assignment)))
            .filter(|(_, _, assignment)| assignment.local == local)
            .collect();
        if writers.len() > MOST_WRITERS {
            return None;
        }
        if let Some(table) = &self.table {
            // No other row matches with it, or one with the same results.
            let gives = |(_, rule, assignment): &&(usize, &CompiledRule, &CompiledAssignment)| {
                assignment.value.constant() == Some(value) && !self.refutes([(&rule.when, true)])
            };
            let (_, rule, assignment) = writers.iter().find(gives).filter(|_| table.chooses_no_row())?;
            return Some((rule.span(), rule.snippet.span(assignment.at.clone())));
        }
        let is_last = |(index, rule, assignment): &&(usize, &CompiledRule, &CompiledAssignment)| {
            let overtakes = |(other, by, with): &(usize, &CompiledRule, &CompiledAssignment)| {
                let differs = with.value.constant() != Some(value);
                let exclude = || self.refutes([(&rule.when, true), (&by.when, true)]);
                differs && !(other < index && by.no_loop) && !exclude()
            };
            assignment.value.constant() == Some(value)
                && !self.refutes([(&rule.when, true)])
                && !writers.iter().any(overtakes)
        };
        let (_, rule, assignment) = writers.iter().find(is_last)?;
        Some((rule.span(), rule.snippet.span(assignment.at.clone())))
    }
}

impl Expression {
    /// Warns of comparisons with values that a fact never has. Where `is_condition`, a fact by itself is compared with true.
    pub fn never_equal(&self, is_condition: bool, outside: Outside<'_>, makers: Makers<'_>) -> Vec<Diagnostic> {
        let of_slot = |slot: usize| {
            let fact = self.reads().get(slot)?;
            Some((fact.written.to_string(), outside(fact)?, makers(fact)))
        };
        never_equal((self.node(), is_condition), self.snippet(), &of_slot)
    }
}

/// The slots that have a value wherever `node` has one; where it is a condition, wherever it has the truth `wanted`.
pub(super) fn surely_set(node: &Node, wanted: Option<bool>) -> HashSet<usize> {
    let union = |sets: Vec<HashSet<usize>>| sets.into_iter().flatten().collect();
    let common = |sets: Vec<HashSet<usize>>| sets.into_iter().reduce(|a, b| &a & &b).unwrap_or_default();
    match node {
        Node::Slot { slot, .. } | Node::Below { slot, .. } => HashSet::from([*slot]),
        Node::And(items) | Node::Or(items) => {
            let sets = items.iter().map(|(item, _)| surely_set(item, wanted)).collect();
            let is_all = wanted == Some(matches!(node, Node::And(_)));
            if is_all { union(sets) } else { common(sets) }
        }
        Node::Not(of, _) => surely_set(of, wanted.map(|truth| !truth)),
        // `is_set` and `default` have a value without the fact.
        Node::Call { function, .. } if function.asks() => HashSet::new(),
        // The other parts may not be looked at.
        Node::If { arms, .. } => arms.first().map(|(first, ..)| surely_set(first, None)).unwrap_or_default(),
        Node::For { list, .. } => surely_set(list, None),
        Node::Apply { .. } => HashSet::new(),
        other => {
            let mut sets = Vec::new();
            other.parts(&mut |part| sets.push(surely_set(part, None)));
            union(sets)
        }
    }
}
