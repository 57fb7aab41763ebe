//! Probe the database now instead of at the next interval.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};

use crate::actors::domain::actor::Domain;

/// Probe now. Answered once a probe that began after this has ended; while the domain is down that is the next one due.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Probe;

impl Handler<Probe> for Domain {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Probe, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            let mut standing = core.standing();
            let before = standing.borrow().probes;
            core.alarm();
            // The sender is in `core`, so waiting cannot fail.
            drop(standing.wait_for(|now| now.probes > before || now.state.is_leaving()).await);
        })
    }
}
