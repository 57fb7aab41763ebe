//! Run a query and read its rows.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use tracing::Instrument;

use crate::actors::domain::actor::Domain;
use crate::actors::domain::core::Ticket;
use crate::postgres::{self, Answer, Manner, QueryErrorKind};
use crate::types::{Deadline, Value};

/// Run a query. Carries its own admission, deadline and span: none of them would cross a mailbox otherwise.
#[derive(Debug, Message)]
#[rtype(result = "Result<Answer, QueryErrorKind>")]
pub(in crate::actors) struct Query {
    pub(in crate::actors) what: Arc<postgres::Query>,
    pub(in crate::actors) params: Arc<[Value]>,
    pub(in crate::actors) deadline: Deadline,
    pub(in crate::actors) manner: Manner,
    pub(in crate::actors) span: tracing::Span,
    pub(in crate::actors) ticket: Ticket,
}

impl Handler<Query> for Domain {
    type Result = ResponseFuture<Result<Answer, QueryErrorKind>>;

    fn handle(&mut self, message: Query, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(&self.core);
        let Query { what, params, deadline, manner, span, ticket } = message;
        Box::pin(async move { core.answer(&what, &params, deadline, manner, ticket).await }.instrument(span))
    }
}
