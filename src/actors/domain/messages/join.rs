//! Run one query for several flows at once.

use std::sync::Arc;

use actix::{Context, Handler, Message};

use crate::actors::domain::actor::Domain;
use crate::postgres::{self, Ask};

/// Run a query for each of `asks`, which say themselves what came of them. Answered when they are taken; where the domain does
/// not serve any more they are dropped, and whoever asked asks again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Join {
    pub(in crate::actors) what: Arc<postgres::Query>,
    pub(in crate::actors) asks: Vec<Ask>,
}

impl Handler<Join> for Domain {
    type Result = ();

    fn handle(&mut self, message: Join, _: &mut Context<Self>) {
        if self.core.serves() {
            self.core.lanes().join(&message.what, message.asks);
        }
    }
}
