//! Examines how the server would execute the queries.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Examination, Verdict};
use crate::graph::Query;
use crate::postgres::sql;

/// A table with more rows than this should be read by an index.
const LARGE: f64 = 5_000.0;
/// The size of a large table where the server has no row count.
const LARGE_BYTES: i64 = 512 * 1024;

/// The schema and name of a table.
pub(super) type Table = (String, String);

impl Examination<'_> {
    /// Reports whether the generic plan of a query reads large tables completely. Adds the tables that it reads to `tables`.
    pub(super) async fn plan(
        &mut self,
        client: &Client,
        query: &Query,
        tables: &mut BTreeSet<Table>,
    ) -> Result<(), tokio_postgres::Error> {
        let node = query.node();
        let plan = match explained(client, query).await {
            Ok(plan) => plan,
            Err(error) => {
                let Some(answer) = error.as_db_error() else { return Err(error) };
                let saw = format!("node `{node}`: {} (SQLSTATE {})", answer.message(), answer.code().code());
                self.find("query", Verdict::Failure, saw, Some("`tributary check --db` shows the place in the graph"));
                return Ok(());
            }
        };
        let (mut scanned, mut read) = (BTreeSet::new(), BTreeSet::new());
        walk(&plan, &mut scanned, &mut read);
        tables.extend(read);
        let (mut large, mut uncounted) = (Vec::new(), false);
        for table in scanned {
            match size(client, &table).await? {
                Size::Rows(rows) if rows > LARGE => large.push(format!("{} ({rows:.0} rows)", qualified_name(&table))),
                Size::Bytes(bytes) if bytes > LARGE_BYTES => {
                    uncounted = true;
                    large.push(format!("{} ({} kB, never analysed)", qualified_name(&table), bytes / 1024));
                }
                Size::Rows(_) | Size::Bytes(_) => {}
            }
        }
        if large.is_empty() {
            self.find("query", Verdict::Ok, format!("node `{node}` uses indexes, or reads small tables"), None);
        } else {
            let saw = format!("node `{node}` reads all rows of {}", large.join(", "));
            let analyse = if uncounted { "ANALYZE the table, so that the planner knows its size; and " } else { "" };
            let remedy = format!("{analyse}create an index on the columns of its WHERE clause");
            self.find("query", Verdict::Warning, saw, Some(&remedy));
        }
        Ok(())
    }
}

/// The size of a table: in rows where the server has a count.
enum Size {
    Rows(f64),
    Bytes(i64),
}

async fn size(client: &Client, table: &Table) -> Result<Size, tokio_postgres::Error> {
    let sql = "SELECT c.reltuples::float8, pg_catalog.pg_relation_size(c.oid) FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    let found = client.query_typed_opt(sql, &[(&table.0, Type::TEXT), (&table.1, Type::TEXT)]).await?;
    let Some(row) = found else { return Ok(Size::Bytes(0)) };
    let rows: f64 = row.try_get(0)?;
    // Before the first ANALYZE the count is -1, or 0 before PostgreSQL 14.
    if rows > 0.0 { Ok(Size::Rows(rows)) } else { Ok(Size::Bytes(row.try_get(1)?)) }
}

/// The generic plan of a query. Nothing is executed. The transaction keeps the session of a pooler, and no prepared statement is
/// left behind.
pub(super) async fn explained(client: &Client, query: &Query) -> Result<Json, tokio_postgres::Error> {
    client.batch_execute("BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan").await?;
    let text = sql::without_semicolon(query.text());
    let prepared = client.batch_execute(&format!("PREPARE tributary_doctor AS {text}\n")).await;
    let planned = match &prepared {
        Ok(()) => explain(client).await.map(Some),
        Err(_) => Ok(None),
    };
    client.batch_execute(if prepared.is_ok() { "ROLLBACK; DEALLOCATE tributary_doctor" } else { "ROLLBACK" }).await?;
    prepared?;
    Ok(planned?.unwrap_or_default())
}

async fn explain(client: &Client) -> Result<Json, tokio_postgres::Error> {
    let count = "SELECT pg_catalog.cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements \
                 WHERE name = 'tributary_doctor'";
    let params = client.simple_query(count).await?;
    let params = cells(&params).next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let nulls = sql::null_arguments(params);
    let answer =
        client.simple_query(&format!("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE tributary_doctor{nulls}")).await?;
    let text: String = cells(&answer).collect();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// The first column of each row.
fn cells(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &str> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}

/// Collects the tables of a plan: all that are read, and those that are read completely.
fn walk(plan: &Json, scanned: &mut BTreeSet<Table>, read: &mut BTreeSet<Table>) {
    match plan {
        Json::Array(parts) => parts.iter().for_each(|part| walk(part, scanned, read)),
        Json::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Json::as_str).map(str::to_owned);
            if let Some(name) = text("Relation Name") {
                let table = (text("Schema").unwrap_or_else(|| "public".to_owned()), name);
                if text("Node Type").is_some_and(|kind| kind.ends_with("Seq Scan")) {
                    scanned.insert(table.clone());
                }
                read.insert(table);
            }
            fields.values().for_each(|value| walk(value, scanned, read));
        }
        _ => {}
    }
}

/// The quoted name of a table.
pub(super) fn qualified_name((schema, name): &Table) -> String {
    format!("{}.{}", sql::quote_identifier(schema), sql::quote_identifier(name))
}
