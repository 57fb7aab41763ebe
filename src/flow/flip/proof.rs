//! What is known of a whole box of values of the searched facts: whether a run with any of them ends in the present way, or in none.
//!
//! The walk of `executor`, over intervals in place of values. Queries must not depend on a searched fact, and have the answers of the
//! run. Whatever is not covered is unknown. A point at which the run ends in an error is no other decision.

use std::cell::Cell;
use std::collections::HashMap;

use super::{Search, ending};
use crate::flow::conclusion::Conclusion;
use crate::flow::decision::Decision;
use crate::flow::facts::Known;
use crate::flow::offline::{self, Answers};
use crate::flow::options::RunOptions;
use crate::flow::overrides::Overrides;
use crate::flow::report::Report;
use crate::flow::trace::Detail;
use crate::graph::{Node, Outcome, RuleNode, Template, Work};
use crate::grl::{Branches, Expression, FactRef, Facts, Interval, Lookup, OverBox, Owner, Part, Stop, overlap};
use crate::types::{FieldName, Value};

/// How many branches are evaluated for one box, and for one proof.
const MOST_OF_A_BOX: usize = 64;
const MOST: usize = 4_000;

/// What is known of a box.
pub(super) enum Seen {
    /// At each point the run ends in the present way, or in an error.
    Same,
    /// At each point it ends in another way, or in an error.
    Other,
    /// In boxes in which the facts of these bits vary less, more may be known.
    Unknown(u8),
}

/// What the boxes around one run are evaluated with.
pub(super) struct Proof<'a> {
    search: &'a Search<'a>,
    field: Option<&'a str>,
    /// The present ending.
    here: &'a str,
    /// The run with the present values.
    present: Box<Conclusion>,
    searched: Vec<(Owner, String)>,
    /// How many branches may still be evaluated.
    left: Cell<usize>,
}

impl<'a> Proof<'a> {
    /// `None` where the present run makes no decision.
    pub(super) fn new<'f>(
        search: &'a Search<'a>,
        answers: &Answers,
        facts: impl IntoIterator<Item = &'f str>,
        (field, here): (Option<&'a str>, &'a str),
    ) -> Option<Self> {
        let run = RunOptions { detail: Detail::Decision, concludes: true, ..search.run.clone() };
        let report = offline::decide(search.flow, search.trace.inputs.clone(), answers, &run, search.engines).ok()?;
        let mut searched = Overrides::none();
        for fact in facts {
            searched.set(search.flow, fact, Value::Null).ok()?;
        }
        let searched: Vec<(Owner, String)> = searched.places().collect();
        // One fact may be written in two ways.
        let is_twice = |(place, (owner, path)): (usize, &(Owner, String))| {
            searched.iter().take(place).any(|(other, known)| other == owner && overlap(known, path))
        };
        if searched.iter().enumerate().any(is_twice) {
            return None;
        }
        Some(Self { search, field, here, present: report.conclusion?, searched, left: Cell::new(MOST) })
    }

    /// What is known where each searched fact is between two values.
    pub(super) fn look(&self, sides: &[(Value, Value)]) -> Seen {
        let mut branches = Branches::default();
        let corners = 1_usize << sides.len();
        let mut facts = Vec::with_capacity(sides.len());
        for ((bit, (low, high)), (owner, path)) in (0_u8..).zip(sides).zip(&self.searched) {
            let at = |corner: usize| if corner >> bit & 1 == 0 { low.clone() } else { high.clone() };
            let part = if low == high {
                Part::Known(low.clone())
            } else {
                Part::Varies(branches.fact(bit, (0..corners).map(at).collect()))
            };
            facts.push((*owner, path.clone(), part));
        }
        let mut of_choices = 0;
        for _ in 0..MOST_OF_A_BOX.min(self.left.get()) {
            self.left.set(self.left.get() - 1);
            let known = Known::new(self.search.flow, self.present.inputs().clone());
            let mut walk = Walk { proof: self, known, facts: facts.clone(), branches: &mut branches };
            let is_same = walk.is_same();
            of_choices |= branches.of();
            match is_same {
                Ok(true) | Err(Stop::NoDecision) => {}
                Ok(false) if branches.of() == 0 => return Seen::Other,
                Ok(false) => return Seen::Unknown(branches.of()),
                Err(Stop::NotCovered(of)) => return Seen::Unknown(of | branches.of()),
            }
            if !branches.another() {
                return Seen::Same;
            }
        }
        Seen::Unknown(of_choices)
    }
}

/// One branch of a run.
struct Walk<'a, 'b> {
    proof: &'a Proof<'a>,
    known: Known<'a>,
    /// The searched facts, and those that vary with them.
    facts: Vec<(Owner, String, Part)>,
    branches: &'b mut Branches,
}

impl Facts for Walk<'_, '_> {
    fn read(&self, fact: &FactRef) -> Lookup {
        self.find(fact).map_or(Lookup::Unknown { at_least: None }, |(lookup, _)| lookup)
    }
}

impl Walk<'_, '_> {
    /// Whether the run ends in the present way.
    fn is_same(&mut self) -> Result<bool, Stop> {
        let flow = self.proof.search.flow;
        for (place, node) in flow.nodes.iter().enumerate() {
            self.node(place, node)?;
        }
        for outcome in &flow.outcomes {
            if outcome.when.as_ref().map_or(Ok(true), |when| self.holds(when))? {
                return self.is_present(outcome);
            }
        }
        Err(Stop::NoDecision)
    }

    fn node(&mut self, place: usize, node: &Node) -> Result<(), Stop> {
        for guard in &node.guards {
            if !self.holds(&guard.rule)? {
                return Ok(());
            }
        }
        let Search { flow, run, .. } = self.proof.search;
        let present = Known::of_parts(flow, self.proof.present.facts());
        match &node.work {
            _ if run.overrides.whole(place).is_some() => {}
            Work::Rules(rules) => return self.rules(place, rules),
            Work::Query(query) => {
                for param in &query.params {
                    let (lookup, interval) = self.find(param)?;
                    if interval.is_some() || lookup != present.read(param) {
                        return Err(Stop::NotCovered(u8::MAX));
                    }
                }
            }
        }
        if self.known.copy(place, &present) { Ok(()) } else { Err(Stop::NotCovered(0)) }
    }

    fn rules(&mut self, place: usize, rules: &RuleNode) -> Result<(), Stop> {
        let Search { run, engines, .. } = self.proof.search;
        let owner = Owner::Node(place);
        if run.overrides.places().any(|(replaced, _)| replaced == owner) {
            return Err(Stop::NotCovered(0));
        }
        let (reads, varying) = self.reads(rules.ruleset.reads())?;
        if varying.is_empty() {
            let evaluation = engines.evaluate(&rules.ruleset, &reads, run).map_err(|_| Stop::NotCovered(0))?;
            let unknown = evaluation.unknown.filter(|_| rules.allows_waiting.is_none());
            self.known.set(place, evaluation.facts, unknown);
            return Ok(());
        }
        let over = OverBox { reads: &reads, varying: &varying, clock: &run.clock, until: run.deadline.instant() };
        let (value, varying) = rules.ruleset.enclosed(&over, engines.limits(), self.branches)?;
        self.known.set(place, value, None);
        for (name, interval) in varying {
            let is_searched = |(other, path, _): &(Owner, String, Part)| *other == owner && overlap(path, &name);
            if !self.facts.iter().any(is_searched) {
                self.facts.push((owner, name.to_string(), Part::Varies(interval)));
            }
        }
        Ok(())
    }

    /// A fact, and its values where it varies.
    fn find(&self, fact: &FactRef) -> Result<(Lookup, Option<Interval>), Stop> {
        let path = fact.path.join(".");
        let found = self.facts.iter().find(|(owner, known, _)| *owner == fact.owner && overlap(known, &path));
        match found {
            // A searched fact of a skipped node is unset.
            Some((Owner::Node(node), ..)) if self.known.is_skipped(*node) => Ok((self.known.read(fact), None)),
            None => Ok((self.known.read(fact), None)),
            // A part of a value that varies, or a value of which a part does.
            Some((_, known, _)) if *known != path => Err(Stop::NotCovered(u8::MAX)),
            Some((.., Part::Known(value))) => Ok((Lookup::Value(value.clone()), None)),
            Some((.., Part::Varies(interval))) => Ok((Lookup::Value(Value::Null), Some(interval.clone()))),
        }
    }

    fn reads(&self, facts: &[FactRef]) -> Result<(Vec<Lookup>, HashMap<usize, Interval>), Stop> {
        let (mut reads, mut varying) = (Vec::with_capacity(facts.len()), HashMap::new());
        for (slot, fact) in facts.iter().enumerate() {
            let (lookup, interval) = self.find(fact)?;
            reads.push(lookup);
            varying.extend(interval.map(|interval| (slot, interval)));
        }
        Ok((reads, varying))
    }

    fn value(&mut self, expression: &Expression) -> Result<Option<Part>, Stop> {
        let run = self.proof.search.run;
        let (reads, varying) = self.reads(expression.reads())?;
        let over = OverBox { reads: &reads, varying: &varying, clock: &run.clock, until: run.deadline.instant() };
        expression.enclosed(&over, self.branches)
    }

    /// Whether the condition of an edge or an outcome is true. Where only unset facts make it unknown, it is not.
    fn holds(&mut self, condition: &Expression) -> Result<bool, Stop> {
        match self.value(condition)? {
            Some(Part::Known(Value::Boolean(truth))) => Ok(truth),
            None if self.reads(condition.reads())?.1.is_empty() => {
                let lacked = condition.lacks(self, &self.proof.search.run.clock);
                let is_unknown = lacked.iter().any(|fact| matches!(self.read(fact), Lookup::Unknown { .. }));
                if is_unknown { Err(Stop::NotCovered(0)) } else { Ok(false) }
            }
            _ => Err(Stop::NotCovered(0)),
        }
    }

    /// Whether the decision of this outcome is the present ending.
    fn is_present(&mut self, outcome: &Outcome) -> Result<bool, Stop> {
        let Proof { field, here, search: Search { flow, .. }, .. } = self.proof;
        let Some(field) = field else { return Ok(outcome.status == *here) };
        let Some((Template::Leaf(leaf), None)) = outcome.template(field) else { return Err(Stop::NotCovered(0)) };
        if leaf.reads().iter().any(|fact| flow.effect_of(fact.owner).is_some()) {
            return Err(Stop::NotCovered(0));
        }
        let value = match self.value(leaf)? {
            Some(Part::Known(value)) => flow.decimals.typed(value, leaf.ty()),
            _ => return Err(Stop::NotCovered(u8::MAX)),
        };
        let nested = field.rsplit('.').fold(value, |value, name| Value::map([(FieldName::from(name), value)]));
        let Value::Map(body) = nested else { return Err(Stop::NotCovered(0)) };
        let body = body.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let (status, decimals) = (outcome.status.clone(), flow.decimals);
        let decision = Decision { status, message: None, body, degraded: Vec::new(), decimals };
        let report = Report { result: Ok(decision), trace: None, conclusion: None };
        Ok(ending(&report, Some(field)).0 == *here)
    }
}
