//! The values of a condition column, divided by the constants of its cells.
//!
//! The constants of a column divide its values into positions: below the first constant, the first constant, the values up to the
//! second one, and so on. Within a position each test of the column has one truth, so that a cell is a [`Set`] of positions. A cell
//! that compares with something else than constants has none.

use std::cmp::Ordering;

use crate::grl::ast::{At, Compare};
use crate::grl::operators::order_for;
use crate::grl::program::Node;
use crate::types::{Type, Value};

/// The constants of a column in their order.
pub(super) struct Axis {
    pub(super) constants: Vec<Value>,
}

/// The values for which a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Disjoint ranges of positions in their order, both ends included.
    pub(super) ranges: Vec<(usize, usize)>,
    /// Whether it holds for null; `None` where that is an error.
    pub(super) null: Option<bool>,
}

impl Axis {
    /// The axis of the cells of a column whose subject is at `subject`; `None` where their constants have no order.
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a Node>, subject: &At) -> Option<Self> {
        let mut constants = Vec::new();
        cells.for_each(|cell| collect(cell, subject, &mut constants));
        let ty = constants.first().map_or(Type::Any, Value::ty);
        if !constants.iter().all(|value| value.ty().comparable_with(&ty) && is_scalar(value)) {
            return None;
        }
        constants.sort_by(order);
        constants.dedup();
        Some(Self { constants })
    }

    /// How many positions there are.
    pub(super) fn len(&self) -> usize {
        2 * self.constants.len() + 1
    }

    /// The position of a value; `None` for one that cannot be compared with the constants.
    pub(super) fn position(&self, value: &Value) -> Option<usize> {
        let first = self.constants.first();
        if value.is_null() || !is_scalar(value) || !first.is_none_or(|first| first.ty().comparable_with(&value.ty())) {
            return None;
        }
        match self.constants.binary_search_by(|known| order(known, value)) {
            Ok(place) => Some(2 * place + 1),
            Err(place) => Some(2 * place),
        }
    }

    fn all(&self) -> Vec<(usize, usize)> {
        vec![(0, self.len() - 1)]
    }

    /// The values for which `cell` holds, whose subject is at `subject`; `None` where it is not a test with constants.
    pub(super) fn set(&self, cell: &Node, subject: &At) -> Option<Set> {
        match cell {
            Node::Constant(Value::Boolean(true)) => Some(Set { ranges: self.all(), null: Some(true) }),
            Node::Constant(Value::Boolean(false)) => Some(Set { ranges: Vec::new(), null: Some(false) }),
            Node::Compare { operator, left_at, right, each: false, .. } if left_at == subject => {
                let Node::Constant(value) = &**right else { return None };
                self.compared(*operator, value)
            }
            Node::Not(of, _) => {
                let set = self.set(of, subject)?;
                Some(Set { ranges: self.complement(&set.ranges), null: set.null.map(|null| !null) })
            }
            Node::And(items) => self.joined(items, subject, true),
            Node::Or(items) => self.joined(items, subject, false),
            _ => None,
        }
    }

    fn compared(&self, operator: Compare, value: &Value) -> Option<Set> {
        let points = |values: &[Value]| {
            let mut points: Option<Vec<_>> = values
                .iter()
                .filter(|value| !value.is_null())
                .map(|value| self.position(value).map(|position| (position, position)))
                .collect();
            if let Some(points) = &mut points {
                points.sort_unstable();
                points.dedup();
            }
            points
        };
        let last = self.len() - 1;
        let ordered = |ranges: Vec<(usize, usize)>| Some(Set { ranges, null: None });
        match (operator, value) {
            (Compare::Equal, Value::Null) => Some(Set { ranges: Vec::new(), null: Some(true) }),
            (Compare::NotEqual, Value::Null) => Some(Set { ranges: self.all(), null: Some(false) }),
            (_, Value::Null) => None,
            (Compare::In, Value::List(items)) => {
                Some(Set { ranges: points(items)?, null: Some(items.iter().any(Value::is_null)) })
            }
            (Compare::Equal, value) => Some(Set { ranges: points(std::slice::from_ref(value))?, null: Some(false) }),
            (Compare::NotEqual, value) => {
                let ranges = points(std::slice::from_ref(value))?;
                Some(Set { ranges: self.complement(&ranges), null: Some(true) })
            }
            (Compare::Less, value) => ordered(vec![(0, self.position(value)? - 1)]),
            (Compare::LessEqual, value) => ordered(vec![(0, self.position(value)?)]),
            (Compare::Greater, value) => ordered(vec![(self.position(value)? + 1, last)]),
            (Compare::GreaterEqual, value) => ordered(vec![(self.position(value)?, last)]),
            _ => None,
        }
    }

    fn complement(&self, ranges: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut left = Vec::with_capacity(ranges.len() + 1);
        let mut next = 0;
        for (low, high) in ranges {
            if *low > next {
                left.push((next, low - 1));
            }
            next = high + 1;
        }
        if next < self.len() {
            left.push((next, self.len() - 1));
        }
        left
    }

    /// The conjunction or the disjunction of tests. They are evaluated in their order: the first that decides for null does so.
    fn joined(&self, items: &[(Node, At)], subject: &At, is_all: bool) -> Option<Set> {
        let mut ranges = if is_all { self.all() } else { Vec::new() };
        let mut null = Some(is_all);
        for (item, _) in items {
            let set = self.set(item, subject)?;
            ranges = if is_all {
                intersection(&ranges, &set.ranges)
            } else {
                let (a, b) = (self.complement(&ranges), self.complement(&set.ranges));
                self.complement(&intersection(&a, &b))
            };
            null = if null == Some(is_all) { set.null } else { null };
        }
        Some(Set { ranges, null })
    }
}

/// The positions in both.
pub(super) fn intersection(a: &[(usize, usize)], b: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut both = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some((a_low, a_high)), Some((b_low, b_high))) = (a.get(i), b.get(j)) {
        let (low, high) = (*a_low.max(b_low), *a_high.min(b_high));
        if low <= high {
            both.push((low, high));
        }
        if a_high < b_high { i += 1 } else { j += 1 }
    }
    both
}

fn collect(cell: &Node, subject: &At, into: &mut Vec<Value>) {
    match cell {
        Node::Compare { left_at, right, each: false, .. } if left_at == subject => match &**right {
            Node::Constant(Value::List(items)) => into.extend(items.iter().filter(|item| !item.is_null()).cloned()),
            Node::Constant(value) if !value.is_null() => into.push(value.clone()),
            _ => {}
        },
        Node::Not(of, _) => collect(of, subject, into),
        Node::And(items) | Node::Or(items) => items.iter().for_each(|(item, _)| collect(item, subject, into)),
        _ => {}
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

/// The order of two constants of one type.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        _ => order_for("<", a, b).unwrap_or(Ordering::Equal),
    }
}
