//! What the regions of conditions show: rules that always fire, that never stop, that compete for a fact, or that decide on a
//! value which is about to change.

use std::collections::{BTreeMap, HashMap};

use super::{Linted, paths, shown, targets};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::grl::ast::{Assign, Expr, Path, Rule, Statement};
use crate::grl::operators::{negate, order_for};
use crate::grl::read::Read;
use crate::grl::region::{Region, Values};
use crate::types::Value;

/// Of the rules that assign one fact at one salience, each is compared with so many before it.
const RIVALS: usize = 32;

/// The regions of the rules' conditions.
pub(super) struct Regions<'a> {
    linted: &'a Linted<'a>,
    regions: Vec<Option<Region>>,
}

impl<'a> Regions<'a> {
    pub(super) fn of(linted: &'a Linted<'a>) -> Self {
        let name = |path: &Path| linted.identity(path);
        let regions = linted.rules.iter().map(|read| Region::of_expr(&read.rule.when, &name)).collect();
        Self { linted, regions }
    }

    pub(super) fn region(&self, index: usize) -> Option<&Region> {
        self.regions.get(index).and_then(Option::as_ref)
    }

    /// A rule whose condition is true whatever its facts are.
    pub(super) fn always_fires(&self, index: usize) -> Option<Diagnostic> {
        let Read { rule, snippet } = self.linted.rules.get(index)?;
        let name = |path: &Path| self.linted.identity(path);
        // `done || !done` waits until a fact is known.
        let mut read = Vec::new();
        paths(&rule.when, &mut read);
        let waits = |path: &&Path| {
            let written = path.written();
            self.linted.own(path, &written).is_some_and(|own| !self.linted.starting.contains(own))
        };
        if is_dated(rule) || read.iter().any(waits) || !Region::of_negation(&rule.when, &name)?.is_empty() {
            return None;
        }
        let message = format!("rule `{}` always fires", rule.name);
        let warning = Diagnostic::warning("always-fires", snippet.span(rule.when.at()), message);
        let warning = warning.label("true whatever the facts are");
        Some(warning.help("mend the condition; or say `// allow: always-fires` above the rule where that is meant"))
    }

    /// A rule without `no-loop` that leaves its own condition true, which nothing else can change.
    pub(super) fn never_settles(&self, index: usize, writers: &HashMap<String, Vec<usize>>) -> Option<Diagnostic> {
        let Read { rule, snippet } = self.linted.rules.get(index)?;
        let region = self.region(index)?;
        if rule.no_loop || region.is_empty() {
            return None;
        }
        let mut read = Vec::new();
        paths(&rule.when, &mut read);
        for path in read {
            let written = path.written();
            let Some(own) = self.linted.own(path, &written) else { continue };
            let only_itself = writers.get(own).is_none_or(|writers| writers.iter().all(|writer| *writer == index));
            let is_written = writers.contains_key(own);
            if !only_itself || (is_written && (region.mixes(&own_name(own)) || !keeps(rule, own, region))) {
                return None;
            }
        }
        let message = format!("rule `{}` fires again and again: what it assigns leaves its condition true", rule.name);
        let warning = Diagnostic::warning("never-settles", snippet.span(rule.name_at.clone()), message);
        Some(warning.help("add `no-loop` behind its name, or have it change what it waits for"))
    }

    /// Rules of one salience that assign the same fact something else and may both fire: the order in the file decides.
    pub(super) fn competing(&self, found: &mut Diagnostics) {
        let mut groups: BTreeMap<(i32, String), Vec<usize>> = BTreeMap::new();
        for (index, read) in self.linted.rules.iter().enumerate() {
            let mut own: Vec<String> = set_targets(&read.rule).map(|(target, _)| target).collect();
            own.sort_unstable();
            own.dedup();
            for target in own {
                groups.entry((read.rule.salience, target)).or_default().push(index);
            }
        }
        for ((_, fact), rules) in &groups {
            for (number, index) in rules.iter().enumerate().skip(1) {
                let rivals = rules.get(number.saturating_sub(RIVALS)..number).unwrap_or_default();
                if let Some(rival) = rivals.iter().find(|rival| self.compete(**rival, *index, fact)) {
                    found.extend(self.told(*rival, *index, fact));
                }
            }
        }
    }

    fn compete(&self, first: usize, second: usize, fact: &str) -> bool {
        let (Some(a), Some(b)) = (self.linted.rules.get(first), self.linted.rules.get(second)) else { return false };
        let (Some(one), Some(other)) = (self.region(first), self.region(second)) else { return false };
        // Two rules of one name are refused anyway.
        if one.is_disjoint(other) || a.rule.name == b.rule.name {
            return false;
        }
        // A rule that looks at the fact, or at what the other writes, knows of the other.
        let looks = |rule: &Rule, at: &Rule| {
            let mut read = Vec::new();
            paths(&rule.when, &mut read);
            read.iter().any(|path| {
                let written = path.written();
                let own = self.linted.own(path, &written);
                own.is_some_and(|own| own == fact || targets(&at.then).any(|target| target == own))
            })
        };
        let same = match (last_value(&a.rule, fact), last_value(&b.rule, fact)) {
            (Some(a), Some(b)) => written_out(a).zip(written_out(b)).is_some_and(|(a, b)| a == b),
            _ => true,
        };
        let dated = is_dated(&a.rule) || is_dated(&b.rule);
        !same && !dated && !looks(&a.rule, &b.rule) && !looks(&b.rule, &a.rule)
    }

    fn told(&self, first: usize, second: usize, fact: &str) -> Option<Diagnostic> {
        let (a, b) = (self.linted.rules.get(first)?, self.linted.rules.get(second)?);
        let message = format!(
            "rules `{}` and `{}` may both fire and set `{fact}`; their order in the file decides",
            a.rule.name, b.rule.name
        );
        let warning = Diagnostic::warning("competing-rules", b.snippet.span(b.rule.name_at.clone()), message);
        let warning = warning.label(format!("of salience {}, as the other one", b.rule.salience));
        let warning = warning.related(a.snippet.span(a.rule.name_at.clone()), "the other one");
        let help =
            "give one the higher salience, or conditions that exclude each other; or say `// allow: competing-rules`";
        Some(warning.help(help))
    }

    /// A rule that fires once, on the starting value of a fact that a rule behind it assigns.
    pub(super) fn stale_read(&self, index: usize, writers: &HashMap<String, Vec<usize>>) -> Option<Diagnostic> {
        let Read { rule, snippet } = self.linted.rules.get(index)?;
        let region = self.region(index).filter(|_| rule.no_loop)?;
        let mut read = Vec::new();
        paths(&rule.when, &mut read);
        for statement in &rule.then {
            if let Statement::Assign { value, .. } = statement {
                paths(value, &mut read);
            }
        }
        // A rule that waits for a fact may fire behind the one that sets another; a dated one, never.
        let waits = |path: &&Path| {
            let written = path.written();
            self.linted.own(path, &written).is_some_and(|own| !self.linted.starting.contains(own))
        };
        if is_dated(rule) || read.iter().any(waits) {
            return None;
        }
        for path in read {
            let written = path.written();
            let Some(own) = self.linted.own(path, &written) else { continue };
            let Some(start) = self.linted.start_value(own) else { continue };
            let Some(writers) = writers.get(own) else { continue };
            let later =
                |writer: &usize| self.linted.rules.get(*writer).filter(|read| read.rule.salience < rule.salience);
            let writes_itself = writers.contains(&index);
            let all_later = writers.iter().all(|writer| later(writer).is_some());
            let exclude = |writer: &usize| self.region(*writer).is_none_or(|other| other.is_disjoint(region));
            let fires_on_it =
                region.cases(&own_name(own)).any(|values| values.is_none_or(|values| values.holds(start)));
            let Some(writer) = writers.first().and_then(later) else { continue };
            if writes_itself || !all_later || !fires_on_it || writers.iter().all(exclude) {
                continue;
            }
            let message = format!(
                "rule `{}` fires on the starting value of `{own}`, before rule `{}` sets it, and never again",
                rule.name, writer.rule.name
            );
            let warning = Diagnostic::warning("stale-read", snippet.span(path.at.clone()), message);
            let warning = warning.label(format!("starts as {}", shown(start)));
            let warning = warning.related(writer.snippet.span(writer.rule.name_at.clone()), "sets it later");
            let help = "give the rule the lower salience, or the fact no starting value: the rule then waits for it";
            return Some(warning.help(help));
        }
        None
    }
}

/// Whether a fact that a rule assigns stays among the values its condition asks for, in every case of it.
fn keeps(rule: &Rule, fact: &str, region: &Region) -> bool {
    let assigned = rule.then.iter().filter_map(|statement| match statement {
        Statement::Assign { target, operator, value, .. } if target.written() == fact => Some((*operator, value)),
        _ => None,
    });
    let assigned: Vec<(Assign, Option<Value>)> =
        assigned.map(|(operator, value)| (operator, written_out(value))).collect();
    let [(operator, Some(value))] = assigned.as_slice() else { return false };
    let stays = |values: Option<&Values>| match (values, operator) {
        (None, _) => false,
        (Some(values), Assign::Set) => values.holds(value),
        (Some(values), Assign::Add | Assign::Subtract) => {
            let Ok(sign) = order_for("<", value, &Value::Integer(0)) else { return false };
            let up = sign.is_gt() == (*operator == Assign::Add);
            sign.is_eq() || values.is_open(up)
        }
    };
    region.cases(&own_name(fact)).all(stays)
}

/// Whether a rule counts only at certain times.
fn is_dated(rule: &Rule) -> bool {
    rule.effective.is_some() || rule.expires.is_some()
}

/// What regions call an own fact.
pub(super) fn own_name(fact: &str) -> String {
    format!("own {fact}")
}

/// The facts a rule assigns plainly, with what.
fn set_targets(rule: &Rule) -> impl Iterator<Item = (String, &Expr)> {
    rule.then.iter().filter_map(|statement| match statement {
        Statement::Assign { target, operator: Assign::Set, value, .. } => Some((target.written(), value)),
        _ => None,
    })
}

/// What a rule leaves a fact with.
fn last_value<'r>(rule: &'r Rule, fact: &str) -> Option<&'r Expr> {
    set_targets(rule).filter(|(target, _)| target == fact).map(|(_, value)| value).last()
}

/// A value that is written out.
fn written_out(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Literal { value, .. } => Some(value.clone()),
        Expr::Negate { of, .. } => negate(&written_out(of)?).ok(),
        _ => None,
    }
}
