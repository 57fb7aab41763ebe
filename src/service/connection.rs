//! One connection of HTTP/1.1, which has one request in flight at a time.
//!
//! An answer is read up to a bound. A connection whose answer was not read to its end is not used again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::contract::Description;
use super::status::{Pause, refused_token};
use super::token::Token;
use crate::flow::QueryErrorKind;
use crate::pool::{Birth, ConnectError, Connected, tls, with_causes};

/// The longest answer that is read, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// The longest description of nodes that is read, in bytes.
const MOST_DESCRIBED: usize = 4 << 20;

/// What is known of a service, whichever connection asks it.
#[derive(Debug)]
pub(super) struct Service {
    /// What the paths of all requests begin with.
    pub(super) base: Box<str>,
    /// What it said of its nodes at the last probe. `None` where it does not speak the contract.
    pub(super) description: ArcSwapOption<Description>,
    pub(super) token: Token,
    /// The pause that it asked for last.
    pub(super) pause: ArcSwapOption<Pause>,
}

/// One connection.
pub struct HttpConnection {
    /// Taken while a request is in flight. It does not come back if the answer is not read to its end.
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
    /// Whether a request is in flight.
    is_busy: AtomicBool,
    /// Whether a request has been answered.
    is_used: AtomicBool,
    /// The headers of every request, without the token.
    headers: HeaderMap,
    service: Arc<Service>,
    birth: Birth,
}

/// What is sent.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Path and query, without the base of the service.
    pub(super) target: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON.
    pub(super) body: Option<Bytes>,
    /// Whether it may be sent again.
    pub(super) is_idempotent: bool,
}

impl Outgoing {
    /// `GET` of what describes the nodes.
    pub(super) fn describe() -> Self {
        Self { method: Method::GET, target: "/".to_owned(), headers: Vec::new(), body: None, is_idempotent: true }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request was not sent, or may be sent again.
    NotSent(String),
    /// The connection broke after the request was sent.
    Broken(String),
    /// The answer is longer than it may be.
    TooLong,
}

impl From<Failure> for QueryErrorKind {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(detail) => Self::ConnectionLost { sent: false, detail },
            Failure::Broken(detail) => Self::ConnectionLost { sent: true, detail },
            Failure::TooLong => {
                let reason = format!("is longer than {} MiB", MOST_BYTES >> 20);
                Self::Answer { place: "/".to_owned(), reason }
            }
        }
    }
}

impl HttpConnection {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>, headers: HeaderMap, service: Arc<Service>) -> Self {
        let (is_busy, is_used) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { sender: Mutex::new(Some(sender)), is_busy, is_used, headers, service, birth: Birth::now() }
    }

    /// What the service last said of its nodes. `None` where it does not speak the contract.
    pub(super) fn description(&self) -> Option<Arc<Description>> {
        self.service.description.load_full()
    }

    /// The error of a query while the service has asked for a pause.
    pub(super) fn paused(&self) -> Option<QueryErrorKind> {
        self.service.pause.load().as_ref()?.error()
    }

    /// Whether another request may be sent, or one is in flight.
    pub(super) fn is_usable(&self) -> bool {
        self.is_busy() || !self.is_closed()
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<Full<Bytes>>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and reads its whole answer. A request whose token is refused is sent again if the token has been replaced.
    pub(super) async fn exchange(&self, outgoing: Outgoing) -> Result<Response<Bytes>, Failure> {
        let answer = self.exchange_within(outgoing, MOST_BYTES).await?;
        if let Some(pause) = Pause::asked_by(answer.status(), answer.headers()) {
            self.service.pause.store(Some(Arc::new(pause)));
        }
        Ok(answer)
    }

    async fn exchange_within(&self, outgoing: Outgoing, most_bytes: usize) -> Result<Response<Bytes>, Failure> {
        let closed = || Failure::NotSent("the service closed the connection".to_owned());
        let mut sender = self.sender().take().ok_or_else(closed)?;
        self.is_busy.store(true, Ordering::Relaxed);
        let token = self.service.token.header();
        let mut outcome = self.send(&mut sender, &outgoing, token.clone(), most_bytes).await;
        if outcome.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED) {
            self.is_used.store(true, Ordering::Relaxed);
            if let Err(why) = self.service.token.read().await {
                tracing::warn!(why, "service.token.not_read");
            }
            let now = self.service.token.header();
            if now != token {
                outcome = self.send(&mut sender, &outgoing, now, most_bytes).await;
            }
        }
        self.is_busy.store(false, Ordering::Relaxed);
        if outcome.is_ok() {
            self.is_used.store(true, Ordering::Relaxed);
            *self.sender() = Some(sender);
        }
        outcome
    }

    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        outgoing: &Outgoing,
        token: Option<HeaderValue>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, Failure> {
        let is_idempotent = outgoing.is_idempotent;
        let request = self.request(outgoing, token)?;
        // A service closes connections that it finds idle for too long, and may do so just now.
        sender.ready().await.map_err(|error| Failure::NotSent(reason(&error)))?;
        let answer: Response<Incoming> = sender.try_send_request(request).await.map_err(|mut error| {
            let was_sent = error.take_message().is_none();
            let error = error.into_error();
            let may_be_late = self.is_used.load(Ordering::Relaxed) && error.is_incomplete_message();
            let detail = reason(&error);
            if was_sent && !(may_be_late && is_idempotent) { Failure::Broken(detail) } else { Failure::NotSent(detail) }
        })?;
        let (parts, body) = answer.into_parts();
        if body.size_hint().lower() > most_bytes as u64 {
            return Err(Failure::TooLong);
        }
        match Limited::new(body, most_bytes).collect().await {
            Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong),
            Err(error) => Err(Failure::Broken(with_causes(&*error))),
        }
    }

    fn request(&self, outgoing: &Outgoing, token: Option<HeaderValue>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(Full::from(outgoing.body.clone().unwrap_or_default()));
        let target = format!("{}{}", self.service.base, outgoing.target);
        *request.uri_mut() = target.parse().map_err(|_| Failure::NotSent("the path is not valid".to_owned()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(token.map(|token| (AUTHORIZATION, token)));
        if outgoing.body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request.headers_mut().extend(outgoing.headers.iter().cloned());
        *request.method_mut() = outgoing.method.clone();
        Ok(request)
    }

    /// Asks the service what its nodes are, and stores the answer. A service that does not speak the contract describes none.
    pub(super) async fn describe(&self) -> Result<Option<Arc<Description>>, ConnectError> {
        let answer = match self.exchange_within(Outgoing::describe(), MOST_DESCRIBED).await {
            Ok(answer) => answer,
            Err(Failure::TooLong) => {
                self.service.description.store(None);
                return Ok(None);
            }
            Err(Failure::NotSent(why) | Failure::Broken(why)) => return Err(ConnectError::Unreachable { why }),
        };
        match answer.status() {
            StatusCode::UNAUTHORIZED => Err(ConnectError::Refused { why: refused_token(answer.status()) }),
            // Any other status is the answer of a service that is there, such as one without this path.
            status if matches!(status.as_u16(), 502..=504) => {
                let why = format!("the service answers with status {}", status.as_u16());
                Err(ConnectError::NotAccepting { why })
            }
            // It answers, and its nodes are probably those of before.
            StatusCode::TOO_MANY_REQUESTS => Ok(self.description()),
            status => {
                let described = status.is_success().then(|| serde_json::from_slice::<Description>(answer.body()).ok());
                let described = described.flatten().map(Arc::new);
                self.service.description.store(described.clone());
                Ok(described)
            }
        }
    }
}

/// A certificate that the service refuses shows only when the first answer is read.
fn reason(error: &hyper::Error) -> String {
    tls::explain(error).unwrap_or_else(|| with_causes(error))
}

impl Connected for HttpConnection {
    fn birth(&self) -> Birth {
        self.birth
    }

    fn is_closed(&self) -> bool {
        self.sender().as_ref().is_none_or(SendRequest::is_closed)
    }

    async fn check(&mut self, limit: Duration) -> Result<Duration, ConnectError> {
        let sent = Instant::now();
        match timeout(limit, self.describe()).await {
            Ok(outcome) => outcome.map(|_| sent.elapsed()),
            Err(_) => Err(ConnectError::timed_out(limit)),
        }
    }
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConnection").field("is_busy", &self.is_busy).finish_non_exhaustive()
    }
}
