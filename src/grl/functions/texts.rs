//! Functions of texts. None makes one longer than the limit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::format::{FORMAT, formatted};
use super::numbers::whole;
use super::takes::quoted;
use super::{Function, Gives, Takes};
use crate::grl::ast::Compare;
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::limits::LONGEST_TEXT;
use crate::grl::operators::{compare, refused, unfit};
use crate::grl::pattern::pattern;
use crate::types::{Clock, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("upper", "upper(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_uppercase)
    }),
    Function::new("lower", "lower(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_lowercase)
    }),
    Function::new("trim", "trim(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, |text| text.trim().to_owned())
    }),
    Function::new("concat", "concat(a, b, ...)", &[Takes::Single], Gives::Text, concat).and_more(),
    Function::new(
        "plural",
        "plural(count, one, many)",
        &[Takes::Number, Takes::Text, Takes::Text],
        Gives::Text,
        plural,
    )
    .at_least(2),
    Function::new("text", "text(value, pattern)", &[Takes::Single, Takes::Form(&FORMAT)], Gives::Text, as_text)
        .at_least(1)
        .in_the_zone_of_the_clock(),
    Function::new("number", "number(text)", &[Takes::Text], Gives::Decimal, as_number),
    Function::new(
        "substring",
        "substring(text, start, length)",
        &[Takes::Text, Takes::Whole, Takes::Whole],
        Gives::Text,
        substring,
    )
    .at_least(2),
    Function::new("left", "left(text, length)", &[Takes::Text, Takes::Whole], Gives::Text, |name, arguments, _| {
        let length = size(name, arguments, 1)?;
        characters(name, arguments, |_| 0..length)
    }),
    Function::new("right", "right(text, length)", &[Takes::Text, Takes::Whole], Gives::Text, |name, arguments, _| {
        let length = size(name, arguments, 1)?;
        characters(name, arguments, |all| all.saturating_sub(length)..all)
    }),
    Function::new(
        "pad_left",
        "pad_left(text, length, \"0\")",
        &[Takes::Text, Takes::Whole, Takes::Text],
        Gives::Text,
        pad_left,
    ),
    Function::new(
        "substring_before",
        "substring_before(text, mark)",
        &[Takes::Text, Takes::Text],
        Gives::Text,
        |name, arguments, _| {
            let [text, mark] = texts(name, arguments)?;
            Ok(Value::text(text.split_once(mark).map_or("", |(before, _)| before)))
        },
    ),
    Function::new(
        "substring_after",
        "substring_after(text, mark)",
        &[Takes::Text, Takes::Text],
        Gives::Text,
        |name, arguments, _| {
            let [text, mark] = texts(name, arguments)?;
            Ok(Value::text(text.split_once(mark).map_or("", |(_, after)| after)))
        },
    ),
    Function::new("replace", "replace(text, what, by)", &[Takes::Text, Takes::Text, Takes::Text], Gives::Text, replace),
    Function::new(
        "replace_pattern",
        "replace_pattern(text, pattern, by)",
        &[Takes::Text, Takes::Pattern, Takes::Text],
        Gives::Text,
        replace_pattern,
    ),
];

/// The arguments, which are texts.
pub(super) fn texts<'a, const COUNT: usize>(
    name: &'static str,
    arguments: &'a [Value],
) -> Result<[&'a str; COUNT], Error> {
    let mut texts = [""; COUNT];
    for (text, argument) in texts.iter_mut().zip(arguments) {
        let Value::Text(found) = argument else { return Err(unfit(name, "a text", argument)) };
        *text = found;
    }
    Ok(texts)
}

fn text(name: &'static str, arguments: &[Value], run: impl Fn(&str) -> String) -> Result<Value, Error> {
    let [text] = texts(name, arguments)?;
    limited(name, &run(text))
}

pub(super) fn limited(operator: &'static str, text: &str) -> Result<Value, Error> {
    within(operator, text.len())?;
    Ok(Value::text(text))
}

fn within(operator: &'static str, length: usize) -> Result<(), Error> {
    if length <= LONGEST_TEXT { Ok(()) } else { Err(Error::TooLong { operator, limit: LONGEST_TEXT }) }
}

/// Adds a single value to a text that a function makes.
pub(super) fn push_written(operator: &'static str, value: &Value, text: &mut String) -> Result<(), Error> {
    match value {
        Value::Text(value) => text.push_str(value),
        Value::List(_) => return Err(unfit(operator, "single values (a list becomes a text by `join`)", value)),
        Value::Map(_) => return Err(unfit(operator, "single values", value)),
        other => text.push_str(&other.to_string()),
    }
    within(operator, text.len())
}

fn concat(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut joined = String::new();
    arguments.iter().try_for_each(|value| push_written(name, value, &mut joined))?;
    Ok(Value::text(joined))
}

/// A number with what it counts: in the singular for one; where no plural is given, the singular with an `s`.
fn plural(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [count, Value::Text(one), many @ ..] = arguments else {
        return Err(unfit(name, "a number and texts", arguments.get(1).unwrap_or(&Value::Null)));
    };
    let mut text = String::new();
    push_written(name, count, &mut text)?;
    text.push(' ');
    match many {
        _ if compare(Compare::Equal, count, &Value::Integer(1))? => text.push_str(one),
        [many, ..] => push_written(name, many, &mut text)?,
        [] => text.extend([one, "s"]),
    }
    limited(name, &text)
}

fn as_text(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    match arguments {
        [value, Value::Text(pattern)] => match formatted(value, pattern, clock) {
            Some(text) => limited(name, &text),
            None => Err(FORMAT.refused(name, pattern)),
        },
        [_, other] => Err(unfit(name, FORMAT.expected, other)),
        one => concat(name, one, clock),
    }
}

/// The number that is written as a literal of the language, with a sign or without.
fn as_number(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [text] = texts(name, arguments)?;
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let is_number = is_digits(whole) && is_digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    if !is_number {
        let expected = "a text such as \"-15.50\", without spaces, separators of thousands and needless zeros";
        return Err(Error::Type { operator: name, expected, found: quoted(text) });
    }
    Value::from_number(text).map_err(|error| refused(name, &error))
}

/// The argument at `index` as a number that is not negative.
fn size(name: &'static str, arguments: &[Value], index: usize) -> Result<usize, Error> {
    let size = whole(name, arguments.get(index).unwrap_or(&Value::Null))?;
    usize::try_from(size).map_err(|_| Error::OutOfRange { operator: name })
}

/// The characters of a text in the range that is chosen for their number.
fn characters(name: &'static str, arguments: &[Value], range: impl Fn(usize) -> Range<usize>) -> Result<Value, Error> {
    let [text] = texts(name, arguments)?;
    let range = range(text.chars().count());
    Ok(Value::text(text.chars().skip(range.start).take(range.len()).collect::<String>()))
}

/// Characters are counted from 1, as SQL does, and from -1 at the end.
fn substring(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let start = whole(name, arguments.get(1).unwrap_or(&Value::Null))?;
    let length = if arguments.len() > 2 { size(name, arguments, 2)? } else { usize::MAX };
    let distance = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
    if start == 0 {
        return Err(Error::OutOfRange { operator: name });
    }
    characters(name, arguments, |all| {
        let first = if start > 0 { distance - 1 } else { all.saturating_sub(distance) };
        first..first.saturating_add(length)
    })
}

fn pad_left(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let length = size(name, arguments, 1)?;
    within(name, length)?;
    let [text] = texts(name, arguments)?;
    let [with] = texts(name, arguments.get(2..).unwrap_or_default())?;
    if with.chars().count() != 1 {
        return Err(Error::Type { operator: name, expected: "one character to pad with", found: quoted(with) });
    }
    let missing = length.saturating_sub(text.chars().count());
    limited(name, &(with.repeat(missing) + text))
}

fn replace(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [text, what, by] = texts(name, arguments)?;
    if what.is_empty() {
        return Ok(Value::text(text));
    }
    within(name, text.matches(what).count().saturating_mul(by.len()))?;
    limited(name, &text.replace(what, by))
}

fn replace_pattern(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [text, written, by] = texts(name, arguments)?;
    let Some(pattern) = known_pattern(written) else {
        return Err(Error::Type { operator: name, expected: "a pattern", found: quoted(written) });
    };
    if let Some(group) = unknown_group(&pattern, by) {
        let expected = "the groups of the pattern (`$1`, or `${1}` before a letter, digit or `_`; `$$` is a dollar)";
        return Err(Error::Type { operator: name, expected, found: quoted(&group) });
    }
    let groups = by.matches('$').count();
    let (mut replaced, mut end) = (String::new(), 0);
    for found in pattern.captures_iter(text) {
        let Some(all) = found.get(0) else { continue };
        replaced.push_str(text.get(end..all.start()).unwrap_or_default());
        within(name, groups.saturating_mul(all.len()).saturating_add(by.len()))?;
        found.expand(by, &mut replaced);
        within(name, replaced.len())?;
        end = all.end();
    }
    replaced.push_str(text.get(end..).unwrap_or_default());
    limited(name, &replaced)
}

/// A pattern of a rule. Those of a thread are read once, since they are constant.
fn known_pattern(written: &str) -> Option<Regex> {
    const MOST: usize = 256;
    thread_local! {
        static KNOWN: RefCell<HashMap<Arc<str>, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some(pattern) = known.get(written) {
            return Some(pattern.clone());
        }
        let pattern = pattern(written).ok()?;
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(Arc::from(written), pattern.clone());
        Some(pattern)
    })
}

/// The first group that `by` names and the pattern does not have.
fn unknown_group(pattern: &Regex, by: &str) -> Option<String> {
    static GROUP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$(?:\$|\{([^}]*)\}|([0-9A-Za-z_]+))").ok());
    let has = |name: &str| match name.parse::<usize>() {
        Ok(number) => pattern.captures_len() > number,
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    };
    let mut groups = GROUP.as_ref()?.captures_iter(by);
    groups.find_map(|group| {
        let name = group.get(1).or(group.get(2))?;
        (!has(name.as_str())).then(|| format!("${}", name.as_str()))
    })
}
