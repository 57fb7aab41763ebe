//! Go wrong on purpose: how the tests show that a domain's actor is replaced. Nothing in the service sends this.

use std::panic::resume_unwind;

use actix::{Arbiter, Context, Handler, Message, ResponseFuture};

use crate::actors::domain::actor::Domain;

/// A way for the actor to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Fault {
    /// The actor panics.
    PanicInActor,
    /// One reply panics.
    PanicInReply,
    /// The actor's thread ends.
    EndThread,
}

impl Handler<Fault> for Domain {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, fault: Fault, _: &mut Context<Self>) -> Self::Result {
        match fault {
            Fault::PanicInActor => resume_unwind(Box::new("injected into the actor")),
            Fault::PanicInReply => Box::pin(async { resume_unwind(Box::new("injected into a reply")) }),
            Fault::EndThread => {
                Arbiter::current().stop();
                Box::pin(std::future::pending())
            }
        }
    }
}
