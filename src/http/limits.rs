//! Bounds on what a client may send before anything is made of it. Those of the body are where it is read.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};

use super::problem::Problem;
use super::request_id::RequestId;
use super::service::Service;
use super::span::TraceId;

/// The most of a request's head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of path and query.
    pub url: usize,
    /// Bytes of all headers, names and values.
    pub headers: usize,
}

impl HeadLimits {
    fn check(self, request: &ServiceRequest) -> Result<(), Problem> {
        let uri = request.uri();
        let url = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
        if url > self.url {
            return Err(Problem::url_too_long(self.url));
        }
        let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers > self.headers { Err(Problem::headers_too_large(self.headers)) } else { Ok(()) }
    }
}

/// Refuses a head that is too large.
///
/// # Errors
/// Only what the service behind it gives.
pub async fn limit_head<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let limits = request.app_data::<web::Data<Service>>().map(|service| service.head_limits);
    match limits.map_or(Ok(()), |limits| limits.check(&request)) {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(problem) => {
            let id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
            // The path of a long URL would be repeated at length.
            let path: String = request.path().chars().take(200).collect();
            let trace = TraceId::of(request.request());
            let response = problem.at(&path, id.as_deref()).traced(trace.as_deref()).error_response();
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}
