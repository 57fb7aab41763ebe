//! `GET /approvals`, `GET /approvals/{id}`, `POST /approvals/{id}`: effects that wait for an approval.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::body::read_json;
use super::options::privileged;
use crate::actors::coordinator::BoundFlow;
use crate::actors::effects::{Approval, Fresh, Resolution, Resolved, fresh};
use crate::config::Right;
use crate::flow::{Decision, RunOptions};
use crate::graph::without_bom;
use crate::http::endpoint::{Access, Endpoint, Operation, Parameter, Values, schema};
use crate::http::problem::kinds;
use crate::http::request::Label;
use crate::http::{Asker, Problem, Service, Settings};
use crate::records::{Change, changes};
use crate::types::{Clock, Deadline, Value};

/// The approvals that the request may resolve.
pub(in crate::http) const LIST: Endpoint = Endpoint::get("/approvals", |route| route.to(list)).documented(Operation {
    id: "approvals",
    summary: "Effects that wait for an approval",
    access: Access::Approver,
    content: &[("application/json", schema::<Approvals>)],
    problems: &[kinds::FORBIDDEN, kinds::EFFECTS_OFF, kinds::DOMAIN_DOWN, kinds::DOMAIN_OVERLOADED],
    ..Operation::PLAIN
});

const ID: &[Parameter] = &[Parameter { name: "id", description: "The id of the approval", values: Values::Uuid }];

/// One approval, with what has changed since.
pub(in crate::http) const ONE: Endpoint =
    Endpoint::get("/approvals/{id}", |route| route.to(one)).documented(Operation {
        id: "approval",
        summary: "An effect that waits for an approval, and what has changed since its decision",
        access: Access::Approver,
        parameters: ID,
        content: &[("application/json", schema::<Shown>)],
        problems: &[kinds::NO_SUCH_APPROVAL, kinds::FORBIDDEN, kinds::EFFECTS_OFF, kinds::DOMAIN_DOWN],
        ..Operation::PLAIN
    });

/// Approves or rejects.
pub(in crate::http) const RESOLVE: Endpoint =
    Endpoint::post("/approvals/{id}", |route| route.to(resolve)).documented(Operation {
        id: "resolve",
        summary: "Approve or reject an effect: it is written or dropped",
        access: Access::Approver,
        parameters: ID,
        body: Some(schema::<Request>),
        content: &[("application/json", schema::<Shown>)],
        problems: &[
            kinds::NO_SUCH_APPROVAL,
            kinds::FORBIDDEN,
            kinds::APPROVAL_CHANGED,
            kinds::ALREADY_RESOLVED,
            kinds::CONFLICT,
            kinds::KEY_IN_PROGRESS,
            kinds::EFFECT_UNKNOWN,
            kinds::EFFECTS_OFF,
            kinds::DOMAIN_DOWN,
        ],
        ..Operation::PLAIN
    });

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Approvals {
    approvals: Vec<Shown>,
}

/// An approval.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Approval")]
struct Shown {
    /// Its id, which is that of the decision.
    id: String,
    /// Pending, approved, rejected or dropped.
    state: String,
    /// The flow that decided.
    flow: String,
    /// The effect that waits.
    effect: String,
    /// Who asked for the decision.
    #[serde(skip_serializing_if = "String::is_empty")]
    caller: String,
    /// The key of the request.
    key: String,
    /// When it was asked for.
    at: String,
    /// The inputs.
    input: Json,
    /// What the statements of the effect would be given.
    params: Json,
    /// The version of the effect, by which it is approved.
    version: String,
    /// The answer to the request.
    answer: Json,
    /// What the decision would be now, where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Now>,
    /// How it was resolved: by whom, when, with which note, and the decision that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Json>,
}

/// The decision on the current rows.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Now {
    /// The version of the effect now; absent where the decision has it no more, and it would be dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The fields of the answer, and the parameters, that differ.
    #[schemars(with = "Vec<Json>")]
    changes: Vec<Change>,
}

/// The body of a request that resolves an approval.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// What is done.
    action: Action,
    /// The version that is approved, as `now` has it; the one that was decided if it is left out.
    version: Option<String>,
    /// What is noted with it.
    note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Action {
    Approve,
    Reject,
}

async fn list(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let deadline = Deadline::after(release.settings().request_timeout);
    let mut approvals = Vec::new();
    let (mut refused, mut may_any) = (None, false);
    for flow in release.flows() {
        let Some(binding) = flow.effects() else { continue };
        let name = &flow.flow().name;
        if let Err(problem) = privileged(&request, &service, name, Right::Approve) {
            refused = Some(problem);
            continue;
        }
        may_any = true;
        let found = binding.pending(name.as_str(), deadline).await.map_err(|error| Problem::flow(name, &error))?;
        approvals.extend(found.into_iter().map(|approval| shown(flow, approval)));
    }
    match refused.filter(|_| !may_any) {
        Some(problem) => Err(problem),
        None => Ok(HttpResponse::Ok().json(Approvals { approvals })),
    }
}

/// The approval of this id, and who asks for it.
async fn find(
    request: &HttpRequest,
    service: &Service,
    id: &str,
) -> Result<(Arc<BoundFlow>, Settings, Approval, Asker), Problem> {
    let release = service.releases.current();
    let settings = release.settings().clone();
    let id = Uuid::try_parse(id).map_err(|_| Problem::no_such_approval(id))?.to_string();
    let mut refused = None;
    for flow in release.flows() {
        let Some(binding) = flow.effects() else { continue };
        let name = &flow.flow().name;
        let asker = match privileged(request, service, name, Right::Approve) {
            Ok(asker) => asker,
            Err(problem) => {
                refused = Some(problem);
                continue;
            }
        };
        let found = binding.approval(name.as_str(), &id, Deadline::after(settings.request_timeout)).await;
        if let Some(approval) = found.map_err(|error| Problem::flow(name, &error))? {
            return Ok((Arc::clone(flow), settings, approval, asker));
        }
        refused = None;
    }
    Err(refused.unwrap_or_else(|| Problem::no_such_approval(&id)))
}

async fn one(
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let (flow, settings, approval, _) = find(&request, &service, &id).await?;
    let mut answer = shown(&flow, approval.clone());
    if approval.state == "pending" {
        let now = fresh(&service.coordinator, &flow, &approval, &run(&settings)).await;
        answer.now = Some(compared(&approval, &now.map_err(|error| Problem::flow(&flow.flow().name, &error))?));
    }
    Ok(HttpResponse::Ok().json(answer))
}

async fn resolve(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let (flow, settings, approval, asker) = find(&request, &service, &id).await?;
    let body = read_json(&request, payload, &settings).await?;
    let asked: Request = serde_json::from_slice(without_bom(&body)).map_err(|error| {
        Problem::malformed(format!("the body is {{\"action\": \"approve\"}} or {{\"action\": \"reject\"}}; {error}"))
    })?;
    let resolution = Resolution {
        approves: matches!(asked.action, Action::Approve),
        version: asked.version,
        by: asker.name().unwrap_or_default().to_owned(),
        note: asked.note,
        lifetime: settings.key_lifetime,
    };
    let label = Label::new(&request, flow.flow(), asker.name());
    let name = &flow.flow().name;
    let resolved = service.resolve(&flow, &approval, &resolution, run(&settings), &label).await;
    match resolved.map_err(|error| Problem::flow(name, &error))? {
        Resolved::Changed(fresh) => {
            Err(Problem::approval_changed(fresh.effect.as_ref().map_or("", |(_, version)| version)))
        }
        Resolved::Already => Err(Problem::already_resolved(&approval.id)),
        Resolved::Approved(_) | Resolved::Dropped(_) | Resolved::Rejected | Resolved::Own => {
            // As it is stored.
            let (flow, _, approval, _) = find(&request, &service, &approval.id).await?;
            Ok(HttpResponse::Ok().json(shown(&flow, approval)))
        }
    }
}

fn run(settings: &Settings) -> RunOptions {
    RunOptions::new(Clock::system(settings.time_zone.clone()), Deadline::after(settings.request_timeout))
}

fn shown(flow: &BoundFlow, approval: Approval) -> Shown {
    let json = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_default();
    Shown {
        version: approval.version(),
        state: approval.state,
        flow: flow.flow().name.to_string(),
        input: json(&approval.request),
        params: json(&approval.params),
        answer: json(&approval.answer),
        resolution: approval.resolution.as_deref().map(json),
        id: approval.id,
        effect: approval.effect,
        caller: approval.caller,
        key: approval.key,
        at: approval.at,
        now: None,
    }
}

/// What differs between the decision of an approval and the one on the current rows.
fn compared(approval: &Approval, fresh: &Fresh) -> Now {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let answer = match value(&approval.answer) {
        // These are no fields of the decision.
        Value::Map(record) => Value::map(
            record
                .iter()
                .filter(|(name, _)| !["approval", "explain"].contains(&&***name))
                .map(|(name, value)| (name.clone(), value.clone())),
        ),
        other => other,
    };
    let now = fresh.report.result.as_ref().map(Decision::to_value).unwrap_or_default();
    let params = fresh.effect.as_ref().map_or(Value::Null, |(params, _)| value(params));
    let with = |answer, params| Value::map([("answer".into(), answer), ("params".into(), params)]);
    Now {
        version: fresh.effect.as_ref().map(|(_, version)| version.clone()),
        changes: changes(&with(answer, value(&approval.params)), &with(now, params)),
    }
}
