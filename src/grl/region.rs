//! What makes a condition true: a small solver that knows numbers, texts, truths and null, and nothing of what it does not.
//!
//! A condition becomes a list of boxes, one of which must hold ([`Region`]); a box gives for each subject, a fact or an
//! expression over facts, the values it may have. A comparison with a literal limits its subject; any other part of the
//! condition is a subject of its own that is true or false, so that `a > b` and `a <= b` are known to exclude each other.
//! A condition of more parts or boxes than the limits has no region. Only what holds for all values is said of regions:
//! that nothing makes the condition true, or that whatever makes it true makes another one true.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::ast::{Arithmetic, At, Compare, Expr, Path};
use super::canonical;
use super::expression;
use super::limits::Limits;
use super::operators::{arithmetic, compare, negate, order_for};
use super::scope::Scope;
use crate::diagnostics::{Diagnostics, Snippet, Span};
use crate::types::Value;

/// A condition of more boxes has no region.
const MOST_BOXES: usize = 64;
/// A condition of more parts has no region: the time that a box takes grows with them.
const MOST_PARTS: usize = 256;

/// What makes a condition true.
#[derive(Debug, Clone, PartialEq)]
pub struct Region(Vec<Case>);

/// By subject: the values it may have.
type Case = BTreeMap<String, Values>;

/// The values that a subject may have.
#[derive(Debug, Clone, PartialEq)]
struct Values {
    null: bool,
    /// Whether any value but null is there; then those within the bounds that are not excluded.
    some: bool,
    lower: Option<Bound>,
    upper: Option<Bound>,
    excluded: Vec<Value>,
}

/// An end of the values: itself among them, or not.
#[derive(Debug, Clone, PartialEq)]
struct Bound {
    value: Value,
    included: bool,
}

impl Region {
    /// The region of a condition of the graph; `None` where it cannot be read or is too large.
    ///
    /// # Errors
    /// The part that keeps it from being true, where nothing makes it true.
    pub fn of(text: &Snippet, scope: &Scope, limits: &Limits) -> Result<Option<Self>, Span> {
        let Some(expr) = expression::parse(text, limits, &mut Diagnostics::new()) else { return Ok(None) };
        Self::of_expr(&expr, true, &|path| identity(path, scope)).map_err(|impossible| text.span(impossible.at))
    }

    /// Where a condition is true or, not `wanted`, false; `name` says which fact a path is, however it is written.
    ///
    /// # Errors
    /// The part of a conjunction that leaves no values, and whether what stands before it is to blame as well.
    pub(super) fn of_expr(
        expr: &Expr,
        wanted: bool,
        name: &dyn Fn(&Path) -> String,
    ) -> Result<Option<Self>, Impossible> {
        let mut solver = Solver { name, parts: 0, impossible: None };
        let cases = solver.region(expr, wanted);
        match cases {
            Some(cases) if cases.is_empty() => {
                Err(solver.impossible.unwrap_or(Impossible { at: expr.at(), beside: false }))
            }
            cases => Ok(cases.map(Self)),
        }
    }

    /// Whether whatever makes this true makes the other true.
    pub fn implies(&self, other: &Self) -> bool {
        let within = |a: &Case, b: &Case| {
            b.iter().all(|(subject, values)| a.get(subject).is_some_and(|own| own.is_within(values)))
        };
        self.0.iter().all(|a| other.0.iter().any(|b| within(a, b)))
    }
}

/// Why nothing makes a condition true.
pub(super) struct Impossible {
    /// The part that leaves no values.
    pub(super) at: At,
    /// Whether it does so only beside what stands before it.
    pub(super) beside: bool,
}

/// Which fact a path of the graph is.
pub(super) fn identity(path: &Path, scope: &Scope) -> String {
    let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
    match scope.resolve(&names) {
        Ok((fact, _)) => format!("{:?} {}", fact.owner, fact.path.join(".")),
        Err(_) => path.written(),
    }
}

impl Values {
    const ALL: Self = Self { null: true, some: true, lower: None, upper: None, excluded: Vec::new() };
    const NONE: Self = Self { null: false, some: false, lower: None, upper: None, excluded: Vec::new() };

    fn only(value: Value) -> Self {
        if value.is_null() {
            return Self { null: true, ..Self::NONE };
        }
        let bound = Bound { value, included: true };
        Self { some: true, lower: Some(bound.clone()), upper: Some(bound), ..Self::NONE }
    }

    fn all_but(value: Value) -> Self {
        if value.is_null() { Self { null: false, ..Self::ALL } } else { Self { excluded: vec![value], ..Self::ALL } }
    }

    fn beyond(operator: Compare, value: &Value) -> Self {
        let included = matches!(operator, Compare::LessEqual | Compare::GreaterEqual);
        let bound = Some(Bound { value: value.clone(), included });
        let (lower, upper) = match operator {
            Compare::Greater | Compare::GreaterEqual => (bound, None),
            _ => (None, bound),
        };
        Self { null: false, lower, upper, ..Self::ALL }
    }

    /// The values in both.
    fn and(&self, other: &Self) -> Self {
        let mut excluded = self.excluded.clone();
        excluded.extend(other.excluded.iter().cloned());
        Self {
            null: self.null && other.null,
            some: self.some && other.some,
            lower: tighter(self.lower.as_ref(), other.lower.as_ref(), Ordering::Greater),
            upper: tighter(self.upper.as_ref(), other.upper.as_ref(), Ordering::Less),
            excluded,
        }
    }

    fn is_empty(&self) -> bool {
        !self.null && !self.has_some()
    }

    /// Whether any value but null is there.
    fn has_some(&self) -> bool {
        let (Some(lower), Some(upper)) = (&self.lower, &self.upper) else { return self.some };
        match order(&lower.value, &upper.value) {
            Some(Ordering::Less) => self.some,
            Some(Ordering::Equal) => {
                self.some && lower.included && upper.included && !self.excluded.contains(&lower.value)
            }
            // Values of two types are never the same one.
            Some(Ordering::Greater) | None => false,
        }
    }

    /// Whether all of these values are among `other`.
    fn is_within(&self, other: &Self) -> bool {
        if self.null && !other.null {
            return false;
        }
        if !self.has_some() {
            return true;
        }
        let bounded = |own: Option<&Bound>, limit: Option<&Bound>, inner: Ordering| match (own, limit) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(limit)) => order(&own.value, &limit.value)
                .is_some_and(|order| order == inner || (order == Ordering::Equal && (limit.included || !own.included))),
        };
        other.some
            && bounded(self.lower.as_ref(), other.lower.as_ref(), Ordering::Greater)
            && bounded(self.upper.as_ref(), other.upper.as_ref(), Ordering::Less)
            && other.excluded.iter().all(|value| !self.holds(value))
    }

    /// Whether `value`, which is not null, is among them.
    fn holds(&self, value: &Value) -> bool {
        let inside = |bound: Option<&Bound>, outer: Ordering| {
            bound.is_none_or(|bound| {
                order(value, &bound.value)
                    .is_some_and(|order| order == outer || (order == Ordering::Equal && bound.included))
            })
        };
        self.some
            && inside(self.lower.as_ref(), Ordering::Greater)
            && inside(self.upper.as_ref(), Ordering::Less)
            && !self.excluded.contains(value)
    }
}

/// The bound that leaves fewer values; `outer` is the order of a tighter one to a wider one.
fn tighter(a: Option<&Bound>, b: Option<&Bound>, outer: Ordering) -> Option<Bound> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b).cloned() };
    let Some(order) = order(&a.value, &b.value) else {
        // Two types: `has_some` sees it where the other bound is of the other type; one of them is as good.
        return Some(a.clone());
    };
    let first = order == outer || (order == Ordering::Equal && !a.included);
    Some(if first { a.clone() } else { b.clone() })
}

/// The order of two values of one type; `None` where they are of two.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (a, b) => order_for("<", a, b).ok(),
    }
}

struct Solver<'a> {
    name: &'a dyn Fn(&Path) -> String,
    /// How many parts it has looked at.
    parts: usize,
    /// The first part that left no values.
    impossible: Option<Impossible>,
}

impl Solver<'_> {
    /// The cases in which `expr` is true, or, not `wanted`, false; none of them is empty.
    fn region(&mut self, expr: &Expr, wanted: bool) -> Option<Vec<Case>> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return None;
        }
        match expr {
            Expr::Literal { value: Value::Boolean(truth), .. } => Some(constant(*truth == wanted)),
            Expr::Not { of, .. } => self.region(of, !wanted),
            Expr::And { items, .. } if wanted => self.all(items, wanted),
            Expr::Or { items, .. } if !wanted => self.all(items, wanted),
            Expr::And { items, .. } | Expr::Or { items, .. } => self.any(items, wanted),
            Expr::Compare { operator, left, right, .. } => self.comparison(*operator, left, right, wanted, expr),
            other => Some(vec![self.truth(other, wanted)]),
        }
    }

    fn all(&mut self, items: &[Expr], wanted: bool) -> Option<Vec<Case>> {
        let mut cases = vec![Case::new()];
        for item in items {
            let more = self.region(item, wanted)?;
            let both: Vec<Case> =
                cases.iter().flat_map(|case| more.iter().filter_map(|other| joined(case, other))).collect();
            if both.len() > MOST_BOXES {
                return None;
            }
            if both.is_empty() {
                self.impossible.get_or_insert(Impossible { at: item.at(), beside: !more.is_empty() });
                return Some(both);
            }
            cases = both;
        }
        Some(cases)
    }

    fn any(&mut self, items: &[Expr], wanted: bool) -> Option<Vec<Case>> {
        let mut cases = Vec::new();
        for item in items {
            cases.extend(self.region(item, wanted)?);
            if cases.len() > MOST_BOXES {
                return None;
            }
        }
        if !cases.is_empty() {
            self.impossible = None;
        }
        Some(cases)
    }

    fn comparison(
        &self,
        operator: Compare,
        left: &Expr,
        right: &Expr,
        wanted: bool,
        whole: &Expr,
    ) -> Option<Vec<Case>> {
        let one = |subject: &Expr, values: Values| Some(vec![Case::from([(self.subject(subject), values)])]);
        match (literal(left), literal(right), operator) {
            (Some(left), Some(right), _) => match compare(operator, &left, &right) {
                Ok(truth) => Some(constant(truth == wanted)),
                Err(_) => Some(vec![self.truth(whole, wanted)]),
            },
            (_, None, Compare::In) => self.membership(left, right, wanted, whole),
            (None, Some(value), Compare::Equal | Compare::NotEqual) => {
                let equal = (operator == Compare::Equal) == wanted;
                one(left, if equal { Values::only(value) } else { Values::all_but(value) })
            }
            (Some(value), None, Compare::Equal | Compare::NotEqual) => {
                let equal = (operator == Compare::Equal) == wanted;
                one(right, if equal { Values::only(value) } else { Values::all_but(value) })
            }
            (None, Some(value), _) if is_order(operator) => {
                one(left, Values::beyond(if wanted { operator } else { negated(operator) }, &value))
            }
            (Some(value), None, _) if is_order(operator) => {
                let operator = operator.flipped();
                one(right, Values::beyond(if wanted { operator } else { negated(operator) }, &value))
            }
            (None, None, _) => Some(vec![self.relation(operator, left, right, wanted, whole)]),
            _ => Some(vec![self.truth(whole, wanted)]),
        }
    }

    /// `x in [1, 2]`
    fn membership(&self, left: &Expr, right: &Expr, wanted: bool, whole: &Expr) -> Option<Vec<Case>> {
        let opaque = || Some(vec![self.truth(whole, wanted)]);
        let (Expr::List { items, .. }, None) = (right, literal(left)) else { return opaque() };
        if items.len() > MOST_BOXES {
            return None;
        }
        let Some(values) = items.iter().map(literal).collect::<Option<Vec<Value>>>() else { return opaque() };
        let subject = self.subject(left);
        if wanted {
            let cases = values.into_iter().map(|value| Case::from([(subject.clone(), Values::only(value))]));
            return Some(cases.collect());
        }
        let none = values.into_iter().fold(Values::ALL, |all, value| all.and(&Values::all_but(value)));
        Some(vec![Case::from([(subject, none)])])
    }

    /// Two sides that both depend on facts: the order of one pair is one subject, however it is asked for.
    fn relation(&self, operator: Compare, left: &Expr, right: &Expr, wanted: bool, whole: &Expr) -> Case {
        let (left, right) = (self.subject(left), self.subject(right));
        let (subject, truth) = match operator {
            Compare::Greater => (format!("{left} > {right}"), wanted),
            Compare::LessEqual => (format!("{left} > {right}"), !wanted),
            Compare::Less => (format!("{right} > {left}"), wanted),
            Compare::GreaterEqual => (format!("{right} > {left}"), !wanted),
            Compare::Equal | Compare::NotEqual => {
                let (first, second) = if left <= right { (left, right) } else { (right, left) };
                (format!("{first} == {second}"), (operator == Compare::Equal) == wanted)
            }
            _ => return self.truth(whole, wanted),
        };
        Case::from([(subject, Values::only(Value::Boolean(truth)))])
    }

    /// A part that is simply true or false.
    fn truth(&self, expr: &Expr, wanted: bool) -> Case {
        Case::from([(self.subject(expr), Values::only(Value::Boolean(wanted)))])
    }

    fn subject(&self, expr: &Expr) -> String {
        match expr {
            Expr::Path(path) => (self.name)(path),
            other => canonical::with_names(other, self.name),
        }
    }
}

/// The cases of a part that is always true, or never.
fn constant(truth: bool) -> Vec<Case> {
    if truth { vec![Case::new()] } else { Vec::new() }
}

/// What is in both cases; `None` where nothing is.
fn joined(a: &Case, b: &Case) -> Option<Case> {
    let mut both = a.clone();
    for (subject, values) in b {
        let values = both.get(subject).map_or_else(|| values.clone(), |known| known.and(values));
        if values.is_empty() {
            return None;
        }
        both.insert(subject.clone(), values);
    }
    Some(both)
}

/// The value of an expression that is written out.
fn literal(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Literal { value, .. } => Some(value.clone()),
        Expr::Negate { of, .. } => negate(&literal(of)?).ok(),
        Expr::Arithmetic { first, rest, .. } if rest.len() <= MOST_BOXES => {
            let add = |total: Value, (operator, operand): &(Arithmetic, Expr)| {
                arithmetic(*operator, &total, &literal(operand)?).ok()
            };
            rest.iter().try_fold(literal(first)?, add)
        }
        _ => None,
    }
}

fn is_order(operator: Compare) -> bool {
    matches!(operator, Compare::Less | Compare::LessEqual | Compare::Greater | Compare::GreaterEqual)
}

fn negated(operator: Compare) -> Compare {
    match operator {
        Compare::Less => Compare::GreaterEqual,
        Compare::LessEqual => Compare::Greater,
        Compare::Greater => Compare::LessEqual,
        Compare::GreaterEqual => Compare::Less,
        other => other,
    }
}
