//! The functions of the language. Each is declared once, in the file of its topic, with its signature, its types and its code;
//! `rules/README.md` describes it with an example. A name may be declared several times, for different numbers of arguments.

mod dates;
mod format;
mod lists;
mod moments;
mod numbers;
mod takes;
mod texts;
mod values;

use std::ops::RangeInclusive;

use super::error::EvalErrorKind as Error;
use crate::types::{Clock, Type, Value};

pub(super) use dates::is_day;
pub(super) use takes::Takes;
use takes::element;

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How it is written, for messages.
    pub(super) signature: &'static str,
    /// What each argument must be; the last one stands for all further ones.
    pub(super) takes: &'static [Takes],
    /// How many arguments it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// Whether it takes null for an argument.
    pub(super) takes_null: bool,
    /// Whether a comparison of a list with a value inside it compares each element.
    pub(super) each: bool,
    /// Whether its value depends on the zone of the clock.
    pub(super) local: bool,
    pub(super) gives: Gives,
    pub(super) run: Run,
}

/// The code of a function: it is given the function's name, for its errors, and the arguments.
pub(super) type Run = fn(&'static str, &[Value], &Clock) -> Result<Value, Error>;

impl Function {
    const fn new(name: &'static str, signature: &'static str, takes: &'static [Takes], gives: Gives, run: Run) -> Self {
        let arity = takes.len()..=takes.len();
        Self { name, signature, takes, arity, takes_null: false, each: false, local: false, gives, run }
    }

    /// The arguments after the first `least` may be left out.
    const fn at_least(self, least: usize) -> Self {
        Self { arity: least..=self.takes.len(), ..self }
    }

    /// There may be further arguments.
    const fn and_more(self) -> Self {
        Self { arity: self.takes.len()..=usize::MAX, ..self }
    }

    const fn taking_null(self) -> Self {
        Self { takes_null: true, ..self }
    }

    const fn of_each_element(self) -> Self {
        Self { each: true, ..self }
    }

    const fn in_the_zone_of_the_clock(self) -> Self {
        Self { local: true, ..self }
    }

    /// What the argument at `index` must be.
    pub(super) fn argument(&self, index: usize) -> Takes {
        self.takes.get(index).or(self.takes.last()).copied().unwrap_or(Takes::Anything)
    }

    /// Whether it asks about a fact, which may be unset: `is_set` and `default` do.
    pub(super) fn asks(&self) -> bool {
        matches!(self.takes.first(), Some(Takes::Fact))
    }
}

static BY_TOPIC: [&[Function]; 6] =
    [numbers::FUNCTIONS, lists::FUNCTIONS, values::FUNCTIONS, texts::FUNCTIONS, dates::FUNCTIONS, moments::FUNCTIONS];

/// All functions.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    BY_TOPIC.into_iter().flatten()
}

/// Of which type the result is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    /// What holds all arguments.
    Same,
    /// The type of the first argument.
    First,
    /// An element of the list.
    Element,
    /// A list of the elements of the first argument and of the further arguments.
    Extended,
    /// A list of the elements of the first argument.
    List,
    /// A list of what is in the lists inside each other.
    Flat,
    Texts,
    Integer,
    Decimal,
    Text,
    Boolean,
    Date,
    Timestamp,
    Any,
}

impl Gives {
    pub(super) fn of(self, arguments: &[Type]) -> Type {
        let first = || arguments.first().cloned().unwrap_or(Type::Any);
        let first_element = || element(&first()).unwrap_or(Type::Any);
        match self {
            Self::Integer => Type::Integer,
            Self::Decimal => Type::Decimal,
            Self::Text => Type::Text,
            Self::Boolean => Type::Boolean,
            Self::Date => Type::Date,
            Self::Timestamp => Type::Timestamp,
            Self::Any => Type::Any,
            Self::Same => arguments.iter().cloned().reduce(|a, b| a.join(&b)).unwrap_or(Type::Any),
            Self::First => first(),
            Self::Element => first_element(),
            Self::Texts => Type::List(Type::Text.into()),
            Self::List => Type::List(first_element().into()),
            Self::Extended => {
                let joined = arguments.iter().skip(1).fold(first_element(), |joined, ty| joined.join(ty));
                Type::List(joined.into())
            }
            Self::Flat => {
                let mut inner = first_element();
                while let Type::List(_) = inner {
                    inner = element(&inner).unwrap_or(Type::Any);
                }
                Type::List(inner.into())
            }
        }
    }
}
