//! The endpoints of flows, which are found by path in the current release: `{flow path}`, and below it `/batch`, `/what-if` and
//! `/flip`.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{batch, decide, flip};
use crate::http::span::found_flow;
use crate::http::{Problem, Service};

/// What follows a flow's path for many decisions.
const BATCH: &str = "/batch";
/// What follows a flow's path for a decision with facts replaced.
const WHAT_IF: &str = "/what-if";
/// What follows a flow's path for a search of what changes its decision.
const FLIP: &str = "/flip";

/// Answers at every path that no fixed endpoint has.
pub(in crate::http) async fn any(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let path = request.path();
    let release = service.releases.current();
    let below = |suffix| Some((release.flow_at(path.strip_suffix(suffix)?)?, suffix));
    let found = release.flow_at(path).map(|flow| (flow, ""));
    let found = found.or_else(|| [BATCH, WHAT_IF, FLIP].into_iter().find_map(below));
    let (flow, suffix) = found.ok_or_else(|| Problem::no_such_path(path))?;
    found_flow(&request);
    if request.method() != Method::POST {
        return Err(Problem::method_not_allowed(request.method().as_str(), "POST"));
    }
    let place = (flow, release.settings());
    match suffix {
        BATCH => batch::decide(&request, payload, &service, place).await,
        FLIP => flip::search(&request, payload, &service, place).await,
        suffix => decide::decide(&request, payload, &service, place, suffix == WHAT_IF).await,
    }
}
