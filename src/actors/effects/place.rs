//! One transaction: the statements of an effect, its event, its answer, and the claim that makes it happen once.

use tracing::{Instrument, Span};
use uuid::Uuid;

use super::binding::{EffectBinding, WriteSession, by};
use super::retry::is_conflict;
use crate::actors::coordinator::span;
use crate::flow::{Conclusion, Decision, EffectError, FlowError, QueryErrorKind};
use crate::graph::{Effect, Flow, Rows, Statement};
use crate::postgres::{Call, CommitError, Transaction, WriteResult};
use crate::types::Deadline;

/// Why an effect was not placed.
#[derive(Debug)]
pub(super) enum PlaceError {
    /// Somebody else has the claim.
    Taken,
    /// Another transaction holds the claim.
    InProgress,
    /// A statement wrote another number of rows than it should, or met another transaction.
    Conflict { statement: usize, why: String },
    /// The database refused a statement or gave no answer. Nothing was written.
    Undone(EffectError),
    /// It is not known whether the effect was written.
    Unknown(QueryErrorKind),
    /// An expression of the effect has no value.
    Flow(FlowError),
}

impl From<FlowError> for PlaceError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl PlaceError {
    /// The error of a claim.
    pub(super) fn of_claim(kind: QueryErrorKind) -> Self {
        match kind.sqlstate() {
            // A unique violation.
            Some("23505") => Self::Taken,
            _ if is_lock_timeout(&kind) => Self::InProgress,
            _ => undone(kind),
        }
    }

    /// What its span says; nothing where the key was taken.
    fn record(&self, span: &Span) {
        let (code, sqlstate) = match self {
            Self::Taken => return,
            Self::InProgress => (EffectError::KeyInProgress.code(), None),
            Self::Conflict { .. } => ("conflict", None),
            Self::Undone(error) => (error.code(), error.sqlstate()),
            Self::Unknown(kind) => (kind.code(), kind.sqlstate()),
            Self::Flow(error) => (error.code(), None),
        };
        span::record_error(span, code, sqlstate);
    }
}

/// Makes the last statement of a transaction: of the decision, of what its effect returned, and of the id of its event.
pub(super) type Answer<'a> = &'a mut dyn FnMut(&Decision, &Conclusion, Option<String>) -> Call;

/// What has a transaction happen once.
pub(super) struct Once<'a> {
    /// A statement at its beginning that writes one row, where the claim is there before. Otherwise its last statement inserts the claim.
    pub(super) claim: Option<Call>,
    /// Makes the last statement.
    pub(super) answer: Answer<'a>,
}

/// Writes the effect of `conclusion` in one transaction.
pub(super) async fn place(
    binding: &EffectBinding,
    flow: &Flow,
    conclusion: &mut Conclusion,
    once: Once<'_>,
    deadline: Deadline,
) -> Result<Decision, PlaceError> {
    let span = binding.span(conclusion.effect(flow).map_or("", |effect| effect.name.as_str()));
    let placed = transact(binding, flow, conclusion, once, deadline).instrument(span.clone()).await;
    placed.inspect_err(|error| error.record(&span))
}

async fn transact(
    binding: &EffectBinding,
    flow: &Flow,
    conclusion: &mut Conclusion,
    Once { claim, answer }: Once<'_>,
    deadline: Deadline,
) -> Result<Decision, PlaceError> {
    let Some(effect) = conclusion.effect(flow) else { return Err(FlowError::Broken.into()) };
    let first = effect.statements.first().map(|first| call(flow, conclusion, first, 0)).transpose()?;
    let open = binding.session(deadline).await.map_err(PlaceError::Undone)?;
    // The domain does not drain before the transaction has ended.
    let WriteSession { session, writer: _in_flight } = open;
    let (inserts_claim, calls) = (claim.is_none(), claim.into_iter().chain(first).collect::<Vec<Call>>());
    let begun = by(deadline, Transaction::begin(session, &calls)).await.map_err(undone)?;
    let (transaction, mut results) = (begun.0, begun.1.into_iter());
    let statements = Statements { flow, effect, deadline };
    let claimed = if inserts_claim { Ok(()) } else { has_claimed(results.next()) };
    let written = match claimed {
        Ok(()) => statements.run(&transaction, results, conclusion).await,
        Err(error) => Err(error),
    };
    let decided = written.and_then(|()| {
        let decision = conclusion.decision(flow)?;
        let event = conclusion.event(flow, &decision)?;
        Ok((decision, event))
    });
    let (decision, event) = match decided {
        Ok(decided) if !deadline.has_passed() => decided,
        decided => {
            // Where that fails, the session is closed, which rolls back as well.
            drop(by(deadline, transaction.roll_back()).await);
            let too_late = undone(QueryErrorKind::Timeout { after: deadline.remaining() });
            return Err(decided.err().unwrap_or(too_late));
        }
    };
    let id = event.as_ref().map(|_| Uuid::new_v4().to_string());
    let has_event = id.is_some();
    let mut last: Vec<Call> = id.iter().zip(event).map(|(id, event)| binding.announce(id, event)).collect();
    last.push(answer(&decision, conclusion, id));
    match tokio::time::timeout_at(deadline.instant().into(), transaction.commit(&last)).await {
        Ok(Ok(())) => {
            if has_event {
                binding.notify();
            }
            Ok(decision)
        }
        Ok(Err(CommitError::Undone(Some(position), kind))) if inserts_claim && position + 1 == last.len() => {
            Err(PlaceError::of_claim(kind))
        }
        Ok(Err(CommitError::Undone(_, kind))) => Err(failed(effect.statements.len(), kind)),
        Ok(Err(CommitError::Unknown(kind))) => Err(PlaceError::Unknown(kind)),
        Err(_) => Err(PlaceError::Unknown(QueryErrorKind::Timeout { after: deadline.remaining() })),
    }
}

/// Checks the result of a claim at the beginning.
fn has_claimed(result: Option<WriteResult>) -> Result<(), PlaceError> {
    match result {
        Some(Ok(claimed)) if claimed.count == 1 => Ok(()),
        Some(Ok(_)) => Err(PlaceError::Taken),
        Some(Err(kind)) => Err(PlaceError::of_claim(kind)),
        None => Err(FlowError::Broken.into()),
    }
}

fn undone(kind: QueryErrorKind) -> PlaceError {
    PlaceError::Undone(EffectError::Query(kind))
}

/// The error of a statement of the effect; `number` is from 1.
fn failed(number: usize, kind: QueryErrorKind) -> PlaceError {
    match kind.sqlstate().filter(|_| is_conflict(&kind)) {
        Some(sqlstate) => {
            let met = match sqlstate {
                "23505" | "23P01" => "a row that a unique index or an exclusion constraint allows once",
                _ => "another transaction",
            };
            PlaceError::Conflict { statement: number, why: format!("met {met} (SQLSTATE {sqlstate})") }
        }
        None => undone(kind),
    }
}

fn call(flow: &Flow, conclusion: &Conclusion, statement: &Statement, position: usize) -> Result<Call, FlowError> {
    Ok(Call { statement: statement.query.clone(), params: conclusion.params(flow, position)? })
}

struct Statements<'a> {
    flow: &'a Flow,
    effect: &'a Effect,
    deadline: Deadline,
}

impl Statements<'_> {
    /// Checks the result of the first statement, and runs the others.
    async fn run(
        &self,
        transaction: &Transaction,
        mut results: impl Iterator<Item = WriteResult>,
        conclusion: &mut Conclusion,
    ) -> Result<(), PlaceError> {
        for (position, statement) in self.effect.statements.iter().enumerate() {
            let result = match results.next() {
                Some(result) => result,
                None => {
                    let call = call(self.flow, conclusion, statement, position)?;
                    by(self.deadline, transaction.write(&call)).await
                }
            };
            let written = result.map_err(|kind| failed(position + 1, kind))?;
            let expected = match (statement.rows, written.count) {
                (Rows::One, 1) | (Rows::Optional, 0 | 1) | (Rows::Many, _) => None,
                (Rows::One, _) => Some("one"),
                (Rows::Optional, _) => Some("at most one"),
            };
            if let Some(expected) = expected {
                let why = format!("wrote {} rows, and should write {expected}", written.count);
                return Err(PlaceError::Conflict { statement: position + 1, why });
            }
            conclusion.returned(self.flow, position, &written.rows);
        }
        Ok(())
    }
}

/// Whether the claim waited for another transaction until its time was over.
pub(super) fn is_lock_timeout(kind: &QueryErrorKind) -> bool {
    matches!(kind, QueryErrorKind::Timeout { .. }) || matches!(kind.sqlstate(), Some("55P03" | "57014"))
}
