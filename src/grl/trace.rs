//! Explanations of an evaluation: what each fired rule changed, and what kept each other rule from firing.
//!
//! Recorded by [`super::Engine::explain`] only. Firings are noted as they happen. Why a rule did not fire is found afterwards:
//! the parts of its condition are evaluated again over the final facts, which are what the last trial of the rule saw.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::fmt;

use super::ast::{Arithmetic, Assign, At, Compare};
use super::facts::{FactRef, Facts, LOCAL, Lookup, Names, Origin};
use super::limits::Limits;
use super::operators::arithmetic;
use super::program::{Env, Node, TimeLimit};
use super::rule::{CompiledAssignment, CompiledRule, Start};
use super::ruleset::Ruleset;
use super::table::Decision;
use crate::diagnostics::Snippet;
use crate::types::{Clock, FieldName, Value, continues_name, starts_name};

/// What the rules of one evaluation did, and why the others did nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct RulesTrace {
    /// The rules that fired, in order; a rule that fired twice is listed twice.
    pub fired: Vec<Firing>,
    /// The rules that never fired, in the order they are tried.
    pub idle: Vec<Idle>,
    /// Of a table: how many further rows did not give their results.
    pub further: usize,
}

/// One rule that fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// Its position in [`Ruleset::rules`].
    pub rule: usize,
    /// What it assigned, in order.
    pub writes: Vec<Write>,
    /// What it logged.
    pub log: Vec<String>,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The fact.
    pub fact: FieldName,
    /// Its value before; `None` where it was unset.
    pub before: Option<Value>,
    /// Its value afterwards.
    pub after: Value,
}

/// One rule that never fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Idle {
    /// Its position in [`Ruleset::rules`].
    pub rule: usize,
    /// Why.
    pub because: Reason,
}

/// Why a rule did not fire.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Its `date-effective` has not come.
    NotYet,
    /// Its `date-expires` has come.
    Expired,
    /// Its condition is false because these parts of it are.
    False(Vec<Failed>),
    /// Its condition depends on facts that are unset.
    Waits(Vec<Origin>),
    /// It is a row of a table that matches, and this one was chosen.
    Overruled {
        /// Its name.
        by: String,
    },
    /// Its condition holds; what it would assign depends on facts that are unset.
    Lacks(Vec<Origin>),
}

/// A part of a condition that is false.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// How it is written.
    pub text: String,
    /// The left and the right side of a comparison, otherwise the facts it depends on.
    pub operands: Vec<Operand>,
    /// The operator of a comparison.
    pub operator: Option<&'static str>,
    /// The difference between the two sides of `<`, `<=`, `>` or `>=`, if both are numbers.
    pub short_by: Option<Value>,
}

/// A side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// How it is written.
    pub text: String,
    /// Its value.
    pub value: Value,
    /// The facts it was made from; none for a literal.
    pub origins: Vec<Origin>,
}

impl Failed {
    /// Whether it compares the order of its sides.
    fn is_order(&self) -> bool {
        matches!(self.operator, Some("<" | "<=" | ">" | ">="))
    }
}

/// Such as `total_amount 8525.00 > 10000: short by 1475.00`.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operator, self.operands.as_slice()) {
            (Some(operator), [left, right]) => {
                write!(f, "{left} {operator} {right}")?;
                match &self.short_by {
                    Some(difference) if self.is_order() => {
                        let word = if operator.starts_with('>') { "short" } else { "over" };
                        write!(f, ": {word} by {difference}")
                    }
                    _ => Ok(()),
                }
            }
            (_, operands) => {
                f.write_str(&self.text)?;
                for (number, operand) in operands.iter().enumerate() {
                    f.write_str(if number == 0 { ": " } else { ", " })?;
                    write!(f, "{operand}")?;
                }
                Ok(())
            }
        }
    }
}

impl Operand {
    /// Whether it is written as the value itself, as a word alone is in a table; a constant is written by its name.
    fn is_literal(&self) -> bool {
        if self.origins.is_empty() && matches!(&self.value, Value::Text(text) if **text == *self.text) {
            return true;
        }
        let is_name = self.text.starts_with(starts_name) && self.text.chars().all(continues_name);
        let is_word = match &self.value {
            Value::Boolean(_) | Value::Null => true,
            Value::Text(text) => **text == *self.text,
            _ => false,
        };
        self.origins.is_empty() && (!is_name || is_word)
    }
}

/// The text, followed by the value unless the text is a literal.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.value {
            _ if self.is_literal() => Ok(()),
            Value::Text(text) => write!(f, " {text:?}"),
            value => write!(f, " {value}"),
        }
    }
}

/// What an assignment of a rule reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// The fact it writes.
    pub fact: &'a FieldName,
    /// What its value is made from.
    pub reads: Vec<Origin>,
    /// How it is written.
    pub text: &'a str,
    /// Whether the new value is made from the old one.
    pub adds: bool,
}

/// The source of an own fact's initial value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// It has none.
    Unset,
    /// The graph gives it one.
    Starting,
    /// It is taken from elsewhere.
    Mapped(FactRef),
}

impl Ruleset {
    /// The assignments of a rule, in order.
    pub fn assignments(&self, rule: usize) -> Vec<Assignment<'_>> {
        let Some(rule) = self.rules.get(rule) else { return Vec::new() };
        let assigned = |assignment: &CompiledAssignment| {
            let fact = self.local_names.get(assignment.local)?;
            let reads = origins(self.names(), &assignment.value);
            let joins = self.table.as_ref().is_some_and(Decision::joins);
            let adds = joins || assignment.operator != Assign::Set || reads.contains(&Origin::Own(fact.clone()));
            let text = rule.snippet.text().get(assignment.at.clone()).unwrap_or("");
            Some(Assignment { fact, reads, text, adds })
        };
        rule.assignments().filter_map(assigned).collect()
    }

    /// The facts that a rule's condition reads.
    pub fn condition_reads(&self, rule: usize) -> Vec<Origin> {
        self.rules.get(rule).map(|rule| origins(self.names(), &rule.when)).unwrap_or_default()
    }

    /// The facts that a rule's log lines are made from.
    pub fn log_reads(&self, rule: usize) -> Vec<Origin> {
        let logged = self.rules.get(rule).into_iter().flat_map(CompiledRule::logged);
        logged.flat_map(|value| origins(self.names(), value)).collect()
    }

    /// Why a rule that did not fire did not, over the facts from outside and the node's own facts at the end.
    pub fn why_idle(
        &self,
        rule: usize,
        facts: &dyn Facts,
        own: &dyn Fn(&FieldName) -> Option<Value>,
        clock: &Clock,
    ) -> Option<Reason> {
        let reads: Vec<Lookup> = self.reads.iter().map(|fact| facts.read(fact)).collect();
        let local = |name| own(name).map_or(Lookup::Unset, Lookup::Value);
        let locals: Vec<Lookup> = self.local_names.iter().map(local).collect();
        let (read_names, local_names) = (&self.read_names, &self.local_names);
        let limit = TimeLimit::AfterFirstLook(Limits::default().max_evaluation, OnceCell::new());
        let env =
            Env { reads: &reads, read_names, locals: &locals, local_names, clock, limit, bound: RefCell::default() };
        self.rules.get(rule).map(|rule| Explainer { names: self.names(), env }.why_idle(rule))
    }

    /// The own facts, each with the source of its initial value.
    pub fn own_facts(&self) -> impl Iterator<Item = (&FieldName, Beginning)> {
        let beginning = |start: &Start| match start {
            Start::Unset => Beginning::Unset,
            Start::Value(_) => Beginning::Starting,
            Start::Read(slot) => self.reads.get(*slot).cloned().map_or(Beginning::Unset, Beginning::Mapped),
        };
        self.local_names.iter().zip(&self.start).map(move |(name, start)| (name, beginning(start)))
    }
}

/// The longest list that is shown with its elements.
const LONGEST_SHOWN: usize = 20;

/// Explains conditions over the final facts.
pub(super) struct Explainer<'a> {
    pub(super) names: Names<'a>,
    pub(super) env: Env<'a>,
}

impl Explainer<'_> {
    /// Why `rule` did not fire.
    pub(super) fn why_idle(&self, rule: &CompiledRule) -> Reason {
        if rule.effective.as_ref().is_some_and(|from| !from.has_come(self.env.clock)) {
            return Reason::NotYet;
        }
        if rule.expires.as_ref().is_some_and(|until| until.has_come(self.env.clock)) {
            return Reason::Expired;
        }
        if let Some(reason) = self.why_not(&rule.when, &rule.when_at, &rule.snippet) {
            return reason;
        }
        Reason::Lacks(rule.assignments().flat_map(|assignment| self.lacks(assignment)).collect())
    }

    /// The facts without a value that a row of a table waits for.
    pub(super) fn lacked_by(&self, rule: &CompiledRule) -> Vec<Origin> {
        let values = rule.assignments().flat_map(|assignment| self.unset(&assignment.value));
        self.unset(&rule.when).into_iter().chain(values).collect()
    }

    /// The unset facts that an assignment needs, the target of `+=` and `-=` included.
    fn lacks(&self, CompiledAssignment { local, operator, value, .. }: &CompiledAssignment) -> Vec<Origin> {
        let target = (*operator != Assign::Set && self.env.is_unset(LOCAL + local)).then(|| LOCAL + local);
        target.and_then(|slot| self.names.origin(slot)).into_iter().chain(self.unset(value)).collect()
    }

    /// Why a condition is not true; `None` if it is true or an error.
    pub(super) fn why_not(&self, condition: &Node, at: &At, snippet: &Snippet) -> Option<Reason> {
        match condition.holds(&self.env, at).ok()? {
            None => Some(Reason::Waits(self.unset(condition))),
            Some(true) => None,
            Some(false) => {
                let mut failed = Vec::new();
                self.failures(condition, at, snippet, &mut failed);
                Some(Reason::False(failed))
            }
        }
    }

    fn unset(&self, node: &Node) -> Vec<Origin> {
        let mut slots = Vec::new();
        node.lacks(&self.env, &mut slots);
        let mut seen = HashSet::new();
        slots.into_iter().filter(|slot| seen.insert(*slot)).filter_map(|slot| self.names.origin(slot)).collect()
    }

    /// The false parts of `node`, which is false.
    pub(super) fn failures(&self, node: &Node, at: &At, snippet: &Snippet, into: &mut Vec<Failed>) {
        let is_false = |node: &Node| matches!(node.value(&self.env), Ok(Some(Value::Boolean(false))));
        match node {
            Node::And(items) => {
                if let Some((item, at)) = items.iter().find(|(item, _)| is_false(item)) {
                    self.failures(item, at, snippet, into);
                }
            }
            Node::Or(items) => items.iter().for_each(|(item, at)| self.failures(item, at, snippet, into)),
            Node::Compare { operator, left, right, left_at, right_at, .. } => {
                into.extend(self.comparison(*operator, (left, left_at), (right, right_at), at, snippet));
            }
            node => into.push(self.plain(node, at, snippet)),
        }
    }

    fn comparison(
        &self,
        operator: Compare,
        (left, left_at): (&Node, &At),
        (right, right_at): (&Node, &At),
        at: &At,
        snippet: &Snippet,
    ) -> Option<Failed> {
        let (left, right) = (self.operand(left, left_at, snippet)?, self.operand(right, right_at, snippet)?);
        let ordered = matches!(operator, Compare::Less | Compare::LessEqual | Compare::Greater | Compare::GreaterEqual);
        let (more, less) = match operator {
            Compare::Greater | Compare::GreaterEqual => (&right.value, &left.value),
            _ => (&left.value, &right.value),
        };
        let difference = || arithmetic(Arithmetic::Subtract, more, less).ok();
        Some(Failed {
            text: written(snippet, at),
            operator: Some(operator.text()),
            short_by: ordered.then(difference).flatten(),
            operands: vec![left, right],
        })
    }

    fn operand(&self, node: &Node, at: &At, snippet: &Snippet) -> Option<Operand> {
        let value = node.value(&self.env).ok()??;
        Some(Operand { text: written(snippet, at), value, origins: origins(self.names, node) })
    }

    /// A false part that is no comparison: its text and the facts it depends on. Of rows, and of long lists, only how many there are.
    fn plain(&self, node: &Node, at: &At, snippet: &Snippet) -> Failed {
        let operands = slots(node).into_iter().filter_map(|slot| {
            let (value, origin) = (self.env.known(slot)?.clone(), self.names.origin(slot)?);
            let (text, value) = match &value {
                Value::List(items)
                    if items.len() > LONGEST_SHOWN || items.iter().any(|item| matches!(item, Value::Map(_))) =>
                {
                    (format!("count({})", origin.written()), Value::Integer(i64::try_from(items.len()).ok()?))
                }
                _ => (origin.written().to_owned(), value),
            };
            Some(Operand { text, value, origins: vec![origin] })
        });
        Failed { text: written(snippet, at), operands: operands.collect(), operator: None, short_by: None }
    }
}

/// The slots that `node` reads, each once.
fn slots(node: &Node) -> Vec<usize> {
    let mut slots = Vec::new();
    node.slots(&mut slots);
    let mut known = HashSet::new();
    slots.retain(|slot| known.insert(*slot));
    slots
}

/// The facts that `node` reads, each once.
fn origins(names: Names<'_>, node: &Node) -> Vec<Origin> {
    slots(node).into_iter().filter_map(|slot| names.origin(slot)).collect()
}

/// The text at `at`, in one line.
fn written(snippet: &Snippet, at: &At) -> String {
    let text = snippet.text().get(at.clone()).unwrap_or("");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
