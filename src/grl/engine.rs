//! rust-rule-engine as the scheduler of our compiled rules.
//!
//! Each rule becomes a native `Rule` of the crate whose condition and action call back into the compiled ones; the crate
//! decides which is tried when, honours no-loop and counts the passes. Its own parser and facts are never used. Adding a
//! rule to the crate costs time in proportion to those it has, and trying one clones it: beyond [`SINGLES`] rules,
//! neighbours in the order of trial share a native rule that tries them in turn, which is what the crate would have done.
//!
//! A condition that cannot be evaluated would read as false to the crate. It is recorded here instead, everything after
//! it reads as false, and the evaluation ends as an error without facts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rust_rule_engine::engine::engine::{EngineConfig, RustRuleEngine};
use rust_rule_engine::engine::facts::Facts as EngineFacts;
use rust_rule_engine::engine::knowledge_base::KnowledgeBase;
use rust_rule_engine::engine::rule::{Condition, ConditionGroup, Rule as EngineRule};
use rust_rule_engine::types::{ActionType, Value as EngineValue};

use super::ast::Assign;
use super::error::{EvalErrorKind, Fault, RuleError};
use super::facts::Lookup;
use super::limits::Limits;
use super::operators::arithmetic;
use super::program::{Env, Node};
use super::ruleset::{Action, CompiledRule, Ruleset};
use crate::grl::ast::Arithmetic;
use crate::types::{Clock, Deadline, FieldName, Record, Value};

/// Up to so many rules, each has a native rule of its own.
const SINGLES: usize = 256;

/// A ruleset ready to be evaluated by one thread.
pub struct Engine {
    ruleset: Arc<Ruleset>,
    native: RustRuleEngine,
    run: Arc<Mutex<Run>>,
    limits: Limits,
}

/// What an evaluation gives.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The node's facts that are set: a map, those with dots nested.
    pub facts: Value,
    /// The rules that fired, in order, by their position in [`Ruleset::rules`].
    pub fired: Vec<usize>,
    /// What the rules logged.
    pub log: Vec<String>,
}

/// The evaluation under way.
struct Run {
    ruleset: Arc<Ruleset>,
    reads: Vec<Lookup>,
    locals: Vec<Lookup>,
    clock: Clock,
    until: Instant,
    fired: Vec<usize>,
    /// How many had fired when the pass that is under way began.
    fired_before: usize,
    last_tried: usize,
    log: Vec<String>,
    error: Option<RuleError>,
}

impl Engine {
    /// Makes the native rules.
    ///
    /// # Errors
    /// [`RuleError::Engine`] where rust-rule-engine refuses one.
    pub fn new(ruleset: Arc<Ruleset>, limits: &Limits) -> Result<Self, RuleError> {
        let config =
            EngineConfig { max_cycles: limits.max_cycles, timeout: None, enable_stats: false, debug_mode: false };
        let mut native = RustRuleEngine::with_config(KnowledgeBase::new("rules"), config);
        let run = Arc::new(Mutex::new(Run::idle(Arc::clone(&ruleset))));
        let page = ruleset.rules.len().div_ceil(SINGLES).max(1);
        for (number, rules) in ruleset.rules.chunks(page).enumerate() {
            let first = number * page;
            add(&mut native, &run, number, first, rules).map_err(|message| RuleError::Engine { message })?;
        }
        Ok(Self { ruleset, native, run, limits: limits.clone() })
    }

    /// Evaluates the rules over what they read from outside, in the order of [`Ruleset::reads`].
    ///
    /// # Errors
    /// [`RuleError`]; then no fact is kept.
    pub fn evaluate(&mut self, reads: &[Lookup], clock: &Clock, deadline: Deadline) -> Result<Evaluation, RuleError> {
        let limit = deadline.at_most(self.limits.max_evaluation);
        let given = limit.remaining();
        lock(&self.run).begin(reads, clock, limit.instant());
        self.native.reset_no_loop_tracking();
        let result = self.native.execute(&EngineFacts::new());
        let mut run = lock(&self.run);
        let ended = run.end();
        match (result, ended.error) {
            (_, Some(RuleError::Timeout { rule, .. })) => Err(RuleError::Timeout { limit_ms: given.as_millis(), rule }),
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(RuleError::Engine { message: error.to_string() }),
            (Ok(result), None)
                if result.cycle_count >= self.limits.max_cycles && ended.fired.len() > ended.fired_before =>
            {
                Err(self.never_settled(&ended.fired, ended.fired_before))
            }
            (Ok(_), None) => {
                Ok(Evaluation { facts: facts(&self.ruleset, ended.locals), fired: ended.fired, log: ended.log })
            }
        }
    }

    fn never_settled(&self, fired: &[usize], before: usize) -> RuleError {
        let last = fired.get(before..).unwrap_or_default();
        let mut rules: Vec<String> = Vec::new();
        for index in last {
            let name = self.ruleset.rules.get(*index).map_or("", |rule| &rule.name);
            if !rules.iter().any(|known| known == name) {
                rules.push(name.to_owned());
            }
        }
        RuleError::Cycles { cycles: self.limits.max_cycles, rules }
    }
}

/// Adds the native rule for `rules`, the first of which is rule `first`.
fn add(
    native: &mut RustRuleEngine,
    run: &Arc<Mutex<Run>>,
    number: usize,
    first: usize,
    rules: &[CompiledRule],
) -> Result<(), String> {
    let name = format!("rules {number}");
    let (condition, action) = (format!("ready {number}"), format!("fire {number}"));
    let count = rules.len();
    let (asked, told) = (Arc::clone(run), Arc::clone(run));
    let starts_pass = number == 0;
    native.register_function(&condition, move |_: &[EngineValue], _: &EngineFacts| {
        let mut run = lock(&asked);
        if starts_pass {
            run.fired_before = run.fired.len();
        }
        let ready = if count == 1 { run.is_ready(first) } else { run.fire_all(first..first + count) };
        Ok(EngineValue::Boolean(ready))
    });
    native.register_action_handler(&action, move |_: &HashMap<String, EngineValue>, _: &EngineFacts| {
        if count == 1 {
            lock(&told).fire(first);
        }
        Ok(())
    });
    let group = ConditionGroup::single(Condition::with_test(condition, Vec::new()));
    let action = ActionType::Custom { action_type: action, params: HashMap::new() };
    let mut rule = EngineRule::new(name, group, vec![action]);
    if let [only] = rules {
        rule = rule.with_salience(only.salience).with_no_loop(only.no_loop);
    } else {
        // Pages keep their order among each other.
        rule = rule.with_salience(i32::try_from(number).map_or(i32::MIN, |number| -number));
    }
    native.knowledge_base().add_rule(rule).map_err(|error| error.to_string())
}

/// A poisoned lock holds an evaluation that broke; the next one begins afresh anyway.
fn lock(run: &Mutex<Run>) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn idle(ruleset: Arc<Ruleset>) -> Self {
        let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
        Self {
            ruleset,
            reads: Vec::new(),
            locals: Vec::new(),
            clock,
            until: Instant::now(),
            fired: Vec::new(),
            fired_before: 0,
            last_tried: 0,
            log: Vec::new(),
            error: None,
        }
    }

    fn begin(&mut self, reads: &[Lookup], clock: &Clock, until: Instant) {
        let idle = Self::idle(Arc::clone(&self.ruleset));
        *self = Self { reads: reads.to_vec(), locals: self.ruleset.start(reads), clock: clock.clone(), until, ..idle };
    }

    fn end(&mut self) -> Self {
        let idle = Self::idle(Arc::clone(&self.ruleset));
        std::mem::replace(self, idle)
    }

    /// Whether the rule's condition holds now.
    fn is_ready(&mut self, index: usize) -> bool {
        if self.error.is_some() {
            return false;
        }
        let ruleset = Arc::clone(&self.ruleset);
        let Some(rule) = ruleset.rules.get(index) else { return false };
        self.last_tried = index;
        if Instant::now() >= self.until {
            self.error = Some(RuleError::Timeout { limit_ms: 0, rule: rule.name.clone() });
            return false;
        }
        let now = self.clock.now();
        if rule.effective.is_some_and(|from| now < from) || rule.expires.is_some_and(|until| now >= until) {
            return false;
        }
        match rule.when.holds(&self.env(&ruleset), &rule.when_at) {
            Ok(holds) => holds == Some(true),
            Err(fault) => {
                self.fail(rule, fault);
                false
            }
        }
    }

    /// Tries the rules of a page in turn.
    fn fire_all(&mut self, rules: std::ops::Range<usize>) -> bool {
        let before = self.fired.len();
        for index in rules {
            let spent = self.ruleset.rules.get(index).is_some_and(|rule| rule.no_loop) && self.fired.contains(&index);
            if !spent && self.is_ready(index) {
                self.fire(index);
            }
        }
        self.fired.len() > before
    }

    fn fire(&mut self, index: usize) {
        let ruleset = Arc::clone(&self.ruleset);
        let Some(rule) = ruleset.rules.get(index) else { return };
        self.fired.push(index);
        for action in &rule.then {
            if let Err(fault) = self.act(&ruleset, action) {
                self.fail(rule, fault);
                return;
            }
        }
    }

    fn act(&mut self, ruleset: &Ruleset, action: &Action) -> Result<(), Fault> {
        match action {
            Action::Assign { local, operator, value, at } => {
                let value = match self.assigned(ruleset, *local, *operator, value, at)? {
                    Some(value) => Lookup::Value(value),
                    None => Lookup::Unset,
                };
                if let Some(slot) = self.locals.get_mut(*local) {
                    *slot = value;
                }
            }
            Action::Log { values } => {
                let mut line = Vec::with_capacity(values.len());
                for value in values {
                    let value = value.value(&self.env(ruleset))?;
                    line.push(value.map_or_else(|| "(unset)".to_owned(), |value| value.to_string()));
                }
                let line = line.join(" ");
                tracing::debug!(rules.log = line, "a rule logged");
                self.log.push(line);
            }
        }
        Ok(())
    }

    fn assigned(
        &self,
        ruleset: &Ruleset,
        local: usize,
        operator: Assign,
        value: &Node,
        at: &super::ast::At,
    ) -> Result<Option<Value>, Fault> {
        let value = value.value(&self.env(ruleset))?;
        let operator = match operator {
            Assign::Set => return Ok(value),
            Assign::Add => Arithmetic::Add,
            Assign::Subtract => Arithmetic::Subtract,
        };
        let (Some(value), Some(Lookup::Value(before))) = (value, self.locals.get(local)) else { return Ok(None) };
        if value.is_null() || before.is_null() {
            let operand =
                ruleset.local_names.get(local).map_or_else(String::new, |name| format!("`{name}` or what is added"));
            return Err(Fault::new(at, EvalErrorKind::Null { operator: operator.text(), operand }));
        }
        arithmetic(operator, before, &value).map(Some).map_err(|kind| Fault::new(at, kind))
    }

    fn env<'a>(&'a self, ruleset: &'a Ruleset) -> Env<'a> {
        Env {
            reads: &self.reads,
            read_names: &ruleset.read_names,
            locals: &self.locals,
            local_names: &ruleset.local_names,
            clock: &self.clock,
        }
    }

    fn fail(&mut self, rule: &CompiledRule, fault: Fault) {
        self.error = Some(RuleError::Rule { rule: rule.name.clone(), source: fault.in_snippet(&rule.snippet) });
    }
}

/// The facts that are set, as a map; those with dots nested.
fn facts(ruleset: &Ruleset, locals: Vec<Lookup>) -> Value {
    let mut tree: Vec<(&str, Value)> = Vec::new();
    for (name, lookup) in ruleset.local_names.iter().zip(locals) {
        if let (Lookup::Value(value), false) = (lookup, name.starts_with('<')) {
            tree.push((name, value));
        }
    }
    Value::Map(Arc::new(nest(tree)))
}

fn nest(facts: Vec<(&str, Value)>) -> Record {
    let mut fields: Vec<(FieldName, Value)> = Vec::new();
    let mut groups: Vec<(&str, Vec<(&str, Value)>)> = Vec::new();
    for (name, value) in facts {
        match name.split_once('.') {
            None => fields.push((FieldName::from(name), value)),
            Some((head, rest)) => match groups.iter_mut().find(|(known, _)| *known == head) {
                Some((_, group)) => group.push((rest, value)),
                None => groups.push((head, vec![(rest, value)])),
            },
        }
    }
    fields.extend(groups.into_iter().map(|(head, group)| (FieldName::from(head), Value::Map(Arc::new(nest(group))))));
    fields.into_iter().collect()
}
