//! The coordinator actor.

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
    /// The validated inputs.
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
    /// Its place in a batch. `None` for a single request.
    pub(super) place: Option<BatchPlace>,
    /// Ends when the caller no longer waits for the decision.
    pub(super) caller: oneshot::Receiver<Infallible>,
    /// Bounds the number of decisions in progress. Released when the decision is made.
    pub(super) permit: Permit,
}

/// How long a decision continues after its caller has gone away: finishing quick queries costs less than cancelling them.
const ABANDON_DELAY: Duration = Duration::from_millis(500);

/// The capacity of the mailbox, above which a sender has to wait. [`super::Admission`] bounds the decisions in progress.
const MAILBOX: usize = 1_024;

/// Waits until the caller has gone away, and then for [`ABANDON_DELAY`].
async fn abandoned(caller: oneshot::Receiver<Infallible>) {
    let Err(_closed) = caller.await;
    tokio::time::sleep(ABANDON_DELAY).await;
}

/// Runs the flow of each request.
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
        let Decide { request: Request { flow, inputs, run: options }, place, span, caller, permit } = message;
        let quick = self.quick.clone();
        let decide = async move {
            let _permit = permit;
            let ports = OnWorker { bound: &flow, quick: &quick, place };
            tokio::select! {
                biased;
                report = run(flow.flow(), inputs, &ports, &options) => report,
                // Dropping the decision cancels its queries.
                () = abandoned(caller) => FlowError::Broken.into(),
            }
        };
        Box::pin(decide.instrument(span))
    }
}
