//! Rules whose order in the file decides: of one salience, both assign a fact, and there are values for which both fire and
//! give it another value. The values are searched, and the rules evaluated over them; what is not found is not told.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::civil::date;
use jiff::{Span, Timestamp, tz::TimeZone};

use super::{Linted, Writers};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::grl::ast::{Arithmetic, Assign, Compare};
use crate::grl::facts::Lookup;
use crate::grl::operators::arithmetic;
use crate::grl::program::{Env, LOCAL, Node, Outside, TimeLimit};
use crate::grl::ruleset::{Action, CompiledRule, Start};
use crate::types::{Clock, Type, Value};

/// A fact that more rules assign is not looked at.
const MOST_RIVALS: usize = 16;
/// Two rules that read more facts from outside are not looked at, nor one that reads facts more often.
const MOST_FACTS: usize = 6;
const MOST_READS: usize = 64;
/// So many values of a fact are tried, so many combinations for two rules, and so many conditions for all rules.
const MOST_VALUES: usize = 8;
const MOST_COMBINATIONS: usize = 512;
const MOST_EVALUATIONS: usize = 50_000;

/// A rule that assigns the fact, and the facts from outside that it reads.
struct Rival<'a> {
    index: usize,
    rule: &'a CompiledRule,
    local: usize,
    slots: BTreeSet<usize>,
}

impl Linted<'_> {
    /// Warns of rules of one salience that assign the same fact something else and may both fire.
    pub(super) fn competing(&self, writers: &Writers, found: &mut Diagnostics) {
        let actions = self.compiled.iter().flat_map(|rule| &rule.then);
        let assigned: HashSet<usize> = actions.filter_map(|action| Some(assignment(action)?.0)).collect();
        let mut left = MOST_EVALUATIONS;
        for (fact, indices) in writers.iter().filter(|(_, rules)| (2..=MOST_RIVALS).contains(&rules.len())) {
            let rivals = indices.iter().map(|index| self.rival(*index, fact, &assigned));
            let Some(rivals) = rivals.collect::<Option<Vec<Rival<'_>>>>() else { continue };
            if rivals.iter().any(|rival| Some(rival.rule.salience) != rivals.first().map(|first| first.rule.salience)) {
                continue;
            }
            for (number, second) in rivals.iter().enumerate() {
                let before = rivals.iter().take(number);
                let compete = |first: &&Rival<'_>| self.compete(first, second, &rivals, &mut left);
                if let Some(first) = { before }.find(compete) {
                    found.extend(self.told(first.index, second.index, fact));
                }
            }
        }
    }

    /// A rule of which everything that decides is known: it fires once, on facts from outside alone.
    fn rival(&self, index: usize, fact: &str, assigned: &HashSet<usize>) -> Option<Rival<'_>> {
        let rule = self.compiled.get(index)?;
        let local = self.locals.find(fact)?;
        let mut read = Vec::new();
        rule.when.slots(&mut read);
        for action in &rule.then {
            match assignment(action) {
                Some((_, Assign::Set, value)) => value.slots(&mut read),
                Some(_) => return None,
                None => {}
            }
        }
        if !rule.no_loop || rule.effective.is_some() || rule.expires.is_some() || read.len() > MOST_READS {
            return None;
        }
        let mut slots = BTreeSet::new();
        for slot in read {
            let outside = self.outside(slot);
            if slot.checked_sub(LOCAL).is_some_and(|local| assigned.contains(&local)) || outside.is_err() {
                return None;
            }
            slots.extend(outside.ok().flatten());
        }
        slots.iter().all(|slot| self.reads.get(*slot).is_some_and(|fact| self.scope.is_free(fact))).then_some(Rival {
            index,
            rule,
            local,
            slots,
        })
    }

    /// The slot from outside that a fact is taken from; `None` where it has a starting value.
    fn outside(&self, slot: usize) -> Result<Option<usize>, ()> {
        match slot.checked_sub(LOCAL).map(|local| self.start.get(local)) {
            None => Ok(Some(slot)),
            Some(Some(Start::Read(read))) => Ok(Some(*read)),
            Some(Some(Start::Value(_))) => Ok(None),
            Some(Some(Start::Unset) | None) => Err(()),
        }
    }

    /// Whether values are found for which these two fire, no other does, and the two give the fact different values.
    fn compete(&self, first: &Rival<'_>, second: &Rival<'_>, all: &[Rival<'_>], left: &mut usize) -> bool {
        let pair: BTreeSet<usize> = first.slots.union(&second.slots).copied().collect();
        let mut tried: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for rival in all {
            for slot in &rival.slots {
                tried.entry(*slot).or_insert_with(|| self.values(*slot, all));
            }
        }
        // Two rules of one name are refused anyway.
        let same = first.rule.name == second.rule.name;
        if same || pair.len() > MOST_FACTS || tried.values().any(Vec::is_empty) {
            return false;
        }
        for combination in 0..MOST_COMBINATIONS {
            *left = left.saturating_sub(all.len());
            let Some(reads) = self.reads_of(combination, &pair, &tried).filter(|_| *left > 0) else { return false };
            let fires = |rival: &Rival<'_>| self.fires(rival, &reads);
            let given: Vec<Option<Value>> = all.iter().map(fires).collect();
            let by = |rival: &Rival<'_>| {
                all.iter().position(|other| other.index == rival.index).and_then(|at| given.get(at)).cloned().flatten()
            };
            if let (Some(a), Some(b), 2) = (by(first), by(second), given.iter().flatten().count())
                && a != b
            {
                return true;
            }
        }
        false
    }

    /// The facts from outside in one combination of the values; `None` after the last.
    fn reads_of(
        &self,
        mut combination: usize,
        pair: &BTreeSet<usize>,
        tried: &BTreeMap<usize, Vec<Value>>,
    ) -> Option<Vec<Lookup>> {
        let mut reads = vec![Lookup::Unset; self.reads.len()];
        for (slot, values) in tried {
            let mut choice = 0;
            if pair.contains(slot) {
                choice = combination % values.len().max(1);
                combination /= values.len().max(1);
            }
            *reads.get_mut(*slot)? = Lookup::Value(values.get(choice)?.clone());
        }
        (combination == 0).then_some(reads)
    }

    /// What the rule gives the fact, where it fires.
    fn fires(&self, rival: &Rival<'_>, reads: &[Lookup]) -> Option<Value> {
        let start = |start: &Start| match start {
            Start::Unset => Lookup::Unset,
            Start::Value(value) => Lookup::Value(value.clone()),
            Start::Read(slot) => reads.get(*slot).cloned().unwrap_or(Lookup::Unset),
        };
        let locals: Vec<Lookup> = self.start.iter().map(start).collect();
        let clock = Clock::fixed(Timestamp::now(), TimeZone::UTC);
        let limit = TimeLimit::AfterFirstLook(std::time::Duration::from_secs(1), OnceCell::new());
        let reads = Outside::Read(reads);
        let env = Env { reads, read_names: &[], locals: &locals, local_names: &[], clock: &clock, limit };
        if rival.rule.when.holds(&env, &rival.rule.when_at).ok()? != Some(true) {
            return None;
        }
        let mut given = None;
        for (local, _, value) in rival.rule.then.iter().filter_map(assignment) {
            let value = value.value(&env).ok()??;
            if local == rival.local {
                given = Some(value);
            }
        }
        given
    }

    /// Values of a fact from outside that the conditions tell apart.
    fn values(&self, slot: usize, rivals: &[Rival<'_>]) -> Vec<Value> {
        let mut constants = Vec::new();
        rivals.iter().for_each(|rival| compared(&rival.rule.when, &mut constants));
        let constants = constants.into_iter().filter(|(other, _)| self.outside(*other) == Ok(Some(slot)));
        let constants: Vec<Value> = constants.map(|(_, value)| value).collect();
        let ty = self.types.get(slot).unwrap_or(&Type::Any);
        let mut values: Vec<Value> = Vec::new();
        let around = constants.iter().flat_map(around).chain(usual(ty));
        for value in around.filter(|value| value.ty() == *ty || (*ty == Type::Decimal && value.ty() == Type::Integer)) {
            if !values.contains(&value) && values.len() < MOST_VALUES {
                values.push(value);
            }
        }
        values
    }

    fn told(&self, first: usize, second: usize, fact: &str) -> Option<Diagnostic> {
        let (a, b) = (self.rules.get(first)?, self.rules.get(second)?);
        let message = format!(
            "rules `{}` and `{}` may both fire and set `{fact}`; their order in the file decides",
            a.rule.name, b.rule.name
        );
        let warning = Diagnostic::warning("competing-rules", b.snippet.span(b.rule.name_at.clone()), message);
        let warning = warning.label(format!("of salience {}, as the other one", b.rule.salience));
        let warning = warning.related(a.snippet.span(a.rule.name_at.clone()), "the other one");
        let warning = warning.about(b.snippet.span(b.rule.name_at.clone()));
        let help =
            "give one the higher salience, or conditions that exclude each other; or say `// allow: competing-rules`";
        Some(warning.help(help))
    }
}

fn assignment(action: &Action) -> Option<(usize, Assign, &Node)> {
    match action {
        Action::Assign { local, operator, value, .. } => Some((*local, *operator, value)),
        Action::Log { .. } => None,
    }
}

/// The facts that a condition compares with constants.
fn compared(node: &Node, into: &mut Vec<(usize, Value)>) {
    match node {
        Node::And(items) | Node::Or(items) => items.iter().for_each(|(item, _)| compared(item, into)),
        Node::Not(of, _) => compared(of, into),
        Node::Compare { operator, left, right, .. } => match (&**left, &**right) {
            (Node::Slot { slot, .. }, Node::Constant(Value::List(items))) if *operator == Compare::In => {
                into.extend(items.iter().take(MOST_VALUES).map(|item| (*slot, item.clone())));
            }
            (Node::Slot { slot, .. }, Node::Constant(value)) | (Node::Constant(value), Node::Slot { slot, .. }) => {
                into.push((*slot, value.clone()));
            }
            _ => {}
        },
        _ => {}
    }
}

/// A constant and the values beside it.
fn around(constant: &Value) -> Vec<Value> {
    let step = |operator| arithmetic(operator, constant, &Value::Integer(1)).ok();
    let day = |days: i64| match constant {
        Value::Date(day) => day.checked_add(Span::new().days(days)).ok().map(Value::Date),
        _ => None,
    };
    let beside = [step(Arithmetic::Add), step(Arithmetic::Subtract), day(1), day(-1)];
    std::iter::once(constant.clone()).chain(beside.into_iter().flatten()).collect()
}

/// Values of a type that nothing is compared with.
fn usual(ty: &Type) -> Vec<Value> {
    match ty {
        Type::Boolean => vec![Value::Boolean(true), Value::Boolean(false)],
        Type::Integer | Type::Decimal => vec![Value::Integer(1), Value::Integer(0), Value::Integer(2)],
        Type::Text => vec![Value::text("a"), Value::text("b")],
        Type::Date => vec![Value::Date(date(2026, 1, 1))],
        Type::Timestamp => vec![Value::Timestamp(Timestamp::UNIX_EPOCH)],
        Type::Any | Type::List(_) | Type::Map(_) => Vec::new(),
    }
}
