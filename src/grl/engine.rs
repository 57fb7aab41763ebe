//! rust-rule-engine schedules the compiled rules.
//!
//! [`TOGETHER`] rules that follow each other in the order of trial are one native rule of the crate, a page. Its condition
//! tries them in turn and fires those that are ready; its action is empty. The crate orders the pages by salience, repeats
//! passes over them until no page fires, and counts the passes. Its own parser, facts and actions are not used.
//!
//! A native rule for each rule would cost too much: the crate clones a rule several times when it tries it, about 0.9 us a
//! pass. Twelve rules cost 19 us that way and 1 us as one page; 256 rules cost 460 us and 12 us. Adding a rule costs time in
//! proportion to those that are there, so there are at most [`MOST`] pages. Salience and `no-loop` have the same effect within
//! a page as between pages.
//!
//! A condition that cannot be evaluated would read as false to the crate. It is recorded here instead, everything after
//! it reads as false, and the evaluation ends as an error without facts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rust_rule_engine::engine::engine::{EngineConfig, RustRuleEngine};
use rust_rule_engine::engine::facts::Facts as EngineFacts;
use rust_rule_engine::engine::knowledge_base::KnowledgeBase;
use rust_rule_engine::engine::rule::{Condition, ConditionGroup, Rule as EngineRule};
use rust_rule_engine::types::{ActionType, Value as EngineValue};

use super::error::RuleError;
use super::facts::{Lookup, nest};
use super::limits::Limits;
use super::rule::CompiledRule;
use super::ruleset::Ruleset;
use super::run::{Ended, Run};
use super::trace::RulesTrace;
use super::unknown::Unknowns;
use crate::types::{Clock, Deadline, FieldName, Value};

/// The number of rules in a page.
const TOGETHER: usize = 16;
/// The most pages.
const MOST: usize = 256;

/// A ruleset ready to be evaluated by one thread.
pub struct Engine {
    ruleset: Arc<Ruleset>,
    native: RustRuleEngine,
    run: Arc<Mutex<Run>>,
    limits: Limits,
    /// The crate's own facts, which stay empty.
    none: EngineFacts,
    /// Whether a fact has a dot in its name.
    nested: bool,
}

/// The result of an evaluation.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The node's facts that are set: a map, those with dots nested.
    pub facts: Value,
    /// The rules that fired, in order, by their position in [`Ruleset::rules`].
    pub fired: Vec<usize>,
    /// What the rules logged.
    pub log: Vec<String>,
    /// The explanation, if one was asked for ([`Engine::explain`]).
    pub trace: Option<Box<RulesTrace>>,
    /// The unknown facts, if rules wait for a missing one. A value that they have in `facts` is not certain.
    pub unknown: Option<Arc<Unknowns>>,
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
        // A table is one page: its rows are not tried in turn.
        let least = if ruleset.is_table() { ruleset.rules.len() } else { TOGETHER };
        let page = ruleset.rules.len().div_ceil(MOST).max(least);
        for (number, rules) in ruleset.rules.chunks(page).enumerate() {
            let first = number * page;
            add(&mut native, &run, number, first, rules).map_err(|message| RuleError::Engine { message })?;
        }
        let nested = ruleset.local_names.iter().any(|name| name.contains('.'));
        Ok(Self { ruleset, native, run, limits: limits.clone(), none: EngineFacts::new(), nested })
    }

    /// Evaluates the rules over what they read from outside, in the order of [`Ruleset::reads`].
    ///
    /// # Errors
    /// [`RuleError`]; no fact is kept.
    pub fn evaluate(&mut self, reads: &[Lookup], clock: &Clock, deadline: Deadline) -> Result<Evaluation, RuleError> {
        self.run(reads, clock, deadline, false)
    }

    /// As [`Self::evaluate`], with an explanation.
    ///
    /// # Errors
    /// [`RuleError`]; no fact is kept.
    pub fn explain(&mut self, reads: &[Lookup], clock: &Clock, deadline: Deadline) -> Result<Evaluation, RuleError> {
        self.run(reads, clock, deadline, true)
    }

    fn run(
        &mut self,
        reads: &[Lookup],
        clock: &Clock,
        deadline: Deadline,
        traced: bool,
    ) -> Result<Evaluation, RuleError> {
        let limit = deadline.at_most(self.limits.max_evaluation);
        let given = limit.remaining();
        lock(&self.run).begin(reads, clock, limit.instant(), traced);
        let result = self.native.execute(&self.none);
        let ended = lock(&self.run).end(given)?;
        let result = result.map_err(|error| RuleError::Engine { message: error.to_string() })?;
        if result.cycle_count >= self.limits.max_cycles && ended.fired.len() > ended.fired_before {
            return Err(self.never_settled(&ended.fired, ended.fired_before));
        }
        let Ended { locals, fired, log, trace, unknown, .. } = ended;
        let trace = trace.map(Box::new);
        Ok(Evaluation { facts: self.facts(locals), fired, log, trace, unknown: unknown.map(Arc::new) })
    }

    /// The facts that are set, as a map; those with dots nested.
    fn facts(&self, locals: Vec<Lookup>) -> Value {
        let set = self.ruleset.local_names.iter().zip(locals).filter_map(|(name, lookup)| match lookup {
            Lookup::Value(value) => Some((name, value)),
            Lookup::Unset | Lookup::Unknown { .. } | Lookup::Missing | Lookup::NoKey { .. } => None,
        });
        if !self.nested {
            return Value::map(set.map(|(name, value)| (FieldName::clone(name), value)));
        }
        Value::map(nest(set.map(|(name, value)| (&**name, value)).collect(), &|fields| Value::map(fields)))
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

/// One thread's engines.
#[derive(Default)]
pub struct Engines {
    /// By the address of the ruleset, which the weak pointer keeps from being reused while the entry is here.
    made: HashMap<*const Ruleset, (Weak<Ruleset>, Engine)>,
}

impl Engines {
    /// No engines yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine of `ruleset`, made with these limits if need be. Engines whose rulesets are gone are dropped then.
    ///
    /// # Errors
    /// [`RuleError::Engine`] where rust-rule-engine refuses the rules.
    pub fn of(&mut self, ruleset: &Arc<Ruleset>, limits: &Limits) -> Result<&mut Engine, RuleError> {
        let key = Arc::as_ptr(ruleset);
        if !self.made.contains_key(&key) {
            self.made.retain(|_, (ruleset, _)| ruleset.strong_count() > 0);
        }
        match self.made.entry(key) {
            Entry::Occupied(entry) => Ok(&mut entry.into_mut().1),
            Entry::Vacant(entry) => {
                let engine = Engine::new(Arc::clone(ruleset), limits)?;
                Ok(&mut entry.insert((Arc::downgrade(ruleset), engine)).1)
            }
        }
    }

    /// Drops all engines, after one panicked.
    pub fn clear(&mut self) {
        self.made.clear();
    }
}

/// Adds the native rule for `rules`, the first of which is rule `first`. The first native rule begins a pass.
fn add(
    native: &mut RustRuleEngine,
    run: &Arc<Mutex<Run>>,
    number: usize,
    first: usize,
    rules: &[CompiledRule],
) -> Result<(), String> {
    let name = format!("rules {number}");
    let (condition, action) = (format!("ready {number}"), format!("fire {number}"));
    let all = first..first + rules.len();
    let asked = Arc::clone(run);
    native.register_function(&condition, move |_: &[EngineValue], _: &EngineFacts| {
        let mut run = lock(&asked);
        if number == 0 {
            run.begin_pass();
        }
        Ok(EngineValue::Boolean(run.fire_all(all.clone())))
    });
    // The rules have fired in the condition.
    native.register_action_handler(&action, |_: &HashMap<String, EngineValue>, _: &EngineFacts| Ok(()));
    let group = ConditionGroup::single(Condition::with_test(condition, Vec::new()));
    let action = ActionType::Custom { action_type: action, params: HashMap::new() };
    // Pages keep their order.
    let salience = i32::try_from(number).map_or(i32::MIN, |number| -number);
    let rule = EngineRule::new(name, group, vec![action]).with_salience(salience);
    native.knowledge_base().add_rule(rule).map_err(|error| error.to_string())
}

/// A poisoned lock holds an evaluation that panicked; the next evaluation resets it.
fn lock(run: &Mutex<Run>) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}
