//! One call of a tool: whether the caller may, the arguments, the decision, and its result.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, ErrorData, JsonObject, MetaObject, Tool};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::protocol::Ask;
use super::tool::{VERBS, Verb, describe, name};
use crate::actors::coordinator::BoundFlow;
use crate::config::Right;
use crate::flow::{Detail, RunOptions, explain};
use crate::graph::Flow;
use crate::http::handlers::body::{flip, what_if};
use crate::http::handlers::decide::{answer, problem};
use crate::http::handlers::flip::flips;
use crate::http::handlers::options::privileged;
use crate::http::keyed::{KeyedDecision, key_of_element};
use crate::http::{Asker, Label, Problem, Release, Service, Settings};
use crate::types::{Clock, Deadline, FlowName, IdempotencyKey, Value};

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
    /// Answers what is asked, until nobody can ask any more. Calls are answered at the same time.
    pub(super) async fn serve(self: Rc<Self>, mut asked: mpsc::Receiver<Ask>) {
        while let Some(ask) = asked.recv().await {
            let tools = Rc::clone(&self);
            actix_web::rt::spawn(async move { tools.answer(ask).await });
        }
    }

    /// Answers what the client asks. A call that is cancelled ends.
    async fn answer(&self, ask: Ask) {
        // Where the receiver is gone, nobody waits for the answer any more.
        match ask {
            Ask::List(reply) => drop(reply.send(self.list())),
            // Boxed to keep the future small.
            Ask::Call(call, mut reply) => tokio::select! {
                result = Box::pin(self.call(*call)) => drop(reply.send(result)),
                () = reply.closed() => {}
            },
            Ask::Changes(changes) => self.announce(&changes).await,
        }
    }

    /// Announces each release that changes what [`Self::list`] gives, until the service stops or nobody listens.
    pub(super) async fn announce(&self, changes: &mpsc::Sender<()>) {
        let mut published = self.service.releases.published();
        let mut known = self.list();
        loop {
            tokio::select! {
                Ok(()) = published.changed() => {}
                () = self.service.stopping.begun() => return,
                () = changes.closed() => return,
            }
            let now = self.list();
            if now != known && changes.send(()).await.is_err() {
                return;
            }
            known = now;
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
        let caller = &self.caller;
        let run = Run { service: &self.service, caller, flow, settings: release.settings(), label: &label };
        match run.tool(verb, call.arguments.unwrap_or_default()).await {
            Ok(result) => Ok(result),
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
    caller: &'a Caller,
    flow: &'a Arc<BoundFlow>,
    settings: &'a Settings,
    label: &'a Label,
}

impl Run<'_> {
    async fn tool(&self, verb: Verb, arguments: JsonObject) -> Result<CallToolResult, Problem> {
        let run = RunOptions::new(
            Clock::system(self.settings.time_zone.clone()),
            Deadline::after(self.settings.request_timeout),
        );
        match verb {
            Verb::Decide => {
                let element = self.flow.flow().inputs.parse_element(&bytes(arguments)).map_err(Problem::input)?;
                match key_of_element(element, self.flow, false)? {
                    (inputs, Some(key)) => self.write(inputs, run, &key).await,
                    (inputs, None) => self.decide(inputs, run, false).await,
                }
            }
            Verb::Explain => {
                let inputs = self.flow.flow().inputs.parse_json(&bytes(arguments)).map_err(Problem::input)?;
                self.decide(inputs, RunOptions { detail: Detail::Reasons, ..run }, true).await
            }
            Verb::WhatIf => {
                let (inputs, overrides) = what_if(&bytes(arguments), self.flow, true)?;
                self.decide(inputs, RunOptions { overrides, ..run }, false).await
            }
            Verb::Flip => {
                let (inputs, overrides, question) = flip(&bytes(arguments), self.flow)?;
                let run = (inputs, RunOptions { overrides, ..run }, &question);
                self.result(&flips(self.service, (self.flow, self.settings), run, self.label).await?)
            }
        }
    }

    async fn decide(&self, inputs: Value, run: RunOptions, explains: bool) -> Result<CallToolResult, Problem> {
        let mut answer = answer(self.service, self.flow, (inputs, run, explains), self.label).await?;
        let mut result = self.result(&answer)?;
        if let Some(explanation) = answer.explain.take() {
            // The structured content has the explanation whole. Its lines are much shorter.
            let text = format!("{}\n\n{}", structured(&answer)?, explain::text(&explanation));
            result.content = vec![ContentBlock::text(text)];
        }
        Ok(result)
    }

    /// Decides, and writes the decision once for this key.
    async fn write(&self, inputs: Value, run: RunOptions, key: &IdempotencyKey) -> Result<CallToolResult, Problem> {
        let decision = KeyedDecision {
            service: self.service,
            flow: self.flow,
            label: self.label,
            key,
            lifetime: self.settings.key_lifetime,
            explains: false,
            complete: &|problem| self.caller.answering(problem),
        };
        let answer = decision.decide(inputs, run).await;
        let answer = answer.map_err(|(error, explain)| problem(&self.flow.flow().name, &error, explain))?;
        let body: Json = serde_json::from_str(&answer.ending.body).map_err(|error| Problem::unwritable(&error))?;
        let give =
            if answer.ending.status < 400 { CallToolResult::structured } else { CallToolResult::structured_error };
        let meta = match answer.repeats {
            Some(id) => meta([("decision_id", json!(id)), ("idempotency_replayed", json!(true))]),
            None => self.meta(),
        };
        Ok(give(body).with_meta(Some(meta)))
    }

    fn result(&self, given: &impl Serialize) -> Result<CallToolResult, Problem> {
        Ok(CallToolResult::structured(structured(given)?).with_meta(Some(self.meta())))
    }

    /// What a client keeps to find the decision again: its id, as in log and record, and what decided.
    fn meta(&self) -> MetaObject {
        let flow = self.flow.flow();
        meta([
            ("decision_id", json!(self.label.id)),
            ("graph_version", json!(flow.graph_hash)),
            ("rules_version", json!(flow.rules_hash)),
        ])
    }
}

fn meta(members: impl IntoIterator<Item = (&'static str, Json)>) -> MetaObject {
    MetaObject(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn bytes(arguments: JsonObject) -> Vec<u8> {
    Json::Object(arguments).to_string().into_bytes()
}
