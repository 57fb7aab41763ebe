//! The state that the handlers of one worker share. All of them make decisions through it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use tokio::sync::{Semaphore, watch};
use tracing::{Instrument, Span};

use super::console::{Console, Recent};
use super::decision_log::{self, Write};
use super::gate::{AdminSide, Gate, bearer};
use super::operations::{Admin, Operations};
use super::problem::Problem;
use super::release::Releases;
use super::request::Label;
use crate::actors::coordinator::{BatchPlace, BoundFlow, CoordinatorHandle, Request};
use crate::actors::effects::{self, Approval, Keyed, KeyedRequest, Render, Resolution, Resolved};
use crate::flow::flip::{Flips, Question, Search};
use crate::flow::offline::OfflineEngines;
use crate::flow::{Detail, FlowError, Report, RunOptions, Trace};
use crate::grl::Limits;
use crate::metrics::Metrics;
use crate::records::{Entry, Recorder};
use crate::types::Value;

/// What the handlers of all workers share.
pub struct Shared {
    /// What is served.
    pub releases: Releases,
    /// The counters.
    pub metrics: Metrics,
    /// How many decisions may be in flight at once, in the whole service.
    pub max_in_flight: usize,
    /// The turns of the lines of batches that have a key.
    pub batch_writes: Semaphore,
    /// Writes decisions to the record, if they are recorded.
    pub recorder: Option<Recorder>,
    /// What the admin endpoints do; `None` if there are no admin endpoints.
    pub admin: Option<Admin>,
    /// What the console shows; `None` if it is off.
    pub console: Option<Console>,
    /// The origins of pages that may use the endpoint of the Model Context Protocol; `None` if it is off.
    pub mcp: Option<Vec<String>>,
    /// Where the admin endpoints are.
    pub admin_side: AdminSide,
    /// Who may ask which flow.
    pub gate: Gate,
    /// Whether the service is about to stop.
    pub stopping: Stopping,
    /// Whether each decision is logged.
    pub log_decisions: bool,
}

/// Whether the service is about to stop. It is then not ready, but answers.
#[derive(Debug, Clone, Default)]
pub struct Stopping(watch::Sender<bool>);

impl Stopping {
    /// The service is about to stop.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends once it is.
    pub(super) async fn begun(&self) {
        // The sender is `self`, so the wait ends with the value.
        drop(self.0.subscribe().wait_for(|begun| *begun).await);
    }
}

/// What the handlers of one worker have.
#[derive(Clone)]
pub struct Service {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// This worker's coordinator.
    pub coordinator: CoordinatorHandle,
}

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Service {
    /// Whether there are admin endpoints.
    pub(super) fn has_admin(&self) -> bool {
        self.admin.as_ref().is_some_and(Admin::is_on)
    }

    /// The admin operations, for a request with the admin token.
    ///
    /// # Errors
    /// A [`Problem`] if the admin endpoints are off or elsewhere, or the token is missing or wrong.
    pub(super) fn authorize(&self, request: &HttpRequest) -> Result<&dyn Operations, Problem> {
        if !self.admin_side.is(request) {
            return Err(Problem::no_such_path(request.path()));
        }
        let admin = self.admin.as_ref().filter(|admin| admin.is_on()).ok_or_else(Problem::admin_off)?;
        admin.open(bearer(request)).ok_or_else(Problem::unauthorized)
    }

    /// The flow of this name, among those that the request may ask.
    ///
    /// # Errors
    /// A [`Problem`] if there is no such flow, or no valid token.
    pub(super) fn flow_named(&self, request: &HttpRequest, name: &str) -> Result<Arc<BoundFlow>, Problem> {
        let release = self.releases.current();
        let flows = self.gate.visible(request, release.flows(), |flow| &flow.flow().name)?;
        let found = flows.iter().find(|flow| flow.flow().name.as_str() == name);
        found.map(|flow| Arc::clone(flow)).ok_or_else(|| {
            let known: Vec<&str> = flows.iter().map(|flow| flow.flow().name.as_str()).collect();
            Problem::no_such_flow(name, &known)
        })
    }

    /// Decides, and records the decision if decisions are recorded. One whose facts were replaced never is.
    pub async fn decide(&self, flow: &Arc<BoundFlow>, inputs: Value, run: RunOptions, label: &Label) -> Report {
        let supposes = !run.overrides.is_empty();
        self.decide_as(flow, inputs, run, (label, supposes)).await
    }

    /// As [`Self::decide`], for a decision that is as if facts were replaced, also if none is: nobody acts on it.
    pub async fn suppose(&self, flow: &Arc<BoundFlow>, inputs: Value, run: RunOptions, label: &Label) -> Report {
        self.decide_as(flow, inputs, run, (label, true)).await
    }

    async fn decide_as(&self, flow: &Arc<BoundFlow>, inputs: Value, run: RunOptions, label: (&Label, bool)) -> Report {
        let request = |run| Request { flow: Arc::clone(flow), inputs, run };
        self.recorded(flow, run, label, async |run| self.coordinator.decide(request(run)).await).await
    }

    /// Searches what changes the decision that `run` made, of which `trace` has the notes.
    ///
    /// # Errors
    /// [`FlowError::Override`] if a fact cannot be searched.
    pub async fn flips(
        &self,
        (flow, limits): (&Arc<BoundFlow>, &Limits),
        (run, trace): (&RunOptions, &Trace),
        question: &Question,
        label: &Label,
    ) -> Result<Flips, FlowError> {
        let engines = OfflineEngines::new(limits.clone());
        let search = Search { flow: flow.flow(), trace, run, engines: &engines };
        search.flips(question, async |run| self.suppose(flow, trace.inputs.clone(), run, label).await).await
    }

    /// As [`Self::decide`], for one decision of a batch: instead of being refused for the width of its batch it waits.
    pub async fn decide_in_turn(
        &self,
        flow: &Arc<BoundFlow>,
        inputs: Value,
        run: RunOptions,
        (label, place): (&Label, BatchPlace),
    ) -> Report {
        let request = |run| Request { flow: Arc::clone(flow), inputs, run };
        self.recorded(flow, run, (label, false), async |run| {
            self.coordinator.decide_of_batch(request(run), place).await
        })
        .await
    }

    /// Decides with a key, and writes the decision once. `render` makes the answer.
    pub async fn decide_keyed(&self, request: KeyedRequest<'_>, label: &Label, render: Render<'_>) -> Keyed {
        let (flow, mut run) = (Arc::clone(request.flow), request.run);
        let recording = self.recording(&flow, &mut run, (label, false));
        let request = KeyedRequest { run, ..request };
        let keyed = effects::decide(&self.coordinator, &request, render).instrument(recording.span.clone()).await;
        let write = Write { key: request.key.as_str(), result: keyed.result() };
        flow.metrics().effect(write.result);
        match &keyed {
            Keyed::Decided { report, .. } | Keyed::Failed(report) => recording.end(report, Some(&write)).await,
            Keyed::Replayed { decision, .. } => recording.replayed(decision, &write),
        }
        keyed
    }

    /// Resolves an approval. What is decided again is noted as a decision.
    pub async fn resolve(
        &self,
        flow: &Arc<BoundFlow>,
        approval: &Approval,
        resolution: &Resolution,
        mut run: RunOptions,
        label: &Label,
    ) -> Result<Resolved, FlowError> {
        let recording = self.recording(flow, &mut run, (label, false));
        let resolved = effects::resolve(&self.coordinator, flow, approval, resolution, &run);
        let resolved = resolved.instrument(recording.span.clone()).await;
        match &resolved {
            Ok(Resolved::Approved(report)) => {
                flow.metrics().effect("approved");
                recording.end(report, Some(&Write { key: &approval.key, result: "approved" })).await;
            }
            Ok(Resolved::Dropped(report)) => {
                flow.metrics().effect("dropped");
                recording.end(report, Some(&Write { key: &approval.key, result: "dropped" })).await;
            }
            Ok(Resolved::Rejected) => flow.metrics().effect("rejected"),
            Ok(Resolved::Own | Resolved::Changed(_) | Resolved::Already) => {}
            Err(error) => flow.metrics().effect(effects::result_of(error)),
        }
        resolved
    }

    async fn recorded(
        &self,
        flow: &Arc<BoundFlow>,
        mut run: RunOptions,
        (label, supposes): (&Label, bool),
        decide: impl AsyncFnOnce(RunOptions) -> Report,
    ) -> Report {
        let recording = self.recording(flow, &mut run, (label, supposes));
        let report = decide(run).instrument(recording.span.clone()).await;
        recording.end(&report, None).await;
        report
    }

    /// Begins to note a decision, which takes the notes that its record needs.
    fn recording<'a>(
        &'a self,
        flow: &'a Arc<BoundFlow>,
        run: &mut RunOptions,
        (label, supposes): (&'a Label, bool),
    ) -> Recording<'a> {
        let name = &flow.flow().name;
        let recorder = self.recorder.as_ref().filter(|_| !supposes);
        let console = self.console.as_ref().map(Console::recent).filter(|_| !supposes);
        let is_explained = run.detail == Detail::Reasons;
        if recorder.is_some() || console.is_some_and(|recent| recent.wants(name)) {
            run.detail = run.detail.max(Detail::Answers);
        }
        let (begun, span) = (Instant::now(), decision_log::span(name, label));
        Recording { flow, label, supposes, recorder, console, is_explained, log: self.log_decisions, begun, span }
    }
}

/// A decision that is noted in log, metrics, console and record when it ends.
struct Recording<'a> {
    flow: &'a Arc<BoundFlow>,
    label: &'a Label,
    supposes: bool,
    recorder: Option<&'a Recorder>,
    console: Option<&'a Recent>,
    is_explained: bool,
    log: bool,
    begun: Instant,
    span: Span,
}

impl Recording<'_> {
    async fn end(self, report: &Report, write: Option<&Write<'_>>) {
        decision_log::end(&self.span, report, write);
        let (flow, took) = (self.flow, self.begun.elapsed());
        flow.metrics().decided(&report.result, took);
        if self.log {
            decision_log::write(&flow.flow().name, report, (self.label, write), took, self.supposes);
        }
        if let Some(recent) = self.console {
            recent.note(flow.flow(), report, self.is_explained);
        }
        if let Some(recorder) = self.recorder
            && let Some(entry) = Entry::new(flow.shared(), &self.label.id, self.label.caller.as_deref(), report)
        {
            recorder.record(entry).await;
        }
    }

    /// The request got the answer of this decision, which was stored with its key.
    fn replayed(self, decision: &str, write: &Write<'_>) {
        self.span.record("effect.result", write.result);
        if self.log {
            decision_log::replayed(&self.flow.flow().name, decision, (self.label, write), self.begun.elapsed());
        }
    }
}
