//! One file a concern; each handler reads its request, asks a handle and writes the answer.

pub(super) mod admin;
mod batch;
pub(super) mod decide;
pub(super) mod flows;
pub(super) mod graph;
pub(super) mod health;
pub(super) mod metrics;

use actix_web::{HttpMessage, HttpRequest};

use super::problem::Problem;
use super::request_id::RequestId;

/// Names the request in a problem that answers it, and logs it once.
pub(super) fn answering(request: &HttpRequest, problem: Problem) -> Problem {
    let extensions = request.extensions();
    problem.at(request.path(), extensions.get::<RequestId>().map(RequestId::as_str))
}
