//! The functions of the language. Each is declared once, in the file of its topic, with its signature, its types and its code;
//! `rules/README.md` describes it with an example.

mod dates;
mod lists;
mod numbers;
mod texts;
mod values;

use std::ops::RangeInclusive;

use super::error::EvalErrorKind as Error;
use crate::types::{Clock, Type, Value};

pub(super) use dates::is_day;

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How it is written, for messages.
    pub(super) signature: &'static str,
    /// How many arguments it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// Whether it takes null for an argument.
    pub(super) takes_null: bool,
    /// Whether a comparison of a list with a value inside it compares each element.
    pub(super) each: bool,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    pub(super) run: Run,
}

/// The code of a function: it is given the function's name, for its errors, and the arguments.
pub(super) type Run = fn(&'static str, &[Value], &Clock) -> Result<Value, Error>;

impl Function {
    const fn new(
        name: &'static str,
        signature: &'static str,
        arity: RangeInclusive<usize>,
        takes: Takes,
        gives: Gives,
        run: Run,
    ) -> Self {
        Self { name, signature, arity, takes_null: false, each: false, takes, gives, run }
    }

    const fn taking_null(self) -> Self {
        Self { takes_null: true, ..self }
    }

    const fn of_each_element(self) -> Self {
        Self { each: true, ..self }
    }
}

/// No limit to the number of arguments.
const MANY: usize = usize::MAX;

static BY_TOPIC: [&[Function]; 5] =
    [numbers::FUNCTIONS, lists::FUNCTIONS, values::FUNCTIONS, texts::FUNCTIONS, dates::FUNCTIONS];

/// All functions.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    BY_TOPIC.into_iter().flatten()
}

/// What all arguments must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Anything,
    Numbers,
    Texts,
    List,
    Numerics,
    Booleans,
    Dates,
    DateAndNumber,
    Ordered,
    TextOrList,
    TextAndNumbers,
    TextOrMoment,
    JsonAndText,
    /// A fact, which may be unset, and what stands in for it.
    Fact,
    Nothing,
}

/// Of which type the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Same,
    Element,
    Integer,
    Decimal,
    Text,
    Boolean,
    Date,
    Timestamp,
    Any,
}

impl Takes {
    /// What argument `index` must be, where `ty` is not that.
    pub(super) fn refuses(self, index: usize, count: usize, ty: &Type) -> Option<&'static str> {
        let number = ty.may_be_number();
        let ordered = number || matches!(ty, Type::Text | Type::Date | Type::Timestamp);
        let list = matches!(ty, Type::Any | Type::List(_));
        let (fits, expected) = match self {
            Self::Anything | Self::Fact | Self::Nothing => (true, ""),
            Self::Numbers => (number, "a number"),
            Self::Texts => (matches!(ty, Type::Any | Type::Text), "a text"),
            Self::List => (list, "a list"),
            Self::Numerics => (element(ty).is_some_and(|ty| ty.may_be_number()), "a list of numbers"),
            Self::Booleans => {
                (element(ty).is_some_and(|ty| matches!(ty, Type::Any | Type::Boolean)), "a list of conditions")
            }
            Self::Dates => (matches!(ty, Type::Any | Type::Date), "a date"),
            Self::DateAndNumber if index == 0 => (matches!(ty, Type::Any | Type::Date), "a date"),
            Self::TextAndNumbers if index == 0 => (matches!(ty, Type::Any | Type::Text), "a text"),
            Self::DateAndNumber | Self::TextAndNumbers => (number, "a whole number"),
            Self::TextOrMoment => {
                (matches!(ty, Type::Any | Type::Text | Type::Timestamp | Type::Date), "a text or a timestamp")
            }
            Self::JsonAndText if index == 0 => (
                element(ty).is_some_and(|ty| ty == Type::Any),
                "a JSON document (a column of a row has a dot before it)",
            ),
            Self::JsonAndText => (matches!(ty, Type::Any | Type::Text), "a key as a text"),
            Self::Ordered if count == 1 => {
                let orders = |ty: &Type| !matches!(ty, Type::Boolean | Type::List(_) | Type::Map(_));
                (
                    element(ty).is_some_and(|ty| orders(&ty)),
                    "a list of numbers, texts, dates or timestamps, or several of these",
                )
            }
            Self::Ordered => (ordered, "numbers, texts, dates or timestamps"),
            Self::TextOrList => (list || *ty == Type::Text, "a text or a list"),
        };
        (!fits).then_some(expected)
    }

    /// Whether a list with a null in it is an error.
    pub(super) fn refuses_null_elements(self) -> bool {
        matches!(self, Self::Ordered | Self::Numerics | Self::Booleans)
    }
}

impl Gives {
    pub(super) fn of(self, arguments: &[Type]) -> Type {
        match self {
            Self::Integer => Type::Integer,
            Self::Decimal => Type::Decimal,
            Self::Text => Type::Text,
            Self::Boolean => Type::Boolean,
            Self::Date => Type::Date,
            Self::Timestamp => Type::Timestamp,
            Self::Any => Type::Any,
            Self::Element => match arguments {
                [one] => element(one).unwrap_or(Type::Any),
                several => joined(several),
            },
            Self::Same => joined(arguments),
        }
    }
}

fn joined(types: &[Type]) -> Type {
    types.iter().cloned().reduce(|a, b| a.join(&b)).unwrap_or(Type::Any)
}

fn element(ty: &Type) -> Option<Type> {
    match ty {
        Type::Any => Some(Type::Any),
        Type::List(element) => Some(element.as_ref().clone()),
        _ => None,
    }
}
