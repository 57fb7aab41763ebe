//! Rules that wait for ever: each needs a fact that only rules which wait set.

use std::collections::{HashMap, HashSet};

use super::{Linted, targets};
use crate::grl::ast::{Assign, At, Expr, Statement};
use crate::grl::read::Read;
use crate::grl::ruleset::Start;

/// How often the rules are gone through to learn which can fire, each time the other way round; what is not known by then
/// is not told.
const ROUNDS: usize = 64;

/// What an expression must be for its rule to fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    True,
    False,
    Known,
}

impl Linted<'_> {
    /// The rules that wait for ever, each with a fact it waits for: facts are set at the start or by a rule that can
    /// fire, and a rule can fire once what it needs can be set.
    pub(super) fn never_set(&self) -> HashMap<usize, (String, At)> {
        let mut settable: HashSet<String> = self
            .locals
            .names()
            .filter(|name| !matches!(self.start_of(name), Start::Unset))
            .map(str::to_owned)
            .collect();
        let mut waiting: Vec<&Read<'_>> = self.rules.iter().collect();
        for _ in 0..ROUNDS {
            let before = waiting.len();
            waiting.retain(|read| {
                let blocked = self.blocked(read, &settable).is_some();
                if !blocked {
                    settable.extend(targets(&read.rule.then));
                }
                blocked
            });
            if waiting.len() == before {
                let culprit = |(index, read)| Some((index, self.blocked(read, &settable)?));
                return self.rules.iter().enumerate().filter_map(culprit).collect();
            }
            waiting.reverse();
        }
        HashMap::new()
    }

    /// The first fact that a rule needs and nobody can set; what its earlier statements set is there.
    fn blocked(&self, read: &Read<'_>, settable: &HashSet<String>) -> Option<(String, At)> {
        if let Some(culprit) = self.waits_for(&read.rule.when, Needed::True, &|name| settable.contains(name)) {
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
            if let Some(culprit) = self.waits_for(value, Needed::Known, &known) {
                return Some(culprit);
            }
            here.insert(written);
        }
        None
    }

    /// The fact for want of which `expr` can never be what is needed, if there is one.
    fn waits_for(&self, expr: &Expr, needed: Needed, known: &dyn Fn(&str) -> bool) -> Option<(String, At)> {
        let first = |items: &[Expr], needed| items.iter().find_map(|item| self.waits_for(item, needed, known));
        // One part that is known may decide all.
        let all = |items: &[Expr], needed| {
            let culprits: Option<Vec<_>> = items.iter().map(|item| self.waits_for(item, needed, known)).collect();
            culprits?.into_iter().next()
        };
        match expr {
            Expr::Literal { .. } => None,
            Expr::Path(path) => {
                let written = path.written();
                let own = self.own(path, &written)?;
                (!known(own)).then(|| (own.to_owned(), path.at.clone()))
            }
            Expr::And { items, .. } if needed == Needed::True => first(items, needed),
            Expr::Or { items, .. } if needed == Needed::False => first(items, needed),
            Expr::And { items, .. } | Expr::Or { items, .. } => all(items, needed),
            Expr::Not { of, .. } => {
                let needed = match needed {
                    Needed::True => Needed::False,
                    Needed::False => Needed::True,
                    Needed::Known => Needed::Known,
                };
                self.waits_for(of, needed, known)
            }
            Expr::Call { name, .. } if name == "is_set" => None,
            Expr::Call { name, arguments, .. } if name == "default" => all(arguments, Needed::Known),
            Expr::List { items, .. } | Expr::Call { arguments: items, .. } => first(items, Needed::Known),
            Expr::Arithmetic { first: one, rest, .. } => {
                let mut operands = std::iter::once(&**one).chain(rest.iter().map(|(_, operand)| operand));
                operands.find_map(|operand| self.waits_for(operand, Needed::Known, known))
            }
            Expr::Compare { left, right, .. } => {
                let mut sides = [left, right].into_iter();
                sides.find_map(|side| self.waits_for(side, Needed::Known, known))
            }
            Expr::Negate { of, .. } => self.waits_for(of, Needed::Known, known),
        }
    }
}
