//! The domain that the effects of a flow write to, and the statements on its tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::actors::coordinator::span;
use crate::actors::domain::{DomainHandle, Writer};
use crate::config::prefix;
use crate::flow::{EffectError, EventRow, FlowError, QueryErrorKind};
use crate::graph::Flow;
use crate::postgres::{Call, EVENT_CHANNEL, EffectStatements, Session};
use crate::types::{Deadline, DomainName, IdempotencyKey, Value};

/// How long the listeners of events are notified after a commit, with those of other commits.
const NOTIFY_DELAY: Duration = Duration::from_millis(5);
/// The time between two deletions of expired keys.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long what no request waits for may take.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(60);

/// The domain that the effects of one flow write to.
#[derive(Debug)]
pub struct EffectBinding {
    domain: DomainHandle,
    pub(super) statements: EffectStatements,
    started: Instant,
    /// When expired keys were last deleted, in seconds since it was started.
    expired: AtomicU64,
    /// Whether the listeners of events are about to be notified.
    is_notifying: Arc<AtomicBool>,
}

/// An answer as the client receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The answer that is stored with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The digest of the inputs.
    pub(super) inputs: String,
    /// The id of the decision.
    pub decision: String,
    /// The answer.
    pub ending: Ending,
}

/// A key, whose it is, and what it is for.
#[derive(Debug, Clone)]
pub(super) struct Claim<'a> {
    pub(super) caller: &'a str,
    pub(super) flow: &'a str,
    pub(super) key: &'a IdempotencyKey,
    /// The digest of the inputs.
    pub(super) inputs: &'a str,
    pub(super) decision: &'a str,
    pub(super) lifetime: u32,
}

/// What is stored with a key when it is claimed.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored<'a> {
    pub(super) effect: Option<&'a str>,
    pub(super) ending: Option<&'a Ending>,
    /// The inputs and the parameters of an effect that waits for an approval.
    pub(super) pending: Option<(String, String)>,
}

/// A session that writes, and what keeps its domain from draining.
pub(super) struct WriteSession {
    pub(super) session: Session,
    pub(super) writer: Writer,
}

impl EffectBinding {
    /// The binding of `flow` to `domain`; `None` for a flow without effects.
    pub(in crate::actors) fn new(flow: &Flow, domain: DomainHandle) -> Option<Self> {
        let statements = EffectStatements::new(&flow.effects.first()?.name);
        Some(Self {
            domain,
            statements,
            started: Instant::now(),
            expired: AtomicU64::new(0),
            is_notifying: Arc::default(),
        })
    }

    /// The domain.
    pub fn domain(&self) -> &DomainName {
        self.domain.name()
    }

    /// Whether the domain has a write role.
    pub fn may_write(&self) -> bool {
        self.domain.writer().is_some()
    }

    /// The error of a request, in the words of its flow.
    pub(super) fn error(&self, source: EffectError) -> FlowError {
        FlowError::Effect { domain: self.domain.name().clone(), source }
    }

    /// A session that writes, within the acquire timeout and the deadline.
    pub(super) async fn session(&self, deadline: Deadline) -> Result<WriteSession, EffectError> {
        session_of(&self.domain, deadline).await
    }

    /// Runs one statement that writes nothing, by the deadline.
    pub(super) async fn read(&self, call: &Call, deadline: Deadline) -> Result<crate::postgres::Written, EffectError> {
        on_session(&self.domain, deadline, async |session| session.call(call).await).await
    }

    /// Runs one statement in a transaction of its own, by the deadline.
    pub(super) async fn write(&self, call: &Call, deadline: Deadline) -> Result<crate::postgres::Written, EffectError> {
        let span = self.span("tributary_keys");
        let written = on_session(&self.domain, deadline, async |session| session.write(call).await);
        let written = written.instrument(span.clone()).await;
        written.inspect_err(|error| span::record_error(&span, error.code(), error.sqlstate()))
    }

    /// The span of a transaction.
    pub(super) fn span(&self, what: &str) -> Span {
        span::of_transaction(what, &self.domain)
    }

    /// The stored answer of a key.
    pub(super) async fn find(
        &self,
        claim: &Claim<'_>,
        deadline: Deadline,
    ) -> Result<Option<StoredAnswer>, EffectError> {
        let call = Call { statement: self.statements.find.clone(), params: claim.identity() };
        let found = self.read(&call, deadline).await?;
        Ok(found.rows.first().and_then(stored_answer))
    }

    /// Returns once the stored answer of a key is as durable as its commit was to be. Whether it is still stored.
    pub(super) async fn confirm(&self, claim: &Claim<'_>, deadline: Deadline) -> Result<bool, EffectError> {
        let call = Call { statement: self.statements.confirm.clone(), params: claim.identity() };
        Ok(!self.write(&call, deadline).await?.rows.is_empty())
    }

    /// The statement that writes an event of this id in the order of commit.
    pub(super) fn announce(&self, id: &str, event: EventRow) -> Call {
        let [id, aggregate, key, ty] = [id, &event.aggregate, &event.key, &event.ty].map(Value::text);
        Call { statement: self.statements.announce.clone(), params: vec![id, aggregate, key, ty, event.payload] }
    }

    /// Notifies the listeners of events that were committed, once for all events of a moment: the commits of notifications wait for
    /// each other.
    pub(super) fn notify(&self) {
        if self.is_notifying.swap(true, Ordering::AcqRel) {
            return;
        }
        let (domain, is_notifying) = (self.domain.clone(), Arc::clone(&self.is_notifying));
        actix::spawn(async move {
            tokio::time::sleep(NOTIFY_DELAY).await;
            is_notifying.store(false, Ordering::Release);
            let deadline = Deadline::after(BACKGROUND_LIMIT);
            let notified = on_session(&domain, deadline, async |session| session.notify(EVENT_CHANNEL).await);
            if let Err(error) = notified.await {
                // The relay finds the events when it looks for them the next time.
                tracing::debug!(domain = %domain.name(), %error, "effects.notify.failed");
            }
        });
    }

    /// Deletes expired keys, once a minute, where the service writes anyway.
    pub(super) fn expire(&self) {
        let now = self.started.elapsed().as_secs();
        let last = self.expired.load(Ordering::Relaxed);
        let is_due = last == 0 || now.saturating_sub(last) >= EXPIRY_INTERVAL.as_secs();
        if !is_due || self.expired.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (domain, statement) = (self.domain.clone(), self.statements.expire.clone());
        actix::spawn(async move {
            let deadline = Deadline::after(BACKGROUND_LIMIT);
            let call = Call { statement, params: Vec::new() };
            let deleted = on_session(&domain, deadline, async |session| session.write(&call).await);
            if let Err(error) = deleted.await {
                tracing::warn!(domain = %domain.name(), %error, "effects.expire.failed");
            }
        });
    }
}

async fn session_of(domain: &DomainHandle, deadline: Deadline) -> Result<WriteSession, EffectError> {
    let off = || {
        let prefix = prefix(domain.name());
        let why = if domain.is_service() {
            format!("the domain is a service: set {prefix}HOST, ... of its database in place of {prefix}URL")
        } else {
            format!("no role may: set {prefix}WRITE_USER and {prefix}WRITE_PASSWORD")
        };
        EffectError::Off { why }
    };
    let writer = domain.writer().ok_or_else(off)?;
    let lease = writer.pool().acquire(deadline).await.map_err(EffectError::Query)?;
    Ok(WriteSession { session: lease.into(), writer })
}

/// The outcome of `work` on a session that writes, by the deadline.
async fn on_session<T>(
    domain: &DomainHandle,
    deadline: Deadline,
    work: impl AsyncFnOnce(&Session) -> Result<T, QueryErrorKind>,
) -> Result<T, EffectError> {
    let open = session_of(domain, deadline).await?;
    by(deadline, work(&open.session)).await.map_err(EffectError::Query)
}

/// The outcome of `work`, or the error that it was not there by the deadline.
pub(super) async fn by<T>(
    deadline: Deadline,
    work: impl Future<Output = Result<T, QueryErrorKind>>,
) -> Result<T, QueryErrorKind> {
    let limit = deadline.remaining();
    tokio::time::timeout(limit, work).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
}

impl Claim<'_> {
    /// The parameters that identify the key.
    pub(super) fn identity(&self) -> Vec<Value> {
        [self.caller, self.flow, self.key.as_str()].map(Value::text).to_vec()
    }

    /// The statement that claims the key.
    pub(super) fn call(&self, statements: &EffectStatements, stored: &Stored<'_>) -> Call {
        let text = |text: Option<&str>| text.map_or(Value::Null, Value::text);
        let pending = stored.pending.as_ref();
        let mut params = self.identity();
        params.extend([
            Value::text(self.inputs),
            Value::text(self.decision),
            Value::Integer(self.lifetime.into()),
            text(stored.effect),
            stored.ending.map_or(Value::Null, |ending| Value::Integer(ending.status.into())),
            text(stored.ending.map(|ending| ending.body.as_str())),
            text(pending.map(|_| "pending")),
            text(pending.map(|(request, _)| request.as_str())),
            text(pending.map(|(_, params)| params.as_str())),
        ]);
        Call { statement: statements.claim.clone(), params }
    }
}

fn stored_answer(row: &Value) -> Option<StoredAnswer> {
    let text = |name: &str| row.at([name]).map(|value| value.to_string());
    let status = match row.at(["status"])? {
        Value::Integer(status) => u16::try_from(status).ok()?,
        _ => return None,
    };
    let ending = Ending { status, body: text("answer")? };
    Some(StoredAnswer { inputs: text("inputs")?, decision: text("decision")?, ending })
}
