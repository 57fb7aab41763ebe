//! The state of one evaluation: the facts, the rules that are ready, and the effects of firing one.
//!
//! A rule is ready when its condition is true and every value that it would assign is known. All statements of a rule take
//! effect, or none does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ast::{Arithmetic, Assign, At};
use super::error::{EvalErrorKind, Fault, RuleError};
use super::facts::Lookup;
use super::operators::{appended, arithmetic, unfit};
use super::program::{Env, Node, TimeLimit};
use super::rule::{Action, CompiledAssignment, CompiledRule};
use super::ruleset::Ruleset;
use super::trace::{Explainer, Firing, Idle, RulesTrace, Write};
use super::unknown::{Evaluated, Unknowns};
use crate::types::{Clock, Value};

/// The evaluation in progress.
pub(super) struct Run {
    pub(super) ruleset: Arc<Ruleset>,
    reads: Vec<Lookup>,
    pub(super) locals: Vec<Lookup>,
    clock: Clock,
    until: Instant,
    /// The rules that fired, in order.
    pub(super) fired: Vec<usize>,
    /// How many had fired when the current pass began.
    pub(super) fired_before: usize,
    /// Which rules have fired at least once.
    spent: Vec<bool>,
    /// The effects of the rule that is ready.
    pending: Effects,
    pub(super) log: Vec<String>,
    pub(super) error: Option<RuleError>,
    /// The rules that wait in the current pass.
    waiting: Vec<usize>,
    /// The rows of the table that wait and might change its results, once it was evaluated.
    pub(super) decided: Option<Vec<usize>>,
    /// Whether a rule has waited in any pass.
    has_waited: bool,
    /// What each fired rule did, if an explanation was asked for.
    firings: Option<Vec<Firing>>,
    /// Rules and assignments since the clock was last read.
    unlooked: u32,
}

/// The results of an evaluation.
pub(super) struct Ended {
    pub(super) locals: Vec<Lookup>,
    pub(super) fired: Vec<usize>,
    /// How many had fired when the last pass began.
    pub(super) fired_before: usize,
    pub(super) log: Vec<String>,
    pub(super) trace: Option<RulesTrace>,
    pub(super) unknown: Option<Unknowns>,
}

/// The clock is read once for this many rules and assignments, since reading it costs as much as trying a rule. Long chains and
/// lists read it themselves.
const LOOK_EVERY: u32 = 8;

/// The effects of firing a rule.
#[derive(Default)]
struct Effects {
    /// The slot and the value of each assignment, in order. While they are computed, the slots hold the values, and these are the
    /// displaced ones.
    slots: Vec<(usize, Lookup)>,
    lines: Vec<String>,
}

impl Run {
    pub(super) fn idle(ruleset: Arc<Ruleset>) -> Self {
        let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
        Self {
            ruleset,
            reads: Vec::new(),
            locals: Vec::new(),
            clock,
            until: Instant::now(),
            fired: Vec::new(),
            fired_before: 0,
            spent: Vec::new(),
            pending: Effects::default(),
            log: Vec::new(),
            error: None,
            waiting: Vec::new(),
            decided: None,
            has_waited: false,
            firings: None,
            unlooked: 0,
        }
    }

    pub(super) fn begin(&mut self, reads: &[Lookup], clock: &Clock, until: Instant, traced: bool) {
        self.reads.clear();
        self.reads.extend_from_slice(reads);
        self.locals = self.ruleset.start(reads);
        self.clock = clock.clone();
        self.until = until;
        // An evaluation that panicked may have left something behind.
        self.fired.clear();
        self.fired_before = 0;
        self.spent.clear();
        self.spent.resize(self.ruleset.rules.len(), false);
        self.log.clear();
        self.error = None;
        self.waiting.clear();
        self.decided = None;
        self.has_waited = false;
        self.firings = traced.then(Vec::new);
        // The first rule reads the clock.
        self.unlooked = LOOK_EVERY;
    }

    /// The results of the evaluation.
    ///
    /// # Errors
    /// The error in which it ended; a timeout names the time limit.
    pub(super) fn end(&mut self, given: Duration) -> Result<Ended, RuleError> {
        if let Some(error) = self.error.take() {
            return Err(match error {
                RuleError::Timeout { rule, .. } => RuleError::Timeout { limit_ms: given.as_millis(), rule },
                other => other,
            });
        }
        let trace = self.trace();
        let unknown = self.unknowns(given)?;
        Ok(Ended {
            unknown,
            locals: std::mem::take(&mut self.locals),
            fired: std::mem::take(&mut self.fired),
            fired_before: self.fired_before,
            log: std::mem::take(&mut self.log),
            trace,
        })
    }

    /// Whether the deadline has passed. Not every call reads the clock.
    pub(super) fn is_late(&mut self) -> bool {
        self.unlooked += 1;
        if self.unlooked < LOOK_EVERY {
            return false;
        }
        self.unlooked = 0;
        Instant::now() >= self.until
    }

    pub(super) fn begin_pass(&mut self) {
        self.fired_before = self.fired.len();
        self.waiting.clear();
    }

    /// Whether the rule can fire now; its effects become pending.
    fn is_ready(&mut self, index: usize) -> bool {
        if self.error.is_some() {
            return false;
        }
        let ruleset = Arc::clone(&self.ruleset);
        let Some(rule) = ruleset.rules.get(index) else { return false };
        if self.is_late() {
            self.error = Some(RuleError::Timeout { limit_ms: 0, rule: rule.name.clone() });
            return false;
        }
        if !rule.is_in_force(&self.clock) {
            return false;
        }
        let ready = match rule.when.holds(&self.env(&ruleset), &rule.when_at) {
            Ok(Some(false)) => return false,
            Ok(Some(true)) => self.prepare(&ruleset, rule),
            Ok(None) => Ok(false),
            Err(fault) => Err(fault),
        };
        match ready {
            Ok(true) => true,
            Ok(false) => {
                self.wait(index, rule);
                false
            }
            Err(fault) => {
                self.fail(rule, fault);
                false
            }
        }
    }

    /// The rule waits, unless it only logs.
    fn wait(&mut self, index: usize, rule: &CompiledRule) {
        if rule.assignments().next().is_some() {
            self.waiting.push(index);
            self.has_waited = true;
        }
    }

    /// The facts that are unknown, now that the evaluation has ended.
    fn unknowns(&self, given: Duration) -> Result<Option<Unknowns>, RuleError> {
        let ruleset = &*self.ruleset;
        if let Some(waiting) = &self.decided {
            return Ok(self.unknown_results(waiting));
        }
        let waits = !self.waiting.is_empty()
            || self.has_waited && ruleset.links.reads_missing(&self.reads, &self.locals)
            || self.reads.iter().any(|read| matches!(read, Lookup::Unknown { at_least: Some(_) }));
        if !waits {
            return Ok(None);
        }
        let (reads, locals, clock, fired) = (&self.reads, &self.locals, &self.clock, &self.fired);
        let waiting = &self.waiting;
        Evaluated { ruleset, reads, locals, clock, until: self.until, fired, waiting }.unknowns(given)
    }

    /// The results of a table that are unknown: all of them, if a row waits that might change them.
    fn unknown_results(&self, waiting: &[usize]) -> Option<Unknowns> {
        let ruleset = &*self.ruleset;
        let explainer = Explainer { names: ruleset.names(), env: self.env(ruleset) };
        let table = ruleset.table.as_ref()?;
        let lacks = |row: &usize| Some((*row, explainer.lacked_by(ruleset.rules.get(*row)?)));
        Unknowns::of_table(table.result_names(&ruleset.local_names), waiting.iter().filter_map(lacks))
    }

    /// Tries rules in turn.
    pub(super) fn fire_all(&mut self, rules: std::ops::Range<usize>) -> bool {
        if self.ruleset.table.is_some() {
            return self.decide();
        }
        let before = self.fired.len();
        for index in rules {
            let no_loop = self.ruleset.rules.get(index).is_some_and(|rule| rule.no_loop);
            let spent = self.spent.get(index).is_some_and(|spent| *spent);
            if !(no_loop && spent) && self.is_ready(index) && !(spent && self.changes_nothing()) {
                self.fire(index);
            }
        }
        self.fired.len() > before
    }

    /// Whether every fact that the prepared rule assigns already has that value.
    fn changes_nothing(&self) -> bool {
        let last: HashMap<usize, &Lookup> = self.pending.slots.iter().map(|(slot, value)| (*slot, value)).collect();
        last.into_iter().all(|(slot, value)| self.locals.get(slot) == Some(value))
    }

    /// Applies the pending effects.
    pub(super) fn fire(&mut self, index: usize) {
        let mut effects = std::mem::take(&mut self.pending);
        self.note(index, &effects);
        self.fired.push(index);
        if let Some(spent) = self.spent.get_mut(index) {
            *spent = true;
        }
        for (slot, value) in effects.slots.drain(..) {
            if let Some(local) = self.locals.get_mut(slot) {
                *local = value;
            }
        }
        for line in effects.lines.drain(..) {
            tracing::debug!(rules.log = line, "a rule logged");
            self.log.push(line);
        }
        self.pending = effects;
    }

    /// The values of the pending assignments.
    pub(super) fn prepared(&self) -> Vec<Value> {
        let value = |lookup: &Lookup| match lookup {
            Lookup::Value(value) => Some(value.clone()),
            _ => None,
        };
        self.pending.slots.iter().filter_map(|(_, lookup)| value(lookup)).collect()
    }

    /// Notes that a row of a table gave its results, which are made into one with those of others.
    pub(super) fn give(&mut self, index: usize) {
        let effects = std::mem::take(&mut self.pending);
        self.note(index, &effects);
        self.fired.push(index);
        if let Some(spent) = self.spent.get_mut(index) {
            *spent = true;
        }
        self.pending = effects;
    }

    /// Records what a rule is about to do, if an explanation was asked for.
    fn note(&mut self, rule: usize, effects: &Effects) {
        let Some(firings) = &mut self.firings else { return };
        let mut writes: Vec<Write> = Vec::with_capacity(effects.slots.len());
        for (slot, value) in &effects.slots {
            let Some(fact) = self.ruleset.local_names.get(*slot).cloned() else { continue };
            let Lookup::Value(after) = value.clone() else { continue };
            let earlier = writes.iter().rfind(|write| write.fact == fact).map(|write| write.after.clone());
            let before = earlier.or_else(|| match self.locals.get(*slot) {
                Some(Lookup::Value(before)) => Some(before.clone()),
                _ => None,
            });
            writes.push(Write { fact, before, after });
        }
        firings.push(Firing { rule, writes, log: effects.lines.clone() });
    }

    /// The explanation of an evaluation that has ended, if one was asked for.
    fn trace(&mut self) -> Option<RulesTrace> {
        let fired = self.firings.take()?;
        let explainer = Explainer { names: self.ruleset.names(), env: self.env(&self.ruleset) };
        if let Some(table) = &self.ruleset.table {
            let (idle, further) = self.ruleset.nearest(table, &explainer, &self.fired);
            return Some(RulesTrace { fired, idle, further });
        }
        let rules = self
            .ruleset
            .rules
            .iter()
            .enumerate()
            .filter(|(index, _)| !self.spent.get(*index).is_some_and(|spent| *spent));
        let idle = rules.map(|(rule, compiled)| Idle { rule, because: explainer.why_idle(compiled) });
        Some(RulesTrace { fired, idle: idle.collect(), further: 0 })
    }

    /// Computes the effects of the rule; later statements see earlier ones. `false` if a value that it assigns is unknown.
    pub(super) fn prepare(&mut self, ruleset: &Ruleset, rule: &CompiledRule) -> Result<bool, Fault> {
        let mut effects = std::mem::take(&mut self.pending);
        effects.slots.clear();
        effects.lines.clear();
        let mut outcome = Ok(true);
        for action in &rule.then {
            outcome = self.act(ruleset, action, &mut effects);
            if !matches!(outcome, Ok(true)) {
                break;
            }
        }
        // Effects wait until the rule fires: the displaced values go back, newest first.
        for (slot, value) in effects.slots.iter_mut().rev() {
            if let Some(local) = self.locals.get_mut(*slot) {
                std::mem::swap(local, value);
            }
        }
        self.pending = effects;
        outcome
    }

    fn act(&mut self, ruleset: &Ruleset, action: &Action, effects: &mut Effects) -> Result<bool, Fault> {
        match action {
            Action::Assign(CompiledAssignment { local, operator, value, at }) => {
                if self.is_late() {
                    return Err(Fault::new(at, EvalErrorKind::OutOfTime));
                }
                let Some(value) = self.assigned(ruleset, *local, *operator, value, at)? else { return Ok(false) };
                if let Some(slot) = self.locals.get_mut(*local) {
                    effects.slots.push((*local, std::mem::replace(slot, Lookup::Value(value))));
                }
            }
            Action::Log(values) => {
                let mut line = Vec::with_capacity(values.len());
                for value in values {
                    let value = value.value(&self.env(ruleset))?;
                    line.push(value.map_or_else(|| "(unset)".to_owned(), |value| value.to_string()));
                }
                effects.lines.push(line.join(" "));
            }
        }
        Ok(true)
    }

    fn assigned(
        &self,
        ruleset: &Ruleset,
        local: usize,
        operator: Assign,
        value: &Node,
        at: &At,
    ) -> Result<Option<Value>, Fault> {
        let Some(value) = value.value(&self.env(ruleset))? else { return Ok(None) };
        let operator = match operator {
            Assign::Set => return Ok(Some(value)),
            Assign::Add | Assign::Append => Arithmetic::Add,
            Assign::Subtract => Arithmetic::Subtract,
        };
        let name = || ruleset.local_names.get(local).map_or_else(String::new, |name| format!("`{name}`"));
        let before = match self.locals.get(local) {
            Some(Lookup::Value(before)) => before,
            Some(Lookup::Missing) => return Err(Fault::new(at, EvalErrorKind::Missing { fact: name() })),
            Some(Lookup::NoKey { of, key }) => {
                return Err(Fault::new(at, EvalErrorKind::NoKey { of: of.clone(), key: key.clone() }));
            }
            Some(Lookup::Unset | Lookup::Unknown { .. }) | None => return Ok(None),
        };
        if value.is_null() || before.is_null() {
            let operand = if before.is_null() { name() } else { "the value to the right".to_owned() };
            return Err(Fault::new(at, EvalErrorKind::Null { operator: operator.text(), operand }));
        }
        added(operator, before, &value).map(Some).map_err(|kind| Fault::new(at, kind))
    }

    pub(super) fn env<'a>(&'a self, ruleset: &'a Ruleset) -> Env<'a> {
        Env {
            reads: &self.reads,
            read_names: &ruleset.read_names,
            locals: &self.locals,
            local_names: &ruleset.local_names,
            clock: &self.clock,
            limit: TimeLimit::At(self.until),
            bound: RefCell::default(),
        }
    }

    pub(super) fn fail(&mut self, rule: &CompiledRule, fault: Fault) {
        let rule_name = rule.name.clone();
        self.error = Some(match *fault.kind {
            EvalErrorKind::OutOfTime => RuleError::Timeout { limit_ms: 0, rule: rule_name },
            _ => RuleError::Rule { rule: rule_name, source: fault.in_snippet(&rule.snippet) },
        });
    }
}

/// The value of a fact after `+=` or `-=`. Neither is null.
pub(super) fn added(operator: Arithmetic, before: &Value, value: &Value) -> Result<Value, EvalErrorKind> {
    match before {
        Value::List(items) if operator == Arithmetic::Add => appended(items, value),
        Value::Text(_) => Err(unfit("+=", "numbers and lists", before)),
        before => arithmetic(operator, before, value),
    }
}
