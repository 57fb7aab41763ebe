//! Warnings of rules that compile and do not do what their author meant.
//!
//! Each warning states what is proved for all values of the facts; what cannot be proved is not mentioned.

use std::collections::{HashMap, HashSet};

use super::ast::{Assign, At};
use super::facts::{LOCAL, Names, Owner};
use super::operators::order_for;
use super::program::Node;
use super::rule::{CompiledAssignment, CompiledRule, Moment, Start};
use super::ruleset::{LocalFact, Unread};
use super::{finite, proof};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::types::{FieldName, Value};

/// The rules of a node, in the order of their files.
pub(super) struct Linted<'a> {
    pub(super) rules: &'a [CompiledRule],
    pub(super) names: Names<'a>,
    /// The initial state of each own fact.
    pub(super) start: &'a [Start],
}

impl Linted<'_> {
    pub(super) fn warn(&self, found: &mut Diagnostics) {
        let blocked = self.blocked_rules();
        let written = self.written();
        let mut values = finite::finite(self.rules, self.names, self.start, &|_| None);
        // A starting value that no rule replaces may be there to be edited.
        let fixed = values.iter_mut().enumerate().filter(|(local, _)| !written.contains(local));
        fixed.for_each(|(_, values)| *values = None);
        for (index, rule) in self.rules.iter().enumerate() {
            let mut warnings = Vec::new();
            if let Some(warning) = self.never_fires(rule, blocked.get(&index)) {
                warnings.push(warning);
            } else {
                warnings.extend(self.never_settles(rule, &written));
                warnings.extend(self.always_fires(rule));
            }
            self.never_equal(rule, &values, &mut warnings);
            found.extend(warnings.into_iter().map(|warning| warning.about(rule.span())));
        }
    }

    fn fact(&self, slot: usize) -> &str {
        slot.checked_sub(LOCAL).and_then(|local| self.names.locals.get(local)).map_or("", |name| name)
    }

    /// Whether the fact is set whatever the flow does before: an input, or an own fact with a starting value.
    fn is_certainly_set(&self, slot: usize) -> bool {
        let is_input = |slot: usize| self.names.reads.get(slot).is_some_and(|fact| fact.owner == Owner::Input);
        match slot.checked_sub(LOCAL).map(|local| self.start.get(local)) {
            None => is_input(slot),
            Some(Some(Start::Value(_))) => true,
            Some(Some(Start::Read(slot))) => is_input(*slot),
            Some(Some(Start::Unset) | None) => false,
        }
    }

    fn never_fires(&self, rule: &CompiledRule, blocked: Option<&(usize, At)>) -> Option<Diagnostic> {
        let (at, label) = self.why_never(rule, blocked)?;
        let mut help = "delete the rule, or correct it".to_owned();
        if let Some((slot, _)) = blocked
            && rule.assignments().any(|each| LOCAL + each.local == *slot && each.operator != Assign::Set)
        {
            let start = if self.appends(*slot) { "[]" } else { "0" };
            help = format!("give it a value to start with in the graph: `facts: {{ {}: {start} }}`", self.fact(*slot));
        }
        let message = format!("rule `{}` never fires", rule.name);
        let warning = Diagnostic::warning("never-fires", rule.snippet.span(at), message).label(label);
        Some(warning.help(help))
    }

    /// Whether rules append to the fact.
    fn appends(&self, slot: usize) -> bool {
        let mut all = self.rules.iter().flat_map(CompiledRule::assignments);
        all.any(|each| LOCAL + each.local == slot && each.operator == Assign::Append)
    }

    /// Why the rule never fires, if that is proved, and the place of the reason.
    pub(super) fn why_never(&self, rule: &CompiledRule, blocked: Option<&(usize, At)>) -> Option<(At, String)> {
        if let Some((slot, at)) = blocked {
            return Some((at.clone(), format!("`{}` is set only by rules that wait for it", self.fact(*slot))));
        }
        if let Some((at, label)) = self.never_true(rule) {
            return Some((at, label.to_owned()));
        }
        expires_first(rule).then(|| (rule.at.clone(), "it expires before it takes effect".to_owned()))
    }

    /// The first part of the condition that leaves no values, where nothing makes the condition true.
    fn never_true(&self, rule: &CompiledRule) -> Option<(At, &'static str)> {
        let name = |slot| self.names.key(slot);
        if !proof::are_never(true, [&rule.when], &name) {
            return None;
        }
        let Node::And(items) = &rule.when else { return Some((rule.when_at.clone(), "never true")) };
        let prefix = |length: usize| items.iter().take(length).map(|(item, _)| item);
        let length = (1..=items.len()).find(|length| proof::are_never(true, prefix(*length), &name))?;
        let (part, at) = items.get(length - 1)?;
        let is_alone = proof::are_never(true, [part], &name);
        Some((at.clone(), if is_alone { "never true" } else { "contradicts what stands before" }))
    }

    /// A rule whose condition is never false, and which waits for nothing.
    fn always_fires(&self, rule: &CompiledRule) -> Option<Diagnostic> {
        let mut read = Vec::new();
        rule.when.slots(&mut read);
        for CompiledAssignment { local, operator, value, .. } in rule.assignments() {
            value.slots(&mut read);
            read.extend((*operator != Assign::Set).then_some(LOCAL + local));
        }
        let is_dated = rule.is_let || rule.effective.is_some() || rule.expires.is_some();
        if is_dated
            || !read.into_iter().all(|slot| self.is_certainly_set(slot))
            || !proof::are_never(false, [&rule.when], &|slot| self.names.key(slot))
        {
            return None;
        }
        let place = rule.snippet.span(rule.when_at.clone());
        let warning = Diagnostic::warning("always-fires", place, format!("rule `{}` always fires", rule.name));
        let help = "correct the condition; or write `// allow: always-fires` above the rule if this is intended";
        Some(warning.label("never false").help(help))
    }

    /// A rule without `no-loop` that changes a fact each time, and whose condition nothing changes.
    fn never_settles(&self, rule: &CompiledRule, written: &HashSet<usize>) -> Option<Diagnostic> {
        let mut read = Vec::new();
        rule.when.slots(&mut read);
        if rule.no_loop || read.iter().any(|slot| slot.checked_sub(LOCAL).is_some_and(|local| written.contains(&local)))
        {
            return None;
        }
        let local = rule.assignments().find_map(|assignment| always_adds(rule, assignment))?;
        let fact = self.fact(LOCAL + local);
        let message =
            format!("rule `{}` fires for ever once its condition holds: it changes `{fact}` each time", rule.name);
        let warning = Diagnostic::warning("never-settles", rule.span(), message);
        Some(warning.help("add `no-loop` behind its name, or a condition on the fact"))
    }

    /// The own facts that rules assign.
    fn written(&self) -> HashSet<usize> {
        self.rules.iter().flat_map(CompiledRule::assignments).map(|assignment| assignment.local).collect()
    }

    /// Comparisons of facts with values that no rule gives them.
    fn never_equal(&self, rule: &CompiledRule, values: &[Option<Vec<Value>>], found: &mut Vec<Diagnostic>) {
        let of_slot = |slot: usize| {
            let local = slot.checked_sub(LOCAL)?;
            let is_started = matches!(self.start.get(local), Some(Start::Value(_)));
            let who = if is_started { "rules and its starting value" } else { "rules" };
            Some((self.fact(slot).to_owned(), values.get(local)?.clone()?, who.to_owned()))
        };
        let assigned = rule.assignments().map(|assignment| &assignment.value).chain(rule.logged());
        for part in std::iter::once((&rule.when, true)).chain(assigned.map(|value| (value, false))) {
            found.extend(finite::never_equal(part, &rule.snippet, &of_slot));
        }
    }

    /// The facts that these rules have and do not read themselves, each with the place that makes it.
    pub(super) fn unread(&self, locals: &[LocalFact]) -> Vec<Unread> {
        let mut slots = Vec::new();
        for rule in self.rules {
            let values = rule.assignments().map(|assignment| &assignment.value);
            values.chain(rule.logged()).chain([&rule.when]).for_each(|node| node.slots(&mut slots));
        }
        let own = slots.into_iter().filter(|slot| *slot >= LOCAL).map(|slot| self.fact(slot));
        // Who reads a field reads the map above it.
        let read: HashSet<&str> =
            own.flat_map(|name| name.match_indices('.').filter_map(|(at, _)| name.get(..at)).chain([name])).collect();
        let starting = locals.iter().map(|local| match local {
            LocalFact::Starting { name, span, .. } | LocalFact::Mapped { name, span, .. } => {
                (name.clone(), span.clone(), None)
            }
        });
        let assigned = self.rules.iter().flat_map(|rule| {
            rule.assignments().map(|assignment| {
                let name = FieldName::from(self.fact(LOCAL + assignment.local));
                (name, rule.snippet.span(assignment.at.clone()), Some(rule.span()))
            })
        });
        let mut seen = HashSet::new();
        let unread = starting.chain(assigned).filter(|(name, ..)| !read.contains(&**name) && seen.insert(name.clone()));
        unread.map(|(name, span, rule)| Unread { name, span, rule }).collect()
    }
}

/// Whether a rule is never in force, as far as both ends are days or both are moments.
fn expires_first(rule: &CompiledRule) -> bool {
    match (&rule.effective, &rule.expires) {
        (Some(Moment::Day(from)), Some(Moment::Day(until))) => from >= until,
        (Some(Moment::At(from)), Some(Moment::At(until))) => from >= until,
        _ => false,
    }
}

/// The own fact to which an assignment adds a number that is not zero, where the rule does nothing else with the fact.
fn always_adds(rule: &CompiledRule, assignment: &CompiledAssignment) -> Option<usize> {
    let added = assignment.value.constant()?;
    let changes = match assignment.operator {
        Assign::Set => false,
        Assign::Append => !matches!(added, Value::List(items) if items.is_empty()),
        Assign::Add | Assign::Subtract => order_for("<", added, &Value::Integer(0)).ok()?.is_ne(),
    };
    let is_only = rule.assignments().filter(|other| other.local == assignment.local).count() == 1;
    (changes && is_only).then_some(assignment.local)
}

/// How often the rules are gone through to learn which can fire, in alternating directions. What is not known by then is not
/// warned of.
const ROUNDS: usize = 64;

/// The values of an expression with which its rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    True,
    False,
    Known,
}

/// The first slot without which an expression has no value that is needed.
type Blocked = Option<(usize, At)>;

impl Linted<'_> {
    /// The rules that wait for ever, each with the slot of a fact that it waits for. A fact is set at the start or by a rule
    /// that can fire; a rule can fire if what it needs can be set.
    pub(super) fn blocked_rules(&self) -> HashMap<usize, (usize, At)> {
        let set = self.start.iter().enumerate().filter(|(_, start)| !matches!(start, Start::Unset));
        let mut settable: HashSet<usize> = set.map(|(local, _)| LOCAL + local).collect();
        let mut waiting: Vec<&CompiledRule> = self.rules.iter().collect();
        for _ in 0..ROUNDS {
            let before = waiting.len();
            waiting.retain(|rule| {
                let is_blocked = blocked(rule, &settable).is_some();
                if !is_blocked {
                    settable.extend(rule.assignments().map(|assignment| LOCAL + assignment.local));
                }
                is_blocked
            });
            if waiting.len() == before {
                let rules = self.rules.iter().enumerate();
                return rules.filter_map(|(index, rule)| Some((index, blocked(rule, &settable)?))).collect();
            }
            waiting.reverse();
        }
        HashMap::new()
    }
}

/// The first fact that a rule needs and nothing can set; its earlier statements set facts too.
fn blocked(rule: &CompiledRule, settable: &HashSet<usize>) -> Blocked {
    if let Some(found) = waits_for(&rule.when, Needed::True, &|slot| settable.contains(&slot)) {
        return Some(found);
    }
    let mut here: HashSet<usize> = HashSet::new();
    for CompiledAssignment { local, operator, value, at } in rule.assignments() {
        let target = LOCAL + local;
        let is_known = |slot: usize| settable.contains(&slot) || here.contains(&slot);
        if *operator != Assign::Set && !is_known(target) {
            return Some((target, at.clone()));
        }
        if let Some(found) = waits_for(value, Needed::Known, &is_known) {
            return Some(found);
        }
        here.insert(target);
    }
    None
}

/// The own fact without which `node` can never be what is needed, if there is one.
fn waits_for(node: &Node, needed: Needed, is_known: &dyn Fn(usize) -> bool) -> Blocked {
    let parts = |items: &[(Node, At)]| -> Vec<Blocked> {
        items.iter().map(|(item, _)| waits_for(item, needed, is_known)).collect()
    };
    let known = |part: &Node| waits_for(part, Needed::Known, is_known);
    // One part that is known may decide all.
    let all = |found: Vec<Blocked>| found.into_iter().collect::<Option<Vec<_>>>()?.into_iter().next();
    match node {
        Node::Slot { slot, at } | Node::Below { slot, at, .. } => {
            (*slot >= LOCAL && !is_known(*slot)).then(|| (*slot, at.clone()))
        }
        Node::And(items) if needed == Needed::True => parts(items).into_iter().flatten().next(),
        Node::Or(items) if needed == Needed::False => parts(items).into_iter().flatten().next(),
        Node::And(items) | Node::Or(items) => all(parts(items)),
        Node::Not(of, _) => {
            let needed = match needed {
                Needed::True => Needed::False,
                Needed::False => Needed::True,
                Needed::Known => Needed::Known,
            };
            waits_for(of, needed, is_known)
        }
        // `is_set(fact)` always has a value, and `default(fact, value)` if one of the two has.
        Node::Call { function, arguments, .. } if function.asks() => match &**arguments {
            [fact, value] => all(vec![known(fact), known(value)]),
            _ => None,
        },
        other => {
            let mut found = None;
            other.parts(&mut |part| found = found.take().or_else(|| known(part)));
            found
        }
    }
}
