//! What-if: facts that a run replaces.
//!
//! An input or a fact of a query node is replaced before it is read. A fact of a rule node is replaced once the node has
//! ended: later readers see the new value, and the node's own rules see what they computed.

use super::error::FlowError;
use crate::diagnostics::suggest;
use crate::graph::{Decimals, Flow, Node, QueryNode, Rows, Work};
use crate::grl::Owner;
use crate::types::{FieldName, Shape, Type, Value, parse_moment};

/// Facts that are replaced.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Vec<Override>);

/// One fact that is replaced.
#[derive(Debug, Clone)]
pub struct Override {
    owner: Owner,
    path: Box<[FieldName]>,
    written: String,
    value: Value,
    /// The value as it was typed on a command line, where it may mean text.
    typed: Option<String>,
    decimals: Decimals,
}

impl Overrides {
    /// Nothing is replaced.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether nothing is replaced.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces `fact` (`node.column`, `input.name`, or a node for its whole value) by `value`.
    ///
    /// # Errors
    /// [`FlowError::Override`] where the flow has no such node.
    pub fn set(&mut self, flow: &Flow, fact: &str, value: Value) -> Result<(), FlowError> {
        self.push(flow, fact, value, None)
    }

    /// As [`Self::set`], with a typed value: a number, `true`, `false`, `null`, JSON, or else text.
    ///
    /// # Errors
    /// [`FlowError::Override`] where the flow has no such node, or the value is broken JSON.
    pub fn set_typed(&mut self, flow: &Flow, fact: &str, typed: &str) -> Result<(), FlowError> {
        let text = typed.trim();
        let structured = text.starts_with(['{', '[', '"']);
        let json = serde_json::from_str::<serde_json::Value>(text);
        let value = match json {
            Ok(json) => Value::from_json(&json).map_err(|error| refused(fact, error.to_string()))?,
            Err(error) if structured => return Err(refused(fact, format!("the value is broken JSON: {error}"))),
            Err(_) => Value::text(typed),
        };
        let typed = (!structured).then(|| typed.to_owned());
        self.push(flow, fact, value, typed)
    }

    fn push(&mut self, flow: &Flow, fact: &str, value: Value, typed: Option<String>) -> Result<(), FlowError> {
        let mut names = fact.split('.').map(str::trim);
        let head = names.next().unwrap_or("");
        let owner = if head == "input" {
            Owner::Input
        } else {
            let found = flow.nodes.iter().position(|node| node.id.as_str() == head);
            Owner::Node(found.ok_or_else(|| refused(fact, no_such_node(flow, head)))?)
        };
        let path: Box<[FieldName]> = names.map(FieldName::from).collect();
        if path.iter().any(|name| name.is_empty()) || (owner == Owner::Input && path.is_empty()) {
            return Err(refused(fact, "write it as `node.column` or `input.name`".to_owned()));
        }
        self.0.push(Override { owner, path, written: fact.to_owned(), value, typed, decimals: flow.decimals });
        Ok(())
    }

    /// The facts, as they were written.
    pub fn facts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|each| each.written.as_str())
    }

    /// The owner and the dotted path of each fact.
    pub(super) fn places(&self) -> impl Iterator<Item = (Owner, String)> {
        self.0.iter().map(|each| (each.owner, each.path.join(".")))
    }

    /// The override of a node's whole value. Its work is then skipped.
    pub(super) fn whole(&self, node: usize) -> Option<&Override> {
        self.0.iter().rfind(|each| each.owner == Owner::Node(node) && each.path.is_empty())
    }

    /// The inputs with the replaced ones, which must be valid in a request.
    pub(super) fn inputs(&self, flow: &Flow, inputs: Value) -> Result<Value, FlowError> {
        let mut inputs = inputs;
        for each in self.0.iter().filter(|each| each.owner == Owner::Input) {
            inputs = each.input(flow, &inputs)?;
        }
        Ok(inputs)
    }

    /// Whether the fact of `owner` at the dotted path `fact` is replaced as a whole.
    pub(super) fn replaces(&self, owner: Owner, fact: &str) -> bool {
        let covers = |each: &Override| {
            let path = each.path.join(".");
            path.is_empty() || fact.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().any(|each| each.owner == owner && covers(each))
    }

    /// The value of a node with its replaced facts.
    pub(super) fn apply(&self, node: usize, value: Value) -> Result<Value, FlowError> {
        let mut value = value;
        for each in self.0.iter().filter(|each| each.owner == Owner::Node(node)) {
            value = each.apply(&value)?;
        }
        Ok(value)
    }
}

impl Override {
    /// The value as the whole value of `node`, where it fits.
    pub(super) fn as_answer(&self, node: &Node) -> Result<Value, FlowError> {
        let problem = match &node.work {
            Work::Query(query) => other_rows(query, &self.value),
            Work::Rules(rules) => other_facts(&rules.ruleset.shape(), &self.value),
        };
        problem.map_or_else(|| Ok(self.value.clone()), |why| Err(refused(&self.written, why)))
    }

    fn input(&self, flow: &Flow, inputs: &Value) -> Result<Value, FlowError> {
        if let [name] = &*self.path
            && let Some(new) = flow.inputs.replacement(name, &self.value, self.typed.as_deref())
        {
            let new = new.map_err(|why| refused(&self.written, why))?;
            return self.with(inputs, &mut |_| Ok(new.clone()));
        }
        self.apply(inputs)
    }

    fn apply(&self, value: &Value) -> Result<Value, FlowError> {
        self.with(value, &mut |old| self.fitted(old))
    }

    /// `value` with its field replaced by what `new` makes of it.
    fn with(&self, value: &Value, new: &mut dyn FnMut(&Value) -> Result<Value, FlowError>) -> Result<Value, FlowError> {
        value.replaced(&self.path, new).map_err(|error| {
            error.unwrap_or_else(|| {
                let known = fields(value);
                let last = self.path.last().map_or("", |name| name);
                let proposal = suggest(last, &known, "there are");
                refused(&self.written, format!("there is no such field; {proposal}"))
            })
        })
    }

    /// The new value in the type of the old.
    fn fitted(&self, old: &Value) -> Result<Value, FlowError> {
        let text = match (&self.typed, &self.value) {
            (Some(typed), _) => Some(typed.as_str()),
            (None, Value::Text(text)) => Some(&**text),
            _ => None,
        };
        let fitted = match (old, &self.value, text) {
            (Value::Null, new, _) | (_, new @ Value::Null, _) => Some(new.clone()),
            (Value::Integer(_) | Value::Decimal(_), new @ (Value::Integer(_) | Value::Decimal(_)), _) => {
                Some(new.clone())
            }
            (Value::Decimal(_), _, Some(text)) if self.decimals == Decimals::String => {
                Decimals::read(text).map(Value::Decimal)
            }
            (Value::Text(_), _, Some(text)) => Some(Value::text(text)),
            (Value::Date(_), _, Some(text)) => text.parse().ok().map(Value::Date),
            (Value::Timestamp(_), _, Some(text)) => {
                let moment = parse_moment(text).map_err(|error| {
                    refused(&self.written, format!("it is a timestamp such as \"2026-01-31T08:00:00Z\", not {error}"))
                })?;
                Some(Value::Timestamp(moment))
            }
            (old, new, _) if old.type_name() == new.type_name() => Some(new.clone()),
            _ => None,
        };
        fitted.ok_or_else(|| {
            let why = format!("it is of type {}, and the new value is {}", old.type_name(), self.value.type_name());
            refused(&self.written, why)
        })
    }
}

/// What is wrong with the rows of a query.
fn other_rows(query: &QueryNode, value: &Value) -> Option<String> {
    let fits = match (query.rows, value) {
        (Rows::Optional, Value::Null) | (Rows::One | Rows::Optional, Value::Map(_)) => true,
        (Rows::Many, Value::List(rows)) => rows.iter().all(|row| matches!(row, Value::Map(_))),
        _ => false,
    };
    let expected = if query.rows == Rows::Many { "a list of rows" } else { "a row, such as {\"column\": 1}" };
    if fits { other_columns(&query.columns, value) } else { Some(format!("it takes {expected}")) }
}

/// The first column that a row lacks, or that its query does not select.
fn other_columns(columns: &Shape, value: &Value) -> Option<String> {
    match value {
        Value::List(rows) => rows.iter().find_map(|row| other_columns(columns, row)),
        Value::Map(row) => {
            let given: Vec<&str> = row.names().iter().map(|name| &**name).collect();
            let missing = columns.fields.iter().map(|field| &*field.name).find(|name| !given.contains(name));
            let stray = given.iter().find(|name| !columns.open && !columns.has(name));
            match (missing, stray) {
                (Some(name), _) => Some(format!("the row has no value for column `{name}`")),
                (None, Some(name)) => Some(format!("the query has no column `{name}`")),
                (None, None) => None,
            }
        }
        _ => None,
    }
}

/// What is wrong with the facts of a rule node.
fn other_facts(shape: &Shape, value: &Value) -> Option<String> {
    let Value::Map(facts) = value else { return Some("it takes the node's facts, such as {\"fact\": 1}".to_owned()) };
    facts.iter().find_map(|(name, value)| match shape.field(name) {
        None if shape.open => None,
        None => Some(format!("the node has no fact `{name}`")),
        Some(Type::Date | Type::Timestamp) if matches!(value, Value::Text(_)) => None,
        Some(ty) if value.is_null() || ty.comparable_with(&value.ty()) => None,
        Some(ty) => Some(format!("its fact `{name}` is of type {ty}, and the new value is {}", value.type_name())),
    })
}

fn refused(fact: &str, why: String) -> FlowError {
    FlowError::Override { fact: fact.to_owned(), why }
}

fn no_such_node(flow: &Flow, head: &str) -> String {
    let known: Vec<&str> = std::iter::once("input").chain(flow.nodes.iter().map(|node| node.id.as_str())).collect();
    format!("there is no node `{head}`; {}", suggest(head, &known, "there are"))
}

fn fields(value: &Value) -> Vec<&str> {
    match value {
        Value::Map(record) => record.names().iter().map(|name| &**name).collect(),
        Value::List(rows) => rows.first().map(fields).unwrap_or_default(),
        _ => Vec::new(),
    }
}
