//! Checked expressions. Names are slots, functions are resolved, patterns are compiled.
//!
//! A value is `Some`. `None` is *unknown*: the expression depends on a fact that is not set (Kleene logic: false && unknown is
//! false, true || unknown is true). Depth is bounded by the nesting limit, since chains are lists.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::Regex;

use super::ast::{Arithmetic, At, Compare};
use super::facts::{LOCAL, Lookup};
use super::functions::Function;
use crate::types::{Clock, FieldName, Value};

/// A checked expression.
pub(super) enum Node {
    Constant(Value),
    Slot {
        slot: usize,
        at: At,
    },
    /// Fields below a fact whose value is a map or a list of maps.
    Below {
        slot: usize,
        path: Box<[FieldName]>,
        at: At,
    },
    List(Box<[Node]>, At),
    Arithmetic {
        first: Box<Node>,
        rest: Box<[(Arithmetic, Node)]>,
        at: At,
    },
    And(Box<[(Node, At)]>),
    Or(Box<[(Node, At)]>),
    Not(Box<Node>, At),
    Negate(Box<Node>, At),
    Compare {
        operator: Compare,
        left: Box<Node>,
        left_at: At,
        right: Box<Node>,
        right_at: At,
        each: bool,
        at: At,
    },
    Matches {
        of: Box<Node>,
        pattern: Regex,
        each: bool,
        at: At,
    },
    Call {
        function: &'static Function,
        arguments: Box<[Node]>,
        at: At,
    },
    /// A call of a function that the graph defines: its body over its arguments, which are bound in order.
    Apply {
        name: Arc<str>,
        body: Arc<Node>,
        /// The height of the body.
        height: usize,
        arguments: Box<[Node]>,
        at: At,
    },
    /// The value of the first condition that is true, otherwise the last one.
    If {
        arms: Box<[(Node, At, Node)]>,
        otherwise: Box<Node>,
    },
    /// The values of `value` for the elements of `list` for which `condition` is true. The element is bound.
    For {
        value: Box<Node>,
        list: Box<Node>,
        condition: Option<(Box<Node>, At)>,
        at: At,
    },
    /// A bound value, or what is below it; the one bound last has the number 0.
    Bound {
        number: usize,
        name: FieldName,
        path: Box<[FieldName]>,
        at: At,
    },
    Map {
        names: Arc<[FieldName]>,
        values: Box<[Node]>,
        at: At,
    },
}

/// The environment of an evaluation.
pub(super) struct Env<'a> {
    /// The facts from outside, by slot.
    pub(super) reads: &'a [Lookup],
    /// How each is written.
    pub(super) read_names: &'a [FieldName],
    /// The rule node's own facts: slot [`LOCAL`] is the first.
    pub(super) locals: &'a [Lookup],
    /// How each is written.
    pub(super) local_names: &'a [FieldName],
    pub(super) clock: &'a Clock,
    pub(super) limit: TimeLimit,
    /// The elements of the lists that are gone through, and the arguments of functions of the graph; the innermost last.
    pub(super) bound: RefCell<Vec<Value>>,
}

/// When an evaluation is stopped.
#[derive(Clone)]
pub(super) enum TimeLimit {
    At(Instant),
    /// This long after the clock is first read, which quick evaluations never do.
    AfterFirstLook(Duration, OnceCell<Instant>),
}

/// The slot that stands for a refused expression.
pub(super) const BROKEN: usize = LOCAL - 1;

impl Node {
    /// Whether it is the literal null, or always null.
    pub(super) fn is_null(&self) -> bool {
        self.constant().is_some_and(Value::is_null)
    }

    /// Whether it is always zero.
    pub(super) fn is_zero(&self) -> bool {
        self.constant() == Some(&Value::Integer(0))
    }

    /// Its value, if it is constant.
    pub(super) fn constant(&self) -> Option<&Value> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The slots that it reads, in order; a slot that is read twice is listed twice.
    pub(super) fn slots(&self, into: &mut Vec<usize>) {
        match self {
            Self::Slot { slot, .. } | Self::Below { slot, .. } => into.push(*slot),
            Self::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.slots(into)),
            other => other.parts(&mut |part| part.slots(into)),
        }
    }

    /// Its direct parts, except the fact that `is_set` or `default` asks about.
    pub(super) fn parts<'a>(&'a self, each: &mut dyn FnMut(&'a Node)) {
        match self {
            Self::Constant(_) | Self::Slot { .. } | Self::Below { .. } | Self::Bound { .. } => {}
            Self::Call { function, arguments, .. } => {
                let asked = usize::from(function.asks());
                arguments.iter().skip(asked).for_each(each);
            }
            // The body of a function reads its arguments only.
            Self::List(items, _) | Self::Apply { arguments: items, .. } | Self::Map { values: items, .. } => {
                items.iter().for_each(each);
            }
            Self::If { arms, otherwise } => {
                arms.iter().for_each(|(condition, _, value)| {
                    each(condition);
                    each(value);
                });
                each(otherwise);
            }
            Self::For { value, list, condition, .. } => {
                each(list);
                condition.iter().for_each(|(condition, _)| each(condition));
                each(value);
            }
            Self::Arithmetic { first, rest, .. } => {
                each(first);
                rest.iter().for_each(|(_, operand)| each(operand));
            }
            Self::And(items) | Self::Or(items) => items.iter().for_each(|(item, _)| each(item)),
            Self::Not(of, _) | Self::Negate(of, _) | Self::Matches { of, .. } => each(of),
            Self::Compare { left, right, .. } => {
                each(left);
                each(right);
            }
        }
    }

    /// The slots whose values it needs: those that it reads, except those that only `is_set` and `default` ask about.
    pub(super) fn needs(&self, into: &mut Vec<usize>) {
        if let Self::Slot { slot, .. } | Self::Below { slot, .. } = self {
            into.push(*slot);
        }
        self.parts(&mut |part| part.needs(into));
    }

    /// The slots that `is_set` and `default` ask about, each with its place.
    pub(super) fn asks(&self, into: &mut Vec<(usize, At)>) {
        if let Self::Call { function, arguments, .. } = self
            && function.asks()
            && let Some(Self::Slot { slot, at } | Self::Below { slot, at, .. }) = arguments.first()
        {
            into.push((*slot, at.clone()));
        }
        self.parts(&mut |part| part.asks(into));
    }

    /// The slots without a value that make it unknown.
    pub(super) fn lacks(&self, env: &Env<'_>, into: &mut Vec<usize>) {
        match self {
            Self::Slot { slot, .. } | Self::Below { slot, .. } if env.is_unset(*slot) => into.push(*slot),
            Self::And(_) | Self::Or(_) if !matches!(self.value(env), Ok(None)) => {}
            Self::Call { function, arguments, .. } if function.asks() && arguments.len() > 1 => {
                if matches!(self.value(env), Ok(None)) {
                    arguments.iter().for_each(|argument| argument.lacks(env, into));
                }
            }
            Self::If { arms, otherwise } => {
                for (condition, at, value) in arms {
                    match condition.holds(env, at) {
                        Ok(Some(false)) => {}
                        Ok(Some(true)) => return value.lacks(env, into),
                        _ => return condition.lacks(env, into),
                    }
                }
                otherwise.lacks(env, into);
            }
            // What is asked of the elements has no value outside.
            Self::For { .. } => {
                let mut needed = Vec::new();
                self.needs(&mut needed);
                into.extend(needed.into_iter().filter(|slot| env.is_unset(*slot)));
            }
            _ => self.parts(&mut |part| part.lacks(env, into)),
        }
    }

    /// How deep its parts are within each other, the bodies of functions of the graph included.
    pub(super) fn height(&self) -> usize {
        let mut below = match self {
            Self::Apply { height, .. } => *height,
            _ => 0,
        };
        self.parts(&mut |part| below = below.max(part.height()));
        1 + below
    }
}
