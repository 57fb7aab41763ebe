//! Constant parts of expressions are computed once, when they are checked. An error there is an error for all facts.

use std::cell::{OnceCell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, offset};

use super::error::Fault;
use super::functions::{Function, Takes};
use super::program::{Env, Node, TimeLimit};
use crate::types::{Clock, Value};

/// Longer constant chains are computed at run time: they may take long.
const MOST_OPERANDS: usize = 64;
/// How long a constant part may take.
const LONGEST: Duration = Duration::from_secs(1);

impl Node {
    /// The node, or its value if it is constant.
    ///
    /// # Errors
    /// Why it has no value, whatever the facts are.
    pub(super) fn folded(self) -> Result<Self, Fault> {
        if self.is_foldable() {
            return match self.under_any_clock()? {
                Some(value) if !self.is_local() => Ok(Self::Constant(value)),
                _ => Ok(self),
            };
        }
        if let Self::Call { function, arguments, at } = &self
            && let Some(fault) = surely_fails(function, arguments, at)
        {
            return Err(fault);
        }
        Ok(self)
    }

    fn is_foldable(&self) -> bool {
        let constant = |node: &Self| matches!(node, Self::Constant(_));
        match self {
            Self::Arithmetic { first, rest, .. } => {
                rest.len() < MOST_OPERANDS && constant(first) && rest.iter().all(|(_, operand)| constant(operand))
            }
            Self::List(items, _) | Self::Call { arguments: items, .. } => items.iter().all(constant),
            Self::Not(of, _) | Self::Negate(of, _) | Self::Matches { of, .. } => constant(of),
            Self::Compare { left, right, .. } => constant(left) && constant(right),
            Self::Map { values, .. } => values.iter().all(constant),
            Self::Apply { arguments, .. } => arguments.iter().all(constant),
            Self::Constant(_)
            | Self::Slot { .. }
            | Self::Below { .. }
            | Self::Bound { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::If { .. }
            | Self::For { .. } => false,
        }
    }

    /// Whether its value depends on the time zone: two zones do not tell, since few hours are skipped or repeated in any.
    fn is_local(&self) -> bool {
        matches!(self, Self::Call { function, .. } if function.local)
    }

    /// Its value, if that is the same at any time and in any time zone.
    fn under_any_clock(&self) -> Result<Option<Value>, Fault> {
        let at = |seconds, hours| {
            let moment = Timestamp::from_second(seconds).unwrap_or_default();
            let clock = Clock::fixed(moment, TimeZone::fixed(offset(hours)));
            self.value(&env(&clock))
        };
        let (early, late) = (at(0, -12), at(2_000_000_000, 12));
        match (early, late) {
            (Ok(early), Ok(late)) => Ok(if early == late { early } else { None }),
            (Err(fault), Err(_)) => Err(fault),
            _ => Ok(None),
        }
    }
}

/// Why a call with constant further arguments fails for every first argument.
fn surely_fails(function: &'static Function, arguments: &[Node], at: &std::ops::Range<usize>) -> Option<Fault> {
    let (first, others) = arguments.split_first()?;
    let all_constant = others.iter().all(|other| matches!(other, Node::Constant(_)));
    if first.constant().is_some() || others.is_empty() || !all_constant {
        return None;
    }
    // A call that fails for both ends of the calendar and for a day between them fails for every day.
    let dates = || [Date::MIN, Date::constant(2000, 1, 1), Date::MAX].map(Value::Date);
    let moments = || [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX].map(Value::Timestamp);
    let probes = match function.argument(0) {
        Takes::Number => vec![Value::Integer(0), Value::Integer(1)],
        Takes::Text => vec![Value::text("")],
        Takes::List => vec![Value::list([])],
        Takes::Date => dates().into(),
        Takes::Timestamp => moments().into(),
        Takes::DateOrTimestamp => [dates(), moments()].concat(),
        _ => return None,
    };
    let clock = Clock::fixed(Timestamp::UNIX_EPOCH, TimeZone::UTC);
    let mut last = None;
    for probe in probes {
        let mut values = vec![probe];
        values.extend(others.iter().filter_map(Node::constant).cloned());
        last = Some((function.run)(function.name, &values, &clock).err()?);
    }
    last.map(|kind| Fault::new(at, kind))
}

fn env(clock: &Clock) -> Env<'_> {
    let limit = TimeLimit::AfterFirstLook(LONGEST, OnceCell::new());
    Env { reads: &[], read_names: &[], locals: &[], local_names: &[], clock, limit, bound: RefCell::default() }
}
