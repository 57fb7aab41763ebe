//! The messages of the contract by which a service answers for a domain, as both sides read and write them.
//!
//! `GET /` describes the nodes ([`Description`]). `POST /{node}` has [`Asks`], and its answer is [`Answers`]. Types have the names
//! that graphs give them. Decimals and integers may be written as text, so that no language loses a digit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use super::status::LONGEST_PAUSE;
use crate::flow::QueryErrorKind;
use crate::graph::{self, Misfit};
use crate::types::{FieldName, Members, Record, Type, Value};

/// The most characters of a text of an error that are kept.
const LONGEST_DETAIL: usize = 500;

/// What a service answers to `GET /`: the nodes for which it answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Description {
    /// Changes whenever anything else in this description changes. Each answer repeats it.
    pub version: String,
    /// The nodes by name.
    pub nodes: BTreeMap<String, NodeDescription>,
}

/// What a node takes and gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDescription {
    /// The types of its parameters, in order.
    #[serde(default)]
    pub params: Vec<TypeName>,
    /// The columns of its rows. Each row has exactly these.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// Why it cannot be described, such as a table that is missing. It has then no parameters and columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type. Null is a value of every type.
    pub r#type: TypeName,
}

/// A type by its name: `any`, `boolean`, `integer`, `decimal`, `text`, `date`, `timestamp`, or `list of` one of these.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeName(pub Type);

/// The body of `POST /{node}`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Asks {
    /// The parameters of each ask.
    #[schemars(length(min = 1))]
    pub asks: Vec<Vec<Json>>,
    /// After this nobody waits for the answer any more, in milliseconds.
    pub timeout_ms: u64,
    /// The rows that the node takes of each ask. Of more, one is enough to show that there are too many.
    pub max_rows: usize,
}

/// The answer to [`Asks`].
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answers {
    /// The version of the description by which this answer was made.
    pub version: String,
    /// The node that was asked.
    pub node: String,
    /// One for each ask, in the order of the asks.
    pub answers: Vec<Answer>,
}

/// The answer to one ask: its rows, or the error instead of them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Row>>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// Why an ask has no rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `domain_unavailable`, `domain_overloaded`, `timeout`, `connection_lost`, `query_aborted`, `query_failed`,
    /// `unmappable_column`, `bad_parameter`, `request_failed` or `bad_answer`.
    pub code: String,
    /// What happened, without values.
    pub detail: String,
    /// The SQLSTATE of a database's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// When a retry may succeed, in milliseconds. What was aborted is sent again at once where this is 0 or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Answers {
    /// Reads the rows of each ask.
    ///
    /// # Errors
    /// The first [`Misfit`]: the rows of another node, another number of answers, or a row that the description does not allow.
    pub(super) fn read(
        self,
        node: &str,
        asks: usize,
        described: &NodeDescription,
        limit: Duration,
    ) -> Result<Vec<Result<Vec<Value>, QueryErrorKind>>, Misfit> {
        if self.node != node {
            return Err(Misfit::at("/node", "names another node than the one that was asked"));
        }
        if self.answers.len() != asks {
            return Err(Misfit::at("/answers", format!("has {} answers to {asks} asks", self.answers.len())));
        }
        let names: Arc<[FieldName]> =
            described.columns.iter().map(|column| FieldName::from(column.name.as_str())).collect();
        let answers = self.answers.into_iter().enumerate();
        answers.map(|(at, answer)| answer.read(at, described, &names, limit)).collect()
    }
}

impl Answer {
    /// The rows of an ask.
    pub fn rows(rows: impl Iterator<Item = Row>) -> Self {
        Self { rows: Some(rows.collect()), error: None }
    }

    /// Why an ask has no rows.
    pub fn error(kind: &QueryErrorKind) -> Self {
        Self { rows: None, error: Some(Problem::of(kind)) }
    }

    fn read(
        self,
        at: usize,
        described: &NodeDescription,
        names: &Arc<[FieldName]>,
        limit: Duration,
    ) -> Result<Result<Vec<Value>, QueryErrorKind>, Misfit> {
        let rows = match (self.rows, self.error) {
            (Some(rows), None) => rows,
            (None, Some(problem)) => return Ok(Err(problem.into_kind(limit))),
            _ => return Err(Misfit::at(format!("/answers/{at}"), "has neither rows nor an error, or both")),
        };
        let read = |(number, row): (usize, Row)| {
            let values = row.values(&described.columns);
            let values = values
                .map_err(|found| Misfit::at(format!("/answers/{at}/rows/{number}{}", found.place), found.reason))?;
            Ok(Value::Map(Arc::new(Record::new(Arc::clone(names), values))))
        };
        rows.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Ok)
    }
}

/// A row: its columns by name, duplicates included, so that none is dropped unseen.
#[derive(Debug)]
pub struct Row(Vec<(String, Json)>);

impl Row {
    /// The row of `record`, with its decimals as text.
    pub fn of(record: &Record) -> Self {
        Self(record.iter().map(|(name, value)| (name.to_string(), write(value))).collect())
    }

    fn values(self, columns: &[Column]) -> Result<Vec<Value>, Misfit> {
        let Self(mut fields) = self;
        let column = |(at, column): (usize, &Column)| {
            // Most services keep the order of the description.
            let found = match fields.get(at) {
                Some((name, _)) if *name == column.name => Some(at),
                _ => fields.iter().position(|(name, _)| *name == column.name),
            };
            let Some((_, json)) = found.and_then(|at| fields.get_mut(at)) else {
                return Err(Misfit::at("", format!("has no column `{}`", column.name)));
            };
            let ty = &column.r#type.0;
            ty.read(json)
                .map_err(|found| Misfit::at(format!("/{}", column.name), format!("must be of type {ty}, not {found}")))
        };
        let values = columns.iter().enumerate().map(column).collect::<Result<Vec<Value>, _>>()?;
        if fields.len() == columns.len() {
            Ok(values)
        } else {
            Err(Misfit::at("", format!("has {} members, and the node has {} columns", fields.len(), columns.len())))
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Members(members) = Members::deserialize(deserializer)?;
        Ok(Self(members.into_iter().map(|(name, value)| (name.0.into_owned(), value)).collect()))
    }
}

impl JsonSchema for Row {
    fn schema_name() -> Cow<'static, str> {
        "Row".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "The columns of a row, by name.", "type": "object" })
    }
}

/// A value as the messages have it: decimals are text, all others as in the answers of flows.
pub fn write(value: &Value) -> Json {
    match value {
        Value::Decimal(decimal) => Json::String(decimal.to_string()),
        Value::List(items) => Json::Array(items.iter().map(write).collect()),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

/// Whether a value that was read from a database is of this type.
fn is_of(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Null, _) | (_, Type::Any) | (Value::Map(_), Type::Map(_)) => true,
        (Value::List(items), Type::List(element)) => items.iter().all(|item| is_of(item, element)),
        (value, ty) => value.ty() == *ty,
    }
}

impl Problem {
    /// The problem of a query that failed in this way. It has no message of a database.
    pub fn of(kind: &QueryErrorKind) -> Self {
        let is_tried = !matches!(kind, QueryErrorKind::Aborted { is_final: false, .. });
        let retry_after = kind.retry_after().filter(|_| is_tried);
        Self {
            code: kind.code().to_owned(),
            detail: kind.to_string(),
            sqlstate: kind.sqlstate().map(str::to_owned),
            retry_after_ms: retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// What it means for the query that was asked with this time limit.
    pub(super) fn into_kind(self, limit: Duration) -> QueryErrorKind {
        let Self { code, detail, sqlstate, retry_after_ms } = self;
        let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
        let retry_after = retry_after_ms.map_or(crate::pool::RETRY_AFTER, Duration::from_millis).min(LONGEST_PAUSE);
        let sqlstate = sqlstate.unwrap_or_else(|| "XX000".to_owned());
        match code.as_str() {
            "domain_unavailable" => QueryErrorKind::Unavailable { why: detail, retry_after },
            "domain_overloaded" => QueryErrorKind::Overloaded { retry_after },
            "timeout" => QueryErrorKind::Timeout { after: limit },
            "connection_lost" => QueryErrorKind::ConnectionLost { sent: true, detail },
            "query_aborted" => {
                let is_final = retry_after_ms.is_some_and(|after| after > 0);
                QueryErrorKind::Aborted { sqlstate, detail, is_final }
            }
            "query_failed" => QueryErrorKind::Sql { sqlstate, detail },
            _ => {
                let code: String = code.chars().take(LONGEST_DETAIL).collect();
                QueryErrorKind::Request { why: format!("the service reports `{code}`: {detail}") }
            }
        }
    }
}

impl NodeDescription {
    /// What the database says of a query.
    pub fn of(description: &graph::Description) -> Self {
        let name = |ty: &graph::ColumnType| ty.ty.clone().map(TypeName);
        let params = description.params.iter().enumerate().map(|(index, ty)| {
            let unfit = QueryErrorKind::Parameter {
                number: index + 1,
                expected: ty.name.clone(),
                found: "a value: the type has no mapping".to_owned(),
            };
            name(ty).ok_or(unfit)
        });
        let columns = description.columns.iter().map(|column| {
            let (ty, reason) = (column.ty.name.clone(), "has no mapping: cast it in the query".to_owned());
            let unfit = QueryErrorKind::Column { column: column.name.clone(), ty, reason };
            Ok(Column { name: column.name.clone(), r#type: name(&column.ty).ok_or(unfit)? })
        });
        match (params.collect(), columns.collect()) {
            (Ok(params), Ok(columns)) => Self { params, columns, error: None },
            (Err(kind), _) | (_, Err(kind)) => Self::failed(&kind),
        }
    }

    /// A node that cannot be described.
    pub fn failed(kind: &QueryErrorKind) -> Self {
        Self { error: Some(Problem::of(kind)), ..Self::default() }
    }

    /// Whether it describes `row`: its columns, and values of their types.
    pub fn allows(&self, row: &Value) -> bool {
        let Value::Map(record) = row else { return false };
        let columns = self.columns.iter().map(|column| (column.name.as_str(), &column.r#type.0));
        record.len() == self.columns.len()
            && record.iter().zip(columns).all(|((name, value), (known, ty))| **name == *known && is_of(value, ty))
    }

    /// The same as a database would say it.
    pub(super) fn to_graph(&self) -> graph::Description {
        let ty = |TypeName(ty): &TypeName| graph::ColumnType { name: ty.to_string(), ty: Some(ty.clone()) };
        let columns = self.columns.iter();
        graph::Description {
            params: self.params.iter().map(ty).collect(),
            columns: columns
                .map(|column| graph::Column { name: column.name.clone(), ty: ty(&column.r#type) })
                .collect(),
        }
    }
}

impl Serialize for TypeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Type::named(&name).map(Self).ok_or_else(|| D::Error::custom("this is not the name of a type"))
    }
}

impl JsonSchema for TypeName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TypeName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(list of )*(any|boolean|integer|decimal|text|date|timestamp)$" })
    }
}
