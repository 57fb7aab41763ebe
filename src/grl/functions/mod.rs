//! The functions of the language: what each takes, what it gives, and what it does. The list is in rules/README.md.

mod dates;
mod json;
mod lists;
mod numbers;
mod texts;

pub(super) use dates::is_day;

use super::ast::Compare;
use super::error::EvalErrorKind as Error;
use crate::types::{Clock, Decimal, Type, Value};
use dates::{add_days, add_months, date, days_between, one_date, timestamp};
use json::get;
use lists::{avg, booleans, coalesce, extreme, length, sum};
use numbers::{each_number, round};
use texts::{concat, replace, substring, text};

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How it is written, for messages.
    pub(super) signature: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Whether it takes null for an argument.
    pub(super) takes_null: bool,
    /// Whether a comparison of a list with a value inside it compares each element.
    pub(super) each: bool,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    pub(super) run: fn(&[Value], &Clock) -> Result<Value, Error>,
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

macro_rules! function {
    ($name:literal, $signature:literal, $least:literal..=$most:expr, $takes:ident -> $gives:ident, $run:expr) => {
        Function {
            name: $name,
            signature: $signature,
            least: $least,
            most: $most,
            takes_null: false,
            each: false,
            takes: Takes::$takes,
            gives: Gives::$gives,
            run: $run,
        }
    };
}

/// As many arguments as one likes.
const MANY: usize = usize::MAX;

/// All functions.
pub(super) static FUNCTIONS: &[Function] = &[
    function!("round", "round(number, places)", 1..=2, Numbers -> Decimal, round),
    function!("floor", "floor(number)", 1..=1, Numbers -> Decimal, |a, _| each_number("floor", a, Decimal::floor)),
    function!("ceil", "ceil(number)", 1..=1, Numbers -> Decimal, |a, _| each_number("ceil", a, Decimal::ceil)),
    function!("abs", "abs(number)", 1..=1, Numbers -> Same, |a, _| each_number("abs", a, |n| Ok(n.abs()))),
    function!("trim_scale", "trim_scale(number)", 1..=1, Numbers -> Decimal, |a, _| each_number("trim_scale", a, |n| Ok(n.trim_scale()))),
    function!("min", "min(a, b, ...) or min(list)", 1..=MANY, Ordered -> Element, |a, _| extreme("min", a, Compare::Less)),
    function!("max", "max(a, b, ...) or max(list)", 1..=MANY, Ordered -> Element, |a, _| extreme("max", a, Compare::Greater)),
    function!("sum", "sum(list)", 1..=1, Numerics -> Element, |a, _| sum("sum", a)),
    function!("avg", "avg(list)", 1..=1, Numerics -> Decimal, avg),
    function!("count", "count(list)", 1..=1, List -> Integer, |a, _| length("count", a)),
    Function {
        each: true,
        ..function!("any", "any(list of conditions)", 1..=1, Booleans -> Boolean, |a, _| booleans("any", a, true))
    },
    Function {
        each: true,
        ..function!("all", "all(list of conditions)", 1..=1, Booleans -> Boolean, |a, _| booleans("all", a, false))
    },
    Function {
        takes_null: true,
        ..function!("coalesce", "coalesce(a, b, ...)", 1..=MANY, Anything -> Same, |a, _| Ok(coalesce(a)))
    },
    Function {
        takes_null: true,
        ..function!("is_set", "is_set(fact)", 1..=1, Fact -> Boolean, |a, _| Ok(Value::Boolean(!a.is_empty())))
    },
    Function {
        takes_null: true,
        ..function!("default", "default(fact, value)", 2..=2, Fact -> Same, |a, _| Ok(a.first().cloned().unwrap_or_default()))
    },
    Function { takes_null: true, ..function!("get", "get(json, \"key\")", 2..=2, JsonAndText -> Any, |a, _| get(a)) },
    function!("upper", "upper(text)", 1..=1, Texts -> Text, |a, _| text("upper", a, str::to_uppercase)),
    function!("lower", "lower(text)", 1..=1, Texts -> Text, |a, _| text("lower", a, str::to_lowercase)),
    function!("trim", "trim(text)", 1..=1, Texts -> Text, |a, _| text("trim", a, |t| t.trim().to_owned())),
    function!("len", "len(text or list)", 1..=1, TextOrList -> Integer, |a, _| length("len", a)),
    function!("concat", "concat(a, b, ...)", 1..=MANY, Anything -> Text, |a, _| concat(a)),
    function!("substring", "substring(text, start, length)", 2..=3, TextAndNumbers -> Text, |a, _| substring(a)),
    function!("replace", "replace(text, what, by)", 3..=3, Texts -> Text, |a, _| replace(a)),
    function!("today", "today()", 0..=0, Nothing -> Date, |_, clock| Ok(Value::Date(clock.today()))),
    function!("now", "now()", 0..=0, Nothing -> Timestamp, |_, clock| Ok(Value::Timestamp(clock.now()))),
    function!("date", "date(\"2026-01-31\") or date(timestamp)", 1..=1, TextOrMoment -> Date, date),
    function!("timestamp", "timestamp(\"2026-01-31T08:00:00Z\")", 1..=1, Texts -> Timestamp, |a, _| timestamp(a)),
    function!("add_days", "add_days(date, days)", 2..=2, DateAndNumber -> Date, |a, _| add_days(a)),
    function!("add_months", "add_months(date, months)", 2..=2, DateAndNumber -> Date, |a, _| add_months(a)),
    function!("days_between", "days_between(from, to)", 2..=2, Dates -> Integer, |a, _| days_between(a)),
    function!("year", "year(date)", 1..=1, Dates -> Integer, |a, _| Ok(Value::Integer(one_date("year", a)?.year().into()))),
    function!("month", "month(date)", 1..=1, Dates -> Integer, |a, _| Ok(Value::Integer(one_date("month", a)?.month().into()))),
    function!("day", "day(date)", 1..=1, Dates -> Integer, |a, _| Ok(Value::Integer(one_date("day", a)?.day().into()))),
    function!("weekday", "weekday(date)", 1..=1, Dates -> Integer, |a, _| Ok(Value::Integer(one_date("weekday", a)?.weekday().to_monday_one_offset().into()))),
];

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
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
}

impl Takes {
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
