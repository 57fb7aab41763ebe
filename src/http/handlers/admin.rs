//! `POST /admin/...`: off unless there is an admin token, and closed to clients that do not send it.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::endpoint::{Access, Endpoint, Operation, Parameter, Values, schema};
use crate::http::operations::Reloaded;
use crate::http::problem::kinds;
use crate::http::{Problem, Service};

/// Replaces a domain's actor without downtime.
pub(in crate::http) const RESTART: Endpoint =
    Endpoint::post("/admin/domains/{domain}/restart", |route| route.to(restart)).documented(Operation {
        id: "restart",
        summary: "Replace a domain's actor and its connections",
        access: Access::Admin,
        parameters: &[Parameter { name: "domain", description: "The domain", values: Values::Domain }],
        content: &[("application/json", schema::<Restarted>)],
        problems: &[kinds::NO_SUCH_DOMAIN, kinds::REFUSED, kinds::NOT_REPLACED],
        ..Operation::PLAIN
    });

/// Reads graphs, rules and configuration again.
pub(in crate::http) const RELOAD: Endpoint =
    Endpoint::post("/admin/reload", |route| route.to(reload)).documented(Operation {
        id: "reload",
        summary: "Read graphs, rules and configuration again",
        access: Access::Admin,
        content: &[("application/json", schema::<Reloaded>)],
        problems: &[kinds::REFUSED, kinds::NOT_REPLACED],
        ..Operation::PLAIN
    });

/// The domain that was restarted.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct Restarted {
    restarted: String,
}

async fn restart(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let operations = service.authorize(&request)?;
    operations.restart(&path).await.map_err(|error| Problem::operation(&error))?;
    Ok(HttpResponse::Ok().json(Restarted { restarted: path.into_inner() }))
}

async fn reload(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let operations = service.authorize(&request)?;
    let reloaded = operations.reload().await.map_err(|error| Problem::operation(&error))?;
    Ok(HttpResponse::Ok().json(reloaded))
}
