//! One file a concern; each handler reads its request, asks a handle and writes the answer.

pub(super) mod admin;
mod batch;
pub(super) mod decide;
pub(super) mod flows;
pub(super) mod graph;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod openapi;
mod wish;

use actix_web::{HttpMessage, HttpRequest, web};

use super::problem::Problem;
use super::request_id::RequestId;
use super::span::TraceId;

/// The value of `name` in the query string: the last time it stands there counts.
fn last(query: &str, name: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    let web::Query(pairs) = web::Query::<Vec<(String, String)>>::from_query(query).ok()?;
    pairs.into_iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
}

/// Whether `name` is asked for in the query string.
fn asks_for(query: &str, name: &str) -> Result<bool, Problem> {
    match last(query, name).as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Problem::bad_query(&format!("`{name}` is true or false, such as ?{name}=true"))),
    }
}

/// Names the request in a problem that answers it, and logs it once.
pub(super) fn answering(request: &HttpRequest, problem: Problem) -> Problem {
    let extensions = request.extensions();
    let problem = problem.at(request.path(), extensions.get::<RequestId>().map(RequestId::as_str));
    problem.traced(TraceId::of(request).as_deref())
}
