//! Evaluates expressions and rules over a box of values of the searched facts, see `interval`.
//!
//! What reads no searched fact is evaluated as in a run. Rules are tried in the order and as often as `run` does. An error counts
//! as no decision, or as [`Stop::NotCovered`]. A point of the box may end in an error that its corners do not have: then it has no
//! decision either, for an error is only passed over after an unset part of a condition, which is not covered.

use std::collections::HashMap;
use std::time::Instant;

use super::ast::{Arithmetic, Assign, Compare};
use super::expression::Expression;
use super::facts::{LOCAL, Lookup, nest};
use super::functions::Function;
use super::interval::{Branches, Interval, Part, Source, Stop};
use super::limits::Limits;
use super::program::{Env, Node, TimeLimit};
use super::rule::{CompiledAssignment, CompiledRule, Start};
use super::ruleset::Ruleset;
use super::run::added;
use crate::types::{Clock, FieldName, Value};

/// A value over the box; `None` where it is unset at each point.
type Found = Result<Option<Part>, Stop>;

/// The environment of an evaluation over a box.
struct Scope<'a> {
    env: Env<'a>,
    /// By slot: the facts that vary. In `env` they have a value that is not read.
    varying: &'a HashMap<usize, Interval>,
}

/// What an evaluation over a box is given.
pub struct OverBox<'a> {
    /// What is read, in the order of [`Ruleset::reads`] or [`Expression::reads`].
    pub reads: &'a [Lookup],
    /// Which of that varies, by position.
    pub varying: &'a HashMap<usize, Interval>,
    /// The clock of the run.
    pub clock: &'a Clock,
    /// When the evaluation is stopped.
    pub until: Instant,
}

impl Scope<'_> {
    fn of(&self, node: &Node) -> (u8, Vec<usize>) {
        let mut slots = Vec::new();
        node.slots(&mut slots);
        let of = slots.iter().filter_map(|slot| self.varying.get(slot)).fold(0, |of, interval| of | interval.of());
        (of, slots)
    }

    fn part(&self, node: &Node, branches: &mut Branches) -> Found {
        let (of, slots) = self.of(node);
        if of == 0 {
            let value = node.value(&self.env).map_err(|_| Stop::NotCovered(0))?;
            return Ok(value.map(Part::Known));
        }
        match node {
            Node::Slot { slot, .. } => Ok(self.varying.get(slot).cloned().map(Part::Varies)),
            Node::Arithmetic { first, rest, .. } => {
                let Some(mut total) = self.part(first, branches)? else { return Ok(None) };
                for (operator, operand) in rest {
                    let Some(operand) = self.part(operand, branches)? else { return Ok(None) };
                    total = branches.arithmetic(*operator, &total, &operand)?;
                }
                Ok(Some(total))
            }
            Node::Negate(of, _) => {
                let Some(part) = self.part(of, branches)? else { return Ok(None) };
                branches.arithmetic(Arithmetic::Subtract, &Part::Known(Value::Integer(0)), &part).map(Some)
            }
            Node::And(items) => self.junction(items.iter().map(|(item, _)| item), false, branches),
            Node::Or(items) => self.junction(items.iter().map(|(item, _)| item), true, branches),
            Node::Not(of, _) => Ok(self.truth(of, branches)?.map(|truth| known(!truth))),
            Node::Compare { operator, left, right, each: false, .. } => {
                let Some(a) = self.part(left, branches)? else { return Ok(None) };
                let Some(b) = self.part(right, branches)? else { return Ok(None) };
                branches.compare(*operator, &a, &b).map(known).map(Some)
            }
            Node::If { arms, otherwise } => {
                for (condition, _, value) in arms {
                    match self.truth(condition, branches)? {
                        None => return Ok(None),
                        Some(true) => return self.part(value, branches),
                        Some(false) => {}
                    }
                }
                self.part(otherwise, branches)
            }
            Node::Call { function, arguments, .. } => match self.call(function, arguments, branches)? {
                Some(part) => Ok(Some(part)),
                None => self.any(node, of, &slots, branches),
            },
            _ => self.any(node, of, &slots, branches),
        }
    }

    /// Some value, or an error.
    fn any(&self, node: &Node, of: u8, slots: &[usize], branches: &mut Branches) -> Found {
        if slots.iter().any(|slot| self.env.is_unset(*slot)) {
            return Err(Stop::NotCovered(of));
        }
        let source = |slot: &usize| match self.varying.get(slot) {
            Some(interval) => Part::Varies(interval.clone()).source(),
            None => Source::Constant(format!("{:?}", self.env.known(*slot))),
        };
        let place = Source::Constant(format!("{:p}", std::ptr::from_ref(node)));
        Ok(Some(branches.any(of, slots.iter().map(source).chain([place]).collect())))
    }

    /// The truth of a condition; `None` where it is unset.
    fn truth(&self, node: &Node, branches: &mut Branches) -> Result<Option<bool>, Stop> {
        match self.part(node, branches)? {
            None => Ok(None),
            Some(Part::Known(Value::Boolean(truth))) => Ok(Some(truth)),
            Some(part) => Err(Stop::NotCovered(part.of())),
        }
    }

    fn junction<'n>(&self, items: impl Iterator<Item = &'n Node>, decisive: bool, branches: &mut Branches) -> Found {
        let mut is_unset = false;
        for item in items {
            match self.truth(item, branches)? {
                None => is_unset = true,
                Some(truth) if truth == decisive => {
                    // Where the item is an error, the junction is unset.
                    let of = if is_unset { self.of(item).0 } else { 0 };
                    return if of == 0 { Ok(Some(known(decisive))) } else { Err(Stop::NotCovered(of)) };
                }
                Some(_) => {}
            }
        }
        Ok((!is_unset).then(|| known(!decisive)))
    }

    /// Whether the row of a table matches: a false part decides, whatever the others are.
    fn matches(&self, row: &CompiledRule, branches: &mut Branches) -> Result<bool, Stop> {
        let Node::And(parts) = &row.when else {
            return self.truth(&row.when, branches)?.ok_or(Stop::NotCovered(0));
        };
        let mut is_unset = false;
        for (part, _) in parts {
            match self.truth(part, branches)? {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => is_unset = true,
            }
        }
        if is_unset { Err(Stop::NotCovered(0)) } else { Ok(true) }
    }

    /// The result of a function; `None` where it may be any.
    fn call(&self, function: &Function, arguments: &[Node], branches: &mut Branches) -> Found {
        let mut parts = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let Some(part) = self.part(argument, branches)? else { return Ok(None) };
            parts.push(part);
        }
        let zero = Part::Known(Value::Integer(0));
        Ok(match (function.name, parts.as_slice()) {
            ("min", [first, others @ ..]) if !others.is_empty() => {
                Some(branches.extreme(Compare::Less, first, others)?)
            }
            ("max", [first, others @ ..]) if !others.is_empty() => {
                Some(branches.extreme(Compare::Greater, first, others)?)
            }
            ("abs", [number]) if branches.compare(Compare::Less, number, &zero)? => {
                Some(branches.arithmetic(Arithmetic::Subtract, &zero, number)?)
            }
            ("abs", [number]) => Some(number.clone()),
            ("trim_scale", [Part::Varies(number)]) if number.is_number() => Some(Part::Varies(number.clone())),
            ("round" | "round_to" | "floor" | "ceil", [Part::Varies(number), others @ ..]) => {
                branches.monotone(function, (number, others), self.env.clock)
            }
            _ => None,
        })
    }
}

fn known(truth: bool) -> Part {
    Part::Known(Value::Boolean(truth))
}

impl Expression {
    /// Its value over a box.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn enclosed(&self, over: &OverBox<'_>, branches: &mut Branches) -> Found {
        let OverBox { reads, varying, clock, .. } = over;
        Scope { env: self.env(reads, clock), varying }.part(self.node(), branches)
    }
}

/// The own facts of a ruleset during an evaluation.
#[derive(Clone)]
struct State {
    locals: Vec<Lookup>,
    /// By slot: the facts that vary, those from outside among them.
    varying: HashMap<usize, Interval>,
}

impl State {
    fn scope<'a>(&'a self, ruleset: &'a Ruleset, over: &'a OverBox<'_>) -> Scope<'a> {
        let env = Env {
            reads: over.reads,
            read_names: &ruleset.read_names,
            locals: &self.locals,
            local_names: &ruleset.local_names,
            clock: over.clock,
            limit: TimeLimit::At(over.until),
            bound: std::cell::RefCell::default(),
        };
        Scope { env, varying: &self.varying }
    }

    fn local(&self, local: usize) -> Option<Part> {
        match (self.varying.get(&(LOCAL + local)), self.locals.get(local)) {
            (Some(interval), _) => Some(Part::Varies(interval.clone())),
            (None, Some(Lookup::Value(value))) => Some(Part::Known(value.clone())),
            _ => None,
        }
    }

    fn set(&mut self, local: usize, part: Part) {
        let Some(lookup) = self.locals.get_mut(local) else { return };
        match part {
            Part::Known(value) => {
                self.varying.remove(&(LOCAL + local));
                *lookup = Lookup::Value(value);
            }
            Part::Varies(interval) => {
                self.varying.insert(LOCAL + local, interval);
                *lookup = Lookup::Value(Value::Null);
            }
        }
    }
}

impl Ruleset {
    /// The node's facts over a box, as [`super::Evaluation::facts`] has them, and those of them that vary. In the map these are null.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn enclosed(
        &self,
        over: &OverBox<'_>,
        limits: &Limits,
        branches: &mut Branches,
    ) -> Result<(Value, Vec<(FieldName, Interval)>), Stop> {
        if over.reads.iter().any(|read| matches!(read, Lookup::Unknown { at_least: Some(_) })) {
            return Err(Stop::NotCovered(0));
        }
        let mut state = State { locals: self.start(over.reads), varying: over.varying.clone() };
        for (local, start) in self.start.iter().enumerate() {
            if let Start::Read(slot) = start
                && let Some(interval) = over.varying.get(slot)
            {
                state.set(local, Part::Varies(interval.clone()));
            }
        }
        let state = self.settled(state, over, limits, branches)?;
        let names = self.local_names.iter().enumerate();
        let varying =
            names.filter_map(|(local, name)| Some((name.clone(), state.varying.get(&(LOCAL + local))?.clone())));
        let varying = varying.collect();
        let set = self.local_names.iter().zip(state.locals).filter_map(|(name, lookup)| match lookup {
            Lookup::Value(value) => Some((&**name, value)),
            Lookup::Unset | Lookup::Unknown { .. } | Lookup::Missing | Lookup::NoKey { .. } => None,
        });
        Ok((Value::map(nest(set.collect(), &|fields| Value::map(fields))), varying))
    }

    /// The facts after the last pass over the rules.
    fn settled(
        &self,
        mut state: State,
        over: &OverBox<'_>,
        limits: &Limits,
        branches: &mut Branches,
    ) -> Result<State, Stop> {
        if self.table.is_some() {
            return self.chosen(state, over, branches);
        }
        let mut spent = vec![false; self.rules.len()];
        let mut has_waited = false;
        for _ in 0..limits.max_cycles {
            let (mut has_fired, mut waits) = (false, false);
            for (rule, spent) in self.rules.iter().zip(&mut spent) {
                if rule.no_loop && *spent || !rule.is_in_force(over.clock) {
                    continue;
                }
                let next = match state.scope(self, over).truth(&rule.when, branches)? {
                    Some(false) => continue,
                    Some(true) => self.after(rule, &state, over, branches)?,
                    None => None,
                };
                let Some(next) = next else {
                    waits |= rule.assignments().next().is_some();
                    continue;
                };
                if *spent && is_same(rule, &state, &next, branches)? {
                    continue;
                }
                (state, *spent, has_fired) = (next, true, true);
            }
            has_waited |= waits;
            if !has_fired {
                let is_unknown = waits || has_waited && self.links.reads_missing(over.reads, &state.locals);
                return if is_unknown { Err(Stop::NotCovered(0)) } else { Ok(state) };
            }
        }
        Err(Stop::NotCovered(0))
    }

    /// The facts after the row of a table that matches.
    fn chosen(&self, state: State, over: &OverBox<'_>, branches: &mut Branches) -> Result<State, Stop> {
        let Some(table) = &self.table else { return Ok(state) };
        let (takes_first, default) = table.precedence();
        if !takes_first && !table.chooses_no_row() {
            return Err(Stop::NotCovered(0));
        }
        let mut matched = None;
        for (row, rule) in self.rules.iter().enumerate() {
            if Some(row) == default || !state.scope(self, over).matches(rule, branches)? {
                continue;
            }
            if matched.replace(rule).is_some() {
                return Err(Stop::NotCovered(0));
            }
            if takes_first {
                break;
            }
        }
        let Some(rule) = matched.or_else(|| self.rules.get(default?)) else { return Ok(state) };
        self.after(rule, &state, over, branches)?.ok_or(Stop::NotCovered(0))
    }

    /// The facts after the statements of a rule; `None` where one of them lacks a value.
    fn after(
        &self,
        rule: &CompiledRule,
        state: &State,
        over: &OverBox<'_>,
        branches: &mut Branches,
    ) -> Result<Option<State>, Stop> {
        let mut next = state.clone();
        for CompiledAssignment { local, operator, value, .. } in rule.assignments() {
            let Some(mut value) = next.scope(self, over).part(value, branches)? else { return Ok(None) };
            let operator = match operator {
                Assign::Set => None,
                Assign::Add | Assign::Append => Some(Arithmetic::Add),
                Assign::Subtract => Some(Arithmetic::Subtract),
            };
            if let Some(operator) = operator {
                let Some(before) = next.local(*local) else { return Err(Stop::NotCovered(0)) };
                value = match (&before, &value) {
                    (Part::Known(before), Part::Known(value)) => {
                        added(operator, before, value).map(Part::Known).map_err(|_| Stop::NotCovered(0))?
                    }
                    _ => branches.arithmetic(operator, &before, &value)?,
                };
            }
            next.set(*local, value);
        }
        Ok(Some(next))
    }
}

/// Whether the facts that the rule assigns have the same values before and after.
fn is_same(rule: &CompiledRule, before: &State, after: &State, branches: &mut Branches) -> Result<bool, Stop> {
    for CompiledAssignment { local, .. } in rule.assignments() {
        let (Some(before), Some(after)) = (before.local(*local), after.local(*local)) else { return Ok(false) };
        let is_same = match (&before, &after) {
            (Part::Known(before), Part::Known(after)) => before == after,
            _ => branches.compare(Compare::Equal, &before, &after)?,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}
