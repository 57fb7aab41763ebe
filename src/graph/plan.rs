//! A compiled flow, the only thing that the executor takes. An invalid graph has none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;

use super::decimals::Decimals;
use super::input::InputSchema;
use super::query::Query;
use crate::config::{Env, UrlConnection};
use crate::diagnostics::{Source, Span};
use crate::grl::{Definitions, Expression, FactRef, Limits, Owner, Ruleset};
use crate::types::{DomainName, FieldName, FlowName, NodeId, Occasional, Shape, Value};
use crate::yaml;

/// A compiled flow.
#[derive(Debug)]
pub struct Flow {
    /// Its name.
    pub name: FlowName,
    /// The path of its decisions, such as `/purchasing/flow`.
    pub path: String,
    /// The place of the path in the graph file.
    pub path_span: Span,
    /// Its description.
    pub description: Option<String>,
    /// What decimals are in its JSON.
    pub decimals: Decimals,
    /// Its inputs.
    pub inputs: InputSchema,
    /// The constants and functions that its rules and expressions know.
    pub definitions: Arc<Definitions>,
    /// Its nodes; each node comes after those that it depends on.
    pub nodes: Vec<Node>,
    /// The ways in which it can end, in the order in which they are tried.
    pub outcomes: Vec<Outcome>,
    /// What outcomes write. All effects write to the same domain.
    pub effects: Vec<Effect>,
    /// The first 16 hexadecimal digits of the SHA-256 of the graph file.
    pub graph_hash: String,
    /// The same over its rule files, in the order of the nodes that name them.
    pub rules_hash: String,
    /// The connections that nodes wrote inline (`connection:`), by the name of the domain made for each.
    pub connections: Vec<(DomainName, UrlConnection)>,
    /// What it was compiled from.
    pub(super) compiled_from: CompiledFrom,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Its description.
    pub description: Option<String>,
    /// Its place in the graph file.
    pub span: Span,
    /// The nodes that must end (or be skipped) before it starts, by index.
    pub depends_on: Vec<usize>,
    /// The nodes that wait for it, by index.
    pub dependents: Vec<usize>,
    /// The conditions of the edges that lead to it. If one is not true, the node is skipped.
    pub guards: Vec<Guard>,
    /// What it does.
    pub work: Work,
}

/// The condition of an edge.
#[derive(Debug)]
pub struct Guard {
    /// The node the edge comes from, by index.
    pub from: usize,
    /// The condition.
    pub rule: Expression,
}

/// What a node does.
#[derive(Debug)]
pub enum Work {
    /// Asks a database.
    Query(Box<QueryNode>),
    /// Runs rules.
    Rules(RuleNode),
}

/// A node that asks a database.
#[derive(Debug)]
pub struct QueryNode {
    /// The domain it asks.
    pub domain: DomainName,
    /// What it asks.
    pub query: Arc<Query>,
    /// The place of the query in the graph file.
    pub query_span: Span,
    /// The facts that become `$1`, `$2`, ...
    pub params: Vec<FactRef>,
    /// How many rows it expects.
    pub rows: Rows,
    /// Its own time limit, below the request's.
    pub timeout: Option<Duration>,
    /// What happens if the database gives no answer.
    pub on_error: OnError,
    /// How often its default has replaced an answer since that was last logged.
    pub defaults: Occasional,
    /// Its columns, as far as they are known.
    pub columns: Shape,
    /// Those of them that are UUIDs, whose values are texts.
    pub uuids: Vec<FieldName>,
    /// Columns whose values are in no explanation, record or recorded test.
    pub redact: Vec<FieldName>,
}

/// How many rows a query node expects, which decides the type of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Exactly one: a map. None is the outcome `not_found`, two are an error.
    One,
    /// One or none: a map, or null. Two are an error.
    Optional,
    /// Any number up to the most that the query reads ([`Query::max_rows`]): a list of maps. More are an error.
    Many,
}

/// What happens if a query node's database gives no answer.
#[derive(Debug, Clone)]
pub enum OnError {
    /// The flow fails.
    Fail,
    /// The node has this value if its database failed in one of these ways, and the decision is marked degraded. A missing row
    /// (`not_found`) is an answer, and an error of the query or of the service's own queue is not an outage: then the flow fails.
    Default {
        /// The value.
        value: Value,
        /// The failures it replaces.
        causes: Vec<Cause>,
    },
}

impl OnError {
    /// The value that replaces an answer after this failure, if there is one.
    pub fn default_for(&self, cause: Cause) -> Option<&Value> {
        match self {
            Self::Default { value, causes } if causes.contains(&cause) => Some(value),
            Self::Default { .. } | Self::Fail => None,
        }
    }
}

/// A failure of a database that a default may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It takes no connections.
    Down,
    /// The connection broke during the query.
    ConnectionLost,
    /// The query was sent and not answered in time.
    Timeout,
}

impl Cause {
    /// All of them, which a default replaces unless the graph names some.
    pub const ALL: [Self; 3] = [Self::Down, Self::ConnectionLost, Self::Timeout];

    /// Its name in graphs and flow tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::ConnectionLost => "connection_lost",
            Self::Timeout => "timeout",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// A node that runs rules.
#[derive(Debug)]
pub struct RuleNode {
    /// Its compiled rules. What they read from outside is [`Ruleset::reads`].
    pub ruleset: Arc<Ruleset>,
    /// The place of `waiting: allow`, with which a rule that waits counts as one that does not fire.
    pub allows_waiting: Option<Span>,
}

/// A way in which the flow can end.
#[derive(Debug)]
pub struct Outcome {
    /// The `status` of the answer.
    pub status: String,
    /// Its condition; it always holds without one.
    pub when: Option<Expression>,
    /// The `message` of the answer.
    pub message: Option<Message>,
    /// The rest of the answer: a map.
    pub body: Vec<(FieldName, Template)>,
    /// What it writes, by its position in [`Flow::effects`].
    pub effect: Option<usize>,
    /// If this is true, the effect waits for an approval.
    pub approval: Option<Expression>,
    /// Its place in the graph file.
    pub span: Span,
}

impl Outcome {
    /// The expressions of its conditions, message and body.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut all: Vec<&Expression> = self.when.iter().chain(&self.approval).collect();
        for part in self.message.iter().flat_map(|message| &message.parts) {
            if let MessagePart::Expression(expression) = part {
                all.push(expression);
            }
        }
        self.body.iter().for_each(|(_, field)| field.collect(&mut all));
        all
    }

    /// Whether its answer may have this field. The names of nested ones are joined by dots.
    pub fn may_have(&self, field: &str) -> bool {
        matches!(field, "status" | "message" | "degraded")
            || self.template(field).is_some_and(|found| !matches!(found, (Template::List(_), Some(_))))
    }

    /// What makes the field of this name in the body. Behind it, the rest of the name, where that leads into a list or the value of
    /// an expression.
    pub fn template<'n>(&self, field: &'n str) -> Option<(&Template, Option<&'n str>)> {
        template(&self.body, field)
    }

    /// The facts that its condition, message and body read.
    pub fn reads(&self) -> Vec<FactRef> {
        self.expressions().into_iter().flat_map(|expression| expression.reads().iter().cloned()).collect()
    }
}

/// Text with expressions in it: `"Order {calc.quantity} now"`. `{{` and `}}` stand for braces.
#[derive(Debug)]
pub struct Message {
    /// Its parts, in order.
    pub parts: Vec<MessagePart>,
}

/// A part of a [`Message`].
#[derive(Debug)]
pub enum MessagePart {
    /// Text as it is.
    Text(String),
    /// The value of an expression.
    Expression(Expression),
}

/// The template of an answer's body.
#[derive(Debug)]
pub enum Template {
    /// Named fields.
    Map(Vec<(FieldName, Template)>),
    /// Elements.
    List(Vec<Template>),
    /// The value of an expression.
    Leaf(Expression),
}

impl Template {
    fn collect<'a>(&'a self, into: &mut Vec<&'a Expression>) {
        match self {
            Self::Map(fields) => fields.iter().for_each(|(_, field)| field.collect(into)),
            Self::List(items) => items.iter().for_each(|item| item.collect(into)),
            Self::Leaf(expression) => into.push(expression),
        }
    }
}

fn template<'f, 'n>(fields: &'f [(FieldName, Template)], name: &'n str) -> Option<(&'f Template, Option<&'n str>)> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    match (fields.iter().find(|(known, _)| **known == *first)?, rest) {
        ((_, Template::Map(fields)), Some(rest)) => template(fields, rest),
        ((_, found), rest) => Some((found, rest)),
    }
}

/// What a decision writes: statements on one domain in one transaction, once for each `Idempotency-Key`.
#[derive(Debug)]
pub struct Effect {
    /// Its name. Expressions of its outcomes read what its statements return as its fields.
    pub name: NodeId,
    /// Its description.
    pub description: Option<String>,
    /// The domain that it writes to.
    pub domain: DomainName,
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// The row of the outbox.
    pub event: Option<Event>,
    /// Its place in the graph file.
    pub span: Span,
}

/// A statement of an effect.
#[derive(Debug)]
pub struct Statement {
    /// Its text.
    pub query: Arc<Query>,
    /// The place of its text in the graph file.
    pub span: Span,
    /// The expressions that become `$1`, `$2`, ...
    pub params: Vec<Expression>,
    /// How many rows it writes or returns. With another number nothing is written, and the decision is made again. What a statement of
    /// one row returns can be read as fields of the effect.
    pub rows: Rows,
}

/// A row of the outbox.
#[derive(Debug)]
pub struct Event {
    /// The kind of thing that it is about (`aggregatetype`).
    pub aggregate: String,
    /// The type of the event.
    pub ty: String,
    /// The thing that it is about (`aggregateid`). Events of one key are sent in order.
    pub key: Expression,
    /// The payload; the answer to the request if there is none.
    pub payload: Option<Template>,
}

impl Flow {
    /// The domains that it asks and writes to, in the order of nodes and effects. A domain may occur several times.
    pub fn domains(&self) -> impl Iterator<Item = &DomainName> {
        let asked = self.nodes.iter().filter_map(|node| match &node.work {
            Work::Query(query) => Some(&query.domain),
            Work::Rules(_) => None,
        });
        asked.chain(self.effects.iter().map(|effect| &effect.domain))
    }

    /// The owner of the facts that the effect at this position returns: it comes after the nodes.
    pub fn owner_of_effect(&self, effect: usize) -> Owner {
        Owner::Node(self.nodes.len() + effect)
    }

    /// The position of the effect that returns the facts of this owner.
    pub fn effect_of(&self, owner: Owner) -> Option<usize> {
        match owner {
            Owner::Node(place) => place.checked_sub(self.nodes.len()),
            Owner::Input => None,
        }
    }

    /// Whether the expression reads what an effect returns.
    pub fn reads_effect(&self, expression: &Expression) -> bool {
        expression.reads().iter().any(|fact| self.effect_of(fact.owner).is_some())
    }
}

impl Effect {
    /// The expressions of its statements and of its event.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut all: Vec<&Expression> = self.statements.iter().flat_map(|statement| &statement.params).collect();
        if let Some(event) = &self.event {
            all.push(&event.key);
            event.payload.iter().for_each(|payload| payload.collect(&mut all));
        }
        all
    }
}

/// The texts and settings that a flow was compiled from.
#[derive(Debug)]
pub(super) struct CompiledFrom {
    pub(super) source: Arc<Source>,
    pub(super) rules: BTreeMap<String, Arc<Source>>,
    pub(super) tables: Tables,
    pub(super) env: Env,
    pub(super) rule_limits: Limits,
    pub(super) file_limits: yaml::Limits,
}

/// By path: the name and the bytes of each table.
pub(super) type Tables = BTreeMap<String, (String, Arc<[u8]>)>;
