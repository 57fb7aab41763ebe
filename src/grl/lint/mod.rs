//! Rules that can be read and do not do what their author meant.
//!
//! A warning is given only where it is certain; a rule of which nothing can be proved is not mentioned. `region` proves that
//! a condition is never true, or never false. `waits` finds rules that wait for each other. `competing` finds values for
//! which the order of two rules decides. What a rule could be by its data is not guessed.

mod competing;
mod waits;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::ast::{Assign, At, Compare, Expr, Path, Rule, Statement};
use super::facts::{FactRef, Owner};
use super::names::Locals;
use super::operators::{negate, order_for};
use super::read::Read;
use super::region::{Region, identity};
use super::ruleset::{CompiledRule, LocalFact, Moment, Start};
use super::scope::Scope;
use crate::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::types::{FieldName, Type, Value};

/// What is looked at.
pub(super) struct Linted<'a> {
    pub(super) rules: &'a [Read<'a>],
    /// The same rules, compiled, in the same order.
    pub(super) compiled: &'a [CompiledRule],
    pub(super) locals: &'a Locals,
    /// What each own fact is before the first rule runs.
    pub(super) start: &'a [Start],
    /// The facts from outside, and their types.
    pub(super) reads: &'a [FactRef],
    pub(super) types: &'a [Type],
    pub(super) scope: &'a Scope,
}

/// The facts that rules assign, each with those rules.
type Writers = BTreeMap<String, Vec<usize>>;

impl Linted<'_> {
    /// Warns of what is wrong.
    pub(super) fn warn(&self, found: &mut Diagnostics) {
        let dead = self.never_set();
        let (constants, writers) = (self.constants(), self.writers());
        for (index, read) in self.rules.iter().enumerate() {
            let mut warnings = Vec::new();
            if let Some(warning) = self.never_fires(index, read, dead.get(&index)) {
                warnings.push(warning);
            } else {
                warnings.extend(self.never_settles(read, &writers));
                warnings.extend(self.always_fires(read));
            }
            never_equal(read, &constants, &mut warnings);
            found.extend(
                warnings.into_iter().map(|warning| warning.about(read.snippet.span(read.rule.name_at.clone()))),
            );
        }
        self.competing(&writers, found);
    }

    /// Which fact a path is, however it is written.
    fn identity(&self, path: &Path) -> String {
        let written = path.written();
        match self.own(path, &written) {
            Some(own) => format!("own {own}{}", written.strip_prefix(own).unwrap_or("")),
            None => identity(path, self.scope),
        }
    }

    fn start_of(&self, own: &str) -> &Start {
        self.locals.find(own).and_then(|slot| self.start.get(slot)).unwrap_or(&Start::Unset)
    }

    /// The own fact a path reads, as it is written where it is assigned.
    fn own<'p>(&self, path: &'p Path, written: &'p str) -> Option<&'p str> {
        if self.scope.has_owner(path.names.first().map_or("", String::as_str)) {
            return None;
        }
        let mut heads = written.match_indices('.').filter_map(|(at, _)| written.get(..at)).chain([written]);
        heads.rfind(|head| self.locals.find(head).is_some())
    }

    /// Whether the fact is set, whatever the flow does before: an input, or an own fact with a starting value.
    fn is_certainly_set(&self, path: &Path) -> bool {
        let is_input = |fact: &FactRef| fact.owner == Owner::Input;
        let written = path.written();
        match self.own(path, &written).map(|own| self.start_of(own)) {
            Some(Start::Value(_)) => true,
            Some(Start::Read(slot)) => self.reads.get(*slot).is_some_and(is_input),
            Some(Start::Unset) => false,
            None => {
                let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
                self.scope.resolve(&names).is_ok_and(|(fact, _)| is_input(&fact))
            }
        }
    }

    fn never_fires(&self, index: usize, read: &Read<'_>, dead: Option<&(String, At)>) -> Option<Diagnostic> {
        let Read { rule, snippet } = read;
        let compiled = self.compiled.get(index)?;
        let name = |path: &Path| self.identity(path);
        let (at, label) = if let Some((fact, at)) = dead {
            (at.clone(), format!("`{fact}` is set only by rules that wait for it"))
        } else if let Err(impossible) = Region::of_expr(&rule.when, true, &name) {
            let label = if impossible.beside { "contradicts what stands before" } else { "never true" };
            (impossible.at, label.to_owned())
        } else if let Some((_, at)) = rule.expires.as_ref().filter(|_| expires_first(compiled)) {
            (at.clone(), "it expires before it takes effect".to_owned())
        } else {
            return None;
        };
        let message = format!("rule `{}` never fires", rule.name);
        let warning = Diagnostic::warning("never-fires", snippet.span(at), message).label(label);
        Some(warning.help("delete the rule, or mend it"))
    }

    /// A rule whose condition is never false, and which waits for nothing.
    fn always_fires(&self, Read { rule, snippet }: &Read<'_>) -> Option<Diagnostic> {
        let name = |path: &Path| self.identity(path);
        let mut read = Vec::new();
        paths(&rule.when, &mut read);
        for statement in &rule.then {
            let Statement::Assign { target, operator, value, .. } = statement else { continue };
            paths(value, &mut read);
            read.extend((*operator != Assign::Set).then_some(target));
        }
        let is_dated = rule.effective.is_some() || rule.expires.is_some();
        if is_dated
            || !read.iter().all(|path| self.is_certainly_set(path))
            || Region::of_expr(&rule.when, false, &name).is_ok()
        {
            return None;
        }
        let message = format!("rule `{}` always fires", rule.name);
        let warning = Diagnostic::warning("always-fires", snippet.span(rule.when.at()), message);
        let warning = warning.label("never false");
        Some(warning.help("mend the condition; or say `// allow: always-fires` above the rule where that is meant"))
    }

    /// A rule without `no-loop` that changes a fact each time, and whose condition nothing changes.
    fn never_settles(&self, Read { rule, snippet }: &Read<'_>, writers: &Writers) -> Option<Diagnostic> {
        let mut read = Vec::new();
        paths(&rule.when, &mut read);
        let may_change = |path: &&Path| self.own(path, &path.written()).is_some_and(|own| writers.contains_key(own));
        if rule.no_loop || read.iter().any(may_change) {
            return None;
        }
        let fact = rule.then.iter().find_map(|statement| adds_always(rule, statement))?;
        let message = format!("rule `{}` fires for ever once it holds: it changes `{fact}` each time", rule.name);
        let warning = Diagnostic::warning("never-settles", snippet.span(rule.name_at.clone()), message);
        Some(warning.help("add `no-loop` behind its name, or a condition on the fact"))
    }

    /// The facts that rules assign, each with those rules.
    fn writers(&self) -> Writers {
        let mut writers = Writers::new();
        for (index, read) in self.rules.iter().enumerate() {
            let own: HashSet<String> = targets(&read.rule.then).collect();
            own.into_iter().for_each(|target| writers.entry(target).or_default().push(index));
        }
        writers
    }

    /// Facts that are only ever assigned literal texts or truths, with all of these.
    fn constants(&self) -> HashMap<String, BTreeSet<String>> {
        let mut constants: HashMap<String, Option<BTreeSet<String>>> = HashMap::new();
        for statement in self.rules.iter().flat_map(|read| &read.rule.then) {
            let Statement::Assign { target, value, .. } = statement else { continue };
            let written = target.written();
            let starts = !matches!(self.start_of(&written), Start::Unset);
            let known = constants.entry(written).or_insert_with(|| (!starts).then(BTreeSet::new));
            match (value, known.as_mut()) {
                (Expr::Literal { value: value @ (Value::Text(_) | Value::Boolean(_)), .. }, Some(values)) => {
                    values.insert(shown(value));
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
    pub(super) fn unread(&self, locals: &[LocalFact]) -> Vec<Unread> {
        let read = self.read();
        let groups: HashSet<&str> =
            read.iter().flat_map(|name| name.match_indices('.').filter_map(|(at, _)| name.get(..at))).collect();
        let mut told = HashSet::new();
        let mut unread = Vec::new();
        let mut tell = |name: &str, span: Span, rule: Option<Span>| {
            if !read.contains(name) && told.insert(name.to_owned()) {
                unread.push(Unread { name: FieldName::from(name), span, rule });
            }
        };
        for local in locals {
            let (LocalFact::Starting { name, span, .. } | LocalFact::Mapped { name, span, .. }) = local;
            if !groups.contains(&**name) {
                tell(name, span.clone(), None);
            }
        }
        for Read { rule, snippet } in self.rules {
            for statement in &rule.then {
                if let Statement::Assign { target, .. } = statement {
                    let span = snippet.span(target.at.clone());
                    tell(&target.written(), span, Some(snippet.span(rule.name_at.clone())));
                }
            }
        }
        unread
    }
}

/// A fact that no rule of the node reads.
pub(super) struct Unread {
    pub(super) name: FieldName,
    /// The place that makes it.
    pub(super) span: Span,
    /// The rule that makes it.
    pub(super) rule: Option<Span>,
}

/// Whether a rule is never in force, so far as both ends are days or both are moments.
fn expires_first(rule: &CompiledRule) -> bool {
    match (&rule.effective, &rule.expires) {
        (Some(Moment::Day(from)), Some(Moment::Day(until))) => from >= until,
        (Some(Moment::At(from)), Some(Moment::At(until))) => from >= until,
        _ => false,
    }
}

/// The fact that a statement changes each time the rule fires: it adds a number that is not zero, and the rule does nothing
/// else with the fact.
fn adds_always<'r>(rule: &'r Rule, statement: &'r Statement) -> Option<String> {
    let Statement::Assign { target, operator: Assign::Add | Assign::Subtract, value, .. } = statement else {
        return None;
    };
    let sign = order_for("<", &written_out(value)?, &Value::Integer(0)).ok()?;
    let fact = target.written();
    (sign.is_ne() && targets(&rule.then).filter(|other| *other == fact).count() == 1).then_some(fact)
}

/// A value that is written out.
fn written_out(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Literal { value, .. } => Some(value.clone()),
        Expr::Negate { of, .. } => negate(&written_out(of)?).ok(),
        _ => None,
    }
}

/// Comparisons of facts with values that no rule ever gives them.
fn never_equal(read: &Read<'_>, constants: &HashMap<String, BTreeSet<String>>, found: &mut Vec<Diagnostic>) {
    const MOST_NAMED: usize = 8;
    let mut comparisons = Vec::new();
    compared(&read.rule.when, &mut comparisons);
    for (path, value, at) in comparisons {
        let Some(values) = constants.get(&path.written()) else { continue };
        if values.contains(&shown(value)) || value.is_null() {
            continue;
        }
        let message = format!("`{}` is never {}", path.written(), shown(value));
        let mut known: Vec<&str> = values.iter().take(MOST_NAMED).map(String::as_str).collect();
        known.extend((values.len() > MOST_NAMED).then_some("others"));
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
