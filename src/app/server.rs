//! The HTTP server over a [`Core`], from bind to the last answer.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, HttpServer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_actix_web::TracingLogger;

use super::core::{Core, CoreError};
use super::operator::Operator;
use super::project::{Project, Sources};
use crate::http::{Admin, Console, Operations, RequestSpan, configure, tag_request};

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
        let config = core.config();
        let address = config.http.bind;
        let operator = Arc::new(Operator::new(&core, sources, in_service));
        let admin = config.admin_token.as_ref().map(|token| Admin::new(token, Arc::clone(&operator) as _));
        let console = config.console.then(|| Console::start(core.releases().clone()));
        let workshop = core.workshop(admin).with_console(console.clone());
        let server = HttpServer::new(move || {
            WebApp::new()
                .wrap(TracingLogger::<RequestSpan>::new())
                .wrap(from_fn(tag_request))
                .configure(configure(workshop.service()))
        })
        .workers(config.http.workers.count())
        .disable_signals()
        .shutdown_timeout(config.http.drain_timeout.as_secs().max(1))
        .bind(address)
        .map_err(|source| StartError::Bind { address, source })?;
        let address = server.addrs().first().copied().unwrap_or(address);
        let stop = StopSignals::listen().map_err(|source| StartError::Signals { source })?;
        Ok(Self { core, operator, server: server.run(), console, address, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        let Self { core, operator, server, console, stop, .. } = self;
        let handle = server.handle();
        let reloader = actix_web::rt::spawn(reload_on_hangup(operator));
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
        result
    }
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
