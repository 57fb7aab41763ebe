//! Say what PREPARE says of a query.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};

use crate::actors::domain::actor::Domain;
use crate::actors::domain::core::Ticket;
use crate::postgres::{self, Description, QueryErrorKind};
use crate::types::Deadline;

/// Describe a query's parameters and columns.
#[derive(Debug, Message)]
#[rtype(result = "Result<Description, QueryErrorKind>")]
pub(in crate::actors) struct Describe {
    pub(in crate::actors) query: Arc<postgres::Query>,
    pub(in crate::actors) deadline: Deadline,
    pub(in crate::actors) ticket: Ticket,
}

impl Handler<Describe> for Domain {
    type Result = ResponseFuture<Result<Description, QueryErrorKind>>;

    fn handle(&mut self, message: Describe, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(&self.core);
        Box::pin(async move { core.describe(&message.query, message.deadline, message.ticket).await })
    }
}
