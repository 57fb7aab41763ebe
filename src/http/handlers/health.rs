//! Health of the process, of the service, and of each domain, as the domain actors last published it. Asking costs the
//! databases nothing.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::query::flag;
use crate::actors::coordinator::BoundFlow;
use crate::actors::domain::{Health, State};
use crate::http::endpoint::{Endpoint, Operation, Parameter, Values, schema};
use crate::http::problem::kinds;
use crate::http::{Problem, Service};
use crate::records::{Recorder, RecorderStatus};

const MEDIA_TYPE: &str = "application/health+json";
const STATUSES: &[(u16, &str)] = &[(200, "It can be used"), (503, "It cannot be used")];
const HEADERS: &[(&str, &str)] = &[("Cache-Control", "no-store")];

/// Whether the process lives. Touches no database.
pub(in crate::http) const LIVE: Endpoint =
    Endpoint { aliases: &["/live", "/healthz"], ..Endpoint::get("/livez", |route| route.to(live)) }.documented(
        Operation {
            id: "live",
            summary: "Whether the process lives",
            headers: HEADERS,
            content: &[(MEDIA_TYPE, schema::<Live>)],
            ..Operation::PLAIN
        },
    );

/// Whether any flow can be served, and the service is not about to stop.
pub(in crate::http) const READY: Endpoint =
    Endpoint { aliases: &["/ready"], ..Endpoint::get("/readyz", |route| route.to(ready)) }.documented(Operation {
        id: "ready",
        summary: "Whether any flow can be served",
        parameters: &[Parameter {
            name: VERBOSE,
            description: "Whether the answer lists the flows that cannot be served, and why",
            values: Values::Flag,
        }],
        statuses: STATUSES,
        headers: HEADERS,
        content: &[(MEDIA_TYPE, schema::<Readiness<'_>>)],
        problems: &[kinds::BAD_QUERY],
        ..Operation::PLAIN
    });
const VERBOSE: &str = "verbose";

/// Every domain, and how decisions are recorded.
pub(in crate::http) const ALL: Endpoint = Endpoint::get("/health", |route| route.to(all)).documented(Operation {
    id: "health",
    summary: "How every database is",
    statuses: STATUSES,
    headers: HEADERS,
    content: &[(MEDIA_TYPE, schema::<ServiceHealth>)],
    ..Operation::PLAIN
});

/// One domain.
pub(in crate::http) const ONE: Endpoint =
    Endpoint::get("/health/{domain}", |route| route.to(one)).documented(Operation {
        id: "domainHealth",
        summary: "How a database is",
        parameters: &[Parameter { name: "domain", description: "The domain", values: Values::Domain }],
        statuses: STATUSES,
        headers: HEADERS,
        content: &[(MEDIA_TYPE, schema::<DomainHealth>)],
        problems: &[kinds::NO_SUCH_DOMAIN],
        ..Operation::PLAIN
    });

/// A status of `application/health+json`, the better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "HealthStatus", inline)]
enum Status {
    Pass,
    Warn,
    Fail,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Live {
    #[schemars(extend("const" = "pass"))]
    status: Status,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Readiness<'a> {
    Counts(ReadyCounts),
    Flows(ReadyFlows<'a>),
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct ReadyCounts {
    status: Status,
    flows_ready: usize,
    flows: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct ReadyFlows<'a> {
    status: Status,
    flows: Vec<ReadyFlow<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct ReadyFlow<'a> {
    flow: &'a str,
    ready: bool,
    because: Vec<Obstacle>,
}

/// A domain that keeps a flow from being served.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct Obstacle {
    domain: String,
    state: &'static str,
    why: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct ServiceHealth {
    status: Status,
    domains: BTreeMap<String, DomainHealth>,
    /// How decisions are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Json>")]
    records: Option<RecorderStatus>,
}

#[derive(Serialize, JsonSchema)]
struct DomainHealth {
    status: Status,
    #[serde(flatten)]
    health: Health,
}

async fn live() -> HttpResponse {
    respond(Status::Pass, &Live { status: Status::Pass })
}

async fn ready(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let is_verbose = flag(request.query_string(), VERBOSE)?;
    let release = service.releases.current();
    let flows = release.flows();
    let flows: Vec<ReadyFlow<'_>> = flows.iter().map(|flow| ReadyFlow::of(flow)).collect();
    let flows_ready = flows.iter().filter(|flow| flow.ready).count();
    let status = match flows_ready {
        _ if service.stopping.has_begun() => Status::Fail,
        // `tributary domain` has no flows: it is as ready as its domain.
        _ if release.nodes().is_some() => {
            let healths = release.domains().values().map(|domain| status_of(&domain.health()));
            healths.max().unwrap_or(Status::Fail)
        }
        0 => Status::Fail,
        all if all == flows.len() => Status::Pass,
        _ => Status::Warn,
    };
    let answer = if is_verbose {
        Readiness::Flows(ReadyFlows { status, flows })
    } else {
        Readiness::Counts(ReadyCounts { status, flows_ready, flows: flows.len() })
    };
    Ok(respond(status, &answer))
}

impl<'a> ReadyFlow<'a> {
    fn of(flow: &'a BoundFlow) -> Self {
        let healths = flow.required_domains().into_iter().map(|domain| domain.health());
        let because: Vec<Obstacle> = healths
            .filter(|health| status_of(health) == Status::Fail)
            .map(|health| Obstacle {
                domain: health.domain.to_string(),
                state: health.state.name(),
                why: health.last_error.map(|error| error.message.to_string()),
            })
            .collect();
        Self { flow: flow.flow().name.as_str(), ready: because.is_empty(), because }
    }
}

async fn all(service: web::Data<Service>) -> HttpResponse {
    let release = service.releases.current();
    let domains: BTreeMap<String, DomainHealth> =
        release.domains().iter().map(|(name, domain)| (name.to_string(), DomainHealth::of(domain.health()))).collect();
    let status = domains.values().map(|domain| domain.status).max().unwrap_or(Status::Pass);
    let records = service.recorder.as_ref().map(Recorder::status);
    respond(status, &ServiceHealth { status, domains, records })
}

async fn one(path: web::Path<String>, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let found = release.domains().iter().find(|(name, _)| name.as_str() == path.as_str());
    let Some((_, domain)) = found else {
        let known: Vec<&str> = release.domains().keys().map(|name| name.as_str()).collect();
        return Err(Problem::no_such_domain(&path, &known));
    };
    let domain = DomainHealth::of(domain.health());
    Ok(respond(domain.status, &domain))
}

impl DomainHealth {
    fn of(health: Health) -> Self {
        Self { status: status_of(&health), health }
    }
}

fn status_of(domain: &Health) -> Status {
    match domain.state {
        State::Ready => Status::Pass,
        State::Degraded { .. } => Status::Warn,
        State::Starting | State::Down { .. } | State::Draining | State::Stopped => Status::Fail,
    }
}

fn respond(status: Status, answer: &impl Serialize) -> HttpResponse {
    let code = if status == Status::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    HttpResponse::build(code).insert_header(("Cache-Control", "no-store")).content_type(MEDIA_TYPE).json(answer)
}
