//! What the handlers of one worker share, and the one way from them to a decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use tracing::Instrument;

use super::admin::Admin;
use super::console::Console;
use super::gate::{AdminSide, Gate};
use super::limits::HeadLimits;
use super::problem::Problem;
use super::release::Releases;
use super::span;
use crate::actors::coordinator::{BatchPlace, BoundFlow, CoordinatorHandle, Request};
use crate::flow::{Detail, Report, RunOptions, micros};
use crate::metrics::Metrics;
use crate::records::{Entry, Recorder};
use crate::types::{FlowName, Value};

/// What names a decision in its record, its log line and its answer, and who asked for it.
#[derive(Debug, Clone, Default)]
pub struct Label {
    /// The id of the decision.
    pub id: String,
    /// The name of the caller, where callers have one.
    pub caller: Option<String>,
}

/// What the handlers of one worker share.
#[derive(Clone)]
pub struct Service {
    /// What is served.
    pub releases: Releases,
    /// What is counted.
    pub metrics: Metrics,
    /// How many decisions may be under way at once, in the whole service.
    pub most_under_way: usize,
    /// This worker's coordinator.
    pub coordinator: CoordinatorHandle,
    /// What puts decisions on record; `None` where nothing does.
    pub recorder: Option<Recorder>,
    /// What the admin endpoints do; `None` where there are none.
    pub admin: Option<Admin>,
    /// What the console shows; `None` where it is off.
    pub console: Option<Console>,
    /// Where the admin endpoints are.
    pub admin_side: AdminSide,
    /// Who may ask which flow.
    pub gate: Gate,
    /// Whether traces are made.
    pub traces: bool,
    /// Whether each decision is logged.
    pub log_decisions: bool,
    /// The most of a request's head.
    pub head_limits: HeadLimits,
}

impl Service {
    /// Whether the admin endpoints do anything.
    pub(super) fn has_admin(&self) -> bool {
        self.admin.as_ref().is_some_and(Admin::is_on)
    }

    /// The flow of this name, among those that the request may ask.
    ///
    /// # Errors
    /// A [`Problem`] where there is none, or no token that is good.
    pub(super) fn flow_named(&self, request: &HttpRequest, name: &str) -> Result<Arc<BoundFlow>, Problem> {
        let release = self.releases.current();
        let flows = self.gate.visible(request, release.flows(), |flow| &flow.flow().name)?;
        let found = flows.iter().find(|flow| flow.flow().name.as_str() == name);
        found.map(|flow| Arc::clone(flow)).ok_or_else(|| {
            let known: Vec<&str> = flows.iter().map(|flow| flow.flow().name.as_str()).collect();
            Problem::no_such_flow(name, &known)
        })
    }

    /// Decides, and puts the decision on record where that is wanted; one whose facts were replaced never is.
    pub async fn decide(&self, flow: &Arc<BoundFlow>, inputs: Value, run: RunOptions, label: &Label) -> Report {
        let request = |run| Request { flow: Arc::clone(flow), inputs, run };
        self.recorded(flow, run, label, async |run| self.coordinator.decide(request(run)).await).await
    }

    /// As [`Self::decide`], for one decision of a batch: it is not refused for the width of its batch, but waits for its turn.
    pub async fn decide_in_turn(
        &self,
        flow: &Arc<BoundFlow>,
        inputs: Value,
        run: RunOptions,
        (label, place): (&Label, BatchPlace),
    ) -> Report {
        let request = |run| Request { flow: Arc::clone(flow), inputs, run };
        self.recorded(flow, run, label, async |run| self.coordinator.decide_in_turn(request(run), place).await).await
    }

    async fn recorded(
        &self,
        flow: &Arc<BoundFlow>,
        run: RunOptions,
        label: &Label,
        decide: impl AsyncFnOnce(RunOptions) -> Report,
    ) -> Report {
        let recorder = self.recorder.as_ref().filter(|_| run.overrides.is_empty());
        let console = self.console.as_ref().map(Console::recent).filter(|_| run.overrides.is_empty());
        let is_looked_at = recorder.is_some() || console.is_some_and(|recent| recent.wants(&flow.flow().name));
        let supposes = !run.overrides.is_empty();
        let is_explained = run.detail == Detail::Reasons;
        let detail = if is_looked_at { run.detail.max(Detail::Answers) } else { run.detail };
        let (begun, span) = (Instant::now(), span::of_decision(&flow.flow().name, label));
        let report = decide(RunOptions { detail, ..run }).instrument(span.clone()).await;
        span::decided(&span, &report);
        let took = begun.elapsed();
        flow.metrics().decided(&report.result, took);
        if self.log_decisions {
            log(&flow.flow().name, &report, label, took, supposes);
        }
        if let Some(recent) = console {
            recent.note(flow.flow(), &report, is_explained);
        }
        if let Some(recorder) = recorder
            && let Some(entry) = Entry::new(flow.shared(), &label.id, label.caller.as_deref(), &report)
        {
            recorder.record(entry).await;
        }
        report
    }
}

/// The line of a decision.
fn log(flow: &FlowName, report: &Report, label: &Label, took: Duration, supposes: bool) {
    let Label { id, caller } = label;
    let took_us = micros(took);
    let what_if = supposes.then_some(true);
    match &report.result {
        Ok(decision) => {
            tracing::info!(%flow, outcome = decision.status, decision.id = id, caller, took_us, what_if, "decided");
        }
        Err(error) => {
            let code = error.code();
            tracing::info!(%flow, error.code = code, decision.id = id, caller, took_us, what_if, "not decided");
        }
    }
}
