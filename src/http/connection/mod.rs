//! Connections of clients, each state of which has a deadline.
//!
//! A `ClientStream` is what actix-http reads requests from and writes answers to. It knows from its `framing` what the client
//! has to do next, and ends the connection where that is not done in time. `client` bounds how many there are.

mod client;
mod framing;
mod stream;

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, web};
use tokio_rustls::TlsAcceptor;

pub(super) use self::client::Client;
pub use self::client::ClientTimeouts;
use self::client::{Connections, InFlight};
pub use self::stream::ClientStream;
use super::problem::Problem;

/// What a listener makes of the connections it accepts.
#[derive(Clone)]
pub struct Acceptor {
    /// The address it listens at.
    pub address: SocketAddr,
    /// What speaks TLS; plain HTTP without it.
    pub tls: Option<TlsAcceptor>,
    /// How long clients may take.
    pub timeouts: ClientTimeouts,
    /// The most connections of one worker, of all listeners.
    pub limit: usize,
}

impl Acceptor {
    /// The connection over `stream`, and its peer's address.
    pub fn accept(&self, stream: TcpStream) -> (ClientStream, Option<SocketAddr>) {
        let peer = stream.peer_addr().ok();
        (ClientStream::new(stream, self.tls.as_ref(), self.address, (self.timeouts, self.limit)), peer)
    }
}

/// Tells the requests of a connection what it knows of its client.
pub fn share_client(stream: &ClientStream, data: &mut Extensions) {
    data.insert(Rc::clone(stream.client()));
}

/// Notes which requests are being answered, keeps the reserved connections to probes and the admin endpoints, and sends HTTP/1.0
/// clients no chunks.
///
/// # Errors
/// Only what the service behind it gives.
pub async fn track_request(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<Tracked>, Error> {
    let client = request.conn_data::<Rc<Client>>().cloned();
    let in_flight = client.as_ref().map(InFlight::begin);
    let knows_chunks = request.version() >= Version::HTTP_11;
    let mut response = match &client {
        Some(client) if Connections::is_full_for(client) && !may_use_reserve(request.path()) => refuse(request),
        _ => next.call(request).await?,
    };
    if !knows_chunks && response.response().body().size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response.map_body(|_, body| Tracked(body, in_flight)))
}

/// Probes, health, metrics and the admin endpoints.
fn may_use_reserve(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "livez" | "live" | "healthz" | "readyz" | "ready" | "health" | "metrics" | "admin")
}

fn refuse(request: ServiceRequest) -> ServiceResponse<BoxBody> {
    let mut response = request.error_response(Problem::too_many_connections());
    response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    response
}

/// The body of an answer, whose request is in flight until it ends.
pub struct Tracked(BoxBody, Option<InFlight>);

impl MessageBody for Tracked {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.0.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().0).poll_next(cx)
    }

    fn try_into_bytes(self) -> Result<web::Bytes, Self> {
        let Self(body, in_flight) = self;
        body.try_into_bytes().map_err(|body| Self(body, in_flight))
    }
}
