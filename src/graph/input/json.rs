//! Reads a request's body, or the arguments of a command line, against the schema.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::value::Misfit;
use super::{InputField, InputSchema};
use crate::diagnostics::nearest;
use crate::types::{IdempotencyKey, KeyError, MemberName, Members, Record, Value};

/// The member of an element of a batch that is its key.
pub const KEY_MEMBER: &str = "Idempotency-Key";

/// Why a body is refused.
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
    /// It is JSON that does not fit the flow's inputs.
    #[error("{}", .0.iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldProblem>),
}

/// What is wrong with one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FieldProblem {
    /// The input (or of a search, the fact): a JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// A stable code.
    #[schemars(extend("enum" = [
        "missing", "unknown", "duplicate", "wrong_type", "too_long", "pattern", "too_small", "too_large",
        "not_in_enum", "nul_character", "fact"
    ]))]
    pub code: &'static str,
    /// What it must be.
    pub message: String,
}

/// The inputs of an element of a batch, and its key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedInputs {
    /// The checked inputs.
    pub inputs: Value,
    /// The key, or what is wrong with it.
    pub key: Option<Result<IdempotencyKey, KeyError>>,
}

/// `body` without a leading byte order mark.
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

impl InputSchema {
    /// Reads a JSON body as a map of all inputs; inputs that were not given have their default or null.
    ///
    /// # Errors
    /// [`InputError`], with all problems.
    pub fn parse_json(&self, body: &[u8]) -> Result<Value, InputError> {
        self.parse_members(read(without_bom(body))?.0, false)
    }

    /// As [`Self::parse_json`], of inputs that a record, an approval or a test keeps: decimals may be numbers whatever the flow says.
    ///
    /// # Errors
    /// As [`Self::parse_json`].
    pub fn parse_kept(&self, inputs: &str) -> Result<Value, InputError> {
        self.parse_members(read(inputs.as_bytes())?.0, true)
    }

    /// As [`Self::parse_json`], of an element of a batch. It may have the member `Idempotency-Key` beside the inputs, none of
    /// which can have that name.
    ///
    /// # Errors
    /// As [`Self::parse_json`]; what is wrong with the key is not among them.
    pub fn parse_element(&self, body: &[u8]) -> Result<KeyedInputs, InputError> {
        let is_key = |member: &(MemberName<'_>, _)| member.0.0 == KEY_MEMBER;
        let (keys, fields): (Vec<_>, Vec<_>) = read(without_bom(body))?.0.into_iter().partition(is_key);
        let inputs = self.parse_members(fields, false)?;
        let key = match keys.as_slice() {
            [] => None,
            [(_, serde_json::Value::String(text))] => Some(IdempotencyKey::parse(text)),
            [_] => Some(Err(KeyError::NotText)),
            _ => Some(Err(KeyError::Several)),
        };
        Ok(KeyedInputs { inputs, key })
    }

    fn parse_members(
        &self,
        members: Vec<(MemberName<'_>, serde_json::Value)>,
        is_kept: bool,
    ) -> Result<Value, InputError> {
        let mut given = Given::of(self);
        for (MemberName(name), json) in members {
            given.add(&name, |field, problems| value(field, &json, is_kept, problems));
        }
        given.complete()
    }

    /// Reads names and texts of a command line; a list is written as a JSON array.
    ///
    /// # Errors
    /// [`InputError::Invalid`], with all problems.
    pub fn parse_pairs<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Value, InputError> {
        let mut given = Given::of(self);
        for (name, text) in pairs {
            given.add(name, |field, problems| {
                if !field.is_list {
                    return field.scalar.read_text(text).and_then(|value| field.check(&value).map(|()| value));
                }
                match serde_json::from_str(text) {
                    Ok(json) => value(field, &json, true, problems),
                    Err(_) => Err(("wrong_type", "must be a list, written as a JSON array".to_owned())),
                }
            });
        }
        given.complete()
    }

    /// The value that replaces the input `name`, checked as a request's; `None` if there is no such input. `typed` is the value
    /// as written on a command line.
    ///
    /// # Errors
    /// What the value must be.
    pub fn replacement(&self, name: &str, new: &Value, typed: Option<&str>) -> Option<Result<Value, String>> {
        let field = self.fields.iter().find(|field| *field.name == *name)?;
        let mut problems = Vec::new();
        let read = match typed {
            Some(text) if !field.is_list && !new.is_null() => {
                field.scalar.read_text(text).and_then(|value| field.check(&value).map(|()| value))
            }
            _ => value(field, &serde_json::to_value(new).unwrap_or_default(), true, &mut problems),
        };
        Some(read.map_err(|(_, message)| problems.first().map_or(message, |problem| problem.message.clone())))
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

/// The inputs that were given so far.
struct Given<'a> {
    schema: &'a InputSchema,
    /// In the order of the schema.
    values: Vec<Option<Result<Value, Misfit>>>,
    problems: Vec<FieldProblem>,
}

impl<'a> Given<'a> {
    fn of(schema: &'a InputSchema) -> Self {
        Self { schema, values: vec![None; schema.fields.len()], problems: Vec::new() }
    }

    /// Adds the input `name`, which `read` reads.
    fn add(&mut self, name: &str, read: impl FnOnce(&InputField, &mut Vec<FieldProblem>) -> Result<Value, Misfit>) {
        let mut fields = self.schema.fields.iter().zip(&mut self.values);
        match fields.find(|(field, _)| *field.name == *name) {
            Some((field, place @ None)) => *place = Some(read(field, &mut self.problems)),
            Some(_) => self.problems.push(problem(name, None, ("duplicate", "is given twice".to_owned()))),
            None => self.problems.push(self.schema.unknown(name)),
        }
    }

    /// A map with every input.
    fn complete(self) -> Result<Value, InputError> {
        let Self { schema, values, mut problems } = self;
        let mut inputs = Vec::with_capacity(values.len());
        for (field, given) in schema.fields.iter().zip(values) {
            let misfit = match (given, &field.default) {
                (Some(Ok(value)), _) => {
                    inputs.push(value);
                    continue;
                }
                (Some(Err(misfit)), _) => misfit,
                (None, None) if field.required => ("missing", "is required".to_owned()),
                (None, default) => {
                    inputs.push(default.clone().unwrap_or_default());
                    continue;
                }
            };
            // The elements of a list have problems of their own.
            if !misfit.1.is_empty() {
                problems.push(problem(&field.name, None, misfit));
            }
        }
        if !problems.is_empty() {
            return Err(InputError::Invalid(problems));
        }
        Ok(Value::Map(Arc::new(Record::new(Arc::clone(&schema.names), inputs))))
    }
}

/// The problems of a list's elements go to `problems`; the list's own message is then empty.
fn value(
    field: &InputField,
    json: &serde_json::Value,
    is_kept: bool,
    problems: &mut Vec<FieldProblem>,
) -> Result<Value, Misfit> {
    if json.is_null() && !field.required {
        return Ok(field.default.clone().unwrap_or_default());
    }
    if !field.is_list {
        return field.read_json(json, is_kept);
    }
    let serde_json::Value::Array(items) = json else {
        return Err(("wrong_type", format!("must be a {}", field.type_name())));
    };
    let mut values = Vec::with_capacity(items.len());
    let before = problems.len();
    for (index, item) in items.iter().enumerate() {
        match field.read_json(item, is_kept) {
            Ok(value) => values.push(value),
            Err(misfit) => problems.push(problem(&field.name, Some(index), misfit)),
        }
    }
    if problems.len() > before { Err(("wrong_type", String::new())) } else { Ok(Value::List(values.into())) }
}

fn problem(name: &str, index: Option<usize>, (code, message): Misfit) -> FieldProblem {
    // An unknown name may be as long as the body, so it is cut.
    let name: String = name.chars().take(64).collect();
    let name = name.replace('~', "~0").replace('/', "~1");
    let pointer = index.map_or_else(|| format!("/{name}"), |index| format!("/{name}/{index}"));
    FieldProblem { pointer, code, message }
}

fn read(body: &[u8]) -> Result<Members<'_, serde_json::Value>, InputError> {
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
