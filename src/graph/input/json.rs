//! A request's body, or a command line's pairs, against the schema.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::value::Misfit;
use super::{InputField, InputSchema};
use crate::diagnostics::nearest;
use crate::types::{FieldName, Value};

/// Why a body is not what a flow takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It is not JSON.
    #[error("the body is not JSON: line {line}, column {column}: {message}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is JSON, and does not fit the flow's inputs.
    #[error("{}", .0.iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldProblem>),
}

/// What is wrong with one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// Which: a JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// A stable code: `missing`, `unknown`, `duplicate`, `wrong_type`, `too_long`, `pattern`, `too_small`, `too_large`,
    /// `not_in_enum`, `nul_character`.
    pub code: &'static str,
    /// What it must be.
    pub message: String,
}

/// The body's fields as they were sent, duplicates included.
struct Body(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Body(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// `body` without the byte order mark that may stand before it.
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

impl InputSchema {
    /// Reads a JSON body: a map with every input, those that were not given with their default or null.
    ///
    /// # Errors
    /// [`InputError`], with all that is wrong.
    pub fn parse_json(&self, body: &[u8]) -> Result<Value, InputError> {
        let Body(fields) = read(without_bom(body))?;
        let mut given: Vec<(String, Result<Value, Misfit>)> = Vec::with_capacity(fields.len());
        let mut problems = Vec::new();
        for (name, json) in fields {
            if given.iter().any(|(known, _)| *known == name) {
                problems.push(problem(&name, None, ("duplicate", "is given twice".to_owned())));
                continue;
            }
            match self.fields.iter().find(|field| *field.name == *name) {
                Some(field) => given.push((name, value(field, &json, &mut problems))),
                None => problems.push(self.unknown(&name)),
            }
        }
        self.complete(&given, problems)
    }

    /// Reads names and texts, as a command line has them; a list is written as a JSON array.
    ///
    /// # Errors
    /// [`InputError::Invalid`], with all that is wrong.
    pub fn parse_pairs<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Value, InputError> {
        let mut given: Vec<(String, Result<Value, Misfit>)> = Vec::new();
        let mut problems = Vec::new();
        for (name, text) in pairs {
            if given.iter().any(|(known, _)| known == name) {
                problems.push(problem(name, None, ("duplicate", "is given twice".to_owned())));
                continue;
            }
            let Some(field) = self.fields.iter().find(|field| *field.name == *name) else {
                problems.push(self.unknown(name));
                continue;
            };
            let value = if field.is_list {
                match serde_json::from_str(text) {
                    Ok(json) => value(field, &json, &mut problems),
                    Err(_) => Err(("wrong_type", "must be a list, written as a JSON array".to_owned())),
                }
            } else {
                field.scalar.read_text(text).and_then(|value| field.hold(&value).map(|()| value))
            };
            given.push((name.to_owned(), value));
        }
        self.complete(&given, problems)
    }

    /// The value that replaces the input `name`, held against what a request may send; `None` where there is no such input.
    /// `typed` is the value as a command line has it.
    ///
    /// # Errors
    /// What it must be.
    pub fn replacement(&self, name: &str, new: &Value, typed: Option<&str>) -> Option<Result<Value, String>> {
        let field = self.fields.iter().find(|field| *field.name == *name)?;
        let mut problems = Vec::new();
        let read = match typed {
            Some(text) if !field.is_list && !new.is_null() => {
                field.scalar.read_text(text).and_then(|value| field.hold(&value).map(|()| value))
            }
            _ => value(field, &serde_json::to_value(new).unwrap_or_default(), &mut problems),
        };
        Some(read.map_err(|(_, message)| problems.first().map_or(message, |problem| problem.message.clone())))
    }

    /// Puts every input in the order of the schema.
    fn complete(
        &self,
        given: &[(String, Result<Value, Misfit>)],
        mut problems: Vec<FieldProblem>,
    ) -> Result<Value, InputError> {
        let mut inputs: Vec<(FieldName, Value)> = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = match given.iter().find(|(name, _)| **name == *field.name) {
                Some((_, Ok(value))) => value.clone(),
                Some((name, Err(misfit))) => {
                    // A list's elements have told on their own.
                    if !misfit.1.is_empty() {
                        problems.push(problem(name, None, misfit.clone()));
                    }
                    continue;
                }
                None => match &field.default {
                    Some(default) => default.clone(),
                    None if field.required => {
                        problems.push(problem(&field.name, None, ("missing", "is required".to_owned())));
                        continue;
                    }
                    None => Value::Null,
                },
            };
            inputs.push((field.name.clone(), value));
        }
        if problems.is_empty() { Ok(Value::map(inputs)) } else { Err(InputError::Invalid(problems)) }
    }

    fn unknown(&self, name: &str) -> FieldProblem {
        let known: Vec<&str> = self.fields.iter().map(|field| &*field.name).collect();
        let message = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("is not an input; did you mean `{meant}`?"),
            None if known.is_empty() => "is not an input; the flow takes none".to_owned(),
            None => format!("is not an input; the inputs are: {}", known.join(", ")),
        };
        problem(name, None, ("unknown", message))
    }
}

/// A list's misfits go to `problems` one by one; the empty message says so.
fn value(field: &InputField, json: &serde_json::Value, problems: &mut Vec<FieldProblem>) -> Result<Value, Misfit> {
    if json.is_null() && !field.required {
        return Ok(field.default.clone().unwrap_or_default());
    }
    let scalar = |json| field.scalar.read_json(json).and_then(|value| field.hold(&value).map(|()| value));
    if !field.is_list {
        return scalar(json);
    }
    let serde_json::Value::Array(items) = json else {
        return Err(("wrong_type", format!("must be a {}", field.type_name())));
    };
    let mut values = Vec::with_capacity(items.len());
    let before = problems.len();
    for (index, item) in items.iter().enumerate() {
        match scalar(item) {
            Ok(value) => values.push(value),
            Err(misfit) => problems.push(problem(&field.name, Some(index), misfit)),
        }
    }
    if problems.len() > before { Err(("wrong_type", String::new())) } else { Ok(Value::List(values.into())) }
}

fn problem(name: &str, index: Option<usize>, (code, message): Misfit) -> FieldProblem {
    // A name of the client's own may be as long as the body: what is echoed is cut.
    let name: String = name.chars().take(64).collect();
    let name = name.replace('~', "~0").replace('/', "~1");
    let pointer = index.map_or_else(|| format!("/{name}"), |index| format!("/{name}/{index}"));
    FieldProblem { pointer, code, message }
}

fn read(body: &[u8]) -> Result<Body, InputError> {
    let malformed = |line, column, message: String| InputError::Malformed { line, column, message };
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = body.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        malformed(line, column, "invalid UTF-8".to_owned())
    })?;
    if text.trim().is_empty() {
        return Err(malformed(1, 1, "the body is empty; send a JSON object with the flow's inputs".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => InputError::Invalid(vec![FieldProblem {
            pointer: String::new(),
            code: "wrong_type",
            message: "the body must be a JSON object with the flow's inputs".to_owned(),
        }]),
        _ => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or("").to_owned();
            malformed(error.line(), error.column(), message)
        }
    })
}
