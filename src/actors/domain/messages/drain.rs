//! Finish what is in flight, close every connection, stop.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, Context, Handler, Message, ResponseActFuture, WrapFuture};

use crate::actors::domain::actor::Domain;

/// Drain and stop. Answered when no connection is left, or when `limit` and a moment for goodbyes have passed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Drain {
    /// How long what is in flight may take.
    pub(in crate::actors) limit: Duration,
}

impl Handler<Drain> for Domain {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, message: Drain, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(&self.core);
        let drained = async move { core.drain(message.limit).await };
        Box::pin(drained.into_actor(self).map(|(), _, context| context.stop()))
    }
}
