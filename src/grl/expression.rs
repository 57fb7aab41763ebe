//! An expression of a graph: the condition of an edge or an outcome, or a leaf of an answer.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::time::Duration;

use super::check::Checker;
use super::error::{EvalError, EvalErrorKind};
use super::facts::{FactRef, Facts, Lookup, Names};
use super::limits::Limits;
use super::names::{Locals, Reads};
use super::program::{Env, Node, TimeLimit};
use super::scope::Scope;
use super::trace::{Explainer, Reason};
use super::{proof, read};
use crate::diagnostics::{Diagnostics, Snippet, Span};
use crate::types::{Clock, FieldName, Type, Value};

/// The use of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionKind {
    /// It must be true or false.
    Condition,
    /// Its value may be of any type.
    Value,
}

/// A checked expression.
pub struct Expression {
    snippet: Snippet,
    node: Node,
    ty: Type,
    reads: Vec<FactRef>,
    read_names: Vec<FieldName>,
    max_evaluation: Duration,
}

impl Expression {
    /// Reads and checks `text` against the names of `scope`; a condition must be true or false, or of unknown type.
    ///
    /// # Errors
    /// All errors; an expression comes with its warnings.
    pub fn compile(
        text: &Snippet,
        scope: &Scope,
        kind: ExpressionKind,
        limits: &Limits,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let Some(expr) = read::expression(text, limits, &mut found) else { return Err(found) };
        let (locals, mut reads) = (Locals::default(), Reads::default());
        let mut checker = Checker::new(text, scope, &locals, &mut reads, &mut found);
        let (node, ty) = if kind == ExpressionKind::Condition {
            (checker.condition(&expr), Type::Boolean)
        } else {
            checker.check(&expr, false)
        };
        let reads = reads.into_facts();
        let read_names = reads.iter().map(|fact| fact.written.clone()).collect();
        let max_evaluation = limits.max_evaluation;
        found.into_result(Self { snippet: text.clone(), node, ty, reads, read_names, max_evaluation })
    }

    /// Its type, as far as known.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The facts it reads.
    pub fn reads(&self) -> &[FactRef] {
        &self.reads
    }

    /// Its text and place.
    pub fn snippet(&self) -> &Snippet {
        &self.snippet
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.snippet.text()
    }

    /// Its place.
    pub fn span(&self) -> Span {
        self.snippet.span(0..self.snippet.text().len())
    }

    /// Its value; `None` if it depends on a fact that is unset or unknown.
    ///
    /// # Errors
    /// [`EvalError`], which names the part and its place.
    pub fn evaluate(&self, facts: &dyn Facts, clock: &Clock) -> Result<Option<Value>, EvalError> {
        self.node.value(&self.env(&self.read(facts), clock)).map_err(|fault| fault.in_snippet(&self.snippet))
    }

    fn read(&self, facts: &dyn Facts) -> Vec<Lookup> {
        self.reads.iter().map(|fact| facts.read(fact)).collect()
    }

    pub(super) fn env<'a>(&'a self, reads: &'a [Lookup], clock: &'a Clock) -> Env<'a> {
        let limit = TimeLimit::AfterFirstLook(self.max_evaluation, OnceCell::new());
        Env {
            reads,
            read_names: &self.read_names,
            locals: &[],
            local_names: &[],
            clock,
            limit,
            bound: RefCell::default(),
        }
    }

    /// The error of using the value, which is null, in `taker`, which does not take null.
    pub fn is_null(&self, taker: &'static str) -> EvalError {
        let operand = format!("`{}`", self.text().trim());
        EvalError { span: self.span(), kind: EvalErrorKind::Null { operator: taker, operand } }
    }

    /// Whether it is proved that nothing makes it true.
    pub fn is_never_true(&self) -> bool {
        proof::are_never(true, [&self.node], &|slot| self.names().key(slot))
    }

    /// Whether it is proved to be true, or an error, whenever `premise` is true.
    pub fn follows_from(&self, premise: &Self) -> bool {
        let (name, premise_name) = (|slot| self.names().key(slot), |slot| premise.names().key(slot));
        proof::follows((&self.node, &name), (&premise.node, &premise_name))
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn names(&self) -> Names<'_> {
        Names { reads: &self.reads, locals: &[] }
    }

    /// Why it is not true; `None` if it is true or an error.
    pub fn why_not(&self, facts: &dyn Facts, clock: &Clock) -> Option<Reason> {
        let reads = self.read(facts);
        let explainer = Explainer { names: self.names(), env: self.env(&reads, clock) };
        explainer.why_not(&self.node, &(0..self.snippet.text().len()), &self.snippet)
    }

    /// The facts without a value that make it unknown.
    pub fn lacks(&self, facts: &dyn Facts, clock: &Clock) -> Vec<&FactRef> {
        let mut slots = Vec::new();
        self.node.lacks(&self.env(&self.read(facts), clock), &mut slots);
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().filter_map(|slot| self.reads.get(slot)).collect()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text())
    }
}
