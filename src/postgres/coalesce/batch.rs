//! Runs several queries of one node as one statement, and gives each query its own rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;

use super::state::QueryState;
use super::wrapped::Wrapped;
use crate::flow::QueryErrorKind;
use crate::graph::Query;
use crate::pool::Object;
use crate::postgres::connect::Connector;
use crate::postgres::connection::Prepared;
use crate::postgres::session::{RowCounter, Session, StatementError};
use crate::postgres::sqlstate::{is_stale_statement, keeps_session};
use crate::postgres::statements::Bound;
use crate::types::Value;

/// The rows of one query.
pub type Rows = Result<Vec<Value>, QueryErrorKind>;

/// The most rows beyond the limits of their keys that are read of a batch. With more, its queries are run singly.
const MAX_SURPLUS: usize = 1_000;

/// The outcome of a batch.
#[derive(Debug)]
pub enum BatchOutcome {
    /// The rows of each query, in the order of the queries.
    Answered(Vec<Rows>),
    /// The queries cannot be batched, and have to be run singly.
    Unsuitable,
    /// PostgreSQL rejected the wrapped statement or its result was unusable. The queries have to be run singly.
    Refused,
}

/// Whether a function named in `$1` is volatile.
const VOLATILE: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = ANY ($1::pg_catalog.text[]) AND provolatile = 'v')";

impl Session {
    /// Runs the query of `state` with each set of parameters, as one statement where that is possible.
    ///
    /// An error that the server reports for the wrapped statement is not an error of the queries: the statement may read tables
    /// that no single query reads.
    ///
    /// # Errors
    /// As [`Self::query`], for all queries of the batch.
    pub async fn query_batch(
        &self,
        state: &QueryState,
        parameter_sets: &[Arc<[Value]>],
    ) -> Result<BatchOutcome, QueryErrorKind> {
        self.track(async || match self.try_batch(state, parameter_sets).await {
            Err(StatementError::Driver(error)) if keeps_session(&error) => {
                self.detect_pooler(&error).await?;
                if is_stale_statement(&error) {
                    self.forget(state)?;
                }
                let sqlstate = error.code().map_or("", |code| code.code());
                state.failed(&format!("PostgreSQL refused the statement with SQLSTATE {sqlstate}"));
                Ok(BatchOutcome::Refused)
            }
            outcome => outcome,
        })
        .await
    }

    async fn try_batch(
        &self,
        state: &QueryState,
        parameter_sets: &[Arc<[Value]>],
    ) -> Result<BatchOutcome, StatementError> {
        let prepared = self.prepare(state).await?;
        if !self.is_suited(state).await? {
            return Ok(BatchOutcome::Unsuitable);
        }
        let plan = &prepared.plan;
        let Ok(reader) = plan.reader() else { return Ok(BatchOutcome::Unsuitable) };
        let bound: Vec<Result<Vec<Bound>, QueryErrorKind>> =
            parameter_sets.iter().map(|params| plan.bind(params)).collect();
        if bound.iter().any(Result::is_err) && !self.is_current(state, &prepared).await? {
            self.forget(state)?;
            return Ok(BatchOutcome::Unsuitable);
        }
        let (keys, places) = distinct(&bound);
        let rows = match keys.as_slice() {
            [] => Vec::new(),
            [only] => vec![self.read(state.query(), &prepared.statement, &reader, only).await?],
            _ => {
                let Some(wrapped) = state.wrapped(plan) else { return Ok(BatchOutcome::Unsuitable) };
                match self.read_wrapped(state, prepared, &wrapped, &keys).await? {
                    Ok(rows) => rows,
                    Err(why) => {
                        self.forget(state)?;
                        state.failed(why);
                        return Ok(BatchOutcome::Refused);
                    }
                }
            }
        };
        if rows.len() == parameter_sets.len() {
            // No parameters are equal and none were rejected, so the places are in order.
            return Ok(BatchOutcome::Answered(rows));
        }
        let answers = bound.iter().zip(places).map(|(bound, place)| match (bound, place) {
            (Err(kind), _) => Some(Err(kind.clone())),
            (Ok(_), Some(place)) => rows.get(place).cloned(),
            (Ok(_), None) => None,
        });
        Ok(answers.collect::<Option<Vec<Rows>>>().map_or(BatchOutcome::Unsuitable, BatchOutcome::Answered))
    }

    /// Whether equal parameters give equal rows: the query calls no volatile function. Reads the catalogue at intervals.
    async fn is_suited(&self, state: &QueryState) -> Result<bool, StatementError> {
        if let Some(known) = state.suitability(Instant::now()) {
            return Ok(known.is_ok());
        }
        let connection = self.connection()?;
        let statement = connection.prepare_cached(VOLATILE).await?;
        let volatile = connection.query_one(&statement, &[&state.calls()]).await?.try_get::<_, bool>(0)?;
        state.set_suitability(if volatile { Err("it calls a volatile function") } else { Ok(()) });
        Ok(!volatile)
    }

    /// The rows of each of `keys`, or why the wrapped query cannot be used.
    async fn read_wrapped(
        &self,
        state: &QueryState,
        prepared: Prepared,
        wrapped: &Arc<Wrapped>,
        keys: &[&[Bound]],
    ) -> Result<Result<Vec<Rows>, &'static str>, StatementError> {
        let connection = self.connection()?;
        let statement = match &prepared.wrapped {
            Some((known, statement)) if Arc::ptr_eq(known, wrapped) => statement.clone(),
            _ => {
                let statement = connection.prepare(&wrapped.text).await?;
                if !wrapped.matches_statement(&statement) {
                    return Ok(Err("its columns differ within the statement: a table has changed, or a parameter is \
                                   returned without a name (add AS)"));
                }
                let wrapped = Some((Arc::clone(wrapped), statement.clone()));
                self.remember(state, Prepared { wrapped, ..prepared })?;
                statement
            }
        };
        let Some(lists) = wrapped.bind(keys) else { return Ok(Err("its parameters are too long for a list")) };
        self.read_batch(connection, state.query(), &statement, wrapped, (lists, keys.len())).await
    }

    async fn read_batch(
        &self,
        connection: &Object<Connector>,
        query: &Query,
        statement: &tokio_postgres::Statement,
        wrapped: &Wrapped,
        (lists, keys): (Vec<Bound>, usize),
    ) -> Result<Result<Vec<Rows>, &'static str>, StatementError> {
        let reader = wrapped.plan.reader()?;
        let mut stream = std::pin::pin!(connection.query_raw(statement, lists).await?);
        let (mut batch, mut counter) = (Batch::of(keys, query.max_rows()), RowCounter::default());
        // All rows are consumed, so that the session can be used again, unless there are far too many.
        while let Some(row) = stream.try_next().await? {
            counter.row().await;
            let place = row.try_get::<_, i64>(0)?;
            let number = if wrapped.numbered { row.try_get::<_, i64>(1)? } else { 0 };
            batch.add(place, number, || reader.read_from(&row, wrapped.extra()));
            if batch.surplus > MAX_SURPLUS {
                self.leave_unread();
                return Ok(Err("its queries have more rows than their nodes take"));
            }
        }
        Ok(batch.finish().ok_or("a row belongs to none of its queries"))
    }
}

/// Collects the rows of a batch.
struct Batch {
    rows: Vec<Result<Vec<(i64, Value)>, QueryErrorKind>>,
    /// The most rows that the node takes of a key. One more is kept, which shows that there are too many.
    max_rows: usize,
    surplus: usize,
    has_unmatched_row: bool,
}

impl Batch {
    fn of(keys: usize, max_rows: usize) -> Self {
        Self { rows: (0..keys).map(|_| Ok(Vec::new())).collect(), max_rows, surplus: 0, has_unmatched_row: false }
    }

    /// Adds a row of the key at `place`, counted from 1. `number` is its position where the rows are ordered.
    fn add(&mut self, place: i64, number: i64, row: impl FnOnce() -> Result<Value, QueryErrorKind>) {
        let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        let Some(rows) = place.and_then(|place| self.rows.get_mut(place)) else {
            self.has_unmatched_row = true;
            return;
        };
        match rows {
            Ok(taken) if taken.len() > self.max_rows => self.surplus += 1,
            Ok(taken) => match row() {
                Ok(row) => taken.push((number, row)),
                Err(kind) => *rows = Err(kind),
            },
            Err(_) => self.surplus += 1,
        }
    }

    /// The rows of each key. `None` where a row belongs to no key.
    fn finish(self) -> Option<Vec<Rows>> {
        if self.has_unmatched_row {
            tracing::error!("postgres.coalesce.astray");
            return None;
        }
        let ordered = |rows: Result<Vec<(i64, Value)>, QueryErrorKind>| {
            rows.map(|mut rows| {
                rows.sort_by_key(|(number, _)| *number);
                rows.into_iter().map(|(_, row)| row).collect()
            })
        };
        Some(self.rows.into_iter().map(ordered).collect())
    }
}

/// The distinct sets of parameters, and the place of each query's set among them.
fn distinct(bound: &[Result<Vec<Bound>, QueryErrorKind>]) -> (Vec<&[Bound]>, Vec<Option<usize>>) {
    let mut known: HashMap<&[Bound], usize> = HashMap::with_capacity(bound.len());
    let mut keys = Vec::with_capacity(bound.len());
    let places = bound.iter().map(|params| {
        let params = params.as_ref().ok()?.as_slice();
        Some(*known.entry(params).or_insert_with(|| {
            keys.push(params);
            keys.len() - 1
        }))
    });
    let places = places.collect();
    (keys, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(batch: Batch) -> Option<Vec<String>> {
        let shown = |rows: Rows| match rows {
            Ok(rows) => rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Err(kind) => kind.to_string(),
        };
        Some(batch.finish()?.into_iter().map(shown).collect())
    }

    #[test]
    fn each_row_goes_to_its_key_and_rows_are_sorted_by_number() {
        let mut batch = Batch::of(3, 10);
        for (place, number, value) in [(3, 2, 32), (1, 1, 11), (3, 1, 31), (3, 3, 33)] {
            batch.add(place, number, || Ok(Value::Integer(value)));
        }
        assert_eq!(texts(batch), Some(vec!["11".to_owned(), String::new(), "31,32,33".to_owned()]));
    }

    #[test]
    fn a_row_that_belongs_to_no_key_fails_the_batch() {
        for place in [0, 3, -1, i64::MAX] {
            let mut batch = Batch::of(2, 10);
            batch.add(1, 1, || Ok(Value::Integer(1)));
            batch.add(place, 1, || Ok(Value::Integer(2)));
            assert_eq!(texts(batch), None, "{place}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_fails_only_its_key() {
        let unreadable = QueryErrorKind::ParameterCount { expected: 1, given: 0 };
        let mut batch = Batch::of(2, 10);
        batch.add(2, 1, || Err(unreadable.clone()));
        batch.add(2, 2, || Ok(Value::Integer(2)));
        batch.add(1, 1, || Ok(Value::Integer(1)));
        assert_eq!(texts(batch), Some(vec!["1".to_owned(), unreadable.to_string()]));
    }

    #[test]
    fn a_key_keeps_one_row_above_the_limit_and_counts_the_rest() {
        let mut batch = Batch::of(2, 2);
        for value in 1..=5 {
            batch.add(1, value, || Ok(Value::Integer(value)));
        }
        batch.add(2, 1, || Ok(Value::Integer(7)));
        assert_eq!(batch.surplus, 2);
        assert_eq!(texts(batch), Some(vec!["1,2,3".to_owned(), "7".to_owned()]));
    }

    #[test]
    fn equal_parameters_are_sent_once_and_null_equals_only_null() {
        let text = |bytes: &[u8]| Bound::of(bytes::BytesMut::from(bytes));
        let bound = [
            Ok(vec![text(b"a")]),
            Ok(vec![Bound::null()]),
            Err(QueryErrorKind::ParameterCount { expected: 1, given: 0 }),
            Ok(vec![text(b"")]),
            Ok(vec![text(b"a")]),
        ];
        let (keys, places) = distinct(&bound);
        assert_eq!(keys.len(), 3);
        assert_eq!(places, [Some(0), Some(1), None, Some(2), Some(0)]);
    }
}
