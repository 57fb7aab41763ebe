//! The HTTP server over a [`Core`], from bind to the last answer.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_cors::Cors;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App as WebApp, HttpServer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_actix_web::TracingLogger;

use super::core::{Core, CoreError};
use super::operator::Operator;
use super::project::{Project, Sources};
use super::watch::Watch;
use crate::config;
use crate::http::{
    Admin, AdminSide, Certificate, Console, Operations, RequestSpan, TlsError, configure, limit_head, tag_request,
};

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
    /// The signals that stop the service cannot be listened for.
    #[error("cannot listen for signals: {source}")]
    Signals {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// The service: actors, flows and a server that listens.
pub struct App {
    core: Core,
    operator: Arc<Operator>,
    server: Server,
    console: Option<Console>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    watch: Arc<Watch>,
    stop: StopSignals,
}

impl App {
    /// Starts the actors and binds the address. Requests are answered once [`Self::run_until_stopped`] runs.
    ///
    /// Must be called inside an actix system.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build(project: Project, sources: Sources) -> Result<Self, StartError> {
        let in_service = project.domains.clone();
        let core = Core::start(project)?;
        let http = core.config().http.clone();
        let certificate = http.tls.as_ref().map(Certificate::read).transpose()?;
        let watch = Arc::new(Watch::new(core.gate().clone(), core.config(), certificate.clone()));
        let operator = Arc::new(Operator::new(&core, sources, in_service, Arc::clone(&watch)));
        let admin = Admin::new(watch.admin_key().clone(), Arc::clone(&operator) as _);
        let console = core.config().console.then(|| Console::start(core.releases().clone()));
        let admin_side = AdminSide::default();
        let workshop = core.workshop(Some(admin), admin_side.clone()).with_console(console.clone());
        let cors = http.cors.clone();
        let workers = http.workers.count();
        let mut server = HttpServer::new(move || {
            WebApp::new()
                .wrap(from_fn(limit_head))
                .wrap(Condition::new(cors.is_some(), cross_origin(cors.as_ref())))
                .wrap(TracingLogger::<RequestSpan>::new())
                .wrap(from_fn(tag_request))
                .configure(configure(workshop.service()))
        })
        .workers(workers)
        .max_connections(http.max_connections.div_ceil(workers))
        .client_request_timeout(http.head_timeout)
        .keep_alive(http.keep_alive)
        .disable_signals()
        .shutdown_timeout(http.drain_timeout.as_secs().max(1));
        for address in std::iter::once(http.bind).chain(http.admin_bind) {
            let bound = match &certificate {
                Some(certificate) => server.bind_rustls_0_23(address, certificate.listener()?),
                None => server.bind(address),
            };
            server = bound.map_err(|source| StartError::Bind { address, source })?;
        }
        let addresses = server.addrs();
        let address = addresses.first().copied().unwrap_or(http.bind);
        let admin_address = http.admin_bind.and_then(|_| addresses.get(1).copied());
        if let Some(address) = admin_address {
            admin_side.keep_to(address);
        }
        let stop = StopSignals::listen().map_err(|source| StartError::Signals { source })?;
        Ok(Self { core, operator, server: server.run(), console, address, admin_address, watch, stop })
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

    /// What stops it from elsewhere in the process, as SIGTERM does.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// The living part.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Serves until SIGTERM or SIGINT: then stops accepting, finishes what is in flight within the drain timeout, closes
    /// the databases' connections and returns. A second signal stops at once.
    ///
    /// # Errors
    /// What the server's sockets say.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let Self { core, operator, server, console, stop, watch, .. } = self;
        let handle = server.handle();
        let reloader = actix_web::rt::spawn(reload_on_hangup(operator));
        let watcher = actix_web::rt::spawn(async move { watch.run().await });
        let in_order = async {
            let result = server.await;
            core.drain().await;
            result
        };
        // The server heeds no second command while it carries out the first: it has to be left where it is.
        let result = tokio::select! {
            result = in_order => result,
            () = told_twice(&handle, console, stop) => {
                core.break_off().await;
                Ok(())
            }
        };
        reloader.abort();
        watcher.abort();
        result
    }
}

/// What browsers are told of pages of other origins.
fn cross_origin(cors: Option<&config::Cors>) -> Cors {
    let Some(config::Cors { origins, max_age_s }) = cors else { return Cors::default() };
    let rules = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE])
        .allowed_headers(["x-request-id", "traceparent", "tracestate"].map(HeaderName::from_static))
        .expose_headers([RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(*max_age_s);
    if origins.iter().any(|origin| origin == "*") {
        return rules.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(rules, |rules, origin| rules.allowed_origin(origin))
}

/// SIGHUP reads the files again, as `POST /admin/reload` does.
async fn reload_on_hangup(operator: Arc<Operator>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::warn!("SIGHUP cannot be listened for: reload by POST /admin/reload");
        return;
    };
    while hangup.recv().await.is_some() {
        // What came of it is logged where it is done.
        drop(operator.reload().await);
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Stops `server` in order at the first signal, and completes at the second.
async fn told_twice(server: &ServerHandle, console: Option<Console>, mut signals: StopSignals) {
    signals.next().await;
    if let Some(console) = console {
        console.close();
    }
    tracing::info!("stopping: no new requests are accepted, those in flight are finished");
    // The command is on its way; that it was carried out shows in the server itself.
    drop(server.stop(true));
    signals.next().await;
    tracing::warn!("stopping at once");
}
