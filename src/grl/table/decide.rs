//! Evaluates a table: which rows match, and which of them give their results.
//!
//! A row whose condition has a false part does not match, whatever its other parts are. A row with an unknown part, and one that
//! would give an unknown value, waits: what the table gives is unknown unless the hit policy prefers a row that matches.

use std::cmp::Ordering;
use std::sync::Arc;

use super::decision::Decision;
use super::hit::HitPolicy;
use crate::grl::ast::{Arithmetic, At};
use crate::grl::error::{EvalErrorKind, Fault, RuleError};
use crate::grl::facts::Lookup;
use crate::grl::operators::{arithmetic, order_for};
use crate::grl::program::{Env, Node};
use crate::grl::rule::CompiledRule;
use crate::grl::ruleset::Ruleset;
use crate::grl::run::Run;
use crate::types::Value;

/// Whether a row matches.
pub(super) enum Match {
    Yes,
    No,
    Unknown,
    Error(Fault),
}

/// Whether the row of `rule` matches.
pub(super) fn matches(rule: &CompiledRule, env: &Env<'_>) -> Match {
    let parts = match &rule.when {
        Node::And(parts) => parts,
        other => return of(other.holds(env, &rule.when_at)),
    };
    let mut all = Match::Yes;
    for (part, at) in parts {
        match of(part.holds(env, at)) {
            Match::No => return Match::No,
            Match::Unknown => all = Match::Unknown,
            Match::Error(fault) if matches!(all, Match::Yes) => all = Match::Error(fault),
            Match::Error(_) | Match::Yes => {}
        }
    }
    all
}

fn of(truth: Result<Option<bool>, Fault>) -> Match {
    match truth {
        Ok(Some(true)) => Match::Yes,
        Ok(Some(false)) => Match::No,
        Ok(None) => Match::Unknown,
        Err(fault) => Match::Error(fault),
    }
}

/// The rows that match, and those that may.
#[derive(Default)]
struct Found {
    matched: Vec<usize>,
    waiting: Vec<usize>,
}

impl Run {
    /// Evaluates the table, once. Whether a row gave its results.
    pub(in crate::grl) fn decide(&mut self) -> bool {
        if self.error.is_some() || self.decided.is_some() {
            return false;
        }
        let ruleset = Arc::clone(&self.ruleset);
        let Some(table) = &ruleset.table else { return false };
        self.decided = Some(Vec::new());
        let Some(found) = self.search(&ruleset, table) else { return false };
        let waiting =
            if table.policy.joins() { self.join(&ruleset, table, found) } else { self.choose(&ruleset, table, found) };
        self.decided = Some(waiting);
        !self.fired.is_empty()
    }

    fn search(&mut self, ruleset: &Ruleset, table: &Decision) -> Option<Found> {
        let candidates = table.candidates(ruleset.rules.len(), &self.env(ruleset));
        let mut found = Found::default();
        for row in candidates.iter() {
            let Some(rule) = ruleset.rules.get(row) else { continue };
            if self.is_late() {
                self.error = Some(RuleError::Timeout { limit_ms: 0, rule: rule.name.clone() });
                return None;
            }
            match matches(rule, &self.env(ruleset)) {
                Match::No => {}
                Match::Yes => found.matched.push(row),
                Match::Unknown => found.waiting.push(row),
                Match::Error(fault) => {
                    self.fail(rule, fault);
                    return None;
                }
            }
            if let (HitPolicy::Unique, [first, second]) = (table.policy, found.matched.as_slice()) {
                self.refuse(ruleset, table.policy, *first, *second, None);
                return None;
            }
            if table.policy == HitPolicy::First && !found.matched.is_empty() {
                break;
            }
        }
        if found.matched.is_empty() {
            found.matched.extend(table.default);
        }
        Some(found)
    }

    fn refuse(&mut self, ruleset: &Ruleset, policy: HitPolicy, first: usize, second: usize, slot: Option<usize>) {
        let name = |row: usize| ruleset.rules.get(row).map_or_else(String::new, |rule| rule.name.clone());
        let place = |row: usize| ruleset.rules.get(row).map_or_else(String::new, |rule| rule.span().to_string());
        let fact = slot.and_then(|slot| ruleset.local_names.get(slot)).map(|name| name.to_string());
        self.error = Some(RuleError::Rows {
            policy: policy.name(),
            rows: [name(first), name(second)],
            places: [place(first), place(second)],
            fact,
        });
    }

    /// The results of one row, or of equal ones. Returns the rows that wait.
    fn choose(&mut self, ruleset: &Ruleset, table: &Decision, found: Found) -> Vec<usize> {
        let Found { mut matched, mut waiting } = found;
        if table.policy == HitPolicy::Priority {
            // The first of those that are preferred most.
            let best = matched.iter().copied().min_by_key(|row| table.rank(*row));
            if let Some(best) = best {
                waiting.retain(|row| (table.rank(*row), *row) < (table.rank(best), best));
            }
            matched = best.into_iter().collect();
        }
        let mut first: Option<(usize, Vec<Value>)> = None;
        for row in matched {
            let Some(rule) = ruleset.rules.get(row) else { continue };
            match self.prepare(ruleset, rule) {
                Ok(true) => {}
                Ok(false) => {
                    waiting.push(row);
                    continue;
                }
                Err(fault) => {
                    self.fail(rule, fault);
                    return Vec::new();
                }
            }
            let values = self.prepared();
            if let Some((before, known)) = &first {
                let other = known.iter().zip(&values).position(|(known, value)| known != value);
                if let Some(other) = other {
                    self.refuse(ruleset, table.policy, *before, row, table.results.get(other).copied());
                    return Vec::new();
                }
            }
            self.fire(row);
            first.get_or_insert((row, values));
        }
        waiting
    }

    /// The results of all rows that match, as lists or numbers. Returns the rows that wait.
    fn join(&mut self, ruleset: &Ruleset, table: &Decision, found: Found) -> Vec<usize> {
        let Found { mut matched, mut waiting } = found;
        if table.policy == HitPolicy::OutputOrder {
            matched.sort_by_key(|row| table.rank(*row));
        }
        let mut results: Vec<Vec<(Value, At, usize)>> = vec![Vec::new(); table.results.len()];
        for row in matched {
            let Some(rule) = ruleset.rules.get(row) else { continue };
            match self.prepare(ruleset, rule) {
                Ok(true) => {}
                Ok(false) => {
                    waiting.push(row);
                    continue;
                }
                Err(fault) => {
                    self.fail(rule, fault);
                    return Vec::new();
                }
            }
            let values = self.prepared();
            for ((value, assignment), result) in values.into_iter().zip(rule.assignments()).zip(&mut results) {
                result.push((value, assignment.at.clone(), row));
            }
            self.give(row);
        }
        for (slot, values) in table.results.iter().zip(results) {
            match joined(table.policy, &values) {
                Ok(Some(value)) => {
                    if let Some(local) = self.locals.get_mut(*slot) {
                        *local = Lookup::Value(value);
                    }
                }
                Ok(None) => {}
                Err((row, fault)) => {
                    if let Some(rule) = ruleset.rules.get(row) {
                        self.fail(rule, fault);
                    }
                    return Vec::new();
                }
            }
        }
        waiting
    }
}

/// One value of those that rows give; `None` where there is none. An error names its row.
fn joined(policy: HitPolicy, values: &[(Value, At, usize)]) -> Result<Option<Value>, (usize, Fault)> {
    let fault = |kind: EvalErrorKind, (_, at, row): &(Value, At, usize)| (*row, Fault::new(at, kind));
    if policy == HitPolicy::Count {
        return Ok(Some(Value::Integer(i64::try_from(values.len()).unwrap_or(i64::MAX))));
    }
    if policy.is_list() {
        if let Some(stray) = values.iter().find(|(value, ..)| matches!(value, Value::List(_) | Value::Map(_))) {
            let found = stray.0.type_name().to_owned();
            return Err(fault(EvalErrorKind::Type { operator: "a list", expected: "single values", found }, stray));
        }
        return Ok(Some(Value::list(values.iter().map(|(value, ..)| value.clone()))));
    }
    let mut all: Option<Value> = None;
    for given in values {
        let value = &given.0;
        if value.is_null() {
            let operand = "the result".to_owned();
            return Err(fault(EvalErrorKind::Null { operator: policy.name(), operand }, given));
        }
        let before = all.take().unwrap_or_else(|| value.clone());
        let is_first = std::ptr::eq(given, values.first().unwrap_or(given));
        let next = match policy {
            HitPolicy::Sum if is_first => arithmetic(Arithmetic::Add, &Value::Integer(0), value),
            HitPolicy::Sum => arithmetic(Arithmetic::Add, &before, value),
            _ => order_for(policy.name(), &before, value).map(|order| {
                let keeps = if policy == HitPolicy::Min { order != Ordering::Greater } else { order != Ordering::Less };
                if keeps { before } else { value.clone() }
            }),
        };
        all = Some(next.map_err(|kind| fault(kind, given))?);
    }
    Ok(all)
}
