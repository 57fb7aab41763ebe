//! The actor that decides.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::admission::Permit;
use super::bound::{BatchPlace, BoundFlow, OnWorker};
use crate::actors::rules::QuickRulesHandle;
use crate::flow::{FlowError, Report, RunOptions, run};
use crate::types::Value;

/// One decision to make.
#[derive(Clone)]
pub struct Request {
    /// The flow that decides.
    pub flow: Arc<BoundFlow>,
    /// Its checked inputs.
    pub inputs: Value,
    /// The clock and the deadline.
    pub run: RunOptions,
}

/// Make this decision.
#[derive(Message)]
#[rtype(result = "Report")]
pub(super) struct Decide {
    pub(super) request: Request,
    pub(super) span: Span,
    /// Where it belongs to a batch.
    pub(super) place: Option<BatchPlace>,
    /// Ends when nobody waits for the decision any more.
    pub(super) asker: oneshot::Receiver<Infallible>,
    /// Given back when the decision is made: what bounds how many are under way.
    pub(super) permit: Permit,
}

/// How long a decision that nobody waits for goes on: to finish quick queries costs less than to cancel them.
const FINISHING: Duration = Duration::from_millis(500);

/// Messages that may be in the mailbox before a sender waits for its place, which costs it another turn. What bounds the
/// decisions under way is [`super::Admission`].
const MAILBOX: usize = 1_024;

/// Waits until nobody waits for the decision any more, and has not for a while.
async fn abandoned(asker: oneshot::Receiver<Infallible>) {
    let Err(_gone) = asker.await;
    tokio::time::sleep(FINISHING).await;
}

/// Walks the graph of each request it is asked to decide.
pub(super) struct Coordinator {
    pub(super) quick: QuickRulesHandle,
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Decide> for Coordinator {
    type Result = ResponseFuture<Report>;

    fn handle(&mut self, message: Decide, _: &mut Self::Context) -> Self::Result {
        let Decide { request: Request { flow, inputs, run: asked }, place, span, asker, permit } = message;
        let quick = self.quick.clone();
        let decide = async move {
            let _permit = permit;
            let ports = OnWorker { bound: &flow, quick: &quick, place };
            tokio::select! {
                biased;
                report = run(flow.flow(), inputs, &ports, &asked) => report,
                // Dropping the decision cancels its queries.
                () = abandoned(asker) => Report { result: Err(FlowError::Broken), trace: None },
            }
        };
        Box::pin(decide.instrument(span))
    }
}
