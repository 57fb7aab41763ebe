//! Which facts are unknown when an evaluation ends, because rules still wait for a missing fact.
//!
//! A rule waits if it is in force, is not a spent `no-loop` rule, and its condition or a value that it assigns is unknown.
//! The facts it assigns are unknown. So are those of an idle rule whose condition is not false without the unknown facts,
//! and of a fired rule that would not certainly fire without them. What is left has the same value whatever the missing
//! facts are.
//!
//! A rule that was tried before the last change of a fact is judged without that fact. A rule that fires whatever the missing
//! facts are, but possibly earlier, makes its facts *late*: their values are certain, but what other rules saw before they were
//! set is not. A counter that rules only increase has a lower bound: its start and what certainly fired rules added.
//!
//! This runs only if a rule had to wait.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::ast::{Arithmetic, Assign};
use super::error::RuleError;
use super::facts::{FactRef, LOCAL, Lookup, Origin, overlap};
use super::links::{Changes, RuleLinks, has_value};
use super::operators::arithmetic;
use super::program::{Env, TimeLimit};
use super::rule::{CompiledAssignment, CompiledRule};
use super::ruleset::Ruleset;
use crate::types::{Clock, FieldName, Value};

/// The unknown facts of a node, and the rules that make them so.
#[derive(Debug, Clone)]
pub struct Unknowns {
    facts: Vec<(FieldName, Option<Value>)>,
    doubts: Vec<Doubt>,
}

/// A rule whose facts depend on a missing one.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// Its position in [`Ruleset::rules`].
    pub rule: usize,
    /// Whether it waits itself. Otherwise it depends on what a waiting rule would assign.
    pub waits: bool,
    /// The facts that it waits for, or that it depends on.
    pub because: Vec<Origin>,
}

impl Unknowns {
    /// The results of a table with waiting rows, each with the facts that it waits for; `None` if none waits. Of rows that wait for the
    /// same facts, some are named.
    pub(super) fn of_table(
        results: Vec<FieldName>,
        waiting: impl Iterator<Item = (usize, Vec<Origin>)>,
    ) -> Option<Self> {
        const MOST_NAMED: usize = 20;
        let mut known: HashSet<Origin> = HashSet::new();
        let mut doubts = Vec::new();
        for (rule, because) in waiting {
            let before = known.len();
            known.extend(because.iter().cloned());
            if doubts.len() < MOST_NAMED || known.len() > before {
                doubts.push(Doubt { rule, waits: true, because });
            }
        }
        let facts = results.into_iter().map(|name| (name, None)).collect();
        (!doubts.is_empty()).then_some(Self { facts, doubts })
    }

    /// The unknown facts.
    pub fn facts(&self) -> impl Iterator<Item = &FieldName> {
        self.facts.iter().map(|(name, _)| name)
    }

    /// The rules that make them unknown.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// The result of reading `fact` of the node, if it is unknown, a part of an unknown fact, or a value with an unknown part.
    pub fn find(&self, fact: &FactRef) -> Option<Lookup> {
        let path = fact.path.join(".");
        let (name, least) = self.facts.iter().find(|(name, _)| overlap(name, &path))?;
        Some(Lookup::Unknown { at_least: least.clone().filter(|_| **name == *path) })
    }

    /// Without the facts that `is_replaced` names; `None` if no fact is left.
    pub fn without(mut self, is_replaced: impl Fn(&str) -> bool) -> Option<Self> {
        self.facts.retain(|(name, _)| !is_replaced(name));
        (!self.facts.is_empty()).then_some(self)
    }
}

/// An evaluation that has ended.
pub(super) struct Evaluated<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) reads: &'a [Lookup],
    pub(super) locals: &'a [Lookup],
    pub(super) clock: &'a Clock,
    pub(super) until: Instant,
    /// The rules that fired, in order.
    pub(super) fired: &'a [usize],
    /// The rules that wait.
    pub(super) waiting: &'a [usize],
}

impl Evaluated<'_> {
    /// The unknown facts, if there are any.
    ///
    /// # Errors
    /// [`RuleError::Timeout`].
    pub(super) fn unknowns(&self, given: Duration) -> Result<Option<Unknowns>, RuleError> {
        let mut search = Search::over(self);
        for rule in self.waiting {
            search.doubt(*rule, true, search.lacked_by(*rule));
        }
        search.look_at_readers_of_missing();
        while let Some(rule) = search.queue.pop() {
            if Instant::now() >= self.until {
                let rule = self.ruleset.rules.get(rule).map_or_else(String::new, |rule| rule.name.clone());
                return Err(RuleError::Timeout { limit_ms: given.as_millis(), rule });
            }
            search.look_at(rule);
        }
        Ok(search.found())
    }
}

/// A step of an evaluation: the pass over the rules, and the rule.
type Step = (usize, usize);

struct Search<'a> {
    over: &'a Evaluated<'a>,
    /// Each own fact before the first rule.
    start: Vec<Lookup>,
    /// Each own fact now; unknown facts have no value here.
    locals: Vec<Lookup>,
    unknown: Vec<bool>,
    late: Vec<bool>,
    /// By own fact: the step at which a value was last replaced.
    replaced: Vec<Option<Step>>,
    /// By rule: the position of its first firing among all firings, and its pass.
    first: Vec<Option<(usize, usize)>>,
    /// By rule: whether what it writes, or would write, is unknown.
    doubted: Vec<bool>,
    doubts: Vec<Doubt>,
    queue: Vec<usize>,
}

impl<'a> Search<'a> {
    fn over(over: &'a Evaluated<'a>) -> Self {
        let (rules, locals) = (over.ruleset.rules.len(), over.locals.len());
        let mut search = Self {
            over,
            start: over.ruleset.start(over.reads),
            locals: over.locals.to_vec(),
            unknown: vec![false; locals],
            late: vec![false; locals],
            replaced: vec![None; locals],
            first: vec![None; rules],
            doubted: vec![false; rules],
            doubts: Vec::new(),
            queue: Vec::new(),
        };
        search.follow_firings();
        search
    }

    /// Finds the pass in which each rule fired first, and the step at which each fact last changed. Rules fire in the order of
    /// their positions; a position that is not higher than the one before belongs to a new pass.
    fn follow_firings(&mut self) {
        let mut set: Vec<bool> = self.start.iter().map(|start| matches!(start, Lookup::Value(_))).collect();
        let (mut pass, mut last) = (0, usize::MAX);
        for (position, rule) in self.over.fired.iter().enumerate() {
            pass += usize::from(*rule <= last);
            last = *rule;
            if let Some(first) = self.first.get_mut(*rule) {
                first.get_or_insert((position, pass));
            }
            for target in self.links(*rule).map(|links| links.targets.as_slice()).unwrap_or_default() {
                if let (Some(set), Some(replaced)) = (set.get_mut(*target), self.replaced.get_mut(*target)) {
                    *replaced = if std::mem::replace(set, true) { Some((pass, *rule)) } else { *replaced };
                }
            }
        }
    }

    fn links(&self, rule: usize) -> Option<&'a RuleLinks> {
        self.over.ruleset.links.rules.get(rule)
    }

    fn env(&self) -> Env<'_> {
        let ruleset = self.over.ruleset;
        Env {
            reads: self.over.reads,
            read_names: &ruleset.read_names,
            locals: &self.locals,
            local_names: &ruleset.local_names,
            clock: self.over.clock,
            limit: TimeLimit::At(self.over.until),
            bound: RefCell::default(),
        }
    }

    fn is_missing(&self, slot: usize) -> bool {
        !has_value(self.over.reads, self.over.locals, slot)
    }

    fn is(flags: &[bool], slot: usize) -> bool {
        slot.checked_sub(LOCAL).and_then(|local| flags.get(local)).is_some_and(|flag| *flag)
    }

    fn look_at_readers_of_missing(&mut self) {
        let links = &self.over.ruleset.links;
        let missing = links.readers.iter().filter(|(slot, _)| self.is_missing(**slot));
        let readers: Vec<usize> = missing.flat_map(|(_, readers)| readers.iter().copied()).collect();
        self.queue.extend(readers);
    }

    /// Decides whether the facts of a rule that reads a missing, unknown or late fact are certain.
    fn look_at(&mut self, index: usize) {
        let (Some(rule), Some(links)) = (self.over.ruleset.rules.get(index), self.links(index)) else { return };
        if self.doubted.get(index).is_none_or(|doubted| *doubted) || !rule.is_in_force(self.over.clock) {
            return;
        }
        let added = links.adds.iter().map(|(local, _)| *local);
        // The target of `+=` must have a value; what is added does not depend on it.
        let must_be_set = added.clone().filter(|local| !matches!(self.start.get(*local), Some(Lookup::Value(_))));
        let needs: Vec<usize> = links.needs.iter().copied().chain(must_be_set.map(|local| LOCAL + local)).collect();
        let answered = |slot: &usize| Self::is(&self.unknown, *slot) && !self.is_missing(*slot);
        let asked: Vec<usize> = links.asks.iter().copied().filter(answered).collect();
        let unknown = |slot: &usize| self.is_missing(*slot) || Self::is(&self.unknown, *slot);
        let because: Vec<usize> = needs
            .iter()
            .copied()
            .filter(|slot| unknown(slot) || Self::is(&self.late, *slot))
            .chain(asked.clone())
            .collect();
        if because.is_empty() {
            return;
        }
        let written = links.targets.iter().filter(|local| self.over.ruleset.links.changes(**local) >= Changes::Appends);
        let first = self.first.get(index).copied().flatten();
        let written = written.map(|local| LOCAL + local).filter(|_| first.is_some());
        let unsettled: Vec<usize> =
            needs.iter().copied().chain(written).filter(|slot| self.is_unsettled(*slot, index)).collect();
        // If it had fired at another time, the rule would have replaced what another rule wrote after it.
        let overtaken: Vec<usize> = unsettled.iter().copied().filter(|slot| !needs.contains(slot)).collect();
        let is_certain = asked.is_empty()
            && match first {
                None => self.without(&needs, &unsettled, None, |env| {
                    matches!(rule.when.holds(env, &rule.when_at), Ok(Some(false)))
                }),
                Some(_) if unsettled.is_empty() && !needs.iter().any(|slot| Self::is(&self.unknown, *slot)) => true,
                Some((position, _)) => self.without(&needs, &unsettled, Some(position), |env| fires(rule, env)),
            };
        let because: Vec<Origin> = because.iter().filter_map(|slot| self.over.ruleset.names().origin(*slot)).collect();
        let is_on_time = matches!(first, Some((_, 1))) && !needs.iter().any(|slot| Self::is(&self.unknown, *slot));
        if !is_certain {
            self.doubt(index, false, because);
            return;
        }
        let mut is_lost = false;
        for slot in overtaken {
            is_lost |= self.lose(slot - LOCAL);
        }
        if is_lost {
            self.doubts.push(Doubt { rule: index, waits: false, because: because.clone() });
        }
        if first.is_some() && !is_on_time {
            self.delay(index, links, because);
        }
    }

    /// Whether a value of the fact was replaced after the rule was first tried.
    fn is_unsettled(&self, slot: usize, rule: usize) -> bool {
        let replaced = slot.checked_sub(LOCAL).and_then(|local| self.replaced.get(local)).copied().flatten();
        replaced.is_some_and(|moment| moment > (1, rule))
    }

    /// The result of `judge` with those of `needs` unknown that may differ. `fired` is the position of the rule's first firing.
    fn without(
        &mut self,
        needs: &[usize],
        unsettled: &[usize],
        fired: Option<usize>,
        judge: impl Fn(&Env<'_>) -> bool,
    ) -> bool {
        let mut hidden: Vec<(usize, Lookup)> = Vec::new();
        for slot in needs {
            let changes = unsettled.contains(slot);
            let differs =
                changes || Self::is(&self.unknown, *slot) || (Self::is(&self.late, *slot) && !unsettled.is_empty());
            let Some(local) = slot.checked_sub(LOCAL).filter(|_| differs) else { continue };
            let counted = fired.unwrap_or(if changes { 0 } else { self.over.fired.len() });
            let at_least = self.at_least(local, counted);
            if let Some(lookup) = self.locals.get_mut(local) {
                hidden.push((local, std::mem::replace(lookup, Lookup::Unknown { at_least })));
            }
        }
        let judged = judge(&self.env());
        for (local, value) in hidden.into_iter().rev() {
            if let Some(lookup) = self.locals.get_mut(local) {
                *lookup = value;
            }
        }
        judged
    }

    /// The lower bound of a growing counter after the first `counted` firings.
    fn at_least(&self, local: usize, counted: usize) -> Option<Value> {
        let mut least = match self.start.get(local)? {
            Lookup::Value(value) | Lookup::Unknown { at_least: Some(value) } => value.clone(),
            _ => return None,
        };
        let grows = self.over.ruleset.links.changes(local) == Changes::Grows;
        if !grows || !matches!(least, Value::Integer(_) | Value::Decimal(_)) {
            return None;
        }
        for rule in self.over.fired.iter().take(counted) {
            if self.doubted.get(*rule).is_some_and(|doubted| *doubted) {
                continue;
            }
            for (_, step) in self.links(*rule)?.adds.iter().filter(|(added, _)| *added == local) {
                least = arithmetic(Arithmetic::Add, &least, step.as_ref()?).ok()?;
            }
        }
        Some(least)
    }

    /// The facts that a waiting rule waits for.
    fn lacked_by(&self, rule: usize) -> Vec<Origin> {
        let Some(rule) = self.over.ruleset.rules.get(rule) else { return Vec::new() };
        let mut slots = Vec::new();
        rule.when.lacks(&self.env(), &mut slots);
        for CompiledAssignment { local, operator, value, .. } in rule.assignments() {
            value.lacks(&self.env(), &mut slots);
            slots.extend((*operator != Assign::Set && self.is_missing(LOCAL + local)).then_some(LOCAL + local));
        }
        slots.into_iter().filter_map(|slot| self.over.ruleset.names().origin(slot)).collect()
    }

    /// What the rule writes, or would write, is unknown.
    fn doubt(&mut self, rule: usize, waits: bool, because: Vec<Origin>) {
        let (Some(links), Some(doubted)) = (self.links(rule), self.doubted.get_mut(rule)) else { return };
        *doubted = true;
        self.doubts.push(Doubt { rule, waits, because });
        for target in &links.targets {
            // The bound of a counter is lower if a rule that added to it is in doubt.
            if !self.lose(*target) && self.over.ruleset.links.changes(*target) == Changes::Grows {
                self.look_at_readers(*target);
            }
        }
    }

    /// Makes an own fact unknown. Returns whether it was known.
    fn lose(&mut self, local: usize) -> bool {
        let is_fresh = self.unknown.get_mut(local).is_some_and(|unknown| !std::mem::replace(unknown, true));
        if let (true, Some(value)) = (is_fresh, self.locals.get_mut(local)) {
            *value = Lookup::Unknown { at_least: None };
            self.look_at_readers(local);
        }
        is_fresh
    }

    /// Marks the facts of the rule as late: their values are certain, the step at which they were set is not.
    fn delay(&mut self, rule: usize, links: &RuleLinks, because: Vec<Origin>) {
        let mut fresh = links.targets.clone();
        fresh.retain(|target| self.late.get_mut(*target).is_some_and(|late| !std::mem::replace(late, true)));
        if !fresh.is_empty() {
            self.doubts.push(Doubt { rule, waits: false, because });
        }
        fresh.into_iter().for_each(|target| self.look_at_readers(target));
    }

    fn look_at_readers(&mut self, local: usize) {
        let readers = self.over.ruleset.links.readers.get(&(LOCAL + local));
        self.queue.extend(readers.into_iter().flatten().copied());
    }

    fn found(self) -> Option<Unknowns> {
        let counted = self.over.fired.len();
        let names = self.over.ruleset.local_names.iter().enumerate();
        // A mapped fact that nothing has written may have a bound of its own.
        let bounded = |local: usize| matches!(self.over.locals.get(local), Some(Lookup::Unknown { at_least: Some(_) }));
        let facts: Vec<(FieldName, Option<Value>)> = names
            .filter(|(local, _)| Self::is(&self.unknown, LOCAL + local) || bounded(*local))
            .map(|(local, name)| (name.clone(), self.at_least(local, counted)))
            .collect();
        (!facts.is_empty()).then_some(Unknowns { facts, doubts: self.doubts })
    }
}

/// Whether a rule certainly fires: its condition is true and everything that it assigns is known. Later statements see what earlier
/// ones set.
fn fires(rule: &CompiledRule, env: &Env<'_>) -> bool {
    if !matches!(rule.when.holds(env, &rule.when_at), Ok(Some(true))) {
        return false;
    }
    let mut locals = env.locals.to_vec();
    rule.assignments().all(|CompiledAssignment { local, operator, value, .. }| {
        let env = Env { locals: &locals, limit: env.limit.clone(), bound: RefCell::default(), ..*env };
        let Ok(Some(value)) = value.value(&env) else { return false };
        if let (Assign::Set, Some(slot)) = (operator, locals.get_mut(*local)) {
            *slot = Lookup::Value(value);
        }
        true
    })
}
