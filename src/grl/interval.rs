//! Arithmetic over a box: what a number can be while each searched fact is anywhere in an interval of its own.
//!
//! A number that is linear in each fact alone has its extremes at the corners of the box, so it is kept as its values there, and
//! its dependence on the facts is not lost: `a - a * 0.1` is exact. What is not linear is kept as a least and a greatest value.
//! The corners are computed by the operators of a run, whose sums and products are exact.
//!
//! Where a comparison is not the same in the whole box, the evaluation branches: it is repeated with the one and with the other
//! result. A result holds for the rest of its branch, so that of `a > 10` and `a <= 10` one is true in each. What is true in all
//! branches is true in the whole box; some branches may stand for no point of it.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::ast::{Arithmetic, Compare};
use super::functions::Function;
use super::operators::{arithmetic, compare, order};
use crate::types::{Clock, Decimal, Value};

/// A number that depends on searched facts.
#[derive(Debug, Clone)]
pub struct Interval {
    /// The same for all that are computed in the same way, and so have the same value at each point of the box.
    id: usize,
    /// The searched facts that it depends on: a bit for each.
    of: u8,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    /// The values at the corners of the box. It is linear in each fact alone.
    Corners(Vec<Value>),
    /// The least and the greatest value that it may have.
    Between(Value, Value),
    /// Any value, not always a number.
    Any,
}

/// A value over the box.
#[derive(Debug, Clone)]
pub enum Part {
    /// It is the same at each point.
    Known(Value),
    /// It depends on searched facts.
    Varies(Interval),
}

/// Why the evaluation of a branch stops.
#[derive(Debug)]
pub enum Stop {
    /// At each point of the branch the run ends in an error, or there is no such point.
    NoDecision,
    /// It cannot be evaluated over the box. In a box in which the facts of these bits vary less, it may be.
    NotCovered(u8),
}

/// What a value is computed from.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Source {
    Id(usize),
    /// A constant, as it is written: 5 and 5.0 are equal, and their texts are not.
    Constant(String),
}

/// The branches of the evaluations over one box.
#[derive(Default)]
pub struct Branches {
    /// The choices of this branch.
    taken: Vec<bool>,
    /// How many of them have been made.
    next: usize,
    /// The facts that they depend on.
    of: u8,
    /// The results of comparisons with constants in this branch: the least and the greatest order.
    results: Vec<(usize, Value, [Ordering; 2])>,
    /// The numbers of intervals, by what they are computed from.
    ids: HashMap<(&'static str, Vec<Source>), usize>,
}

impl Interval {
    pub(super) fn of(&self) -> u8 {
        self.of
    }

    pub(super) fn is_number(&self) -> bool {
        !matches!(self.values, Values::Any)
    }
}

impl Part {
    /// The searched facts that it depends on.
    pub(super) fn of(&self) -> u8 {
        match self {
            Self::Known(_) => 0,
            Self::Varies(interval) => interval.of,
        }
    }

    pub(super) fn source(&self) -> Source {
        match self {
            Self::Known(value) => Source::Constant(format!("{value:?}")),
            Self::Varies(interval) => Source::Id(interval.id),
        }
    }

    fn corner(&self, corner: usize) -> Option<&Value> {
        match self {
            Self::Known(value) => Some(value),
            Self::Varies(Interval { values: Values::Corners(values), .. }) => values.get(corner),
            Self::Varies(_) => None,
        }
    }

    /// What `made` gives at each corner; `None` where that is an error, or where one of them is not known at the corners.
    fn at_corners<T>(&self, other: &Self, made: impl Fn(&Value, &Value) -> Option<T>) -> Option<Vec<T>> {
        let corners = match (self, other) {
            (Self::Varies(Interval { values: Values::Corners(all), .. }), _)
            | (_, Self::Varies(Interval { values: Values::Corners(all), .. })) => all.len(),
            _ => return None,
        };
        (0..corners).map(|corner| made(self.corner(corner)?, other.corner(corner)?)).collect()
    }

    /// The least and the greatest value, where it is a number.
    fn ends(&self) -> Option<(Value, Value)> {
        match self {
            Self::Known(value) => Some((value.clone(), value.clone())),
            Self::Varies(Interval { values: Values::Between(least, greatest), .. }) => {
                Some((least.clone(), greatest.clone()))
            }
            Self::Varies(Interval { values: Values::Corners(values), .. }) => ends(values.clone()),
            Self::Varies(_) => None,
        }
    }
}

/// The least and the greatest of these numbers.
fn ends(mut numbers: Vec<Value>) -> Option<(Value, Value)> {
    if numbers.iter().any(|number| !is_number(number)) {
        return None;
    }
    numbers.sort_by(|a, b| order(Compare::Less, a, b).unwrap_or(Ordering::Equal));
    Some((numbers.first()?.clone(), numbers.last()?.clone()))
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Decimal(_))
}

/// The facts along which the values at the corners differ.
fn depends_on(corners: &[Value]) -> u8 {
    let bits = (0_u8..8).filter(|bit| {
        let other = |corner: usize| corners.get(corner | 1 << bit);
        corners.iter().enumerate().any(|(corner, value)| other(corner).is_some_and(|other| other != value))
    });
    bits.fold(0, |of, bit| of | 1 << bit)
}

/// Whether all quotients by the number terminate, and so are exact.
fn divides_exactly(divisor: &Value) -> bool {
    let one = Value::Integer(1);
    let reciprocal = arithmetic(Arithmetic::Divide, &one, divisor);
    reciprocal
        .and_then(|reciprocal| arithmetic(Arithmetic::Multiply, &reciprocal, divisor))
        .is_ok_and(|back| back == one)
}

/// The bounds of a sum, a difference, a product, or a quotient by what is never zero.
fn bounds(operator: Arithmetic, a: &Part, b: &Part) -> Option<Values> {
    let (a, b) = (a.ends()?, b.ends()?);
    let mut slack = Value::Integer(0);
    match operator {
        Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply => {}
        Arithmetic::Divide => {
            let sign = |value: &Value| order(Compare::Less, value, &Value::Integer(0)).ok();
            if sign(&b.0)? != sign(&b.1)? {
                return None;
            }
            // A quotient is rounded by at most half of this, those of the ends and those between them.
            slack = Value::Decimal(Decimal::from_i128(1, 28).ok()?);
        }
        Arithmetic::Remainder | Arithmetic::Power => return None,
    }
    let all = [(&a.0, &b.0), (&a.0, &b.1), (&a.1, &b.0), (&a.1, &b.1)];
    let all: Option<Vec<Value>> = all.into_iter().map(|(a, b)| arithmetic(operator, a, b).ok()).collect();
    let (least, greatest) = ends(all?)?;
    let least = arithmetic(Arithmetic::Subtract, &least, &slack).ok()?;
    Some(Values::Between(least, arithmetic(Arithmetic::Add, &greatest, &slack).ok()?))
}

/// The orders of `a` and `b` in the box: all from the first to the second one.
fn orders(a: &Part, b: &Part) -> Option<[Ordering; 2]> {
    let at = |a: &Value, b: &Value| order(Compare::Less, a, b).ok().filter(|_| is_number(a));
    if let Some(all) = a.at_corners(b, at) {
        return Some([*all.iter().min()?, *all.iter().max()?]);
    }
    let (a, b) = (a.ends()?, b.ends()?);
    Some([at(&a.0, &b.1)?, at(&a.1, &b.0)?])
}

/// Whether the comparison is true of values in this order.
fn is_true(operator: Compare, order: Ordering) -> Option<bool> {
    compare(operator, &Value::Integer(order as i64), &Value::Integer(0)).ok()
}

impl Branches {
    /// Begins the next branch. `false` after the last one.
    pub fn another(&mut self) -> bool {
        (self.next, self.of) = (0, 0);
        self.results.clear();
        while let Some(choice) = self.taken.pop() {
            if choice {
                self.taken.push(false);
                return true;
            }
        }
        false
    }

    /// The facts that the choices of this branch depend on.
    pub fn of(&self) -> u8 {
        self.of
    }

    /// The searched fact of this number, which has the value `corners` at each corner of the box.
    pub fn fact(&mut self, number: u8, corners: Vec<Value>) -> Interval {
        let id = self.id("fact", vec![Source::Id(usize::from(number))]);
        Interval { id, of: 1 << number, values: Values::Corners(corners) }
    }

    fn id(&mut self, operation: &'static str, from: Vec<Source>) -> usize {
        let next = self.ids.len();
        *self.ids.entry((operation, from)).or_insert(next)
    }

    /// A value of which no more is known than what it is made from.
    pub(super) fn any(&mut self, of: u8, from: Vec<Source>) -> Part {
        Part::Varies(Interval { id: self.id("any", from), of, values: Values::Any })
    }

    fn choose(&mut self, of: u8) -> bool {
        self.of |= of;
        self.next += 1;
        match self.taken.get(self.next - 1) {
            Some(taken) => *taken,
            None => {
                self.taken.push(true);
                true
            }
        }
    }

    pub(super) fn arithmetic(&mut self, operator: Arithmetic, a: &Part, b: &Part) -> Result<Part, Stop> {
        if let (Part::Known(a), Part::Known(b)) = (a, b) {
            return arithmetic(operator, a, b).map(Part::Known).map_err(|_| Stop::NotCovered(0));
        }
        let is_linear = match operator {
            Arithmetic::Add | Arithmetic::Subtract => true,
            Arithmetic::Multiply => a.of() & b.of() == 0,
            Arithmetic::Divide => matches!(b, Part::Known(divisor) if divides_exactly(divisor)),
            Arithmetic::Remainder | Arithmetic::Power => false,
        };
        let corners = if is_linear { a.at_corners(b, |a, b| arithmetic(operator, a, b).ok()) } else { None };
        let values = corners.map(Values::Corners).or_else(|| bounds(operator, a, b)).unwrap_or(Values::Any);
        let id = self.id(operator.text(), vec![a.source(), b.source()]);
        let of = match &values {
            Values::Corners(corners) => depends_on(corners),
            Values::Between(..) | Values::Any => 0,
        };
        Ok(Part::Varies(Interval { id, of: if of == 0 { a.of() | b.of() } else { of }, values }))
    }

    /// The result of a function of which a greater first argument gives no smaller one.
    pub(super) fn monotone(
        &mut self,
        function: &Function,
        (first, others): (&Interval, &[Part]),
        clock: &Clock,
    ) -> Option<Part> {
        let (least, greatest) = Part::Varies(first.clone()).ends()?;
        let constant = |part: &Part| if let Part::Known(value) = part { Some(value.clone()) } else { None };
        let constants: Vec<Value> = others.iter().map(constant).collect::<Option<_>>()?;
        let run = |end: Value| (function.run)(function.name, &[&[end], constants.as_slice()].concat(), clock).ok();
        let values = Values::Between(run(least)?, run(greatest)?);
        let from = std::iter::once(Source::Id(first.id)).chain(others.iter().map(Part::source)).collect();
        Some(Part::Varies(Interval { id: self.id(function.name, from), of: first.of, values }))
    }

    /// The truth of a comparison, in this branch.
    pub(super) fn compare(&mut self, operator: Compare, a: &Part, b: &Part) -> Result<bool, Stop> {
        let of = a.of() | b.of();
        let stop = || Stop::NotCovered(of);
        let (key, constant) = match (a, b) {
            (Part::Known(a), Part::Known(b)) => return compare(operator, a, b).map_err(|_| stop()),
            (Part::Known(_), Part::Varies(_)) => return self.compare(operator.flipped(), b, a),
            (
                Part::Varies(Interval { values: Values::Corners(_) | Values::Between(..), .. }),
                Part::Known(Value::Null),
            ) => {
                let is_equal = [Compare::Equal, Compare::NotEqual].into_iter().find(|known| *known == operator);
                return is_equal.map(|operator| operator == Compare::NotEqual).ok_or_else(stop);
            }
            (Part::Varies(a), Part::Known(b)) => (a.id, b.clone()),
            (Part::Varies(a), Part::Varies(b)) => {
                (self.id("-", vec![Source::Id(a.id), Source::Id(b.id)]), Value::Integer(0))
            }
        };
        let is_same = matches!((a, b), (Part::Varies(a), Part::Varies(b)) if a.id == b.id);
        let orders = if is_same { Some([Ordering::Equal; 2]) } else { orders(a, b) };
        let [mut least, mut greatest] = orders.ok_or_else(stop)?;
        for (known, than, [low, high]) in &self.results {
            let Some(to_constant) = order(Compare::Less, than, &constant).ok().filter(|_| *known == key) else {
                continue;
            };
            // Above or equal to what is above or equal to the constant; and below it.
            if *low != Ordering::Less && to_constant != Ordering::Less {
                least = least.max(to_constant.then(*low));
            }
            if *high != Ordering::Greater && to_constant != Ordering::Greater {
                greatest = greatest.min(to_constant.then(*high));
            }
        }
        let all = [Ordering::Less, Ordering::Equal, Ordering::Greater];
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        for order in all.into_iter().filter(|order| (least..=greatest).contains(order)) {
            if is_true(operator, order).ok_or_else(stop)? { yes.push(order) } else { no.push(order) }
        }
        if yes.is_empty() && no.is_empty() {
            return Err(Stop::NoDecision);
        }
        if yes.is_empty() || no.is_empty() {
            return Ok(no.is_empty());
        }
        let truth = self.choose(of);
        let mut orders = if truth { yes } else { no };
        if orders == [Ordering::Less, Ordering::Greater] {
            let kept = self.choose(of);
            orders.retain(|order| (*order == Ordering::Less) == kept);
        }
        if let (Some(least), Some(greatest)) = (orders.first(), orders.last()) {
            self.results.push((key, constant, [*least, *greatest]));
        }
        Ok(truth)
    }

    /// The least or the greatest of these numbers.
    pub(super) fn extreme(&mut self, better: Compare, first: &Part, others: &[Part]) -> Result<Part, Stop> {
        let mut best = first;
        for other in others {
            if self.compare(better, other, best)? {
                best = other;
            }
        }
        Ok(best.clone())
    }
}
