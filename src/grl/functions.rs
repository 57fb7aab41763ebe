//! The functions of the language: what each takes, what it gives, and what it does. The list is in rules/README.md.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Span, Unit};

use super::ast::{Arithmetic, Compare};
use super::error::EvalErrorKind as Error;
use super::limits::LONGEST_TEXT;
use super::operators::{arithmetic, number, order_for, refused, unfit};
use crate::types::{Clock, Decimal, Type, Value};

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
            Self::Anything | Self::Nothing => (true, ""),
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
            Self::Ordered if count == 1 => (list, "a list, or several values"),
            Self::Ordered => (ordered, "numbers, texts, dates or timestamps"),
            Self::TextOrList => (list || *ty == Type::Text, "a text or a list"),
        };
        (!fits).then_some(expected)
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

fn round(arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let places = match arguments.get(1) {
        None => 0,
        Some(places) => whole("round", places)?,
    };
    let out = Error::OutOfRange { operator: "round" };
    let places = i32::try_from(places).ok().filter(|places| (-100..=100).contains(places)).ok_or(out)?;
    each_number("round", arguments.get(..1).unwrap_or_default(), |number| number.round(places))
}

fn each_number(
    name: &'static str,
    arguments: &[Value],
    run: impl Fn(&Decimal) -> Result<Decimal, crate::types::DecimalError>,
) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Integer(integer)) => {
            let result = run(&Decimal::from(*integer)).map_err(|error| refused(name, &error))?;
            Ok(result
                .to_i64()
                .filter(|_| result.to_string().bytes().all(|b| b != b'.'))
                .map_or(Value::Decimal(result), Value::Integer))
        }
        Some(value) => run(&number(name, value)?).map(Value::Decimal).map_err(|error| refused(name, &error)),
        None => Ok(Value::Null),
    }
}

fn whole(name: &'static str, value: &Value) -> Result<i64, Error> {
    let found =
        || Error::Type { operator: name, expected: "a whole number", found: format!("{} {value}", value.type_name()) };
    match value {
        Value::Integer(integer) => Ok(*integer),
        Value::Decimal(decimal) => decimal.to_i64().ok_or_else(found),
        _ => Err(found()),
    }
}

/// The values of the one list, or the arguments themselves.
fn values<'a>(name: &'static str, arguments: &'a [Value]) -> Result<&'a [Value], Error> {
    match arguments {
        [Value::List(items)] => no_null(name, items),
        [one] => Err(unfit(name, "a list", one)),
        several => Ok(several),
    }
}

fn no_null<'a>(name: &'static str, items: &'a [Value]) -> Result<&'a [Value], Error> {
    match items.iter().position(Value::is_null) {
        None => Ok(items),
        Some(at) => Err(Error::Null { operator: name, operand: format!("element {} of the list", at + 1) }),
    }
}

fn extreme(name: &'static str, arguments: &[Value], wanted: Compare) -> Result<Value, Error> {
    let mut values = values(name, arguments)?.iter();
    let Some(mut best) = values.next() else { return Ok(Value::Null) };
    for value in values {
        let order = order_for(name, value, best)?;
        if (wanted == Compare::Less && order.is_lt()) || (wanted == Compare::Greater && order.is_gt()) {
            best = value;
        }
    }
    Ok(best.clone())
}

fn sum(name: &'static str, arguments: &[Value]) -> Result<Value, Error> {
    let mut total = Value::Integer(0);
    for value in values(name, arguments)? {
        total = arithmetic(Arithmetic::Add, &total, value)?;
    }
    Ok(total)
}

fn avg(arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    match length("avg", arguments)? {
        Value::Integer(0) => Ok(Value::Null),
        count => arithmetic(Arithmetic::Divide, &sum("avg", arguments)?, &count),
    }
}

fn length(name: &'static str, arguments: &[Value]) -> Result<Value, Error> {
    let length = match arguments.first() {
        Some(Value::List(items)) => items.len(),
        Some(Value::Text(text)) if name == "len" => text.chars().count(),
        Some(other) => return Err(unfit(name, "a list", other)),
        None => 0,
    };
    i64::try_from(length).map(Value::Integer).map_err(|_| Error::OutOfRange { operator: name })
}

/// `any` looks for true, `all` for false.
fn booleans(name: &'static str, arguments: &[Value], wanted: bool) -> Result<Value, Error> {
    for value in values(name, arguments)? {
        match value {
            Value::Boolean(found) if *found == wanted => return Ok(Value::Boolean(wanted)),
            Value::Boolean(_) => {}
            other => return Err(unfit(name, "conditions", other)),
        }
    }
    Ok(Value::Boolean(!wanted))
}

fn coalesce(arguments: &[Value]) -> Value {
    arguments.iter().find(|value| !value.is_null()).cloned().unwrap_or_default()
}

fn text(name: &'static str, arguments: &[Value], run: impl Fn(&str) -> String) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Text(text)) => limited(name, &run(text)),
        Some(other) => Err(unfit(name, "a text", other)),
        None => Ok(Value::Null),
    }
}

fn limited(operator: &'static str, text: &str) -> Result<Value, Error> {
    if text.len() <= LONGEST_TEXT {
        Ok(Value::text(text))
    } else {
        Err(Error::TooLong { operator, limit: LONGEST_TEXT })
    }
}

fn concat(arguments: &[Value]) -> Result<Value, Error> {
    let mut joined = String::new();
    for value in arguments {
        match value {
            Value::Text(text) => joined.push_str(text),
            other => joined.push_str(&other.to_string()),
        }
        if joined.len() > LONGEST_TEXT {
            return Err(Error::TooLong { operator: "concat", limit: LONGEST_TEXT });
        }
    }
    Ok(Value::text(joined))
}

/// Characters are counted from 1, as SQL does.
fn substring(arguments: &[Value]) -> Result<Value, Error> {
    let count = |index: usize| -> Result<Option<usize>, Error> {
        let Some(value) = arguments.get(index) else { return Ok(None) };
        let out = |_| Error::OutOfRange { operator: "substring" };
        usize::try_from(whole("substring", value)?).map(Some).map_err(out)
    };
    let start = count(1)?.and_then(|start| start.checked_sub(1)).ok_or(Error::OutOfRange { operator: "substring" })?;
    let length = count(2)?.unwrap_or(usize::MAX);
    text("substring", arguments, |text| text.chars().skip(start).take(length).collect())
}

fn replace(arguments: &[Value]) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(what), Value::Text(by)] = arguments else {
        let other = arguments.iter().find(|value| !matches!(value, Value::Text(_))).unwrap_or(&Value::Null);
        return Err(unfit("replace", "texts", other));
    };
    if what.is_empty() {
        return Ok(Value::Text(Arc::clone(text)));
    }
    let grown = text.matches(&**what).count().saturating_mul(by.len());
    if grown > LONGEST_TEXT {
        return Err(Error::TooLong { operator: "replace", limit: LONGEST_TEXT });
    }
    limited("replace", &text.replace(&**what, by))
}

fn date(arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31\", or a timestamp";
    match arguments.first() {
        Some(Value::Date(date)) => Ok(Value::Date(*date)),
        Some(Value::Timestamp(moment)) => Ok(Value::Date(moment.to_zoned(clock.time_zone().clone()).date())),
        Some(Value::Text(text)) if is_day(text) => text.parse().map(Value::Date).map_err(|_| no_date("date", EXPECTED)),
        Some(Value::Text(_)) => Err(no_date("date", EXPECTED)),
        Some(other) => Err(unfit("date", EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

fn timestamp(arguments: &[Value]) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31T08:00:00Z\"";
    match arguments.first() {
        Some(Value::Text(text)) => text.parse().map(Value::Timestamp).map_err(|_| no_date("timestamp", EXPECTED)),
        Some(other) => Err(unfit("timestamp", EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

/// Whether `text` is written as a day: the parser itself would take the day of a moment, whose zone then gets lost.
pub(super) fn is_day(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn no_date(operator: &'static str, expected: &'static str) -> Error {
    Error::Type { operator, expected, found: "another text".to_owned() }
}

fn one_date(name: &'static str, arguments: &[Value]) -> Result<Date, Error> {
    match arguments.first() {
        Some(Value::Date(date)) => Ok(*date),
        Some(other) => Err(unfit(name, "a date", other)),
        None => Err(Error::OutOfRange { operator: name }),
    }
}

fn add_days(arguments: &[Value]) -> Result<Value, Error> {
    add("add_days", arguments, |days| Span::new().try_days(days))
}

/// The same day of another month, or the last one where that month is shorter.
fn add_months(arguments: &[Value]) -> Result<Value, Error> {
    add("add_months", arguments, |months| Span::new().try_months(months))
}

fn add(
    name: &'static str,
    arguments: &[Value],
    span: impl Fn(i64) -> Result<Span, jiff::Error>,
) -> Result<Value, Error> {
    let date = one_date(name, arguments)?;
    let count = arguments.get(1).map_or(Ok(0), |count| whole(name, count))?;
    let out = |_| Error::OutOfRange { operator: name };
    date.checked_add(span(count).map_err(out)?).map(Value::Date).map_err(out)
}

fn days_between(arguments: &[Value]) -> Result<Value, Error> {
    let from = one_date("days_between", arguments)?;
    let to = one_date("days_between", arguments.get(1..).unwrap_or_default())?;
    let span = from.until((Unit::Day, to)).map_err(|_| Error::OutOfRange { operator: "days_between" })?;
    Ok(Value::Integer(span.get_days().into()))
}
