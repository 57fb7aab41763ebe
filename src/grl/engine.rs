//! rust-rule-engine as the scheduler of our compiled rules.
//!
//! Neighbours in the order of trial become a native `Rule` of the crate, a page, whose condition calls back into the compiled
//! ones and tries them in turn; the crate decides which page is tried when, passes over them until nothing fires any more, and
//! counts the passes. Its own parser and facts are never used. A page is [`TOGETHER`] rules or, beyond [`MOST`] pages, as many as
//! it takes: adding a rule to the crate costs time in proportion to those it has, and trying one clones it several times, which
//! costs more than our evaluation of it. What the crate would do with each rule (salience, no-loop) is done within a page as it
//! would have done it.
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
use super::facts::Lookup;
use super::limits::Limits;
use super::rule::CompiledRule;
use super::ruleset::Ruleset;
use super::run::{Ended, Run};
use super::trace::RulesTrace;
use super::unknown::Unknowns;
use crate::types::{Clock, Deadline, FieldName, Record, Value};

/// So many neighbours make a page.
const TOGETHER: usize = 16;
/// There are at most so many pages.
const MOST: usize = 256;

/// A ruleset ready to be evaluated by one thread.
pub struct Engine {
    ruleset: Arc<Ruleset>,
    native: RustRuleEngine,
    run: Arc<Mutex<Run>>,
    limits: Limits,
    /// The crate's own facts: there are none.
    none: EngineFacts,
    /// Whether a fact has a dot in its name.
    nested: bool,
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
    /// Why, where somebody asked ([`Engine::explain`]).
    pub trace: Option<Box<RulesTrace>>,
    /// Its unknown facts, where rules wait for a missing one. They may have a value in `facts`, which says nothing.
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
        let page = ruleset.rules.len().div_ceil(MOST).max(TOGETHER);
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
    /// [`RuleError`]; then no fact is kept.
    pub fn evaluate(&mut self, reads: &[Lookup], clock: &Clock, deadline: Deadline) -> Result<Evaluation, RuleError> {
        self.run(reads, clock, deadline, false)
    }

    /// As [`Self::evaluate`], and says why.
    ///
    /// # Errors
    /// [`RuleError`]; then no fact is kept.
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
            Lookup::Value(value) => Some((FieldName::clone(name), value)),
            Lookup::Unset | Lookup::Unknown { .. } | Lookup::Missing | Lookup::NoKey { .. } => None,
        });
        Value::Map(Arc::new(if self.nested { nest(set) } else { set.collect() }))
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
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine of `ruleset`. Where it has to be made, it has these limits, and those whose rules nobody has any more go.
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

    /// Throws all engines away: one broke, and may have left anything behind.
    pub fn clear(&mut self) {
        self.made.clear();
    }
}

/// Adds the native rule for `rules`, the first of which is rule `first`. The first native rule is tried first, and so begins a pass.
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
    // The rules have fired when they were tried.
    native.register_action_handler(&action, |_: &HashMap<String, EngineValue>, _: &EngineFacts| Ok(()));
    let group = ConditionGroup::single(Condition::with_test(condition, Vec::new()));
    let action = ActionType::Custom { action_type: action, params: HashMap::new() };
    // Pages keep their order among each other.
    let salience = i32::try_from(number).map_or(i32::MIN, |number| -number);
    let rule = EngineRule::new(name, group, vec![action]).with_salience(salience);
    native.knowledge_base().add_rule(rule).map_err(|error| error.to_string())
}

/// A poisoned lock holds an evaluation that broke; the next one begins afresh anyway.
fn lock(run: &Mutex<Run>) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nest(facts: impl IntoIterator<Item = (FieldName, Value)>) -> Record {
    let mut fields: Vec<(FieldName, Value)> = Vec::new();
    let mut groups: Vec<(FieldName, Vec<(FieldName, Value)>)> = Vec::new();
    let mut places: HashMap<FieldName, usize> = HashMap::new();
    for (name, value) in facts {
        let Some((head, rest)) = name.split_once('.') else {
            fields.push((name, value));
            continue;
        };
        let fact = (FieldName::from(rest), value);
        let head = FieldName::from(head);
        let place = *places.entry(FieldName::clone(&head)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(fact),
            None => groups.push((head, vec![fact])),
        }
    }
    fields.extend(groups.into_iter().map(|(head, group)| (head, Value::Map(Arc::new(nest(group))))));
    fields.into_iter().collect()
}
