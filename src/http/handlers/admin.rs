//! `POST /admin/...`: off where no token is set, closed to whoever does not send it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::answering;
use crate::http::gate::bearer;
use crate::http::{Operations, Problem, Service};

/// Replaces a domain's actor without downtime.
pub(in crate::http) async fn restart(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let operations = open(&request, &service)?;
    match operations.restart(&path).await {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({ "restarted": path.as_str() }))),
        Err(error) => Err(answering(&request, Problem::operation(&error))),
    }
}

/// Reads graphs, rules and configuration again.
pub(in crate::http) async fn reload(
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let operations = open(&request, &service)?;
    match operations.reload().await {
        Ok(reloaded) => Ok(HttpResponse::Ok().json(reloaded)),
        Err(error) => Err(answering(&request, Problem::operation(&error))),
    }
}

/// Answers any method but POST on a path that takes only that.
pub(in crate::http) async fn only_post(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(answering(&request, Problem::method_not_allowed(request.method().as_str(), "POST")))
}

fn open<'a>(request: &HttpRequest, service: &'a Service) -> Result<&'a dyn Operations, Problem> {
    authorize(request, service).map_err(|problem| answering(request, problem))
}

/// The operations, where the request carries the token.
pub(in crate::http) fn authorize<'a>(
    request: &HttpRequest,
    service: &'a Service,
) -> Result<&'a dyn Operations, Problem> {
    if !service.admin_side.is(request) {
        return Err(Problem::no_such_path(request.path()));
    }
    let admin = service.admin.as_ref().filter(|admin| admin.is_on()).ok_or_else(Problem::admin_off)?;
    admin.open(bearer(request)).ok_or_else(Problem::unauthorized)
}
