//! Query nodes: the statement or the request, its parameters, its domain, its row.

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::node::Draft;
use crate::config::Connection;
use crate::diagnostics::{Diagnostic, Diagnostics, Span, nearest};
use crate::graph::plan::{Cause, OnError, QueryNode, Rows};
use crate::graph::spec::RowsSpec;
use crate::graph::sql::{self, SqlFacts};
use crate::graph::{Description, Query, Request, values};
use crate::grl::{FactRef, Owner, Scope};
use crate::types::{DomainName, Field, FieldName, Occasional, Shape, Type, Value};
use crate::yaml::{Kind, Marked};

/// The domain of nodes without `database`.
const DEFAULT: &str = crate::config::DEFAULT_DOMAIN;
/// The default of `max_rows`.
const MAX_ROWS: usize = 10_000;

impl Compiler<'_> {
    /// The plan of the query node at `index`, and the type of its value. `scope` is what its parameters can name.
    pub(super) fn query(&mut self, index: usize, scope: &Scope) -> Option<(QueryNode, Type)> {
        let domain = self.domain(index)?;
        let draft = self.nodes.get(index)?;
        let rows = rows(draft.spec.rows);
        let query_span = match (&draft.spec.query, &draft.spec.get) {
            (Some(_), _) => draft.place("query"),
            (None, Some(_)) => draft.place("get"),
            (None, None) => draft.place("post"),
        };
        let (query, params, row) = match draft.spec.query.clone() {
            Some(text) => self.statement(index, scope, text, rows)?,
            None => {
                let max_rows = self.max_rows(index, rows);
                self.request(index, scope, rows, max_rows)?
            }
        };
        let draft = self.nodes.get(index)?;
        let timeout = draft.spec.timeout_ms.map(Duration::from_millis);
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            self.found.push(Diagnostic::error(
                "bad-timeout",
                draft.place("timeout_ms"),
                "a timeout of 0 ms leaves no time to answer",
            ));
        }
        let on_error = self.on_error(index, rows, &row, query.request());
        let redact = self.redact(index, &row);
        let columns = row.clone();
        let id = &self.nodes.get(index)?.id;
        let described = self.context.catalog.and_then(|catalog| catalog.description(&self.head.name, id));
        let uuids = described.iter().flat_map(|described| &described.columns).filter(|column| column.ty.name == "uuid");
        let uuids = uuids.map(|column| FieldName::from(column.name.as_str())).collect();
        let row = Type::Map(Arc::new(row));
        let ty = if rows == Rows::Many { Type::List(Arc::new(row)) } else { row };
        let defaults = Occasional::default();
        Some((
            QueryNode {
                domain,
                query,
                query_span,
                params: params?,
                rows,
                timeout,
                on_error,
                defaults,
                columns,
                uuids,
                redact,
            },
            ty,
        ))
    }

    /// The SQL query of the node at `index`, its parameters, and its columns.
    fn statement(
        &mut self,
        index: usize,
        scope: &Scope,
        text: String,
        rows: Rows,
    ) -> Option<(Arc<Query>, Option<Vec<FactRef>>, Shape)> {
        let draft = self.nodes.get(index)?;
        let (id, coalescing) = (draft.id.clone(), draft.spec.coalesce.unwrap_or_default());
        let place = draft.place("query");
        let facts = sql::examine(&text);
        if let Some((code, message)) = &facts.problem {
            let help = "a node runs one SELECT (or WITH); a decision never writes";
            self.found.push(Diagnostic::error(code, &place, message.clone()).help(help));
            return None;
        }
        let description = self.context.catalog.and_then(|catalog| catalog.description(&self.head.name, &id)).cloned();
        let params = self.params(index, scope, &facts, &place, description.as_ref());
        let query = Query::new(id, text, coalescing, self.max_rows(index, rows));
        let row = self.row(&facts, description.as_ref(), &place);
        Some((query, params, row))
    }

    /// The most rows that the node takes.
    fn max_rows(&mut self, index: usize, rows: Rows) -> usize {
        let Some(draft) = self.nodes.get(index) else { return MAX_ROWS };
        let problem = match (rows, draft.spec.max_rows) {
            (Rows::Many, Some(0)) => {
                ("`max_rows` of 0 leaves no row to read", "write the most rows that the node takes")
            }
            (Rows::Many, max) => return max.unwrap_or(MAX_ROWS),
            (Rows::One | Rows::Optional, None) => return 1,
            (Rows::One | Rows::Optional, Some(_)) => {
                ("`max_rows` is for `rows: many`; this node takes one row", "delete it, or write `rows: many`")
            }
        };
        self.found.push(Diagnostic::error("bad-max-rows", draft.place("max_rows"), problem.0).help(problem.1));
        MAX_ROWS
    }

    /// The columns that no explanation shows.
    fn redact(&mut self, index: usize, row: &Shape) -> Vec<FieldName> {
        let Some(section) = self.nodes.get(index).and_then(|draft| draft.yaml.get("redact")) else { return Vec::new() };
        let mut names = Vec::new();
        for item in section.items() {
            let Some(name) = item.as_text() else { continue };
            if !row.open && !row.has(name) {
                let known: Vec<&str> = row.fields.iter().map(|field| &*field.name).collect();
                let help = nearest(name, known.iter().copied())
                    .map_or_else(|| format!("it has: {}", known.join(", ")), |name| format!("did you mean `{name}`?"));
                let message = format!("the query has no column `{name}`");
                self.found.push(Diagnostic::error("unknown-column", item.head(), message).help(help));
            }
            names.push(FieldName::from(name));
        }
        names
    }

    fn domain(&mut self, index: usize) -> Option<DomainName> {
        let draft = self.nodes.get(index)?;
        if let Some(url) = draft.spec.connection.clone() {
            return self.inline_domain(index, &url);
        }
        let name = draft.spec.database.as_deref().unwrap_or(DEFAULT);
        match DomainName::parse(name) {
            Ok(name) => Some(name),
            Err(error) => {
                self.found.push(Diagnostic::error("bad-name", draft.place("database"), error.to_string()));
                None
            }
        }
    }

    /// The domain made for a `connection:`; the same text on two nodes makes one.
    fn inline_domain(&mut self, index: usize, url: &str) -> Option<DomainName> {
        let known = self.connections.iter().find(|(_, (_, text))| text == url).map(|(name, _)| name.clone());
        if known.is_some() {
            return known;
        }
        let draft = self.nodes.get(index)?;
        let place = draft.place("connection");
        let connection = match Connection::from_url(url, self.context.env) {
            Ok(connection) => connection,
            Err(errors) => {
                for error in errors {
                    let help = error.help();
                    self.found.push(Diagnostic::error("bad-connection", &place, error.to_string()).maybe_help(help));
                }
                return None;
            }
        };
        if connection.literal_password {
            let help = "write `${NAME}` in its place and set the variable";
            self.found.push(
                Diagnostic::warning("password-in-file", &place, "a password stands in the graph file").help(help),
            );
        }
        let name = format!("{}_connection", draft.id.as_str().chars().take(50).collect::<String>());
        let name = DomainName::parse(&name).ok()?;
        self.connections.insert(name.clone(), (connection, url.to_owned()));
        Some(name)
    }

    /// The facts that become `$1`, `$2`, ...
    fn params(
        &mut self,
        index: usize,
        scope: &Scope,
        facts: &SqlFacts,
        query: &Span,
        description: Option<&Description>,
    ) -> Option<Vec<FactRef>> {
        let draft = self.nodes.get(index)?;
        let written: Vec<(Vec<String>, Span)> = match draft.yaml.get("params").filter(|node| !node.is_null()) {
            Some(list) => list
                .items()
                .iter()
                .filter_map(|item| {
                    Some((item.as_text()?.split('.').map(|name| name.trim().to_owned()).collect(), item.head()))
                })
                .collect(),
            None => self
                .head
                .inputs
                .fields()
                .iter()
                .map(|field| (vec!["input".to_owned(), field.name.to_string()], query.clone()))
                .collect(),
        };
        let given = written.len();
        let by_default = draft.spec.params.is_none();
        if by_default && facts.params.is_empty() {
            return Some(Vec::new());
        }
        self.refuse_wrong_numbers(facts, given, by_default, query)?;
        let mut params = Vec::with_capacity(given);
        for (number, (path, place)) in written.iter().enumerate() {
            let (fact, ty) = self.param(scope, path, place)?;
            let expected = description.and_then(|description| description.params.get(number));
            if let Some(column) = expected
                && let Some(expected) = &column.ty
                && !fits_parameter(&ty, expected)
            {
                let message =
                    format!("`{}` is of type {ty}, and ${} takes {}", path.join("."), number + 1, column.name);
                let error = Diagnostic::error("parameter-type", place, message);
                self.found.push(error.help(remedy_of_parameter(&ty, (expected, &column.name), number + 1)));
            }
            params.push(fact);
        }
        Some(params)
    }

    pub(super) fn refuse_wrong_numbers(
        &mut self,
        facts: &SqlFacts,
        given: usize,
        by_default: bool,
        query: &Span,
    ) -> Option<()> {
        let highest = facts.params.last().copied().unwrap_or(0);
        let gap = (1..=highest).find(|number| !facts.params.contains(number));
        let message = match gap {
            Some(gap) => format!("the query uses ${highest} and not ${gap}"),
            None if highest != given && by_default => {
                format!(
                    "the query takes {highest} parameters, and without `params` it is given the flow's inputs, of which there are {given}"
                )
            }
            None if highest != given => format!("the query takes {highest} parameters, and `params` names {given}"),
            None => return Some(()),
        };
        let inputs: Vec<&str> = self.head.inputs.fields().iter().map(|field| &*field.name).collect();
        let help =
            format!("name one fact for each of $1, $2, ... in `params`; the flow's inputs are: {}", inputs.join(", "));
        self.found.push(Diagnostic::error("parameter-count", query, message).help(help));
        None
    }

    /// A parameter: `input.name`, `node.field`, or a bare name, which is an input's before it is a column's.
    pub(super) fn param(&mut self, scope: &Scope, path: &[String], place: &Span) -> Option<(FactRef, Type)> {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        if let [name] = names.as_slice()
            && let Ok(resolved) = scope.resolve(&["input", name])
        {
            return Some(resolved);
        }
        match scope.resolve(&names) {
            Ok(resolved) if resolved.0.path.is_empty() => {
                let message = format!("`{}` is a whole row, not a value", names.join("."));
                self.found.push(Diagnostic::error("not-a-value", place, message).help("name one of its fields"));
                None
            }
            Ok(resolved) => Some(resolved),
            Err(error) => {
                self.found.push(error.diagnostic(&names.join("."), place));
                None
            }
        }
    }

    /// The columns of the query, as the database describes them, or as far as its text names them.
    pub(super) fn row(&mut self, facts: &SqlFacts, description: Option<&Description>, query: &Span) -> Shape {
        let Some(description) = description else {
            return match &facts.columns {
                Some(columns) => {
                    self.refuse_twins(columns.iter().map(String::as_str), query);
                    Shape::closed(columns.iter().map(|name| (FieldName::from(name.as_str()), Type::Any)))
                }
                None => Shape::unknown(),
            };
        };
        self.refuse_twins(description.columns.iter().map(|column| column.name.as_str()), query);
        for column in description.columns.iter().filter(|column| column.ty.ty.is_none()) {
            let message = format!("column `{}` is of type {}, which cannot be mapped", column.name, column.ty.name);
            let help = format!("cast it in the query, such as `{}::text`", column.name);
            self.found.push(Diagnostic::error("unmappable-column", query, message).help(help));
        }
        let columns = description.columns.iter();
        Shape::closed(
            columns.map(|column| (FieldName::from(column.name.as_str()), column.ty.ty.clone().unwrap_or(Type::Any))),
        )
    }

    fn refuse_twins<'n>(&mut self, names: impl Iterator<Item = &'n str>, query: &Span) {
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if seen.contains(&name) {
                let message = format!("the query has two columns named `{name}`");
                self.found
                    .push(Diagnostic::error("duplicate-column", query, message).help("give one another name with AS"));
            }
            seen.push(name);
        }
    }

    fn on_error(&mut self, index: usize, rows: Rows, row: &Shape, request: Option<&Request>) -> OnError {
        let Some(draft) = self.nodes.get(index) else { return OnError::Fail };
        let Some(node) = draft.yaml.get("on_error") else { return OnError::Fail };
        if node.as_text() == Some("fail") {
            return OnError::Fail;
        }
        let stray = node.entries().iter().find(|entry| !["default", "for"].contains(&entry.key()));
        let (Kind::Mapping(_), None, Some(default)) = (node.kind(), stray, node.get("default")) else {
            return self.bad_on_error(stray.map_or_else(|| node.head(), |entry| entry.key_span().clone()));
        };
        let causes = node.get("for").map_or_else(|| Cause::ALL.to_vec(), |list| causes(list, &mut self.found));
        let Some(value) = values::literal(default, &mut self.found) else { return OnError::Fail };
        let declared = request.map_or_else(|| Ok(value.clone()), |request| request.declared(&value));
        let misfit = || declared.as_ref().err().map(|reason| format!("the default {reason}"));
        let refuse = |message: String| {
            let help = "a default stands in for a row: it has the same columns";
            self.found.push(Diagnostic::error("bad-default", default.head(), message).help(help));
        };
        match (rows, &value) {
            (Rows::Many, Value::List(_)) | (Rows::Optional, Value::Null) => {
                misfit().into_iter().for_each(refuse);
            }
            (Rows::One | Rows::Optional, Value::Map(record)) => {
                let given: Vec<&str> = record.names().iter().map(|name| &**name).collect();
                let missing = row.fields.iter().map(|field| &*field.name).find(|name| !given.contains(name));
                let stray = given.iter().find(|name| !row.open && !row.has(name));
                // The types of a query are known once it was described. A request converts the default to those it declares.
                let other_type = || {
                    let column = |field: &Field| {
                        let value = record.get(&field.name).filter(|value| !value.is_null())?;
                        (!field.ty.comparable_with(&value.ty())).then(|| (field.clone(), value.type_name()))
                    };
                    let (Field { name, ty }, given) =
                        row.fields.iter().find_map(column).filter(|_| request.is_none())?;
                    let cast =
                        if matches!(ty, Type::Date | Type::Timestamp) { "; select it as text (`::text`)" } else { "" };
                    Some(format!("the default of column `{name}` is {given}, and the column is of type {ty}{cast}"))
                };
                let problem = match (missing, stray) {
                    (Some(name), _) => Some(format!("the default has no value for column `{name}`")),
                    (None, Some(name)) => Some(format!("the default has `{name}`, which is not a column of the query")),
                    (None, None) => misfit().or_else(other_type),
                };
                problem.into_iter().for_each(refuse);
            }
            _ => {
                let expected = if rows == Rows::Many { "a list of rows" } else { "a mapping of columns to values" };
                let message = format!("the default must be {expected}");
                self.found.push(Diagnostic::error("bad-default", default.head(), message));
            }
        }
        OnError::Default { value: declared.unwrap_or(value), causes }
    }

    fn bad_on_error(&mut self, place: Span) -> OnError {
        let help = "write `on_error: fail`, or `on_error: { default: { column: value }, for: [down, timeout] }`";
        self.found.push(Diagnostic::error("bad-on-error", place, "this is not a way to handle errors").help(help));
        OnError::Fail
    }

    /// What the parameters of the node can name: the inputs, and every node that does not need this one.
    pub(super) fn param_scope(&self, index: usize, places: &[usize], done: &[usize]) -> Scope {
        let needs = self.nodes.get(index).map(|draft: &Draft<'_>| draft.needs.as_slice()).unwrap_or_default();
        let visible: Vec<(usize, bool)> =
            done.iter().map(|node| (*node, needs.iter().any(|(needed, _)| needed == node))).collect();
        self.scope(&visible, places)
    }
}

/// The failures that a default replaces, as `for` lists them.
fn causes(list: &Marked, found: &mut Diagnostics) -> Vec<Cause> {
    let words = Cause::ALL.map(Cause::name).join(", ");
    let mut refuse = |place: Span, message: String| {
        let help = format!("list at least one of: {words}; without `for` the default replaces all of them");
        found.push(Diagnostic::error("bad-on-error", place, message).help(help));
    };
    if !matches!(list.kind(), Kind::Sequence(_)) || list.items().is_empty() {
        refuse(list.head(), "`for` is not a list of failures".to_owned());
        return Cause::ALL.to_vec();
    }
    let mut causes = Vec::new();
    for item in list.items() {
        match item.as_text().map(|word| (word, Cause::parse(word))) {
            Some((word, Some(cause))) if causes.contains(&cause) => {
                refuse(item.head(), format!("`{word}` is listed twice"));
            }
            Some((_, Some(cause))) => causes.push(cause),
            Some((word, None)) => refuse(item.head(), format!("a default cannot replace `{word}`")),
            None => refuse(item.head(), format!("a failure is a word, and not {}", item.describe())),
        }
    }
    causes
}

/// How many rows `rows:` asks for.
pub(super) fn rows(spec: Option<RowsSpec>) -> Rows {
    match spec {
        Some(RowsSpec::One) | None => Rows::One,
        Some(RowsSpec::Optional) => Rows::Optional,
        Some(RowsSpec::Many) => Rows::Many,
    }
}

/// What to do about a parameter of another type.
pub(super) fn remedy_of_parameter(fact: &Type, (expected, name): (&Type, &str), number: usize) -> String {
    match (fact, expected) {
        (Type::Date, Type::Timestamp) => format!(
            "give a timestamp, which has a time and its offset, such as 2026-01-01T00:00:00Z; or write `${number}::date` in the query"
        ),
        (Type::Text, Type::Integer | Type::Decimal | Type::Boolean | Type::Date | Type::Timestamp)
        | (Type::Integer | Type::Decimal | Type::Boolean | Type::Date, Type::Text) => {
            format!("name a fact of type {expected}, or convert it in the query: `${number}::{fact}::{name}`")
        }
        _ => format!(
            "name a fact of type {expected}, or write the type of the parameter in the query: `${number}::type`"
        ),
    }
}

pub(super) fn fits_parameter(fact: &Type, expected: &Type) -> bool {
    fact.comparable_with(expected)
}

/// The position in the plan of the node that owns a fact.
pub(super) fn owner_place(fact: &FactRef) -> Option<usize> {
    match fact.owner {
        Owner::Node(place) => Some(place),
        Owner::Input => None,
    }
}
