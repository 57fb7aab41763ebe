//! Evaluates checked expressions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use regex::Regex;

use super::ast::{Arithmetic, At, Compare};
use super::error::{EvalErrorKind, Fault};
use super::facts::{LOCAL, Lookup};
use super::functions::Function;
use super::operators::{arithmetic, compare, negate, unfit};
use super::program::{Env, Node, TimeLimit};
use crate::types::{FieldName, Record, Value};

impl TimeLimit {
    fn is_over(&self) -> bool {
        let now = Instant::now();
        match self {
            Self::At(instant) => now >= *instant,
            Self::AfterFirstLook(limit, first) => now.duration_since(*first.get_or_init(|| now)) >= *limit,
        }
    }
}

/// The number of terms of a chain after which the clock is read.
const TERMS_A_LOOK: usize = 256;

/// The value of an expression, borrowed from it or made by it.
type Outcome<'a> = Result<Option<Cow<'a, Value>>, Fault>;

impl Node {
    /// Its value.
    pub(super) fn value(&self, env: &Env<'_>) -> Result<Option<Value>, Fault> {
        Ok(self.evaluate(env)?.map(Cow::into_owned))
    }

    fn evaluate<'a>(&'a self, env: &'a Env<'_>) -> Outcome<'a> {
        match self {
            Self::Constant(value) => Ok(Some(Cow::Borrowed(value))),
            Self::Slot { slot, at } => env.read(*slot, at),
            Self::Below { slot, path, at } => env.below(*slot, path, at),
            Self::List(items, at) => list(items, at, env),
            Self::Arithmetic { first, rest, at } => chain(first, rest, at, env),
            Self::And(items) => junction(items, env, false),
            Self::Or(items) => junction(items, env, true),
            Self::Not(of, at) => {
                Ok(truth(of.evaluate(env)?.as_deref(), "!", env, of, at)?
                    .map(|truth| Cow::Owned(Value::Boolean(!truth))))
            }
            Self::Negate(of, at) => negated(of, at, env),
            Self::Compare { operator, left, right, each, at, .. } => comparison(*operator, left, right, *each, at, env),
            Self::Matches { of, pattern, each, at } => matches(of, pattern, *each, at, env),
            Self::Call { function, arguments, at } => call(function, arguments, at, env),
            Self::Apply { name, body, arguments, at, .. } => apply(name, body, arguments, at, env),
            Self::If { arms, otherwise } => conditional(arms, otherwise, env),
            Self::For { value, list, condition, at } => elements(value, list, condition.as_ref(), at, env),
            Self::Bound { number, name, path, at } => env.bound(*number, name, path, at),
            Self::Map { names, values, at } => map(names, values, at, env),
        }
    }

    /// The truth of a condition: `None` where it is unknown.
    pub(super) fn holds(&self, env: &Env<'_>, at: &At) -> Result<Option<bool>, Fault> {
        truth(self.evaluate(env)?.as_deref(), "a condition", env, self, at)
    }

    /// The name of the operand in messages.
    fn written(&self, env: &Env<'_>) -> String {
        match self {
            Self::Slot { slot, .. } => format!("`{}`", env.name(*slot)),
            Self::Below { slot, path, .. } => format!("`{}.{}`", env.name(*slot), path.join(".")),
            Self::Bound { name, path, .. } if path.is_empty() => format!("`{name}`"),
            Self::Bound { name, path, .. } => format!("`{name}.{}`", path.join(".")),
            Self::Constant(_) => "the literal".to_owned(),
            _ => "the value of a part".to_owned(),
        }
    }
}

impl Env<'_> {
    fn check_time(&self, at: &At) -> Result<(), Fault> {
        if self.limit.is_over() { Err(Fault::new(at, EvalErrorKind::OutOfTime)) } else { Ok(()) }
    }

    fn name(&self, slot: usize) -> &str {
        let name = match slot.checked_sub(LOCAL) {
            Some(local) => self.local_names.get(local),
            None => self.read_names.get(slot),
        };
        name.map_or("", |name| name)
    }

    fn lookup(&self, slot: usize) -> Option<&Lookup> {
        match slot.checked_sub(LOCAL) {
            Some(local) => self.locals.get(local),
            None => self.reads.get(slot),
        }
    }

    /// Whether the fact has no value.
    pub(super) fn is_unset(&self, slot: usize) -> bool {
        matches!(self.lookup(slot), Some(Lookup::Unset | Lookup::Unknown { .. }) | None)
    }

    /// The value of a fact, if it has one.
    pub(super) fn known(&self, slot: usize) -> Option<&Value> {
        match self.lookup(slot)? {
            Lookup::Value(value) => Some(value),
            Lookup::Unset | Lookup::Unknown { .. } | Lookup::Missing | Lookup::NoKey { .. } => None,
        }
    }

    fn read(&self, slot: usize, at: &At) -> Outcome<'_> {
        match self.lookup(slot) {
            Some(Lookup::Value(value)) => Ok(Some(Cow::Borrowed(value))),
            Some(Lookup::Unset | Lookup::Unknown { .. }) | None => Ok(None),
            Some(Lookup::Missing) => Err(Fault::new(at, EvalErrorKind::Missing { fact: self.name(slot).to_owned() })),
            Some(Lookup::NoKey { of, key }) => {
                Err(Fault::new(at, EvalErrorKind::NoKey { of: of.clone(), key: key.clone() }))
            }
        }
    }

    fn below(&self, slot: usize, path: &[FieldName], at: &At) -> Outcome<'_> {
        let Some(value) = self.read(slot, at)? else { return Ok(None) };
        field(&value, self.name(slot), path, at).map(Cow::Owned).map(Some)
    }

    /// A bound value, or what is below it.
    fn bound<'a>(&self, number: usize, name: &str, path: &[FieldName], at: &At) -> Outcome<'a> {
        let bound = self.bound.borrow();
        let place = bound.len().checked_sub(number + 1);
        let Some(value) = place.and_then(|place| bound.get(place)) else { return Ok(None) };
        if path.is_empty() {
            return Ok(Some(Cow::Owned(value.clone())));
        }
        field(value, name, path, at).map(Cow::Owned).map(Some)
    }

    /// The result of `evaluate` with `values` bound.
    fn with<T>(&self, values: impl IntoIterator<Item = Value>, evaluate: impl FnOnce() -> T) -> T {
        let before = self.bound.borrow().len();
        self.bound.borrow_mut().extend(values);
        let result = evaluate();
        self.bound.borrow_mut().truncate(before);
        result
    }
}

/// What is at `path` below the value of `name`.
fn field(value: &Value, name: &str, path: &[FieldName], at: &At) -> Result<Value, Fault> {
    value.at(path.iter().map(|name| &**name)).ok_or_else(|| Fault::new(at, no_key(value, name, path)))
}

/// The values of `nodes`; `None` if one of them is unknown.
fn known(nodes: &[Node], env: &Env<'_>) -> Result<Option<Vec<Value>>, Fault> {
    nodes.iter().map(|node| node.value(env)).collect()
}

/// The error for the first missing key of `path`.
fn no_key(value: &Value, name: &str, path: &[FieldName]) -> EvalErrorKind {
    let there = |length: &usize| value.at(path.iter().take(*length).map(|name| &**name)).is_some();
    let length = (1..path.len()).take_while(there).last().unwrap_or(0);
    let of = std::iter::once(name).chain(path.iter().take(length).map(|name| &**name)).collect::<Vec<_>>().join(".");
    let key = path.get(length).cloned().unwrap_or_else(|| FieldName::from(""));
    EvalErrorKind::NoKey { of: FieldName::from(of), key }
}

fn null(operator: &'static str, env: &Env<'_>, operand: &Node, at: &At) -> Fault {
    Fault::new(at, EvalErrorKind::Null { operator, operand: operand.written(env) })
}

fn truth(
    value: Option<&Value>,
    operator: &'static str,
    env: &Env<'_>,
    of: &Node,
    at: &At,
) -> Result<Option<bool>, Fault> {
    match value {
        None => Ok(None),
        Some(Value::Boolean(truth)) => Ok(Some(*truth)),
        Some(Value::Null) => Err(null(operator, env, of, at)),
        Some(other) => Err(Fault::new(at, unfit(operator, "true or false", other))),
    }
}

/// `&&` looks for false, `||` for true, which decide whatever else is unknown. An error after an unknown part is ignored: it
/// counts only when that part is known.
fn junction<'a>(items: &[(Node, At)], env: &Env<'_>, decisive: bool) -> Outcome<'a> {
    let operator = if decisive { "||" } else { "&&" };
    let mut unknown = false;
    for (item, at) in items {
        let truth = match item.evaluate(env).and_then(|value| truth(value.as_deref(), operator, env, item, at)) {
            Err(_) if unknown => continue,
            other => other?,
        };
        match truth {
            Some(found) if found == decisive => return Ok(Some(Cow::Owned(Value::Boolean(decisive)))),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { Ok(None) } else { Ok(Some(Cow::Owned(Value::Boolean(!decisive)))) }
}

fn negated<'a>(of: &Node, at: &At, env: &Env<'_>) -> Outcome<'a> {
    match of.evaluate(env)?.as_deref() {
        None => Ok(None),
        Some(Value::Null) => Err(null("-", env, of, at)),
        Some(value) => negate(value).map_err(|kind| Fault::new(at, kind)).map(Cow::Owned).map(Some),
    }
}

fn matches<'a>(of: &Node, pattern: &Regex, each: bool, at: &At, env: &Env<'_>) -> Outcome<'a> {
    let one = |value: &Value| match value {
        Value::Text(text) => Ok(Value::Boolean(pattern.is_match(text))),
        Value::Null => Err(null("matches", env, of, at)),
        other => Err(Fault::new(at, unfit("matches", "a text", other))),
    };
    match of.evaluate(env)?.as_deref() {
        None => Ok(None),
        Some(Value::List(items)) if each => list_of(items, one),
        Some(value) => one(value).map(Cow::Owned).map(Some),
    }
}

fn apply<'a>(name: &str, body: &Node, arguments: &[Node], at: &At, env: &Env<'_>) -> Outcome<'a> {
    env.check_time(at)?;
    let Some(values) = known(arguments, env)? else { return Ok(None) };
    let value = env.with(values, || body.value(env));
    value.map(|value| value.map(Cow::Owned)).map_err(|fault| fault.inside(name, at))
}

fn conditional<'a>(arms: &'a [(Node, At, Node)], otherwise: &'a Node, env: &'a Env<'_>) -> Outcome<'a> {
    for (condition, at, value) in arms {
        match condition.holds(env, at)? {
            None => return Ok(None),
            Some(true) => return value.evaluate(env),
            Some(false) => {}
        }
    }
    otherwise.evaluate(env)
}

/// Maps hold single values, as lists do.
fn map<'a>(names: &Arc<[FieldName]>, values: &[Node], at: &At, env: &Env<'_>) -> Outcome<'a> {
    let Some(values) = known(values, env)? else { return Ok(None) };
    if let Some(nested) = values.iter().find(|value| matches!(value, Value::List(_) | Value::Map(_))) {
        return Err(Fault::new(at, unfit("a map", "single values", nested)));
    }
    Ok(Some(Cow::Owned(Value::Map(Arc::new(Record::new(Arc::clone(names), values))))))
}

/// Lists are flat: a rule that puts a list into itself repeatedly would make one that is too deep to be dropped.
fn list<'a>(items: &[Node], at: &At, env: &Env<'_>) -> Outcome<'a> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match item.value(env)? {
            Some(value @ Value::List(_)) => return Err(Fault::new(at, unfit("a list", "single values", &value))),
            Some(value) => values.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(Cow::Owned(Value::List(values.into()))))
}

/// The elements of a list for which a condition is true, or what is made of each. Unknown if anything about one is unknown.
fn elements<'a>(value: &Node, list: &Node, condition: Option<&(Box<Node>, At)>, at: &At, env: &Env<'_>) -> Outcome<'a> {
    let Some(all) = list.evaluate(env)? else { return Ok(None) };
    let all = match &*all {
        Value::List(items) => items,
        Value::Null => return Err(null("`in`", env, list, at)),
        other => return Err(Fault::new(at, unfit("`in`", "a list", other))),
    };
    let mut values = Vec::new();
    for (number, element) in all.iter().enumerate() {
        if number % TERMS_A_LOOK == TERMS_A_LOOK - 1 {
            env.check_time(at)?;
        }
        let made = env.with([element.clone()], || match condition.map(|(condition, at)| condition.holds(env, at)) {
            None | Some(Ok(Some(true))) => value.value(env).map(|value| value.map(Some)),
            Some(Ok(Some(false))) => Ok(Some(None)),
            Some(Ok(None)) => Ok(None),
            Some(Err(fault)) => Err(fault),
        })?;
        match made {
            None => return Ok(None),
            Some(Some(list @ Value::List(_))) => return Err(Fault::new(at, unfit("a list", "single values", &list))),
            Some(made) => values.extend(made),
        }
    }
    Ok(Some(Cow::Owned(Value::List(values.into()))))
}

fn chain<'a>(first: &'a Node, rest: &'a [(Arithmetic, Node)], at: &At, env: &'a Env<'_>) -> Outcome<'a> {
    let Some(mut total) = first.evaluate(env)? else { return Ok(None) };
    let mut last = first;
    for (number, (operator, operand)) in rest.iter().enumerate() {
        if number % TERMS_A_LOOK == TERMS_A_LOOK - 1 {
            env.check_time(at)?;
        }
        let Some(value) = operand.evaluate(env)? else { return Ok(None) };
        let culprit = if total.is_null() { Some(last) } else { value.is_null().then_some(operand) };
        if let Some(culprit) = culprit {
            return Err(null(operator.text(), env, culprit, at));
        }
        total = Cow::Owned(arithmetic(*operator, &total, &value).map_err(|kind| Fault::new(at, kind))?);
        last = operand;
    }
    Ok(Some(total))
}

fn comparison<'a>(operator: Compare, left: &Node, right: &Node, each: bool, at: &At, env: &Env<'_>) -> Outcome<'a> {
    let bounds = |truth: Option<bool>| Ok(truth.map(|truth| Cow::Owned(Value::Boolean(truth))));
    let Some(a) = left.evaluate(env)? else { return bounds(bounded(operator, left, right, env)) };
    let Some(b) = right.evaluate(env)? else { return bounds(bounded(operator.flipped(), right, left, env)) };
    let takes_null = matches!(operator, Compare::Equal | Compare::NotEqual | Compare::In);
    let one = |a: &Value, b: &Value| {
        if !takes_null && (a.is_null() || b.is_null()) {
            return Err(null(operator.text(), env, if a.is_null() { left } else { right }, at));
        }
        compare(operator, a, b).map(Value::Boolean).map_err(|kind| Fault::new(at, kind))
    };
    let among = operator == Compare::In;
    match (&*a, &*b) {
        (Value::List(items), b) if each && (among || !matches!(b, Value::List(_))) => {
            list_of(items, |item| one(item, b))
        }
        (a, Value::List(items)) if each && !among && !matches!(a, Value::List(_)) => {
            list_of(items, |item| one(a, item))
        }
        (a, b) => one(a, b).map(Cow::Owned).map(Some),
    }
}

fn list_of<'a>(items: &[Value], one: impl Fn(&Value) -> Result<Value, Fault>) -> Outcome<'a> {
    Ok(Some(Cow::Owned(Value::List(items.iter().map(one).collect::<Result<_, _>>()?))))
}

/// The truth of a comparison whose left side is an unknown fact with a lower bound, if the bound decides it.
fn bounded(operator: Compare, unknown: &Node, other: &Node, env: &Env<'_>) -> Option<bool> {
    let Node::Slot { slot, .. } = unknown else { return None };
    let Lookup::Unknown { at_least: Some(least) } = env.lookup(*slot)? else { return None };
    let other = other.evaluate(env).ok().flatten()?;
    let is = |operator| compare(operator, least, &other).unwrap_or(false);
    match operator {
        Compare::Greater | Compare::NotEqual => is(Compare::Greater).then_some(true),
        Compare::GreaterEqual => is(Compare::GreaterEqual).then_some(true),
        Compare::Less => is(Compare::GreaterEqual).then_some(false),
        Compare::LessEqual | Compare::Equal => is(Compare::Greater).then_some(false),
        _ => None,
    }
}

fn call<'a>(function: &'static Function, arguments: &[Node], at: &At, env: &Env<'_>) -> Outcome<'a> {
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let Some(value) = argument.value(env)? else {
            // `is_set` and `default` are given the arguments that have a value.
            if function.asks() {
                continue;
            }
            return Ok(None);
        };
        if value.is_null() && !function.takes_null {
            return Err(null(function.name, env, argument, at));
        }
        values.push(value);
    }
    if function.asks() && values.is_empty() && arguments.len() > 1 {
        return Ok(None);
    }
    if values.iter().any(|value| matches!(value, Value::List(_))) {
        env.check_time(at)?;
    }
    (function.run)(function.name, &values, env.clock).map_err(|kind| Fault::new(at, kind)).map(Cow::Owned).map(Some)
}
