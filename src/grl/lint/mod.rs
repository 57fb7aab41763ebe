//! Rules that can be read and probably do not do what their author meant.
//!
//! A warning is given only where it is certain: a rule that can never fire or always does, a comparison that can never hold, a
//! rule that nothing could stop, two that compete, a fact that nobody reads. What a rule could be by its data is not
//! guessed at. What follows from the values that conditions allow is in `regions`.

mod regions;

use std::collections::{HashMap, HashSet};

use self::regions::{Regions, own_name};
use super::ast::{Assign, At, Compare, Expr, Path, Statement};
use super::names::Locals;
use super::read::Read;
use super::region::Region;
use super::ruleset::LocalFact;
use super::scope::Scope;
use crate::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::types::{FieldName, Value};

/// What is looked at.
pub(super) struct Linted<'a> {
    pub(super) rules: &'a [Read<'a>],
    pub(super) locals: &'a Locals,
    pub(super) scope: &'a Scope,
    /// The own facts that are there before the first rule runs.
    pub(super) starting: HashSet<String>,
    /// Those of them whose value the graph gives.
    pub(super) values: HashMap<String, Value>,
}

/// How often the rules are gone through to learn which can fire; what is not known by then is not told. A rule that
/// waits for one of several facts is looked at again only in the next round.
const ROUNDS: usize = 64;

impl Linted<'_> {
    /// Warns of what looks wrong.
    pub(super) fn warn(&self, found: &mut Diagnostics) {
        let dead = self.never_set();
        let (constants, writers) = (self.constants(), self.writers());
        let regions = Regions::of(self);
        for (index, read) in self.rules.iter().enumerate() {
            let impossible = regions.region(index).is_some_and(Region::is_empty);
            if let Some(warning) = never_fires(read, dead.get(&index), impossible) {
                found.push(warning);
            } else {
                let settles = self.never_settles(read, &writers);
                found.extend(settles.or_else(|| regions.never_settles(index, &writers)));
                found.extend(regions.always_fires(index));
                found.extend(regions.stale_read(index, &writers));
            }
            never_equal(read, &constants, found);
        }
        regions.competing(found);
    }

    /// Which fact a path is, however it is written.
    fn identity(&self, path: &Path) -> String {
        let written = path.written();
        if let Some(own) = self.own(path, &written) {
            let below = written.strip_prefix(own).unwrap_or("");
            return format!("{}{below}", own_name(own));
        }
        let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
        match self.scope.resolve(&names) {
            Ok((fact, _)) => format!("{:?} {}", fact.owner, fact.path.join(".")),
            Err(_) => written,
        }
    }

    /// The value that the graph starts an own fact with.
    fn start_value(&self, fact: &str) -> Option<&Value> {
        self.values.get(fact)
    }

    /// The own fact a path reads, as it is written where it is assigned.
    fn own<'p>(&self, path: &'p Path, written: &'p str) -> Option<&'p str> {
        if self.scope.has_owner(path.names.first().map_or("", String::as_str)) {
            return None;
        }
        let mut heads = written.match_indices('.').filter_map(|(at, _)| written.get(..at)).chain([written]);
        heads.rfind(|head| self.locals.find(head).is_some())
    }

    /// The rules that wait for ever, each with a fact it waits for: facts are set at the start or by a rule that can
    /// fire, and a rule can fire once what it needs can be set.
    fn never_set(&self) -> HashMap<usize, (String, At)> {
        let mut settable = self.starting.clone();
        let mut waiting: Vec<usize> = (0..self.rules.len()).collect();
        for _ in 0..ROUNDS {
            let before = waiting.len();
            waiting = self.still_waiting(waiting, &mut settable);
            if waiting.len() == before {
                let culprit = |index: usize| Some((index, self.blocked(self.rules.get(index)?, &settable)?));
                return waiting.into_iter().filter_map(culprit).collect();
            }
        }
        HashMap::new()
    }

    /// Those of `waiting` that wait still once what the others set, and those that waited for that, is settable.
    fn still_waiting(&self, mut queue: Vec<usize>, settable: &mut HashSet<String>) -> Vec<usize> {
        let mut by_fact: HashMap<String, Vec<usize>> = HashMap::new();
        queue.reverse();
        while let Some(index) = queue.pop() {
            let Some(read) = self.rules.get(index) else { continue };
            if let Some((fact, _)) = self.blocked(read, settable) {
                by_fact.entry(fact).or_default().push(index);
                continue;
            }
            for target in targets(&read.rule.then) {
                queue.extend(by_fact.remove(&target).unwrap_or_default());
                settable.insert(target);
            }
        }
        let mut waiting: Vec<usize> = by_fact.into_values().flatten().collect();
        waiting.sort_unstable();
        waiting
    }

    /// The first fact that a rule needs and nobody can set; what its earlier statements set is there.
    fn blocked(&self, read: &Read<'_>, settable: &HashSet<String>) -> Option<(String, At)> {
        if let Some(culprit) = self.waits_for(&read.rule.when, &|name| settable.contains(name)) {
            return Some(culprit);
        }
        let mut here: HashSet<String> = HashSet::new();
        for statement in &read.rule.then {
            let Statement::Assign { target, operator, value, .. } = statement else { continue };
            let written = target.written();
            let known = |name: &str| settable.contains(name) || here.contains(name);
            if *operator != Assign::Set && !known(&written) {
                return Some((written, target.at.clone()));
            }
            if let Some(culprit) = self.waits_for(value, &known) {
                return Some(culprit);
            }
            here.insert(written);
        }
        None
    }

    /// The fact for want of which `expr` can never be known, if there is one.
    fn waits_for(&self, expr: &Expr, known: &dyn Fn(&str) -> bool) -> Option<(String, At)> {
        match expr {
            Expr::Literal { .. } => None,
            Expr::Path(path) => {
                let written = path.written();
                let own = self.own(path, &written)?;
                (!known(own)).then(|| (own.to_owned(), path.at.clone()))
            }
            // One known part may decide a disjunction.
            Expr::Or { items, .. } => {
                let culprits: Option<Vec<_>> = items.iter().map(|item| self.waits_for(item, known)).collect();
                culprits?.into_iter().next()
            }
            Expr::Call { name, .. } if name == "is_set" => None,
            Expr::Call { name, arguments, .. } if name == "default" => {
                let culprits: Option<Vec<_>> = arguments.iter().map(|item| self.waits_for(item, known)).collect();
                culprits.and_then(|culprits| culprits.into_iter().next())
            }
            Expr::And { items, .. } | Expr::List { items, .. } | Expr::Call { arguments: items, .. } => {
                items.iter().find_map(|item| self.waits_for(item, known))
            }
            Expr::Arithmetic { first, rest, .. } => self
                .waits_for(first, known)
                .or_else(|| rest.iter().find_map(|(_, operand)| self.waits_for(operand, known))),
            Expr::Compare { left, right, .. } => self.waits_for(left, known).or_else(|| self.waits_for(right, known)),
            // False decides a conjunction, so what is negated may be known where its parts are not.
            Expr::Not { of, .. } if matches!(**of, Expr::And { .. }) => None,
            Expr::Not { of, .. } | Expr::Negate { of, .. } => self.waits_for(of, known),
        }
    }

    fn never_settles(&self, read: &Read<'_>, writers: &HashMap<String, Vec<usize>>) -> Option<Diagnostic> {
        let Read { rule, snippet } = read;
        let mut reads = Vec::new();
        paths(&rule.when, &mut reads);
        let settles =
            reads.iter().any(|path| self.own(path, &path.written()).is_some_and(|own| writers.contains_key(own)));
        if rule.no_loop || settles {
            return None;
        }
        let message = format!(
            "rule `{}` fires again and again once it holds: nothing that rules write is in its condition",
            rule.name
        );
        let warning = Diagnostic::warning("never-settles", snippet.span(rule.name_at.clone()), message);
        Some(warning.help("add `no-loop` behind its name"))
    }

    /// The facts that rules assign, each with those rules.
    fn writers(&self) -> HashMap<String, Vec<usize>> {
        let mut writers: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, read) in self.rules.iter().enumerate() {
            targets(&read.rule.then).for_each(|target| writers.entry(target).or_default().push(index));
        }
        writers
    }

    /// Facts that are only ever assigned literal texts or truths, with all of these.
    fn constants(&self) -> HashMap<String, Vec<Value>> {
        let mut constants: HashMap<String, Option<Vec<Value>>> = HashMap::new();
        for statement in self.rules.iter().flat_map(|read| &read.rule.then) {
            let Statement::Assign { target, value, .. } = statement else { continue };
            let written = target.written();
            let starts = self.starting.contains(&written);
            let known = constants.entry(written).or_insert_with(|| if starts { None } else { Some(Vec::new()) });
            match (value, known.as_mut()) {
                (Expr::Literal { value: value @ (Value::Text(_) | Value::Boolean(_)), .. }, Some(values)) => {
                    values.push(value.clone());
                }
                _ => *known = None,
            }
        }
        constants.into_iter().filter_map(|(name, values)| Some((name, values?))).collect()
    }

    /// The own facts that rules read.
    fn read(&self) -> HashSet<String> {
        let mut found = Vec::new();
        for rule in self.rules.iter().map(|read| &read.rule) {
            paths(&rule.when, &mut found);
            for statement in &rule.then {
                match statement {
                    Statement::Assign { value, .. } => paths(value, &mut found),
                    Statement::Log { values, .. } => values.iter().for_each(|value| paths(value, &mut found)),
                }
            }
        }
        found.into_iter().filter_map(|path| self.own(path, &path.written()).map(str::to_owned)).collect()
    }

    /// The facts these rules have and do not read themselves, each with the place that makes it.
    pub(super) fn unread(&self, locals: &[LocalFact]) -> Vec<(FieldName, Span)> {
        let read = self.read();
        let mut told = HashSet::new();
        let mut unread = Vec::new();
        let mut tell = |name: &str, span: Span| {
            if !read.contains(name) && told.insert(name.to_owned()) {
                unread.push((FieldName::from(name), span));
            }
        };
        for local in locals {
            let (LocalFact::Starting { name, span, .. } | LocalFact::Mapped { name, span, .. }) = local;
            let is_below = |known: &String| known.strip_prefix(&**name).is_some_and(|rest| rest.starts_with('.'));
            if !read.iter().any(is_below) {
                tell(name, span.clone());
            }
        }
        for Read { rule, snippet } in self.rules {
            for statement in &rule.then {
                if let Statement::Assign { target, .. } = statement {
                    tell(&target.written(), snippet.span(target.at.clone()));
                }
            }
        }
        unread
    }
}

fn never_fires(read: &Read<'_>, dead: Option<&(String, At)>, impossible: bool) -> Option<Diagnostic> {
    let Read { rule, snippet } = read;
    let (at, label) = if let Some((fact, at)) = dead {
        (at.clone(), format!("`{fact}` is set only by rules that wait for it"))
    } else if let Some(at) = falsehood(&rule.when) {
        (at, "never true".to_owned())
    } else if let Some(at) = contradiction(&rule.when) {
        (at, "contradicts what stands before".to_owned())
    } else if let (Some((from, _)), Some((until, at))) = (&rule.effective, &rule.expires)
        && from >= until
    {
        (at.clone(), "it expires before it takes effect".to_owned())
    } else if impossible {
        (rule.when.at(), "no values make it true".to_owned())
    } else {
        return None;
    };
    let message = format!("rule `{}` never fires", rule.name);
    let warning = Diagnostic::warning("never-fires", snippet.span(at), message).label(label);
    Some(warning.help("delete the rule, or mend it"))
}

/// Comparisons of facts with values that no rule ever gives them.
fn never_equal(read: &Read<'_>, constants: &HashMap<String, Vec<Value>>, found: &mut Diagnostics) {
    let mut comparisons = Vec::new();
    compared(&read.rule.when, &mut comparisons);
    for (path, value, at) in comparisons {
        let Some(values) = constants.get(&path.written()) else { continue };
        if values.contains(value) || value.is_null() {
            continue;
        }
        let message = format!("`{}` is never {}", path.written(), shown(value));
        let mut known: Vec<String> = values.iter().map(shown).collect();
        known.sort_unstable();
        known.dedup();
        let warning = Diagnostic::warning("never-equal", read.snippet.span(at), message);
        found.push(warning.help(format!("rules only make it {}", known.join(" or "))));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

const TRUE: &Value = &Value::Boolean(true);
const FALSE: &Value = &Value::Boolean(false);

/// Each fact that `expr` compares with a value, with that value.
fn compared<'e>(expr: &'e Expr, into: &mut Vec<(&'e Path, &'e Value, At)>) {
    match expr {
        Expr::Path(path) => into.push((path, TRUE, path.at.clone())),
        Expr::And { items, .. } | Expr::Or { items, .. } => items.iter().for_each(|item| compared(item, into)),
        Expr::Not { of, at } => match &**of {
            Expr::Path(path) => into.push((path, FALSE, at.clone())),
            other => compared(other, into),
        },
        Expr::Compare { operator: Compare::Equal | Compare::NotEqual, left, right, at } => match (&**left, &**right) {
            (Expr::Path(path), Expr::Literal { value, .. }) | (Expr::Literal { value, .. }, Expr::Path(path)) => {
                into.push((path, value, at.clone()));
            }
            _ => {}
        },
        Expr::Compare { operator: Compare::In, left, right, .. } => {
            let (Expr::Path(path), Expr::List { items, .. }) = (&**left, &**right) else { return };
            for item in items {
                if let Expr::Literal { value, at } = item {
                    into.push((path, value, at.clone()));
                }
            }
        }
        _ => {}
    }
}

/// The part of a condition that is plainly false.
fn falsehood(expr: &Expr) -> Option<At> {
    match expr {
        Expr::Literal { value: Value::Boolean(false), at } => Some(at.clone()),
        Expr::And { items, .. } => items.iter().find_map(falsehood),
        Expr::Or { items, at } => items.iter().all(|item| falsehood(item).is_some()).then(|| at.clone()),
        Expr::Not { of, at } => matches!(**of, Expr::Literal { value: Value::Boolean(true), .. }).then(|| at.clone()),
        _ => None,
    }
}

/// The part of a conjunction that no number can satisfy beside what stands before it: `x > 10 && x < 5`.
fn contradiction(when: &Expr) -> Option<At> {
    let Expr::And { items, .. } = when else { return None };
    let mut bounds: HashMap<String, Vec<(Compare, &Value)>> = HashMap::new();
    for item in items {
        let Expr::Compare { operator, left, right, at } = item else { continue };
        let (path, operator, value) = match (&**left, &**right) {
            (Expr::Path(path), Expr::Literal { value, .. }) => (path, *operator, value),
            (Expr::Literal { value, .. }, Expr::Path(path)) => (path, operator.flipped(), value),
            _ => continue,
        };
        let before = bounds.entry(path.written()).or_default();
        if before.iter().any(|(other, bound)| excludes((*other, bound), (operator, value))) {
            return Some(at.clone());
        }
        before.push((operator, value));
    }
    None
}

/// Whether nothing satisfies both: `> 10` and `< 5`, `== 1` and `== 2`.
fn excludes(a: (Compare, &Value), b: (Compare, &Value)) -> bool {
    let Ok(order) = super::operators::order_for("<", a.1, b.1) else { return false };
    let lower = |operator| matches!(operator, Compare::Greater | Compare::GreaterEqual | Compare::Equal);
    let upper = |operator| matches!(operator, Compare::Less | Compare::LessEqual | Compare::Equal);
    let strict = |operator| matches!(operator, Compare::Greater | Compare::Less);
    let (above, below) = (lower(a.0) && upper(b.0), upper(a.0) && lower(b.0));
    let touching = order.is_eq() && (above || below) && (strict(a.0) || strict(b.0));
    (above && order.is_gt()) || (below && order.is_lt()) || touching
}

fn targets(statements: &[Statement]) -> impl Iterator<Item = String> {
    statements.iter().filter_map(|statement| match statement {
        Statement::Assign { target, .. } => Some(target.written()),
        Statement::Log { .. } => None,
    })
}

/// The paths an expression reads.
fn paths<'e>(expr: &'e Expr, into: &mut Vec<&'e Path>) {
    match expr {
        Expr::Literal { .. } => {}
        Expr::Path(path) => into.push(path),
        Expr::List { items, .. } | Expr::And { items, .. } | Expr::Or { items, .. } => {
            for item in items {
                paths(item, into);
            }
        }
        Expr::Arithmetic { first, rest, .. } => {
            paths(first, into);
            for (_, operand) in rest {
                paths(operand, into);
            }
        }
        Expr::Compare { left, right, .. } => {
            paths(left, into);
            paths(right, into);
        }
        Expr::Not { of, .. } | Expr::Negate { of, .. } => paths(of, into),
        Expr::Call { arguments, .. } => arguments.iter().for_each(|argument| paths(argument, into)),
    }
}
