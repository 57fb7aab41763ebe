//! Connections to one service: a TCP or Unix socket, TLS, and the headers of every request. The files of TLS are read for each
//! connection, so that rotated ones take effect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::{HttpConnection, Service};
use super::token::Token;
use crate::config::{self, DomainConfig, Protocol, SslMode};
use crate::pool::{Connect, ConnectError, DialError, OpenConnections, tls};

/// Makes the connections to one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    target: Arc<config::Connection>,
    timeout: Duration,
    open: OpenConnections,
    service: Arc<Service>,
}

/// Bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connector {
    /// Connections as `config` describes them.
    pub fn new(config: &DomainConfig) -> Self {
        let base = match &config.connection.protocol {
            Protocol::Http { base } => base.as_str(),
            Protocol::Postgres => "",
        };
        Self {
            target: Arc::new(config.connection.clone()),
            timeout: config.timeouts.connect,
            open: OpenConnections::default(),
            service: Arc::new(Service {
                base: base.into(),
                description: ArcSwapOption::empty(),
                pause: ArcSwapOption::empty(),
                token: Token::new(config),
            }),
        }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// The unclassified error.
    pub(super) async fn dial_in_time(&self) -> Result<HttpConnection, DialError> {
        let dialled = timeout(self.timeout, self.dial()).await;
        dialled.unwrap_or_else(|_| Err(ConnectError::timed_out(self.timeout).into()))
    }

    async fn dial(&self) -> Result<HttpConnection, DialError> {
        let headers = self.headers()?;
        self.service.token.read().await?;
        let stream = self.stream().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let open = self.open.count();
        // It ends after the sender is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "service.connection.broke");
            }
            drop(open);
        });
        Ok(HttpConnection::new(sender, headers, Arc::clone(&self.service)))
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, DialError> {
        let Some((host, port)) = self.target.hosts.first() else { return Err("no host is configured".into()) };
        if host.starts_with('/') {
            return Ok(Box::new(UnixStream::connect(host).await?));
        }
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        if self.target.tls.mode == SslMode::Disable {
            return Ok(Box::new(stream));
        }
        let target = Arc::clone(&self.target);
        let read = tokio::task::spawn_blocking(move || tls::client(&target.tls)).await;
        let connector = TlsConnector::from(Arc::new(read.map_err(io::Error::other)??));
        let name = ServerName::try_from(host.clone())?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    /// The headers of every request.
    fn headers(&self) -> Result<HeaderMap, DialError> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(self.authority())?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tributary/", env!("CARGO_PKG_VERSION"))));
        Ok(headers)
    }

    /// Its host and port; `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        match self.target.hosts.first() {
            Some((host, _)) if host.starts_with('/') => "localhost".to_owned(),
            Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((host, port)) => format!("{host}:{port}"),
            None => String::new(),
        }
    }
}

impl Connect for Connector {
    type Connection = HttpConnection;

    async fn connect(&self) -> Result<HttpConnection, ConnectError> {
        self.dial_in_time().await.map_err(|error| ConnectError::unreachable(&*error))
    }

    fn longest_connect(&self) -> Duration {
        self.timeout
    }

    fn open(&self) -> &OpenConnections {
        &self.open
    }
}
