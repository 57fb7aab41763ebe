//! The HTTP server over a [`Core`], from bind to the last answer.

use std::future::{pending, ready};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use actix_cors::Cors;
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::App as WebApp;
use actix_web::dev::AppConfig;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tracing_actix_web::TracingLogger;

use super::core::{Core, CoreError, ServiceFactory};
use super::operator::Operator;
use super::project::{Project, Sources};
use super::signals::{Request, Signals};
use super::watch::Watch;
use crate::config;
use crate::http::{
    Acceptor, Admin, AdminSide, Certificate, ClientTimeouts, Console, DECISION_ID, GRAPH_VERSION, Operations, REPLAYED,
    RULES_VERSION, RequestSpan, TlsError, configure, limit_head, share_client, tag_request, track_request,
};
use crate::records::Recorder;
use crate::types::Deadline;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}; choose another with --bind or `bind:` in the configuration")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate to listen with.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The actors did not start.
    #[error(transparent)]
    Core(#[from] CoreError),
}

/// Connections that the system may keep until they are accepted.
const BACKLOG: u32 = 2_048;
/// Files and sockets beside those of clients and of the databases' pools: logs, records, probes, cancels, the runtime's own.
const OTHER_FILES: usize = 128;
/// How long the workers may take to end where the service stops at once.
const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// The least number of clients that are served, whatever the limit on open files.
const FEWEST_CONNECTIONS: usize = 16;

/// The service: actors, flows and a server that listens.
pub struct App {
    core: Core,
    operator: Arc<Operator>,
    server: Server,
    console: Option<Console>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    watch: Arc<Watch>,
    signals: Signals,
    /// Ends the workers. Each holds a receiver until it has ended.
    end_workers: watch::Sender<()>,
}

impl App {
    /// Starts the actors and binds the address. Requests are answered once [`Self::run_until_stopped`] runs, which reacts to
    /// `signals`.
    ///
    /// Must be called inside an actix system.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build(project: Project, sources: Sources, signals: Signals) -> Result<Self, StartError> {
        let in_service = project.domains.clone();
        let database_connections = in_service.iter().map(|domain| domain.pool.max).sum();
        let core = Core::start(project)?;
        let http = core.config().http.clone();
        let certificate = http.tls.as_ref().map(Certificate::read).transpose()?;
        let watch = Arc::new(Watch::new(core.gate().clone(), core.config(), certificate.clone()));
        let operator = Arc::new(Operator::new(&core, sources, in_service, Arc::clone(&watch)));
        let admin = Admin::new(watch.admin_key().clone(), Arc::clone(&operator) as _);
        let console = core.config().console.enabled.then(|| Console::start(core.releases().clone()));
        let admin_side = AdminSide::default();
        let services = core.service_factory(Some(admin), admin_side.clone(), console.clone());
        let workers = http.workers.count();
        let limit = most_connections(http.max_connections, database_connections).div_ceil(workers).max(2);
        let mut server = Server::build()
            .workers(workers)
            .max_concurrent_connections(limit)
            .disable_signals()
            // In whole seconds, so longer than the drain timeout, which `run_until_stopped` keeps to the millisecond.
            .shutdown_timeout(http.drain_timeout.as_secs().saturating_add(1));
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let timeouts = ClientTimeouts { head: http.head_timeout, idle: http.keep_alive, portion: http.request_timeout };
        let end_workers = watch::Sender::new(());
        let mut addresses = Vec::new();
        for address in std::iter::once(http.bind).chain(http.admin_bind) {
            let failed = |source| StartError::Bind { address, source };
            let listener = listen(address).map_err(failed)?;
            let acceptor =
                Acceptor { address: listener.local_addr().map_err(failed)?, tls: tls.clone(), timeouts, limit };
            addresses.push(acceptor.address);
            let parts = (acceptor, end_workers.subscribe());
            server = serve(server, listener, parts, services.clone(), http.cors.clone()).map_err(failed)?;
        }
        let address = addresses.first().copied().unwrap_or(http.bind);
        let admin_address = addresses.get(1).copied();
        if let Some(address) = admin_address {
            admin_side.keep_to(address);
        }
        Ok(Self { core, operator, server: server.run(), console, address, admin_address, watch, signals, end_workers })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin endpoints are, where they have an address of their own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The port it listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops it from elsewhere in the process, as SIGTERM does.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// The actors.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Serves until SIGTERM or SIGINT. Then the service is not ready for `http.drain_delay_ms`. After that no new connection is
    /// accepted, and requests, queries and records that are in flight have `http.drain_timeout_ms` in all. What is left is cut
    /// off after that time, or at a second signal.
    ///
    /// # Errors
    /// What the server's sockets say.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let Self { core, operator, mut server, console, mut signals, watch, end_workers, .. } = self;
        let handle = server.handle();
        let watcher = actix_web::rt::spawn(async move { watch.run().await });
        let (delay, timeout) = (core.config().http.drain_delay, core.config().http.drain_timeout);
        let ended = tokio::select! {
            result = &mut server => Some(result),
            () = serve_signals(&mut signals, &operator, core.recorder()) => None,
        };
        let deadline = Deadline::after(delay + timeout);
        let in_order = async {
            if ended.is_none() {
                // Only the supervisor of the process is notified, so a failure changes nothing.
                drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
                core.stopping().begin();
                tracing::info!(delay_ms = delay.as_millis(), "stopping: not ready any more");
                tokio::time::sleep(delay).await;
            }
            if let Some(console) = console {
                console.close();
            }
            let result = match ended {
                Some(result) => result,
                None => {
                    tracing::info!("stopping: no new requests are accepted, those in flight are finished");
                    // The command is on its way; that it was carried out shows in the server itself.
                    drop(handle.stop(true));
                    server.await
                }
            };
            core.drain(deadline).await;
            result
        };
        let result = tokio::select! {
            result = in_order => result,
            // `in_order` has been dropped, and the server with it.
            () = cut_off(&mut signals, deadline) => {
                // First, because a domain that is drained fails the requests that are left.
                drop_requests(end_workers).await;
                core.break_off().await;
                Ok(())
            }
        };
        watcher.abort();
        result
    }
}

/// Serves the connections that `listener` accepts. (These are the parts of actix-web's own server, over connections of ours.)
fn serve(
    server: ServerBuilder,
    listener: TcpListener,
    (acceptor, ends): (Acceptor, watch::Receiver<()>),
    services: ServiceFactory,
    cors: Option<config::Cors>,
) -> std::io::Result<ServerBuilder> {
    let draining = server.graceful_shutdown_signal();
    server.listen("http", listener, move || {
        let (acceptor, draining) = (acceptor.clone(), draining.clone());
        actix_web::rt::spawn(end_worker(ends.clone()));
        let app = WebApp::new()
            .wrap(from_fn(track_request))
            .wrap(from_fn(limit_head))
            .wrap(Condition::new(cors.is_some(), cross_origin(cors.as_ref())))
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(tag_request))
            .configure(configure(services.service(), services.settings()));
        // The connection itself has all deadlines. `Os` is what actix-http calls being kept alive without one of its own.
        let http = HttpService::build()
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(acceptor.timeouts.head)
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .on_connect_ext(share_client)
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| ready(Ok::<_, DispatchError>(acceptor.accept(stream)))).and_then(http)
    })
}

/// A socket that listens at `address`.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// How many clients may be connected at once: as many as are `wanted` and as there are descriptors for beside those of
/// `database_connections` and the rest of the process. The limit on open files is raised as far as it may be.
fn most_connections(wanted: usize, database_connections: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let files = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard);
    let taken = database_connections.saturating_add(OTHER_FILES);
    let left = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(taken).max(FEWEST_CONNECTIONS);
    if left < wanted {
        tracing::warn!(
            limit = left,
            open_files = files,
            wanted,
            "http.max_connections is lowered to what open files allow"
        );
    }
    left.min(wanted)
}

/// Reloads at each SIGHUP, and ends at the first signal that stops the service.
pub(super) async fn serve_signals(signals: &mut Signals, operator: &Arc<Operator>, recorder: Option<&Recorder>) {
    while signals.next().await == Request::Reload {
        let (operator, recorder) = (Arc::clone(operator), recorder.cloned());
        // A signal that stops the service does not wait for a reload.
        actix_web::rt::spawn(async move {
            if let Some(recorder) = recorder {
                recorder.reopen().await;
            }
            // The outcome is logged where it is known.
            drop(operator.reload().await);
        });
    }
}

/// Ends when the time to drain is over, or at another signal that stops the service.
async fn cut_off(signals: &mut Signals, deadline: Deadline) {
    let another = async { while signals.next().await == Request::Reload {} };
    tokio::select! {
        () = another => tracing::warn!("stopping at once"),
        () = tokio::time::sleep(deadline.remaining()) => {
            tracing::warn!("stopping: what is still in flight after `http.drain_timeout_ms` is cut off");
        }
    }
}

/// Ends the workers, which closes their connections and drops the requests in flight.
async fn drop_requests(end_workers: watch::Sender<()>) {
    end_workers.send_replace(());
    if tokio::time::timeout(LAST_REQUESTS, end_workers.closed()).await.is_err() {
        tracing::warn!("stopping: a worker did not end in time");
    }
}

/// Ends the worker that this runs on once `ends` changes. (A worker that drains checks for it only once a second.)
async fn end_worker(mut ends: watch::Receiver<()>) {
    if ends.changed().await.is_ok() {
        Arbiter::current().stop();
        // `ends` is dropped with all tasks of the worker, none of which runs after that.
        pending::<()>().await;
    }
}

/// What browsers let pages of other origins do.
fn cross_origin(cors: Option<&config::Cors>) -> Cors {
    let Some(config::Cors { origins, max_age_s }) = cors else { return Cors::default() };
    let rules = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE])
        .allowed_headers(["x-request-id", "traceparent", "tracestate", "idempotency-key"].map(HeaderName::from_static))
        .expose_headers([
            RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
            DECISION_ID,
            GRAPH_VERSION,
            RULES_VERSION,
            REPLAYED,
        ])
        .max_age(*max_age_s);
    if origins.iter().any(|origin| origin == "*") {
        return rules.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(rules, |rules, origin| rules.allowed_origin(origin))
}
