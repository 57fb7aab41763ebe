//! Which rules fire whenever they are tried, and which facts an evaluation certainly sets, as far as that can be proved.
//!
//! Where the proof fails the answer is "no": a rule that always fires may not be found. Evaluations that end in an error do
//! not count.

use std::collections::HashSet;

use super::ast::{Assign, Compare};
use super::expression::Expression;
use super::facts::{FactRef, LOCAL};
use super::finite::{self, Outside};
use super::lint::Linted;
use super::program::Node;
use super::proof::{self, Demand};
use super::rule::{CompiledAssignment, CompiledRule, Start};
use super::ruleset::Ruleset;
use super::table::Decision;
use crate::types::{FieldName, Value};

/// What is certain wherever rules or a condition are evaluated.
#[derive(Clone, Copy)]
pub struct Surely<'a> {
    /// The conditions that hold then.
    pub conditions: &'a [&'a Expression],
    /// Whether a fact from outside has a value, which may be null.
    pub is_set: &'a dyn Fn(&FactRef) -> bool,
    /// The values of a fact that has few.
    pub values: Outside<'a>,
}

/// What is proved of the rules of a node.
#[derive(Debug, Default)]
pub struct Sides {
    /// By rule, in the order of [`Ruleset::rules`].
    pub rules: Vec<RuleSides>,
    /// The facts that have a value after every evaluation.
    pub set: Vec<FieldName>,
    /// The facts that a waiting rule may make unknown.
    pub doubtful: Vec<FieldName>,
}

/// What is proved of a rule.
#[derive(Debug, Default)]
pub struct RuleSides {
    /// Whether it fires in every evaluation.
    pub always_fires: bool,
    /// Why it never fires.
    pub never_fires: Option<String>,
    /// Whether it is the last row of a table, for what the other rows leave, and they leave nothing.
    pub is_left_over: bool,
}

/// A statement about slots of an expression or a ruleset: they have this value, or one of these.
fn is_one_of(slot: usize, values: Vec<Value>) -> Node {
    let (left, right) = (Node::Slot { slot, at: 0..0 }, Node::Constant(Value::List(values.into())));
    let (left_at, right_at) = (0..0, 0..0);
    let (left, right) = (Box::new(left), Box::new(right));
    Node::Compare { operator: Compare::In, left, left_at, right, right_at, each: false, at: 0..0 }
}

impl Surely<'_> {
    /// Whether it is proved that one of these conditions is true, or an error, before all of them have been tried. The flag of one
    /// says that it may also have no truth.
    pub fn one_holds(&self, tried: &[(&Expression, bool)]) -> bool {
        let demand = |or_none: bool| if or_none { Demand::FAILS.or_none() } else { Demand::FAILS };
        let claims: Vec<(&Expression, Demand)> =
            tried.iter().map(|(when, or_none)| (*when, demand(*or_none))).collect();
        self.refutes(&claims, NOTHING)
    }

    /// What is known of facts from outside with few values: the slots of `reads` that have them.
    fn known(&self, reads: &[FactRef]) -> Vec<(Node, Demand)> {
        let known = |(slot, fact): (usize, &FactRef)| {
            let holds = if (self.is_set)(fact) { Demand::HOLDS } else { Demand::HOLDS.or_none() };
            Some((is_one_of(slot, (self.values)(fact)?), holds))
        };
        reads.iter().enumerate().filter_map(known).collect()
    }

    /// Whether nothing meets these demands where all this is certain: those on conditions, and those on parts that read the facts
    /// `reads`.
    fn refutes(&self, claims: &[(&Expression, Demand)], (reads, demands, name): Parts<'_>) -> bool {
        let known_here = self.known(reads);
        let holding = self.conditions.iter().map(|condition| (*condition, Demand::HOLDS));
        let claims: Vec<(&Expression, Demand)> = holding.chain(claims.iter().copied()).collect();
        let names: Vec<_> = claims.iter().map(|(condition, _)| |slot| condition.names().key(slot)).collect();
        let known: Vec<_> = claims.iter().map(|(condition, _)| self.known(condition.reads())).collect();
        let of_claims = claims.iter().zip(&names).zip(&known).flat_map(|(((condition, demand), name), known)| {
            let name: proof::Name<'_> = name;
            let known = known.iter().map(move |(node, demand)| (node, *demand, name));
            known.chain([(condition.node(), *demand, name)])
        });
        let of_parts = known_here.iter().map(|(node, demand)| (node, *demand)).chain(demands.iter().copied());
        let of_parts = of_parts.map(|(node, demand)| (node, demand, name));
        let all: Vec<_> = of_claims.chain(of_parts).collect();
        proof::refutes(all)
    }
}

/// Facts from outside, demands on parts that read them, and what these call their slots.
type Parts<'a> = (&'a [FactRef], &'a [(&'a Node, Demand)], proof::Name<'a>);

/// No part.
const NOTHING: Parts<'static> = (&[], &[], &|_| String::new());

impl Expression {
    /// Whether it is proved to be true, or an error, wherever `surely` holds.
    pub fn always_holds(&self, surely: &Surely<'_>) -> bool {
        let mut needs = Vec::new();
        self.node().needs(&mut needs);
        let is_known = needs.iter().all(|slot| self.reads().get(*slot).is_some_and(surely.is_set));
        let fails = if is_known { Demand::FAILS } else { Demand::FAILS.or_none() };
        surely.refutes(&[(self, fails)], NOTHING)
    }

    /// Whether it is proved never to be true where `surely` holds.
    pub fn never_holds(&self, surely: &Surely<'_>) -> bool {
        surely.refutes(&[(self, Demand::HOLDS)], NOTHING)
    }

    /// Whether it is proved never to be true where `fact` is `value`.
    pub fn never_holds_where(&self, fact: &FactRef, value: &Value) -> bool {
        let Some(slot) = self.reads().iter().position(|read| read.owner == fact.owner && read.path == fact.path) else {
            return self.is_never_true();
        };
        let own = |slot: usize| self.names().key(slot);
        let own: proof::Name<'_> = &own;
        let equal = is_one_of(slot, vec![value.clone()]);
        proof::refutes([(&equal, Demand::HOLDS, own), (self.node(), Demand::HOLDS, own)])
    }

    /// The facts that have a value wherever it is true.
    pub fn surely_set(&self) -> Vec<&FactRef> {
        finite::surely_set(self.node(), Some(true)).into_iter().filter_map(|slot| self.reads().get(slot)).collect()
    }
}

impl Ruleset {
    /// Whether nothing makes these conditions of rules have these truths.
    pub(super) fn refutes<'a>(&'a self, conditions: impl IntoIterator<Item = (&'a Node, bool)>) -> bool {
        let name = |slot: usize| self.key(slot);
        let name: proof::Name<'_> = &name;
        let demand = |truth| if truth { Demand::HOLDS } else { Demand::FAILS };
        proof::refutes(conditions.into_iter().map(|(node, truth)| (node, demand(truth), name)))
    }

    /// What is proved of the rules where `surely` holds whenever they are evaluated.
    pub fn sides(&self, surely: &Surely<'_>) -> Sides {
        let search = Search::new(self, *surely);
        let linted = Linted { rules: &self.rules, names: self.names(), start: &self.start };
        let blocked = linted.blocked_rules();
        let sides = |(index, rule): (usize, &CompiledRule)| {
            let why = linted.why_never(rule, blocked.get(&index)).map(|(_, why)| why);
            let never = || search.refutes(&[(&rule.when, Demand::HOLDS)]);
            let why = why.or_else(|| never().then(|| "its condition is not true wherever its node runs".to_owned()));
            let mut sides = RuleSides { never_fires: why, ..RuleSides::default() };
            match &self.table {
                _ if sides.never_fires.is_some() => {}
                Some(table) => search.row(index, rule, table, &mut sides),
                None => sides.always_fires = search.always_fires(index, rule),
            }
            sides
        };
        let rules = self.rules.iter().enumerate().map(sides).collect();
        let facts = |flags: &[bool]| {
            let facts = self.local_names.iter().zip(flags).filter(|(_, flag)| **flag);
            facts.map(|(name, _)| name.clone()).collect()
        };
        let mut set: Vec<FieldName> = facts(&search.set);
        if let Some(table) = self.table.as_ref().filter(|table| table.always_gives()) {
            set.extend(table.result_names(&self.local_names));
        }
        Sides { rules, set, doubtful: facts(&search.doubtful()) }
    }

    /// What a slot is called in proofs: a mapped fact that no rule writes is the fact that it is taken from.
    fn key(&self, slot: usize) -> String {
        let mapped = slot.checked_sub(LOCAL).and_then(|local| match self.start.get(local) {
            Some(Start::Read(source)) if !self.links.is_written(local) => Some(*source),
            _ => None,
        });
        self.names().key(mapped.unwrap_or(slot))
    }
}

/// In tables with more rows it is not asked which ones are never chosen.
const MOST_ROWS: usize = 200;
/// How often the rules are gone through to learn which facts are set.
const ROUNDS: usize = 64;

struct Search<'a> {
    ruleset: &'a Ruleset,
    surely: Surely<'a>,
    /// By own fact: its values, where they are few.
    finite: Vec<Option<Vec<Value>>>,
    /// By own fact: whether it is certainly set when the rules have come to rest.
    set: Vec<bool>,
    /// By own fact: the rules that set it and have no dates.
    writers: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(ruleset: &'a Ruleset, surely: Surely<'a>) -> Self {
        let finite = finite::finite(&ruleset.rules, ruleset.names(), &ruleset.start, surely.values);
        let set = ruleset.start.iter().map(|start| match start {
            Start::Unset => false,
            Start::Value(_) => true,
            Start::Read(slot) => ruleset.reads.get(*slot).is_some_and(surely.is_set),
        });
        let mut writers: Vec<Vec<usize>> = vec![Vec::new(); ruleset.start.len()];
        for (index, rule) in ruleset.rules.iter().enumerate().filter(|(_, rule)| !is_dated(rule)) {
            let sets = rule.assignments().filter(|assignment| assignment.operator == Assign::Set);
            for assignment in sets {
                if let Some(known) = writers.get_mut(assignment.local).filter(|known| known.last() != Some(&index)) {
                    known.push(index);
                }
            }
        }
        let mut search = Self { ruleset, surely, finite, set: set.collect(), writers };
        for _ in 0..ROUNDS {
            let found: Vec<usize> = (0..search.set.len()).filter(|local| search.becomes_set(*local)).collect();
            if found.is_empty() {
                break;
            }
            for local in found {
                if let Some(set) = search.set.get_mut(local) {
                    *set = true;
                }
            }
        }
        search
    }

    fn is_set(&self, slot: usize) -> bool {
        match slot.checked_sub(LOCAL) {
            Some(local) => self.set.get(local).copied().unwrap_or(false),
            None => self.ruleset.reads.get(slot).is_some_and(self.surely.is_set),
        }
    }

    /// Whether one of the rules that set the fact fires, whatever the facts are when the rules have come to rest.
    fn becomes_set(&self, local: usize) -> bool {
        if self.set.get(local).copied().unwrap_or(true) {
            return false;
        }
        let writers = self.writers.get(local).map(Vec::as_slice).unwrap_or_default();
        let writers = writers.iter().filter_map(|index| self.ruleset.rules.get(*index));
        let ready = writers.filter(|rule| needs_only(rule, &|slot| self.is_set(slot)));
        let demands: Vec<(&Node, Demand)> = ready.map(|rule| (&rule.when, Demand::FAILS)).collect();
        !demands.is_empty() && self.refutes(&demands)
    }

    /// Whether nothing meets `demands` in an evaluation.
    fn refutes(&self, demands: &[(&Node, Demand)]) -> bool {
        let read: HashSet<usize> = demands.iter().flat_map(|(node, _)| slots(node)).collect();
        let known = read.into_iter().filter_map(|slot| {
            let local = slot.checked_sub(LOCAL)?;
            let holds = if self.set.get(local).copied()? { Demand::HOLDS } else { Demand::HOLDS.or_none() };
            Some((is_one_of(slot, self.finite.get(local)?.clone()?), holds))
        });
        let known: Vec<(Node, Demand)> = known.collect();
        self.refutes_with(&known, demands)
    }

    fn refutes_with(&self, known: &[(Node, Demand)], demands: &[(&Node, Demand)]) -> bool {
        let all: Vec<(&Node, Demand)> =
            known.iter().map(|(node, demand)| (node, *demand)).chain(demands.iter().copied()).collect();
        self.surely.refutes(&[], (&self.ruleset.reads, &all, &|slot| self.ruleset.key(slot)))
    }

    fn always_fires(&self, index: usize, rule: &CompiledRule) -> bool {
        let fails = [(&rule.when, Demand::FAILS)];
        !is_dated(rule)
            && (needs_only(rule, &|slot| self.is_set(slot)) && self.refutes(&fails)
                || self.fires_at_once(index, rule, &fails))
    }

    /// What is proved of a row of a table. Whether it gives its results may depend on the others.
    fn row(&self, index: usize, row: &CompiledRule, table: &Decision, sides: &mut RuleSides) {
        let rows = &self.ruleset.rules;
        let (is_first, default) = table.precedence();
        let is_default = default == Some(index);
        let others = rows.iter().enumerate().filter(|(other, _)| is_default || *other < index);
        let fails = |row: &CompiledRule| {
            if needs_only(row, &|slot| self.is_set(slot)) { Demand::FAILS } else { Demand::FAILS.or_none() }
        };
        let others = others.filter(|(other, _)| *other != index).map(|(_, row)| (&row.when, fails(row)));
        if (is_first || is_default) && rows.len() <= MOST_ROWS {
            let demands: Vec<(&Node, Demand)> = others.chain([(&row.when, Demand::HOLDS)]).collect();
            if demands.len() > 1 && self.refutes(&demands) {
                sides.is_left_over =
                    is_default || (index + 1 == rows.len() && self.refutes(&[(&row.when, Demand::FAILS)]));
                let why = "a row above it matches wherever it does";
                sides.never_fires = (!sides.is_left_over).then(|| why.to_owned());
                return;
            }
        }
        let depends_on_itself = table.joins() || table.chooses_no_row() || (is_first && index == 0);
        sides.always_fires = depends_on_itself && !is_default && self.always_fires(index, row);
    }

    /// Whether the rule fires when it is tried first, over facts that no rule has written before.
    fn fires_at_once(&self, index: usize, rule: &CompiledRule, fails: &[(&Node, Demand)]) -> bool {
        let earlier = self.ruleset.rules.iter().take(index).flat_map(CompiledRule::assignments);
        let written: HashSet<usize> = earlier.map(|assignment| assignment.local).collect();
        let is_there = |slot: usize| match slot.checked_sub(LOCAL) {
            None => self.is_set(slot),
            Some(local) if written.contains(&local) => false,
            Some(local) => match self.ruleset.start.get(local) {
                Some(Start::Value(_)) => true,
                Some(Start::Read(slot)) => self.is_set(*slot),
                Some(Start::Unset) | None => false,
            },
        };
        if !needs_only(rule, &is_there) {
            return false;
        }
        let begin = |slot: usize| match self.ruleset.start.get(slot.checked_sub(LOCAL)?) {
            Some(Start::Value(value)) if !matches!(value, Value::List(_) | Value::Map(_)) => {
                Some((is_one_of(slot, vec![value.clone()]), Demand::HOLDS))
            }
            _ => None,
        };
        let known: Vec<(Node, Demand)> = slots(&rule.when).into_iter().filter_map(begin).collect();
        self.refutes_with(&known, fails)
    }

    /// By own fact: whether a rule that may wait, or reads or asks about what such a rule sets, sets it.
    fn doubtful(&self) -> Vec<bool> {
        let mut doubtful: Vec<bool> = vec![false; self.set.len()];
        for _ in 0..=self.ruleset.rules.len().min(ROUNDS) {
            let before = doubtful.clone();
            for (rule, links) in self.ruleset.rules.iter().zip(&self.ruleset.links.rules) {
                let is_doubtful = |slot: usize| {
                    slot.checked_sub(LOCAL).and_then(|local| doubtful.get(local)).is_some_and(|doubtful| *doubtful)
                };
                let is_certain = |slot: usize| self.is_set(slot) && !is_doubtful(slot);
                if needs_only(rule, &is_certain) && !links.asks.iter().any(|slot| is_doubtful(*slot)) {
                    continue;
                }
                let targets: Vec<usize> = rule.assignments().map(|assignment| assignment.local).collect();
                for target in targets {
                    if let Some(flag) = doubtful.get_mut(target) {
                        *flag = true;
                    }
                }
            }
            if before == doubtful {
                return doubtful;
            }
        }
        vec![true; self.set.len()]
    }
}

fn is_dated(rule: &CompiledRule) -> bool {
    rule.effective.is_some() || rule.expires.is_some()
}

fn slots(node: &Node) -> Vec<usize> {
    let mut slots = Vec::new();
    node.slots(&mut slots);
    slots
}

/// Whether the rule needs no other facts than those that `is_set`, and those that it has set before.
fn needs_only(rule: &CompiledRule, is_set: &dyn Fn(usize) -> bool) -> bool {
    let mut here: HashSet<usize> = HashSet::new();
    let all = |node: &Node, here: &HashSet<usize>| {
        let mut needs = Vec::new();
        node.needs(&mut needs);
        needs.iter().all(|slot| is_set(*slot) || here.contains(slot))
    };
    if !all(&rule.when, &here) {
        return false;
    }
    for CompiledAssignment { local, operator, value, .. } in rule.assignments() {
        let target = LOCAL + local;
        if !all(value, &here) || (*operator != Assign::Set && !is_set(target) && !here.contains(&target)) {
            return false;
        }
        here.insert(target);
    }
    true
}
