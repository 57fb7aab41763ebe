//! Making connections: where to, as whom, how safely, with which session settings, and how they end.
//!
//! The password file and those of TLS are read at each connect. Hosts are tried in the order they are configured, and the
//! addresses of a host in the order the name service gives them. As in libpq, the connect timeout is that of one address, login
//! included. At most eight addresses of a host are tried (`addresses`), so that connecting ends in bounded time. An address that gave
//! no answer is tried last until it answers. Sessions are read only and bounded by `statement_timeout` from their first
//! message on: the settings travel in the startup packet, so there is no moment without them and no round trip for them.
//! (`client_connection_check_interval` is not among them: servers before PostgreSQL 14 refuse it, and what is abandoned
//! here is cancelled.) This module never builds a connection string.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as PgChannelBinding, SslMode as PgSslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, Connection as PgConnection, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::addresses::{in_turn, look_up};
use super::backends::{Backends, POOLED, Place, UNSETTLED};
use super::failure::{ConnectError, DialError, OVERLOAD_PAUSE};
use super::manager::ServerConnection;
use super::notices::drive;
use super::sqlstate::is_farewell;
use super::tls;
use crate::config::{
    ChannelBinding, Connection, DomainConfig, Password, SessionAttrs, SslMode, Statements, secret_of_bytes,
};
use crate::flow::QueryErrorKind;
use crate::types::DomainName;

/// A connection whose client is gone may take this long to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
/// Silence after which the kernel asks whether the other side still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Makes the connections of one domain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    domain: DomainName,
    to: Arc<Connection>,
    /// Where the password is written.
    password_at: Arc<str>,
    options: Arc<str>,
    timeout: Duration,
    /// Whether each connection has a session of its own: no pooler gives each transaction another.
    owns_sessions: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server_version: ArcSwapOption<String>,
    open: watch::Sender<usize>,
    farewells: AtomicU64,
    backends: Arc<Backends>,
    /// By host: how many addresses it had when it was last looked up.
    addresses: Box<[AtomicUsize]>,
    /// The last address that gave no answer.
    silent: ArcSwapOption<SocketAddr>,
    /// Whether the last connection went without TLS although the server offers it.
    fell_back: AtomicBool,
}

impl Connector {
    /// Connections as `config` describes them.
    pub fn new(config: &DomainConfig) -> Self {
        Self {
            domain: config.name.clone(),
            to: Arc::new(config.connection.clone()),
            password_at: config.origin.of_password(&config.connection.password).into(),
            options: match config.pool.statements {
                Statements::Prepared => session_options(config).into(),
                // A pooler takes none: its sessions are everybody's.
                Statements::Unprepared => config.connection.options.as_str().into(),
            },
            timeout: config.timeouts.connect,
            owns_sessions: config.pool.statements == Statements::Prepared,
            shared: Arc::new(Shared {
                server_version: ArcSwapOption::empty(),
                open: watch::Sender::new(0),
                farewells: AtomicU64::new(0),
                backends: Arc::default(),
                addresses: config.connection.hosts.iter().map(|_| AtomicUsize::new(1)).collect(),
                silent: ArcSwapOption::empty(),
                fell_back: AtomicBool::new(false),
            }),
        }
    }

    /// The version of the server that was last connected to.
    pub fn server_version(&self) -> Option<Arc<String>> {
        self.shared.server_version.load_full()
    }

    /// How many connections are open, those that are being closed included.
    pub fn open(&self) -> usize {
        *self.shared.open.borrow()
    }

    /// How many connections the server has ended so far with a word of its own.
    pub(super) fn farewells(&self) -> u64 {
        self.shared.farewells.load(Ordering::Relaxed)
    }

    /// A session has been ended by the server with a word of its own.
    pub(super) fn note_farewell(&self) {
        self.shared.farewells.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing may be asked any more, because a pooler was noticed that answers to other questions.
    pub(super) fn is_pooled(&self) -> bool {
        self.shared.backends.are_pooled()
    }

    /// Whether a connection still stands before a session that a connection took.
    pub(super) async fn knows_session_of(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        self.shared.backends.know(client).await
    }

    /// Each connection has a session to itself again.
    pub(super) fn note_no_pooler(&self) {
        self.shared.backends.note_no_pooler();
    }

    /// A session has answered as only one of such a pooler's does; what whoever asked is told.
    pub(super) fn note_pooler(&self) -> QueryErrorKind {
        self.shared.backends.note_pooler();
        pooled()
    }

    /// Waits until every connection has been closed.
    pub async fn closed(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.shared.open.subscribe().wait_for(|open| *open == 0).await);
    }

    /// The longest that making a connection can take: every known address may take its time, each time it is tried. It grows
    /// where a lookup finds more addresses.
    pub fn patience(&self) -> Duration {
        let addresses: usize = self.shared.addresses.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let attempts = addresses.saturating_mul(self.passes().len());
        self.timeout.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX).max(1))
    }

    /// The roles that the hosts are tried for, one after the other.
    fn passes(&self) -> &'static [Role] {
        match self.to.session_attrs {
            SessionAttrs::Any => &[Role::Any],
            SessionAttrs::Primary => &[Role::Primary],
            SessionAttrs::Standby => &[Role::Standby],
            SessionAttrs::PreferStandby => &[Role::Standby, Role::Any],
        }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// Why it was not made.
    pub(super) async fn connect(&self) -> Result<ServerConnection, ConnectError> {
        self.dial().await.map_err(|error| ConnectError::of(&*error))
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// The cause, that of the last attempt.
    pub(super) async fn dial(&self) -> Result<ServerConnection, DialError> {
        let mut settings = self.settings();
        match &self.to.password {
            Password::None => {}
            Password::Given(secret) => drop(settings.password(secret.expose_secret())),
            Password::File(path) => {
                let read = tokio::fs::read(path).await;
                // Its path is for those alone who may see the variables.
                let secret = read
                    .map_err(|error| format!("the password file cannot be read: {error}"))
                    .and_then(|bytes| secret_of_bytes(bytes).map_err(|why| format!("the password: {why}")))
                    .map_err(|why| format!("{why}; see {}", self.password_at))?;
                settings.password(secret.expose_secret());
            }
        }
        // On the heap: the state of a TLS handshake is large, and most waits for a connection make none.
        Box::pin(self.dial_in_order(&settings)).await
    }

    /// Tries the hosts in their order; those that are wanted first, where others will do as well.
    async fn dial_in_order(&self, settings: &Config) -> Result<ServerConnection, DialError> {
        let mut failure = DialError::from("no host is configured");
        for role in self.passes() {
            for (host, found) in self.to.hosts.iter().zip(&self.shared.addresses) {
                match self.dial_addresses(settings, host, found, *role).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    /// Tries the addresses of a host one after the other, and notes how many were `found`.
    async fn dial_addresses(
        &self,
        settings: &Config,
        (host, port): &(String, u16),
        found: &AtomicUsize,
        role: Role,
    ) -> Result<ServerConnection, DialError> {
        let mut settings = settings.clone();
        settings.host(host).port(*port);
        if host.starts_with('/') {
            let dialled = timeout(self.timeout, self.dial_host(&settings, host, role)).await;
            return dialled.unwrap_or_else(|_| Err(ConnectError::late(self.timeout).into()));
        }
        let addresses = look_up(host, *port, self.timeout).await?;
        found.store(addresses.len(), Ordering::Relaxed);
        let attempt = |address: SocketAddr| {
            let mut settings = settings.clone();
            settings.hostaddr(address.ip());
            async move { self.dial_host(&settings, host, role).await }
        };
        in_turn(&addresses, &self.shared.silent, self.timeout, attempt).await
    }

    /// Connects to one address of a host, and sees whether it is in the role that is wanted.
    async fn dial_host(&self, settings: &Config, host: &str, role: Role) -> Result<ServerConnection, DialError> {
        let connection = self.dial_as_safely_as_asked(settings, host).await?;
        if self.owns_sessions {
            if !connection.is_settled {
                return Err(UNSETTLED.into());
            }
            if !connection.place.take(&connection).await? {
                return Err(POOLED.into());
            }
        }
        if role == Role::Any {
            return Ok(connection);
        }
        // Under no name, for poolers.
        let in_recovery = connection.simple_query("SELECT pg_catalog.pg_is_in_recovery()").await?;
        let (is, found) =
            if in_recovery.iter().any(says_true) { ("a standby", Role::Standby) } else { ("a primary", Role::Primary) };
        if found == role {
            return Ok(connection);
        }
        let asked = self.to.session_attrs.word();
        Err(format!("it is {is}, and target_session_attrs asks for `{asked}`").into())
    }

    /// With TLS or without, as `sslmode` says. As libpq does, `prefer` goes without where TLS or the login with it fails.
    async fn dial_as_safely_as_asked(&self, settings: &Config, host: &str) -> Result<ServerConnection, DialError> {
        let mode = if host.starts_with('/') { SslMode::Disable } else { self.to.tls.mode };
        let (mut settings, mut refused) = (settings.clone(), None);
        if mode != SslMode::Disable {
            let prefers = mode == SslMode::Prefer;
            settings.ssl_mode(if prefers { PgSslMode::Prefer } else { PgSslMode::Require });
            match settings.connect(self.tls().await?).await {
                Ok((client, connection)) => {
                    self.shared.fell_back.store(false, Ordering::Relaxed);
                    return Ok(self.tend(client, connection));
                }
                Err(error) if prefers && may_do_without_tls(&error) => refused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        settings.ssl_mode(PgSslMode::Disable);
        let (client, connection) = settings.connect(NoTls).await?;
        if let Some(error) = refused {
            self.note_fallback(&error);
        }
        Ok(self.tend(client, connection))
    }

    /// Warns once that `prefer` goes without TLS although the server offers it.
    fn note_fallback(&self, error: &tokio_postgres::Error) {
        if !self.shared.fell_back.swap(true, Ordering::Relaxed) {
            let why = ConnectError::of(error).to_string();
            tracing::warn!(
                domain = %self.domain,
                why,
                "postgres.tls.fallback: sslmode prefer sends everything in plain text, though the server offers TLS"
            );
        }
    }

    /// Asks the server to stop what the session of `token` runs; a pooler is not asked, since `PgBouncer` 1.18 (Debian 12) dies of
    /// it for all its clients: there the role's `statement_timeout` ends it.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        if !self.owns_sessions {
            return Ok(());
        }
        if self.to.tls.mode == SslMode::Disable {
            return token.cancel_query(NoTls).await;
        }
        match self.tls().await {
            // The token knows whether its session uses TLS.
            Ok(tls) => token.cancel_query(tls).await,
            Err(_) => token.cancel_query(NoTls).await,
        }
    }

    /// What makes TLS connections. Files that it needs are read on a thread that nobody else waits for.
    async fn tls(&self) -> io::Result<MakeRustlsConnect> {
        if self.to.tls.root.is_none() && self.to.tls.identity.is_none() {
            return tls::connector(&self.to.tls);
        }
        let to = Arc::clone(&self.to);
        tokio::task::spawn_blocking(move || tls::connector(&to.tls)).await.map_err(io::Error::other)?
    }

    /// Runs the connection on a task of its own, which ends after the client is dropped.
    fn tend<S>(&self, client: Client, connection: PgConnection<Socket, S>) -> ServerConnection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(version) = connection.parameter("server_version") {
            self.shared.server_version.store(Some(Arc::new(version.to_owned())));
        }
        let is_settled = connection.parameter("default_transaction_read_only") != Some("off");
        let place = Arc::new(Place::before(&self.shared.backends));
        let (interest, lost) = oneshot::channel();
        let made = ServerConnection::new(client, Arc::clone(&place), is_settled, interest);
        let open = OpenConnection::count(Arc::clone(&self.shared));
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(drive(connection));
            let ended = tokio::select! {
                ended = &mut connection => Ok(ended),
                _ = lost => timeout(FAREWELL, &mut connection).await,
            };
            place.give_up();
            if let Ok(Err(error)) = ended {
                if is_farewell(&error) {
                    open.0.farewells.fetch_add(1, Ordering::Relaxed);
                }
                tracing::debug!(error = &error as &dyn std::error::Error, "postgres.connection.broke");
            }
        });
        made
    }

    fn settings(&self) -> Config {
        let mut settings = Config::new();
        settings
            .user(&self.to.user)
            .dbname(&self.to.database)
            .application_name(&self.to.application_name)
            .connect_timeout(self.timeout)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .channel_binding(match self.to.tls.channel_binding {
                ChannelBinding::Disable => PgChannelBinding::Disable,
                ChannelBinding::Prefer => PgChannelBinding::Prefer,
                ChannelBinding::Require => PgChannelBinding::Require,
            })
            .tcp_user_timeout(UNACKNOWLEDGED);
        if !self.options.is_empty() {
            settings.options(&*self.options);
        }
        settings
    }
}

/// What is said instead of an answer that might be one to another question.
pub(super) fn pooled() -> QueryErrorKind {
    QueryErrorKind::Unavailable { why: POOLED.to_owned(), retry_after: OVERLOAD_PAUSE }
}

fn says_true(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))
}

/// The role of a server that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Any,
    Primary,
    Standby,
}

/// Whether the same login might work without TLS: the handshake failed, or the server's rules refuse logins with it.
fn may_do_without_tls(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        None => tls::explain(error).is_some(),
    }
}

/// The server's own keepalives: a session whose client vanished without a word ends within a minute and frees its slot,
/// where by default it keeps it for two hours.
const SERVER_KEEPALIVES: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3";

/// What the user's own options may change, those, and what they may not.
fn session_options(config: &DomainConfig) -> String {
    let (own, limit) = (config.connection.options.as_str(), config.timeouts.query.as_millis().max(1));
    let zone = config.time_zone.iana_name().unwrap_or("UTC");
    let ours = format!("-c default_transaction_read_only=on -c statement_timeout={limit} -c TimeZone={zone}");
    [SERVER_KEEPALIVES, own, &ours].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Counts one connection for as long as it lives.
struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    fn count(shared: Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(shared)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
