//! The processing of every request before its handler, and of every response after it.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};

use super::problem::Problem;
use super::request::{DecisionHeaders, REQUEST_ID, RequestId};
use crate::metrics::Metrics;

/// What the middleware needs of the service.
#[derive(Clone)]
pub struct RequestSettings {
    /// Counts responses by status.
    pub metrics: Metrics,
    /// Whether traces are on.
    pub traces: bool,
    /// The most of a request's head.
    pub head_limits: HeadLimits,
}

/// The limits of a request's head. Those of the body apply where it is read.
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
/// Only those of the service behind it.
pub async fn limit_head<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let limits = request.app_data::<web::Data<RequestSettings>>().map(|settings| settings.head_limits);
    match limits.map_or(Ok(()), |limits| limits.check(&request)) {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(problem) => Ok(request.error_response(problem).map_into_right_body()),
    }
}

/// Gives each request its id before anything else sees it. Gives its response the headers of request and decision, and a
/// problem the names of request and trace.
///
/// # Errors
/// Only those of the service behind it.
pub async fn tag_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let settings = request.app_data::<web::Data<RequestSettings>>().cloned();
    let response = next.call(request).await?;
    if let Some(settings) = settings {
        settings.metrics.answered(response.status().as_u16());
    }
    let problem = response.response().error().and_then(Error::as_error::<Problem>).cloned();
    let mut response = match problem {
        Some(problem) => {
            let text = problem.answering(response.request()).to_json();
            response.map_body(|_, _| EitherBody::right(BoxBody::new(text)))
        }
        None => response.map_into_left_body(),
    };
    let decision = response.request().extensions_mut().remove::<DecisionHeaders>();
    for (name, value) in decision.into_iter().flat_map(|headers| headers.0) {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert(REQUEST_ID, id.0);
    Ok(response)
}
