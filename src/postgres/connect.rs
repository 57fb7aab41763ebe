//! Connection attempts: hosts, credentials, TLS, session settings, and the end of connections.
//!
//! The files of passwords and TLS are read for each connection. Hosts are tried in the configured order, and the addresses of a
//! host in the order of the name service, at most eight of them (`addresses`). As in libpq, the connect timeout applies to each
//! address and includes the login. An address or host that did not answer is tried last until it answers. Sessions are read only, those of
//! the write role outside of a transaction that begins as read-write, and have a `statement_timeout` from their first message on: the
//! settings are part of the startup packet, which costs no round trip. (`client_connection_check_interval` is not among them: servers before PostgreSQL 14 reject it, and abandoned
//! queries are cancelled.) This module never builds a connection string.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as PgChannelBinding, SslMode as PgSslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, Connection as PgConnection, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::addresses::{look_up, try_in_order};
use super::backends::{BackendClaim, Backends, POOLED, SETTINGS_IGNORED};
use super::connection::ServerConnection;
use super::failure;
use super::notices::drive;
use super::sqlstate::is_shutdown_notice;
use super::staleness::Staleness;
use crate::config::{ChannelBinding, Connection, DomainConfig, SessionAccess, SessionAttrs, SslMode, Statements};
use crate::pool::{Connect, ConnectError, DialError, OpenConnections, read_password, tls};
use crate::types::DomainName;

/// How long a connection may take to close after its client was dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a host that did not answer is not asked for a preferred role.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the kernel sends keepalives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay unacknowledged before the kernel closes the connection.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes the connections of one domain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    domain: DomainName,
    target: Arc<Connection>,
    access: SessionAccess,
    /// The setting of the password, for messages.
    password_source: Arc<str>,
    options: Arc<str>,
    timeout: Duration,
    /// Whether each connection has its own session, because no pooler is configured.
    owns_sessions: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server_version: ArcSwapOption<String>,
    open: OpenConnections,
    shutdown_notices: AtomicU64,
    backends: Arc<Backends>,
    /// The number of addresses of each host at its last lookup.
    addresses: Box<[AtomicUsize]>,
    /// The last address that did not answer.
    unresponsive: ArcSwapOption<SocketAddr>,
    /// The place of the last host that did not answer, and when.
    unresponsive_host: ArcSwapOption<(usize, Instant)>,
    /// `None` where the domain does not limit the age of rows.
    staleness: Option<Staleness>,
    /// The connection over which the primary is sampled for it.
    primary: Mutex<Option<ServerConnection>>,
    /// Whether the last connection has no TLS although the server offers it.
    fell_back: AtomicBool,
    /// Notifications of the server.
    notified: Notify,
}

impl Connector {
    /// Connections as `config` describes them.
    pub fn new(config: &DomainConfig) -> Self {
        Self {
            domain: config.name.clone(),
            target: Arc::new(config.connection.clone()),
            access: config.access,
            password_source: config.password_setting().into(),
            options: match config.pool.statements {
                Statements::Prepared => session_options(config).into(),
                // Sessions of a pooler are shared, so it takes no settings from us.
                Statements::Unprepared => config.connection.options.as_str().into(),
            },
            timeout: config.timeouts.connect,
            owns_sessions: config.pool.statements == Statements::Prepared,
            shared: Arc::new(Shared {
                server_version: ArcSwapOption::empty(),
                open: OpenConnections::default(),
                shutdown_notices: AtomicU64::new(0),
                backends: Arc::default(),
                addresses: config.connection.hosts.iter().map(|_| AtomicUsize::new(1)).collect(),
                unresponsive: ArcSwapOption::empty(),
                unresponsive_host: ArcSwapOption::empty(),
                staleness: Staleness::new(config),
                primary: Mutex::default(),
                fell_back: AtomicBool::new(false),
                notified: Notify::new(),
            }),
        }
    }

    /// The version of the server of the newest connection.
    pub fn server_version(&self) -> Option<Arc<String>> {
        self.shared.server_version.load_full()
    }

    /// Returns once the server has notified a connection that listens, or has done so since the last call.
    pub(super) async fn notified(&self) {
        self.shared.notified.notified().await;
    }

    /// The number of shutdown notices so far: errors by which the server ended a session (57P01 and others).
    pub(super) fn shutdown_notices(&self) -> u64 {
        self.shared.shutdown_notices.load(Ordering::Relaxed)
    }

    /// Counts a shutdown notice that a query received.
    pub(super) fn count_shutdown_notice(&self) {
        self.shared.shutdown_notices.fetch_add(1, Ordering::Relaxed);
    }

    /// How old rows may be, where the domain limits that.
    pub(super) fn staleness(&self) -> Option<&Staleness> {
        self.shared.staleness.as_ref()
    }

    /// The connection over which the primary is sampled.
    pub(super) fn primary(&self) -> &Mutex<Option<ServerConnection>> {
        &self.shared.primary
    }

    /// The sessions behind the connections.
    pub(super) fn backends(&self) -> &Backends {
        &self.shared.backends
    }

    /// The roles to look for, one after the other. All hosts are tried for each of them.
    fn role_order(&self) -> &[SessionAttrs] {
        match &self.target.session_attrs {
            // Every replica has been refused because it is not a replica, or is too old.
            SessionAttrs::PreferStandby if self.staleness().is_some() => {
                &[SessionAttrs::Standby, SessionAttrs::Primary]
            }
            SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
            role => std::slice::from_ref(role),
        }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// The unclassified error of the last attempt.
    pub(super) async fn dial(&self) -> Result<ServerConnection, DialError> {
        if self.staleness().is_some() && !self.owns_sessions {
            return Err(
                "max_staleness_ms needs sessions of its own: a pooler may ask another server with each query".into()
            );
        }
        self.dial_as(self.role_order()).await
    }

    /// Makes a connection to a server that has one of these roles. All hosts are tried for each of them.
    pub(super) async fn dial_as(&self, roles: &[SessionAttrs]) -> Result<ServerConnection, DialError> {
        let mut settings = self.settings();
        if let Some(secret) = read_password(&self.target.password, &self.password_source).await? {
            settings.password(secret.expose_secret());
        }
        // Boxed because the state of a TLS handshake is large, and most callers wait for a connection that exists.
        Box::pin(self.dial_in_order(&settings, roles)).await
    }

    /// Tries the hosts in their order, for each role. One that did not answer is tried last.
    async fn dial_in_order(&self, settings: &Config, roles: &[SessionAttrs]) -> Result<ServerConnection, DialError> {
        let mut failure = DialError::from("no host is configured");
        for (round, role) in roles.iter().enumerate() {
            let silent = self.shared.unresponsive_host.load_full();
            let last = silent.as_ref().map(|silent| silent.0);
            // The last round takes what answers.
            let is_skipped = round + 1 < roles.len() && silent.is_some_and(|silent| silent.1.elapsed() < SILENCE);
            let hosts = self.target.hosts.iter().zip(&self.shared.addresses).enumerate();
            let mut hosts: Vec<_> = hosts.filter(|(place, _)| !is_skipped || Some(*place) != last).collect();
            hosts.sort_by_key(|(place, _)| Some(*place) == last);
            for (place, (host, count)) in hosts {
                let dialled = self.dial_addresses(settings, host, count, *role).await;
                let is_silent = dialled.as_ref().is_err_and(|error| is_timeout(&**error, self.timeout));
                if is_silent {
                    self.shared.unresponsive_host.store(Some(Arc::new((place, Instant::now()))));
                } else if Some(place) == last {
                    self.shared.unresponsive_host.store(None);
                }
                match dialled {
                    Ok(connection) => return Ok(connection),
                    // The error of a replica that is too old tells more than that the other host is none.
                    Err(error) if !is_stale(&*failure) => failure = error,
                    Err(_) => {}
                }
            }
        }
        Err(failure)
    }

    /// Tries the addresses of a host one after the other, and stores their `count`.
    async fn dial_addresses(
        &self,
        settings: &Config,
        (host, port): &(String, u16),
        count: &AtomicUsize,
        role: SessionAttrs,
    ) -> Result<ServerConnection, DialError> {
        let mut settings = settings.clone();
        settings.host(host).port(*port);
        if host.starts_with('/') {
            let dialled = timeout(self.timeout, self.dial_host(&settings, host, role)).await;
            return dialled.unwrap_or_else(|_| Err(ConnectError::timed_out(self.timeout).into()));
        }
        let addresses = look_up(host, *port, self.timeout).await?;
        count.store(addresses.len(), Ordering::Relaxed);
        let attempt = |address: SocketAddr| {
            let mut settings = settings.clone();
            settings.hostaddr(address.ip());
            async move { self.dial_host(&settings, host, role).await }
        };
        try_in_order(&addresses, &self.shared.unresponsive, self.timeout, attempt).await
    }

    /// Connects to one address of a host, and checks its session and its role.
    async fn dial_host(
        &self,
        settings: &Config,
        host: &str,
        role: SessionAttrs,
    ) -> Result<ServerConnection, DialError> {
        let connection = self.dial_with_sslmode(settings, host).await?;
        if self.owns_sessions {
            if !self.is_read_only(&connection.client, connection.is_read_only).await? {
                return Err(SETTINGS_IGNORED.into());
            }
            if !connection.claim.claim(&connection).await? {
                return Err(POOLED.into());
            }
        }
        if role != SessionAttrs::Any {
            // A simple query, so that no statement is prepared on the session of a pooler.
            let in_recovery = connection.simple_query("SELECT pg_catalog.pg_is_in_recovery()").await?;
            let found = if in_recovery.iter().any(is_true) { SessionAttrs::Standby } else { SessionAttrs::Primary };
            if found != role {
                return Err(self.wrong_role(found, role).into());
            }
        }
        let proof = self.prove(&connection).await?;
        connection.proof.set(proof);
        Ok(connection)
    }

    /// Whether a session is read only. Servers before PostgreSQL 14 do not report it. Of a session that writes, it must be known.
    async fn is_read_only(&self, client: &Client, reported: Option<bool>) -> Result<bool, DialError> {
        const SETTING: &str = "SELECT pg_catalog.current_setting('default_transaction_read_only')::bool";
        Ok(match (reported, self.access) {
            (Some(is_read_only), _) => is_read_only,
            (None, SessionAccess::ReadOnly) => true,
            (None, SessionAccess::ReadWrite) => client.simple_query(SETTING).await?.iter().any(is_true),
        })
    }

    /// Why a server that was `found` is not accepted as one of `role`.
    fn wrong_role(&self, found: SessionAttrs, role: SessionAttrs) -> String {
        let (found, required) = (found.word(), self.target.session_attrs);
        match self.access {
            SessionAccess::ReadWrite => {
                format!("the server is a {found}, and effects are written to the primary: name it among the hosts")
            }
            // The primary is also looked for because it is sampled.
            SessionAccess::ReadOnly if role != required => format!("the server is a {found}"),
            SessionAccess::ReadOnly => {
                format!("the server is a {found}, and target_session_attrs is `{}`", required.word())
            }
        }
    }

    /// Connects with TLS or without, by `sslmode`. As in libpq, `prefer` retries without TLS where TLS or the login over it fails.
    async fn dial_with_sslmode(&self, settings: &Config, host: &str) -> Result<ServerConnection, DialError> {
        let mode = if host.starts_with('/') { SslMode::Disable } else { self.target.tls.mode };
        let (mut settings, mut refused) = (settings.clone(), None);
        if mode != SslMode::Disable {
            let prefers = mode == SslMode::Prefer;
            settings.ssl_mode(if prefers { PgSslMode::Prefer } else { PgSslMode::Require });
            match settings.connect(self.tls().await?).await {
                Ok((client, connection)) => {
                    self.shared.fell_back.store(false, Ordering::Relaxed);
                    return Ok(self.spawn_driver(client, connection));
                }
                Err(error) if prefers && may_work_without_tls(&error) => refused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        settings.ssl_mode(PgSslMode::Disable);
        let (client, connection) = settings.connect(NoTls).await?;
        if let Some(error) = refused {
            self.warn_of_fallback(&error);
        }
        Ok(self.spawn_driver(client, connection))
    }

    /// Warns, once until TLS works again, that `prefer` uses no TLS although the server offers it.
    fn warn_of_fallback(&self, error: &tokio_postgres::Error) {
        if !self.shared.fell_back.swap(true, Ordering::Relaxed) {
            let why = failure::of_attempt(error).to_string();
            tracing::warn!(
                domain = %self.domain,
                why,
                "postgres.tls.fallback: sslmode prefer sends everything in plain text, though the server offers TLS"
            );
        }
    }

    /// Requests that the server cancel the statement of the session of `token`. A pooler gets no such request, because it crashes
    /// `PgBouncer` 1.18 (Debian 12). There the role's `statement_timeout` ends the statement.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        if !self.owns_sessions {
            return Ok(());
        }
        if self.target.tls.mode == SslMode::Disable {
            return token.cancel_query(NoTls).await;
        }
        match self.tls().await {
            // The driver uses the TLS connector only where the session uses TLS.
            Ok(tls) => token.cancel_query(tls).await,
            Err(_) => token.cancel_query(NoTls).await,
        }
    }

    /// The TLS connector. Its files are read on a thread for blocking work.
    async fn tls(&self) -> io::Result<MakeRustlsConnect> {
        if self.target.tls.root.is_none() && self.target.tls.identity.is_none() {
            return tls::client(&self.target.tls).map(MakeRustlsConnect::new);
        }
        let target = Arc::clone(&self.target);
        let read = tokio::task::spawn_blocking(move || tls::client(&target.tls)).await;
        read.map_err(io::Error::other)?.map(MakeRustlsConnect::new)
    }

    /// Spawns the task that drives the connection. It ends after the client is dropped.
    fn spawn_driver<S>(&self, client: Client, connection: PgConnection<Socket, S>) -> ServerConnection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(version) = connection.parameter("server_version") {
            self.shared.server_version.store(Some(Arc::new(version.to_owned())));
        }
        let is_read_only = connection.parameter("default_transaction_read_only").map(|setting| setting != "off");
        let claim = Arc::new(BackendClaim::new(&self.shared.backends));
        let (drop_signal, client_dropped) = oneshot::channel();
        let made = ServerConnection::new(client, Arc::clone(&claim), is_read_only, drop_signal);
        let (open, shared) = (self.shared.open.count(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(drive(connection, &shared.notified));
            let ended = tokio::select! {
                ended = &mut connection => Ok(ended),
                _ = client_dropped => timeout(CLOSE_TIMEOUT, &mut connection).await,
            };
            claim.release();
            if let Ok(Err(error)) = ended {
                if is_shutdown_notice(&error) {
                    shared.shutdown_notices.fetch_add(1, Ordering::Relaxed);
                }
                tracing::debug!(error = &error as &dyn std::error::Error, "postgres.connection.broke");
            }
            drop(open);
        });
        made
    }

    fn settings(&self) -> Config {
        let mut settings = Config::new();
        settings
            .user(&self.target.user)
            .dbname(&self.target.database)
            .application_name(&self.target.application_name)
            .connect_timeout(self.timeout)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .channel_binding(match self.target.tls.channel_binding {
                ChannelBinding::Disable => PgChannelBinding::Disable,
                ChannelBinding::Prefer => PgChannelBinding::Prefer,
                ChannelBinding::Require => PgChannelBinding::Require,
            })
            .tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT);
        if !self.options.is_empty() {
            settings.options(&*self.options);
        }
        settings
    }
}

impl Connect for Connector {
    type Connection = ServerConnection;

    async fn connect(&self) -> Result<ServerConnection, ConnectError> {
        self.dial().await.map_err(|error| failure::of_attempt(&*error))
    }

    /// The timeout of every known address, as often as it is tried. It grows when a lookup finds more addresses.
    fn longest_connect(&self) -> Duration {
        let addresses: usize = self.shared.addresses.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let attempts = addresses.saturating_mul(self.role_order().len());
        self.timeout.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX).max(1))
    }

    fn open(&self) -> &OpenConnections {
        &self.shared.open
    }
}

/// Whether `error` says that the rows of a server are too old.
fn is_stale(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ConnectError::Stale { .. }))
}

/// Whether `error` says that there was no answer within `limit`.
fn is_timeout(error: &(dyn std::error::Error + Send + Sync + 'static), limit: Duration) -> bool {
    error.downcast_ref::<ConnectError>() == Some(&ConnectError::timed_out(limit))
}

fn is_true(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))
}

/// Whether the same login may work without TLS: the handshake failed, or `pg_hba.conf` rejects logins over TLS.
fn may_work_without_tls(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        None => tls::explain(error).is_some(),
    }
}

/// The server's keepalives. With these a session whose client has disappeared ends within a minute, instead of after two hours.
const SERVER_KEEPALIVES: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3";

/// The options of the startup packet. Later ones take precedence: the user's over the keepalives, the required ones over the user's.
fn session_options(config: &DomainConfig) -> String {
    let (configured, limit) = (config.connection.options.as_str(), config.timeouts.query.as_millis().max(1));
    let zone = config.time_zone.iana_name().unwrap_or("UTC");
    let transactions = match config.access {
        SessionAccess::ReadOnly => String::new(),
        // A transaction that waits for a lock, or for this process, has the time of a statement.
        SessionAccess::ReadWrite => format!("-c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}"),
    };
    let required = format!("-c default_transaction_read_only=on -c statement_timeout={limit} -c TimeZone={zone}");
    [SERVER_KEEPALIVES, configured, &required, &transactions]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
