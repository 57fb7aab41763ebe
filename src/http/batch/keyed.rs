//! The elements of a batch that have a key: each is decided and written once.
//!
//! They do not wait for the client to read: a transaction that begins is ended. Few are written at once, whatever the window, so that
//! batches leave connections of the write role to single requests.

use actix::spawn;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::line::{LineResult, StoredLine};
use super::lines::Batch;
use crate::http::Label;
use crate::http::keyed::KeyedDecision;
use crate::types::{Deadline, IdempotencyKey, Value};

impl Batch {
    /// Decides and writes in its turn. Nothing is begun once the batch has been dropped.
    pub(super) async fn write(self, inputs: Value, key: IdempotencyKey) -> LineResult {
        let broken = self.problem(&crate::flow::FlowError::Broken, None);
        let (mut sender, receiver) = oneshot::channel();
        spawn(async move {
            let shared = self.service.shared.clone();
            let turn = tokio::select! {
                biased;
                () = sender.closed() => return,
                turn = shared.batch_writes.acquire() => turn,
            };
            let result = self.written(inputs, &key).await;
            drop(turn);
            // The batch may have been dropped.
            drop(sender.send(result));
        });
        receiver.await.unwrap_or(LineResult::Problem(broken))
    }

    async fn written(&self, inputs: Value, key: &IdempotencyKey) -> LineResult {
        // The id of an approval is that of its decision, so it is not made of the id of the batch.
        let label = Label { id: Uuid::new_v4().to_string(), caller: self.label.caller.clone() };
        let decision = KeyedDecision {
            service: &self.service,
            flow: &self.flow,
            label: &label,
            key,
            lifetime: self.settings.key_lifetime,
            explains: self.explains,
            complete: &|problem| self.traced(problem),
        };
        match decision.decide(inputs, self.run(Deadline::after(self.settings.request_timeout))).await {
            Ok(answer) => LineResult::Stored(StoredLine::new(&answer.ending, answer.repeats.is_some())),
            Err((error, explain)) => LineResult::Problem(self.problem(&error, explain)),
        }
    }
}
