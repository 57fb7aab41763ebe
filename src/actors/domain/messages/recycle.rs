//! Throw away all connections.

use actix::{Context, Handler, Message};

use crate::actors::domain::actor::Domain;

/// Close every connection (those in use once they are free), so that the next queries connect anew: to a host that took over, or with
/// a password that changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Recycle;

impl Handler<Recycle> for Domain {
    type Result = ();

    fn handle(&mut self, _: Recycle, _: &mut Context<Self>) {
        self.core.pool().recycle();
        self.core.alarm();
    }
}
