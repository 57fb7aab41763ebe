//! One call of a tool: whether the caller may, the arguments, the decision, and its result.

use std::sync::Arc;

use actix_web::HttpRequest;
use rmcp::model::{CallToolRequestParams, CallToolResult, ErrorData, JsonObject, MetaObject, Tool};
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::protocol::Ask;
use super::tool::{VERBS, Verb, describe, name};
use crate::actors::coordinator::BoundFlow;
use crate::config::Right;
use crate::flow::{Detail, RunOptions};
use crate::graph::Flow;
use crate::http::handlers::body::{flip, what_if};
use crate::http::handlers::decide::answer;
use crate::http::handlers::flip::flips;
use crate::http::handlers::options::privileged;
use crate::http::{Asker, Label, Problem, Release, Service, Settings};
use crate::types::{Clock, Deadline, FlowName, Value};

/// Who calls.
pub(super) enum Caller {
    /// Who sends this request. Its token says what it may call.
    Request(HttpRequest),
    /// The user who started this process. It may call every tool.
    Process,
}

impl Caller {
    /// Whether it may call this tool of `flow`: the rights are those of the endpoints.
    fn admit(&self, service: &Service, flow: &FlowName, verb: Verb) -> Result<Asker, Problem> {
        let Self::Request(request) = self else { return Ok(Asker::Anybody) };
        match verb {
            Verb::Decide => service.gate.admit(request, flow, Right::Decide),
            Verb::Explain => {
                let asker = service.gate.admit(request, flow, Right::Decide)?;
                asker.needs(Right::Explain).map(|()| asker)
            }
            Verb::WhatIf | Verb::Flip => privileged(request, service, flow, Right::WhatIf),
        }
    }

    fn label(&self, flow: &Flow, asker: &Asker) -> Label {
        match self {
            Self::Request(request) => Label::new(request, flow, asker.name()),
            Self::Process => Label { id: Uuid::new_v4().to_string(), caller: None },
        }
    }

    fn answering(&self, problem: Problem) -> Problem {
        match self {
            Self::Request(request) => problem.answering(request),
            Self::Process => problem,
        }
    }
}

/// The tools that a caller has.
pub(super) struct Tools {
    pub(super) service: Service,
    pub(super) caller: Caller,
}

impl Tools {
    /// Answers what the client asks. A call that is cancelled ends.
    pub(super) async fn answer(&self, ask: Ask) {
        // Where the receiver is gone, nobody waits for the answer any more.
        match ask {
            Ask::List(reply) => drop(reply.send(self.list())),
            Ask::Call(call, mut reply) => tokio::select! {
                result = self.call(*call) => drop(reply.send(result)),
                () = reply.closed() => {}
            },
        }
    }

    fn list(&self) -> Vec<Tool> {
        let release = self.service.releases.current();
        self.callable(&release).map(|(flow, verb)| describe(flow.flow(), verb)).collect()
    }

    /// The tools of this release that the caller may call.
    fn callable<'a>(&self, release: &'a Release) -> impl Iterator<Item = (&'a Arc<BoundFlow>, Verb)> {
        let admits =
            |(flow, verb): &(&Arc<BoundFlow>, Verb)| self.caller.admit(&self.service, &flow.flow().name, *verb).is_ok();
        tools(release).filter(admits)
    }

    /// The result of a tool. Only a tool that there is not is an error of the protocol.
    async fn call(&self, call: CallToolRequestParams) -> Result<CallToolResult, ErrorData> {
        let release = self.service.releases.current();
        let called = tools(&release).find(|(flow, verb)| call.name == name(flow.flow(), *verb));
        let Some((flow, verb)) = called else {
            let known: Vec<String> = self.callable(&release).map(|(flow, verb)| name(flow.flow(), verb)).collect();
            let why = format!("there is no tool `{}`; the tools are: {}", call.name, known.join(", "));
            return Err(ErrorData::invalid_params(why, None));
        };
        let asker = match self.caller.admit(&self.service, &flow.flow().name, verb) {
            Ok(asker) => asker,
            Err(problem) => return self.refused(problem, None),
        };
        let label = self.caller.label(flow.flow(), &asker);
        let run = Run { service: &self.service, flow, settings: release.settings(), label: &label };
        match run.tool(verb, call.arguments.unwrap_or_default()).await {
            Ok(result) => Ok(CallToolResult::structured(result).with_meta(Some(run.meta()))),
            Err(problem) => self.refused(problem, Some(run.meta())),
        }
    }

    /// The result of a tool that has none.
    fn refused(&self, problem: Problem, meta: Option<MetaObject>) -> Result<CallToolResult, ErrorData> {
        let problem = structured(&self.caller.answering(problem));
        let problem = problem.map_err(|problem| ErrorData::internal_error(problem.to_string(), None))?;
        Ok(CallToolResult::structured_error(problem).with_meta(meta))
    }
}

/// The tools of a release.
fn tools(release: &Release) -> impl Iterator<Item = (&Arc<BoundFlow>, Verb)> {
    release.flows().into_iter().flat_map(|flow| VERBS.map(|verb| (flow, verb)))
}

fn structured(result: &impl Serialize) -> Result<Json, Problem> {
    serde_json::to_value(result).map_err(|error| Problem::unwritable(&error))
}

/// One run of a tool.
struct Run<'a> {
    service: &'a Service,
    flow: &'a Arc<BoundFlow>,
    settings: &'a Settings,
    label: &'a Label,
}

impl Run<'_> {
    async fn tool(&self, verb: Verb, arguments: JsonObject) -> Result<Json, Problem> {
        let run = RunOptions::new(
            Clock::system(self.settings.time_zone.clone()),
            Deadline::after(self.settings.request_timeout),
        );
        match verb {
            Verb::Decide | Verb::Explain => {
                let explains = verb == Verb::Explain;
                let detail = if explains { Detail::Reasons } else { Detail::Decision };
                let inputs = self.flow.flow().inputs.parse_json(&bytes(arguments)).map_err(Problem::input)?;
                self.decide(inputs, RunOptions { detail, ..run }, explains).await
            }
            Verb::WhatIf => {
                let (inputs, overrides) = what_if(&bytes(arguments), self.flow, true)?;
                self.decide(inputs, RunOptions { overrides, ..run }, false).await
            }
            Verb::Flip => {
                let (inputs, overrides, question) = flip(&bytes(arguments), self.flow)?;
                let run = (inputs, RunOptions { overrides, ..run }, &question);
                structured(&flips(self.service, (self.flow, self.settings), run, self.label).await?)
            }
        }
    }

    async fn decide(&self, inputs: Value, run: RunOptions, explains: bool) -> Result<Json, Problem> {
        structured(&answer(self.service, self.flow, (inputs, run, explains), self.label).await?)
    }

    /// What a client keeps to find the decision again: its id, as in log and record, and what decided.
    fn meta(&self) -> MetaObject {
        let flow = self.flow.flow();
        let meta = [
            ("decision_id", &*self.label.id),
            ("graph_version", &flow.graph_hash),
            ("rules_version", &flow.rules_hash),
        ];
        MetaObject(meta.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
    }
}

fn bytes(arguments: JsonObject) -> Vec<u8> {
    Json::Object(arguments).to_string().into_bytes()
}
