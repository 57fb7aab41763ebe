//! Functions of a list, or of several arguments in place of one. None makes a list longer than the limit from shorter ones.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::numbers::whole;
use super::takes::Form;
use super::texts::{limited, push_written, texts};
use super::{Function, Gives, Takes};
use crate::grl::ast::{Arithmetic, Compare};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::limits::LONGEST_LIST;
use crate::grl::operators::{arithmetic, compare, order_for, unfit};
use crate::types::{Clock, Value};

/// The order of a sorted list.
static ORDER: Form =
    Form { expected: "\"asc\" or \"desc\"", constant: true, fits: |text, _| ["asc", "desc"].contains(&text) };

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("min", "min(list)", &[Takes::Sortable], Gives::Element, least),
    Function::new("min", "min(a, b, ...)", &[Takes::Ordered, Takes::Ordered], Gives::Same, least).and_more(),
    Function::new("max", "max(list)", &[Takes::Sortable], Gives::Element, greatest),
    Function::new("max", "max(a, b, ...)", &[Takes::Ordered, Takes::Ordered], Gives::Same, greatest).and_more(),
    Function::new("sum", "sum(list)", &[Takes::Numbers], Gives::Element, sum),
    Function::new("avg", "avg(list)", &[Takes::Numbers], Gives::Decimal, avg),
    Function::new("median", "median(list)", &[Takes::Numbers], Gives::Decimal, median),
    Function::new("count", "count(list)", &[Takes::List], Gives::Integer, |name, arguments, _| length(name, arguments)),
    Function::new("len", "len(text or list)", &[Takes::TextOrList], Gives::Integer, |name, arguments, _| {
        length(name, arguments)
    }),
    Function::new("any", "any(list of conditions)", &[Takes::Conditions], Gives::Boolean, |name, arguments, _| {
        booleans(name, arguments, true)
    })
    .of_each_element(),
    Function::new("all", "all(list of conditions)", &[Takes::Conditions], Gives::Boolean, |name, arguments, _| {
        booleans(name, arguments, false)
    })
    .of_each_element(),
    Function::new("first", "first(list)", &[Takes::List], Gives::Element, |name, arguments, _| {
        Ok(items(name, arguments)?.first().cloned().unwrap_or_default())
    }),
    Function::new("last", "last(list)", &[Takes::List], Gives::Element, |name, arguments, _| {
        Ok(items(name, arguments)?.last().cloned().unwrap_or_default())
    }),
    Function::new("index", "index(list, place)", &[Takes::List, Takes::Whole], Gives::Element, index),
    Function::new("index_of", "index_of(list, value)", &[Takes::List, Takes::Element], Gives::Integer, index_of),
    Function::new("sort", "sort(list, \"desc\")", &[Takes::Sortable, Takes::Form(&ORDER)], Gives::List, sort)
        .at_least(1),
    Function::new("reverse", "reverse(list)", &[Takes::List], Gives::List, |name, arguments, _| {
        Ok(Value::list(items(name, arguments)?.iter().rev().cloned()))
    }),
    Function::new("distinct", "distinct(list)", &[Takes::List], Gives::List, |name, arguments, _| {
        let mut known = HashSet::new();
        Ok(Value::list(items(name, arguments)?.iter().filter(|item| known.insert(*item)).cloned()))
    }),
    Function::new("compact", "compact(list)", &[Takes::List], Gives::List, |name, arguments, _| {
        Ok(Value::list(items(name, arguments)?.iter().filter(|item| !item.is_null()).cloned()))
    }),
    Function::new("append", "append(list, value, ...)", &[Takes::List, Takes::Element], Gives::Extended, append)
        .and_more(),
    Function::new("concatenate", "concatenate(list, list, ...)", &[Takes::List, Takes::List], Gives::Same, concatenate)
        .and_more(),
    Function::new("flatten", "flatten(list)", &[Takes::List], Gives::Flat, |name, arguments, _| {
        let mut flat = Vec::new();
        flatten(name, items(name, arguments)?, &mut flat)?;
        Ok(Value::List(flat.into()))
    }),
    Function::new("split", "split(text, separator)", &[Takes::Text, Takes::Text], Gives::Texts, split),
    Function::new("join", "join(list, \", \")", &[Takes::List, Takes::Text], Gives::Text, join),
];

/// The elements of the list that is the first argument.
fn items<'a>(name: &'static str, arguments: &'a [Value]) -> Result<&'a [Value], Error> {
    match arguments.first() {
        Some(Value::List(items)) => Ok(items),
        Some(other) => Err(unfit(name, "a list", other)),
        None => Ok(&[]),
    }
}

/// The values of the one list, or the arguments themselves.
fn values<'a>(name: &'static str, arguments: &'a [Value]) -> Result<&'a [Value], Error> {
    match arguments {
        [_] => no_null(name, items(name, arguments)?),
        several => Ok(several),
    }
}

fn no_null<'a>(name: &'static str, items: &'a [Value]) -> Result<&'a [Value], Error> {
    match items.iter().position(Value::is_null) {
        None => Ok(items),
        Some(at) => Err(Error::Null {
            operator: name,
            operand: format!("element {} of the list (`compact(list)` leaves nulls out)", at + 1),
        }),
    }
}

/// Adds `more` to a list that a function makes.
fn extend(name: &'static str, list: &mut Vec<Value>, more: &[Value]) -> Result<(), Error> {
    if list.len() + more.len() > LONGEST_LIST {
        return Err(Error::TooManyElements { operator: name, limit: LONGEST_LIST });
    }
    list.extend_from_slice(more);
    Ok(())
}

fn least(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    extreme(name, arguments, Compare::Less)
}

fn greatest(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    extreme(name, arguments, Compare::Greater)
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

fn sum(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut total = Value::Integer(0);
    for value in values(name, arguments)? {
        total = arithmetic(Arithmetic::Add, &total, value)?;
    }
    Ok(total)
}

fn avg(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    match length(name, arguments)? {
        Value::Integer(0) => Ok(Value::Null),
        count => arithmetic(Arithmetic::Divide, &sum(name, arguments, clock)?, &count),
    }
}

fn median(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let sorted = sorted(name, values(name, arguments)?, |order| order)?;
    if let Some(other) = sorted.first().filter(|value| !matches!(value, Value::Integer(_) | Value::Decimal(_))) {
        return Err(unfit(name, "numbers", other));
    }
    let upper = sorted.get(sorted.len() / 2).cloned().unwrap_or_default();
    match sorted.len().checked_sub(1).and_then(|last| sorted.get(last / 2)) {
        Some(lower) if sorted.len().is_multiple_of(2) => {
            arithmetic(Arithmetic::Divide, &arithmetic(Arithmetic::Add, lower, &upper)?, &Value::Integer(2))
        }
        _ => Ok(upper),
    }
}

fn length(name: &'static str, arguments: &[Value]) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Text(text)) if name == "len" => size(name, text.chars().count()),
        _ => size(name, items(name, arguments)?.len()),
    }
}

fn size(name: &'static str, size: usize) -> Result<Value, Error> {
    i64::try_from(size).map(Value::Integer).map_err(|_| Error::OutOfRange { operator: name })
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

/// Places are counted from 1, and from -1 at the end.
fn index(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let list = items(name, arguments)?;
    let place = arguments.get(1).map_or(Ok(0), |place| whole(name, place))?;
    let distance = usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX);
    let at = match place.cmp(&0) {
        Ordering::Equal => return Err(Error::OutOfRange { operator: name }),
        Ordering::Greater => Some(distance - 1),
        Ordering::Less => list.len().checked_sub(distance),
    };
    Ok(at.and_then(|at| list.get(at)).cloned().unwrap_or_default())
}

/// As `in` does, it refuses to compare values of different types.
fn index_of(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let value = arguments.get(1).unwrap_or(&Value::Null);
    for (at, item) in items(name, arguments)?.iter().enumerate() {
        if compare(Compare::Equal, item, value)? {
            return size(name, at + 1);
        }
    }
    Ok(Value::Null)
}

fn sort(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let descending = matches!(arguments.get(1), Some(Value::Text(order)) if &**order == "desc");
    let order = |order: Ordering| if descending { order.reverse() } else { order };
    Ok(Value::List(sorted(name, items(name, arguments)?, order)?.into()))
}

/// Equal values stay in the order in which they were.
fn sorted(name: &'static str, list: &[Value], order: impl Fn(Ordering) -> Ordering) -> Result<Vec<Value>, Error> {
    let list = no_null(name, list)?;
    if let Some(first) = list.first() {
        // What has an order with the first has one with each other.
        list.iter().try_for_each(|item| order_for(name, first, item).map(|_| ()))?;
    }
    let mut sorted = list.to_vec();
    sorted.sort_by(|a, b| order(order_for(name, a, b).unwrap_or(Ordering::Equal)));
    Ok(sorted)
}

/// A list within a list would nest deeper each time a rule appends it.
fn append(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let more = arguments.get(1..).unwrap_or_default();
    if let Some(list) = more.iter().find(|value| matches!(value, Value::List(_))) {
        return Err(unfit(name, "single values (lists are joined by `concatenate`)", list));
    }
    let mut list = Vec::new();
    extend(name, &mut list, items(name, arguments)?)?;
    extend(name, &mut list, more)?;
    Ok(Value::List(list.into()))
}

fn concatenate(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut list = Vec::new();
    for argument in arguments {
        extend(name, &mut list, items(name, std::slice::from_ref(argument))?)?;
    }
    Ok(Value::List(list.into()))
}

/// Adds to `flat` the elements of `list`, and those of the lists among them. Lists within lists come from JSON and arrays, whose
/// depth is limited.
fn flatten(name: &'static str, list: &[Value], flat: &mut Vec<Value>) -> Result<(), Error> {
    list.iter().try_for_each(|item| match item {
        Value::List(inner) => flatten(name, inner, flat),
        single => extend(name, flat, std::slice::from_ref(single)),
    })
}

fn split(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [text, separator] = texts(name, arguments)?;
    if separator.is_empty() {
        return Err(Error::Type { operator: name, expected: "a separator", found: "an empty text".to_owned() });
    }
    let mut list = Vec::new();
    text.split(separator).try_for_each(|part| extend(name, &mut list, &[Value::text(part)]))?;
    Ok(Value::List(list.into()))
}

fn join(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [separator] = texts(name, arguments.get(1..).unwrap_or_default())?;
    let mut joined = String::new();
    for (number, item) in no_null(name, items(name, arguments)?)?.iter().enumerate() {
        if number > 0 {
            joined.push_str(separator);
        }
        push_written(name, item, &mut joined)?;
    }
    limited(name, &joined)
}
