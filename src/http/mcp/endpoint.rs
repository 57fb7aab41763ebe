//! `POST /mcp`: the transport that the specification calls Streamable HTTP, without sessions. Each request is answered by itself, as
//! JSON, so that any instance of the service can answer it. A subscription is a stream of events, and so is `GET /mcp`, by which
//! clients of older revisions hear that the tools have changed.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::ORIGIN;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::sync::mpsc;

use super::call::{Caller, Tools};
use super::protocol::Protocol;
use crate::http::endpoint::{Endpoint, Method};
use crate::http::event_stream::{EVENT_STREAM, HEARTBEAT, event_or_comment, must_be_accepted, response};
use crate::http::handlers::body::read_json;
use crate::http::{Problem, Service};
use crate::types::from_unique_json;

/// Answers one message of a client.
pub(in crate::http) const MESSAGE: Endpoint = Endpoint::post("/mcp", |route| route.to(message));

async fn message(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&request, &service)?;
    let release = service.releases.current();
    let body = read_json(&request, payload, release.settings()).await?;
    if let Err(error) = from_unique_json::<ClientJsonRpcMessage>(&body) {
        return Err(Problem::malformed(format!("the body is no message of the Model Context Protocol: {error}")));
    }
    let (protocol, asked) = Protocol::new();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(Some(HEARTBEAT))
        .disable_allowed_hosts()
        .with_max_request_body_bytes(release.settings().max_body_bytes);
    let sessions = Arc::new(NeverSessionManager::default());
    let transport = StreamableHttpService::new(move || Ok(protocol.clone()), sessions, config);
    // It ends with the last of `protocol`: with the answer, or with the stream that the answer is.
    actix_web::rt::spawn(Rc::new(tools(&request, &service)).serve(asked));
    Ok(returned(transport.handle(converted(&request, body)?).await).await)
}

fn tools(request: &HttpRequest, service: &Service) -> Tools {
    Tools { service: service.clone(), caller: Caller::Request(request.clone()) }
}

/// Refuses who may use no tool.
fn admit(request: &HttpRequest, service: &Service) -> Result<(), Problem> {
    check_origin(request, service)?;
    if service.gate.is_closed() && !service.gate.knows(request) && service.authorize(request).is_err() {
        return Err(Problem::no_token());
    }
    Ok(())
}

/// Sends an event for each reload that changes the tools of the caller.
pub(in crate::http) const CHANGES: Endpoint =
    Endpoint { method: Method::Stream, ..Endpoint::get("/mcp", |route| route.to(changes)) };

async fn changes(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    admit(&request, &service)?;
    must_be_accepted(&request)?;
    let (changes, changed) = mpsc::channel(1);
    let tools = tools(&request, &service);
    actix_web::rt::spawn(async move { tools.announce(&changes).await });
    let change = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    let change = format!("event: message\ndata: {change}\n\n");
    Ok(response(stream::unfold((changed, change), async |(mut changed, change)| {
        let text = event_or_comment(async { changed.recv().await.map(|()| change.clone()) }).await?;
        Some((text, (changed, change)))
    })))
}

/// Refuses a page of another origin than those that may ask, as the specification demands: its address may have been made to
/// lead here (DNS rebinding).
fn check_origin(request: &HttpRequest, service: &Service) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let mut allowed = service.mcp.iter().flatten();
    if allowed.any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes()) {
        return Ok(());
    }
    Err(Problem::foreign_origin())
}

/// The request, for the SDK: its types are those of a newer version of `http`.
fn converted(request: &HttpRequest, body: Bytes) -> Result<Request<Full<Bytes>>, Problem> {
    let head = Request::builder().method(request.method().as_str()).uri(request.path());
    let headers = request.headers().iter();
    let head = headers.fold(head, |head, (name, value)| head.header(name.as_str(), value.as_bytes()));
    head.body(Full::new(body)).map_err(|_| Problem::unreadable_body())
}

async fn returned(response: Response<BoxBody<Bytes, Infallible>>) -> HttpResponse {
    let (head, body) = response.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    // The SDK leaves it out where it says what is wrong in words.
    answer.content_type("text/plain; charset=utf-8");
    for (name, value) in &head.headers {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    if head.headers.get("content-type").is_some_and(|ty| ty.as_bytes().starts_with(EVENT_STREAM.as_bytes())) {
        return answer.streaming(body.into_data_stream());
    }
    let Ok(body) = body.collect().await;
    answer.body(body.to_bytes())
}
