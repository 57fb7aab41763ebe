//! `tributary eval`: the value of an expression of the rule language.

use std::io::Write;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Exit, passed, refuse, report, with_diagnostics};
use crate::app::cli::{Eval as Arguments, Files, Format};
use crate::app::project::{Project, choose};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Source, Span};
use crate::grl::{EvalError, Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Scope};
use crate::types::{Clock, DecimalError, FieldName, Type, Value, check_name, parse_moment};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let format = arguments.format();
    let files = Files { graphs: arguments.graphs.clone(), config: arguments.config.clone(), env_file: None };
    let sources = match files.sources(None) {
        Ok(sources) => sources,
        Err(found) => return Ok(refuse(&found, format)?),
    };
    let Some((config, _)) = passed(Project::settings(&sources), format)? else { return Ok(Exit::Refused) };
    let flows = if arguments.graphs.is_empty() {
        Vec::new()
    } else {
        let loaded = Project::load_offline(&sources).map(|(flows, _, warnings)| (flows, warnings));
        let Some((flows, _)) = passed(loaded, format)? else { return Ok(Exit::Refused) };
        flows
    };
    let name = arguments.flow.as_deref();
    let flow = if flows.is_empty() { None } else { Some(choose(&flows, name).map_err(anyhow::Error::msg)?) };
    let mut scope = Scope::new();
    if let Some(flow) = flow {
        scope.define(Arc::clone(&flow.definitions));
    }
    let limits = &config.rules.limits;
    let evaluated = clock(arguments, config.time_zone).and_then(|clock| {
        let facts = Given::read(&arguments.set, &scope, limits, &clock)?;
        let expression = Source::new("expression", arguments.expression.as_str()).snippet();
        evaluate(&expression, &facts.scope(scope), &facts, limits, &clock)
    });
    match evaluated {
        Ok((value, ty, warnings)) => {
            print(&value, &ty, &warnings, format)?;
            Ok(Exit::Success)
        }
        Err(found) => Ok(refuse(&found, format)?),
    }
}

fn print(value: &Value, ty: &Type, warnings: &Diagnostics, format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if format == Format::Json {
        let document = json!({ "value": value, "text": value.written(), "type": ty.to_string() });
        return writeln!(out, "{}", with_diagnostics(document, warnings));
    }
    report(warnings)?;
    writeln!(out, "{}  ({ty})", value.written())
}

/// The value, and its type where it has one.
fn evaluate(
    text: &Snippet,
    scope: &Scope,
    facts: &dyn Facts,
    limits: &Limits,
    clock: &Clock,
) -> Result<(Value, Type, Diagnostics), Diagnostics> {
    let (expression, warnings) = Expression::compile(text, scope, ExpressionKind::Value, limits)?;
    let failed = |EvalError { span, kind }| one(Diagnostic::error("no-value", span, kind.to_string()));
    let Some(value) = expression.evaluate(facts, clock).map_err(failed)? else {
        return Err(one(Diagnostic::error("no-value", expression.span(), "it depends on a fact that is unset")));
    };
    let ty = if value.is_null() { expression.ty().clone() } else { value.ty() };
    Ok((value, ty, warnings))
}

fn one(error: Diagnostic) -> Diagnostics {
    std::iter::once(error).collect()
}

/// The clock of `today()` and `now()`.
fn clock(arguments: &Arguments, zone: TimeZone) -> Result<Clock, Diagnostics> {
    let place = |option: &str, text: &str| Source::new(option, text).span(0..text.len());
    let zone = match arguments.zone.as_deref() {
        None => zone,
        Some(name) => TimeZone::get(name).map_err(|_| {
            let message = format!("there is no time zone `{name}`");
            let error = Diagnostic::error("bad-time-zone", place("--zone", name), message);
            one(error.help("write an IANA name, such as Europe/Berlin"))
        })?,
    };
    let Some(at) = arguments.at.as_deref() else { return Ok(Clock::system(zone)) };
    let moment = parse_moment(at).map_err(|why| {
        let message = format!("--at takes a timestamp, and `{at}` is {why}");
        one(Diagnostic::error("bad-date", place("--at", at), message).help("write it as 2026-01-31T08:00:00+02:00"))
    })?;
    Ok(Clock::fixed(moment, zone))
}

/// The facts of the command line, in the order in which they were given. Each is an owner of its own.
struct Given(Vec<(FieldName, Value)>);

impl Facts for Given {
    fn read(&self, fact: &FactRef) -> Lookup {
        let Owner::Node(place) = fact.owner else { return Lookup::Unset };
        let value = self.0.get(place).and_then(|(_, value)| value.at(fact.path.iter().map(|name| &**name)));
        value.map_or(Lookup::Missing, Lookup::Value)
    }
}

impl Given {
    fn read(set: &[String], scope: &Scope, limits: &Limits, clock: &Clock) -> Result<Self, Diagnostics> {
        let (mut given, mut found) = (Self(Vec::new()), Diagnostics::new());
        for each in set {
            match fact(each, scope, limits, clock) {
                Ok((names, value, place)) => {
                    let placed = put(&mut given.0, &names, value);
                    if !placed {
                        let message = format!("`{}` has a value already", names.join("."));
                        found.push(Diagnostic::error("set-twice", place, message).help("set it once"));
                    }
                }
                Err(errors) => found.extend(errors),
            }
        }
        found.into_result(given).map(|(given, _)| given)
    }

    fn scope(&self, mut scope: Scope) -> Scope {
        for (place, (name, value)) in self.0.iter().enumerate() {
            scope.add_qualified(name, Owner::Node(place), value.ty());
        }
        scope
    }
}

/// Puts a value at a dotted name. `false` where there is one.
fn put(fields: &mut Vec<(FieldName, Value)>, names: &[&str], value: Value) -> bool {
    let [first, rest @ ..] = names else { return false };
    let known = fields.iter_mut().find(|(name, _)| **name == **first);
    match (known, rest.is_empty()) {
        (Some((_, Value::Map(record))), false) => {
            let mut inner: Vec<(FieldName, Value)> =
                record.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let placed = put(&mut inner, rest, value);
            *record = Arc::new(inner.into_iter().collect());
            placed
        }
        (Some(_), _) => false,
        (None, true) => {
            fields.push((FieldName::from(*first), value));
            true
        }
        (None, false) => {
            let mut inner = Vec::new();
            let placed = put(&mut inner, rest, value);
            fields.push((FieldName::from(*first), Value::map(inner)));
            placed
        }
    }
}

/// A fact as `--set` gives it: the parts of its name, its value, and the place of the name.
fn fact<'a>(
    set: &'a str,
    scope: &Scope,
    limits: &Limits,
    clock: &Clock,
) -> Result<(Vec<&'a str>, Value, Span), Diagnostics> {
    let source = Source::new("--set", set);
    let Some((name, text)) = set.split_once('=') else {
        let error = Diagnostic::error("bad-fact", source.span(0..set.len()), "--set takes NAME=VALUE, and has no `=`");
        return Err(one(error.help("write it as --set order.qty=5")));
    };
    let place = source.span(0..name.len());
    let names: Vec<&str> = name.split('.').map(str::trim).collect();
    if let Some(error) = names.iter().find_map(|part| check_name("fact", part).err()) {
        return Err(one(Diagnostic::error("bad-name", place, error.to_string())));
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let value = Value::from_json(&json);
        let place = source.span(name.len() + 1..set.len());
        let failed = |error: DecimalError| one(Diagnostic::error("bad-number", place, error.to_string()));
        return value.map_err(failed).map(|value| (names, value, source.span(0..name.len())));
    }
    let snippet = Snippet::new(Arc::clone(&source), text, [(0, name.len() + 1)]);
    let is_bare = |c: char| !"\"'()[]{}".contains(c);
    match evaluate(&snippet, scope, &Given(Vec::new()), limits, clock) {
        Ok((value, ..)) => Ok((names, value, place)),
        Err(_) if text.chars().all(is_bare) => Err(one(bare(name, text, source.span(name.len() + 1..set.len())))),
        Err(found) => Err(found),
    }
}

/// The error for a value that is no value of the language, such as a word without quotes.
fn bare(name: &str, text: &str, place: Span) -> Diagnostic {
    let text = text.trim();
    let message = if text.is_empty() { "there is no value".to_owned() } else { format!("`{text}` is not a value") };
    let help = if text.parse::<Date>().is_ok() && !text.contains('T') {
        format!("write a date as --set '{name}=date(\"{text}\")'")
    } else if parse_moment(text).is_ok() {
        format!("write a timestamp as --set '{name}=timestamp(\"{text}\")'")
    } else {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("a text has quotes of its own: --set '{name}=\"{quoted}\"'")
    };
    Diagnostic::error("bad-value", place, message).help(help)
}
