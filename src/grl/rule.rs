//! One compiled rule: its condition and its statements over slots.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use super::ast::{Assign, At};
use super::program::Node;
use crate::diagnostics::{Snippet, Span};
use crate::types::{Clock, Value};

/// The initial state of an own fact, before the first rule runs.
pub(super) enum Start {
    Unset,
    Value(Value),
    /// The value of this slot from outside.
    Read(usize),
}

/// One compiled rule.
pub(super) struct CompiledRule {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) salience: i32,
    pub(super) no_loop: bool,
    /// Whether it stands for `let fact = expression;`.
    pub(super) is_let: bool,
    pub(super) effective: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) snippet: Snippet,
    /// The place of its name.
    pub(super) at: At,
    pub(super) when: Node,
    pub(super) when_at: At,
    pub(super) then: Vec<Action>,
    /// The places of its statements.
    pub(super) statements: Vec<At>,
}

/// One compiled statement.
pub(super) enum Action {
    Assign(CompiledAssignment),
    Log(Vec<Node>),
}

/// `target = value;`, also with `+=` and `-=`.
pub(super) struct CompiledAssignment {
    pub(super) local: usize,
    pub(super) operator: Assign,
    pub(super) value: Node,
    pub(super) at: At,
}

impl CompiledRule {
    /// The place of its name.
    pub(super) fn span(&self) -> Span {
        self.snippet.span(self.at.clone())
    }

    pub(super) fn assignments(&self) -> impl Iterator<Item = &CompiledAssignment> {
        self.then.iter().filter_map(|action| match action {
            Action::Assign(assignment) => Some(assignment),
            Action::Log(_) => None,
        })
    }

    /// The values that it logs.
    pub(super) fn logged(&self) -> impl Iterator<Item = &Node> {
        self.then.iter().flat_map(|action| match action {
            Action::Log(values) => values.as_slice(),
            Action::Assign(_) => &[],
        })
    }

    /// Whether its dates let it fire now.
    pub(super) fn is_in_force(&self, clock: &Clock) -> bool {
        self.effective.as_ref().is_none_or(|from| from.has_come(clock))
            && !self.expires.as_ref().is_some_and(|until| until.has_come(clock))
    }
}

/// The first or the last moment of a rule.
pub(super) enum Moment {
    /// The start of this day in the clock's time zone.
    Day(Date),
    At(Timestamp),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::At(moment) => moment.fmt(f),
        }
    }
}

impl Moment {
    pub(super) fn has_come(&self, clock: &Clock) -> bool {
        match self {
            Self::Day(day) => clock.today() >= *day,
            Self::At(moment) => clock.now() >= *moment,
        }
    }
}
